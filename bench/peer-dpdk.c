/* SPDX-License-Identifier: MIT */
/*
 * DPDK: rte_ring, one producer and one consumer, a queue of pointers. It only polls. The ring is
 * in plain shared memory, without DPDK's environment.
 */
#include <rte_ring.h>

#include "installed.h"
#include "loops.h"

static size_t queue_size(size_t count)
{
	return (size_t)rte_ring_get_memsize((unsigned)count);
}

static int dpdk_open(struct channel *ch)
{
	struct pool *p = pool_open(ch, queue_size);

	if (!p)
		return -1;
	if (rte_ring_init(p->queue, "bench", (unsigned)p->count, RING_F_SP_ENQ | RING_F_SC_DEQ) ==
	    0)
		return 0;
	pool_close(ch);
	return 1;
}

OPERATION uint64_t *dpdk_claim(struct side *side)
{
	struct pool *p = side->out->state;

	return pool_slot(p, p->position);
}

OPERATION void dpdk_commit(struct side *side)
{
	struct pool *p = side->out->state;

	while (rte_ring_sp_enqueue(p->queue, pool_slot(p, p->position)) != 0)
		cpu_pause();
	p->position++;
}

OPERATION const uint64_t *dpdk_peek(struct side *side, size_t *ret_len)
{
	struct pool *p = side->in->state;
	void *slot;

	while (rte_ring_sc_dequeue(p->queue, &slot) != 0)
		cpu_pause();
	*ret_len = side->message;
	return slot;
}

OPERATION void dpdk_release(struct side *side)
{
	(void)side;
}

static void run_dpdk(struct side *side)
{
	static const struct link_ops ops = { .claim = dpdk_claim,
					     .commit = dpdk_commit,
					     .peek = dpdk_peek,
					     .release = dpdk_release };

	run_link(side, &ops);
}

const struct subject peer_dpdk[] = {
	{ "dpdk", .open = dpdk_open, .close = pool_close, .run = run_dpdk },
	{ 0 },
};
