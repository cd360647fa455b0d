/* SPDX-License-Identifier: MIT */
/*
 * find-place: take a place of the registry: any one, or the one that a name has.
 *
 * A consumer without a name takes a free place, or else one whose claimer did not live to set it
 * up. If there is none, it buries the dead and tries again.
 *
 * A consumer with a name first locks the byte of its name, so no other process goes for the name's
 * place (R1). Then it goes on by the place's state:
 *
 *	DETACHED		to ACTIVE in one step
 *	LAPSED, CLAIMED		claimed like a free place: its cursors do not count
 *	others			its last holder is going, or dead: bury it and look again
 *	no place has the name	take a free place, unless the program wants to resume
 *
 * The lock on the byte of place and epoch, which proves the holder alive, comes before the word
 * that says so.
 */
#include <errno.h>
#include <sched.h>

#include "consumer.h"
#include "explain.h"
#include "sys.h"
#include "vacancy.h"

/* Take a slot without history that is in `state`; -EUSERS: there is none. */
static int take_slot(struct attachment *a, enum place_state state)
{
	for (unsigned slot = 0; slot < LAYOUT_CONSUMERS; slot++) {
		/* [PLACE] pairs with shmr_place_leave() */
		uint64_t status = load_acquire(&a->registry->consumer_status[slot]);
		int e;

		if (status_state(status) != state || (status_flags(status) & PLACE_NAMED))
			continue;
		e = shmr_place_take(a->registry, PLACE_CONSUMER, slot, status, a->fd, &a->status);
		a->slot = slot;
		return e;
	}
	return -EUSERS;
}

/* Take free slots first, and claimed slots only if nothing else is left. */
static int take_any_slot(struct attachment *a)
{
	struct tries tries = { 0 };
	int e;

	do {
		e = take_slot(a, PLACE_FREE);
		if (e == -EUSERS)
			e = take_slot(a, PLACE_CLAIMED);
	} while (e == -EAGAIN && shmr_try_again(&tries)); /* another one was quicker */
	return e == -EAGAIN ? shmr_place_restless() : e;
}

static int find_slot(struct attachment *a, struct shmring_counters *counters)
{
	int e = take_any_slot(a);

	if (e == -EUSERS) {
		counters->recoveries +=
			shmr_place_bury_all(a->registry, PLACE_CONSUMER, shmr_ring_fd(a->ring));
		e = take_any_slot(a);
	}
	if (e == -EUSERS) {
		char holders[400];

		shmr_vacancy_holders(a->registry, PLACE_CONSUMER, holders, sizeof(holders));
		return explain(
			e,
			"all %u places for consumers are taken: %s; wait for one to leave "
			"(with a deadline to attach), or drop kept names that are not needed "
			"(shmring forget)",
			(uint64_t)LAYOUT_CONSUMERS, holders);
	}
	return e;
}

/*
 * DETACHED to ACTIVE in one step, so that the cursor holds producers back all
 * the time. The lock on the next epoch comes first: as the holder of the name
 * only we may go for it (R1). The limits of the last holder end with that step: ours are
 * written behind it, because the name may be forgotten before it, and come into force by
 * the flag LIMITED. [PLACE] pairs with shmr_place_is_dead().
 */
static int take_detached(struct attachment *a, uint64_t status, unsigned flags)
{
	uint32_t epoch = status_epoch(status) + 1;
	uint64_t active =
		status_make(epoch, 0, PLACE_NAMED | (flags & ~PLACE_LIMITED), PLACE_ACTIVE);
	uint64_t byte = shmr_place_byte(PLACE_CONSUMER, a->slot, epoch);
	int e = shmr_lock_byte(a->fd, byte);

	if (e < 0)
		return e == -EAGAIN ? e : explain(e, "cannot lock a consumer's place: %e", e);
	if (compare_and_swap(&a->registry->consumer_status[a->slot], status, active)) {
		a->status = active;
		return 0;
	}
	shmr_unlock_byte(a->fd, byte);
	return -EAGAIN;
}

void consumer_write_limits(struct attachment *a, const struct shmring_consumer_options *o)
{
	struct holder *holder = &a->registry->consumer_holder[a->slot];

	store_relaxed(&holder->max_lag, o->max_lag);
	store_relaxed(&holder->max_lag_ns, o->max_lag_ns);
}

/*
 * The limits stand: producers go by them from now on. A producer that suspects the consumer
 * at this moment has changed the word; an evicted consumer comes back with the flag. [PLACE]
 * pairs with status_of(): the limits count with the word.
 */
static void announce_limits(struct attachment *a, unsigned flags)
{
	shm_u64 *word = &a->registry->consumer_status[a->slot];
	struct tries tries = { 0 };

	do {
		uint64_t status = load_acquire(word);
		uint64_t limited =
			status_with_flags(status_next(status, PLACE_ACTIVE), PLACE_NAMED | flags);

		if (status_epoch(status) != status_epoch(a->status) || !status_gates(status))
			return;
		if (compare_and_swap(word, status, limited)) {
			a->status = limited;
			return;
		}
	} while (shmr_try_again(&tries));
}

/* A place that has a cursor, with its new limits. */
static int take_over(struct shmring_consumer *c, uint64_t status,
		     const struct shmring_consumer_options *o)
{
	int e = take_detached(&c->attachment, status, c->limits.flags);

	if (e < 0)
		return e;
	consumer_write_limits(&c->attachment, o);
	if (c->limits.flags & PLACE_LIMITED)
		announce_limits(&c->attachment, c->limits.flags);
	return 0;
}

/* One step towards the place of a name that exists; -EAGAIN: look again. */
static int approach_name(struct shmring_consumer *c, uint64_t status,
			 const struct shmring_consumer_options *o)
{
	struct attachment *a = &c->attachment;

	switch (status_state(status)) {
	case PLACE_DETACHED:
		return take_over(c, status, o);
	case PLACE_LAPSED:
	case PLACE_CLAIMED:
		return shmr_place_take(a->registry, PLACE_CONSUMER, a->slot, status, a->fd,
				       &a->status);
	default:
		if (shmr_place_bury(a->registry, PLACE_CONSUMER, a->slot, status,
				    shmr_ring_fd(a->ring)))
			c->counters.recoveries++;
		else
			sched_yield(); /* its last holder is just going */
		return -EAGAIN;
	}
}

/* The slot of a name that exists, or a new one. The name is ours by its lock. */
static int find_name(struct shmring_consumer *c, const struct shmring_consumer_options *o)
{
	struct attachment *a = &c->attachment;
	struct tries tries = { 0 };
	uint64_t status;

	while (shmr_name_find(a->registry, o->name, &a->slot, &status) == 0) {
		int e = approach_name(c, status, o);

		if (e != -EAGAIN)
			return e;
		if (!shmr_try_again(&tries))
			return explain(-EBUSY, "the place of '%s' does not become free", o->name);
	}
	if (o->start == SHMRING_START_RESUME)
		return explain(-ENOENT, "the ring has no consumer named '%s' to resume", o->name);
	return find_slot(a, &c->counters);
}

int consumer_find_place(struct shmring_consumer *c, const struct shmring_consumer_options *o)
{
	struct attachment *a = &c->attachment;
	int e;

	a->kind = PLACE_CONSUMER;
	if (!o->name)
		return find_slot(a, &c->counters);
	e = shmr_lock_byte(a->fd, shmr_name_byte(o->name));
	if (e == -EAGAIN)
		return explain(-EBUSY, "a live process consumes under the name '%s'", o->name);
	if (e < 0)
		return explain(e, "cannot lock the name: %e", e);
	return find_name(c, o);
}
