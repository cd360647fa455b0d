/* SPDX-License-Identifier: MIT */
/*
 * shmring_wait_consumers() and shmring_wait_producers(): they wait until others have attached.
 * The longest sleep of most rings here is ten seconds, which shows every wake-up that is lost;
 * where a death has to be found out it is 20 ms.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 67, LIMIT_MS = 8000, QUICK_MS = 20, NEVER_MS = 10000, CROWD = 12 };

#define MS INT64_C(1000000)

static struct shmring_ring *create(int64_t max_sleep_ms)
{
	struct shmring_config config = small_config();

	config.max_sleep_ns = (uint64_t)(max_sleep_ms * MS);
	config.lanes = CROWD;
	return ring_create(&config);
}

/* What a process waits for, and what it expects. */
struct wish {
	struct shmring_ring *ring;
	unsigned consumers; /* 0: it waits for producers */
	unsigned producers;
	int error;
};

static int wait_for(const struct wish *w)
{
	return w->consumers ? shmring_wait_consumers(w->ring, w->consumers, patience())
			    : shmring_wait_producers(w->ring, w->producers, patience());
}

static int wait_as_child(int socket, void *arg)
{
	const struct wish *w = arg;

	(void)socket;
	must(shmring_join(w->ring));
	if (w->error)
		must_fail(w->error, wait_for(w));
	else
		ck_assert_int_eq(must(wait_for(w)), (int)(w->consumers + w->producers));
	return 0;
}

/* Another process, which is asleep in the call. */
static void start_waiting(struct child *c, struct wish *w)
{
	child_fork(c, wait_as_child, w);
	child_await_sleep(c);
}

static void must_end_in_time(struct child *c, int64_t began)
{
	child_end(c);
	ck_assert_int_lt(clock_now() - began, LIMIT_MS * MS);
}

START_TEST(producer_that_attaches_wakes_the_waiter)
{
	struct wish w = { .ring = create(NEVER_MS), .producers = 1 };
	int64_t began = clock_now();
	struct shmring_producer *p;
	struct child waiter;

	start_waiting(&waiter, &w);
	p = producer_attach(w.ring);
	must_end_in_time(&waiter, began);
	shmring_producer_detach(p);
	shmring_close(w.ring);
}
END_TEST

/* A new consumer, one with a new name, and one that resumes its name. */
START_TEST(consumer_that_attaches_wakes_the_waiter)
{
	struct wish w = { .ring = create(NEVER_MS), .consumers = 1 };
	const char *name = _i == 0 ? NULL : "name";
	int64_t began = clock_now();
	struct shmring_consumer *c;
	struct child waiter;

	if (_i == 2)
		shmring_consumer_detach(consumer_attach(w.ring, name, 0, 0));
	start_waiting(&waiter, &w);
	c = consumer_attach(w.ring, name, 0, 0);
	must_end_in_time(&waiter, began);
	shmring_consumer_detach(c);
	shmring_close(w.ring);
}
END_TEST

/* Many consumers come in any order; the last one that the waiter needs wakes it. */
START_TEST(waiter_sleeps_until_all_have_come)
{
	struct wish w = { .ring = create(NEVER_MS), .producers = CROWD };
	int64_t began = clock_now();
	struct peer peers[CROWD];
	struct child waiter;

	start_waiting(&waiter, &w);
	for (int i = 0; i < CROWD; i++) {
		ck_assert_int_eq(child_look(&waiter), CHILD_RUNS);
		ring_start(&peers[i]);
		ck_assert_int_eq(peer_producer(&peers[i], SOURCE), 0);
	}
	must_end_in_time(&waiter, began);
	for (int i = 0; i < CROWD; i++)
		peer_quit(&peers[i]);
	shmring_close(w.ring);
}
END_TEST

/* A message that is published after the wait comes to every consumer that was counted. */
START_TEST(counted_consumers_get_every_message_from_then_on)
{
	struct shmring_ring *r = create(NEVER_MS);
	struct shmring_producer *p = producer_attach(r);
	struct peer peers[4];

	for (int i = 0; i < 4; i++) {
		struct peer_command command = { .op = PEER_CONSUMER, .start = SHMRING_START_NOW };

		ring_start(&peers[i]);
		peer_tell(&peers[i], &command);
	}
	ck_assert_int_eq(must(shmring_wait_consumers(r, 4, patience())), 4);
	publish_numbers(p, SOURCE, 0, 1, 100);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(peer_answer(&peers[i]), 0);
		ck_assert_int_eq(peer_consume(&peers[i], 1), 1);
		audit_must_be(&peers[i].answer.audit, 1, 0);
		peer_quit(&peers[i]);
	}
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(observers_and_kept_names_do_not_count)
{
	struct shmring_ring *r = create(NEVER_MS);
	struct shmring_consumer *observer = consumer_attach(r, NULL, 0, SHMRING_OBSERVE);
	struct shmring_consumer *c = consumer_attach(r, "name", 0, 0);

	ck_assert_int_eq(must(shmring_wait_consumers(r, 1, SHMRING_NOWAIT)), 1);
	must_fail(EAGAIN, shmring_wait_consumers(r, 2, SHMRING_NOWAIT));
	shmring_consumer_detach(c);
	must_fail(EAGAIN, shmring_wait_consumers(r, 1, SHMRING_NOWAIT));
	ck_assert_int_eq(must(shmring_wait_consumers(r, 0, SHMRING_NOWAIT)), 0);
	shmring_consumer_detach(observer);
	shmring_close(r);
}
END_TEST

