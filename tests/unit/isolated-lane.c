/* SPDX-License-Identifier: MIT */
/*
 * Isolated rings without a broker: a source of the test's own gives out the lanes. So a
 * lane can get another file at the very moment at which a reader asks for it, and a
 * source can be away, wrong, or contradict what stands in the ring.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <check.h>

#include "audit.h"
#include "isolated-files.h"
#include "isolated-lane.h"
#include "layout.h"
#include "must.h"
#include "ring.h"
#include "room.h"
#include "runner.h"
#include "segment.h"
#include "sys.h"
#include "way.h"

#include <shmring/consumer.h>
#include <shmring/producer.h>

enum { SOURCE = 7, LANES = 2, SIZE = 65536, LEN = 200, SOME = 20 };

/* More than one lap. */
enum { MANY = 3 * SIZE / LEN };

static struct trick {
	struct ring_source calls;
	struct shmring_ring *ring;
	int file[LANES];
	uint32_t file_number[LANES];
	unsigned reads;			    /* how often a reader asked */
	int away;			    /* the file that readers get instead */
	void (*after_read)(struct trick *); /* once, when a reader has its description */
	int (*spoil)(struct trick *, int fd);
	struct shmring_producer *second;
	uint64_t source, published; /* of the present owner */
} trick;

static int open_again(int fd, bool writable)
{
	int again = shmr_reopen(fd, writable ? O_RDWR : O_RDONLY);

	ck_assert_int_ge(again, 0);
	return again;
}

static int give_ring(struct ring_source *s, enum ring_role role, struct ring_grant *ret)
{
	*ret = (struct ring_grant){ 0 };
	return open_again(((struct trick *)s)->ring->fd, role != RING_OBSERVE);
}

static int give_lane(struct ring_source *s, const struct lane_wish *wish, uint32_t *ret_file_number)
{
	struct trick *t = (struct trick *)s;
	void (*then)(struct trick *) = t->after_read;
	int fd;

	t->reads += !wish->write;
	if (!wish->write && t->away < 0)
		return t->away;
	if (t->file[wish->lane] < 0 && !wish->write)
		return -ENOENT;
	if (t->file[wish->lane] < 0)
		t->file[wish->lane] =
			(int)must(isolated_files_new_lane(&t->ring->geometry, "lane"));
	*ret_file_number = t->file_number[wish->lane];
	fd = open_again(t->file[wish->lane], wish->write);
	if (!wish->write && t->spoil)
		return t->spoil(t, fd);
	if (!wish->write && then) {
		t->after_read = NULL;
		then(t);
	}
	return fd;
}

static void leave(struct ring_source *s, const struct ring_grant *grant)
{
	(void)s;
	(void)grant;
}

static void end(struct ring_source *s, bool inherited)
{
	struct trick *t = (struct trick *)s;

	(void)inherited;
	for (unsigned i = 0; i < LANES; i++)
		if (t->file[i] >= 0)
			close(t->file[i]);
}

static struct shmring_ring *begin(void)
{
	const struct shmring_config config = { .size = sizeof(config),
					       .lanes = LANES,
					       .lane_size = SIZE,
					       .unread_policy = SHMRING_UNREAD_OVERWRITE };

	trick = (struct trick){
		.calls = { .open = give_ring, .leave = leave, .free = end, .lane = give_lane },
		.file = { -1, -1 },
		.source = SOURCE,
	};
	must(isolated_files_new_ring(&trick.ring, "ring", &config));
	trick.ring->source = &trick.calls;
	return trick.ring;
}

/* Lane 0 is another file from now on, as when it passes to another user. */
static void pass_on(struct trick *t)
{
	size_t size = t->ring->geometry.lane_file_size;
	int to = (int)must(isolated_files_new_lane(&t->ring->geometry, "lane"));
	void *bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, t->file[0], 0);

	ck_assert_ptr_ne(bytes, MAP_FAILED);
	ck_assert_int_eq(shmr_write_at(to, bytes, size, 0), 0);
	munmap(bytes, size);
	close(t->file[0]);
	t->file[0] = to;
	must(isolated_files_set_number(t->ring, 0, ++t->file_number[0], 0));
	t->source++;
	t->published = 0;
}

static void publish(struct shmring_producer *p, uint64_t count)
{
	publish_numbers(p, trick.source, trick.published, count, LEN);
	trick.published += count;
}

