/* SPDX-License-Identifier: MIT */
/*
 * stat: the state of a ring as a program asks for it. The look has a fixed time (look.h); the
 * result has the size that the caller's version of the struct has (options.h).
 */
#include <stdint.h>
#include <shmring/shmring.h>

#include "look.h"
#include "options.h"
#include "registry.h"
#include "ring.h"
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
