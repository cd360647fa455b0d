/* SPDX-License-Identifier: MIT */
/*
 * waitable: wait for several; see waitable.h.
 */
#include "waitable.h"

#include <errno.h>

#include <shmring/shmring.h>

#include "doorbell.h"
#include "explain.h"
#include "in-use.h"
#include "sys.h"

#define LOOK_AFTER_NS INT64_C(1000000)
#define SLICE_NS INT64_C(1000000) /* of a sleep on one bell in place of all */

static int check(const struct shmring_wait_item *waits, int count)
{
	if (count < 1 || count > SHMRING_MAX_WAITS)
		return explain(-EINVAL, "a wait takes 1 to %u handles",
			       (uint64_t)SHMRING_MAX_WAITS);
	for (int i = 0; i < count; i++)
		if (!waits[i].what->look)
			return explain(-ECHILD,
				       "a handle belongs to the parent process; attach one "
				       "here");
	return 0;
}

/* How many have something; or the first error, if none has. */
static int look_at_all(struct shmring_wait_item *waits, int count)
{
	int ready = 0, error = 0;

	for (int i = 0; i < count; i++) {
		int e = waits[i].what->look(waits[i].what);

		waits[i].ready = e > 0;
		ready += e > 0;
		if (e < 0 && error == 0)
			error = e;
	}
	return ready > 0 ? ready : error;
}

/* The first handle that was cancelled answers for all. */
static int check_cancels(struct shmring_wait_item *waits, int count)
{
	int e = 0;

	for (int i = 0; e == 0 && i < count; i++)
		e = shmr_bell_check_cancel(waits[i].what->side);
	return e;
}

/* How many have something; the others are armed. Or an error. */
static int arm_all(struct shmring_wait_item *waits, int count, struct shmr_sleep *sleeps)
{
	int ready = 0;

	for (int i = 0; i < count; i++) {
		int e = waits[i].what->arm(waits[i].what, &sleeps[i].seen);

		if (e < 0)
			return e;
		sleeps[i].word = waits[i].what->bell;
		waits[i].ready = e;
		ready += e;
	}
	return ready;
}

static void disarm_all(struct shmring_wait_item *waits, int count)
{
	for (int i = 0; i < count; i++)
		waits[i].what->disarm(waits[i].what);
}

/*
 * What a waiter does for the ring besides waiting, once in a millisecond: arming finds dead and
 * slow consumers in the way, and comes back after an eviction. A look does not.
 */
static int look_after_all(struct shmring_wait_item *waits, int count)
{
	struct shmr_sleep sleeps[SHMRING_MAX_WAITS];
	int e = arm_all(waits, count, sleeps);

	disarm_all(waits, count);
	return e;
}

/* For calls that never wait: not at each of them, because arming costs a barrier. */
static int look_after_now_and_then(struct shmring_wait_item *waits, int count)
{
	int64_t now = shmr_now();

	if (now - waits[0].what->looked_after_ns < LOOK_AFTER_NS)
		return 0;
	waits[0].what->looked_after_ns = now;
	return look_after_all(waits, count);
}

/* The one that would spin longest alone spins for all; NULL: none would. */
static struct shmring_waitable *find_spinner(const struct shmring_wait_item *waits, int count,
					     int64_t now)
{
	struct shmring_waitable *longest = NULL;

	for (int i = 0; i < count; i++) {
		struct shmring_waitable *w = waits[i].what;

		if (w->no_spin)
			continue;
		shmr_spin_learn(&w->side->spin, now);
		if (w->side->spin.budget_ns > 0 &&
		    (!longest || w->side->spin.budget_ns > longest->side->spin.budget_ns))
			longest = w;
	}
	return longest;
}

static int spin(struct shmring_wait_item *waits, int count, int64_t deadline)
{
	int64_t now = shmr_now();
	struct shmring_waitable *spinner = find_spinner(waits, count, now);
	struct spin spin = { 0 };
	int ready = 0;

	if (!spinner)
		return 0;
	shmr_spin_begin(&spin, &spinner->side->spin, now, deadline);
	while (ready == 0 && !spin.over) {
		bool goes_on = shmr_spin(&spin, &spinner->side->spin, deadline, spinner->counters);

		if (goes_on)
			ready = look_at_all(waits, count);
		else if (!spin.over)
			ready = look_after_all(waits, count);
		if (ready == 0 && !goes_on)
			ready = check_cancels(waits, count);
	}
	return ready;
}

