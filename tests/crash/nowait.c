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

#include "must.h"
#include "room.h"
#include "runner.h"
#include "step.h"
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

static int publish_one(void *producer)
{
	char data[SHORT] = "";

	return shmring_publish(producer, data, SHORT, SHMRING_NOWAIT);
}

static int publish_at_the_limit(int socket, void *arg)
{
	struct shmring_ring *r = arg;
	struct shmring_producer *p;
	int first, second;

	(void)socket;
	must(shmring_join(r));
	p = producer_attach(r);
	come_to_the_limit(p);
	first = step_run(publish_one, p);
	if (first != 0) {
		must_fail(EAGAIN, first);
		second = publish_one(p);
		ck_assert_msg(second == -EAGAIN, "refused, although there is room");
	}
	shmring_producer_detach(p);
	shmring_close(r);
	return 0;
}

struct trial {
	struct shmring_ring *ring;
	struct child helper;
	struct step step;
};

/* The helper stands before the call. */
static void begin(struct trial *t)
{
	struct shmring_config config = small_config();

	config.lanes = 1;
	must(shmring_create(&t->ring, NULL, &config));
	child_fork(&t->helper, publish_at_the_limit, t->ring);
	step_catch(&t->step, &t->helper, publish_one);
}

static void end(struct trial *t)
{
	step_release(&t->step);
	child_end(&t->helper);
}

static uintptr_t addresses[MAX_PATH];
static uint32_t nth[MAX_PATH];
static struct step_path path = { .address = addresses, .nth = nth };

static void record(void)
{
	struct trial t;

	begin(&t);
	do {
		ck_assert_uint_lt(path.length, MAX_PATH);
		addresses[path.length++] = t.step.address;
	} while (step_on(&t.step));
	end(&t);
	shmring_close(t.ring);
	step_count(&path);
}

/* A consumer joins when so many instructions of the call have been executed. */
static void join_at(uint64_t k)
{
	struct shmring_consumer *c;
	struct trial t;

	begin(&t);
	ck_assert_msg(step_along(&t.step, &path, k), "the helper does not do what it did");
	ck_assert(k == path.length || t.step.address == path.address[k]);
	c = consumer_attach(t.ring, NULL, SHMRING_START_OLDEST, 0);
	end(&t);
	shmring_consumer_detach(c);
	shmring_close(t.ring);
}

/* Does it stand there at no other time before, or at none after? */
static bool is_first_or_last(uint64_t k)
{
	if (k == path.length || path.nth[k] == 1)
		return true;
	for (uint64_t i = k + 1; i < path.length; i++)
		if (path.address[i] == path.address[k])
			return false;
	return true;
}

START_TEST(nowait_is_refused_only_when_there_is_nothing)
{
	unsigned stops = 0;

	if (step_obstacle())
		room_skip("%s", step_obstacle());
	record();
	ck_assert_uint_gt(path.length, 500); /* not the short way */
	for (uint64_t k = 0; k <= path.length; k++) {
		if ((room_is_sanitized() && k % SAMPLE != 0) || !is_first_or_last(k))
			continue;
		join_at(k);
		stops++;
	}
	printf("# %ju instructions, stopped at %u\n", (uintmax_t)path.length, stops);
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
