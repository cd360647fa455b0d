/* SPDX-License-Identifier: MIT */
/*
 * Waits that are cancelled, from another thread or a signal handler: the wait that is
 * going on, or the next one, whatever the moment. The longest sleep of the rings is ten
 * seconds, which shows every cancellation that is lost.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include <check.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 44, SIZE = 1000, ROUNDS = 300, LIMIT_MS = 8000 };

#define MS INT64_C(1000000)

static struct shmring_ring *ring;
static struct shmring_consumer *consumer;
static struct shmring_producer *producer;

static void begin(void)
{
	struct shmring_config config = small_config();

	config.max_sleep_ns = 10000 * MS;
	config.unread_policy = SHMRING_UNREAD_HOLD;
	ring = ring_create(&config);
}

static void attach_consumer(uint32_t flags, int64_t spin_ns)
{
	struct shmring_consumer_options options = { .size = sizeof(options),
						    .flags = flags,
						    .spin_ns = spin_ns };

	must(shmring_consumer_attach(&consumer, ring, &options));
}

static void attach_producer(int64_t spin_ns)
{
	struct shmring_producer_options options = { .size = sizeof(options), .spin_ns = spin_ns };

	must(shmring_producer_attach(&producer, ring, &options));
	publish_until_full(producer, SOURCE, 0, SIZE);
}

static void end(void)
{
	shmring_consumer_detach(consumer);
	shmring_producer_detach(producer);
	shmring_close(ring);
}

/* The ways to wait. */
static int wait_in_peek(void)
{
	struct shmring_message m;

	return shmring_peek(consumer, patience(), &m);
}

static int wait_in_claim(void)
{
	void *data;

	return shmring_claim(producer, SIZE, patience(), &data);
}

static int wait_for_several(void)
{
	struct shmring_wait_item w = { .what = shmring_consumer_waitable(consumer) };

	return shmring_wait(&w, 1, patience());
}

static int wait_for_room_among_several(void)
{
	struct shmring_wait_item w = { .what = shmring_producer_waitable(producer, SIZE) };

	return shmring_wait(&w, 1, patience());
}

/* Wait until the descriptor is readable, and return the result of arming. */
static int wait_by_descriptor(int fd, int (*arm)(void))
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int e;

	while ((e = arm()) == 0)
		ck_assert(poll(&p, 1, LIMIT_MS) == 1 || errno == EINTR);
	return e;
}

static int arm_consumer(void)
{
	return shmring_consumer_arm(consumer);
}

static int arm_producer(void)
{
	return shmring_producer_arm(producer, SIZE);
}

static int wait_for_readable(void)
{
	int fd = (int)must(shmring_consumer_fd(consumer, SHMRING_FD_THREAD));

	return wait_by_descriptor(fd, arm_consumer);
}

static int wait_for_writable(void)
{
	int fd = (int)must(shmring_producer_fd(producer, SHMRING_FD_THREAD));

	return wait_by_descriptor(fd, arm_producer);
}

static const struct {
	int (*wait)(void);
	bool produces;
	uint32_t flags;
	int64_t spin_ns;
	uint64_t watermark;
} ways[] = {
	{ .wait = wait_in_peek, .spin_ns = SHMRING_SPIN_NEVER },
	{ .wait = wait_in_peek, .spin_ns = SHMRING_SPIN_ADAPTIVE },
	{ .wait = wait_in_peek, .spin_ns = SHMRING_SPIN_ALWAYS },
	{ .wait = wait_in_peek, .watermark = 5 },
	{ .wait = wait_in_peek, .flags = SHMRING_OBSERVE },
	{ .wait = wait_for_several, .spin_ns = SHMRING_SPIN_NEVER },
	{ .wait = wait_for_several, .spin_ns = SHMRING_SPIN_ALWAYS },
	{ .wait = wait_for_several, .flags = SHMRING_OBSERVE },
	{ .wait = wait_for_readable },
	{ .wait = wait_for_readable, .flags = SHMRING_OBSERVE },
	{ .wait = wait_in_claim, .produces = true, .spin_ns = SHMRING_SPIN_NEVER },
	{ .wait = wait_in_claim, .produces = true, .spin_ns = SHMRING_SPIN_ALWAYS },
	{ .wait = wait_for_room_among_several, .produces = true },
	{ .wait = wait_for_writable, .produces = true },
};

static void begin_way(int way)
{
	begin();
	if (ways[way].produces)
		attach_producer(ways[way].spin_ns);
	else
		attach_consumer(ways[way].flags, ways[way].spin_ns);
	if (ways[way].watermark != 0)
		must(shmring_consumer_watermark(consumer, ways[way].watermark, 0, 0));
}

static int cancel(void)
{
	return producer ? shmring_producer_cancel(producer) : shmring_consumer_cancel(consumer);
}

static pthread_barrier_t start;

