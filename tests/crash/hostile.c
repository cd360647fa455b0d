/* SPDX-License-Identifier: MIT */
/*
 * A hostile or broken participant: a process that writes where it may and what
 * it must not, while others go on using the ring.
 *
 * The vandal knows the layout of a ring (docs/layout.md) and maps all of it for
 * writing. Its victims read, write, attach, look and leave meanwhile. They may get
 * wrong bytes and numbers. But
 *  HO1 no call crashes, and none returns long after its deadline;
 *  HO2 every payload lies in the victim's own mapping of the ring, is aligned, and
 *     all its bytes can be touched;
 *  HO3 every error is one that the manual names, and a handle that has reported
 *     damage reports it from then on.
 *
 * SHMRING_HOSTILE_SECONDS says how long the vandalism lasts, and
 * SHMRING_TEST_SEED what it is.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "child.h"
#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "vandal.h"

enum {
	SECONDS = 15,
	ROUND_MS = 300, /* how long a ring lasts; soon no part of it is whole */
	TOUCHED = 4096, /* bytes of a payload that are read one by one */
};

/* From a store now and then to as many as a processor makes. */
static int vandalize(struct actor *a)
{
	struct timespec rest = { .tv_nsec = 20000 };

	map_all(a);
	while (!is_over(a)) {
		for (uint64_t n = draw(a, 1 + (UINT64_C(1) << a->intensity)); n > 0; n--)
			spoil_something(a);
		a->tally->calls++;
		if (a->intensity < 10)
			nanosleep(&rest, NULL);
	}
	return 0;
}

/* --- victims --- */

/* The addresses at which this process has mapped the ring. */
struct territory {
	struct {
		uintptr_t start, end;
	} parts[64];
	unsigned count;
};

static void survey(struct territory *t)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], permissions[8];
	uintptr_t start, end;

	ck_assert_ptr_nonnull(maps);
	t->count = 0;
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %7s", &start, &end, permissions) != 3 ||
		    permissions[3] != 's' || !strstr(line, "memfd:shmring"))
			continue;
		if (t->count > 0 && t->parts[t->count - 1].end == start) {
			t->parts[t->count - 1].end = end;
			continue;
		}
		ck_assert_uint_lt(t->count, 64);
		t->parts[t->count].start = start;
		t->parts[t->count++].end = end;
	}
	fclose(maps);
}

/* HO2 */
static void expect_inside(const struct territory *t, const void *data, size_t len)
{
	uintptr_t start = (uintptr_t)data;

	ck_assert_uint_eq(start % 8, 0);
	for (unsigned i = 0; i < t->count; i++)
		if (start >= t->parts[i].start && start <= t->parts[i].end &&
		    len <= t->parts[i].end - start)
			return;
	ck_abort_msg("%zu bytes at %p lie outside of the ring", len, data);
}

static void touch(const void *data, size_t len)
{
	const volatile unsigned char *bytes = data;

	for (size_t i = 0; i < len; i += i < TOUCHED ? 1 : 512)
		(void)bytes[i];
	if (len > 0)
		(void)bytes[len - 1];
}

/* Said before each call; those without a deadline should return at once. */
static int64_t due(struct actor *a, int64_t deadline)
{
	a->due = deadline;
	return deadline;
}

static void due_now(struct actor *a)
{
	a->due = clock_now();
}

/* HO1 and HO3: the call has returned. */
static int64_t check_return(struct actor *a, const char *call, int64_t result, const int *errors)
{
	int64_t late = clock_now() - a->due;

	a->tally->calls++;
	a->tally->damages += result == -EBADMSG;
	a->tally->refusals += result < 0 && result != -EBADMSG;
	if (late > a->tally->latest) {
		a->tally->latest = late;
		a->tally->latest_call = call;
	}
	ck_assert_msg(late < slack(), "%s: returned %" PRId64 " ms too late", call, late / 1000000);
	if (result >= 0)
		return result;
	ck_assert_str_ne(shmring_explain(), "");
	for (; *errors != 0; errors++)
		if (result == -*errors)
			return result;
	ck_abort_msg("%s: %s (%s)", call, strerrorname_np((int)-result), shmring_explain());
}

