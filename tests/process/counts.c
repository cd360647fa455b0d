/* SPDX-License-Identifier: MIT */
/*
 * What producers and consumers count in the ring, for tools that look at it from outside:
 * the same as their handles say, and it stays when they have gone.
 */
#include <errno.h>
#include <string.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 35, SIZE = 200, LAG = 16384, MS = 1000000 };

static struct shmring_ring *create(uint64_t evict_after_ns, uint32_t unread_policy)
{
	struct shmring_config config = small_config();

	config.lanes = 1;
	config.unread_policy = unread_policy;
	config.slow_policy = evict_after_ns ? SHMRING_SLOW_EVICT : SHMRING_SLOW_BLOCK;
	config.evict_after_ns = evict_after_ns;
	config.max_sleep_ns = 5 * MS;
	return ring_create(&config);
}

static struct shmring_lane_stat lane(struct shmring_ring *r)
{
	struct shmring_lane_stat st = { .size = sizeof(st) };

	must(shmring_stat_lane(r, 0, &st));
	return st;
}

static struct shmring_consumer_stat consumer(struct shmring_ring *r)
{
	struct shmring_consumer_stat st = { .size = sizeof(st) };

	must(shmring_stat_consumer(r, 0, &st));
	return st;
}

/* It does not spin, so each wait is a sleep. */
static struct shmring_consumer *attach(struct shmring_ring *r, uint64_t lag)
{
	const struct shmring_consumer_options options = { .size = sizeof(options),
							  .max_lag = lag,
							  .spin_ns = -1 };
	struct shmring_consumer *c;

	must(shmring_consumer_attach(&c, r, &options));
	return c;
}

static void must_be_shown_of_producer(struct shmring_ring *r, struct shmring_producer *p)
{
	struct shmring_counters n = { .size = sizeof(n) };

	must(shmring_producer_counters(p, &n));
	ck_assert_uint_eq(lane(r).full_waits, n.waits);
	ck_assert_uint_eq(lane(r).sleeps, n.sleeps);
	ck_assert_uint_eq(lane(r).wakes, n.wakes);
}

static void must_be_shown_of_consumer(struct shmring_ring *r, struct shmring_consumer *c)
{
	struct shmring_counters n = { .size = sizeof(n) };

	must(shmring_consumer_counters(c, &n));
	ck_assert_uint_eq(consumer(r).waits, n.waits);
	ck_assert_uint_eq(consumer(r).sleeps, n.sleeps);
}

