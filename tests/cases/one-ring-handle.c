/* SPDX-License-Identifier: MIT */
/*
 * A program opens its ring once, and all its threads use that handle at one time: they attach and
 * detach, examine the ring, clean up after dead processes, drop names and wait for each other. The
 * thread sanitizer looks at the handle (make check-threads).
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
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

enum { THREADS = 4, ROUNDS = 25 };

static struct shmring_ring *ring;
static pthread_barrier_t barrier;

/* libc keeps the stack, which without a guard is no mapping of its own. */
static pthread_t start_thread(void *(*run)(void *arg), uintptr_t number)
{
	pthread_attr_t attributes;
	pthread_t t;

	ck_assert_int_eq(pthread_attr_init(&attributes), 0);
	ck_assert_int_eq(pthread_attr_setguardsize(&attributes, 0), 0);
	ck_assert_int_eq(pthread_create(&t, &attributes, run, (void *)number), 0);
	pthread_attr_destroy(&attributes);
	return t;
}

static void run_threads(void *(*run)(void *arg))
{
	pthread_t threads[THREADS];

	ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, THREADS), 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		threads[i] = start_thread(run, i);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	pthread_barrier_destroy(&barrier);
}

static struct shmring_config config_of_threads(void)
{
	struct shmring_config config = small_config();

	mallopt(M_ARENA_MAX, 1); /* libc keeps the memory of threads as well */
	config.lanes = THREADS;
	return config;
}

static void examine(unsigned index)
{
	struct shmring_consumer_stat consumer = { .size = sizeof(consumer) };
	struct shmring_lane_stat lane = { .size = sizeof(lane) };
	struct shmring_ring_stat st = { .size = sizeof(st) };

	must(shmring_stat(ring, &st));
	ck_assert_uint_eq(st.lanes, THREADS);
	must(shmring_stat_lane(ring, index, &lane));
	must(shmring_stat_consumer(ring, index, &consumer));
	must(shmring_fd(ring));
	ck_assert_uint_eq(shmring_stamp_now(ring), 0);
}

static void *attach_and_examine(void *arg)
{
	const unsigned number = (unsigned)(uintptr_t)arg;
	char name[16];

	snprintf(name, sizeof(name), "thread%u", number);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < ROUNDS; i++) {
		struct shmring_producer *p = producer_attach(ring);
		struct shmring_consumer *c = consumer_attach(ring, name, 0, 0);
		struct shmring_message m;

		must(shmring_publish(p, "x", 1, SHMRING_NOWAIT));
		must(shmring_peek(c, patience(), &m));
		must(shmring_release(c));
		examine(number);
		ck_assert_int_ge(must(shmring_wait_producers(ring, 1, SHMRING_NOWAIT)), 1);
		ck_assert_int_ge(must(shmring_wait_consumers(ring, 1, SHMRING_NOWAIT)), 1);
		must_fail(EBUSY, shmring_forget(ring, name));
		ck_assert_int_eq(must(shmring_reap(ring)), 0);
		shmring_consumer_detach(c);
		must(shmring_forget(ring, name));
		shmring_producer_detach(p);
	}
	return NULL;
}

START_TEST(threads_attach_and_examine_through_one_handle)
{
	struct shmring_config config = config_of_threads();

	ring = ring_create(&config);
	run_threads(attach_and_examine);
	shmring_close(ring);
}
END_TEST

START_TEST(threads_attach_and_examine_through_one_handle_of_the_broker)
{
	struct shmring_config config = config_of_threads();
	struct child broker;

	shmringd_start(&broker, NULL);
	must(shmring_create(&ring, "broker:ring", &config));
	run_threads(attach_and_examine);
	shmring_close(ring);
	must(shmring_remove("broker:ring"));
	shmringd_end(&broker);
}
END_TEST

/* Each waits until all are attached; the last detach frees what the close has left. */
static void *outlive_the_handle(void *arg)
{
	struct shmring_producer *p = producer_attach(ring);

	ck_assert_int_eq(must(shmring_wait_producers(ring, THREADS, patience())), THREADS);
	if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
		shmring_close(ring);
	must(shmring_publish(p, &arg, sizeof(arg), SHMRING_NOWAIT));
	shmring_producer_detach(p);
	return NULL;
}

START_TEST(attachments_of_threads_outlive_the_handle)
{
	struct shmring_config config = config_of_threads();

	for (int i = 0; i < ROUNDS; i++) {
		ring = ring_create(&config);
		run_threads(outlive_the_handle);
		must(shmring_remove(room_path("ring")));
	}
}
END_TEST

static void *look_for_others(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&barrier);
	ck_assert_int_eq(must(shmring_wait_producers(ring, 1, SHMRING_NOWAIT)), 1);
	return NULL;
}

/* Each thread would open the file anew; they agree on one descriptor. */
START_TEST(threads_replace_a_descriptor_that_the_program_closed)
{
	struct shmring_config config = config_of_threads();
	struct shmring_producer *p;

#ifdef __SANITIZE_THREAD__
	/* One thread examines the number that another one just gets: the kernel keeps them apart.
	 */
	room_skip("the thread sanitizer takes the reuse of a descriptor's number for a race");
#endif
	for (int i = 0; i < 8 * ROUNDS; i++) {
		ring = ring_create(&config);
		p = producer_attach(ring);
		ck_assert_int_eq(close((int)must(shmring_fd(ring))), 0);
		run_threads(look_for_others);
		shmring_producer_detach(p);
		shmring_close(ring);
		must(shmring_remove(room_path("ring")));
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("one-ring-handle");
	TCase *tc = room_case(s, "one-ring-handle", 60);

	tcase_add_test(tc, threads_attach_and_examine_through_one_handle);
	tcase_add_test(tc, threads_attach_and_examine_through_one_handle_of_the_broker);
	tcase_add_test(tc, attachments_of_threads_outlive_the_handle);
	tcase_add_test(tc, threads_replace_a_descriptor_that_the_program_closed);
	return run_suite(s);
}
