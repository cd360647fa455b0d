/* SPDX-License-Identifier: MIT */
/*
 * fd: a consumer in an event loop.
 *
 * Arming is the first half of a sleep (wait.c): announce it, force the barrier,
 * look once more; only that the kernel sleeps on the bell for us (kick.h). The
 * announcement stays until a producer takes it away.
 */
#include <errno.h>

#include "consumer.h"
#include "explain.h"
#include "sys.h"

#define TRIES 16 /* a bell that moves all the time is somebody's fault, not ours */

/* An observer cannot ask to be rung for: it looks as often as when it sleeps. */
#define OBSERVER_PERIOD_NS INT64_C(5000000)

static int check_flags(uint32_t flags)
{
	if (flags & ~SHMRING_FD_THREAD)
		return explain(-EINVAL, "unknown flags for a descriptor: only SHMRING_FD_THREAD");
	return 0;
}

int shmring_consumer_fd(struct shmring_consumer *c, uint32_t flags)
{
	int64_t period;
	int e = consumer_wiped(c);

	if (e == 0)
		e = check_flags(flags);
	if (e == 0 && !c->kick) {
		period = c->observer ? OBSERVER_PERIOD_NS : (int64_t)c->bell.max_sleep_ns;
		e = shmr_kick_open(&c->kick, flags & SHMRING_FD_THREAD, period);
	}
	return e < 0 ? e : shmr_kick_fd(c->kick);
}

/* Once in a longest sleep, as those do who sleep. */
static void look_after_the_dead(struct shmring_consumer *c)
{
	int64_t now = shmr_now();

	if (c->observer || now - c->probed_ns < (int64_t)c->bell.max_sleep_ns)
		return;
	c->probed_ns = now;
	consumer_probe_one_peer(c);
}

/* 1: there is something, or may be; 0: armed. [SLEEP] pairs with bell_order(). */
static int try_to_arm(struct shmring_consumer *c)
{
	const shm_u32 *bell = &c->bell.shared->data_bell;
	uint32_t seen = load_acquire32(bell);
	int e = 0;

	if (!c->observer) {
		consumer_announce(c);
		e = consumer_keep_place(c, false);
	}
	if (e == 0 && !consumer_look(c)) {
		c->counters.system_calls += 2;
		e = shmr_kick_arm(c->kick, bell, seen);
		return e == 1 ? -EAGAIN : e;
	}
	if (!c->observer)
		consumer_take_back(c);
	return e < 0 ? e : 1;
}

int shmring_consumer_arm(struct shmring_consumer *c)
{
	int e = consumer_wiped(c);

	if (e < 0)
		return e;
	if (c->broken)
		return explain(-EBADMSG, "a producer damaged its lane; this handle is unusable");
	if (!c->kick)
		return explain(-EINVAL, "there is no descriptor; ask for it first");
	look_after_the_dead(c);
	for (int tries = 0; tries < TRIES; tries++) {
		e = try_to_arm(c);
		if (e != -EAGAIN)
			return e;
	}
	return 1;
}
