/* SPDX-License-Identifier: MIT */
/*
 * Processes that are killed or stopped at any moment: the dead are noticed and
 * their places recovered without anyone calling anything; the stopped are never
 * mistaken for dead.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 41, MS = 1000000 };

static struct shmring_ring *create(uint32_t lanes)
{
	struct shmring_config config = small_config();

	config.lanes = lanes;
	return ring_create(&config);
}

static struct shmring_lane_stat stat_lane(struct shmring_ring *r)
{
	struct shmring_lane_stat st = { .size = sizeof(st) };

	must(shmring_stat_lane(r, 0, &st));
	return st;
}

static struct shmring_consumer_stat stat_consumer(struct shmring_ring *r)
{
	struct shmring_consumer_stat st = { .size = sizeof(st) };

	must(shmring_stat_consumer(r, 0, &st));
	return st;
}

/*
 * Kill the lane's owner after a random number of messages, in whatever it is
 * doing, and let the next one take over, again and again.
 */
START_TEST(successor_goes_on_where_the_killed_producer_ended)
{
	struct peer_command produce = { .op = PEER_PRODUCE, .count = UINT32_MAX, .max = 700 };
	uint64_t seed = random_seed() + (uint64_t)_i;
	struct shmring_ring *r = create(1);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct audit audit;
	struct peer p;

	audit_begin(&audit, true);
	for (uint32_t tenancy = 1; tenancy <= 80; tenancy++) {
		ring_start(&p);
		ck_assert_int_eq(peer_producer(&p, SOURCE + tenancy), 0);
		produce.seed = _i ? random_next(&seed) : 0;
		produce.deadline = patience();
		peer_tell(&p, &produce);
		consume_audited(c, &audit, 1 + random_below(&seed, 1500));
		child_kill(&p.child);
		ck_assert_uint_eq(stat_lane(r).tenancy, tenancy);
		consume_all(c, &audit);
		ck_assert_msg(audit_faults(&audit) == 0, "%s", audit.first_fault);
		ck_assert_uint_eq(audit.lanes[0].tenancy, tenancy);
	}
	ck_assert_uint_eq(audit.lost, 0);
	ck_assert_uint_eq(stat_lane(r).messages, audit.messages);
	ck_assert_uint_eq(stat_lane(r).bytes, audit.bytes);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* Without a consumer, the successor must find the end alone. */
START_TEST(successor_finds_the_end_of_an_overwritten_lane)
{
	uint64_t seed = random_seed() + (uint64_t)_i, before = 0, after;
	struct shmring_ring *r = create(1);
	struct shmring_consumer *c;
	struct audit audit;
	struct peer p;

	for (uint32_t tenancy = 1; tenancy <= 10; tenancy++) {
		ring_start(&p);
		ck_assert_int_eq(peer_producer(&p, SOURCE + tenancy), 0);
		ck_assert_uint_eq(stat_lane(r).messages, before);
		peer_tell_produce(&p, UINT32_MAX, 1 + random_below(&seed, 8000));
		after = before + random_below(&seed, 5000);
		while (stat_lane(r).messages <= after)
			;
		child_kill(&p.child);
		before = stat_lane(r).messages;
	}
	c = consumer_attach(r, NULL, SHMRING_START_OLDEST, 0);
	audit_begin(&audit, false);
	ck_assert_uint_gt(consume_all(c, &audit), 0);
	ck_assert_msg(audit_faults(&audit) == 0, "%s", audit.first_fault);
	ck_assert_uint_eq(audit.lanes[0].next_seq, before);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* A producer that is killed while it waits for room has not got the room. */
START_TEST(successor_of_a_producer_killed_at_a_full_ring_overwrites_nothing)
{
	struct peer_command hammer = { .op = PEER_HAMMER, .max = 1000 };
	struct shmring_config config = small_config();
	struct shmring_producer *successor;
	struct shmring_consumer *c;
	struct audit audit;
	uint64_t before = 0, after;
	struct shmring_ring *r;
	struct peer p;

	config.lanes = 1;
	config.unread_policy = (uint32_t)_i;
	r = ring_create(&config);
	for (uint64_t round = 0; round < 100; round++) {
		c = consumer_attach(r, NULL, SHMRING_START_NOW, 0);
		audit_begin(&audit, false);
		ring_start(&p);
		ck_assert_int_eq(peer_producer(&p, SOURCE + 2 * round), 0);
		peer_tell(&p, &hammer);
		step_await(p.child.socket);
		child_kill(&p.child);
		after = stat_lane(r).messages;
		successor = producer_attach(r);
		after += publish_until_full(successor, SOURCE + 2 * round + 1, 0, 1000);
		shmring_producer_detach(successor);
		ck_assert_uint_eq(consume_all(c, &audit), after - before);
		audit_must_be(&audit, after - before, 0);
		shmring_consumer_detach(c);
		before = after;
	}
	shmring_close(r);
}
END_TEST

START_TEST(claimed_and_staged_messages_die_with_the_producer)
{
	struct shmring_ring *r = create(1);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *successor;
	struct audit audit;
	struct peer p;

	audit_begin(&audit, true);
	ring_start(&p);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	ck_assert_int_eq(peer_produce(&p, 10, 500), 10);
	ck_assert_int_eq(
		peer_call(&p, &(struct peer_command){ .op = PEER_STAGE, .count = 20, .max = 700 }),
		0);
	ck_assert_int_eq(peer_call(&p, &(struct peer_command){ .op = PEER_CLAIM, .max = 900 }), 0);
	child_kill(&p.child);
	ck_assert_uint_eq(consume_all(c, &audit), 10);
	successor = producer_attach(r);
	publish_numbers(successor, SOURCE + 1, 0, 10, 600);
	ck_assert_uint_eq(consume_all(c, &audit), 10);
	audit_must_be(&audit, 20, 0);
	shmring_producer_detach(successor);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(successor_after_detach_goes_on_too)
{
	struct shmring_ring *r = create(1);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct audit audit;

	audit_begin(&audit, true);
	for (uint64_t i = 1; i <= 50; i++) {
		struct shmring_producer *p = producer_attach(r);

		publish_numbers(p, SOURCE + i, 0, i, 900);
		shmring_producer_detach(p);
		ck_assert_uint_eq(consume_all(c, &audit), i);
		ck_assert_uint_eq(audit.lanes[0].tenancy, i);
	}
	audit_must_be(&audit, 50 * 51 / 2, 0);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(killed_consumer_stops_holding_a_producer_that_comes_to_the_limit)
{
	struct shmring_ring *r = create(1);
	struct shmring_producer *p = producer_attach(r);
	struct peer c;

	ring_start(&c);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	publish_until_full(p, SOURCE, 0, 1000);
	child_kill(&c.child);
	publish_numbers(p, SOURCE, 0, 500, 1000);
	ck_assert_uint_eq(stat_consumer(r).state, SHMRING_FREE);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(killed_consumer_frees_a_producer_that_sleeps)
{
	struct shmring_ring *r = create(1);
	struct peer c, p;

	ring_start(&c);
	ring_start(&p);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	peer_tell_produce(&p, 1000, 1000);
	child_await_sleep(&p.child);
	child_kill(&c.child);
	ck_assert_int_eq(peer_answer(&p), 1000);
	ck_assert_uint_ge(p.answer.counters.recoveries, 1);
	peer_quit(&p);
	shmring_close(r);
}
END_TEST

/* It spins without end, or asks again and again: nothing else finds the dead consumer. */
START_TEST(shmring_wait_finds_the_dead_consumer_without_a_sleep)
{
	struct shmring_ring *r = create(1);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_wait_item wait;
	struct peer consumer;
	int64_t until = patience();
	int e;

	must(shmring_producer_spin(p, SHMRING_SPIN_ALWAYS));
	ring_start(&consumer);
	ck_assert_int_eq(peer_consumer(&consumer, NULL, 0, 0), 0);
	publish_until_full(p, SOURCE, 0, 1000);
	wait.what = shmring_producer_waitable(p, 1000);
	must_fail(EAGAIN, shmring_wait(&wait, 1, SHMRING_NOWAIT));
	child_kill(&consumer.child);
	if (_i == 0) {
		e = shmring_wait(&wait, 1, until);
	} else {
		while ((e = shmring_wait(&wait, 1, SHMRING_NOWAIT)) == -EAGAIN)
			ck_assert_int_lt(clock_now(), until);
	}
	ck_assert_int_eq(must(e), 1);
	ck_assert_int_lt(clock_now(), until); /* not by the look at the deadline */
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(producer_that_never_waits_notices_the_dead_consumer_too)
{
	struct shmring_ring *r = create(1);
	struct shmring_producer *p = producer_attach(r);
	int64_t limit = patience();
	struct peer c;

	ring_start(&c);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	publish_until_full(p, SOURCE, 0, 1000);
	child_kill(&c.child);
	while (shmring_publish(p, &r, sizeof(r), SHMRING_NOWAIT) == -EAGAIN)
		ck_assert_int_lt(clock_now(), limit);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* The producer need not find the dead consumers one by one. */
START_TEST(many_dead_consumers_are_no_obstacle_for_long)
{
	struct shmring_config config = small_config();
	struct shmring_producer *p;
	struct peer c[10];
	struct shmring_ring *r;
	int64_t began;

	config.max_sleep_ns = 10000 * (uint64_t)MS;
	r = ring_create(&config);
	p = producer_attach(r);
	for (int i = 0; i < 10; i++) {
		ring_start(&c[i]);
		ck_assert_int_eq(peer_consumer(&c[i], NULL, 0, 0), 0);
	}
	for (int i = 0; i < 10; i++)
		child_kill(&c[i].child);
	began = clock_now();
	publish_numbers(p, SOURCE, 0, 500, 1000);
	ck_assert_int_lt(clock_now() - began, 5000 * (int64_t)MS);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(zombie_counts_as_dead)
{
	struct shmring_ring *r = create(1);
	struct shmring_producer *p;
	struct peer one;

	ring_start(&one);
	ck_assert_int_eq(peer_consumer(&one, NULL, 0, 0), 0);
	ck_assert_int_eq(peer_producer(&one, SOURCE), 0);
	ck_assert_int_eq(peer_produce(&one, 10, 500), 10);
	child_kill_unreaped(&one.child);
	p = producer_attach(r);
	ck_assert_uint_eq(stat_lane(r).tenancy, 2);
	publish_numbers(p, SOURCE + 1, 0, 500, 1000);
	ck_assert_int_eq(waitpid(one.child.pid, NULL, 0), one.child.pid);
	child_drop(&one.child);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(stopped_consumer_is_not_dead)
{
	struct shmring_ring *r = create(1);
	struct shmring_producer *p = producer_attach(r);
	static char data[1000];
	uint64_t count;
	struct peer c;

	ring_start(&c);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	child_stop(&c.child);
	count = publish_until_full(p, SOURCE, 0, 1000);
	must_fail(ETIMEDOUT, shmring_publish(p, data, 1000, shmring_deadline(150 * MS)));
	ck_assert_int_eq(must(shmring_reap(r)), 0);
	ck_assert_uint_eq(stat_consumer(r).state, SHMRING_ACTIVE);
	child_continue(&c.child);
	ck_assert_int_eq(peer_consume(&c, (uint32_t)count), (int64_t)count);
	audit_must_be(&c.answer.audit, count, 0);
	publish_numbers(p, SOURCE, count, count, 1000);
	ck_assert_int_eq(peer_consume(&c, (uint32_t)count), (int64_t)count);
	audit_must_be(&c.answer.audit, 2 * count, 0);
	peer_quit(&c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(stopped_producer_keeps_its_lane)
{
	struct shmring_ring *r = create(1);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *other;
	uint64_t seed = random_seed();
	struct audit audit;
	struct peer p;

	audit_begin(&audit, true);
	ring_start(&p);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	peer_tell_produce(&p, 100000, 300);
	for (int round = 0; round < 20; round++) {
		consume_audited(c, &audit, random_below(&seed, 1000));
		child_stop(&p.child);
		must_fail(EUSERS, shmring_producer_attach(&other, r, NULL));
		ck_assert_int_eq(must(shmring_reap(r)), 0);
		ck_assert_uint_eq(stat_lane(r).state, SHMRING_ACTIVE);
		consume_all(c, &audit);
		child_continue(&p.child);
	}
	consume_audited(c, &audit, 100000 - audit.messages);
	ck_assert_int_eq(peer_answer(&p), 100000);
	audit_must_be(&audit, 100000, 0);
	peer_quit(&p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(reap_recovers_the_dead_on_demand)
{
	struct shmring_ring *r = create(2);
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct peer one, two;

	ring_start(&one);
	ring_start(&two);
	ck_assert_int_eq(peer_producer(&one, SOURCE), 0);
	ck_assert_int_eq(peer_consumer(&one, NULL, 0, 0), 0);
	ck_assert_int_eq(peer_consumer(&two, "logger", 0, 0), 0);
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.producers, 1);
	ck_assert_uint_eq(st.consumers, 2);
	child_kill(&one.child);
	child_kill(&two.child);
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.producers, 0);
	ck_assert_uint_eq(st.consumers, 0);
	ck_assert_int_eq(must(shmring_reap(r)), 3);
	ck_assert_int_eq(must(shmring_reap(r)), 0);
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.detached, 1);
	shmring_close(r);
}
END_TEST

START_TEST(reap_wakes_the_producer_that_a_dead_consumer_held)
{
	struct shmring_config config = small_config();
	int64_t began = clock_now();
	struct shmring_ring *r;
	struct peer p, c;

	config.max_sleep_ns = 10000 * (uint64_t)MS;
	r = ring_create(&config);
	ring_start(&p);
	ring_start(&c);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	peer_tell_produce(&p, 2000, 1000);
	child_await_sleep(&p.child);
	child_kill(&c.child);
	ck_assert_int_eq(must(shmring_reap(r)), 1);
	ck_assert_int_eq(peer_answer(&p), 2000);
	ck_assert_int_lt(clock_now() - began, 8000 * (int64_t)MS);
	peer_quit(&p);
	shmring_close(r);
}
END_TEST

START_TEST(exec_ends_attachments)
{
	struct shmring_ring *r = create(1);
	struct peer p;

	peer_exec(&p);
	ck_assert_int_eq(peer_open(&p, room_path("ring")), 0);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	ck_assert_uint_eq(stat_lane(r).state, SHMRING_ACTIVE);
	peer_tell(&p, &(struct peer_command){ .op = PEER_REPLACE });
	/* The same process runs another program, whose first answer has no meaning. */
	ck_assert_int_eq(peer_simple(&p, PEER_DETACH), 0);
	ck_assert_int_eq(must(shmring_reap(r)), 1);
	shmring_producer_detach(producer_attach(r));
	peer_quit(&p);
	shmring_close(r);
}
END_TEST

/* Wait for `count` rounds of a peer that attaches and detaches for ever. */
static void await_rounds(struct peer *p, uint64_t count)
{
	while (count-- > 0)
		step_await(p->child.socket);
}

START_TEST(killed_in_attach_or_detach_leaves_a_sound_ring)
{
	struct peer_command cycle = { .op = PEER_CYCLE, .start = SHMRING_START_NOW };
	uint64_t seed = random_seed() + (uint64_t)_i;
	struct shmring_ring *r = create(2);
	struct shmring_consumer *c;
	struct audit audit;
	struct peer p;

	if (_i)
		strcpy(cycle.text, "logger");
	for (int round = 0; round < 100; round++) {
		ring_start(&p);
		peer_tell(&p, &cycle);
		await_rounds(&p, 1 + random_below(&seed, 10));
		child_kill(&p.child);
		if (round % 10 == 0) {
			struct shmring_producer *one = producer_attach(r);
			struct shmring_producer *two = producer_attach(r);

			shmring_producer_detach(one);
			shmring_producer_detach(two);
		}
	}
	c = consumer_attach(r, NULL, SHMRING_START_OLDEST, 0);
	audit_begin(&audit, false);
	consume_all(c, &audit);
	ck_assert_msg(audit_faults(&audit) == 0, "%s", audit.first_fault);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("death");
	TCase *tc = room_case(s, "death", 40);

	tcase_add_loop_test(tc, successor_goes_on_where_the_killed_producer_ended, 0, 2);
	tcase_add_loop_test(tc, successor_finds_the_end_of_an_overwritten_lane, 0, 5);
	tcase_add_loop_test(tc, successor_of_a_producer_killed_at_a_full_ring_overwrites_nothing, 0,
			    2);
	tcase_add_test(tc, claimed_and_staged_messages_die_with_the_producer);
	tcase_add_test(tc, successor_after_detach_goes_on_too);
	tcase_add_test(tc, killed_consumer_stops_holding_a_producer_that_comes_to_the_limit);
	tcase_add_test(tc, killed_consumer_frees_a_producer_that_sleeps);
	tcase_add_loop_test(tc, shmring_wait_finds_the_dead_consumer_without_a_sleep, 0, 2);
	tcase_add_test(tc, producer_that_never_waits_notices_the_dead_consumer_too);
	tcase_add_test(tc, many_dead_consumers_are_no_obstacle_for_long);
	tcase_add_test(tc, zombie_counts_as_dead);
	tcase_add_test(tc, stopped_consumer_is_not_dead);
	tcase_add_test(tc, stopped_producer_keeps_its_lane);
	tcase_add_test(tc, reap_recovers_the_dead_on_demand);
	tcase_add_test(tc, reap_wakes_the_producer_that_a_dead_consumer_held);
	tcase_add_test(tc, exec_ends_attachments);
	tcase_add_loop_test(tc, killed_in_attach_or_detach_leaves_a_sound_ring, 0, 2);
	return run_suite(s);
}
