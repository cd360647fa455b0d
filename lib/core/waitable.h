/* SPDX-License-Identifier: MIT */
/*
 * waitable: what waiting for several handles at once needs to know of one.
 *
 * A consumer waits for a message, a producer for room. A waiter that waits for both,
 * or for many, arms each of them, sleeps on all bells with one futex_waitv(2),
 * and disarms them. Arming is the first half of any sleep (doorbell.h), so D1
 * holds: whatever comes after it moves the bell on from `seen`.
 */
#ifndef SHMRING_CORE_WAITABLE_H
#define SHMRING_CORE_WAITABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"

struct bell;
struct in_use;
struct shmring_counters;

/* Part of a handle, so that a child of fork finds it zeroed. */
struct shmring_waitable {
	/*
	 * 1: there is something; 0: nothing; or an error, if there can be nothing. Looks
	 * everywhere, and announces nothing.
	 */
	int (*look)(struct shmring_waitable *w);
	/* 1: there is something; 0: announced, `seen` is what the bell said before. */
	int (*arm)(struct shmring_waitable *w, uint32_t *ret_seen);
	void (*disarm)(struct shmring_waitable *w);
	const shm_u32 *bell;
	int64_t longest_ns;	 /* to sleep without another look */
	bool no_spin;		 /* it sleeps at once */
	struct bell *side;	 /* its budget bounds spinning */
	int64_t looked_after_ns; /* when a call that did not wait looked after the ring last */
	struct in_use *use;
	struct shmring_counters *counters;
};

#endif