static int64_t wake_up_at(const struct shmring_wait_item *waits, int count, int64_t now,
			  int64_t deadline)
{
	int64_t until = deadline;

	for (int i = 0; i < count; i++)
		if (waits[i].what->longest_ns < until - now)
			until = now + waits[i].what->longest_ns;
	return until;
}

/* Before Linux 5.16: sleep on one bell after the other, for a moment each. */
static int sleep_in_turn(const struct shmr_sleep *sleeps, unsigned turn, int64_t until)
{
	int64_t slice = shmr_now() + SLICE_NS;

	return shmr_futex_wait(sleeps[turn].word, sleeps[turn].seen, slice < until ? slice : until);
}

/* Count a sleep for each handle, and one system call. */
static void count_sleep(const struct shmring_wait_item *waits, int count)
{
	for (int i = 0; i < count; i++)
		waits[i].what->counters->sleeps++;
	waits[0].what->counters->system_calls++;
}

/* Returns 0 or -EAGAIN if a bell rang, else -ETIMEDOUT or -EINTR. */
static int sleep_on_all(const struct shmr_sleep *sleeps, int count, unsigned turn, int64_t until)
{
	int e = shmr_futex_wait_any(sleeps, (unsigned)count, until);

	if (e == -ENOSYS || e == -EPERM)
		e = sleep_in_turn(sleeps, turn % (unsigned)count, until);
	return e;
}

/* A ring for another sleeper moves the bells, too: the time to look goes on meanwhile. */
static int sleep_until_ready(struct shmring_wait_item *waits, int count, int64_t deadline)
{
	struct shmr_sleep sleeps[SHMRING_MAX_WAITS];
	int64_t now = shmr_now(), until = now;
	unsigned rung = 0; /* in vain, see D3 */

	for (unsigned turn = 0;; turn++) {
		int e = arm_all(waits, count, sleeps);

		if (e == 0)
			e = check_cancels(waits, count);
		if (e != 0)
			return e;
		if (now >= deadline)
			return explain(-ETIMEDOUT, "no handle became ready until the deadline");
		if (now >= until)
			until = wake_up_at(waits, count, now, deadline);
		count_sleep(waits, count);
		if (rung < BELL_RINGS_IN_VAIN) {
			e = sleep_on_all(sleeps, count, turn, until);
			rung = e == -ETIMEDOUT ? 0 : rung + 1;
		} else {
			e = shmr_sleep(now + BELL_DEAF_NS < deadline ? now + BELL_DEAF_NS
								     : deadline);
			rung = BELL_RINGS_IN_VAIN - 1; /* listen again, on probation */
		}
		if (e == -EINTR)
			return explain(e, "a signal interrupted the wait");
		now = shmr_now();
		e = now >= until ? look_at_all(waits, count) : 0;
		if (e != 0)
			return e; /* less than was waited for, but long enough */
	}
}

/* The same handle may come twice. */
static bool came_before(const struct shmring_wait_item *waits, int index)
{
	for (int i = 0; i < index; i++)
		if (waits[i].what == waits[index].what)
			return true;
	return false;
}

static void give_back(struct shmring_wait_item *waits, int count)
{
	for (int i = 0; i < count; i++)
		if (!came_before(waits, i))
			use_end(waits[i].what->use);
}

/* Mark all handles as used by this call, or none and -EBUSY. */
static int take_all(struct shmring_wait_item *waits, int count)
{
	for (int i = 0; i < count; i++) {
		if (use_begin(waits[i].what->use) < 0 && !came_before(waits, i)) {
			give_back(waits, i);
			return -EBUSY;
		}
	}
	return 0;
}

static int wait_for_any(struct shmring_wait_item *waits, int count, int64_t deadline)
{
	int e = look_at_all(waits, count);

	if (e == 0 && deadline <= SHMRING_NOWAIT)
		e = look_after_now_and_then(waits, count);
	if (e == 0 && deadline <= SHMRING_NOWAIT)
		return explain(-EAGAIN, "there is nothing");
	if (e == 0)
		e = spin(waits, count, deadline);
	if (e != 0)
		return e;
	e = sleep_until_ready(waits, count, deadline);
	disarm_all(waits, count);
	return e;
}

int shmring_wait(struct shmring_wait_item *waits, int count, int64_t deadline)
{
	int e = check(waits, count);

	if (e == 0)
		e = take_all(waits, count);
	if (e < 0)
		return e;
	e = wait_for_any(waits, count, deadline);
	give_back(waits, count);
	return e;
}
