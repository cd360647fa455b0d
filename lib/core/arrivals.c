/* SPDX-License-Identifier: MIT */
/*
 * arrivals: wait until so many producers, or lossless consumers, are attached.
 *
 * A process that attaches always moves the word `arrivals` of the doorbell, after its place
 * counts. The waiter reads `arrivals` before it counts, so it misses no attach. A process that is
 * killed between the two steps is found within the ring's longest sleep.
 *
 * A producer counts when its status word is ACTIVE. The state of a consumer does not say as much:
 * one that takes over a kept name is ACTIVE at once, and may then choose another place to begin;
 * one that is evicted while it joins chooses anew when it comes back. A message that is published
 * before that choice would be missed. So a consumer stores its epoch in `arrived` when its
 * cursors stand, and counts from then on, also while it is evicted: it comes back by itself.
 */
#include <errno.h>

#include "doorbell.h"
#include "explain.h"
#include "registry.h"
#include "ring.h"
#include "sys.h"

static unsigned places_of(const struct shmring_ring *r, enum place_kind kind)
{
	return kind == PLACE_LANE ? r->geometry.lanes : LAYOUT_CONSUMERS;
}

static const char *noun_of(enum place_kind kind)
{
	return kind == PLACE_LANE ? "producers" : "consumers";
}

/* [ARRIVE] pairs with arrive(). An older tenant's epoch is another one. */
static bool has_arrived(const struct registry *r, unsigned slot, uint64_t status)
{
	return status_protected(status) &&
	       load_acquire(&r->consumer_counts[slot].arrived) == status_epoch(status);
}

static bool is_attached(const struct registry *r, enum place_kind kind, unsigned slot,
			uint64_t status)
{
	return kind == PLACE_LANE ? status_state(status) == PLACE_ACTIVE
				  : has_arrived(r, slot, status);
}

/* How many are attached and not proved dead. [PLACE] pairs with shmr_place_take(). */
static int count_attached(struct shmring_ring *r, enum place_kind kind)
{
	int fd = shmr_ring_probe_fd(r), attached = 0;

	for (unsigned slot = 0; fd >= 0 && slot < places_of(r, kind); slot++) {
		uint64_t status = load_acquire(place_status(r->registry, kind, slot));

		if (is_attached(r->registry, kind, slot, status) &&
		    !shmr_place_is_dead(kind, slot, status, fd))
			attached++;
	}
	return fd < 0 ? fd : attached;
}

static int too_few(enum place_kind kind, unsigned count, int attached, int64_t deadline)
{
	return explain(deadline <= SHMRING_NOWAIT ? -EAGAIN : -ETIMEDOUT,
		       "%u of %u %s are attached; start the others, or wait longer",
		       (uint64_t)attached, (uint64_t)count, noun_of(kind));
}

/*
 * 0: wait; else what the call returns. The name is looked at before the places: no process
 * attaches under a name that has gone, so the count only grows by those that were at it.
 */
static int look(struct shmring_ring *r, enum place_kind kind, unsigned count, int64_t deadline,
		bool *ret_wait)
{
	bool removed = shmr_ring_is_removed(r);
	int attached = count_attached(r, kind);

	*ret_wait = false;
	if (attached < 0 || (unsigned)attached >= count)
		return attached;
	if (removed)
		return explain(-EIDRM,
			       "the ring was removed, so no further %s come; open or make the ring "
			       "again under its name",
			       noun_of(kind));
	if (deadline <= SHMRING_NOWAIT || shmr_now() >= deadline)
		return too_few(kind, count, attached, deadline);
	*ret_wait = true;
	return 0;
}

/* [SLEEP] pairs with shmr_bell_ring_arrival() */
static int wait_for(struct shmring_ring *r, enum place_kind kind, unsigned count, int64_t deadline)
{
	struct shmring_counters counters = { 0 };
	struct bell bell = { .shared = r->doorbell, .max_sleep_ns = r->geometry.max_sleep_ns };
	const shm_u32 *word = &r->doorbell->arrivals;
	bool wait;
	int e = 0;

	shmr_bell_begin_wait(&bell);
	do {
		uint32_t seen = load_acquire32(word);
		int result = look(r, kind, count, deadline, &wait);

		if (!wait)
			return result;
		e = shmr_bell_sleep(&bell, word, seen, deadline, &counters);
	} while (e == 0);
	return explain(e, "a signal interrupted the wait for %s", noun_of(kind));
}

int shmring_wait_consumers(struct shmring_ring *r, unsigned count, int64_t deadline)
{
	int e = shmr_ring_check(r);

	if (e == 0 && count > LAYOUT_CONSUMERS)
		e = explain(-EINVAL,
			    "a ring has %u places for consumers, so %u cannot be waited for",
			    (uint64_t)LAYOUT_CONSUMERS, (uint64_t)count);
	return e < 0 ? e : wait_for(r, PLACE_CONSUMER, count, deadline);
}

int shmring_wait_producers(struct shmring_ring *r, unsigned count, int64_t deadline)
{
	int e = shmr_ring_check(r);

	if (e == 0 && count > r->geometry.lanes)
		e = explain(-EINVAL,
			    "this ring has %u lanes, so %u producers cannot be waited for; make it "
			    "with more lanes",
			    (uint64_t)r->geometry.lanes, (uint64_t)count);
	return e < 0 ? e : wait_for(r, PLACE_LANE, count, deadline);
}