/* libc keeps the stack, which without a guard is no mapping of its own. */
static void start_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
	pthread_attr_t attributes;

	ck_assert_int_eq(pthread_attr_init(&attributes), 0);
	ck_assert_int_eq(pthread_attr_setguardsize(&attributes, 0), 0);
	ck_assert_int_eq(pthread_create(thread, &attributes, run, arg), 0);
	pthread_attr_destroy(&attributes);
}

/* Any time after the beginning of a wait, or before it. */
static void *cancel_each(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct timespec delay = { .tv_nsec = (long)random_below(&seed, 200000) };

		pthread_barrier_wait(&start);
		if (i % 2)
			nanosleep(&delay, NULL);
		must(cancel());
	}
	return NULL;
}

START_TEST(wait_is_cancelled_at_any_moment)
{
	uint64_t seed = random_seed();
	int64_t limit = patience();
	pthread_t other;

	begin_way(_i);
	ck_assert_int_eq(pthread_barrier_init(&start, NULL, 2), 0);
	start_thread(&other, cancel_each, &seed);
	for (int i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&start);
		must_fail(ECANCELED, ways[_i].wait());
		ck_assert_int_lt(clock_now(), limit);
	}
	ck_assert_int_eq(pthread_join(other, NULL), 0);
	pthread_barrier_destroy(&start);
	end();
}
END_TEST

START_TEST(cancellation_is_reported_once_and_by_waits_only)
{
	struct shmring_message m;

	begin();
	attach_consumer(0, 0);
	must(shmring_consumer_cancel(consumer));
	must(shmring_consumer_cancel(consumer));
	must_fail(EAGAIN, shmring_peek(consumer, SHMRING_NOWAIT, &m));
	must_fail(ECANCELED, wait_in_peek());
	must_fail(ETIMEDOUT, shmring_peek(consumer, shmring_deadline(MS), &m));

	/* A call that finds a message does not wait. */
	must(shmring_consumer_cancel(consumer));
	must(shmring_producer_attach(&producer, ring, NULL));
	publish_numbers(producer, SOURCE, 0, 1, SIZE);
	must(wait_in_peek());
	must_fail(ECANCELED, wait_in_peek());
	end();
}
END_TEST

static void handle(int signal)
{
	(void)signal;
	cancel();
}

/* The handler runs in the wait, or before it. */
START_TEST(signal_handler_cancels_what_it_interrupts)
{
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
	struct itimerspec in_a_moment = { 0 };
	timer_t timer;

	begin_way(_i);
	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
	for (int i = 0; i < ROUNDS; i++) {
		int e;

		in_a_moment.it_value.tv_nsec = 1 + i * 1000;
		ck_assert_int_eq(timer_settime(timer, 0, &in_a_moment, NULL), 0);
		do
			e = ways[_i].wait();
		while (e == -EINTR);
		ck_assert_int_eq(e, -ECANCELED);
	}
	timer_delete(timer);
	end();
}
END_TEST

static void *cancel_all_the_time(void *arg)
{
	bool *over = arg;

	while (!__atomic_load_n(over, __ATOMIC_ACQUIRE))
		must(cancel());
	return NULL;
}

/* Other sleepers on the same bell are still woken by their messages. */
START_TEST(cancellation_costs_other_sleepers_no_wake_up)
{
	struct peer_command command = { .op = PEER_CONSUMER, .spin_ns = SHMRING_SPIN_NEVER };
	int64_t limit = patience();
	bool over = false;
	pthread_t other;
	struct peer c;

	begin();
	ring_start(&c);
	ck_assert_int_eq(peer_call(&c, &command), 0);
	attach_consumer(0, SHMRING_SPIN_NEVER);
	start_thread(&other, cancel_all_the_time, &over);
	must(shmring_producer_attach(&producer, ring, NULL));
	for (uint64_t i = 0; i < ROUNDS; i++) {
		peer_tell_consume(&c, 1);
		publish_numbers(producer, SOURCE, i, 1, 40);
		ck_assert_int_eq(peer_answer(&c), 1);
		while (wait_in_peek() == -ECANCELED)
			;
		must(shmring_release(consumer));
		ck_assert_int_lt(clock_now(), limit);
	}
	__atomic_store_n(&over, true, __ATOMIC_RELEASE);
	ck_assert_int_eq(pthread_join(other, NULL), 0);
	audit_must_be(&c.answer.audit, ROUNDS, 0);
	peer_quit(&c);
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cancel");
	TCase *tc = room_case(s, "cancel", 40);
	const int count = sizeof(ways) / sizeof(*ways);

	tcase_add_loop_test(tc, wait_is_cancelled_at_any_moment, 0, count);
	tcase_add_test(tc, cancellation_is_reported_once_and_by_waits_only);
	tcase_add_loop_test(tc, signal_handler_cancels_what_it_interrupts, 0, count);
	tcase_add_test(tc, cancellation_costs_other_sleepers_no_wake_up);
	return run_suite(s);
}
