/* SPDX-License-Identifier: MIT */
/*
 * stat: the state of a ring as a program asks for it (look.h does the work); and the
 * two repairs that need no attachment, reap and forget.
 */
#include <errno.h>
#include <string.h>

#include "attachment.h"
#include "doorbell.h"
#include "ephemeral.h"
#include "explain.h"
#include "lane.h"
#include "look.h"
#include "options.h"
#include "sys.h"

int shmring_stat(struct shmring_ring *r, struct shmring_ring_stat *ret)
{
	struct shmring_ring_stat st;
	int e = shmr_look_at_ring(r, shmr_now() + LOOK_MEMORY_NS, &st);

	if (e < 0)
		return e;
	return shmr_output_write(ret, &st, sizeof(st),
				 SIZE_UP_TO(struct shmring_ring_stat, evict_lag_ns));
}

int shmring_stat_lane(struct shmring_ring *r, unsigned index, struct shmring_lane_stat *ret)
{
	struct shmring_lane_stat st;
	struct look look = { 0 };
	int e = shmr_look_at_lane(r, index, &look, shmr_now() + LOOK_NS, &st);

	if (e < 0)
		return e;
	return shmr_output_write(ret, &st, sizeof(st),
				 SIZE_UP_TO(struct shmring_lane_stat, evictions));
}

/*
 * The ends of the lanes that the consumer has a cursor in.
 * [READY] pairs with show_lane(), [RELEASE] pairs with consumer_release_lane().
 */
static void find_ends(struct shmring_ring *r, unsigned index, struct lane_ends *ret)
{
	uint64_t ready = load_acquire(&r->registry->lanes_ready);
	int64_t deadline = shmr_now() + LOOK_NS;

	for (unsigned i = 0; i < r->geometry.lanes; i++) {
		uint64_t bit = UINT64_C(1) << i;
		struct shmring_lane_stat lane;
		struct look look = { 0 };

		if (!(ready & bit) ||
		    load_acquire(&r->rows[index].lane[i].position) == POSITION_NONE ||
		    shmr_look_at_lane(r, i, &look, deadline, &lane) < 0)
			continue;
		ret->known |= bit;
		ret->partial |= lane.partial ? bit : 0;
		ret->position[i] = lane.position;
	}
}

int shmring_stat_consumer(struct shmring_ring *r, unsigned index, struct shmring_consumer_stat *ret)
{
	struct shmring_consumer_stat st;
	struct lane_ends ends = { 0 };
	int e = shmr_ring_check(r);

	if (e < 0)
		return e;
	if (index < LAYOUT_CONSUMERS &&
	    status_gates(load_relaxed(&r->registry->consumer_status[index])))
		find_ends(r, index, &ends);
	e = shmr_look_at_consumer(r, index, &ends, &st);
	if (e < 0)
		return e;
	return shmr_output_write(ret, &st, sizeof(st),
				 SIZE_UP_TO(struct shmring_consumer_stat, tenancy));
}

/* A writable view of registry and doorbell, for the time of one repair. */
static int begin_repair(struct attachment *a, struct shmring_ring *r)
{
	int e = shmr_attach_begin(a, r, 0, 0, RING_REPAIR);

	return e < 0 ? e : shmr_attach_finish(a);
}

/*
 * Producers may have been waiting for consumers that are gone, consumers for the end, and
 * other processes for a place (vacancy.h). [READY] pairs with show_lane().
 */
static void tell_producers(struct attachment *a)
{
	struct shmring_counters counters = { 0 };
	struct bell bell = { .shared = a->doorbell };

	shmr_bell_ring_rooms(&bell, load_acquire(&a->registry->lanes_ready) | 1, &counters);
	shmr_bell_ring_leaving(&bell, &counters);
}

int shmring_reap(struct shmring_ring *r)
{
	int cancel = shmr_cancel_off();
	struct attachment a = { 0 };
	int buried = 0;
	int e = begin_repair(&a, r);

	if (e == 0) {
		int fd = shmr_ring_fd(r);

		buried = (int)shmr_place_bury_all(a.registry, PLACE_LANE, fd);
		buried += (int)shmr_place_bury_all(a.registry, PLACE_CONSUMER, fd);
		if (buried > 0)
			tell_producers(&a);
	}
	shmr_detach(&a);
	shmr_cancel_on(cancel);
	return e < 0 ? e : buried;
}

/* [PLACE] pairs with take_detached(): one of the two is late. */
static int forget(struct attachment *a, const char *name)
{
	struct tries tries = { 0 };
	unsigned slot;
	uint64_t status;

	while (shmr_name_find(a->registry, name, &slot, &status) == 0) {
		enum place_state state = status_state(status);
		bool held =
			state != PLACE_DETACHED && state != PLACE_LAPSED && state != PLACE_CLAIMED;

		if (!shmr_try_again(&tries))
			return shmr_place_restless();
		if (held &&
		    !shmr_place_bury(a->registry, PLACE_CONSUMER, slot, status,
				     shmr_ring_fd(a->ring)) &&
		    load_acquire(&a->registry->consumer_status[slot]) == status)
			return explain(-EBUSY, "a live process consumes under the name '%s'", name);
		if (!held &&
		    compare_and_swap(&a->registry->consumer_status[slot], status,
				     status_make(status_epoch(status) + 1, 0, 0, PLACE_FREE))) {
			tell_producers(a);
			return 0;
		}
	}
	return explain(-ENOENT, "the ring has no consumer named '%s'", name);
}

int shmring_forget(struct shmring_ring *r, const char *name)
{
	struct attachment a = { 0 };
	int e = shmr_name_check(name);
	int cancel;

	if (e < 0)
		return e;
	cancel = shmr_cancel_off();
	e = begin_repair(&a, r);
	if (e == 0)
		e = forget(&a, name);
	shmr_detach(&a);
	if (e == 0)
		shmr_ephemeral_leave(r); /* a kept name is a user */
	shmr_cancel_on(cancel);
	return e;
}
