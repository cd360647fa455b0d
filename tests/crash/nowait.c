/* SPDX-License-Identifier: MIT */
/*
 * A producer that does not wait is refused only if there is no room, also when a
 * consumer joins while it looks. It is stopped at each instruction of the call,
 * in turn, a consumer joins at the oldest message, and it goes on. Of those that
 * it executes again and again, the first and the last time stand for all.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <check.h>

#include "intercept.h"
#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 7, LONG = 1000, LONG_RECORD = 1008, SHORT = 8, SHORT_RECORD = 16, LONG_ONES = 200 };
enum { MAX_PATH = 100000, SAMPLE = 11 };

/*
 * Fill the lane more than once, and go on to the end of a sixteenth, where room
 * has to be asked for.
 */
static void come_to_the_limit(struct shmring_producer *p)
{
	uint64_t chunk = SHMRING_MIN_LANE_SIZE / 16, at = LONG_ONES * LONG_RECORD;
	uint64_t left = chunk - at % chunk;
	char data[SHORT] = "";

	publish_numbers(p, SOURCE, 0, LONG_ONES, LONG);
	for (; left >= 2 * SHORT_RECORD; left -= SHORT_RECORD)
		must(shmring_publish(p, data, SHORT, SHMRING_NOWAIT));
}

static int publish_at_the_limit(int socket, void *arg)
{
	struct shmring_ring *r = arg;
	char data[SHORT] = "";
	struct shmring_producer *p;
	int first, second;

	must(shmring_join(r));
	p = producer_attach(r);
	come_to_the_limit(p);
	step_tell(socket);
	intercept_begin();
	first = shmring_publish(p, data, SHORT, SHMRING_NOWAIT);
	intercept_end_of_steps();
	if (first != 0) {
		must_fail(EAGAIN, first);
		second = shmring_publish(p, data, SHORT, SHMRING_NOWAIT);
		ck_assert_msg(second == -EAGAIN, "refused, although there is room");
	}
	shmring_producer_detach(p);
	shmring_close(r);
	return 0;
}

/* A run: the helper stands where `stop` brings it, and a consumer joins. */
static unsigned run(unsigned (*stop)(pid_t pid, void *arg), void *arg, bool join)
{
	struct shmring_config config = small_config();
	struct shmring_consumer *c = NULL;
	struct child helper;
	struct shmring_ring *r;
	unsigned result;

	config.lanes = 1;
	must(shmring_create(&r, NULL, &config));
	child_fork(&helper, publish_at_the_limit, r);
	step_await(helper.socket);
	result = stop(helper.pid, arg);
	if (join)
		c = consumer_attach(r, NULL, SHMRING_START_OLDEST, 0);
	intercept_leave(helper.pid);
	child_end(&helper);
	shmring_consumer_detach(c);
	shmring_close(r);
	return result;
}

static uint64_t path[MAX_PATH]; /* where it stands after each instruction */

static unsigned to_the_end(pid_t pid, void *arg)
{
	(void)arg;
	return intercept_trace(pid, path, MAX_PATH);
}

static unsigned to_instruction(pid_t pid, void *arg)
{
	const unsigned *number = arg;

	intercept_step(pid, *number + 1);
	return *number;
}

/* Does it stand there at no other time before, or at none after? */
static bool is_first_or_last(unsigned number, unsigned count)
{
	bool first = true, last = true;

	for (unsigned i = 0; i < number; i++)
		first = first && path[i] != path[number];
	for (unsigned i = number + 1; i < count; i++)
		last = last && path[i] != path[number];
	return first || last;
}

START_TEST(nowait_is_refused_only_when_there_is_nothing)
{
	const char *why;
	unsigned count, stops = 0;

	if (!intercept_works(&why))
		room_skip("%s", why);
	count = run(to_the_end, NULL, false);
	ck_assert_uint_gt(count, 500); /* not the short way */
	for (unsigned i = 0; i < count; i++) {
		if (!is_first_or_last(i, count) || (room_is_sanitized() && i % SAMPLE != 0))
			continue;
		run(to_instruction, &i, true);
		stops++;
	}
	printf("# %u instructions, stopped at %u\n", count, stops);
	fflush(stdout);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("nowait");
	TCase *tc = room_case(s, "nowait", 60);

	tcase_add_test(tc, nowait_is_refused_only_when_there_is_nothing);
	return run_suite(s);
}
