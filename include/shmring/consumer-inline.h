/* SPDX-License-Identifier: MIT */
/*
 * The consumer's path of every message, inline: <shmring/consumer.h> includes
 * it unless SHMRING_NO_INLINE is defined. The same functions are in the library
 * for all other programs. The structs here are part of the binary interface and for
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
	const unsigned char *data;	  /* the lane, twice in a row */
	uint64_t mask;			  /* lane size - 1 */
	struct shmring_boundary at;	  /* the next message to hand out */
	struct shmring_boundary released; /* the first that is not released */
	uint64_t *cursor;		  /* ours, in shared memory */
	const uint64_t *wanted;		  /* what the lane's owner waits for */
	uint64_t lost;			  /* missed just before `released`, not yet reported */
	uint64_t lost_bytes;
	uint32_t index;
	uint32_t flags; /* 0: of a message that the inline half hands out; a loss takes the
			   slow half. Beside `index`, so that both are one store */
};

/*
 * The beginning of a consumer's handle. A child made by fork finds it zeroed:
 * then every fast path is left at its first test, and the slow half answers -ECHILD.
 */
struct shmring_consumer_hot {
	struct shmring_reader_hot *lane; /* whose turn it is */
	uint64_t turn;			 /* until this position */
	uint64_t limit;			 /* longest message + 1; 0: always the slow half
					    (observers) */
	uint64_t align;			 /* ~(alignment - 1) */
	uint64_t others;		 /* other lanes with messages handed out, not released */
	uint32_t plain;			 /* not 0: neither named nor evictable */
	uint32_t fence;			 /* not 0: this process must fence before it looks */
	uint64_t payload; /* size of header and prefix: where in a record its payload is */
	uint64_t round;	  /* that + alignment - 1: a message of `len` bytes takes
			     (len + round) & align */
};

/* These two are compiled into every program, so no field of them ever moves. */
SHMRING_ASSERT_OFFSET(shmring_reader_hot, data, 0);
SHMRING_ASSERT_OFFSET(shmring_reader_hot, mask, 8);
SHMRING_ASSERT_OFFSET(shmring_reader_hot, at, 16);
SHMRING_ASSERT_OFFSET(shmring_reader_hot, released, 40);
SHMRING_ASSERT_OFFSET(shmring_reader_hot, cursor, 64);
SHMRING_ASSERT_OFFSET(shmring_reader_hot, wanted, 72);
SHMRING_ASSERT_OFFSET(shmring_reader_hot, lost, 80);
SHMRING_ASSERT_OFFSET(shmring_reader_hot, lost_bytes, 88);
SHMRING_ASSERT_OFFSET(shmring_reader_hot, index, 96);
SHMRING_ASSERT_OFFSET(shmring_reader_hot, flags, 100);
SHMRING_ASSERT_SIZE(shmring_reader_hot, 104);

SHMRING_ASSERT_OFFSET(shmring_consumer_hot, lane, 0);
SHMRING_ASSERT_OFFSET(shmring_consumer_hot, turn, 8);
SHMRING_ASSERT_OFFSET(shmring_consumer_hot, limit, 16);
SHMRING_ASSERT_OFFSET(shmring_consumer_hot, align, 24);
SHMRING_ASSERT_OFFSET(shmring_consumer_hot, others, 32);
SHMRING_ASSERT_OFFSET(shmring_consumer_hot, plain, 40);
SHMRING_ASSERT_OFFSET(shmring_consumer_hot, fence, 44);
SHMRING_ASSERT_OFFSET(shmring_consumer_hot, payload, 48);
SHMRING_ASSERT_OFFSET(shmring_consumer_hot, round, 56);
SHMRING_ASSERT_SIZE(shmring_consumer_hot, 64);

/*
 * The slow halves. The number in their names is the version of the two structs above, of
 * struct shmring_message and of the format of records: a program that was built with other
 * ones does not link. They are for: another lane's turn, nothing there, marks, a loss, an
 * owner to wake.
 */
