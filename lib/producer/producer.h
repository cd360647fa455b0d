/* SPDX-License-Identifier: MIT */
/*
 * producer: the handle of a lane's owner.
 *
 *	producer.c	the handle: what it is asked for, and what it counts
 *	messages.c	claim, commit, publish, stage, flush
 *	checked.c	what is public, in a build that checks how handles are used
 *	wake.c		wake consumers, and other producers
 *	copy.c		get stores past the caches
 *	wait.c		wait for room
 *	press.c		bury and evict the consumers that hold the producer back
 *	reserve.c	reserve room as far as the cursors allow
 *	lag.c		evict consumers that are further behind than their limits
 *	attach.c	become the owner of a lane, and leave it
 */
#ifndef SHMRING_PRODUCER_PRIVATE_H
#define SHMRING_PRODUCER_PRIVATE_H

#include "unchecked.h" /* first: it changes names */

#include <shmring/producer.h>

#include "attachment.h"
#include "doorbell.h"
#include "in-use.h"
#include "kick.h"
#include "lane.h"
#include "peers.h"
#include "tally.h"
#include "waitable.h"

/*
 * Lives in memory that a child of fork finds zeroed: then every fast path
 * fails its first comparison, and the slow one answers -ECHILD.
 */
struct shmring_producer {
	struct shmring_producer_hot hot; /* touched for every message */
	struct in_use use;
	uint64_t first;	     /* the header held back while something is staged */
	uint32_t stamp_size; /* not 0: the ring has stamps, and every message takes the slow halves
			      */
	bool staged;	     /* a batch is waiting to be published */

	/* Touched when room runs out. */
	struct lane lane;
	int lane_fd;			   /* its file, only while attaching */
	struct shmring_boundary published; /* the published end, while something is staged */
	uint64_t reserved;		   /* what the control block says */
	uint64_t granted;		   /* how far the cursors let us write */
	uint64_t next_note;		   /* where the index is to be looked at */
	uint64_t taken;			   /* the fast path may go up to here, see copy.c */
	bool streaming;			   /* as of the last reservation */
	uint64_t noted_chunk;		   /* chunk of the last index entry */
	uint64_t floor;			   /* nothing below was overwritten */
	const struct cursor_row *rows;
	uint64_t avoid; /* lanes that were found damaged, or to take long */
	bool patient;	/* take a lane even if the walk to its end takes long */
	bool last_try;	/* to attach: signals wait for all of it */
	bool slow_lane; /* the walk to a lane's end was given up, because it takes long */
	struct bell bell;
	struct shmring_waitable waitable;
	uint64_t waitable_len;	 /* of the message that it waits for */
	struct kick *kick;	 /* NULL: no descriptor was asked for */
	uint64_t armed_position; /* when it was last armed */
	uint64_t nobody;	 /* zero: the sleepers that it sees while it is quiet */
	struct {
		unsigned slot;
		uint64_t status; /* of a slow consumer when it was first seen so */
		uint64_t floor;
		int64_t waited; /* for it, since then */
		int64_t last_look;
		int64_t last_probe;
		unsigned probed; /* which slot that was */
	} pressed;
	struct {
		bool looked_for; /* a consumer has limits, as of the last look at the cursors */
		bool pending;	 /* a consumer was over a limit, and gets a second look */
		int64_t entered_ns[LAYOUT_CHUNKS]; /* when the lane's end got into each chunk */
		struct {
			uint32_t epoch; /* of the consumer that was over a limit; 0: none */
			uint64_t end;	/* of the lane, when it was first seen so */
			int64_t since_ns;
		} over[LAYOUT_CONSUMERS];
	} lag;
	struct attachment attachment;
	struct peers consumers;	       /* is one of them left? */
	struct shmring_boundary begin; /* where this tenancy began */
	struct shmring_counters counters;
	struct shmring_counters shown; /* as they were last added to the ring's counts */
};

/* Readers farther behind than this are not answering us; in bytes. */
#define STREAM_LAG ((uint64_t)2048)

/* The least time between two looks at a consumer that is over a limit, in one chunk. */
#define LAG_GRACE_NS INT64_C(1000000)

/* The consumer that holds a producer back most. */
struct gate {
	bool limits; /* some consumer may be evicted for its lag */
	bool closed; /* a consumer (or the hold policy) limits us */
	bool by_consumer;
	unsigned slot;
	uint64_t status;
	uint64_t floor; /* nothing from here on may be overwritten */
};

/*
 * Make room for a record of `size` bytes at the position. 0, -EAGAIN (and the
 * gate that forbids it); never waits.
 */
int producer_reserve(struct shmring_producer *p, uint64_t size, struct gate *ret_gate);

/* How far it is best to reserve, for a record of `size` bytes. */
uint64_t producer_wanted_end(const struct shmring_producer *p, uint64_t size);

/*
 * Deal with the consumers that hold this producer back, one after the other, each place
 * once: dead ones may appear as fast as they are buried. True: there is room.
 */
bool producer_press(struct shmring_producer *p, uint64_t size, struct gate *gate);

/* When to press the consumer that is the gate again; INT64_MAX: it may not be evicted. */
int64_t producer_press_due(const struct shmring_producer *p, const struct gate *gate);

/*
 * The end has come from chunk `from` to chunk `to`: remember when. Evict the consumers that
 * are over a limit at a second look. True: one was evicted, so look at the cursors again.
 */
void producer_note_time(struct shmring_producer *p, uint64_t from, uint64_t to);
bool producer_evict_laggards(struct shmring_producer *p);

