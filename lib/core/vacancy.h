/* SPDX-License-Identifier: MIT */
/*
 * vacancy: wait for a free lane, for a consumer's place, or for a name that a living
 * process holds; and say who has them.
 *
 * Who waits here has no place, so nobody can be told to wake it. It needs no telling:
 * whoever leaves moves a bell unasked, that for messages when a producer goes, and that
 * of the first lane when a consumer does. The waiter reads the bell before it looks at
 * the places [PLACE], so it cannot miss one that becomes free.
 *
 * It looks at words only. Whether their tenants live is for the attempt to find out that
 * follows, at least once in the ring's longest sleep: so a killed one is noticed, too.
 * All this happens between two attempts, so nothing is held meanwhile, least of all fork.
 */
#ifndef SHMRING_CORE_VACANCY_H
#define SHMRING_CORE_VACANCY_H

#include "doorbell.h"
#include "registry.h"
#include "ring.h"

#pragma GCC visibility push(default)

struct vacancy {
	struct shmring *ring;
	enum place_kind kind;
	const char *name; /* of a consumer, or NULL */
	uint64_t avoid;	  /* places that would not do */
	int64_t deadline;
	struct bell bell;
	uint32_t seen;
};

/* A handle's attempts to attach until `deadline` begin. */
void shmr_vacancy_begin(struct vacancy *v, struct shmring *r, enum place_kind kind,
			const char *name, int64_t deadline);

/*
 * An attempt gave `error`. 1: make another one, now; else the error that the caller
 * returns: this one if it is not about places, or the deadline is over; or -EINTR.
 */
int shmr_vacancy_await(struct vacancy *v, int error);

/*
 * Who has the places: "process 12 for 5 min, process 7 ('archive') for 3 s and 6 more".
 * For the sentence of an error; the caller gives some hundred bytes.
 */
void shmr_vacancy_holders(struct registry *r, enum place_kind kind, char *ret, size_t size);

#pragma GCC visibility pop

#endif
