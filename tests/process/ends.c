/* SPDX-License-Identifier: MIT */
/*
 * The end of a stream, and of a ring: consumers that ask for the end when no producer
 * is left, producers that ask for it when no consumer is left, and calls that wait in a
 * ring that was removed. The longest sleep of most rings here is ten seconds, which
 * shows every lost wake-up; in tests of a death it is 20 ms.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 55, SIZE = 1000, LIMIT_MS = 8000, QUICK_MS = 20, NEVER_MS = 10000 };

#define MS INT64_C(1000000)

static struct shmring_ring *create(int64_t max_sleep_ms)
{
	struct shmring_config config = small_config();

	config.max_sleep_ns = (uint64_t)(max_sleep_ms * MS);
	config.unread_policy = SHMRING_UNREAD_HOLD;
	return ring_create(&config);
}

static void start_producer(struct peer *p)
{
	ring_start(p);
	ck_assert_int_eq(peer_producer(p, SOURCE), 0);
}

/* A consumer in another process, which is then asleep, waiting for `count` messages. */
static void start_waiting(struct peer *p, uint32_t start, uint32_t flags, uint32_t count)
{
	struct peer_command command = {
		.op = PEER_CONSUMER, .start = start, .flags = flags, .spin_ns = SHMRING_SPIN_NEVER
	};

	ring_start(p);
	ck_assert_int_eq(peer_call(p, &command), 0);
	peer_tell_consume(p, count);
	if (!(flags & SHMRING_OBSERVE))
		child_await_sleep(&p->child);
}

static void expect_numbers(struct shmring_consumer *c, uint64_t first, uint64_t count)
{
	struct shmring_message m;

	for (uint64_t i = first; i < first + count; i++) {
		must(shmring_peek(c, patience(), &m));
		ck_assert_uint_eq(m.seq, i);
	}
}

static void expect_in_time(int64_t began)
{
	ck_assert_int_lt(clock_now() - began, LIMIT_MS * MS);
}

static const uint32_t roles[] = { SHMRING_UNTIL_END, SHMRING_UNTIL_END | SHMRING_OBSERVE };

START_TEST(every_message_comes_before_the_end)
{
	struct shmring_ring *r = create(NEVER_MS);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, roles[_i]);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_producer *q = producer_attach(r);
	struct shmring_message m;

	publish_numbers(p, SOURCE, 0, 5, SIZE);
	publish_numbers(q, SOURCE + 1, 0, 1, SIZE);
	shmring_producer_detach(p);
	for (int i = 0; i < 6; i++)
		must(shmring_peek(c, SHMRING_NOWAIT, &m));
	must_fail(EAGAIN, shmring_peek(c, SHMRING_NOWAIT, &m));
	shmring_producer_detach(q);
	must_fail(EPIPE, shmring_peek(c, SHMRING_NOWAIT, &m));
	must_fail(EPIPE, shmring_peek(c, SHMRING_FOREVER, &m));
	must_fail(EPIPE, shmring_peek_batch(c, SHMRING_FOREVER, &m, 1));
	must_fail(EPIPE, (int)shmring_receive(c, NULL, 0, SHMRING_FOREVER));
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(end_wakes_sleeping_consumers)
{
	struct shmring_ring *r = create(NEVER_MS);
	struct shmring_producer *p = producer_attach(r);
	int64_t began = clock_now();
	struct peer c;

	start_waiting(&c, 0, roles[_i], 2);
	publish_numbers(p, SOURCE, 0, 1, SIZE);
	shmring_producer_detach(p);
	ck_assert_int_eq(peer_answer(&c), -EPIPE);
	audit_must_be(&c.answer.audit, 1, 0);
	expect_in_time(began);
	peer_quit(&c);
	shmring_close(r);
}
END_TEST

START_TEST(death_of_the_last_producer_is_the_end)
{
	struct shmring_ring *r = create(QUICK_MS);
	int64_t began = clock_now();
	struct peer p, c;

	start_producer(&p);
	start_waiting(&c, 0, roles[_i], 2);
	ck_assert_int_eq(peer_produce(&p, 1, SIZE), 1);
	child_kill(&p.child);
	ck_assert_int_eq(peer_answer(&c), -EPIPE);
	audit_must_be(&c.answer.audit, 1, 0);
	expect_in_time(began);
	peer_quit(&c);
	shmring_close(r);
}
END_TEST

