/* SPDX-License-Identifier: MIT */
/*
 * Attaching with a deadline: it waits for a lane, for a consumer's place, or for a name.
 * The longest sleep of most rings here is ten seconds, which shows every wake-up that is
 * lost; where a death has to be found out it is 20 ms.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 66, SIZE = 100, LIMIT_MS = 8000, QUICK_MS = 20, NEVER_MS = 10000, CROWD = 24 };

#define MS INT64_C(1000000)

static struct shmring_ring *create(int64_t max_sleep_ms)
{
	struct shmring_config config = small_config();

	config.max_sleep_ns = (uint64_t)(max_sleep_ms * MS);
	config.unread_policy = SHMRING_UNREAD_HOLD;
	config.lanes = 1;
	return ring_create(&config);
}

static struct peer_command wish(enum peer_op op, const char *name)
{
	struct peer_command command = { .op = op, .source = SOURCE, .deadline = patience() };

	if (name)
		snprintf(command.text, sizeof(command.text), "%s", name);
	return command;
}

/* Another process, which sleeps until it gets a place. */
static void start_waiting(struct peer *p, enum peer_op op, const char *name)
{
	const struct peer_command command = wish(op, name);

	ring_start(p);
	peer_tell(p, &command);
	child_await_sleep(&p->child);
}

static void expect_place(struct peer *p, int64_t began)
{
	ck_assert_int_eq(peer_answer(p), 0);
	ck_assert_int_lt(clock_now() - began, LIMIT_MS * MS);
	peer_quit(p);
}

static int attach_named(struct shmring_ring *r, const char *name, int64_t deadline)
{
	struct shmring_consumer_options options = { .size = sizeof(options),
						    .name = name,
						    .deadline = deadline };
	struct shmring_consumer *c;
	int e = shmring_consumer_attach(&c, r, &options);

	if (e == 0)
		shmring_consumer_detach(c);
	return e;
}

static int attach_producer(struct shmring_ring *r, int64_t deadline)
{
	struct shmring_producer_options options = { .size = sizeof(options), .deadline = deadline };
	struct shmring_producer *p;
	int e = shmring_producer_attach(&p, r, &options);

	if (e == 0)
		shmring_producer_detach(p);
	return e;
}

START_TEST(producer_gets_the_lane_of_a_leaving_producer)
{
	struct shmring_ring *r = create(NEVER_MS);
	struct shmring_producer *p = producer_attach(r);
	int64_t began = clock_now();
	struct peer waiter;

	start_waiting(&waiter, PEER_PRODUCER, NULL);
	shmring_producer_detach(p);
	expect_place(&waiter, began);
	shmring_close(r);
}
END_TEST

START_TEST(producer_gets_the_lane_of_a_killed_producer)
{
	struct shmring_ring *r = create(QUICK_MS);
	int64_t began = clock_now();
	struct peer holder, waiter;

	ring_start(&holder);
	ck_assert_int_eq(peer_producer(&holder, SOURCE), 0);
	start_waiting(&waiter, PEER_PRODUCER, NULL);
	child_kill(&holder.child);
	expect_place(&waiter, began);
	shmring_close(r);
}
END_TEST

START_TEST(consumer_gets_the_place_of_a_leaving_consumer)
{
	struct shmring_ring *r = create(NEVER_MS);
	struct shmring_consumer *c[SHMRING_MAX_CONSUMERS];
	int64_t began = clock_now();
	struct peer waiter;

	for (int i = 0; i < SHMRING_MAX_CONSUMERS; i++)
		c[i] = consumer_attach(r, NULL, 0, 0);
	must_fail(EUSERS, attach_named(r, NULL, 0));
	start_waiting(&waiter, PEER_CONSUMER, NULL);
	shmring_consumer_detach(c[5]);
	expect_place(&waiter, began);
	for (int i = 0; i < SHMRING_MAX_CONSUMERS; i++)
		if (i != 5)
			shmring_consumer_detach(c[i]);
	shmring_close(r);
}
END_TEST

/* Its holder leaves, or is killed. */
START_TEST(consumer_gets_a_name_that_becomes_free)
{
	struct shmring_ring *r = create(_i == 0 ? NEVER_MS : QUICK_MS);
	int64_t began = clock_now();
	struct peer holder, waiter;

	ring_start(&holder);
	ck_assert_int_eq(peer_consumer(&holder, "name", 0, 0), 0);
	must_fail(EBUSY, attach_named(r, "name", 0));
	start_waiting(&waiter, PEER_CONSUMER, "name");
	if (_i == 0)
		peer_quit(&holder);
	else
		child_kill(&holder.child);
	expect_place(&waiter, began);
	shmring_close(r);
}
END_TEST

START_TEST(deadline_is_kept_and_the_holder_named)
{
	struct shmring_ring *r = create(QUICK_MS);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c = consumer_attach(r, "name", 0, 0);
	const int64_t deadline = shmring_deadline(3 * QUICK_MS * MS);
	char pid[32];

	snprintf(pid, sizeof(pid), "process %d for ", (int)getpid());
	must_fail(EUSERS, attach_producer(r, deadline));
	ck_assert_int_ge(clock_now(), deadline);
	ck_assert_ptr_nonnull(strstr(shmring_explain(), pid));
	must_fail(EBUSY, attach_named(r, "name", shmring_deadline(2 * QUICK_MS * MS)));

	/* Without a deadline no call waits; with one no call waits if a place is free. */
	must_fail(EUSERS, attach_producer(r, SHMRING_NOWAIT));
	must_fail(EUSERS, attach_producer(r, deadline));
	must(attach_named(r, "other", SHMRING_FOREVER));
	shmring_producer_detach(p);
	must(attach_producer(r, SHMRING_FOREVER));
	shmring_consumer_detach(c);
	must(attach_named(r, "name", SHMRING_FOREVER));
	shmring_close(r);
}
END_TEST

static int publish_one(int socket, void *arg)
{
	struct shmring_producer_options options = { .size = sizeof(options),
						    .deadline = patience() };
	struct shmring_producer *p;
	struct shmring_ring *r;

	(void)socket;
	(void)arg;
	must(shmring_open(&r, room_path("ring")));
	must(shmring_producer_attach(&p, r, &options));
	must(shmring_publish(p, "line", 5, patience()));
	shmring_producer_detach(p);
	shmring_close(r);
	return 0;
}

/* Many producers of one line each, and one lane: every line arrives. */
START_TEST(crowd_of_short_producers_gets_through)
{
	struct shmring_ring *r = create(NEVER_MS);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_message m;
	struct child crowd[CROWD];

	for (int i = 0; i < CROWD; i++)
		child_fork(&crowd[i], publish_one, NULL);
	for (int i = 0; i < CROWD; i++)
		child_end(&crowd[i]);
	for (int i = 0; i < CROWD; i++)
		must(shmring_peek(c, SHMRING_NOWAIT, &m));
	must_fail(EAGAIN, shmring_peek(c, SHMRING_NOWAIT, &m));
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vacancy");
	TCase *tc = room_case(s, "vacancy", 30);

	tcase_add_test(tc, producer_gets_the_lane_of_a_leaving_producer);
	tcase_add_test(tc, producer_gets_the_lane_of_a_killed_producer);
	tcase_add_test(tc, consumer_gets_the_place_of_a_leaving_consumer);
	tcase_add_loop_test(tc, consumer_gets_a_name_that_becomes_free, 0, 2);
	tcase_add_test(tc, deadline_is_kept_and_the_holder_named);
	tcase_add_test(tc, crowd_of_short_producers_gets_through);
	return run_suite(s);
}
