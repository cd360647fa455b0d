/* SPDX-License-Identifier: MIT */
/*
 * Concurrency Kit: ck_ring, one producer and one consumer, a queue of pointers. It only polls.
 */
#include <ck_ring.h>

#include "installed.h"
#include "loops.h"

struct queue {
	ck_ring_t ring;
	ck_ring_buffer_t buffer[];
};

static size_t queue_size(size_t count)
{
	return sizeof(struct queue) + count * sizeof(ck_ring_buffer_t);
}

static int ck_open(struct channel *ch)
{
	struct pool *p = pool_open(ch, queue_size);

	if (!p)
		return -1;
	ck_ring_init(&((struct queue *)p->queue)->ring, (unsigned)p->count);
	return 0;
}

OPERATION uint64_t *ck_claim(struct side *side)
{
	struct pool *p = side->out->state;

	return pool_slot(p, p->position);
}

OPERATION void ck_commit(struct side *side)
{
	struct pool *p = side->out->state;
	struct queue *q = p->queue;

	while (!ck_ring_enqueue_spsc(&q->ring, q->buffer, pool_slot(p, p->position)))
		cpu_pause();
	p->position++;
}

OPERATION const uint64_t *ck_peek(struct side *side, size_t *ret_len)
{
	struct pool *p = side->in->state;
	struct queue *q = p->queue;
	void *slot;

	while (!ck_ring_dequeue_spsc(&q->ring, q->buffer, &slot))
		cpu_pause();
	*ret_len = side->message;
	return slot;
}

/* The next message's dequeue tells the producer: see struct pool. */
OPERATION void ck_release(struct side *side)
{
	(void)side;
}

static void run_ck(struct side *side)
{
	static const struct link_ops ops = {
		.claim = ck_claim, .commit = ck_commit, .peek = ck_peek, .release = ck_release
	};

	run_link(side, &ops);
}

const struct subject peer_ck[] = {
	{ "ck", .open = ck_open, .close = pool_close, .run = run_ck },
	{ 0 },
};