START_TEST(stopped_producer_is_not_the_end)
{
	struct shmring_ring *r = create(QUICK_MS);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, roles[_i]);
	struct shmring_message m;
	struct peer p;

	start_producer(&p);
	child_stop(&p.child);
	must_fail(ETIMEDOUT, shmring_peek(c, shmring_deadline(5 * QUICK_MS * MS), &m));
	must_fail(EAGAIN, shmring_peek(c, SHMRING_NOWAIT, &m));
	child_continue(&p.child);
	ck_assert_int_eq(peer_produce(&p, 1, SIZE), 1);
	must(shmring_peek(c, patience(), &m));
	peer_quit(&p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(first_consumer_waits_for_the_first_producer)
{
	struct shmring_ring *r = create(NEVER_MS);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, roles[_i]);
	struct shmring_message m;

	must_fail(EAGAIN, shmring_peek(c, SHMRING_NOWAIT, &m));
	must_fail(ETIMEDOUT, shmring_peek(c, shmring_deadline(5 * MS), &m));
	shmring_producer_detach(producer_attach(r));
	must_fail(EPIPE, shmring_peek(c, SHMRING_FOREVER, &m));
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(late_consumer_reads_all_messages_and_gets_the_end)
{
	struct shmring_ring *r = create(NEVER_MS);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c;
	struct shmring_message m;

	publish_numbers(p, SOURCE, 0, 3, SIZE);
	shmring_producer_detach(p);
	c = consumer_attach(r, NULL, SHMRING_START_OLDEST, roles[_i]);
	expect_numbers(c, 0, 3);
	must_fail(EPIPE, shmring_peek(c, SHMRING_FOREVER, &m));
	shmring_consumer_detach(c);

	/* A consumer from the next message on: no producer is attached, and none has been. */
	c = consumer_attach(r, NULL, SHMRING_START_NOW, roles[_i]);
	must_fail(EAGAIN, shmring_peek(c, SHMRING_NOWAIT, &m));
	shmring_producer_detach(producer_attach(r));
	must_fail(EPIPE, shmring_peek(c, SHMRING_FOREVER, &m));
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(end_is_not_final)
{
	struct shmring_ring *r = create(NEVER_MS);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, roles[_i]);
	struct shmring_producer *p;
	struct shmring_message m;

	for (int i = 0; i < 3; i++) {
		p = producer_attach(r);
		must_fail(EAGAIN, shmring_peek(c, SHMRING_NOWAIT, &m));
		publish_numbers(p, SOURCE, 0, 1, SIZE);
		must(shmring_peek(c, SHMRING_NOWAIT, &m));
		shmring_producer_detach(p);
		must_fail(EPIPE, shmring_peek(c, SHMRING_NOWAIT, &m));
		must(shmring_release(c));
	}
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(consumer_that_did_not_ask_waits_at_the_end)
{
	struct shmring_ring *r = create(QUICK_MS);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, roles[_i] & ~SHMRING_UNTIL_END);
	struct shmring_message m;

	shmring_producer_detach(producer_attach(r));
	must_fail(EAGAIN, shmring_peek(c, SHMRING_NOWAIT, &m));
	must_fail(ETIMEDOUT, shmring_peek(c, shmring_deadline(3 * QUICK_MS * MS), &m));
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, LIMIT_MS) == 1;
}

START_TEST(descriptor_reports_the_end)
{
	struct shmring_ring *r = create(NEVER_MS);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, roles[_i]);
	int fd = (int)must(shmring_consumer_fd(c, SHMRING_FD_THREAD));
	struct shmring_message m;

	ck_assert_int_eq(shmring_consumer_arm(c), 0);
	shmring_producer_detach(p);
	ck_assert(readable(fd));
	must_fail(EPIPE, shmring_peek(c, SHMRING_NOWAIT, &m));
	must_fail(EPIPE, shmring_consumer_arm(c));
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(wait_for_several_reports_the_end)
{
	struct shmring_ring *r = create(QUICK_MS);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, roles[_i]);
	struct shmring_wait_item w = { .what = shmring_consumer_waitable(c) };
	int64_t began = clock_now();
	struct shmring_message m;
	struct peer p;

	start_producer(&p);
	must_fail(EAGAIN, shmring_wait(&w, 1, SHMRING_NOWAIT));
	child_kill(&p.child);
	ck_assert_int_eq(must(shmring_wait(&w, 1, patience())), 1);
	must_fail(EPIPE, shmring_peek(c, SHMRING_NOWAIT, &m));
	ck_assert_int_eq(must(shmring_wait(&w, 1, SHMRING_NOWAIT)), 1);
	expect_in_time(began);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* No further message comes. */
START_TEST(watermark_does_not_hide_the_end)
{
	struct shmring_ring *r = create(NEVER_MS);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, SHMRING_UNTIL_END);
	struct shmring_wait_item w = { .what = shmring_consumer_waitable(c) };
	struct shmring_message m;
	int64_t began = clock_now();

	must(shmring_consumer_watermark(c, 10, 0, 0));
	publish_numbers(p, SOURCE, 0, 3, SIZE);
	shmring_producer_detach(p);
	ck_assert_int_eq(must(shmring_wait(&w, 1, patience())), 1);
	expect_numbers(c, 0, 3);
	must_fail(EPIPE, shmring_peek(c, patience(), &m));
	expect_in_time(began);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* --- producers --- */

