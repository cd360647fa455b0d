/* SPDX-License-Identifier: MIT */
/*
 * The producer's path of every message, inline: <shmring/producer.h> includes
 * it unless SHMRING_NO_INLINE is defined. The same functions are in the library
 * for all other programs. The structs here are part of the binary interface and for
 * these functions alone; programs do not touch them.
 *
 * Atomics are the compiler's builtins rather than <stdatomic.h>, so that the
 * header is C++ as well. lib/core/lane.h has the protocol.
 */
#ifndef SHMRING_PRODUCER_INLINE_H
#define SHMRING_PRODUCER_INLINE_H

#include <string.h>

#include <shmring/producer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Never emitted by programs; the library defines it empty and has the functions. */
#ifndef SHMRING_INLINE
#define SHMRING_INLINE extern inline __attribute__((__gnu_inline__))
#endif

#pragma GCC visibility push(default)

/*
 * The beginning of a producer's handle. A child made by fork finds it zeroed:
 * then every fast path is left at its first test, and the slow half answers -ECHILD.
 */
struct shmring_producer_hot {
	unsigned char *data; /* the lane, twice in a row */
	uint64_t mask;	     /* lane size - 1 */
	uint64_t align;	     /* ~(alignment - 1) */
	uint64_t limit;	     /* records may extend up to here, + 1: in a wiped handle not
				even an empty message has room */
	uint64_t max_message;
	uint64_t header_bits; /* what every header has */
	const uint64_t *sleepers;
	uint32_t fence;		 /* not 0: this process must fence before it looks */
	uint32_t slow;		 /* SHMRING_COMMIT_*, see below */
	uint64_t seq;		 /* messages before position */
	uint64_t bytes;		 /* their payload */
	uint64_t position;	 /* the next record goes here */
	uint64_t claimed;	 /* length of the open claim + 1; 1 also while another call
				    is at work; 0: neither. See below */
	unsigned char *payloads; /* data + the size of header and prefix */
	uint64_t round;		 /* size of header and prefix + alignment - 1: a message of `len`
				    bytes takes (len + round) & align */
	uint64_t stamp;		 /* where in a record its stamp is */
};

/*
 * What `slow` says; 0: a commit is inline and has nothing to write but header and end. The
 * slow half does all that is not known here.
 */
#define SHMRING_COMMIT_SLOW 1	 /* a batch, a stamp of the clock, ... */
#define SHMRING_COMMIT_COUNTER 2 /* inline, with a stamp: the processor's counter */

/* It is compiled into every program, so no field of it ever moves. */
SHMRING_ASSERT_OFFSET(shmring_producer_hot, data, 0);
SHMRING_ASSERT_OFFSET(shmring_producer_hot, mask, 8);
SHMRING_ASSERT_OFFSET(shmring_producer_hot, align, 16);
SHMRING_ASSERT_OFFSET(shmring_producer_hot, limit, 24);
SHMRING_ASSERT_OFFSET(shmring_producer_hot, max_message, 32);
SHMRING_ASSERT_OFFSET(shmring_producer_hot, header_bits, 40);
SHMRING_ASSERT_OFFSET(shmring_producer_hot, sleepers, 48);
SHMRING_ASSERT_OFFSET(shmring_producer_hot, fence, 56);
SHMRING_ASSERT_OFFSET(shmring_producer_hot, slow, 60);
SHMRING_ASSERT_OFFSET(shmring_producer_hot, seq, 64);
SHMRING_ASSERT_OFFSET(shmring_producer_hot, bytes, 72);
SHMRING_ASSERT_OFFSET(shmring_producer_hot, position, 80);
SHMRING_ASSERT_OFFSET(shmring_producer_hot, claimed, 88);
SHMRING_ASSERT_OFFSET(shmring_producer_hot, payloads, 96);
SHMRING_ASSERT_OFFSET(shmring_producer_hot, round, 104);
SHMRING_ASSERT_OFFSET(shmring_producer_hot, stamp, 112);
SHMRING_ASSERT_SIZE(shmring_producer_hot, 120);

/* Bytes. shmring_publish() has the library copy messages of this length or more. */
#define SHMRING_LARGE 4096

/*
 * A signal handler that publishes may interrupt any of these functions on the same
 * handle. So a claim sets `claimed` before it reads anything that a publication changes,
 * and the store that moves the position, or a later one, clears it. Between the two, a
 * claim is refused with -EBUSY. A handler that runs before the one or after the other
 * finds, and leaves, the handle between two messages. Signal fences keep the compiler to
 * that order; a handler sees the stores of its own processor in program order anyway.
 * This costs no additional store: the words are stored as pairs.
 */

