/* SPDX-License-Identifier: MIT */
/*
 * tally: see tally.h.
 */
#include "tally.h"

void shmr_tally(shm_u64 *word, uint64_t more)
{
	if (more != 0)
		store_relaxed(word, load_relaxed(word) + more);
}