/* The other producers may be waiting for the same consumer. */
void producer_tell_others(struct shmring_producer *p);

/* Bring the ring's counts of this lane up to date. */
void producer_show_counts(struct shmring_producer *p);

/* The position of the zero word that readers see. */
static inline struct shmring_boundary published_end(const struct shmring_producer *p)
{
	if (p->staged)
		return p->published;
	return (struct shmring_boundary){ p->hot.position, p->hot.seq, p->hot.bytes };
}

static inline uint64_t earlier(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0 ? a : b;
}

static inline uint64_t later(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) > 0 ? a : b;
}

static inline uint64_t chunk_size(const struct shmring_producer *p)
{
	return p->attachment.ring->geometry.chunk;
}

static inline uint64_t lane_size(const struct shmring_producer *p)
{
	return p->hot.mask + 1;
}

static inline uint64_t record_end(const struct shmring_producer *p, uint64_t size)
{
	return p->hot.position + size + RECORD_HEADER; /* the zero word included */
}

/* A quiet producer wakes consumers only in shmring_producer_wake(), or when it has to wait. */
static inline bool producer_is_quiet(const struct shmring_producer *p)
{
	return p->hot.sleepers == &p->nobody;
}

/*
 * Where records may extend up to: short of what is granted and of the end of
 * the chunk by the zero word, and of half a lane for a batch.
 */
static inline uint64_t producer_room(const struct shmring_producer *p)
{
	uint64_t room = earlier(p->granted, p->next_note) - RECORD_HEADER;

	if (p->staged)
		room = earlier(room, p->published.position + p->hot.max_message);
	return (int64_t)(room - p->hot.position) > 0 ? room : p->hot.position;
}

/* Bytes that a record with a payload of `len` takes. */
static inline uint64_t producer_size_of(const struct shmring_producer *p, uint64_t len)
{
	return record_size(len + p->stamp_size, p->hot.align_mask);
}

/* Set how far the fast path may go: the part of the room that was taken. It knows no stamps. */
static inline void producer_set_limit(struct shmring_producer *p)
{
	uint64_t limit = HANDLE_CHECKS || p->stamp_size != 0 ? p->hot.position
							     : earlier(producer_room(p), p->taken);

	p->hot.limit = (int64_t)(limit - p->hot.position) > 0 ? limit : p->hot.position;
}

/* Must a commit come to its slow half? */
static inline void producer_set_slow(struct shmring_producer *p, bool waiting)
{
	p->hot.slow = HANDLE_CHECKS || waiting || p->staged || p->stamp_size != 0;
}

/*
 * What `claimed` says between two claims. In a build with checks it is not what the inline
 * claim looks for, so that this asks shmring_slow1_claim_refused() each time.
 */
#define NO_CLAIM (HANDLE_CHECKS ? UINT64_MAX : 0)

static inline bool producer_claim_is_open(const struct shmring_producer *p)
{
	return p->hot.claimed != NO_CLAIM;
}

/* There is room for a record of `size` bytes: take its lines from the consumers. */
void producer_take(struct shmring_producer *p, uint64_t size);

/* Lanes up to this size fit into the caches of two cores. */
#define CACHED_LANE ((uint64_t)1 << 20)

/* Copy a message, or a piece of one, into the open claim. */
void producer_copy(const struct shmring_producer *p, void *to, const void *from, size_t len);

/* -ECHILD in a child of fork, which finds the handle zeroed. */
int producer_explain_wiped(void);

static inline int producer_wiped(const struct shmring_producer *p)
{
	return p->hot.data ? 0 : producer_explain_wiped();
}

/*
 * A call that changes what a claim reads marks the handle first, so that a signal handler
 * is refused meanwhile, and unmarks it when the handle is whole again. See producer-inline.h.
 * [SIGNAL] pairs with producer_unmark().
 */
static inline void producer_mark(struct shmring_producer *p, uint64_t claimed)
{
	p->hot.claimed = claimed;
	fence_signal();
}

/* [SIGNAL] pairs with producer_mark() */
static inline void producer_unmark(struct shmring_producer *p)
{
	fence_signal();
	p->hot.claimed = NO_CLAIM;
}

/*
 * May a claim of `len` bytes be opened now? Then the handle is marked, for as long as a
 * claim would be. 0, -ECHILD, -EBUSY or -EMSGSIZE.
 */
int producer_mark_claim(struct shmring_producer *p, size_t len);

/*
 * Room for the marked claim of `len` bytes, its lines not taken: 0; or an error, and no
 * claim is marked.
 */
int producer_claim_room(struct shmring_producer *p, size_t len, int64_t deadline);

/*
 * The first half of a sleep for room, for a caller that sleeps elsewhere. 1: there is room.
 * 0: the position that is wanted is announced, and a consumer that passes it moves the bell
 * on from `seen`. -EPIPE or -EIDRM: no consumer will make room. Deals with the consumers
 * that hold this producer back, as waiting does.
 */
int producer_arm(struct shmring_producer *p, uint64_t size, uint32_t *ret_seen);
void producer_disarm(struct shmring_producer *p);

/*
 * There was no room: may a consumer make room? 1: there is room by now; 0: yes; -EPIPE or
 * -EIDRM: no (peers.h). `waits`: the caller is about to sleep.
 */
int producer_check_end(struct shmring_producer *p, uint64_t size, bool waits);

/*
 * Make room as above, waiting until `deadline`: 0, -EAGAIN, -ETIMEDOUT, -EINTR, or an error
 * of producer_check_end().
 */
int producer_wait(struct shmring_producer *p, uint64_t size, int64_t deadline);

#endif
