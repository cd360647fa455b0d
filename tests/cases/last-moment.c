/* SPDX-License-Identifier: MIT */
/*
 * The other side does its last work, and leaves, at the worst moment: while a call that is
 * about to report the end looks at the clock. The program's own clock_gettime(2) makes that
 * moment: the library calls it in place of libc's.
 */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SIZE = 1000, LAP = 65536 / SIZE };

#define MS INT64_C(1000000)

static void (*at_clock)(void); /* what happens when the clock is read */
static int times;	       /* after so many earlier readings */

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	void (*act)(void) = at_clock;

	if (act && times-- == 0) {
		at_clock = NULL;
		act();
	}
	return (int)syscall(SYS_clock_gettime, clock, ret);
}

static struct shmring_ring *r;
static struct shmring_producer *producer;
static struct shmring_consumer *consumer;

static void make(uint32_t slow, uint32_t unread)
{
	struct shmring_config config = small_config();

	config.lanes = 1;
	config.slow_policy = slow;
	config.evict_after_ns = 1 * MS;
	config.max_sleep_ns = 1 * MS;
	config.unread_policy = unread;
	r = ring_create(&config);
}

/* Publish more than a lap of messages that look like the end of a lane everywhere; then leave. */
static void overwrite_and_leave(void)
{
	static const unsigned char zeros[SIZE];

	for (int i = 0; i < LAP + LAP / 2; i++)
		must(shmring_publish(producer, zeros, sizeof(zeros), patience()));
	shmring_producer_detach(producer);
}

/* The first peek finds no message; everything happens while it looks for remaining producers. */
START_TEST(evicted_just_before_the_end)
{
	struct shmring_message m;
	uint64_t next = 0;
	int e;

	make(SHMRING_SLOW_EVICT, SHMRING_UNREAD_OVERWRITE);
	producer = producer_attach(r);
	consumer = consumer_attach(r, NULL, 0, SHMRING_UNTIL_END);
	at_clock = overwrite_and_leave;
	while ((e = shmring_peek(consumer, SHMRING_NOWAIT, &m)) == 0) {
		ck_assert_uint_eq(m.seq, next + facts_of(consumer, &m).lost);
		next = m.seq + 1;
		must(shmring_release(consumer));
	}
	ck_assert_ptr_null(at_clock);
	ck_assert_int_eq(e, -EPIPE);
	ck_assert_uint_eq(next, LAP + LAP / 2);
	shmring_consumer_detach(consumer);
	shmring_close(r);
}
END_TEST

/* A producer with SHMRING_WHILE_READ in a full ring. */
static void fill(uint32_t flags)
{
	const struct shmring_producer_options options = {
		.size = sizeof(options),
		.spin_ns = SHMRING_SPIN_NEVER,
		.flags = flags,
	};

	must(shmring_producer_attach(&producer, r, &options));
	publish_until_full(producer, 1, 0, SIZE);
}

static void leave_room(void)
{
	shmring_consumer_detach(consumer);
}

/* Room that the last consumer makes counts, and the producer does not get the end. */
START_TEST(room_is_left_just_before_the_end)
{
	make(SHMRING_SLOW_BLOCK, SHMRING_UNREAD_OVERWRITE);
	consumer = consumer_attach(r, NULL, 0, 0);
	fill(SHMRING_WHILE_READ);
	times = _i;
	at_clock = leave_room;
	must(shmring_publish(producer, "x", 1, SHMRING_NOWAIT));
	ck_assert_ptr_null(at_clock);
	shmring_producer_detach(producer);
	shmring_close(r);
}
END_TEST

/* In a ring that was removed the code is another one, and every call gets it. */
START_TEST(room_is_left_in_a_removed_ring)
{
	make(SHMRING_SLOW_BLOCK, SHMRING_UNREAD_OVERWRITE);
	consumer = consumer_attach(r, NULL, 0, 0);
	fill(0);
	must(shmring_remove(room_path("ring")));
	times = _i;
	at_clock = leave_room;
	must(shmring_publish(producer, "x", 1, patience()));
	ck_assert_ptr_null(at_clock);
	shmring_producer_detach(producer);
	shmring_close(r);
}
END_TEST

static pid_t reader;

static void start_reader(void)
{
	struct shmring_consumer *c;
	int ready[2];
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	reader = fork();
	ck_assert_int_ge(reader, 0);
	if (reader == 0) {
		if (shmring_join(r) == 0 && shmring_consumer_attach(&c, r, NULL) == 0)
			(void)!write(ready[1], "x", 1);
		pause();
		_exit(0);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
}

static void kill_reader(void)
{
	kill(reader, SIGKILL);
	ck_assert_int_eq(waitpid(reader, NULL, 0), reader);
}

START_TEST(consumer_is_killed_just_before_the_end)
{
	make(SHMRING_SLOW_BLOCK, SHMRING_UNREAD_OVERWRITE);
	start_reader();
	fill(SHMRING_WHILE_READ);
	times = _i;
	at_clock = kill_reader;
	must(shmring_publish(producer, "x", 1, patience()));
	ck_assert_ptr_null(at_clock);
	shmring_producer_detach(producer);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("last-moment");
	TCase *tc = room_case(s, "last-moment", 20);

	tcase_add_test(tc, evicted_just_before_the_end);
	tcase_add_loop_test(tc, room_is_left_just_before_the_end, 0, 2);
	tcase_add_loop_test(tc, room_is_left_in_a_removed_ring, 0, 20);
	tcase_add_loop_test(tc, consumer_is_killed_just_before_the_end, 0, 20);
	return run_suite(s);
}