/* A first owner that leaves some messages. */
static void leave_some(void)
{
	struct shmring_producer *p = producer_attach(trick.ring);

	publish(p, SOME);
	shmring_producer_detach(p);
}

/* The next owner has the new file, and overwrites all messages that no consumer holds. */
static void pass_on_and_overwrite(struct trick *t)
{
	pass_on(t);
	t->second = producer_attach(t->ring);
	publish(t->second, MANY);
}

static uint64_t read_all(struct shmring_consumer *c, struct audit *a)
{
	uint64_t count = consume_all(c, a);

	ck_assert_msg(audit_faults(a) == 0, "%s", a->first_fault);
	return count;
}

static const struct joining {
	const char *name;
	uint32_t start;
	uint32_t flags;
} joinings[] = {
	{ NULL, SHMRING_START_OLDEST, 0 },
	{ NULL, SHMRING_START_NOW, 0 },
	{ "named", SHMRING_START_OLDEST, 0 },
	{ NULL, SHMRING_START_OLDEST, SHMRING_OBSERVE },
};

/*
 * F3: a consumer has the old file, and chooses by it; its cursor stands in the ring when the
 * next owner is already further on.
 */
START_TEST(joiner_with_an_old_file_chooses_again)
{
	const struct joining *j = &joinings[_i];
	struct shmring_ring *r = begin();
	struct shmring_consumer *c;
	struct audit a;
	uint64_t more, missed, missed_bytes;

	leave_some();
	trick.after_read = pass_on_and_overwrite;
	c = consumer_attach(r, j->name, j->start, j->flags);
	ck_assert_ptr_nonnull(trick.second);
	audit_begin(&a, false);
	/* It holds the owner back from now on, and gets every message. */
	more = j->flags ? SOME
			: publish_until_full(trick.second, trick.source, trick.published, LEN);
	if (j->flags)
		publish(trick.second, SOME);
	ck_assert_uint_ge(read_all(c, &a), more);
	ck_assert_uint_eq(a.lanes[0].next_number, trick.published + (j->flags ? 0 : more));
	/* No message is lost but those that were gone at its attach. */
	must(shmring_consumer_missed(c, 0, &missed, &missed_bytes));
	if (!j->flags)
		ck_assert_uint_eq(a.lost, missed);
	shmring_consumer_detach(c);
	shmring_producer_detach(trick.second);
	shmring_close(r);
}
END_TEST

/* A1: the messages in hand keep their content and their addresses. */
START_TEST(reader_follows_with_messages_in_hand)
{
	struct shmring_ring *r = begin();
	struct shmring_message m, n;
	unsigned char before[LEN];
	struct shmring_consumer *c;
	struct audit a;

	leave_some();
	c = consumer_attach(r, NULL, SHMRING_START_OLDEST, 0);
	audit_begin(&a, true);
	must(shmring_peek(c, SHMRING_NOWAIT, &m));
	memcpy(before, m.data, LEN);
	pass_on(&trick);
	trick.second = producer_attach(r);
	publish(trick.second, SOME);
	/* The reader reads to the end of the old file, and goes on in the new one. */
	ck_assert(audit_peeked(&a, c, &m));
	for (unsigned i = 1; i < SOME + SOME / 2; i++) {
		must(shmring_peek(c, SHMRING_NOWAIT, &n));
		ck_assert(audit_peeked(&a, c, &n));
	}
	ck_assert_mem_eq(m.data, before, LEN);
	must(shmring_release(c));
	ck_assert_uint_eq(read_all(c, &a), SOME - SOME / 2);
	ck_assert_uint_eq(a.messages, 2 * SOME);
	shmring_consumer_detach(c);
	shmring_producer_detach(trick.second);
	shmring_close(r);
}
END_TEST

