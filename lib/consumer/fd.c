/* SPDX-License-Identifier: MIT */
/*
 * fd: a consumer in an event loop, or among others that are waited for at once.
 *
 * Arming is the first half of a sleep (sleep.c): announce it, force the barrier, look once
 * more. Then the kernel, or another function, sleeps on the bell for the consumer (kick.h,
 * waitable.h). The announcement stays until a producer takes it away.
 */
#include <errno.h>
#include <stddef.h>

#include "consumer.h"
#include "explain.h"
#include "sys.h"

#define TRIES 16 /* a bell that moves all the time is the fault of another process */

/* An observer cannot ask to be rung for: it looks as often as when it sleeps. */
static int64_t consumer_period(const struct shmring_consumer *c)
{
	return c->observer ? BELL_UNANNOUNCED_NS : consumer_longest_sleep(c);
}

int shmring_consumer_fd(struct shmring_consumer *c, uint32_t flags)
{
	int e = consumer_wiped(c);

	if (e == 0 && !c->fd.kick)
		e = shmr_kick_open(&c->fd.kick, flags, consumer_period(c));
	return e < 0 ? e : shmr_kick_fd(c->fd.kick);
}

/* Once in a longest sleep of the ring, as a consumer that sleeps does. */
static void look_after_the_dead(struct shmring_consumer *c)
{
	int64_t now = shmr_now();

	if (c->observer || now - c->fd.probed_ns < (int64_t)c->bell.max_sleep_ns)
		return;
	c->fd.probed_ns = now;
	consumer_probe_one_peer(c);
}

static void disarm_consumer(struct shmring_consumer *c)
{
	if (!c->observer)
		consumer_take_back(c);
}

/* Announce it; true: there is already what is waited for. */
static bool announced_too_late(struct shmring_consumer *c)
{
	if (c->observer)
		return consumer_look(c);
	if (!consumer_has_watermark(c)) {
		consumer_drop_watermarks(c);
		consumer_announce(c);
		return consumer_look(c);
	}
	consumer_raise_watermarks(c);
	consumer_announce(c);
	return consumer_is_due(c);
}

/*
 * 1: there is something; 0: a message that comes moves the bell, and so does a producer that
 * leaves. [SLEEP] pairs with bell_order(), shmr_bell_ring_leaving().
 */
static int arm_for_message(struct shmring_consumer *c, uint32_t *ret_seen)
{
	int e;

	*ret_seen = load_acquire32(&c->bell.shared->data_bell);
	if (c->broken || c->bounded)
		return 1; /* which peek will tell */
	e = c->observer ? 0 : consumer_keep_place(c, false);
	if (e == 0 && !announced_too_late(c)) {
		e = consumer_check_end(c, true);
		if (e == 0)
			return 0;
	} else if (e == 0) {
		e = 1;
	}
	disarm_consumer(c);
	return e;
}

/* Other threads and signal handlers come here: nothing but this word is touched. */
int shmring_consumer_cancel(struct shmring_consumer *c)
{
	if (!c->attachment.ring)
		return -ECHILD;
	shmr_bell_cancel(&c->bell, c->observer ? NULL : &c->bell.shared->data_bell);
	return 0;
}

/* Has the consumer read on since it last armed? */
static bool got_something(struct shmring_consumer *c)
{
	const struct shmring_reader_hot *lane = c->hot.lane;
	uint64_t position = lane ? lane->at.position : 0;
	bool same = lane == c->fd.armed_lane && position == c->fd.armed_position;

	c->fd.armed_lane = lane;
	c->fd.armed_position = position;
	return !same;
}

int shmring_consumer_arm(struct shmring_consumer *c)
{
	const shm_u32 *bell;
	bool deaf;
	int e = consumer_wiped(c);

	if (e == 0)
		e = use_check_unless_checked(&c->use);
	if (e < 0)
		return e;
	if (c->broken)
		return explain(-EBADMSG, "a producer damaged its lane; this handle is unusable");
	if (!c->fd.kick)
		return explain(-EINVAL, "the handle has no descriptor yet; get one with "
					"shmring_consumer_fd() or shmring_producer_fd()");
	look_after_the_dead(c);
	bell = &c->bell.shared->data_bell;
	/* no edge: whether it has moved is all that counts */
	deaf = shmr_bell_is_deaf(&c->bell, load_acquire32(bell), got_something(c));
	for (int tries = 0; tries < TRIES; tries++) {
		uint32_t seen;

		e = arm_for_message(c, &seen);
		if (e != 0)
			return e;
		c->counters.system_calls += 2;
		e = shmr_kick_arm(c->fd.kick, bell, seen, deaf, 0);
		if (e == 0) /* a cancel from now on makes it readable */
			e = shmr_bell_check_cancel(&c->bell);
		if (e != 1)
			return e;
	}
	return 1;
}

static struct shmring_consumer *consumer_of(struct shmring_waitable *w)
{
	return (struct shmring_consumer *)((char *)w -
					   offsetof(struct shmring_consumer, fd.waitable));
}

static int consumer_waitable_look(struct shmring_waitable *w)
{
	struct shmring_consumer *c = consumer_of(w);

	/* At the end peek looks again, and tells what it finds, which may be an eviction. */
	return c->broken || c->bounded || consumer_look(c) ||
	       (shmr_peers_check(&c->end.producers, &c->attachment, false, &c->counters) != 0 &&
		consumer_has_all_files(c));
}

static int consumer_waitable_arm(struct shmring_waitable *w, uint32_t *ret_seen)
{
	int e;

	look_after_the_dead(consumer_of(w));
	w->longest_ns = consumer_period(consumer_of(w)); /* it may have become quiet, or patient */
	e = arm_for_message(consumer_of(w), ret_seen);
	consumer_show_counts(consumer_of(w));
	return e == -EPIPE || e == -EIDRM ? 1 : e; /* which peek will tell */
}

static void consumer_waitable_disarm(struct shmring_waitable *w)
{
	disarm_consumer(consumer_of(w));
	consumer_show_counts(consumer_of(w));
}

struct shmring_waitable *shmring_consumer_waitable(struct shmring_consumer *c)
{
	if (consumer_wiped(c) == 0)
		c->fd.waitable = (struct shmring_waitable){
			.look = consumer_waitable_look,
			.arm = consumer_waitable_arm,
			.disarm = consumer_waitable_disarm,
			.bell = &c->bell.shared->data_bell,
			.longest_ns = consumer_period(c),
			.no_spin = consumer_has_watermark(c),
			.side = &c->bell,
			.use = &c->use,
			.counters = &c->counters,
		};
	return &c->fd.waitable;
}