/* A zombie, too, before another process needs its place; but not a stopped process. */
START_TEST(dead_do_not_count_and_stopped_do)
{
	struct shmring_ring *r = create(QUICK_MS);
	struct peer p, c;

	ring_start(&p);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	ring_start(&c);
	ck_assert_int_eq(peer_consumer(&c, "name", 0, 0), 0);
	child_stop(&p.child);
	child_stop(&c.child);
	ck_assert_int_eq(must(shmring_wait_producers(r, 1, SHMRING_NOWAIT)), 1);
	ck_assert_int_eq(must(shmring_wait_consumers(r, 1, SHMRING_NOWAIT)), 1);
	child_kill(&p.child);
	child_kill_unreaped(&c.child);
	must_fail(EAGAIN, shmring_wait_producers(r, 1, SHMRING_NOWAIT));
	must_fail(ETIMEDOUT, shmring_wait_consumers(r, 1, shmring_deadline(3 * QUICK_MS * MS)));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "0 of 1 consumers"));
	ck_assert_int_eq(waitpid(c.child.pid, NULL, 0), c.child.pid);
	child_drop(&c.child);
	shmring_close(r);
}
END_TEST

START_TEST(removed_ring_ends_the_wait)
{
	struct wish w = { .ring = create(QUICK_MS), .consumers = 2, .error = EIDRM };
	struct shmring_consumer *c = consumer_attach(w.ring, NULL, 0, 0);
	struct child waiter;

	start_waiting(&waiter, &w);
	must(shmring_remove(room_path("ring")));
	child_end(&waiter);
	must_fail(EIDRM, shmring_wait_producers(w.ring, 1, SHMRING_FOREVER));

	/* If enough processes are attached, the call succeeds, whatever the name leads to. */
	ck_assert_int_eq(must(shmring_wait_consumers(w.ring, 1, SHMRING_FOREVER)), 1);
	shmring_consumer_detach(c);
	shmring_close(w.ring);
}
END_TEST

static void do_nothing(int signal)
{
	(void)signal;
}

static int wait_for_a_signal(int socket, void *arg)
{
	const struct sigaction sa = { .sa_handler = do_nothing };
	struct wish *w = arg;

	ck_assert_int_eq(sigaction(SIGUSR1, &sa, NULL), 0);
	return wait_as_child(socket, w);
}

START_TEST(signal_interrupts_the_wait)
{
	struct wish w = { .ring = create(NEVER_MS), .producers = 1, .error = EINTR };
	struct child waiter;

	child_fork(&waiter, wait_for_a_signal, &w);
	child_await_sleep(&waiter);
	ck_assert_int_eq(kill(waiter.pid, SIGUSR1), 0);
	child_end(&waiter);
	shmring_close(w.ring);
}
END_TEST

START_TEST(deadlines_and_counts_are_checked)
{
	struct shmring_ring *r = create(QUICK_MS);
	const int64_t deadline = shmring_deadline(3 * QUICK_MS * MS);

	must_fail(ETIMEDOUT, shmring_wait_producers(r, 1, deadline));
	ck_assert_int_ge(clock_now(), deadline);
	must_fail(ETIMEDOUT, shmring_wait_producers(r, 1, deadline));
	must_fail(EAGAIN, shmring_wait_producers(r, 1, SHMRING_NOWAIT));
	must_fail(EINVAL, shmring_wait_producers(r, CROWD + 1, SHMRING_FOREVER));
	must_fail(EINVAL, shmring_wait_consumers(r, SHMRING_MAX_CONSUMERS + 1, SHMRING_FOREVER));
	shmring_close(r);
}
END_TEST

static int call_inherited(int socket, void *arg)
{
	(void)socket;
	must_fail(ECHILD, shmring_wait_producers(arg, 1, SHMRING_FOREVER));
	must_fail(ECHILD, shmring_wait_consumers(arg, 1, SHMRING_FOREVER));
	return 0;
}

START_TEST(child_joins_first)
{
	struct shmring_ring *r = create(NEVER_MS);
	struct child c;

	child_fork(&c, call_inherited, r);
	child_end(&c);
	shmring_close(r);
}
END_TEST

static int wait_as_stranger(int socket, void *arg)
{
	struct wish *w = arg;

	(void)socket;
	ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
	must(shmring_open(&w->ring, room_path("ring")));
	ck_assert_int_eq(must(wait_for(w)), 1);
	shmring_close(w->ring);
	return 0;
}

/* Read permission is enough, also to be woken. */
START_TEST(waiter_with_read_permission_only_is_woken)
{
	struct shmring_config config = small_config();
	struct wish w = { .producers = 1 };
	int64_t began = clock_now();
	struct shmring_producer *p;
	struct shmring_ring *r;
	struct child waiter;

	if (geteuid() != 0)
		room_skip("needs root, to become another user");
	config.max_sleep_ns = NEVER_MS * MS;
	config.mode = 0644;
	r = ring_create(&config);
	child_fork(&waiter, wait_as_stranger, &w);
	child_await_sleep(&waiter);
	p = producer_attach(r);
	must_end_in_time(&waiter, began);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("arrivals");
	TCase *tc = room_case(s, "arrivals", 30);

	tcase_add_test(tc, producer_that_attaches_wakes_the_waiter);
	tcase_add_loop_test(tc, consumer_that_attaches_wakes_the_waiter, 0, 3);
	tcase_add_test(tc, waiter_sleeps_until_all_have_come);
	tcase_add_test(tc, counted_consumers_get_every_message_from_then_on);
	tcase_add_test(tc, observers_and_kept_names_do_not_count);
	tcase_add_test(tc, dead_do_not_count_and_stopped_do);
	tcase_add_test(tc, removed_ring_ends_the_wait);
	tcase_add_test(tc, signal_interrupts_the_wait);
	tcase_add_test(tc, deadlines_and_counts_are_checked);
	tcase_add_test(tc, child_joins_first);
	tcase_add_test(tc, waiter_with_read_permission_only_is_woken);
	return run_suite(s);
}
