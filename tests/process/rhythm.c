/* SPDX-License-Identifier: MIT */
/*
 * Which wake-ups happen, and when: quiet producers, quiet consumers, watermarks.
 * Sleepers look again by themselves only after ten seconds. So the producer's count
 * of wake-ups, and the sleepers that still sleep, show which messages woke them.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include <check.h>

#include "child.h"
#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 17, MS = 1000000, LIMIT_MS = 8000, LEN = 40, MANY = 1000 };

/* Bytes of the lane that a message takes. */
#ifdef TEST_STAMPS
enum { RECORD = 8 + 8 + LEN };
#else
enum { RECORD = 8 + LEN };
#endif

/* How the reader waits for messages. */
enum waiting { PEEK, DESCRIPTOR, SEVERAL, WAITINGS };

/* The reader's task, and its results. */
struct board {
	struct shmring_ring *ring;
	enum waiting waiting;
	uint64_t messages, bytes; /* its watermark */
	int64_t within_ns;
	bool quiet;
	bool spins;		       /* if it may */
	uint64_t count;		       /* so many in all */
	struct shmring_waitable *what; /* requested before any choice */
	int64_t max_wait;	       /* the longest of its waits, in ns */
	_Atomic uint64_t taken;	       /* up to now */
	_Atomic uint64_t rounds;       /* waits that brought messages */
	_Atomic uint64_t first;	       /* messages that the first of these waits brought */
	_Atomic uint64_t armed;	       /* times the descriptor was */
	struct shmring_counters counters;
	struct audit audit;
};

static struct board *board_of(struct shmring_ring *ring)
{
	struct board *b =
		mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(b, MAP_FAILED);
	b->ring = ring;
	return b;
}

static struct board *board_new(uint32_t lanes)
{
	struct shmring_config config = small_config();

	config.max_sleep_ns = 10000 * (uint64_t)MS;
	config.lanes = lanes;
	return board_of(ring_create(&config));
}

static void board_drop(struct board *b)
{
	shmring_close(b->ring);
	munmap(b, sizeof(*b));
}

/* A message is there, or may be. */
static void wait_for_some(struct board *b, struct shmring_consumer *c, int fd)
{
	struct shmring_wait_item wait = { .what = b->what };
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (b->waiting == SEVERAL)
		must(shmring_wait(&wait, 1, patience()));
	else if (b->waiting == DESCRIPTOR && must(shmring_consumer_arm(c)) == 0) {
		b->armed++;
		ck_assert_int_eq(poll(&p, 1, LIMIT_MS), 1);
	}
}

/* Wait until the reader has announced its n-th sleep, so that a waker finds it. */
static void await_sleep(struct child *reader, const struct board *b, uint64_t n)
{
	int64_t limit = patience();

	if (b->waiting != DESCRIPTOR)
		child_await_sleep(reader);
	else
		while (b->armed < n)
			ck_assert_int_lt(sched_yield() + clock_now(), limit);
}

/* Take the messages that are there after a wait. */
static uint64_t take_some(struct board *b, struct shmring_consumer *c)
{
	struct shmring_message m;
	int64_t deadline = b->waiting == PEEK ? patience() : SHMRING_NOWAIT;
	uint64_t n = 0;
	int e;

	while ((e = shmring_peek(c, deadline, &m)) == 0) {
		ck_assert(audit_peeked(&b->audit, c, &m));
		must(shmring_release(c));
		deadline = SHMRING_NOWAIT;
		b->taken++;
		n++;
	}
	ck_assert_int_eq(e, -EAGAIN);
	return n;
}

static void note(struct board *b, uint64_t n, int64_t waited)
{
	if (waited > b->max_wait)
		b->max_wait = waited;
	if (n > 0 && b->rounds++ == 0)
		b->first = n;
}

