/* SPDX-License-Identifier: MIT */
/*
 * Time: a wall clock that jumps, and time that passes while all processes are stopped.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 221, SIZE = 1000 };

#define MS INT64_C(1000000)

/* --- clocks --- */

/* While this is set, the wall clock shows random times. */
static struct {
	bool jumps;
	uint64_t seed;
	unsigned wall_clock; /* number of readings */
	unsigned others;     /* the same, for clocks that the library must not read */
} clocks;

/* In place of the C library's, for this program and the libraries that it uses. */
int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int e = (int)syscall(SYS_clock_gettime, clock, ret);

	if (!clocks.jumps)
		return e;
	clocks.others += clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME;
	if (clock == CLOCK_REALTIME) {
		clocks.wall_clock++;
		ret->tv_sec = (time_t)random_below(&clocks.seed, (uint64_t)1 << 33);
	}
	return e;
}

static void expect_deadlines_kept(struct shmring_producer *p, struct shmring_consumer *c)
{
	static const char data[SIZE];
	struct shmring_message m;
	int64_t began = clock_now();

	must_fail(ETIMEDOUT, shmring_peek(c, shmring_deadline(60 * MS), &m));
	ck_assert_int_ge(clock_now() - began, 60 * MS);
	ck_assert_int_lt(clock_now() - began, 5000 * MS);
	publish_until_full(p, SOURCE, 0, SIZE);
	began = clock_now();
	must_fail(ETIMEDOUT, shmring_publish(p, data, SIZE, shmring_deadline(60 * MS)));
	ck_assert_int_ge(clock_now() - began, 60 * MS);
	ck_assert_int_lt(clock_now() - began, 5000 * MS);
}

/* The ring records it at create and when a place is taken; no decision depends on it. */
START_TEST(jumping_wall_clock_is_not_looked_at)
{
	struct shmring_config config = small_config();
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct audit audit;
	struct shmring_ring *r;
	unsigned asked;

	config.slow_policy = SHMRING_SLOW_EVICT;
	config.evict_after_ns = 200 * MS;
	clocks.seed = random_seed();
	clocks.jumps = true;
	r = ring_create(&config);
	p = producer_attach(r);
	c = consumer_attach(r, NULL, 0, 0);
	asked = clocks.wall_clock;
	ck_assert_uint_eq(asked, 3);
	expect_deadlines_kept(p, c);
	publish_numbers(p, SOURCE + 1, 0, 10, SIZE); /* evicts */
	audit_begin(&audit, false);
	ck_assert_uint_gt(consume_all(c, &audit), 10);
	ck_assert_uint_gt(audit.lost, 0);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
	clocks.jumps = false;
	ck_assert_uint_eq(clocks.wall_clock, asked);
	ck_assert_uint_eq(clocks.others, 0);
}
END_TEST

/* --- all processes stopped --- */

static void pass_time(int64_t ns)
{
	struct timespec t = { .tv_sec = ns / (1000 * MS), .tv_nsec = ns % (1000 * MS) };

	ck_assert_int_eq(nanosleep(&t, NULL), 0);
}

/*
 * As a freezer does it, or the lid of a notebook: all stop, for some time, and go
 * on in any order. A consumer that was not running has not been slow.
 */
START_TEST(time_in_which_all_were_stopped_evicts_no_consumer)
{
	static const int quarters[] = { 3, 5 }; /* of the ring's time */
	struct shmring_config config = small_config();
	struct shmring_ring *r;
	struct peer p, c;

	config.slow_policy = SHMRING_SLOW_EVICT;
	config.evict_after_ns = 2000 * MS;
	r = ring_create(&config);
	ring_start(&p);
	ring_start(&c);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	ck_assert_int_eq(peer_fill(&p, 10, SIZE), 10);
	ck_assert_int_eq(peer_call(&c, &(struct peer_command){ .op = PEER_PEEK, .count = 10 }), 10);
	peer_tell_fill(&p, 200, SIZE);
	child_await_sleep(&p.child);
	child_stop(&c.child);
	child_stop(&p.child);
	pass_time(quarters[_i] * 500 * MS);
	peer_tell(&c, &(struct peer_command){ .op = PEER_RELEASE });
	child_continue(&p.child);
	pass_time(800 * MS); /* the consumer's turn comes later */
	child_continue(&c.child);
	ck_assert_int_eq(peer_answer(&c), 0);
	ck_assert_int_eq(peer_consume(&c, 200), 200);
	ck_assert_int_eq(peer_answer(&p), 200);
	audit_must_be(&c.answer.audit, 210, 0);
	peer_quit(&p);
	peer_quit(&c);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("clocks");
	TCase *tc = room_case(s, "clocks", 30);

	tcase_add_test(tc, jumping_wall_clock_is_not_looked_at);
	tcase_add_loop_test(tc, time_in_which_all_were_stopped_evicts_no_consumer, 0, 2);
	return run_suite(s);
}
