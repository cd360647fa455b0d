/* SPDX-License-Identifier: MIT */
/*
 * Peers that have to be installed, one file each, and what several of them need.
 */
#ifndef BENCH_INSTALLED_H
#define BENCH_INSTALLED_H

#include "bench.h"

extern const struct subject peer_libqb[], peer_ck[], peer_dpdk[], peer_boost[], peer_zmq[],
	peer_nng[];

/*
 * A queue of pointers needs memory for the messages: slots, one more than a queue of `count`
 * pointers (of which it holds count - 1) and its two ends have in hand. A message is in the slot
 * with the number of the message modulo the number of slots.
 */
struct pool {
	void *queue; /* in shared memory, of the peer's kind */
	char *slots;
	size_t size;	/* of the shared memory */
	size_t count;	/* of pointers, a power of two */
	size_t message; /* bytes */
	uint64_t position;
};

/* Shared memory for a queue of `queue_size(count)` bytes and its slots; NULL: out of memory. */
struct pool *pool_open(struct channel *ch, size_t (*queue_size)(size_t count));
void pool_close(struct channel *ch);

static inline void *pool_slot(const struct pool *p, uint64_t position)
{
	return p->slots + position % (p->count + 1) * p->message;
}

/* A channel over a named socket that each process opens for itself, after fork. */
struct line {
	char address[64];
	_Atomic uint32_t *received; /* the consumer has had everything */
	void *context, *socket;
	uint64_t *buffer; /* of one message */
};

int line_open(struct channel *ch, const char *format);
void line_close(struct channel *ch);

/* In the producer's process: libraries drop what they have not sent when a socket is closed. */
void line_await_receipt(struct side *side);

#endif