static int read_all(int socket, void *board)
{
	struct shmring_consumer_options options = { .size = sizeof(options), .spin_ns = -1 };
	struct board *b = board;
	struct shmring_consumer *c;
	int fd = -1;

	if (b->spins)
		options.spin_ns = SHMRING_SPIN_ALWAYS;
	must(shmring_join(b->ring));
	must(shmring_consumer_attach(&c, b->ring, &options));
	b->what = shmring_consumer_waitable(c);
	must(shmring_consumer_watermark(c, b->messages, b->bytes, b->within_ns));
	must(shmring_consumer_quiet(c, b->quiet));
	if (b->waiting == DESCRIPTOR)
		fd = (int)must(shmring_consumer_fd(c, SHMRING_FD_THREAD));
	audit_begin(&b->audit, true);
	step_tell(socket);
	while (b->taken < b->count) {
		int64_t began = clock_now();
		uint64_t n;

		wait_for_some(b, c, fd);
		n = take_some(b, c);
		note(b, n, clock_now() - began);
	}
	b->counters.size = sizeof(b->counters);
	must(shmring_consumer_counters(c, &b->counters));
	shmring_consumer_detach(c);
	return 0;
}

static void start_reader(struct child *reader, struct board *b, uint64_t count)
{
	b->count = count;
	child_fork(reader, read_all, b);
	step_await(reader->socket);
	await_sleep(reader, b, 1);
}

static void end_reader(struct child *reader, struct board *b)
{
	child_end(reader);
	ck_assert_str_eq(b->audit.first_fault, "");
	ck_assert_uint_eq(b->audit.messages, b->count);
	ck_assert_uint_eq(b->audit.lost, 0);
	ck_assert_int_lt(b->max_wait, (int64_t)LIMIT_MS * MS);
}

static uint64_t rings(const struct shmring_producer *p)
{
	struct shmring_counters counters = { .size = sizeof(counters) };

	must(shmring_producer_counters(p, &counters));
	return counters.wakes;
}

/* Publish so many messages; only the last one wakes the sleeper. */
static void only_the_last_rings(struct shmring_producer *p, const struct board *b, uint64_t first,
				uint64_t count)
{
	publish_numbers(p, SOURCE, first, count - 1, LEN);
	ck_assert_uint_eq(rings(p), 0);
	ck_assert_uint_eq(b->taken, 0);
	publish_numbers(p, SOURCE, first + count - 1, 1, LEN);
	ck_assert_uint_eq(rings(p), 1);
}

START_TEST(quiet_producer_wakes_others_on_request)
{
	struct board *b = board_new(1);
	struct shmring_producer *p = producer_attach(b->ring);
	struct child reader;

	start_reader(&reader, b, MANY);
	ck_assert_int_eq(must(shmring_producer_quiet(p, 1)), 0);
	publish_numbers(p, SOURCE, 0, MANY, LEN);
	ck_assert_uint_eq(rings(p), 0);
	ck_assert(child_sleeps(&reader));
	ck_assert_int_eq(must(shmring_producer_wake(p)), 1);
	end_reader(&reader, b);
	ck_assert_int_eq(must(shmring_producer_wake(p)), 0);
	shmring_producer_detach(p);
	board_drop(b);
}
END_TEST

/* Batches, too. */
START_TEST(quiet_producer_wakes_others_when_it_stops_being_quiet)
{
	struct board *b = board_new(1);
	struct shmring_producer *p = producer_attach(b->ring);
	struct child reader;
	void *data = NULL;

	start_reader(&reader, b, 2);
	must(shmring_producer_quiet(p, 1));
	for (uint64_t number = 0; number < 2; number++) {
		must(shmring_claim(p, LEN, SHMRING_NOWAIT, &data));
		audit_fill(data, LEN, SOURCE, number);
		must(shmring_stage(p, LEN));
	}
	must(shmring_flush(p));
	ck_assert_uint_eq(rings(p), 0);
	if (_i == 0)
		ck_assert_int_eq(must(shmring_producer_quiet(p, 0)), 1);
	shmring_producer_detach(p);
	end_reader(&reader, b);
	board_drop(b);
}
END_TEST

START_TEST(quiet_producer_does_not_starve_itself)
{
	struct board *b = board_new(1);
	struct shmring_producer *p = producer_attach(b->ring);
	struct child reader;

	start_reader(&reader, b, 20 * MANY);
	must(shmring_producer_quiet(p, 1));
	publish_numbers(p, SOURCE, 0, 20 * MANY, LEN); /* many laps */
	ck_assert_uint_gt(rings(p), 0);
	shmring_producer_detach(p);
	end_reader(&reader, b);
	board_drop(b);
}
END_TEST

