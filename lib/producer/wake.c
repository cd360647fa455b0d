/* SPDX-License-Identifier: MIT */
/*
 * wake: wake the consumers that sleep until there is a message, and the producers that wait for
 * a consumer that this one has buried or evicted.
 *
 * This is the waker's half of D1 in doorbell.h. A commit stores its message, orders that store
 * (bell_order()), and loads the word that hot.sleepers points to. Only if a consumer sleeps does
 * it come here. A sleeper with watermarks (D5) is left asleep until this lane has reached its
 * watermark.
 *
 * For a quiet producer hot.sleepers points to a word of its own that is always zero. So the path
 * of a message needs no branch for it.
 */
#include <errno.h>

#include "producer.h"

void shmring_slow1_wake_consumers(struct shmring_producer *p)
{
	const struct shmring_boundary end = published_end(p);
	/* [WATERMARK] pairs with consumer_raise_watermarks(), consumer_drop_watermarks() */
	uint64_t asleep = load_acquire(&p->bell.shared->sleepers);
	uint64_t left = asleep & load_relaxed(&p->bell.shared->patient);
	uint64_t due = asleep & ~left;

	for (; left != 0; left &= left - 1) {
		const struct lane_cursor *at =
			&p->rows[__builtin_ctzll(left)].lane[p->attachment.slot];

		if (watermark_reached(load_relaxed(&at->watermark), end.position, end.seq,
				      load_relaxed(&at->position), p->hot.mask + 1))
			due |= left & -left;
	}
	if (due == 0)
		return;
	shmr_bell_ring_data(&p->bell, due, &p->counters);
	producer_show_counts(p);
}

int shmring_producer_wake(struct shmring_producer *p)
{
	if (producer_wiped(p) < 0)
		return -ECHILD;
	bell_order(p->hot.fence); /* [WAKE] pairs with [SLEEP] in lib/consumer/sleep.c */
	if (load_relaxed(&p->bell.shared->sleepers) == 0)
		return 0;
	shmr_bell_ring_data(&p->bell, EVERYBODY, &p->counters);
	producer_show_counts(p);
	return 1;
}

/* While it is quiet, the path of every message looks at a word where no consumer sleeps. */
int shmring_producer_quiet(struct shmring_producer *p, int quiet)
{
	if (producer_wiped(p) < 0)
		return -ECHILD;
	if (quiet) {
		p->hot.sleepers = &p->wake.nobody;
		return 0;
	}
	p->hot.sleepers = plain_words(&p->bell.shared->sleepers);
	return shmring_producer_wake(p);
}

/* The others may be waiting for the same consumer. [READY] pairs with show_lane(). */
void producer_tell_others(struct shmring_producer *p)
{
	uint64_t ready = load_acquire(&p->attachment.registry->lanes_ready);

	shmr_bell_ring_rooms(&p->bell, ready & ~(UINT64_C(1) << p->attachment.slot), &p->counters);
}
