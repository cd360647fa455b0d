/* SPDX-License-Identifier: MIT */
/*
 * Attaching and detaching are interrupted: by a signal handler that forks, by the handler
 * of a fault that does (a crash reporter), by the cancellation of the thread. Nothing
 * waits for itself, and everybody else goes on.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "child.h"
#include "must.h"
#include "room.h"
#include "runner.h"
#include "shmringd.h"
#include "way.h"

enum { ATTACHMENTS = 400, FORKS = 50, CANCELLED = 100 };

static volatile sig_atomic_t forks;

static void fork_in_handler(int signal)
{
	pid_t pid = fork();

	(void)signal;
	if (pid == 0)
		_exit(0);
	if (pid > 0) {
		waitpid(pid, NULL, 0);
		forks++;
	}
}

static void attach_and_detach(struct shmring_ring *r, int i)
{
	struct shmring_producer *p;
	struct shmring_consumer *c;

	if (i % 2 == 0) {
		must(shmring_producer_attach(&p, r, NULL));
		shmring_producer_detach(p);
	} else {
		must(shmring_consumer_attach(&c, r, NULL));
		shmring_consumer_detach(c);
	}
}

static void interrupt_by_timer(struct shmring_ring *r, int signal_number)
{
	/* A fork must end before the next one is due, or the test makes no progress. */
	const long us = room_is_sanitized() ? 20000 : 1000;
	const struct itimerval often = { { 0, us }, { 0, us } }, never = { 0 };
	struct sigaction sa = { .sa_handler = fork_in_handler, .sa_flags = SA_RESTART };

	forks = 0;
	ck_assert_int_eq(sigaction(signal_number, &sa, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	for (int i = 0; i < ATTACHMENTS || forks < FORKS; i++)
		attach_and_detach(r, i);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	signal(signal_number, SIG_DFL);
}

START_TEST(handler_forks)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = way_create((enum way)_i, &config);

	interrupt_by_timer(r, SIGALRM);
	ck_assert_int_eq(must(shmring_reap(r)), 0);
	shmring_close(r);
}
END_TEST

START_TEST(handler_forks_and_the_broker_gives_the_ring)
{
	struct shmring_config config = small_config();
	struct child broker;
	struct shmring_ring *r;

	shmringd_start(&broker, NULL);
	config.flags = _i ? SHMRING_ISOLATED : 0;
	must(shmring_create(&r, "broker:ring", &config));
	interrupt_by_timer(r, SIGALRM);
	shmring_close(r);
	must(shmring_remove("broker:ring"));
	shmringd_end(&broker);
}
END_TEST

static sem_t handled;
static struct shmring_ring *shared;
static volatile sig_atomic_t failures;

/* The child of a crash reporter examines the ring, and attaches for that. */
static void attach_in_child(void)
{
	struct shmring_consumer *c;

	alarm(10); /* it must not wait for the attach that the fault interrupted */
	_exit(shmring_join(shared) < 0 || shmring_consumer_attach(&c, shared, NULL) < 0);
}

static void report_in_child(int signal)
{
	pid_t pid = fork();
	int status = 0;

	(void)signal;
	if (pid == 0)
		attach_in_child();
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		failures++;
	forks++;
	sem_post(&handled);
}

/* Faults cannot be kept away: the fork of their handler passes the guard. */
static void *raise_faults(void *thread)
{
	for (int i = 0; i < FORKS; i++) {
		pthread_kill(*(pthread_t *)thread, SIGSEGV);
		while (sem_wait(&handled) < 0)
			ck_assert_int_eq(errno, EINTR);
	}
	return NULL;
}

static int crash_in_child(int socket, void *ring)
{
	struct sigaction sa = { .sa_handler = report_in_child, .sa_flags = SA_RESTART };
	pthread_t self = pthread_self(), other;
	struct shmring_ring *r = ring;

	(void)socket;
	must(shmring_join(r));
	shared = r;
	ck_assert_int_eq(sem_init(&handled, 0, 0), 0);
	ck_assert_int_eq(sigaction(SIGSEGV, &sa, NULL), 0);
	ck_assert_int_eq(pthread_create(&other, NULL, raise_faults, &self), 0);
	for (int i = 0; forks < FORKS; i++)
		attach_and_detach(r, i);
	ck_assert_int_eq(pthread_join(other, NULL), 0);
	ck_assert_int_eq(failures, 0);
	signal(SIGSEGV, SIG_DFL);
	return 0;
}

START_TEST(crash_reporter_forks)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = way_create((enum way)_i, &config);
	struct child c;

	child_fork(&c, crash_in_child, r);
	child_end(&c);
	shmring_close(r);
}
END_TEST

static void *attach_for_ever(void *ring)
{
	for (int i = 0;; i++) {
		attach_and_detach(ring, i);
		pthread_testcancel();
	}
	return NULL;
}

/* The thread is cancelled in the call in which it spends nearly all its time. */
static int cancel_in_child(int socket, void *ring)
{
	struct shmring_ring *r = ring;
	pthread_t thread;
	void *result;

	(void)socket;
	must(shmring_join(r));
	for (int i = 0; i < CANCELLED; i++) {
		ck_assert_int_eq(pthread_create(&thread, NULL, attach_for_ever, r), 0);
		attach_and_detach(r, i);
		ck_assert_int_eq(pthread_cancel(thread), 0);
		ck_assert_int_eq(pthread_join(thread, &result), 0);
		ck_assert(result == PTHREAD_CANCELED);
		attach_and_detach(r, i + 1);
	}
	return 0;
}

/* In a process of its own: the C library keeps the stacks of threads. */
static void cancel_many(struct shmring_ring *r)
{
	struct child c;

	child_fork(&c, cancel_in_child, r);
	child_end(&c);
}

START_TEST(thread_is_cancelled)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = way_create((enum way)_i, &config);

	cancel_many(r);
	ck_assert_int_eq(must(shmring_reap(r)), 0);
	shmring_close(r);
}
END_TEST

START_TEST(thread_is_cancelled_and_the_broker_gives_the_ring)
{
	struct shmring_config config = small_config();
	struct child broker;
	struct shmring_ring *r;

	shmringd_start(&broker, NULL);
	config.flags = _i ? SHMRING_ISOLATED : 0;
	must(shmring_create(&r, "broker:ring", &config));
	cancel_many(r);
	shmring_close(r);
	must(shmring_remove("broker:ring"));
	shmringd_end(&broker);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("interrupted-attach");
	TCase *tc = room_case(s, "interrupted-attach", 30);

	tcase_add_loop_test(tc, handler_forks, 0, 2);
	tcase_add_loop_test(tc, handler_forks_and_the_broker_gives_the_ring, 0, 2);
	tcase_add_loop_test(tc, crash_reporter_forks, 0, 1);
	tcase_add_loop_test(tc, thread_is_cancelled, 0, 1);
	tcase_add_loop_test(tc, thread_is_cancelled_and_the_broker_gives_the_ring, 0, 2);
	return run_suite(s);
}