/* A3: whatever members write, a reader asks at times, and reads on. */
START_TEST(forged_words_cost_questions_only)
{
	struct shmring_ring *r = begin();
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c;
	struct doorbell *doorbell;
	struct registry *registry;
	unsigned char *view;
	struct audit a;
	int64_t start;

	view = mmap(NULL, r->geometry.view_size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	ck_assert_ptr_ne(view, MAP_FAILED);
	registry = (void *)(view + r->geometry.registry_offset);
	doorbell = (void *)(view + r->geometry.doorbell_offset);
	store_release(&registry->lanes_ready, UINT64_MAX); /* nobody has had lane 1 */
	c = consumer_attach(r, NULL, SHMRING_START_DEFAULT, 0);
	audit_begin(&a, true);
	trick.reads = 0;
	start = clock_now();
	for (unsigned i = 0; i < 2000; i++) {
		store_release32(&doorbell->room[0].file_number, i + 1);
		exchange(&registry->files, i + 1);
		publish(p, 1);
		ck_assert_uint_eq(read_all(c, &a), 1);
	}
	/* Two lanes, once in ten milliseconds. */
	ck_assert_uint_le(trick.reads, 2 * (unsigned)((clock_now() - start) / 10000000 + 2));
	munmap(view, r->geometry.view_size);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* Forged words say that no producer has had lane 1, and that the lane has memory. */
static struct shmring_ring *begin_forged(void)
{
	struct shmring_ring *r = begin();
	unsigned char *view =
		mmap(NULL, r->geometry.view_size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	struct registry *registry = (void *)(view + r->geometry.registry_offset);

	ck_assert_ptr_ne(view, MAP_FAILED);
	store_release(&registry->lanes_ready, UINT64_MAX);
	munmap(view, r->geometry.view_size);
	return r;
}

/* What it has now; a damaged or lost message is a fault of `a`. */
static int take(struct shmring_consumer *c, struct audit *a)
{
	struct shmring_message m;
	int e = shmring_peek(c, SHMRING_NOWAIT, &m);

	if (e != 0)
		return e;
	audit_peeked(a, c, &m);
	return shmring_release(c);
}

/*
 * A reader at the end polls for that long. The source is asked once for each pause, and the
 * pauses grow from 10 ms to 100 ms.
 */
static void poll_at_the_end(struct shmring_consumer *c, struct audit *a, int64_t ns)
{
	int64_t start = clock_now(), end = start + ns;
	unsigned polls = 0;

	trick.reads = 0;
	for (; clock_now() < end || polls < 1000; polls++)
		ck_assert_int_eq(take(c, a), -EPIPE);
	ck_assert_uint_gt(trick.reads, 0);
	ck_assert_uint_le(trick.reads, 5 + (unsigned)((clock_now() - start) / 100000000));
}

/* A3: every poll reports the end, and asks the source now and then. */
START_TEST(forged_lane_does_not_delay_the_end)
{
	const uint32_t flags = SHMRING_UNTIL_END | (_i ? SHMRING_OBSERVE : 0);
	struct shmring_ring *r = begin_forged();
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c = consumer_attach(r, NULL, SHMRING_START_DEFAULT, flags);
	int64_t limit = patience();
	struct audit a;
	int e;

	audit_begin(&a, true);
	publish(p, SOME);
	ck_assert_uint_eq(read_all(c, &a), SOME);
	shmring_producer_detach(p);
	poll_at_the_end(c, &a, 170000000);
	/* The lane gets its first owner, and what that one leaves comes before the end. */
	p = producer_attach(r);
	must(isolated_files_set_number(r, 1, 0, 0));
	trick.second = producer_attach(r);
	publish_numbers(trick.second, SOURCE + 1, 0, SOME, LEN);
	shmring_producer_detach(trick.second);
	shmring_producer_detach(p);
	while ((e = take(c, &a)) != -EPIPE) {
		ck_assert(e == 0 || e == -EAGAIN);
		ck_assert_int_lt(clock_now(), limit);
	}
	audit_must_be(&a, 2 * SOME, 0);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(lanes_of_a_source_that_is_away_are_found_later)
{
	struct shmring_ring *r = begin();
	struct shmring_producer *p;
	struct shmring_consumer *c = consumer_attach(r, NULL, SHMRING_START_DEFAULT, 0), *d;
	int64_t limit = patience();
	struct audit a;

	trick.away = -ECONNREFUSED;
	p = producer_attach(r);
	/* Nothing is read, so nothing is lost: it holds the lane back without seeing it. */
	trick.published = publish_until_full(p, trick.source, 0, LEN);
	audit_begin(&a, true);
	ck_assert_uint_eq(read_all(c, &a), 0);
	/* A consumer that joins must be able to read the lane. */
	ck_assert_int_eq(shmring_consumer_attach(&d, r, NULL), -ECONNREFUSED);
	trick.away = 0;
	while (a.messages < trick.published) {
		ck_assert_int_lt(clock_now(), limit);
		read_all(c, &a);
	}
	publish(p, SOME);
	ck_assert_uint_eq(read_all(c, &a), SOME);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

static int writable(struct trick *t, int fd)
{
	close(fd);
	return open_again(t->file[0], true);
}

static int of_other_size(struct trick *t, int fd)
{
	int other;

	(void)t;
	close(fd);
	fd = segment_new_memory("lane", 0600);
	ck_assert_int_eq(ftruncate(fd, SIZE), 0);
	must(segment_seal(fd));
	other = shmr_reopen(fd, O_RDONLY);
	close(fd);
	return other;
}

static int not_sealed(struct trick *t, int fd)
{
	int other, given;

	close(fd);
	other = segment_new_memory("lane", 0600);
	ck_assert_int_eq(ftruncate(other, (off_t)t->ring->geometry.lane_file_size), 0);
	given = open_again(other, false);
	close(other);
	return given;
}

/* A process could add F_SEAL_WRITE to it, and no owner could write the lane any more. */
static int not_sealed_for_good(struct trick *t, int fd)
{
	int other, given;

	close(fd);
	other = segment_new_memory("lane", 0600);
	ck_assert_int_eq(ftruncate(other, (off_t)t->ring->geometry.lane_file_size), 0);
	ck_assert_int_eq(fcntl(other, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	given = open_again(other, false);
	close(other);
	return given;
}

static int readable_by_all(struct trick *t, int fd)
{
	int other, given;

	close(fd);
	other = segment_new_memory("lane", 0644);
	ck_assert_int_eq(ftruncate(other, (off_t)t->ring->geometry.lane_file_size), 0);
	must(segment_seal(other));
	given = open_again(other, false);
	close(other);
	return given;
}

static const struct {
	int (*spoil)(struct trick *, int fd);
	int error;
} spoilings[] = {
	{ writable, EACCES },		{ of_other_size, EPERM },   { not_sealed, EPERM },
	{ not_sealed_for_good, EPERM }, { readable_by_all, EPERM },
};

START_TEST(descriptors_are_not_taken_on_trust)
{
	struct shmring_ring *r = begin();
	struct shmring_consumer *c;

	leave_some();
	trick.spoil = spoilings[_i].spoil;
	must_fail(spoilings[_i].error, shmring_consumer_attach(&c, r, NULL));
	shmring_close(r);
}
END_TEST

START_TEST(shape_is_that_of_the_page)
{
	const struct shmring_config configs[] = {
		{ .size = sizeof(*configs), .lanes = 3, .lane_size = SIZE },
		{ .size = sizeof(*configs), .lanes = 64, .lane_size = UINT64_C(4) << 20 },
	};
	struct geometry g, back;
	struct identity id;

	for (unsigned i = 0; i < 2; i++) {
		memset(&id, 0, sizeof(id));
		must(layout_plan(&g, &configs[i]));
		layout_set_isolated(&g);
		ck_assert_uint_eq(g.file_size, 458752);
		ck_assert_uint_eq(g.data_offset, i == 0 ? 65536 : 2 << 20);
		ck_assert_uint_eq(control_offset(&g, 2), 0);
		ck_assert_uint_eq(data_offset(&g, 2), g.data_offset);
		ck_assert_uint_eq(layout_bytes(&g),
				  458752 + g.lanes * (g.data_offset + g.lane_size));
		layout_describe(&id, &g);
		ck_assert_uint_eq(id.incompatible, 4);
		must(layout_check(&back, &id, g.file_size));
		ck_assert_mem_eq(&back, &g, sizeof(g));
		id.control_stride = LAYOUT_GRANULE;
		layout_seal(&id);
		must_fail(EBADMSG, layout_check(&back, &id, g.file_size));
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("isolated-lane");
	TCase *tc = room_case(s, "isolated-lane", 30);

	tcase_add_test(tc, shape_is_that_of_the_page);
	tcase_add_loop_test(tc, joiner_with_an_old_file_chooses_again, 0,
			    (int)(sizeof(joinings) / sizeof(joinings[0])));
	tcase_add_test(tc, reader_follows_with_messages_in_hand);
	tcase_add_test(tc, forged_words_cost_questions_only);
	tcase_add_loop_test(tc, forged_lane_does_not_delay_the_end, 0, 2);
	tcase_add_test(tc, lanes_of_a_source_that_is_away_are_found_later);
	tcase_add_loop_test(tc, descriptors_are_not_taken_on_trust, 0,
			    (int)(sizeof(spoilings) / sizeof(spoilings[0])));
	return run_suite(s);
}
