/* SPDX-License-Identifier: MIT */
/*
 * producer: the handle of a lane's owner, and what the files of this room do for each other.
 *
 * The room in floors. A file calls files on lower floors only (tests/meta/check-circles.sh):
 *
 *	checked.c	the public functions of a build that checks how handles are used
 *	fd.c		a producer in an event loop, and among others in shmring_wait()
 *	messages.c	claim, commit, publish, stage, flush
 *	attach.c	become the owner of a lane, and leave it
 *	wait.c		wait for room				copy.c	get stores past the caches
 *	press.c		bury or evict the consumer that holds the producer back
 *	reserve.c	reserve room, as far as the cursors allow
 *	lag.c		evict consumers that are further behind than their limits
 *	wake.c		wake consumers, and other producers
 *	producer.c	the handle: what a program asks it for, and what it counts
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

/* messages.c: the batch. It ends where the next record goes; readers see none of it yet. */
struct batch {
	bool staged;			   /* there is one */
	uint64_t first;			   /* the header of its first record, held back */
	struct shmring_boundary published; /* where it begins: the published end */
};

/* copy.c: how far lines were taken from the caches of consumers. */
struct copy {
	uint64_t taken; /* the inline claim may go up to here */
	bool streaming; /* readers were some way behind at the last reservation */
};

/* wait.c */
struct wait {
	struct peers consumers; /* is one of them left? */
};

/* press.c: the consumer that holds the producer back, and how long it has done so. */
struct press {
	unsigned slot;	    /* the consumer's place, */
	uint64_t status;    /* its status word when it was first found there, */
	uint64_t floor;	    /* and its cursor then: all three the same, it is the same stall */
	int64_t waited;	    /* in ns, for this stall */
	int64_t last_look;  /* at this stall, in ns of shmr_now() */
	int64_t last_probe; /* when a place was last asked for a proof of death, in such ns; */
	unsigned probed;    /* which place that was */
};

/* reserve.c: positions of the lane, in bytes. */
struct reserve {
	uint64_t reserved;    /* what the control block's `reserved` says */
	uint64_t granted;     /* up to here the cursors let the producer write */
	uint64_t next_note;   /* a record that ends behind this asks producer_reserve() again */
	uint64_t noted_chunk; /* the chunk of the newest entry in the index */
	uint64_t floor;	      /* nothing from here on was overwritten */
};

/* lag.c */
struct lag {
	bool looked_for; /* a consumer has limits, as of the last look at the cursors */
	bool pending;	 /* a consumer was over a limit, and gets a second look */
	int64_t entered_ns[LAYOUT_CHUNKS]; /* when the lane's end got into each chunk */
	struct {
		uint32_t epoch;	  /* of the consumer that was over a limit; 0: none */
		uint64_t end;	  /* of the lane, when it was first seen so */
		int64_t since_ns; /* when that was */
	} over[LAYOUT_CONSUMERS];
};

/* wake.c */
struct wake {
	uint64_t nobody; /* zero: the sleepers that a quiet producer sees */
};

/* fd.c: the descriptor, and the entry in shmring_wait(). */
struct producer_fd {
	struct kick *kick;	 /* NULL: no descriptor was asked for */
	uint64_t armed_position; /* where the next record went when it was last armed */
	struct shmring_waitable waitable;
	uint64_t waitable_len; /* of the message that it waits for */
};

/*
 * The handle. A field in a sub-struct belongs to the file that the sub-struct names; the
 * others are set at the attach and then stay, but for the counts.
 *
 * Lives in memory that a child of fork finds zeroed: then every fast path
 * fails its first comparison, and the slow one answers -ECHILD.
 */
struct shmring_producer {
	struct shmring_producer_hot hot; /* touched for every message */
	struct in_use use;
	uint32_t single; /* what hot.slow is for a message that is no part of a batch */
	bool stamped;	 /* the ring has stamps */

	/* Touched for every message that takes the slow halves, and when room runs out. */
	struct batch batch;
	struct copy copy;
	struct lane lane;
	struct reserve reserve;
	const struct cursor_row *rows; /* the cursors of all consumers */

	/* Touched in calls that wait, wake or report. */
	struct wake wake;
	struct press press;
	struct wait wait;
	struct producer_fd fd;
	struct bell bell;
	struct attachment attachment;
	struct shmring_boundary begin;	  /* where this tenancy began */
	struct shmring_counters counters; /* of this handle */
	struct shmring_counters shown;	  /* as they were last added to the ring's counts */
	struct lag lag;
};

/* Lanes up to this size fit into the caches of two cores. */
#define CACHED_LANE ((uint64_t)1 << 20)

/* The least time between two looks at a consumer that is over a limit, in one chunk. */
#define LAG_GRACE_NS INT64_C(1000000)

/*
 * What `claimed` says between two claims. In a build with checks it is not what the inline
 * claim looks for, so that this asks shmring_slow1_claim_refused() each time.
 */
#define NO_CLAIM (HANDLE_CHECKS ? UINT64_MAX : 0)

/* The earlier, or the later, of two positions that are less than 2^63 bytes apart. */
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

/* The word that a consumer rings when it has made room for this producer. */
static inline shm_u32 *room_bell(const struct shmring_producer *p)
{
	return &p->bell.shared->room[p->attachment.slot].bell;
}

/* Bytes that a record with a payload of `len` takes. */
static inline uint64_t producer_size_of(const struct shmring_producer *p, uint64_t len)
{
	return record_size(len, p->hot.round, p->hot.align);
}

/* Where a record of `size` bytes at the position ends, the zero word behind it included. */
static inline uint64_t record_end(const struct shmring_producer *p, uint64_t size)
{
	return p->hot.position + size + RECORD_HEADER;
}

