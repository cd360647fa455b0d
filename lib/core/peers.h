/* SPDX-License-Identifier: MIT */
/*
 * peers: is a process left on the other side of the ring?
 *
 * A consumer that finds no message, and a producer that finds no room, may wait for
 * ever if no process is left that could bring it. Two things end such a wait:
 *
 *  - The end (-EPIPE), for a program that asked for it: no process of the other side is
 *    attached any more. A consumer counts every producer that the ring ever had, so
 *    that it also gets the end of a stream that was written before it came. A consumer
 *    that begins at the next message counts from its own attach. A producer counts
 *    consumers from its own attach.
 *  - A removed ring (-EIDRM), for every program: no process can find the ring under its
 *    name any more, and none of the other side is alive.
 *
 *  E1 All places are found empty at one moment: their status words are read twice, and
 *     are the same both times. A word does not come again (registry.h), so they all had
 *     these values between the two readings.
 *  E2 A tenant that still stands in its word counts as gone only by proof of its death
 *     (R2 in registry.h), and stays gone.
 *  E3 After -EPIPE or -EIDRM the caller looks for messages, or for room, once more. What
 *     the last tenant stored is visible then: it left by a CAS that was read here
 *     [PLACE], or the kernel ended its life. A consumer that finds nothing then looks
 *     whether it was evicted: if so, the zero word may have been newer payload.
 *  E4 Reading words costs nothing to speak of. The kernel is asked at most once in the
 *     ring's longest sleep.
 *
 * A place in state CLAIMED has no tenant yet. A place counts as used from the time at
 * which its last tenant attached, which stands in its holder: an attach that failed half
 * way is no peer.
 */
#ifndef SHMRING_CORE_PEERS_H
#define SHMRING_CORE_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "attachment.h"

#pragma GCC visibility push(default)

struct peers {
	enum place_kind kind;	     /* of the other side */
	bool asked;		     /* the program asked for the end */
	bool seen;		     /* a peer was there at the attach */
	bool removed;		     /* the ring has lost its name, which is for good */
	unsigned alive;		     /* the place whose tenant lived when last asked */
	uint64_t count_from;	     /* how often places had been taken at the attach, as a sum */
	int64_t asked_kernel_ns;     /* when the kernel was asked last */
	int64_t gone_ns;	     /* when no peer was found for the first time; 0: never */
	uint64_t gone[LAYOUT_LANES]; /* words of tenants that are proved dead */
};
_Static_assert(LAYOUT_LANES == LAYOUT_CONSUMERS, "one table for either kind");

/*
 * The other side of an attachment is `kind`. `asked`: report the end. `from_now`: count
 * peers that are attached now or attach later, not those that have left.
 */
void shmr_peers_begin(struct peers *p, const struct attachment *a, enum place_kind kind, bool asked,
		      bool from_now);

/*
 * 0: a peer is there, or it is not known that none is; -EPIPE or -EIDRM as above,
 * without an explanation. `waits`: the caller is about to sleep, and wants to know of a
 * removed ring.
 */
int shmr_peers_check(struct peers *p, const struct attachment *a, bool waits,
		     struct shmring_counters *counters);

/* Explain an `error` of shmr_peers_check(), -EPIPE or -EIDRM; returns it. */
int shmr_peers_explain(const struct peers *p, const struct attachment *a, int error);

#pragma GCC visibility pop

#endif