/* The reader is woken when `count` messages are there, and not before. */
static void rings_at(struct board *b, enum waiting waiting, uint64_t count)
{
	struct shmring_producer *p = producer_attach(b->ring);
	struct child reader;

	b->waiting = waiting;
	start_reader(&reader, b, count);
	only_the_last_rings(p, b, 0, count);
	end_reader(&reader, b);
	ck_assert_uint_eq(b->first, count);
	shmring_producer_detach(p);
	board_drop(b);
}

START_TEST(watermark_counts_messages)
{
	struct board *b = board_new(1);

	b->messages = 50;
	rings_at(b, (enum waiting)_i, 50);
}
END_TEST

START_TEST(watermark_counts_bytes)
{
	struct board *b = board_new(1);

	b->bytes = 30 * RECORD - 7;
	rings_at(b, (enum waiting)_i, 30);
}
END_TEST

/* After one round, and counted from that position. */
START_TEST(watermark_is_counted_anew)
{
	struct board *b = board_new(1);
	struct shmring_producer *p = producer_attach(b->ring);
	struct child reader;

	b->waiting = (enum waiting)_i;
	b->messages = 20;
	start_reader(&reader, b, 200);
	for (uint64_t round = 0; round < 10; round++) {
		publish_numbers(p, SOURCE, 20 * round, 19, LEN);
		ck_assert_uint_eq(rings(p), round);
		publish_numbers(p, SOURCE, 20 * round + 19, 1, LEN);
		while (b->taken < 20 * (round + 1))
			sched_yield();
		if (round < 9)
			await_sleep(&reader, b, round + 2);
	}
	end_reader(&reader, b);
	ck_assert_uint_eq(b->rounds, 10);
	shmring_producer_detach(p);
	board_drop(b);
}
END_TEST

/*
 * The first message wakes it; it goes on sleeping until the time is over. Where it
 * does not know the first, the time begins with its sleep.
 */
START_TEST(watermark_has_a_time)
{
	struct board *b = board_new(1);
	struct shmring_producer *p = producer_attach(b->ring);
	struct child reader;
	int64_t began;

	b->waiting = (enum waiting)_i;
	b->messages = MANY;
	b->within_ns = 100 * (int64_t)MS;
	start_reader(&reader, b, 1);
	began = clock_now();
	publish_numbers(p, SOURCE, 0, 1, LEN);
	end_reader(&reader, b);
	if (b->waiting == PEEK)
		ck_assert_int_ge(clock_now() - began, b->within_ns);
	ck_assert_uint_eq(rings(p), b->waiting == PEEK);
	shmring_producer_detach(p);
	board_drop(b);
}
END_TEST

START_TEST(watermark_comes_before_its_time)
{
	struct board *b = board_new(1);
	struct shmring_producer *p = producer_attach(b->ring);
	struct child reader;

	b->messages = 50;
	b->within_ns = 9000 * (int64_t)MS;
	start_reader(&reader, b, 50);
	publish_numbers(p, SOURCE, 0, 1, LEN);
	child_await_sleep(&reader);
	publish_numbers(p, SOURCE, 1, 49, LEN);
	end_reader(&reader, b);
	ck_assert_uint_eq(b->first, 50);
	shmring_producer_detach(p);
	board_drop(b);
}
END_TEST

/* A watermark is not meant to be quick. */
START_TEST(watermark_is_slept_for)
{
	struct board *b = board_new(1);
	struct shmring_producer *p = producer_attach(b->ring);
	struct child reader;

	b->waiting = _i ? SEVERAL : PEEK;
	b->spins = true;
	b->messages = 50;
	start_reader(&reader, b, 50);
	only_the_last_rings(p, b, 0, 50);
	end_reader(&reader, b);
	shmring_producer_detach(p);
	board_drop(b);
}
END_TEST

/*
 * All consumers of a ring share its bell. Wake-ups of a consumer for every message move
 * the bell again and again, but the time of a consumer with a watermark goes on.
 */