static struct shmring_producer *attach_while_read(struct shmring_ring *r)
{
	struct shmring_producer_options options = { .size = sizeof(options),
						    .spin_ns = SHMRING_SPIN_NEVER,
						    .flags = SHMRING_WHILE_READ };
	struct shmring_producer *p;

	must(shmring_producer_attach(&p, r, &options));
	return p;
}

static int publish(struct shmring_producer *p, int64_t deadline)
{
	static const char data[SIZE];

	return shmring_publish(p, data, sizeof(data), deadline);
}

START_TEST(producer_gets_epipe_when_no_consumer_is_left)
{
	struct shmring_ring *r = create(NEVER_MS);
	struct shmring_producer *p = attach_while_read(r);
	struct shmring_wait_item w = { .what = shmring_producer_waitable(p, SIZE) };

	/* The first consumer is still to come. */
	publish_until_full(p, SOURCE, 0, SIZE);
	must_fail(EAGAIN, publish(p, SHMRING_NOWAIT));
	must_fail(ETIMEDOUT, publish(p, shmring_deadline(5 * MS)));
	shmring_consumer_detach(consumer_attach(r, NULL, 0, 0));
	must_fail(EPIPE, publish(p, SHMRING_NOWAIT));
	must_fail(EPIPE, publish(p, SHMRING_FOREVER));
	must(shmring_producer_fd(p, SHMRING_FD_THREAD));
	must_fail(EPIPE, shmring_producer_arm(p, SIZE));
	ck_assert_int_eq(must(shmring_wait(&w, 1, patience())), 1);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(producer_waits_on_for_the_next_consumer)
{
	struct shmring_ring *r = create(NEVER_MS);
	struct shmring_producer *p = attach_while_read(r);
	struct shmring_consumer *c;
	struct shmring_message m;

	publish_until_full(p, SOURCE, 0, SIZE);
	shmring_consumer_detach(consumer_attach(r, NULL, 0, 0));
	must_fail(EPIPE, publish(p, SHMRING_NOWAIT));
	c = consumer_attach(r, NULL, 0, 0);
	must_fail(EAGAIN, publish(p, SHMRING_NOWAIT));
	while (shmring_peek(c, SHMRING_NOWAIT, &m) == 0)
		;
	must(shmring_release(c));
	must(publish(p, SHMRING_NOWAIT));
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(kept_name_is_a_consumer_that_may_come_back)
{
	struct shmring_ring *r = create(NEVER_MS);
	struct shmring_producer *p = attach_while_read(r);

	shmring_consumer_detach(consumer_attach(r, "archive", 0, 0));
	publish_until_full(p, SOURCE, 0, SIZE);
	must_fail(EAGAIN, publish(p, SHMRING_NOWAIT));
	must_fail(ETIMEDOUT, publish(p, shmring_deadline(5 * MS)));
	must(shmring_forget(r, "archive"));
	must_fail(EPIPE, publish(p, SHMRING_FOREVER));
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* The last consumer leaves, or dies: a sleeping producer gets the end. */
START_TEST(sleeping_producer_gets_epipe_when_the_last_consumer_leaves)
{
	struct shmring_ring *r = create(_i == 0 ? NEVER_MS : QUICK_MS);
	struct peer_command command = { .op = PEER_PRODUCER,
					.source = SOURCE,
					.spin_ns = SHMRING_SPIN_NEVER,
					.flags = SHMRING_WHILE_READ };
	int64_t began = clock_now();
	struct peer p, c;

	ring_start(&c);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	ring_start(&p);
	ck_assert_int_eq(peer_call(&p, &command), 0);
	peer_tell_fill(&p, 1000, SIZE);
	child_await_sleep(&p.child);
	if (_i == 0)
		peer_quit(&c);
	else
		child_kill(&c.child);
	ck_assert_int_eq(peer_answer(&p), -EPIPE);
	expect_in_time(began);
	peer_quit(&p);
	shmring_close(r);
}
END_TEST

/* --- removed rings --- */

/* The ring has lost its name, or another ring has it. */
static void remove_ring(bool anew)
{
	must(shmring_remove(room_path("ring")));
	if (anew)
		shmring_close(create(QUICK_MS));
}

START_TEST(consumer_that_waits_in_a_removed_ring_gets_eidrm)
{
	struct shmring_ring *r = create(QUICK_MS);
	int64_t began = clock_now();
	struct peer c;

	start_waiting(&c, 0, _i % 2 ? SHMRING_OBSERVE : 0, 1);
	remove_ring(_i >= 2);
	ck_assert_int_eq(peer_answer(&c), -EIDRM);
	expect_in_time(began);
	peer_quit(&c);
	shmring_close(r);
}
END_TEST

START_TEST(removed_ring_goes_on_as_long_as_there_is_a_producer)
{
	struct shmring_ring *r = create(QUICK_MS);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_wait_item w = { .what = shmring_consumer_waitable(c) };
	struct shmring_message m;
	struct peer p;

	start_producer(&p);
	remove_ring(true);
	must_fail(ETIMEDOUT, shmring_peek(c, shmring_deadline(5 * QUICK_MS * MS), &m));
	ck_assert_int_eq(peer_produce(&p, 3, SIZE), 3);
	expect_numbers(c, 0, 1);
	child_kill(&p.child);
	expect_numbers(c, 1, 2); /* the messages of the dead producer come before the end */
	ck_assert_int_eq(must(shmring_wait(&w, 1, patience())), 1);
	must_fail(EIDRM, shmring_peek(c, SHMRING_NOWAIT, &m));
	must_fail(EIDRM, shmring_peek(c, SHMRING_FOREVER, &m));
	must(shmring_consumer_fd(c, SHMRING_FD_THREAD));
	must_fail(EIDRM, shmring_consumer_arm(c));
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(producer_in_a_removed_ring_without_consumers_gets_eidrm)
{
	struct shmring_ring *r = create(QUICK_MS);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c = consumer_attach(r, "archive", 0, 0);

	publish_until_full(p, SOURCE, 0, SIZE);
	remove_ring(false);
	must_fail(ETIMEDOUT, publish(p, shmring_deadline(5 * QUICK_MS * MS)));
	shmring_consumer_detach(c); /* no consumer can come: the name has gone */
	must_fail(EIDRM, publish(p, SHMRING_FOREVER));
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(ring_without_a_name_is_never_removed)
{
	struct shmring_config config = small_config();
	struct shmring_consumer *c;
	struct shmring_message m;
	struct shmring_ring *r;

	config.max_sleep_ns = QUICK_MS * MS;
	must(shmring_create(&r, NULL, &config));
	c = consumer_attach(r, NULL, 0, 0);
	must_fail(ETIMEDOUT, shmring_peek(c, shmring_deadline(5 * QUICK_MS * MS), &m));
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(unknown_flags_are_refused)
{
	struct shmring_producer_options options = { .size = sizeof(options), .flags = 2 };
	struct shmring_ring *r = create(NEVER_MS);
	struct shmring_producer *p;

	must_fail(EINVAL, shmring_producer_attach(&p, r, &options));
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ends");
	TCase *tc = room_case(s, "ends", 30);

	tcase_add_loop_test(tc, every_message_comes_before_the_end, 0, 2);
	tcase_add_loop_test(tc, end_wakes_sleeping_consumers, 0, 2);
	tcase_add_loop_test(tc, death_of_the_last_producer_is_the_end, 0, 2);
	tcase_add_loop_test(tc, stopped_producer_is_not_the_end, 0, 2);
	tcase_add_loop_test(tc, first_consumer_waits_for_the_first_producer, 0, 2);
	tcase_add_loop_test(tc, late_consumer_reads_all_messages_and_gets_the_end, 0, 2);
	tcase_add_loop_test(tc, end_is_not_final, 0, 2);
	tcase_add_loop_test(tc, consumer_that_did_not_ask_waits_at_the_end, 0, 2);
	tcase_add_loop_test(tc, descriptor_reports_the_end, 0, 2);
	tcase_add_loop_test(tc, wait_for_several_reports_the_end, 0, 2);
	tcase_add_test(tc, watermark_does_not_hide_the_end);
	tcase_add_test(tc, producer_gets_epipe_when_no_consumer_is_left);
	tcase_add_test(tc, producer_waits_on_for_the_next_consumer);
	tcase_add_test(tc, kept_name_is_a_consumer_that_may_come_back);
	tcase_add_loop_test(tc, sleeping_producer_gets_epipe_when_the_last_consumer_leaves, 0, 2);
	tcase_add_loop_test(tc, consumer_that_waits_in_a_removed_ring_gets_eidrm, 0, 4);
	tcase_add_test(tc, removed_ring_goes_on_as_long_as_there_is_a_producer);
	tcase_add_test(tc, producer_in_a_removed_ring_without_consumers_gets_eidrm);
	tcase_add_test(tc, ring_without_a_name_is_never_removed);
	tcase_add_test(tc, unknown_flags_are_refused);
	return run_suite(s);
}