/* The position of the zero word that readers see. */
static inline struct shmring_boundary published_end(const struct shmring_producer *p)
{
	if (p->batch.staged)
		return p->batch.published;
	return (struct shmring_boundary){ p->hot.position, p->hot.seq, p->hot.bytes };
}

/*
 * Where records may extend up to: short of what is granted and of the end of
 * the chunk by the zero word, and of half a lane for a batch.
 */
static inline uint64_t producer_room(const struct shmring_producer *p)
{
	uint64_t room = earlier(p->reserve.granted, p->reserve.next_note) - RECORD_HEADER;

	if (p->batch.staged)
		room = earlier(room, p->batch.published.position + p->hot.max_message);
	return (int64_t)(room - p->hot.position) > 0 ? room : p->hot.position;
}

/* Set how far the fast path may go: the part of the room that was taken. */
static inline void producer_set_limit(struct shmring_producer *p)
{
	uint64_t limit = HANDLE_CHECKS ? p->hot.position : earlier(producer_room(p), p->copy.taken);

	p->hot.limit = later(limit, p->hot.position) + 1; /* 0: only in a wiped handle */
}

/* Set hot.slow: may a commit be inline? */
static inline void producer_set_slow(struct shmring_producer *p, bool waiting)
{
	p->hot.slow = HANDLE_CHECKS || waiting || p->batch.staged ? SHMRING_COMMIT_SLOW : p->single;
}

static inline bool producer_claim_is_open(const struct shmring_producer *p)
{
	return p->hot.claimed != NO_CLAIM;
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

/* A quiet producer wakes consumers only in shmring_producer_wake(), or when it has to wait. */
static inline bool producer_is_quiet(const struct shmring_producer *p)
{
	return p->hot.sleepers == &p->wake.nobody;
}

/* producer.c */

/* -ECHILD in a child of fork, which finds the handle zeroed. */
int producer_explain_wiped(void);

static inline int producer_wiped(const struct shmring_producer *p)
{
	return p->hot.data ? 0 : producer_explain_wiped();
}

/* Bring the ring's counts of this lane up to date. */
void producer_show_counts(struct shmring_producer *p);

/* wake.c */

/* Wake the other producers, which may wait for the consumer that was just buried or evicted. */
void producer_tell_others(struct shmring_producer *p);

/* lag.c */

/* The lane's end has come from chunk `from` to chunk `to`: remember when. */
void producer_note_time(struct shmring_producer *p, uint64_t from, uint64_t to);

/*
 * Evict the consumers that are over a limit at a second look. True: one was evicted, so look
 * at the cursors again.
 */
bool producer_evict_laggards(struct shmring_producer *p);

/* In how many ns the second look at a consumer is due; 0: there is none to look at. */
static inline int64_t producer_second_look_ns(const struct shmring_producer *p)
{
	return p->lag.pending ? LAG_GRACE_NS : 0;
}

/* reserve.c */

/* The consumer that holds a producer back most. */
struct gate {
	bool limits; /* some consumer may be evicted for its lag */
	bool closed; /* a consumer (or the hold policy) limits the producer */
	bool by_consumer;
	unsigned slot;
	uint64_t status;
	uint64_t floor;	    /* nothing from here on may be overwritten */
	unsigned consumers; /* that gate at all */
};

/*
 * Make room for a record of `size` bytes at the position. 0, -EAGAIN (and the
 * gate that forbids it); never waits.
 */
int producer_reserve(struct shmring_producer *p, uint64_t size, struct gate *ret_gate);

/* How far producer_reserve() would reserve for a record of `size` bytes, if no cursor forbids it.
 */
uint64_t producer_wanted_end(const struct shmring_producer *p, uint64_t size);

/* press.c */

/*
 * Deal with the consumers that hold this producer back, one after the other, each place
 * once: dead ones may appear as fast as they are buried. True: there is room.
 */
bool producer_press(struct shmring_producer *p, uint64_t size, struct gate *gate);

/* When to press the consumer that is the gate again; INT64_MAX: it may not be evicted. */
int64_t producer_press_due(const struct shmring_producer *p, const struct gate *gate);

/* The consumer in the way may be gone: do not wait for the probe interval. */
static inline void producer_forget_probe(struct shmring_producer *p)
{
	p->press.last_probe = 0;
}

/* wait.c */

/*
 * There was no room: may a consumer make room? 1: there is room by now; 0: yes; -EPIPE or
 * -EIDRM: no (peers.h). `waits`: the caller is about to sleep.
 */
int producer_check_end(struct shmring_producer *p, uint64_t size, bool waits);

/*
 * Make room as producer_reserve() does, waiting until `deadline`: 0, -EAGAIN, -ETIMEDOUT,
 * -EINTR, -ECANCELED, or an error of producer_check_end().
 */
int producer_wait(struct shmring_producer *p, uint64_t size, int64_t deadline);

/*
 * The first half of a sleep for room, for a caller that sleeps elsewhere. 1: there is room.
 * 0: the position that is wanted is announced, and a consumer that passes it moves the bell
 * on from `seen`. -EPIPE or -EIDRM: no consumer will make room. Deals with the consumers
 * that hold this producer back, as waiting does. Disarming takes the announcement back.
 */
int producer_arm(struct shmring_producer *p, uint64_t size, uint32_t *ret_seen);
void producer_disarm(struct shmring_producer *p);

/* copy.c */

/* There is room for a record of `size` bytes: take its lines from the consumers. */
void producer_take(struct shmring_producer *p, uint64_t size);

/* Copy a message, or a piece of one, into the open claim. */
void producer_copy(const struct shmring_producer *p, void *to, const void *from, size_t len);

/* messages.c */

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

#endif
