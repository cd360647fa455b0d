/* SPDX-License-Identifier: MIT */
/*
 * The consumer's path of every message, inline: <shmring/consumer.h> includes
 * it unless SHMRING_NO_INLINE is defined. The same functions are in the library
 * for everybody else. The structs here are part of the binary interface and for
 * these functions alone; programs do not touch them.
 *
 * Atomics are the compiler's builtins rather than <stdatomic.h>, so that the
 * header is C++ as well. lib/core/lane.h has the protocol.
 */
#ifndef SHMRING_CONSUMER_INLINE_H
#define SHMRING_CONSUMER_INLINE_H

#include <shmring/consumer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Never emitted by programs; the library defines it empty and has the functions. */
#ifndef SHMRING_INLINE
#define SHMRING_INLINE extern inline __attribute__((__gnu_inline__))
#endif

#pragma GCC visibility push(default)

/* One lane, as a consumer reads it. */
struct shmring_reader_hot {
	const unsigned char *data; /* the lane, twice in a row */
	uint64_t mask;		   /* lane size - 1 */
	struct shmring_boundary at;	  /* the next message to hand out */
	struct shmring_boundary released; /* the first that is not released */
	uint64_t *cursor;	   /* ours, in shared memory */
	const uint64_t *wanted;	   /* what the lane's owner waits for */
	uint64_t bit;		   /* 1 << index */
	uint64_t lost;		   /* missed just before `released`, not yet told */
	uint64_t lost_bytes;
	uint32_t index;
	uint32_t reserved;
};

/*
 * The beginning of a consumer's handle. A child made by fork finds it zeroed:
 * then every comparison below fails, and the slow half answers -ECHILD.
 */
struct shmring_consumer_hot {
	struct shmring_reader_hot *lane; /* whose turn it is */
	uint64_t touched;	/* lanes with messages handed out, not released */
	uint64_t align_mask;	/* alignment - 1 */
	uint64_t max_message;
	uint64_t messages;	/* released */
	uint64_t bytes;		/* their payload */
	uint32_t burst;		/* messages until other lanes get their turn */
	uint32_t plain;		/* not 0: neither named nor evictable */
	uint64_t fence;		/* not 0: this process must fence before it looks */
};

/* The slow halves: another lane's turn, nothing there, marks, somebody to wake. */
int shmring_peek_slowly(struct shmring_consumer *c, int64_t deadline, struct shmring_message *ret);
int shmring_release_slowly(struct shmring_consumer *c);
void shmring_wake_producer(struct shmring_consumer *c, uint64_t released_before);

/*
 * Below, the words of a boundary are stored and copied one by one, as relaxed
 * atomics. Left to itself the compiler moves two at a time, and a load of two
 * words that were just stored singly waits for the stores to leave the
 * processor: a quarter of the time of a short message.
 */
SHMRING_INLINE int shmring_peek(struct shmring_consumer *c, int64_t deadline, struct shmring_message *ret)
{
	struct shmring_consumer_hot *h = (struct shmring_consumer_hot *)c;

	if (__builtin_expect(h->burst > 0, 1)) {
		struct shmring_reader_hot *l = h->lane;
		uint64_t at = l->at.position;
		/* [PUBLISH] pairs with shmring_commit(). Only this copy is used. */
		uint64_t header = __atomic_load_n((const uint64_t *)(const void *)(l->data + (at & l->mask)),
						  __ATOMIC_ACQUIRE);
		uint64_t len = header & UINT32_MAX;
		uint64_t seq = __atomic_load_n(&l->at.seq, __ATOMIC_RELAXED);
		uint64_t bytes = __atomic_load_n(&l->at.bytes, __ATOMIC_RELAXED);

		if (__builtin_expect((header >> 32 & 1) != 0 && len <= h->max_message && l->lost == 0, 1)) {
			ret->data = l->data + (at & l->mask) + 8;
			ret->len = len;
			ret->seq = seq;
			ret->producer = l->index;
			ret->tenancy = (uint32_t)(header >> 40);
			ret->lost = 0;
			ret->lost_bytes = 0;
			at += (len + 8 + h->align_mask) & ~h->align_mask;
			__atomic_store_n(&l->at.position, at, __ATOMIC_RELAXED);
			__atomic_store_n(&l->at.seq, seq + 1, __ATOMIC_RELAXED);
			__atomic_store_n(&l->at.bytes, bytes + len, __ATOMIC_RELAXED);
			h->touched |= l->bit;
			h->burst--;
			return 0;
		}
	}
	return shmring_peek_slowly(c, deadline, ret);
}

SHMRING_INLINE int shmring_release(struct shmring_consumer *c)
{
	struct shmring_consumer_hot *h = (struct shmring_consumer_hot *)c;
	struct shmring_reader_hot *l = h->lane;
	uint64_t before, position, seq, bytes;

	if (__builtin_expect(h->plain == 0 || h->touched == 0 || h->touched != l->bit || l->lost != 0, 0))
		return shmring_release_slowly(c);
	before = l->released.position;
	position = __atomic_load_n(&l->at.position, __ATOMIC_RELAXED);
	seq = __atomic_load_n(&l->at.seq, __ATOMIC_RELAXED);
	bytes = __atomic_load_n(&l->at.bytes, __ATOMIC_RELAXED);
	h->touched = 0;
	h->messages += seq - __atomic_load_n(&l->released.seq, __ATOMIC_RELAXED);
	h->bytes += bytes - __atomic_load_n(&l->released.bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&l->released.position, position, __ATOMIC_RELAXED);
	__atomic_store_n(&l->released.seq, seq, __ATOMIC_RELAXED);
	__atomic_store_n(&l->released.bytes, bytes, __ATOMIC_RELAXED);
	/* [RELEASE] pairs with read_gate() in lib/producer/room.c: our reads are over. */
	__atomic_store_n(l->cursor, position, __ATOMIC_RELEASE);
	/* [WAKE] pairs with [SLEEP] in lib/producer/room.c. */
	if (__builtin_expect(h->fence != 0, 0))
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	else
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (__builtin_expect(__atomic_load_n(l->wanted, __ATOMIC_RELAXED) != UINT64_MAX, 0))
		shmring_wake_producer(c, before);
	return 0;
}

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