START_TEST(watermark_keeps_its_time_while_others_are_woken)
{
	struct board *b = board_new(1);
	struct board *other = board_of(b->ring);
	struct shmring_producer *p = producer_attach(b->ring);
	struct child reader, rung;
	uint64_t sent = 0;

	b->waiting = (enum waiting)_i;
	b->messages = MANY;
	b->within_ns = 50 * (int64_t)MS;
	start_reader(&rung, other, MANY);
	start_reader(&reader, b, 1);
	for (; sent < 500 && b->taken == 0; sent++) { /* less than half a lane */
		publish_numbers(p, SOURCE, sent, 1, LEN);
		while (other->taken <= sent)
			sched_yield();
		child_await_sleep(&rung);
		poll(NULL, 0, 6);
	}
	ck_assert_uint_lt(sent, 500);
	child_end(&reader);
	ck_assert_str_eq(b->audit.first_fault, "");
	child_kill(&rung);
	munmap(other, sizeof(*other));
	shmring_producer_detach(p);
	board_drop(b);
}
END_TEST

/* The watermark can never be reached, so half a lane counts as reached. */
START_TEST(unreachable_watermark_ends_at_half_a_lane)
{
	struct board *b = board_new(1);
	struct shmring_producer *p = producer_attach(b->ring);
	int64_t began = clock_now();
	struct child reader;

	if (_i)
		b->messages = 1000 * MANY;
	else
		b->bytes = UINT64_C(1) << 40;
	start_reader(&reader, b, 20 * MANY);
	publish_numbers(p, SOURCE, 0, 20 * MANY - 1, LEN);
	ck_assert_int_lt(clock_now() - began, (int64_t)LIMIT_MS * MS);
	publish_numbers(p, SOURCE, 20 * MANY - 1, 1, LEN);
	must(shmring_producer_wake(p)); /* the rest is less than half a lane */
	shmring_producer_detach(p);
	child_kill(&reader);
	ck_assert_uint_gt(b->taken, 18 * MANY);
	ck_assert_str_eq(b->audit.first_fault, "");
	board_drop(b);
}
END_TEST

/* Fill as near to half a lane as possible, and then publish the longest message. */
START_TEST(watermark_leaves_room_for_the_longest)
{
	struct board *b = board_new(1);
	struct shmring_producer *p = producer_attach(b->ring);
	const uint64_t half = small_config().lane_size / 2 - 8;
	const uint64_t count = half / RECORD - 1;
	struct child reader;
	void *data = NULL;

	b->messages = 1000 * MANY;
	start_reader(&reader, b, count + 2);
	publish_numbers(p, SOURCE, 0, count, LEN);
	publish_numbers(p, SOURCE, count, 1, half - count * RECORD - (RECORD - LEN));
	must(shmring_claim(p, shmring_producer_max_message(p), patience(), &data));
	audit_fill(data, shmring_producer_max_message(p), SOURCE, count + 1);
	must(shmring_commit(p, shmring_producer_max_message(p)));
	end_reader(&reader, b);
	shmring_producer_detach(p);
	board_drop(b);
}
END_TEST

/* Each lane is counted for itself. */
START_TEST(watermark_is_counted_in_one_lane)
{
	struct board *b = board_new(2);
	struct shmring_producer *p = producer_attach(b->ring);
	struct shmring_producer *other = producer_attach(b->ring);
	struct child reader;

	b->messages = 30;
	start_reader(&reader, b, 59);
	publish_numbers(other, SOURCE + 1, 0, 29, LEN);
	only_the_last_rings(p, b, 0, 30);
	ck_assert_uint_eq(rings(other), 0);
	end_reader(&reader, b);
	ck_assert_uint_eq(b->first, 59);
	shmring_producer_detach(other);
	shmring_producer_detach(p);
	board_drop(b);
}
END_TEST

/* This also holds for a lane whose first producer comes while the consumer sleeps. */
START_TEST(watermark_holds_for_a_new_lane)
{
	struct board *b = board_new(2);
	struct shmring_producer *p = producer_attach(b->ring);
	struct shmring_producer *other;
	struct child reader;

	b->messages = 50;
	start_reader(&reader, b, 50);
	other = producer_attach(b->ring);
	publish_numbers(other, SOURCE, 0, 1, LEN);
	ck_assert_uint_eq(rings(other), 1); /* so that it is noticed */
	child_await_sleep(&reader);
	for (uint64_t number = 1; number < 49; number++) {
		publish_numbers(other, SOURCE, number, 1, LEN);
		child_await_sleep(&reader);
	}
	ck_assert_uint_eq(rings(other), 1);
	publish_numbers(other, SOURCE, 49, 1, LEN);
	end_reader(&reader, b);
	ck_assert_uint_eq(b->first, 50);
	shmring_producer_detach(other);
	shmring_producer_detach(p);
	board_drop(b);
}
END_TEST