/*
 * The slow halves. The number in their names is the version of struct shmring_producer_hot
 * and of the format of records: a program that was built with other ones does not link.
 * They are for: a misuse, no room (the claim is marked), a batch, a stamp of the clock, a
 * sleeper to wake.
 */
int shmring_slow1_producer_attach(struct shmring_producer **ret, struct shmring_ring *r,
				  const struct shmring_producer_options *options);
int shmring_slow1_claim_refused(struct shmring_producer *p, size_t len);
int shmring_slow1_claim(struct shmring_producer *p, size_t len, int64_t deadline);
int shmring_slow1_commit(struct shmring_producer *p, size_t len);
void shmring_slow1_wake_consumers(struct shmring_producer *p);
int shmring_slow1_publish_large(struct shmring_producer *p, const void *data, size_t len,
				int64_t deadline);

/* So a program of another version fails before it has a handle, whenever names are resolved. */
SHMRING_INLINE int shmring_producer_attach(struct shmring_producer **ret, struct shmring_ring *r,
					   const struct shmring_producer_options *options)
{
	return shmring_slow1_producer_attach(ret, r, options);
}

SHMRING_INLINE int shmring_claim(struct shmring_producer *p, size_t len, int64_t deadline,
				 void **ret_data)
{
	struct shmring_producer_hot *h = SHMRING_POINTER(struct shmring_producer_hot, p);
	uint64_t at;

	/*
	 * `>=`, not `>`: in a zeroed handle max_message is 0, and even an empty message must
	 * take the slow half.
	 */
	if (__builtin_expect(len >= h->max_message || h->claimed != 0, 0)) {
		int e = shmring_slow1_claim_refused(p, len);

		if (e < 0)
			return e;
	}
	/* [SIGNAL] pairs with shmring_commit(). */
	h->claimed = len + 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	at = h->position;
	if (__builtin_expect(h->limit - at <= ((len + h->round) & h->align), 0)) {
		int e = shmring_slow1_claim(p, len, deadline);

		if (e < 0)
			return e;
	}
	*ret_data = h->payloads + (at & h->mask);
	return 0;
}

/*
 * Few stores, and those into the ring in one run: the lines that the consumer
 * has read are misses, stores leave the processor in order, and how many misses
 * overlap is how many lines the store queue holds. In a lane that fits into the
 * caches this is all that counts.
 */
SHMRING_INLINE int shmring_commit(struct shmring_producer *p, size_t len)
{
	struct shmring_producer_hot *h = SHMRING_POINTER(struct shmring_producer_hot, p);
	uint64_t at = h->position;
	uint64_t end = at + ((len + h->round) & h->align);
	void *begins = h->data + (at & h->mask);
	void *ends = h->data + (end & h->mask);
	uint64_t *first = SHMRING_POINTER(uint64_t, begins);
	uint64_t *last = SHMRING_POINTER(uint64_t, ends);
	uint64_t header = h->header_bits | len;
	const shmring_pair counted = { 1, len };
	const shmring_pair ended = { end, 0 };

	if (__builtin_expect(len >= h->claimed || h->slow != 0, 0)) {
		void *stamp = h->data + (at & h->mask) + h->stamp;

		if (len >= h->claimed || h->slow != SHMRING_COMMIT_COUNTER)
			return shmring_slow1_commit(p, len);
		/* A reader that sees the header sees the stamp, too. */
		__atomic_store_n(SHMRING_POINTER(uint64_t, stamp), SHMRING_COUNTER(),
				 __ATOMIC_RELAXED);
	}
	/* I2: the new end first, then the record exists. [PUBLISH] pairs with shmring_peek(). */
	__atomic_store_n(last, 0, __ATOMIC_RELAXED);
	__atomic_store_n(first, header, __ATOMIC_RELEASE);
	*SHMRING_POINTER(shmring_pair, &h->seq) += counted;
	/* [SIGNAL] pairs with shmring_claim(). */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	*SHMRING_POINTER(shmring_pair, &h->position) = ended;
	/* [WAKE] pairs with [SLEEP] in lib/consumer/sleep.c. */
	if (__builtin_expect(h->fence != 0, 0))
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	else
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (__builtin_expect(__atomic_load_n(h->sleepers, __ATOMIC_RELAXED) != 0, 0))
		shmring_slow1_wake_consumers(p);
	return 0;
}

SHMRING_INLINE int shmring_publish(struct shmring_producer *p, const void *data, size_t len,
				   int64_t deadline)
{
	void *to;
	int e;

	if (len >= SHMRING_LARGE)
		return shmring_slow1_publish_large(p, data, len, deadline);
	e = shmring_claim(p, len, deadline, &to);
	if (__builtin_expect(e < 0, 0))
		return e;
	if (len > 0)
		memcpy(to, data, len);
	return shmring_commit(p, len);
}

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
