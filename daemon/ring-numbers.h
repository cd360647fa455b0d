/* SPDX-License-Identifier: MIT */
/*
 * ring-numbers: what the metrics say of each ring, counted by turns.
 *
 * A client can make a ring that takes minutes to count. So each ring gets a short turn
 * in each round, however long the others take; the rings that are not done share the time
 * that the round has left. A ring that is not done keeps the numbers it had, with their
 * age, and the next round goes on where this one stopped.
 */
#ifndef DAEMON_RING_NUMBERS_H
#define DAEMON_RING_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <shmring/shmring.h>

#include "ring.h"

/* A turn, and what a round takes unless there are more rings than it has turns. */
#define RING_NUMBERS_TURN_NS INT64_C(1000000)
#define RING_NUMBERS_ROUND_NS INT64_C(250000000)

struct consumer_numbers {
	unsigned slot;
	uint64_t lag;
	char name[SHMRING_NAME_SIZE];
};

/* Sums over all lanes and all places for consumers, since the ring was made. */
struct ring_counts {
	uint64_t full_waits, full_wait_ns, producer_sleeps, wakes, evictions;
	uint64_t waits, consumer_sleeps, lost, lost_bytes;
};

struct ring_numbers {
	struct shmring_ring_stat stat; /* of this round */
	bool damaged;
	/* What follows was counted. */
	bool known;	    /* ever */
	int64_t counted_ns; /* when the count of these numbers began; not known: of the first */
	uint64_t messages, bytes, evicted;
	struct ring_counts counts;
	struct consumer_numbers *consumers;
	size_t consumer_count;
};

struct number_rounds {
	void *rings; /* a tree of search.h, by their uuid */
	uint64_t round;
	size_t first; /* which ring gets the first turn */
};

/* Is the round to be broken off? */
struct ring_numbers_end {
	bool (*wanted)(void *arg);
	void *arg;
};

/*
 * One round over these rings; `ret` has room for as many. The pointers hold until the
 * next round. Rings that are not there any more are forgotten. -ENOMEM, or -ECANCELED:
 * it was broken off.
 */
int ring_numbers_round(struct number_rounds *r, struct shmring_ring *const *rings, size_t count,
		       const struct ring_numbers_end *end, const struct ring_numbers **ret);
void ring_numbers_close(struct number_rounds *r);

#endif