/* The next tenant of its place wants a wake-up for every message. */
START_TEST(watermark_of_a_dead_consumer_is_forgotten)
{
	struct board *b = board_new(1);
	struct shmring_producer *p = producer_attach(b->ring);
	struct child reader;

	b->messages = MANY;
	start_reader(&reader, b, 1);
	child_kill(&reader);
	ck_assert_int_eq(must(shmring_reap(b->ring)), 1);
	b->messages = 0;
	start_reader(&reader, b, 1);
	publish_numbers(p, SOURCE, 0, 1, LEN);
	end_reader(&reader, b);
	shmring_producer_detach(p);
	board_drop(b);
}
END_TEST

START_TEST(quiet_consumer_is_not_woken)
{
	struct board *b = board_new(1);
	struct shmring_producer *p = producer_attach(b->ring);
	struct child reader;

	b->waiting = (enum waiting)_i;
	b->quiet = true;
	start_reader(&reader, b, 20);
	for (uint64_t number = 0; number < 20; number++) {
		publish_numbers(p, SOURCE, number, 1, LEN);
		while (b->taken <= number)
			sched_yield();
	}
	ck_assert_uint_eq(rings(p), 0);
	end_reader(&reader, b);
	shmring_producer_detach(p);
	board_drop(b);
}
END_TEST

/* A watermark is taken back while it stands in the ring, and a quiet consumer ends being quiet. */
START_TEST(watermark_and_quiet_are_taken_back)
{
	struct board *b = board_new(1);
	struct shmring_producer *p = producer_attach(b->ring);
	struct shmring_consumer *c = consumer_attach(b->ring, NULL, 0, 0);
	struct pollfd fd = { .events = POLLIN };
	struct shmring_message m;

	fd.fd = (int)must(shmring_consumer_fd(c, SHMRING_FD_THREAD));
	must(shmring_consumer_watermark(c, 10, 0, 0));
	ck_assert_int_eq(must(shmring_consumer_arm(c)), 0);
	publish_numbers(p, SOURCE, 0, 1, LEN);
	ck_assert_uint_eq(rings(p), 0);
	must(shmring_peek(c, SHMRING_NOWAIT, &m));
	must(shmring_release(c));
	must(shmring_consumer_watermark(c, 0, 0, 0));
	must(shmring_consumer_quiet(c, 1));
	must(shmring_consumer_quiet(c, 0));
	ck_assert_int_eq(must(shmring_consumer_arm(c)), 0);
	publish_numbers(p, SOURCE, 1, 1, LEN);
	ck_assert_uint_eq(rings(p), 1);
	ck_assert_int_eq(poll(&fd, 1, LIMIT_MS), 1);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	board_drop(b);
}
END_TEST

static int use_the_parents(int socket, void *handles)
{
	void **both = handles;

	(void)socket;
	must_fail(ECHILD, shmring_producer_quiet(both[0], 1));
	must_fail(ECHILD, shmring_producer_spin(both[0], 0));
	must_fail(ECHILD, shmring_producer_wake(both[0]));
	must_fail(ECHILD, shmring_consumer_quiet(both[1], 1));
	must_fail(ECHILD, shmring_consumer_spin(both[1], 0));
	must_fail(ECHILD, shmring_consumer_watermark(both[1], 2, 0, 0));
	return 0;
}

