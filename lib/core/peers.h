/* SPDX-License-Identifier: MIT */
/*
 * peers: is anybody left on the other side of the ring?
 *
 * A consumer that finds no message, and a producer that finds no room, may wait for
 * ever if nobody is left who could bring it. Two things end such a wait:
 *
 *  - The end (-EPIPE), for a program that asked for it: nobody of the other side is
 *    attached any more. A consumer counts every producer that the ring ever had, so
 *    that it also gets the end of a stream that was written before it came; one that
 *    begins at the next message counts from its own attach. A producer counts
 *    consumers from its own attach.
 *  - A removed ring (-EIDRM), for everybody: nobody can find the ring under its name
 *    any more, and nobody of the other side is alive.
 *
 *  E1 That nobody is attached is true of one moment: the status words of all places
 *     are read twice, and are the same both times. Words do not come again
 *     (registry.h), so they all had these values between the two readings.
 *  E2 A tenant that still stands in its word counts as gone only by proof of its death
 *     (R2 in registry.h), and stays gone.
 *  E3 The caller looks for messages, or for room, once more after it was told. What the
 *     last tenant stored is visible then: it left by a CAS that was read here [PLACE],
 *     or the kernel ended its life.
 *  E4 Reading words costs nothing to speak of. The kernel is asked at most once in the
 *     ring's longest sleep.
 *
 * A place in state CLAIMED has no tenant yet. A place is counted by the time at which
 * its last tenant attached, which stands in its holder: an attach that failed half way
 * is no peer that has been there.
 */
#ifndef SHMRING_CORE_PEERS_H
#define SHMRING_CORE_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "attachment.h"

#pragma GCC visibility push(default)

struct peers {
	enum place_kind kind;	 /* of the other side */
	bool asked;		 /* the program wants to be told the end */
	bool seen;		 /* somebody was there at the attach */
	bool removed;		 /* the ring has lost its name, which is for good */
	unsigned alive;		 /* the place whose tenant lived when last asked */
	uint64_t count_from;	 /* how often places had been taken at the attach, as a sum */
	int64_t asked_kernel_ns; /* when it was asked last */
	int64_t gone_ns;	 /* when it was first found that nobody is left; 0: it was not */
	uint64_t gone[LAYOUT_LANES]; /* words of tenants that are proved dead */
};
_Static_assert(LAYOUT_LANES == LAYOUT_CONSUMERS, "one table for either kind");

/*
 * The other side of an attachment is `kind`. `asked`: tell the end. `from_now`: count
 * those who are there and who come, not those who have been there.
 */
void shmr_peers_begin(struct peers *p, const struct attachment *a, enum place_kind kind, bool asked,
		      bool from_now);

/*
 * 0: there is somebody, or it is not known that there is nobody; -EPIPE or -EIDRM as
 * above, without an explanation. `waits`: the caller is about to sleep, and wants to
 * know of a removed ring.
 */
int shmr_peers_check(struct peers *p, const struct attachment *a, bool waits,
		     struct shmring_counters *counters);

/* The sentence for a -EPIPE or -EIDRM of that; returns it. */
int shmr_peers_explain(const struct peers *p, const struct attachment *a, int error);

#pragma GCC visibility pop

#endif
