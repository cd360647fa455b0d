/* SPDX-License-Identifier: MIT */
/*
 * doorbell: sleep and wake, at no cost to processes that are awake.
 *
 * Consumers wait for messages, producers wait for room. Either way the
 * sleeper does the work:
 *
 *	sleeper					waker
 *	[SLEEP] announce itself			[WAKE] store what is waited for
 *	force a barrier on all wakers		load the announcement
 *	look once more				if it is there: ring
 *	sleep on the bell, as read before
 *	the announcement
 *
 * D1 No wake-up is lost. The sleeper's membarrier(2) makes every registered
 *    waker execute a full barrier B between the sleeper's two steps. If the
 *    waker's load comes before B, so does its store, and the sleeper's second
 *    look sees what it stored. If it comes after B, it sees the announcement
 *    and rings; the bell has then moved since the sleeper read it, so the
 *    sleep ends at once. There is no third case. Wakers that could not
 *    register, and all of them in rings made with SHMRING_WAKE_FENCE, execute
 *    a full fence between store and load instead.
 * D2 Every sleep is bounded (max_sleep_ns), because a waker may be killed
 *    between its store and its ring. Where no barrier can be forced, sleeps
 *    are short (BELL_UNANNOUNCED_NS).
 * D3 A sleeper does not trust the bell. If the bell has rung in vain again and again
 *    during one wait, the sleeper does not listen to it for a while (BELL_DEAF_NS). A
 *    waker that rings without end costs a sleeper two thousand looks a second, and
 *    delays it by a millisecond. For a waiter with a descriptor (kick.h) one wait is
 *    all arming between two messages.
 * D4 A sleeper that is stopped or dead costs wakers nothing: the waker takes the
 *    announcement away as it rings, and only the sleeper puts it there again.
 *
 * D5 A sleeper may want to be rung only when a lane has got somewhere: for each
 *    lane it stores a watermark, and that it is patient, before it announces itself,
 *    and "look" means to see whether a lane has got there. Until then the waker leaves
 *    the announcement, and asks again at its next message. A waker that sees the
 *    announcement sees the watermark, or a later one. A sleeper takes its announcement
 *    back before it changes watermarks.
 *
 * For messages the announcement is a bit in `sleepers`, and the waker takes away the
 * bits that are due. For room it is the position that a lane's owner
 * waits for in its control block; a consumer rings when its own cursor passes
 * that position, which happens once.
 */
#ifndef SHMRING_CORE_DOORBELL_H
#define SHMRING_CORE_DOORBELL_H

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"
#include "spin.h"

#pragma GCC visibility push(default)

/*
 * In ns. How long a sleeper sleeps at most that no waker is certain to see: an observer, which
 * cannot announce itself, a quiet consumer, which does not, and any where no barrier can be forced.
 * consumer.h promises it.
 */
#define BELL_UNANNOUNCED_NS INT64_C(5000000)

/* One process's side of the ring's doorbell. */
struct bell {
	struct doorbell *shared; /* mapped read-only for observers */
	bool fence_to_wake;	 /* this process must fence before its look */
	bool fence_to_sleep;	 /* no membarrier in this ring */
	bool soft;		 /* a barrier was refused: sleep in slices */
	uint64_t max_sleep_ns;
	struct spin_habit spin;
	int64_t soft_sleep_ns;
	shm_u32 cancelled; /* 1: another thread has cancelled a wait that has not returned yet */
	uint32_t rung;	   /* sleeps of the present wait during which it rang */
	uint32_t armed;	   /* what it said when a descriptor was last armed */
};

void shmr_bell_init(struct bell *bell, struct doorbell *shared, const struct geometry *g);

/*
 * Between [WAKE]'s store and its load. In the common case nothing but a
 * compiler barrier. [WAKE] pairs with shmr_bell_barrier().
 */
static inline void bell_order(bool fence)
{
	if (fence)
		fence_full();
	else
		fence_compiler();
}

/*
 * Watermarks: up to a position, or up to a number of messages. Positions are
 * multiples of eight, so that the low bits say which.
 */
static inline uint64_t watermark_bytes(uint64_t position)
{
	return position | 2;
}

static inline uint64_t watermark_messages(uint64_t seq)
{
	return seq << 1 | 1;
}

/* The longest message and its prefix take half a lane; its header and padding, and a zero word. */
#define WATERMARK_SPARE UINT64_C(72)

/*
 * D5: does a lane that ends there, before message `seq`, get to the watermark, or does
 * this consumer hold so much of it that the longest message would not fit?
 */
static inline bool watermark_reached(uint64_t watermark, uint64_t position, uint64_t seq,
				     uint64_t cursor, uint64_t lane_size)
{
	if (watermark == 0 || position - cursor > lane_size / 2 - WATERMARK_SPARE)
		return true;
	if (watermark & 1)
		return (int64_t)(watermark_messages(seq) - watermark) >= 0;
	return (int64_t)(watermark_bytes(position) - watermark) >= 0;
}

#define EVERYBODY UINT64_MAX

/* Wake those of `consumers` that sleep. Called when there may be some. */
void shmr_bell_ring_data(struct bell *bell, uint64_t consumers, struct shmring_counters *counters);

/* Wake the owner of a lane, or of all lanes in the mask. */
void shmr_bell_ring_room(struct bell *bell, unsigned lane, struct shmring_counters *counters);
void shmr_bell_ring_rooms(struct bell *bell, uint64_t lanes, struct shmring_counters *counters);

/*
 * A place has become free: move the bell, and wake all processes that sleep on it,
 * announced or not: consumers that wait for the end, and processes that wait for a place.
 */
void shmr_bell_ring_leaving(struct bell *bell, struct shmring_counters *counters);

/*
 * A process has attached: its status word says so. Wake all processes that sleep until others
 * have attached (arrivals.c). They cannot announce themselves: they may have no place.
 */
void shmr_bell_ring_arrival(struct doorbell *shared);

/*
 * Cancel the present wait of that handle, or the next one: that wait returns -ECANCELED.
 * Async-signal-safe, and the only function here that other threads may call. `word`: the
 * bell on which the handle sleeps. Cancelling moves it, which costs the other sleepers
 * there a look. NULL: the bell may not be written, and the handle sleeps in short slices.
 */
void shmr_bell_cancel(struct bell *bell, shm_u32 *word);

/* If a wait was cancelled: clear that, and return -ECANCELED, explained; else 0. */
int shmr_bell_check_cancel(struct bell *bell);

/* Begin a wait: rings in vain are counted from here (D3). */
void shmr_bell_begin_wait(struct bell *bell);

/* The barrier between announcing and the second look. */
void shmr_bell_barrier(struct bell *bell, struct shmring_counters *counters);

/*
 * Sleep on a bell that read `seen`, at most until `deadline`, and never longer
 * than the ring's bound. Returns 0 (look again, for whatever reason), -EINTR, or
 * -ECANCELED, explained.
 */
int shmr_bell_sleep(struct bell *bell, const shm_u32 *word, uint32_t seen, int64_t deadline,
		    struct shmring_counters *counters);

/* D3: so many rings in vain, and for how long a sleeper does not listen then. */
#define BELL_RINGS_IN_VAIN 64 /* enough for a wait for what 64 consumers release bit by bit */
#define BELL_DEAF_NS INT64_C(1000000)

/*
 * D3 for a waiter with a descriptor. The descriptor is armed anew, with a bell that reads
 * `seen`. `got_something`: the waiter got something since it was armed last. Returns
 * whether not to listen.
 */
bool shmr_bell_is_deaf(struct bell *bell, uint32_t seen, bool got_something);

#pragma GCC visibility pop

#endif
