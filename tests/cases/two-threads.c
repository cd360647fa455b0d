/* SPDX-License-Identifier: MIT */
/*
 * Two threads use one handle, or a signal handler uses a consumer that it has interrupted.
 * While a call waits, every build refuses the second one. A build with --enable-handle-checks
 * refuses it at any moment, and no message is lost, torn or repeated. Threads with handles
 * of their own, and threads that hand a handle on, are never refused.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "child.h"
#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 71, SIZE = 1000, SHORT = 40, LONG = 6000, MESSAGES = 2000, THREADS = 2 };

static struct shmring_ring *ring;
static struct shmring_consumer *consumer;
static struct shmring_producer *producer;
static atomic_int sleeper; /* the thread that is about to sleep */

static bool has_checks(void)
{
	const char *with = getenv("SHMRING_HANDLE_CHECKS");

	return with && *with;
}

static void begin(void)
{
	struct shmring_config config = small_config();

	mallopt(M_ARENA_MAX, 1); /* libc keeps the memory of threads as well */
	config.unread_policy = SHMRING_UNREAD_HOLD;
	ring = ring_create(&config);
	must(shmring_producer_attach(&producer, ring, NULL));
}

static void attach_consumer(uint32_t flags)
{
	struct shmring_consumer_options options = { .size = sizeof(options),
						    .flags = flags,
						    .spin_ns = SHMRING_SPIN_NEVER };

	must(shmring_consumer_attach(&consumer, ring, &options));
}

static void end(void)
{
	shmring_consumer_detach(consumer);
	shmring_producer_detach(producer);
	shmring_close(ring);
}

/* libc keeps the stack, which without a guard is no mapping of its own. */
static pthread_t start_thread(void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attributes;
	pthread_t t;

	ck_assert_int_eq(pthread_attr_init(&attributes), 0);
	ck_assert_int_eq(pthread_attr_setguardsize(&attributes, 0), 0);
	ck_assert_int_eq(pthread_create(&t, &attributes, run, arg), 0);
	pthread_attr_destroy(&attributes);
	return t;
}

static void must_be_refused(int64_t result)
{
	must_fail(EBUSY, result);
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "of its own"));
}

/* A thread that sleeps in a call on the handle until it is cancelled. */
static void *sleep_in_peek(void *arg)
{
	struct shmring_message m;

	(void)arg;
	sleeper = gettid();
	return (void *)(intptr_t)shmring_peek(consumer, SHMRING_FOREVER, &m);
}

static void *sleep_in_wait(void *arg)
{
	struct shmring_wait_item w = { .what = arg };

	sleeper = gettid();
	return (void *)(intptr_t)shmring_wait(&w, 1, SHMRING_FOREVER);
}

static void *sleep_in_claim(void *arg)
{
	void *data;

	(void)arg;
	sleeper = gettid();
	return (void *)(intptr_t)shmring_claim(producer, SIZE, SHMRING_FOREVER, &data);
}

static pthread_t start_sleeper(void *(*run)(void *arg), void *arg)
{
	struct child thread = { 0 };
	pthread_t t;

	sleeper = 0;
	t = start_thread(run, arg);
	while (thread.pid == 0 || !child_sleeps(&thread)) {
		sched_yield();
		thread.pid = sleeper;
	}
	return t;
}

static void must_end_with(pthread_t t, int error)
{
	void *result;

	ck_assert_int_eq(pthread_join(t, &result), 0);
	ck_assert_int_eq((int)(intptr_t)result, -error);
}

static void enter_consumer(void)
{
	struct shmring_message m;
	char buf[SIZE];

	must_be_refused(shmring_peek(consumer, SHMRING_NOWAIT, &m));
	must_be_refused(shmring_peek(consumer, SHMRING_FOREVER, &m));
	must_be_refused(shmring_peek_batch(consumer, SHMRING_NOWAIT, &m, 1));
	must_be_refused(shmring_receive(consumer, buf, sizeof(buf), SHMRING_NOWAIT));
	must_be_refused(shmring_next_length(consumer, SHMRING_NOWAIT));
	must_be_refused(shmring_release(consumer));
	must_be_refused(shmring_release_first(consumer, 1));
	must_be_refused(shmring_consumer_arm(consumer));
	shmring_rewind(consumer);
}

START_TEST(one_thread_sleeps_in_peek)
{
	static const uint32_t flags[] = { 0, SHMRING_OBSERVE };
	char buf[SIZE];
	pthread_t t;

	begin();
	attach_consumer(flags[_i]);
	t = start_sleeper(sleep_in_peek, NULL);
	enter_consumer();
	must(shmring_consumer_cancel(consumer));
	must_end_with(t, ECANCELED);

	/* The handle is free: another thread may have it now. */
	must(shmring_publish(producer, "x", 1, SHMRING_NOWAIT));
	ck_assert_int_eq(must(shmring_receive(consumer, buf, sizeof(buf), SHMRING_NOWAIT)), 1);
	end();
}
END_TEST

