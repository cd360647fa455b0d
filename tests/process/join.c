/* SPDX-License-Identifier: MIT */
/*
 * Where a consumer begins that attaches first, late, or while producers run, and what
 * the ring does while it has no consumer.
 */
#include <errno.h>
#include <stdint.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 5 };

static struct shmring_ring *create(uint32_t unread_policy)
{
	struct shmring_config config = small_config();

	config.lanes = 1;
	config.unread_policy = unread_policy;
	return ring_create(&config);
}

START_TEST(first_consumer_begins_at_the_first_message)
{
	struct shmring_ring *r = create((uint32_t)_i);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c;
	struct audit audit;

	publish_numbers(p, SOURCE, 0, 100, 500);
	c = consumer_attach(r, NULL, SHMRING_START_DEFAULT, 0);
	audit_begin(&audit, true);
	ck_assert_uint_eq(consume_all(c, &audit), 100);
	audit_must_be(&audit, 100, 0);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(unread_ring_runs_free)
{
	struct shmring_ring *r = create(SHMRING_UNREAD_OVERWRITE);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_counters n = { .size = sizeof(n) };

	for (uint64_t number = 0; number < 10000; number++)
		must(shmring_publish(p, &number, sizeof(number), SHMRING_NOWAIT));
	must(shmring_producer_counters(p, &n));
	ck_assert_uint_eq(n.messages, 10000);
	ck_assert_uint_eq(n.waits, 0);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* Records of 512 bytes, 128 in a lane: the remaining messages nearly fill a lane. */
START_TEST(first_consumer_of_an_overwritten_ring_begins_at_the_oldest)
{
	struct shmring_ring *r = create(SHMRING_UNREAD_OVERWRITE);
	struct shmring_producer *p = producer_attach(r);
	uint64_t published = 1000 + (uint64_t)_i * 13, count, missed, missed_bytes;
	struct shmring_counters n = { .size = sizeof(n) };
	struct shmring_consumer *c;
	struct shmring_message m;
	struct audit audit;
	struct facts t;

	publish_numbers(p, SOURCE, 0, published, 504);
	c = consumer_attach(r, NULL, SHMRING_START_OLDEST, 0);
	must(shmring_peek(c, SHMRING_NOWAIT, &m));
	t = facts_of(c, &m);
	shmring_rewind(c);
	audit_begin(&audit, false);
	count = consume_all(c, &audit);
	/* Messages that were gone before are reported at once, and with the first message. */
	audit_must_be(&audit, count, published - count);
	ck_assert_uint_eq(t.seq, t.lost);
	must(shmring_consumer_missed(c, 0, &missed, &missed_bytes));
	ck_assert_uint_eq(missed, published - count);
	ck_assert_uint_eq(missed_bytes, missed * 504);
	ck_assert_uint_eq(t.lost_bytes, missed_bytes);
	must(shmring_consumer_counters(c, &n));
	ck_assert_uint_eq(n.lost, missed);
	must_fail(EINVAL, shmring_consumer_missed(c, 1, &missed, &missed_bytes));
	/* The consumer begins at a boundary of a sixteenth; one sixteenth is being written. */
	ck_assert_uint_ge(count, 128 - 2 * 8 - 1);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(late_joiner_at_oldest_gets_the_messages_that_are_there)
{
	struct shmring_ring *r = create(SHMRING_UNREAD_OVERWRITE);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *first = consumer_attach(r, NULL, SHMRING_START_NOW, 0);
	struct shmring_consumer *late;
	struct audit audit, late_audit;

	audit_begin(&audit, true);
	for (uint64_t number = 0; number < 3000; number += 30) {
		publish_numbers(p, SOURCE, number, 30, 1000);
		consume_audited(first, &audit, 30);
	}
	publish_numbers(p, SOURCE, 3000, 20, 1000);
	late = consumer_attach(r, NULL, SHMRING_START_OLDEST, 0);
	audit_begin(&late_audit, false);
	ck_assert_uint_ge(consume_all(late, &late_audit), 20);
	ck_assert_uint_eq(audit_faults(&late_audit), 0);
	ck_assert_uint_eq(consume_all(first, &audit), 20);
	audit_must_be(&audit, 3020, 0);
	shmring_consumer_detach(late);
	shmring_consumer_detach(first);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(late_joiner_at_now_gets_the_next_message)
{
	struct shmring_ring *r = create((uint32_t)_i);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c;
	struct shmring_message m;

	publish_numbers(p, SOURCE, 0, 50, 1000);
	c = consumer_attach(r, NULL, SHMRING_START_NOW, 0);
	must_fail(EAGAIN, shmring_peek(c, SHMRING_NOWAIT, &m));
	publish_numbers(p, SOURCE, 50, 1, 1000);
	must(shmring_peek(c, SHMRING_NOWAIT, &m));
	ck_assert_uint_eq(m.seq, 50);
	ck_assert_uint_eq(facts_of(c, &m).lost, 0);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* The joiner is protected from the moment attach returns. */
START_TEST(joiner_at_oldest_of_a_full_ring_is_not_overrun)
{
	struct shmring_ring *r = create(SHMRING_UNREAD_OVERWRITE);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c;
	uint64_t published, count;
	struct audit audit;

	publish_numbers(p, SOURCE, 0, 777, 1000);
	c = consumer_attach(r, NULL, SHMRING_START_OLDEST, 0);
	published = 777 + publish_until_full(p, SOURCE, 777, 1000);
	audit_begin(&audit, false);
	count = consume_all(c, &audit);
	ck_assert_uint_eq(audit_faults(&audit), 0);
	ck_assert_uint_eq(audit.lanes[0].next_seq, published);
	ck_assert_uint_ge(count, 50);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* Join and leave while a producer streams as fast as it can. */
START_TEST(joiners_meet_a_running_producer)
{
	struct shmring_ring *r = create(SHMRING_UNREAD_OVERWRITE);
	uint32_t start = _i ? SHMRING_START_NOW : SHMRING_START_OLDEST;
	struct shmring_consumer *c;
	struct peer producer;
	struct audit audit;

	ring_start(&producer);
	ck_assert_int_eq(peer_producer(&producer, SOURCE), 0);
	peer_tell_produce(&producer, UINT32_MAX, 300);
	for (int round = 0; round < 2000; round++) {
		c = consumer_attach(r, NULL, start, 0);
		audit_begin(&audit, false);
		consume_audited(c, &audit, 20);
		ck_assert_msg(audit_faults(&audit) == 0, "%s", audit.first_fault);
		shmring_consumer_detach(c);
	}
	child_kill(&producer.child);
	shmring_close(r);
}
END_TEST

START_TEST(holding_ring_waits_for_its_first_consumer)
{
	struct shmring_ring *r = create(SHMRING_UNREAD_HOLD);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c;
	struct audit audit;
	uint64_t count;

	count = publish_until_full(p, SOURCE, 0, 1000);
	must_fail(ETIMEDOUT, shmring_publish(p, "", 1, shmring_deadline(1000000)));
	c = consumer_attach(r, NULL, SHMRING_START_DEFAULT, 0);
	audit_begin(&audit, true);
	consume_audited(c, &audit, 1);
	ck_assert_uint_gt(publish_until_full(p, SOURCE, count, 1000), 0);
	consume_all(c, &audit);
	ck_assert_uint_eq(audit_faults(&audit), 0);
	ck_assert_uint_eq(audit.lost, 0);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* This also holds while the producer tries again and again, and finds no room. */
START_TEST(holding_ring_shows_every_message_to_each_new_consumer)
{
	struct shmring_ring *r = create(SHMRING_UNREAD_HOLD);
	struct shmring_consumer *c;
	struct shmring_message m;
	struct peer p;

	ring_start(&p);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	peer_tell(&p, &(struct peer_command){ .op = PEER_HAMMER, .max = 1000 });
	step_await(p.child.socket);
	for (int round = 0; round < 500; round++) {
		c = consumer_attach(r, NULL, SHMRING_START_DEFAULT, 0);
		must(shmring_peek(c, SHMRING_NOWAIT, &m));
		ck_assert_uint_eq(m.seq, 0);
		shmring_consumer_detach(c);
	}
	child_kill(&p.child);
	shmring_close(r);
}
END_TEST

START_TEST(holding_ring_holds_for_the_next_consumer)
{
	struct shmring_ring *r = create(SHMRING_UNREAD_HOLD);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c = consumer_attach(r, NULL, SHMRING_START_NOW, 0);
	uint64_t published = 0, count = 0;
	struct audit audit;

	audit_begin(&audit, true);
	publish_numbers(p, SOURCE, 0, 10, 1000);
	consume_audited(c, &audit, 10);
	shmring_consumer_detach(c);
	published = 10 + publish_until_full(p, SOURCE, 10, 1000);
	ck_assert_uint_gt(published, 20);
	c = consumer_attach(r, NULL, SHMRING_START_OLDEST, 0);
	count = consume_all(c, &audit);
	ck_assert_uint_ge(count, published - 10);
	ck_assert_uint_eq(audit.lanes[0].next_seq, published);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(observer_does_not_end_the_hold)
{
	struct shmring_ring *r = create(SHMRING_UNREAD_HOLD);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *observer;
	struct audit audit;
	uint64_t count;

	observer = consumer_attach(r, NULL, SHMRING_START_OLDEST, SHMRING_OBSERVE);
	count = publish_until_full(p, SOURCE, 0, 1000);
	audit_begin(&audit, true);
	ck_assert_uint_eq(consume_all(observer, &audit), count);
	ck_assert_uint_eq(publish_until_full(p, SOURCE, count, 1000), 0);
	audit_must_be(&audit, count, 0);
	shmring_consumer_detach(observer);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(unknown_start_is_refused)
{
	struct shmring_consumer_options options = { .size = sizeof(options), .start = 4 };
	struct shmring_ring *r = create(SHMRING_UNREAD_HOLD);
	struct shmring_consumer *c;

	must_fail(EINVAL, shmring_consumer_attach(&c, r, &options));
	options.start = SHMRING_START_RESUME;
	must_fail(EINVAL, shmring_consumer_attach(&c, r, &options));
	options.start = 0;
	options.flags = 0x80000000;
	must_fail(EINVAL, shmring_consumer_attach(&c, r, &options));
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("join");
	TCase *tc = room_case(s, "join", 40);

	tcase_add_loop_test(tc, first_consumer_begins_at_the_first_message, 0, 2);
	tcase_add_test(tc, unread_ring_runs_free);
	tcase_add_loop_test(tc, first_consumer_of_an_overwritten_ring_begins_at_the_oldest, 0, 20);
	tcase_add_test(tc, late_joiner_at_oldest_gets_the_messages_that_are_there);
	tcase_add_loop_test(tc, late_joiner_at_now_gets_the_next_message, 0, 2);
	tcase_add_test(tc, joiner_at_oldest_of_a_full_ring_is_not_overrun);
	tcase_add_loop_test(tc, joiners_meet_a_running_producer, 0, 2);
	tcase_add_test(tc, holding_ring_waits_for_its_first_consumer);
	tcase_add_test(tc, holding_ring_shows_every_message_to_each_new_consumer);
	tcase_add_test(tc, holding_ring_holds_for_the_next_consumer);
	tcase_add_test(tc, observer_does_not_end_the_hold);
	tcase_add_test(tc, unknown_start_is_refused);
	return run_suite(s);
}
