/* SPDX-License-Identifier: MIT */
/*
 * vacancy: wait for a free lane, for a consumer's place, or for a name that a living
 * process holds; and list the processes that have them.
 *
 * A process that waits here has no place, so it cannot ask to be woken. It need not ask:
 * a producer that leaves always moves the bell for messages, and a consumer that leaves
 * the bell of the first lane. The waiter reads the bell before it looks at the places
 * [PLACE], so it cannot miss a place that becomes free.
 *
 * The waiter looks at status words only. The next attempt to attach finds out whether
 * their tenants live, at least once in the ring's longest sleep: so it also notices a
 * killed tenant. A wait lies between two attempts, so it holds no lock, not even that
 * against fork.
 */
#ifndef SHMRING_CORE_VACANCY_H
#define SHMRING_CORE_VACANCY_H

#include "doorbell.h"
#include "registry.h"
#include "ring.h"

#pragma GCC visibility push(default)

struct vacancy {
	struct shmring_ring *ring;
	enum place_kind kind;
	const char *name; /* of a consumer, or NULL */
	uint64_t avoid;	  /* places that would not do */
	int64_t deadline;
	struct bell bell;
	uint32_t seen;
};

/* A handle's attempts to attach until `deadline` begin. */
void shmr_vacancy_begin(struct vacancy *v, struct shmring_ring *r, enum place_kind kind,
			const char *name, int64_t deadline);

/*
 * After an attempt that failed with `error`. 1: make another one, now; else the error that
 * the caller returns: this one if it is not about places, or the deadline is over; or
 * -EINTR.
 */
int shmr_vacancy_await(struct vacancy *v, int error);

/*
 * The processes that have the places, for the sentence of an error: "process 12 for
 * 5 min, process 7 ('archive') for 3 s and 6 more". The caller gives some hundred bytes.
 */
void shmr_vacancy_holders(struct registry *r, enum place_kind kind, char *ret, size_t size);

#pragma GCC visibility pop

#endif