START_TEST(one_thread_sleeps_in_a_wait_for_several)
{
	struct shmring_wait_item w[3];
	pthread_t t;

	begin();
	attach_consumer(0);
	w[0].what = w[1].what = w[2].what = shmring_consumer_waitable(consumer);
	t = start_sleeper(sleep_in_wait, w[0].what);
	enter_consumer();
	must_be_refused(shmring_wait(w, 1, SHMRING_NOWAIT));
	must(shmring_consumer_cancel(consumer));
	must_end_with(t, ECANCELED);

	/* One handle may come twice in the same wait. */
	must_fail(EAGAIN, shmring_wait(w, 3, SHMRING_NOWAIT));
	must(shmring_publish(producer, "x", 1, SHMRING_NOWAIT));
	ck_assert_int_eq(must(shmring_wait(w, 3, SHMRING_NOWAIT)), 3);
	end();
}
END_TEST

START_TEST(one_thread_sleeps_in_claim)
{
	struct audit audit = { 0 };
	uint64_t count;
	pthread_t t;
	void *data;

	begin();
	attach_consumer(0);
	count = publish_until_full(producer, SOURCE, 0, SIZE);
	t = start_sleeper(sleep_in_claim, NULL);
	must_be_refused(shmring_claim(producer, SIZE, SHMRING_NOWAIT, &data));
	must_be_refused(shmring_publish(producer, "x", 1, SHMRING_NOWAIT));
	must_be_refused(shmring_commit(producer, 1));
	must_be_refused(shmring_stage(producer, 1));
	must_be_refused(shmring_flush(producer));
	must_be_refused(shmring_producer_arm(producer, 1));
	shmring_abort(producer);
	shmring_discard(producer);
	must_be_refused(shmring_publish(producer, "x", 1, SHMRING_NOWAIT));
	must(shmring_producer_cancel(producer));
	must_end_with(t, ECANCELED);

	ck_assert_uint_eq(consume_all(consumer, &audit), count);
	ck_assert_str_eq(audit.first_fault, "");
	publish_numbers(producer, SOURCE, count, 1, SIZE);
	ck_assert_uint_eq(consume_all(consumer, &audit), 1);
	ck_assert_str_eq(audit.first_fault, "");
	end();
}
END_TEST

static atomic_int handler_result;

static void peek_in_handler(int signal)
{
	struct shmring_message m;

	(void)signal;
	handler_result = shmring_peek(consumer, SHMRING_NOWAIT, &m);
}

START_TEST(handler_uses_the_consumer_that_it_has_interrupted)
{
	const struct sigaction sa = { .sa_handler = peek_in_handler };
	pthread_t t;

	begin();
	attach_consumer(0);
	ck_assert_int_eq(sigaction(SIGUSR1, &sa, NULL), 0);
	t = start_sleeper(sleep_in_peek, NULL);
	ck_assert_int_eq(pthread_kill(t, SIGUSR1), 0);
	must_end_with(t, EINTR);
	ck_assert_int_eq(handler_result, -EBUSY);
	end();
}
END_TEST

/* What is published: which thread, then the number again and again. */
struct text {
	uint64_t who;
	uint64_t words[LONG / 8];
};

static size_t length_of(uint64_t number)
{
	return number % 8 == 7 ? LONG : SHORT;
}

static atomic_uint_fast64_t refused;
static atomic_uint_fast64_t taken[MESSAGES];

/* Publish by one call, or claim and commit; true: the message is in the ring. */
static bool publish_once(struct shmring_producer *p, uint64_t who, uint64_t number)
{
	size_t len = length_of(number);
	struct text t = { .who = who };
	void *data = t.words;
	int e;

	for (size_t i = 0; i < len / 8 - 1; i++)
		t.words[i] = number;
	if (number % 2 == 0) {
		e = shmring_publish(p, &t, len, patience());
	} else {
		e = shmring_claim(p, len, patience(), &data);
		if (e == 0) {
			memcpy(data, &t, len);
			must(shmring_commit(p, len)); /* the thread that is refused takes nothing */
		}
	}
	if (e == -EBUSY) {
		refused++;
		sched_yield();
	}
	ck_assert_msg(e == 0 || e == -EBUSY, "%s", shmring_explain());
	return e == 0;
}

static void *publish_shared(void *arg)
{
	for (uint64_t number = 0; number < MESSAGES || refused == 0;)
		number += publish_once(producer, (uintptr_t)arg, number);
	while (!publish_once(producer, (uintptr_t)arg, UINT64_MAX - 7)) /* short, and the last */
		;
	return NULL;
}

/* Read until both threads have ended: messages are whole, and complete and in order for each
 * thread. */
