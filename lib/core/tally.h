/* SPDX-License-Identifier: MIT */
/*
 * tally: numbers in the ring that an operator wants to see (struct lane_counts and struct
 * consumer_counts in layout.h).
 *
 * A word has one writer, the tenant of its place, which adds to what stands there: a
 * relaxed load and a relaxed store. No edge depends on it, and whatever a hostile member
 * writes there is only a wrong number. Handles count for themselves; they bring the ring up to
 * date where they wait, sleep or wake others anyway, and never on the path of a message.
 */
#ifndef SHMRING_CORE_TALLY_H
#define SHMRING_CORE_TALLY_H

#include <stdint.h>

#include "atomic.h"

#pragma GCC visibility push(default)

/* Add to a word that no other process writes. */
void shmr_tally(shm_u64 *word, uint64_t more);

#pragma GCC visibility pop

#endif
