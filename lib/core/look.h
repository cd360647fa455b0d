/* SPDX-License-Identifier: MIT */
/*
 * look: the state of a ring and its lanes, read by a process that takes no part in it.
 *
 * A member of a ring can write so much into it that counting it takes minutes. So every
 * look has a deadline (CLOCK_MONOTONIC). How far a look has got is kept in struct look,
 * and the next look goes on from there. The calls of shmring.h use this with
 * a fixed time; the broker shares its time among its rings.
 *
 * All looking is done through the ring's read-only view.
 */
#ifndef SHMRING_CORE_LOOK_H
#define SHMRING_CORE_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include <shmring/shmring.h>

#include "layout.h"

#pragma GCC visibility push(default)

/* How long a call of shmring.h looks at one lane or consumer, and at memory in use. */
#define LOOK_NS INT64_C(20000000)
#define LOOK_MEMORY_NS INT64_C(50000000)

/* How far the records of a lane are counted. All zero: not at all. */
struct look {
	bool begun;
	uint64_t start; /* where the count began: a boundary of the index */
	struct shmring_boundary at;
};

/*
 * shmring_stat() with another deadline. The deadline concerns `resident` alone, which is
 * UINT64_MAX (unknown) if it was not found in time; the rest takes a bounded number of steps.
 */
int shmr_look_at_ring(struct shmring_ring *r, int64_t deadline, struct shmring_ring_stat *ret);

/*
 * shmring_stat_lane(), going on from *look. 0: with `partial`, the deadline passed before
 * all was counted, and another call with the same look goes on.
 */
int shmr_look_at_lane(struct shmring_ring *r, unsigned index, struct look *look, int64_t deadline,
		      struct shmring_lane_stat *ret);

/* Ends of lanes that were found once, so that not each consumer needs a count. */
struct lane_ends {
	uint64_t known; /* bit i: lane i */
	uint64_t partial;
	uint64_t position[LAYOUT_LANES];
};

/* shmring_stat_consumer(), whose lag is measured against these ends. */
int shmr_look_at_consumer(struct shmring_ring *r, unsigned index, const struct lane_ends *ends,
			  struct shmring_consumer_stat *ret);

#pragma GCC visibility pop

#endif