START_TEST(misuse_is_refused)
{
	struct board *b = board_new(1);
	struct shmring_producer *p = producer_attach(b->ring);
	struct shmring_consumer *c = consumer_attach(b->ring, NULL, 0, 0);
	struct shmring_consumer *o = consumer_attach(b->ring, NULL, 0, SHMRING_OBSERVE);
	void *handles[2] = { p, c };
	struct child child;

	must_fail(EINVAL, shmring_consumer_watermark(c, 2, 2, 0));
	must_fail(EINVAL, shmring_consumer_watermark(c, 2, 0, -1));
	must_fail(EINVAL, shmring_consumer_watermark(c, UINT64_MAX, 0, 0));
	must_fail(EINVAL, shmring_consumer_watermark(o, 2, 0, 0));
	must(shmring_consumer_quiet(o, 1));
	child_fork(&child, use_the_parents, handles);
	child_end(&child);
	shmring_consumer_detach(o);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	board_drop(b);
}
END_TEST

/* The budget is the handle's, and can be another one for the next wait. */
START_TEST(spinning_is_controlled)
{
	struct board *b = board_new(1);
	struct shmring_producer *p = producer_attach(b->ring);
	struct shmring_consumer *c = consumer_attach(b->ring, NULL, 0, 0);
	struct shmring_counters before = { .size = sizeof(before) },
				after = { .size = sizeof(after) };
	struct shmring_message m;

	must(shmring_consumer_counters(c, &before));
	must(shmring_consumer_spin(c, SHMRING_SPIN_ALWAYS));
	must_fail(ETIMEDOUT, shmring_peek(c, shmring_deadline(20 * MS), &m));
	must(shmring_consumer_counters(c, &after));
	ck_assert_uint_eq(after.sleeps, before.sleeps);
	must(shmring_consumer_spin(c, SHMRING_SPIN_NEVER));
	must_fail(ETIMEDOUT, shmring_peek(c, shmring_deadline(20 * MS), &m));
	must(shmring_consumer_counters(c, &after));
	ck_assert_uint_gt(after.sleeps, before.sleeps);

	publish_until_full(p, SOURCE, 0, LEN);
	must(shmring_producer_counters(p, &before));
	must(shmring_producer_spin(p, SHMRING_SPIN_ALWAYS));
	must_fail(ETIMEDOUT, shmring_publish(p, "", 1, shmring_deadline(20 * MS)));
	must(shmring_producer_counters(p, &after));
	ck_assert_uint_eq(after.sleeps, before.sleeps);
	must(shmring_producer_spin(p, SHMRING_SPIN_NEVER));
	must_fail(ETIMEDOUT, shmring_publish(p, "", 1, shmring_deadline(20 * MS)));
	must(shmring_producer_counters(p, &after));
	ck_assert_uint_gt(after.sleeps, before.sleeps);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	board_drop(b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rhythm");
	TCase *tc = room_case(s, "rhythm", 40);

	tcase_add_test(tc, quiet_producer_wakes_others_on_request);
	tcase_add_loop_test(tc, quiet_producer_wakes_others_when_it_stops_being_quiet, 0, 2);
	tcase_add_test(tc, quiet_producer_does_not_starve_itself);
	tcase_add_loop_test(tc, watermark_counts_messages, 0, WAITINGS);
	tcase_add_loop_test(tc, watermark_counts_bytes, 0, WAITINGS);
	tcase_add_loop_test(tc, watermark_is_counted_anew, 0, WAITINGS);
	tcase_add_loop_test(tc, watermark_has_a_time, 0, WAITINGS);
	tcase_add_test(tc, watermark_comes_before_its_time);
	tcase_add_loop_test(tc, watermark_is_slept_for, 0, 2);
	tcase_add_loop_test(tc, watermark_keeps_its_time_while_others_are_woken, 0, WAITINGS);
	tcase_add_loop_test(tc, unreachable_watermark_ends_at_half_a_lane, 0, 2);
	tcase_add_test(tc, watermark_leaves_room_for_the_longest);
	tcase_add_test(tc, watermark_is_counted_in_one_lane);
	tcase_add_test(tc, watermark_holds_for_a_new_lane);
	tcase_add_test(tc, watermark_of_a_dead_consumer_is_forgotten);
	tcase_add_loop_test(tc, quiet_consumer_is_not_woken, 0, WAITINGS);
	tcase_add_test(tc, watermark_and_quiet_are_taken_back);
	tcase_add_test(tc, misuse_is_refused);
	tcase_add_test(tc, spinning_is_controlled);
	return run_suite(s);
}