#define one_of(actor, call, ...) \
	check_return((actor), #call, (call), (const int[]){ __VA_ARGS__, 0 })

static int64_t some_deadline(struct actor *a)
{
	return due(a, clock_now() + (draw(a, 4) ? 0 : (int64_t)draw(a, 30) * 1000000));
}

static int attach_producer(struct actor *a, struct shmring_producer **ret)
{
	const struct shmring_producer_options options = { .size = sizeof(options),
							  .spin_ns = draw(a, 2) ? -1 : 0 };

	due_now(a);
	return (int)one_of(a, shmring_producer_attach(ret, a->ring, &options), EUSERS, EBUSY,
			   EBADMSG);
}

static int attach_consumer(struct actor *a, const char *name, uint32_t flags,
			   struct shmring_consumer **ret)
{
	const struct shmring_consumer_options options = {
		.size = sizeof(options),
		.name = name,
		.start = (uint32_t)draw(a, 3),
		.flags = flags,
		.spin_ns = draw(a, 2) ? -1 : 0,
	};

	due_now(a);
	return (int)one_of(a, shmring_consumer_attach(ret, a->ring, &options), EUSERS, EBUSY,
			   EBADMSG);
}

static void detach_consumer(struct actor *a, struct shmring_consumer *c)
{
	due_now(a);
	shmring_consumer_detach(c);
	check_return(a, "shmring_consumer_detach", 0, NULL);
}

static void detach_producer(struct actor *a, struct shmring_producer *p)
{
	due_now(a);
	shmring_producer_detach(p);
	check_return(a, "shmring_producer_detach", 0, NULL);
}

static void write_one(struct actor *a, struct shmring_producer *p, const struct territory *t)
{
	size_t len = random_size(&a->seed, 0, draw(a, 8) ? 2000 : LANE_SIZE / 2);
	int64_t deadline = some_deadline(a);
	void *data = NULL;

	if (one_of(a, shmring_claim(p, len, deadline, &data), EAGAIN, ETIMEDOUT) < 0)
		return;
	expect_inside(t, data, len);
	memset(data, 0x5a, len);
	due_now(a);
	one_of(a, shmring_commit(p, len), 0);
	a->tally->messages++;
}

static int play_producer(struct actor *a)
{
	struct shmring_producer *p;
	struct territory t;

	while (!is_over(a)) {
		if (attach_producer(a, &p) < 0)
			continue;
		survey(&t);
		for (uint64_t n = draw(a, 3000); n > 0 && !is_over(a); n--)
			write_one(a, p, &t);
		detach_producer(a, p);
	}
	return 0;
}

/* Damage is final. */
static void expect_broken(struct actor *a, struct shmring_consumer *c)
{
	struct shmring_message m;

	due_now(a);
	ck_assert_int_eq(one_of(a, shmring_peek(c, SHMRING_NOWAIT, &m), EBADMSG), -EBADMSG);
	ck_assert_int_eq(one_of(a, shmring_peek(c, a->due + 1000000, &m), EBADMSG), -EBADMSG);
}

static int read_batch(struct actor *a, struct shmring_consumer *c, const struct territory *t)
{
	struct shmring_message m[8];
	int64_t deadline = some_deadline(a);
	int n = (int)one_of(a, shmring_peek_batch(c, deadline, m, 8), EAGAIN, ETIMEDOUT, ESTALE,
			    EBADMSG);

	for (int i = 0; i < n; i++) {
		ck_assert_uint_lt(m[i].producer, LANES);
		ck_assert_uint_le(m[i].len, LANE_SIZE / 2);
		if (t)
			expect_inside(t, m[i].data, m[i].len);
		touch(m[i].data, m[i].len);
	}
	return n;
}

static int read_copy(struct actor *a, struct shmring_consumer *c)
{
	static unsigned char buffer[LANE_SIZE / 2];
	size_t size = draw(a, 4) ? sizeof(buffer) : 100;
	int64_t deadline = some_deadline(a);
	int64_t n = one_of(a, shmring_receive(c, buffer, size, deadline), EAGAIN, ETIMEDOUT, ESTALE,
			   EBADMSG, EMSGSIZE);

	ck_assert_int_le(n, (int64_t)size);
	return n == -EMSGSIZE ? 0 : (int)n;
}

static int read_one(struct actor *a, struct shmring_consumer *c, const struct territory *t)
{
	int n = draw(a, 4) ? read_batch(a, c, t) : read_copy(a, c);

	if (n > 0)
		a->tally->messages += (uint64_t)n;
	if (draw(a, 16) == 0)
		shmring_rewind(c);
	due_now(a);
	one_of(a, shmring_release(c), ESTALE, EBADMSG);
	return n;
}

static void read_until_broken(struct actor *a, const char *name, uint32_t flags)
{
	struct shmring_consumer *c;
	struct territory t;
	int n = 0;

	if (attach_consumer(a, name, flags, &c) < 0)
		return;
	survey(&t);
	for (uint64_t left = draw(a, 3000); left > 0 && n != -EBADMSG && !is_over(a); left--)
		n = read_one(a, c, flags & SHMRING_OBSERVE ? NULL : &t);
	if (n == -EBADMSG)
		expect_broken(a, c);
	detach_consumer(a, c);
}

static int play_consumer(struct actor *a)
{
	while (!is_over(a))
		read_until_broken(a, NULL, 0);
	return 0;
}

static int play_named(struct actor *a)
{
	while (!is_over(a))
		read_until_broken(a, "name", 0);
	return 0;
}

static int play_observer(struct actor *a)
{
	while (!is_over(a))
		read_until_broken(a, NULL, SHMRING_OBSERVE);
	return 0;
}

static void come_and_go(struct actor *a)
{
	struct shmring_producer *p;
	struct shmring_consumer *c;

	if (attach_producer(a, &p) == 0)
		detach_producer(a, p);
	if (attach_consumer(a, draw(a, 2) ? "other" : NULL, 0, &c) == 0)
		detach_consumer(a, c);
	if (attach_consumer(a, NULL, SHMRING_OBSERVE, &c) == 0)
		detach_consumer(a, c);
}

static void look_around(struct actor *a)
{
	struct shmring_consumer_stat consumer = { .size = sizeof(consumer) };
	struct shmring_lane_stat lane = { .size = sizeof(lane) };
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct shmring_ring *again;

	due_now(a);
	one_of(a, shmring_stat(a->ring, &st), 0);
	one_of(a, shmring_stat_lane(a->ring, (unsigned)draw(a, LANES), &lane), EAGAIN, EBADMSG);
	one_of(a, shmring_stat_consumer(a->ring, (unsigned)draw(a, SLOTS), &consumer), 0);
	one_of(a, shmring_reap(a->ring), 0);
	one_of(a, shmring_forget(a->ring, draw(a, 2) ? "name" : "other"), ENOENT, EBUSY);
	if (one_of(a, shmring_open_fd(&again, shmring_fd(a->ring)), EBADMSG, EPROTONOSUPPORT,
		   ESTALE, EPERM) == 0)
		shmring_close(again);
}

static int play_visitor(struct actor *a)
{
	while (!is_over(a)) {
		come_and_go(a);
		look_around(a);
	}
	return 0;
}

/* --- the scenes --- */

static struct shmring_ring *make_ring(uint64_t variant)
{
	const struct shmring_config config = {
		.size = sizeof(config),
		.lane_size = LANE_SIZE,
		.lanes = LANES,
		.alignment = variant & 1 ? 64 : 8,
		.slow_policy = variant & 2 ? SHMRING_SLOW_EVICT : SHMRING_SLOW_BLOCK,
		.unread_policy = SHMRING_UNREAD_OVERWRITE,
		.evict_after_ns = 3000000,
		.wake = variant & 4 ? SHMRING_WAKE_FENCE : SHMRING_WAKE_AUTO,
		.first_position = variant & 8 ? -(uint64_t)LANE_SIZE : 0,
		.max_sleep_ns = 20000000,
	};
	struct shmring_ring *r = NULL;

	must(shmring_create(&r, NULL, &config));
	return r;
}

/* The vandal first. */
static int (*const parts[])(struct actor *a) = {
	vandalize,     play_producer, play_producer, play_consumer,
	play_consumer, play_named,    play_observer, play_visitor,
};

enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

static int perform(int socket, void *arg)
{
	struct actor *a = arg;

	(void)socket;
	must(shmring_join(a->ring));
	return parts[a->part](a);
}

/* One ring, from its creation to its ruin. */
static void play_round(struct scene *scene, uint64_t *seed)
{
	struct shmring_ring *r = make_ring(random_next(seed));
	struct actor actors[PARTS];

	scene->over = 0;
	for (unsigned i = 0; i < PARTS; i++) {
		actors[i] = (struct actor){ .scene = scene,
					    .tally = &scene->tallies[i],
					    .ring = r,
					    .seed = random_next(seed),
					    .part = i,
					    .intensity = (unsigned)random_below(seed, 12) };
		child_fork(&actors[i].child, perform, &actors[i]);
	}
	poll(NULL, 0, ROUND_MS);
	__atomic_store_n(&scene->over, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < PARTS; i++)
		child_end(&actors[i].child);
	shmring_close(r);
}

static int hostile_seconds(void)
{
	const char *text = getenv("SHMRING_HOSTILE_SECONDS");

	return text && atoi(text) > 0 ? atoi(text) : SECONDS;
}

START_TEST(peers_of_a_vandal_neither_crash_nor_hang)
{
	struct scene *scene = scene_open();
	int64_t until = clock_now() + hostile_seconds() * INT64_C(1000000000);
	uint64_t seed = random_seed(), rounds = 0;
	struct tally sum = { 0 };

	for (; clock_now() < until; rounds++)
		play_round(scene, &seed);
	for (unsigned i = 1; i < PARTS; i++) {
		sum.calls += scene->tallies[i].calls;
		sum.messages += scene->tallies[i].messages;
		sum.damages += scene->tallies[i].damages;
		sum.refusals += scene->tallies[i].refusals;
		if (scene->tallies[i].latest > sum.latest) {
			sum.latest = scene->tallies[i].latest;
			sum.latest_call = scene->tallies[i].latest_call;
		}
	}
	printf("# vandal: %d s, %" PRIu64 " rings, seed %" PRIu64 ": %" PRIu64 " calls, %" PRIu64
	       " messages, %" PRIu64 " reported damage, %" PRIu64
	       " other refusals, latest return %.1f ms after the deadline: %s\n",
	       hostile_seconds(), rounds, random_seed(), sum.calls, sum.messages, sum.damages,
	       sum.refusals, (double)sum.latest / 1e6, sum.latest_call);
	fflush(stdout);
	/* It was noticed, and there was something to spoil. */
	ck_assert_uint_gt(sum.damages, 0);
	ck_assert_uint_gt(sum.messages, 0);
	scene_close(scene);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hostile");
	TCase *tc = room_case(s, "hostile", hostile_seconds() + 120);

	tcase_add_test(tc, peers_of_a_vandal_neither_crash_nor_hang);
	return run_suite(s);
}