START_TEST(full_waits_and_their_time)
{
	struct shmring_ring *r = create(0, SHMRING_UNREAD_HOLD);
	struct shmring_producer *p = producer_attach(r);
	static char data[SIZE];
	int64_t began;
	uint64_t before;

	must(shmring_producer_spin(p, 0));
	ck_assert_uint_eq(lane(r).full_waits, 0);
	publish_until_full(p, SOURCE, 0, SIZE);
	must_be_shown_of_producer(r, p);
	before = lane(r).full_waits;
	ck_assert_uint_gt(before, 0);
	ck_assert_uint_eq(lane(r).full_wait_ns, 0);
	ck_assert_uint_eq(lane(r).sleeps, 0);
	began = clock_now();
	must_fail(ETIMEDOUT, shmring_publish(p, data, SIZE, shmring_deadline(30 * MS)));
	ck_assert_uint_le(lane(r).full_wait_ns, (uint64_t)(clock_now() - began));
	ck_assert_uint_ge(lane(r).full_wait_ns, 29 * MS);
	ck_assert_uint_eq(lane(r).full_waits, before + 1);
	ck_assert_uint_gt(lane(r).sleeps, 0);
	must_be_shown_of_producer(r, p);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(sleeps_of_a_consumer)
{
	struct shmring_ring *r = create(0, SHMRING_UNREAD_HOLD);
	struct shmring_consumer *c = attach(r, 0);
	struct shmring_message m;

	must_fail(EAGAIN, shmring_peek(c, SHMRING_NOWAIT, &m));
	ck_assert_uint_eq(consumer(r).waits, 0);
	must_fail(ETIMEDOUT, shmring_peek(c, shmring_deadline(30 * MS), &m));
	ck_assert_uint_eq(consumer(r).waits, 1);
	ck_assert_uint_gt(consumer(r).sleeps, 0);
	must_be_shown_of_consumer(r, c);
	must(shmring_consumer_watermark(c, 10, 0, 0));
	must_fail(ETIMEDOUT, shmring_peek(c, shmring_deadline(30 * MS), &m));
	ck_assert_uint_eq(consumer(r).waits, 2);
	must_be_shown_of_consumer(r, c);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* One call sleeps for both handles. */
START_TEST(sleeps_for_several)
{
	struct shmring_ring *r = create(0, SHMRING_UNREAD_HOLD);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c = attach(r, 0);
	struct shmring_wait_item waits[2];
	uint64_t count = publish_until_full(p, SOURCE, 0, SIZE);
	struct audit audit;

	audit_begin(&audit, true);
	waits[0].what = shmring_producer_waitable(p, SIZE);
	must_fail(ETIMEDOUT, shmring_wait(waits, 1, shmring_deadline(20 * MS)));
	ck_assert_uint_gt(lane(r).sleeps, 0);
	must_be_shown_of_producer(r, p);
	consume_audited(c, &audit, count);
	waits[0].what = shmring_consumer_waitable(c);
	must_fail(ETIMEDOUT, shmring_wait(waits, 1, shmring_deadline(20 * MS)));
	ck_assert_uint_gt(consumer(r).sleeps, 0);
	must_be_shown_of_consumer(r, c);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

static int consume_for_ever(int socket, void *arg)
{
	struct shmring_consumer *c;
	struct shmring_message m;
	struct shmring_ring *r;

	(void)arg;
	must(shmring_open(&r, room_path("ring")));
	c = attach(r, 0);
	step_tell(socket);
	while (shmring_peek(c, SHMRING_FOREVER, &m) == 0)
		must(shmring_release(c));
	return 1;
}

START_TEST(wakes_of_a_producer)
{
	struct shmring_ring *r = create(0, SHMRING_UNREAD_HOLD);
	struct shmring_producer *p = producer_attach(r);
	int64_t end = patience();
	struct shmring_counters n = { .size = sizeof(n) };
	struct child child;

	child_fork(&child, consume_for_ever, NULL);
	step_await(child.socket);
	for (uint64_t number = 0; lane(r).wakes < 3; number++) {
		child_await_sleep(&child);
		publish_numbers(p, SOURCE, number, 1, SIZE);
		must(shmring_producer_counters(p, &n));
		ck_assert_uint_eq(lane(r).wakes, n.wakes);
		ck_assert_int_lt(clock_now(), end);
	}
	child_kill(&child);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* The next message, if it was not evicted meanwhile. */
static void drain(struct shmring_consumer *c, struct audit *a)
{
	struct shmring_message m;
	int e;

	while ((e = shmring_peek(c, SHMRING_NOWAIT, &m)) != -EAGAIN) {
		must(e);
		audit_peeked(a, c, &m);
		must(shmring_release(c));
	}
}

/* By its lag, which the producer sees without a wait; or because it lets the producer wait. */
START_TEST(evictions_and_losses)
{
	struct shmring_ring *r = create(_i ? 10 * MS : 0, SHMRING_UNREAD_OVERWRITE);
	struct shmring_consumer *c = attach(r, _i ? 0 : LAG);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer_stat st = { .size = sizeof(st) };
	uint64_t number = 0;
	struct audit audit;

	audit_begin(&audit, true);
	for (uint64_t round = 1; round <= 3; round++) {
		while (consumer(r).state != SHMRING_EVICTED)
			publish_numbers(p, SOURCE, number++, 1, SIZE);
		ck_assert_uint_eq(lane(r).evictions, round);
		publish_numbers(p, SOURCE, number, 1000, SIZE);
		number += 1000;
		drain(c, &audit);
		st = consumer(r);
		ck_assert_uint_gt(audit.lost, 0);
		ck_assert_uint_eq(st.lost, audit.lost);
		ck_assert_uint_eq(st.lost_bytes, audit.lost_bytes);
		ck_assert_uint_eq(st.evictions, round);
	}
	audit_must_be(&audit, number - audit.lost, audit.lost);
	shmring_consumer_detach(c);
	ck_assert_uint_eq(consumer(r).state, SHMRING_FREE);
	ck_assert_uint_eq(consumer(r).lost, audit.lost);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* A consumer that begins at the oldest message learns it, but it is not the consumer's loss. */
START_TEST(messages_gone_before_the_attach_are_not_lost)
{
	struct shmring_ring *r = create(0, SHMRING_UNREAD_OVERWRITE);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c;
	struct audit audit;
	uint64_t missed;

	publish_numbers(p, SOURCE, 0, 2000, SIZE);
	c = attach(r, LAG);
	audit_begin(&audit, true);
	drain(c, &audit);
	missed = audit.lost;
	ck_assert_uint_gt(missed, 0);
	ck_assert_uint_eq(consumer(r).lost, 0);
	ck_assert_uint_eq(consumer(r).lost_bytes, 0);
	publish_numbers(p, SOURCE, 2000, 1000, SIZE);
	drain(c, &audit);
	ck_assert_uint_gt(audit.lost, missed);
	ck_assert_uint_eq(consumer(r).lost, audit.lost - missed);
	ck_assert_uint_eq(consumer(r).lost_bytes, (audit.lost - missed) * SIZE);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* Its loss comes with the first message; until then the loss has two parts. */
START_TEST(late_consumer_that_is_evicted_at_once_counts_its_own_loss)
{
	struct shmring_ring *r = create(0, SHMRING_UNREAD_OVERWRITE);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c;
	struct audit audit;
	uint64_t missed, bytes;

	publish_numbers(p, SOURCE, 0, 2000, SIZE);
	c = attach(r, LAG);
	must(shmring_consumer_missed(c, 0, &missed, &bytes));
	ck_assert_uint_gt(missed, 0);
	publish_numbers(p, SOURCE, 2000, 1000, SIZE);
	audit_begin(&audit, true);
	drain(c, &audit);
	ck_assert_uint_gt(audit.lost, missed);
	ck_assert_uint_eq(consumer(r).lost, audit.lost - missed);
	ck_assert_uint_eq(consumer(r).lost_bytes, audit.lost_bytes - bytes);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

static int wait_for_room(int socket, void *arg)
{
	struct shmring_producer *p;
	static char data[SIZE];
	struct shmring_ring *r;

	(void)arg;
	must(shmring_open(&r, room_path("ring")));
	p = producer_attach(r);
	must(shmring_producer_spin(p, 0));
	step_tell(socket);
	while (shmring_publish(p, data, SIZE, SHMRING_FOREVER) == 0)
		;
	return 1;
}

/* The count shows a waiting producer; a killed producer leaves its numbers to the next one. */
START_TEST(producer_goes_on_from_the_numbers_of_a_killed_one)
{
	struct shmring_ring *r = create(0, SHMRING_UNREAD_HOLD);
	struct shmring_lane_stat left = { .size = sizeof(left) };
	struct shmring_producer *p;
	struct shmring_counters n = { .size = sizeof(n) };
	int64_t end = patience();
	static char data[SIZE];
	struct child child;

	child_fork(&child, wait_for_room, NULL);
	step_await(child.socket);
	while (lane(r).sleeps < 3 || lane(r).full_wait_ns == 0)
		ck_assert_int_lt(clock_now(), end);
	child_kill(&child);
	left = lane(r);
	ck_assert_uint_eq(left.full_waits, 1);
	p = producer_attach(r);
	must(shmring_producer_spin(p, 0));
	must_fail(ETIMEDOUT, shmring_publish(p, data, SIZE, shmring_deadline(20 * MS)));
	must(shmring_producer_counters(p, &n));
	ck_assert_uint_eq(lane(r).tenancy, 2);
	ck_assert_uint_eq(lane(r).full_waits, left.full_waits + 1);
	ck_assert_uint_eq(lane(r).sleeps, left.sleeps + n.sleeps);
	ck_assert_uint_ge(lane(r).full_wait_ns, left.full_wait_ns + 19 * MS);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(consumer_goes_on_from_the_numbers_of_a_killed_one)
{
	struct shmring_ring *r = create(0, SHMRING_UNREAD_HOLD);
	struct shmring_consumer_stat left = { .size = sizeof(left) };
	struct shmring_consumer *c;
	struct shmring_message m;
	struct shmring_counters n = { .size = sizeof(n) };
	int64_t end = patience();
	struct child child;

	child_fork(&child, consume_for_ever, NULL);
	step_await(child.socket);
	while (consumer(r).sleeps < 3)
		ck_assert_int_lt(clock_now(), end);
	child_kill(&child);
	must(shmring_reap(r));
	left = consumer(r);
	ck_assert_uint_eq(left.state, SHMRING_FREE);
	ck_assert_uint_eq(left.waits, 1);
	ck_assert_uint_ge(left.sleeps, 3);
	c = attach(r, 0);
	must_fail(ETIMEDOUT, shmring_peek(c, shmring_deadline(20 * MS), &m));
	must(shmring_consumer_counters(c, &n));
	ck_assert_uint_eq(consumer(r).waits, left.waits + 1);
	ck_assert_uint_eq(consumer(r).sleeps, left.sleeps + n.sleeps);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("counts");
	TCase *tc = room_case(s, "counts", 30);

	tcase_add_test(tc, full_waits_and_their_time);
	tcase_add_test(tc, sleeps_of_a_consumer);
	tcase_add_test(tc, sleeps_for_several);
	tcase_add_test(tc, wakes_of_a_producer);
	tcase_add_loop_test(tc, evictions_and_losses, 0, 2);
	tcase_add_test(tc, messages_gone_before_the_attach_are_not_lost);
	tcase_add_test(tc, late_consumer_that_is_evicted_at_once_counts_its_own_loss);
	tcase_add_test(tc, producer_goes_on_from_the_numbers_of_a_killed_one);
	tcase_add_test(tc, consumer_goes_on_from_the_numbers_of_a_killed_one);
	return run_suite(s);
}
