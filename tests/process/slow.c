/* SPDX-License-Identifier: MIT */
/*
 * Slow consumers: in a ring that blocks a producer waits for them until its
 * deadline; in a ring that evicts they learn afterwards exactly what they lost.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 33, SIZE = 1000, MS = 1000000 };

static struct shmring_ring *create(uint32_t slow_policy, uint64_t evict_after_ns)
{
	struct shmring_config config = small_config();

	config.lanes = 1;
	config.slow_policy = slow_policy;
	config.evict_after_ns = evict_after_ns;
	return ring_create(&config);
}

/* A peer that has read and released `count` messages. */
static void start_consumer(struct peer *c, struct shmring_producer *p, const char *name,
			   uint32_t flags, uint32_t count)
{
	ring_start(c);
	ck_assert_int_eq(peer_consumer(c, name, 0, flags), 0);
	publish_numbers(p, SOURCE, 0, count, SIZE);
	ck_assert_int_eq(peer_consume(c, count), count);
}

static uint32_t consumer_state(struct shmring_ring *r)
{
	struct shmring_consumer_stat st = { .size = sizeof(st) };

	must(shmring_stat_consumer(r, 0, &st));
	return st.state;
}

START_TEST(full_ring_refuses_at_once_with_nowait)
{
	struct shmring_ring *r = create(SHMRING_SLOW_BLOCK, 0);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_counters n = { .size = sizeof(n) };
	static char data[SIZE];

	publish_until_full(p, SOURCE, 0, SIZE);
	must_fail(EAGAIN, shmring_publish(p, data, SIZE, SHMRING_NOWAIT));
	must(shmring_producer_counters(p, &n));
	ck_assert_uint_ge(n.waits, 1);
	ck_assert_uint_eq(n.sleeps, 0);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(full_ring_waits_until_the_deadline)
{
	struct shmring_ring *r = create(SHMRING_SLOW_BLOCK, 0);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	static char data[SIZE];
	int64_t deadline;

	publish_until_full(p, SOURCE, 0, SIZE);
	deadline = shmring_deadline(30 * MS);
	must_fail(ETIMEDOUT, shmring_publish(p, data, SIZE, deadline));
	ck_assert_int_ge(clock_now(), deadline);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(release_lets_the_waiting_producer_go_on)
{
	struct shmring_ring *r = create(SHMRING_SLOW_BLOCK, 0);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct audit audit;
	struct peer p;

	ring_start(&p);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	peer_tell_produce(&p, 20000, 2000);
	audit_begin(&audit, true);
	child_await_sleep(&p.child);
	consume_audited(c, &audit, 20000);
	ck_assert_int_eq(peer_answer(&p), 20000);
	audit_must_be(&audit, 20000, 0);
	peer_quit(&p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* The slowest of several consumers counts. */
START_TEST(slowest_consumer_holds_the_producer)
{
	struct shmring_ring *r = create(SHMRING_SLOW_BLOCK, 0);
	struct shmring_consumer *slow = consumer_attach(r, NULL, 0, 0);
	struct shmring_consumer *fast = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	struct audit audit, fast_audit;
	uint64_t count;

	audit_begin(&audit, true);
	audit_begin(&fast_audit, true);
	count = publish_until_full(p, SOURCE, 0, SIZE);
	consume_audited(fast, &fast_audit, count);
	ck_assert_uint_eq(publish_until_full(p, SOURCE, count, SIZE), 0);
	consume_audited(slow, &audit, count);
	ck_assert_uint_eq(publish_until_full(p, SOURCE, count, SIZE), count);
	consume_audited(slow, &audit, count);
	consume_audited(fast, &fast_audit, count);
	audit_must_be(&audit, 2 * count, 0);
	audit_must_be(&fast_audit, 2 * count, 0);
	shmring_producer_detach(p);
	shmring_consumer_detach(slow);
	shmring_consumer_detach(fast);
	shmring_close(r);
}
END_TEST

START_TEST(leaving_consumer_lets_the_waiting_producer_go_on)
{
	struct shmring_ring *r = create(SHMRING_SLOW_BLOCK, 0);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct peer p;

	ring_start(&p);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	peer_tell_produce(&p, 2000, 2000);
	child_await_sleep(&p.child);
	shmring_consumer_detach(c);
	ck_assert_int_eq(peer_answer(&p), 2000);
	peer_quit(&p);
	shmring_close(r);
}
END_TEST

/* The consumer is stopped with messages in hand. */
START_TEST(stopped_consumer_is_evicted_and_learns_its_loss)
{
	struct peer_command peek = { .op = PEER_PEEK, .count = 5, .deadline = patience() };
	struct shmring_ring *r = create(SHMRING_SLOW_EVICT, 50 * MS);
	struct shmring_producer *p = producer_attach(r);
	int64_t began;
	struct peer c;

	start_consumer(&c, p, NULL, 0, 10);
	publish_numbers(p, SOURCE, 10, 5, SIZE);
	ck_assert_int_eq(peer_call(&c, &peek), 5);
	child_stop(&c.child);
	publish_numbers(p, SOURCE, 15, 45, SIZE);
	began = clock_now();
	publish_numbers(p, SOURCE, 60, 440, SIZE);
	ck_assert_int_ge(clock_now() - began, 50 * MS);
	ck_assert_uint_eq(consumer_state(r), SHMRING_EVICTED);
	child_continue(&c.child);
	ck_assert_int_eq(peer_simple(&c, PEER_RELEASE), -ESTALE);
	ck_assert_str_ne(c.answer.explain, "");
	ck_assert_int_eq(peer_consume(&c, 490), 490);
	ck_assert_uint_gt(c.answer.audit.lost, 5);
	audit_must_be(&c.answer.audit, 500 - c.answer.audit.lost, c.answer.audit.lost);
	ck_assert_uint_eq(c.answer.audit.lost_bytes, c.answer.audit.lost * SIZE);
	ck_assert_uint_eq(c.answer.last.seq, 499);
	ck_assert_uint_eq(c.answer.counters.lost, c.answer.audit.lost);
	peer_quit(&c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* It had no message in hand, so only the next message reports the loss. */
START_TEST(idle_consumer_is_evicted_and_learns_its_loss)
{
	struct shmring_ring *r = create(SHMRING_SLOW_EVICT, 20 * MS);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_counters counters = { .size = sizeof(counters) };
	struct shmring_message m;
	struct audit audit;
	uint64_t lost;

	audit_begin(&audit, true);
	publish_numbers(p, SOURCE, 0, 7, SIZE);
	consume_audited(c, &audit, 7);
	publish_numbers(p, SOURCE, 7, 400, SIZE);
	must(shmring_peek(c, SHMRING_NOWAIT, &m));
	lost = facts_of(c, &m).lost;
	ck_assert_uint_gt(lost, 0);
	ck_assert_uint_eq(m.seq, 7 + lost);
	shmring_rewind(c);
	consume_all(c, &audit);
	audit_must_be(&audit, 407 - audit.lost, lost);
	publish_numbers(p, SOURCE, 407, 30, SIZE);
	consume_audited(c, &audit, 30);
	audit_must_be(&audit, 437 - audit.lost, lost);
	must(shmring_consumer_counters(c, &counters));
	ck_assert_uint_eq(counters.messages, audit.messages);
	ck_assert_uint_eq(counters.bytes, audit.bytes);
	ck_assert_uint_eq(counters.lost, audit.lost);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(eviction_repeats_and_never_hides_a_message)
{
	struct shmring_ring *r = create(SHMRING_SLOW_EVICT, 5 * MS);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_message m;
	struct audit audit;

	audit_begin(&audit, true);
	for (uint64_t round = 0; round < 20; round++) {
		publish_numbers(p, SOURCE, round * 100, 100, SIZE);
		must(shmring_peek(c, SHMRING_NOWAIT, &m));
		audit_peeked(&audit, c, &m);
		must(shmring_release(c));
	}
	consume_all(c, &audit);
	audit_must_be(&audit, 2000 - audit.lost, audit.lost);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(pinned_consumer_is_never_evicted)
{
	struct shmring_ring *r = create(SHMRING_SLOW_EVICT, 10 * MS);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, SHMRING_PINNED);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer_stat st = { .size = sizeof(st) };
	static char data[SIZE];
	struct audit audit;
	uint64_t count;

	audit_begin(&audit, true);
	count = publish_until_full(p, SOURCE, 0, SIZE);
	must_fail(ETIMEDOUT, shmring_publish(p, data, SIZE, shmring_deadline(100 * MS)));
	must(shmring_stat_consumer(r, 0, &st));
	ck_assert_uint_eq(st.state, SHMRING_ACTIVE);
	ck_assert_uint_eq(st.evictable, 0);
	ck_assert_uint_eq(consume_all(c, &audit), count);
	audit_must_be(&audit, count, 0);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* The flags of the name's former holder do not matter. */
START_TEST(pinned_holder_of_a_name_is_never_evicted)
{
	struct shmring_ring *r = create(SHMRING_SLOW_EVICT, 10 * MS);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c;
	static char data[SIZE];
	struct audit audit;
	uint64_t count;

	shmring_consumer_detach(consumer_attach(r, "logger", 0, 0));
	c = consumer_attach(r, "logger", SHMRING_START_RESUME, SHMRING_PINNED);
	count = publish_until_full(p, SOURCE, 0, SIZE);
	must_fail(ETIMEDOUT, shmring_publish(p, data, SIZE, shmring_deadline(100 * MS)));
	audit_begin(&audit, true);
	ck_assert_uint_eq(consume_all(c, &audit), count);
	audit_must_be(&audit, count, 0);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* And the other way round: that a holder was pinned counts for this holder alone. */
START_TEST(successor_of_a_pinned_holder_is_evicted_again)
{
	struct shmring_ring *r = create(SHMRING_SLOW_EVICT, 10 * MS);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c;
	struct shmring_message m;

	shmring_consumer_detach(consumer_attach(r, "logger", 0, SHMRING_PINNED));
	c = consumer_attach(r, "logger", SHMRING_START_RESUME, 0);
	publish_numbers(p, SOURCE, 0, 300, SIZE);
	must(shmring_peek(c, SHMRING_NOWAIT, &m));
	ck_assert_int_eq(shmring_release(c), m.flags & SHMRING_AFTER_LOSS ? 0 : -ESTALE);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(receive_goes_on_behind_an_eviction)
{
	struct shmring_ring *r = create(SHMRING_SLOW_EVICT, 10 * MS);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	static char data[SIZE], due[SIZE];
	struct shmring_counters n = { .size = sizeof(n) };
	ssize_t result;

	publish_numbers(p, SOURCE, 0, 300, SIZE);
	result = shmring_receive(c, data, SIZE, SHMRING_NOWAIT);
	if (result == -ESTALE) /* it had read when it learned of it */
		result = shmring_receive(c, data, SIZE, SHMRING_NOWAIT);
	ck_assert_int_eq(must(result), SIZE);
	must(shmring_consumer_counters(c, &n));
	ck_assert_uint_gt(n.lost, 0);
	audit_fill(due, SIZE, SOURCE, n.lost);
	ck_assert_mem_eq(data, due, SIZE);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(blocking_ring_never_evicts)
{
	struct shmring_ring *r = create(SHMRING_SLOW_BLOCK, 10 * MS);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer_stat st = { .size = sizeof(st) };
	static char data[SIZE];

	publish_until_full(p, SOURCE, 0, SIZE);
	must_fail(ETIMEDOUT, shmring_publish(p, data, SIZE, shmring_deadline(100 * MS)));
	must(shmring_stat_consumer(r, 0, &st));
	ck_assert_uint_eq(st.state, SHMRING_ACTIVE);
	ck_assert_uint_eq(st.evictable, 0);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* One message now and then, far more often than the ring's limit. */
START_TEST(consumer_that_releases_now_and_then_is_not_evicted)
{
	struct shmring_ring *r = create(SHMRING_SLOW_EVICT, 1000 * MS);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	int64_t end = clock_now() + 2000 * (int64_t)MS;
	uint64_t count = 0;
	struct audit audit;
	struct peer p;

	ring_start(&p);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	peer_tell(&p, &(struct peer_command){ .op = PEER_PRODUCE,
					      .count = 200,
					      .min = SIZE,
					      .max = SIZE,
					      .deadline = patience() });
	audit_begin(&audit, true);
	for (; clock_now() < end; count++) {
		consume_audited(c, &audit, 1);
		poll(NULL, 0, 50); /* this sleep waits for no process: it makes the consumer slow */
	}
	consume_audited(c, &audit, 200 - count);
	audit_must_be(&audit, 200, 0);
	ck_assert_int_eq(peer_answer(&p), 200);
	peer_quit(&p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(refusing_ring_evicts_too)
{
	struct shmring_ring *r = create(SHMRING_SLOW_EVICT, 20 * MS);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	int64_t limit = patience(), began;
	static char data[SIZE];
	int result;

	publish_until_full(p, SOURCE, 0, SIZE);
	began = clock_now();
	do {
		result = shmring_publish(p, data, SIZE, SHMRING_NOWAIT);
		ck_assert_int_lt(clock_now(), limit);
	} while (result == -EAGAIN);
	must(result);
	ck_assert_int_ge(clock_now() - began, 15 * MS);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* Between two looks the producer may do other work for longer than the ring's time. */
START_TEST(producer_that_seldom_publishes_evicts_too)
{
	struct shmring_ring *r = create(SHMRING_SLOW_EVICT, 20 * MS);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	static char data[SIZE];
	int looks = 0, result;

	publish_until_full(p, SOURCE, 0, SIZE);
	do {
		/* Longer than the ring's time and than two of its sleeps. */
		poll(NULL, 0, 250);
		result = shmring_publish(p, data, SIZE, SHMRING_NOWAIT);
	} while (result == -EAGAIN && ++looks < 10);
	must(result);
	ck_assert_int_ge(looks, 3);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* A cursor without a process is held to the same limit. */
START_TEST(detached_name_is_evicted_and_its_successor_learns_the_loss)
{
	struct shmring_ring *r = create(SHMRING_SLOW_EVICT, 20 * MS);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c;
	struct audit audit;
	struct peer first;

	start_consumer(&first, p, "logger", 0, 10);
	peer_quit(&first);
	publish_numbers(p, SOURCE, 10, 390, SIZE);
	c = consumer_attach(r, "logger", SHMRING_START_RESUME, 0);
	audit_begin(&audit, false);
	audit.lanes[0].seen = true;
	audit.lanes[0].tenancy = 1;
	audit.lanes[0].next_seq = 10;
	consume_all(c, &audit);
	ck_assert_uint_gt(audit.lost, 0);
	audit_must_be(&audit, 390 - audit.lost, audit.lost);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(evicted_consumer_leaves_cleanly)
{
	struct shmring_ring *r = create(SHMRING_SLOW_EVICT, 5 * MS);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_ring_stat st = { .size = sizeof(st) };

	publish_numbers(p, SOURCE, 0, 300, SIZE);
	ck_assert_uint_eq(consumer_state(r), SHMRING_EVICTED);
	shmring_consumer_detach(c);
	ck_assert_uint_eq(consumer_state(r), SHMRING_FREE);
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.consumers, 0);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("slow");
	TCase *tc = room_case(s, "slow", 40);

	tcase_add_test(tc, full_ring_refuses_at_once_with_nowait);
	tcase_add_test(tc, full_ring_waits_until_the_deadline);
	tcase_add_test(tc, release_lets_the_waiting_producer_go_on);
	tcase_add_test(tc, slowest_consumer_holds_the_producer);
	tcase_add_test(tc, leaving_consumer_lets_the_waiting_producer_go_on);
	tcase_add_test(tc, stopped_consumer_is_evicted_and_learns_its_loss);
	tcase_add_test(tc, idle_consumer_is_evicted_and_learns_its_loss);
	tcase_add_test(tc, eviction_repeats_and_never_hides_a_message);
	tcase_add_test(tc, pinned_consumer_is_never_evicted);
	tcase_add_test(tc, pinned_holder_of_a_name_is_never_evicted);
	tcase_add_test(tc, successor_of_a_pinned_holder_is_evicted_again);
	tcase_add_test(tc, receive_goes_on_behind_an_eviction);
	tcase_add_test(tc, blocking_ring_never_evicts);
	tcase_add_test(tc, consumer_that_releases_now_and_then_is_not_evicted);
	tcase_add_test(tc, refusing_ring_evicts_too);
	tcase_add_test(tc, producer_that_seldom_publishes_evicts_too);
	tcase_add_test(tc, detached_name_is_evicted_and_its_successor_learns_the_loss);
	tcase_add_test(tc, evicted_consumer_leaves_cleanly);
	return run_suite(s);
}
