/* SPDX-License-Identifier: MIT */
/*
 * fd: a producer that waits for room in an event loop, or among others in shmring_wait(); as
 * lib/consumer/fd.c is for messages.
 *
 * Both do the first half of a sleep (producer_arm() in wait.c) and leave the second half to
 * another one: to the kernel or a thread behind the descriptor (kick.h), or to a thread that
 * sleeps on many bells at once (waitable.h). That sleep lasts one period at most, so that this
 * producer goes on to look after the consumers that hold it back.
 *
 * A call that arms marks the handle as if a claim were open, and is refused if one is.
 */
#include <errno.h>
#include <stddef.h>

#include "explain.h"
#include "producer.h"

#define TRIES 16 /* a bell that moves all the time is the fault of another process */
#define SHORTEST_PERIOD_NS INT64_C(1000000)

/* A producer that may evict looks at the clock four times in the time before it evicts. */
static int64_t period(const struct shmring_producer *p)
{
	const struct geometry *g = &p->attachment.ring->geometry;
	int64_t longest = (int64_t)g->max_sleep_ns;
	int64_t look = (int64_t)g->evict_after_ns / 4;

	if (g->slow_policy != SHMRING_SLOW_EVICT || look > longest)
		return longest;
	return look < SHORTEST_PERIOD_NS ? SHORTEST_PERIOD_NS : look;
}

int shmring_producer_fd(struct shmring_producer *p, uint32_t flags)
{
	int e = producer_wiped(p);

	if (e == 0 && !p->fd.kick)
		e = shmr_kick_open(&p->fd.kick, flags, period(p));
	return e < 0 ? e : shmr_kick_fd(p->fd.kick);
}

/* Other threads and signal handlers come here: nothing but this word is touched. */
int shmring_producer_cancel(struct shmring_producer *p)
{
	if (!p->hot.data)
		return -ECHILD;
	shmr_bell_cancel(&p->bell, room_bell(p));
	return 0;
}

static int arm(struct shmring_producer *p, size_t len)
{
	bool deaf;
	int e;

	/* no edge: whether it has moved is all that counts */
	deaf = shmr_bell_is_deaf(&p->bell, load_acquire32(room_bell(p)),
				 p->hot.position != p->fd.armed_position);
	p->fd.armed_position = p->hot.position;
	for (int tries = 0; tries < TRIES; tries++) {
		uint32_t seen;

		e = producer_arm(p, producer_size_of(p, len), &seen);
		if (e != 0)
			return e;
		p->counters.system_calls += 2;
		e = shmr_kick_arm(p->fd.kick, room_bell(p), seen, deaf, producer_second_look_ns(p));
		if (e == 0) /* a cancel from now on makes it readable */
			e = shmr_bell_check_cancel(&p->bell);
		if (e != 1)
			return e;
	}
	return 1;
}

int shmring_producer_arm(struct shmring_producer *p, size_t len)
{
	int e = producer_mark_claim(p, len);

	if (e < 0)
		return e;
	e = p->fd.kick ? arm(p, len)
		       : explain(-EINVAL, "the handle has no descriptor yet; get one with "
					  "shmring_consumer_fd() or shmring_producer_fd()");
	producer_unmark(p);
	return e;
}

static struct shmring_producer *producer_of(struct shmring_waitable *w)
{
	return (struct shmring_producer *)((char *)w -
					   offsetof(struct shmring_producer, fd.waitable));
}

static uint64_t waited_size(const struct shmring_producer *p)
{
	return producer_size_of(p, p->fd.waitable_len);
}

static int waitable_look(struct shmring_waitable *w)
{
	struct shmring_producer *p = producer_of(w);
	struct gate gate;
	int e;

	e = producer_mark_claim(p, p->fd.waitable_len);
	if (e < 0)
		return e; /* there can be no room for it */
	e = producer_reserve(p, waited_size(p), &gate);
	if (e < 0)
		e = producer_check_end(p, waited_size(p), false) != 0 ? 0 : -EAGAIN;
	producer_unmark(p);
	return e == 0;
}

static int waitable_arm(struct shmring_waitable *w, uint32_t *ret_seen)
{
	struct shmring_producer *p = producer_of(w);
	int e = producer_mark_claim(p, p->fd.waitable_len);

	if (e < 0)
		return e;
	e = producer_arm(p, waited_size(p), ret_seen);
	w->longest_ns = producer_second_look_ns(p) != 0 ? producer_second_look_ns(p) : period(p);
	producer_show_counts(p);
	producer_unmark(p);
	return e == -EPIPE || e == -EIDRM ? 1 : e; /* which the claim will tell */
}

static void waitable_disarm(struct shmring_waitable *w)
{
	producer_disarm(producer_of(w));
	producer_show_counts(producer_of(w));
}

struct shmring_waitable *shmring_producer_waitable(struct shmring_producer *p, size_t len)
{
	if (producer_wiped(p) == 0) {
		p->fd.waitable_len = len;
		p->fd.waitable = (struct shmring_waitable){
			.look = waitable_look,
			.arm = waitable_arm,
			.disarm = waitable_disarm,
			.bell = room_bell(p),
			.longest_ns = period(p),
			.side = &p->bell,
			.use = &p->use,
			.counters = &p->counters,
		};
	}
	return &p->fd.waitable;
}