int shmring_slow1_consumer_attach(struct shmring_consumer **ret, struct shmring_ring *r,
				  const struct shmring_consumer_options *options);
int shmring_slow1_peek(struct shmring_consumer *c, int64_t deadline, struct shmring_message *ret);
int shmring_slow1_release(struct shmring_consumer *c);
void shmring_slow1_wake_producer(struct shmring_consumer *c, uint64_t released_before);

/* So a program of another version fails before it has a handle, whenever names are resolved. */
SHMRING_INLINE int shmring_consumer_attach(struct shmring_consumer **ret, struct shmring_ring *r,
					   const struct shmring_consumer_options *options)
{
	return shmring_slow1_consumer_attach(ret, r, options);
}

/*
 * Below, the counts of a boundary are loaded and stored as a pair, always: a
 * load of two words that were stored singly waits for the stores to leave the
 * processor. Few stores: they are what a short message costs.
 */
SHMRING_INLINE int shmring_peek(struct shmring_consumer *c, int64_t deadline,
				struct shmring_message *ret)
{
	struct shmring_consumer_hot *h = SHMRING_POINTER(struct shmring_consumer_hot, c);

	if (__builtin_expect(h->limit != 0, 1)) {
		struct shmring_reader_hot *l = h->lane;
		uint64_t at = l->at.position;
		/* [PUBLISH] pairs with shmring_commit(). Only this copy is used. */
		const void *record = l->data + (at & l->mask);
		uint64_t header =
			__atomic_load_n(SHMRING_POINTER(const uint64_t, record), __ATOMIC_ACQUIRE);
		/* The length, if bits 39..32 are 1, as in a record of this version; else more
		   than any limit: there is none, or it is for the slow half. */
		uint64_t len = (header ^ UINT64_C(1) << 32) << 24 >> 24;
		shmring_pair counts = *SHMRING_POINTER(shmring_pair, &l->at.seq);
		const shmring_pair counted = { 1, len };

		if (__builtin_expect(len < h->limit && SHMRING_NUMBER(int64_t, h->turn - at) > 0 &&
					     l->lost == 0,
				     1)) {
			ret->data = l->data + (at & l->mask) + h->payload;
			ret->len = len;
			ret->seq = counts[0];
			ret->producer = l->index;
			ret->flags = l->flags;
			l->at.position = at + ((len + h->round) & h->align);
			*SHMRING_POINTER(shmring_pair, &l->at.seq) = counts + counted;
			return 0;
		}
	}
	return shmring_slow1_peek(c, deadline, ret);
}

SHMRING_INLINE int shmring_release(struct shmring_consumer *c)
{
	struct shmring_consumer_hot *h = SHMRING_POINTER(struct shmring_consumer_hot, c);
	struct shmring_reader_hot *l = h->lane;
	uint64_t before, position;

	if (__builtin_expect(h->plain == 0 || h->limit == 0 || h->others != 0 || l->lost != 0 ||
				     l->at.position == l->released.position,
			     0))
		return shmring_slow1_release(c);
	before = l->released.position;
	position = l->at.position;
	l->released.position = position;
	*SHMRING_POINTER(shmring_pair, &l->released.seq) =
		*SHMRING_POINTER(shmring_pair, &l->at.seq);
	/* [RELEASE] pairs with read_gate() in lib/producer/reserve.c: the reads are over. */
	__atomic_store_n(l->cursor, position, __ATOMIC_RELEASE);
	/* [WAKE] pairs with [SLEEP] in lib/producer/wait.c. */
	if (__builtin_expect(h->fence != 0, 0))
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	else
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (__builtin_expect(__atomic_load_n(l->wanted, __ATOMIC_RELAXED) != UINT64_MAX, 0))
		shmring_slow1_wake_producer(c, before);
	return 0;
}

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
