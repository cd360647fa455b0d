/* SPDX-License-Identifier: MIT */
/*
 * fd: a producer that waits for room in an event loop; lib/consumer/fd.c is the
 * other half. Arming is the first half of a sleep for room.
 */
#include <errno.h>

#include "explain.h"
#include "producer.h"

#define SHORTEST_PERIOD_NS INT64_C(1000000)

/* Who may evict must look at the clock four times while it waits for that. */
static int64_t period(const struct shmring_producer *p)
{
	const struct geometry *g = &p->attachment.ring->geometry;
	int64_t longest = (int64_t)g->max_sleep_ns;
	int64_t look = (int64_t)g->evict_after_ns / 4;

	if (g->slow_policy != SHMRING_SLOW_EVICT || look > longest)
		return longest;
	return look < SHORTEST_PERIOD_NS ? SHORTEST_PERIOD_NS : look;
}

int shmring_producer_fd(struct shmring_producer *p, uint32_t flags)
{
	int e = producer_wiped(p);

	if (e == 0 && (flags & ~SHMRING_FD_THREAD))
		e = explain(-EINVAL, "unknown flags for a descriptor: only SHMRING_FD_THREAD");
	if (e == 0 && !p->kick)
		e = shmr_kick_open(&p->kick, flags & SHMRING_FD_THREAD, period(p));
	return e < 0 ? e : shmr_kick_fd(p->kick);
}

int shmring_producer_arm(struct shmring_producer *p, size_t len)
{
	int e = producer_check_claim(p, len);

	if (e < 0)
		return e;
	if (!p->kick)
		return explain(-EINVAL, "there is no descriptor; ask for it first");
	return producer_arm_room(p, record_size(len, p->hot.align_mask));
}