static void read_of_threads(struct shmring_consumer *c)
{
	uint64_t next[THREADS] = { 0 };
	struct shmring_message m;

	for (int left = THREADS; left > 0;) {
		const struct text *t;

		must(shmring_peek(c, patience(), &m));
		t = m.data;
		ck_assert_uint_lt(t->who, THREADS);
		for (size_t i = 1; i < m.len / 8 - 1; i++)
			ck_assert_uint_eq(t->words[i], t->words[0]);
		ck_assert_uint_eq(m.len, length_of(t->words[0]));
		if (t->words[0] == UINT64_MAX - 7)
			left--;
		else
			ck_assert_uint_eq(t->words[0], next[t->who]++);
		must(shmring_release(c));
	}
	for (int i = 0; i < THREADS; i++)
		ck_assert_uint_ge(next[i], MESSAGES);
}

static void *spoil_claim(void *arg)
{
	void *data;

	(void)arg;
	must_be_refused(shmring_commit(producer, 1));
	must_be_refused(shmring_stage(producer, 1));
	must_be_refused(shmring_claim(producer, 1, SHMRING_NOWAIT, &data));
	shmring_abort(producer);
	shmring_discard(producer);
	return NULL;
}

static void run_both(void *(*run)(void *arg), pthread_t *t)
{
	for (uintptr_t i = 0; i < THREADS; i++)
		t[i] = start_thread(run, (void *)i);
}

static void join_both(const pthread_t *t)
{
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(t[i], NULL), 0);
}

START_TEST(two_threads_publish_with_one_handle)
{
	pthread_t t[THREADS];
	void *data = NULL;

	if (!has_checks())
		room_skip("a build without --enable-handle-checks does not notice it");
	begin();
	attach_consumer(0);
	run_both(publish_shared, t);
	read_of_threads(consumer);
	join_both(t);
	ck_assert_uint_gt(refused, 0);

	/* A claim belongs to the thread that has opened it. */
	must(shmring_claim(producer, 8, SHMRING_NOWAIT, &data));
	t[0] = start_thread(spoil_claim, NULL);
	ck_assert_int_eq(pthread_join(t[0], NULL), 0);
	memcpy(data, "message", 8);
	must(shmring_commit(producer, 8));
	ck_assert_int_eq(must(shmring_receive(consumer, t, sizeof(t), SHMRING_NOWAIT)), 8);
	ck_assert_str_eq((const char *)t, "message");
	end();
}
END_TEST

static void *receive_shared(void *arg)
{
	uint64_t number;
	int e;

	(void)arg;
	while ((e = (int)shmring_receive(consumer, &number, sizeof(number), patience())) != 0) {
		if (e == sizeof(number))
			taken[number]++;
		else if (e == -EBUSY && ++refused)
			sched_yield();
		else
			ck_abort_msg("%s", shmring_explain());
	}
	return NULL;
}

START_TEST(two_threads_receive_with_one_handle)
{
	pthread_t t[THREADS];

	if (!has_checks())
		room_skip("a build without --enable-handle-checks does not notice it");
	begin();
	attach_consumer(0);
	run_both(receive_shared, t);
	while (refused == 0) /* one thread waits in the call, and the other one comes */
		sched_yield();
	for (uint64_t i = 0; i < MESSAGES; i++)
		must(shmring_publish(producer, &i, sizeof(i), patience()));
	for (int i = 0; i < THREADS; i++)
		must(shmring_publish(producer, NULL, 0, patience()));
	join_both(t);
	for (int i = 0; i < MESSAGES; i++)
		ck_assert_uint_eq(taken[i], 1);
	end();
}
END_TEST

static void *publish_alone(void *arg)
{
	struct shmring_producer *p;

	must(shmring_producer_attach(&p, ring, NULL));
	for (uint64_t number = 0; number < MESSAGES; number++)
		ck_assert(publish_once(p, (uintptr_t)arg, number));
	ck_assert(publish_once(p, (uintptr_t)arg, UINT64_MAX - 7));
	shmring_producer_detach(p);
	return NULL;
}

static void *read_alone(void *arg)
{
	read_of_threads(arg);
	return NULL;
}

START_TEST(each_thread_has_its_own)
{
	struct shmring_consumer *other;
	pthread_t t[THREADS], reader;

	begin();
	attach_consumer(0);
	must(shmring_consumer_attach(&other, ring, NULL));
	run_both(publish_alone, t);
	reader = start_thread(read_alone, other);
	read_of_threads(consumer);
	ck_assert_int_eq(pthread_join(reader, NULL), 0);
	join_both(t);
	ck_assert_uint_eq(refused, 0);
	shmring_consumer_detach(other);
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("two-threads");
	TCase *tc = room_case(s, "two-threads", 60);

	tcase_add_loop_test(tc, one_thread_sleeps_in_peek, 0, 2);
	tcase_add_test(tc, one_thread_sleeps_in_a_wait_for_several);
	tcase_add_test(tc, one_thread_sleeps_in_claim);
	tcase_add_test(tc, handler_uses_the_consumer_that_it_has_interrupted);
	tcase_add_test(tc, two_threads_publish_with_one_handle);
	tcase_add_test(tc, two_threads_receive_with_one_handle);
	tcase_add_test(tc, each_thread_has_its_own);
	return run_suite(s);
}
