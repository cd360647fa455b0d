/* SPDX-License-Identifier: MIT */
/*
 * doorbell-messages.pml: consumers sleep until there is a message; store buffers are modelled.
 *
 * Follows sleep_for_message(), sleep_until_message(), consumer_announce() and
 * consumer_take_back() of lib/consumer/sleep.c and announce.c; consumer_look() of
 * lib/consumer/turn.c; the end of shmring_commit() in include/shmring/producer-inline.h and of
 * publish_batch() in lib/producer/messages.c; shmr_bell_ring_data(), shmr_bell_barrier() and
 * shmr_bell_sleep() of lib/core/doorbell.c.
 *
 * Modelled: PRODUCERS lanes, MESSAGES messages in each; CONSUMERS consumers that want them all.
 * A producer has a buffer of two stores, which drains when it likes (TSO), before its own locked
 * operations and fences, and when a sleeper's membarrier(2) reaches it: the barrier goes to one
 * producer after the other and ends when all have executed it. The futex compares and queues in one
 * step. Consumers may be killed before each step, asleep or awake, and so may producers. With FENCE
 * (SHMRING_WAKE_FENCE) wakers fence, and no process forces barriers; with MIXED the first producer could
 * not register, and fences, and the others are reached by the barrier.
 *
 * Abstracted: a lane is the number of messages in it, and a look at it is one load. Spinning before
 * the sleep is a sleep that ends at once. Time: a sleep ends by itself only where the bound D2 is
 * what the protocol relies on: a producer was killed between its store and the end of its ring.
 * Otherwise a sleeper without a wake-up sleeps for ever, and the search ends in a state that it
 * calls invalid.
 *
 * With WATERMARK a consumer waits in two ways, as it likes: for one message, or until a lane has so
 * many, by wait_for_watermark() of lib/consumer/sleep.c; its time is over NAPS times, at
 * any moment. shmring_slow1_wake_consumers() is modelled then: a producer looks at the watermark of
 * its lane.
 *
 * Asserted:
 *	D1	no wake-up is lost: the run ends with all messages read
 *	D2	if a waker was killed, the sleeper's own time-out is enough
 *	D3	there are at most as many wake-ups as announcements, even if processes have died
 *	D5	a sleeper is woken when a lane has got to the watermark
 *
 * Negative variants: NO_BARRIER (the bit is set, but no barrier forced), FENCE with NO_WAKER_FENCE,
 * BELL_LATE (the bell is read after the second look), LOOK_FIRST (the second look before the bit),
 * MASK_LAST (the mask is cleared after the wake), NO_BELL (a wake that does not move the bell). With
 * WATERMARK: KEEP_BIT (watermarks change under an announcement), KEEP_MARKS (they are not dropped),
 * TAKE_ALL (a sleeper that is not due loses its bit).
 *
 * For weaker memory: [SLEEP] and [WAKE] are full barriers between a store and a load at both ends,
 * which is what is modelled. That a message is whole once it is seen is [PUBLISH].
 */
#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#ifndef CONSUMERS
#define CONSUMERS 2
#endif
#ifndef MESSAGES
#define MESSAGES 1
#endif
#ifndef KILLS
#define KILLS 0
#endif
#define DIE \
	if \
	:: kills > 0 -> kills--; goto killed \
	:: true \
	fi

byte kills = KILLS;
byte published[PRODUCERS]; /* in memory */
byte buffered[PRODUCERS];  /* stored, but still in the producer's buffer */
byte sleepers;		   /* the mask */
byte data_bell;
bool asleep[CONSUMERS]; /* in the futex's queue */
bool waker_died;	/* between its store and the end of its ring */
byte over; /* producers that have published everything */
byte announced;
byte rings;
/* Repeated announcements of a consumer must make no new states: D3 is not for WATERMARK. */
#ifdef WATERMARK
#define count(what) skip
#else
#define count(what) what++
#endif
#ifdef WATERMARK
#ifndef NAPS
#define NAPS 1
#endif
#define mark_of(consumer, producer) marks[(consumer) * PRODUCERS + (producer)]
byte marks[CONSUMERS * PRODUCERS]; /* a number of messages; 0: for everything */
byte naps = NAPS;
#endif

#ifdef FENCE
#define fence_to_sleep true
#define fence_to_wake(producer) true
#else
#define fence_to_sleep false
#ifdef MIXED
#define fence_to_wake(producer) ((producer) == 0)
#else
#define fence_to_wake(producer) false
#endif
#endif

/* Buffers drain when they like. */
active proctype Memory()
{
end:
	do
	:: atomic { buffered[0] > 0 -> buffered[0]--; published[0]++ }
#if PRODUCERS > 1
	:: atomic { buffered[1] > 0 -> buffered[1]--; published[1]++ }
#endif
	od
}

inline futex_wake()
{
	atomic {
		DIE;
		c = 0;
		do
		:: c < CONSUMERS -> asleep[c] = false; c++
		:: else -> c = 0; break
		od
	}
}

#ifdef WATERMARK
/* Leaves those of `mask` that are due. */
inline look_at_watermarks()
{
	c = 0;
	do
	:: c < CONSUMERS ->
		atomic {
			DIE;
			if
			:: n < mark_of(c, me) -> mask = mask & (255 - (1 << c))
			:: else
			fi;
			c++
		}
	:: else -> c = 0; break
	od
}
#endif

inline shmr_bell_ring_data()
{
#ifdef WATERMARK
	look_at_watermarks();
#ifdef TAKE_ALL
	atomic { buffered[me] == 0 -> DIE; sleepers = 0 };
#else
	if
	:: mask == 0
	:: else -> atomic { /* fetch_and */
			buffered[me] == 0 -> DIE;
			mask = mask & sleepers;
			sleepers = sleepers & (255 - mask)
		}
	fi;
#endif
#else
#ifndef MASK_LAST
	atomic { buffered[me] == 0 -> DIE; mask = sleepers; sleepers = 0 }; /* of all */
#endif
#endif
	if
	:: mask == 0 /* another producer is at it */
	:: else ->
#ifndef NO_BELL
		atomic { DIE; data_bell++ };
#endif
		futex_wake();
		count(rings);
#ifdef MASK_LAST
		atomic { buffered[me] == 0 -> DIE; sleepers = 0 }
#endif
	fi
}

proctype Producer(byte me)
{
	byte n, mask, c;

	do
	:: n < MESSAGES ->
		atomic { buffered[me] < 2 -> DIE; buffered[me]++; n++ }; /* shmring_commit(): [PUBLISH] */
#ifndef NO_WAKER_FENCE
		if /* bell_order() */
		:: fence_to_wake(me) -> atomic { buffered[me] == 0 -> DIE }
		:: else
		fi;
#endif
		atomic { DIE; mask = sleepers }; /* [WAKE] */
		if
		:: mask != 0 -> shmr_bell_ring_data()
		:: else
		fi;
		mask = 0
	:: else -> break
	od;
	goto done;
killed:
	waker_died = waker_died || n > 0;
done:
	over++
}

/* shmr_bell_barrier(): to one producer after the other. */
inline shmr_bell_barrier()
{
	p = 0;
	do
	:: !fence_to_sleep && p < PRODUCERS ->
		atomic {
			DIE;
			if
			:: fence_to_wake(p) /* not registered, so not reached */
			:: else -> published[p] = published[p] + buffered[p]; buffered[p] = 0
			fi;
			p++
		}
	:: else -> p = 0; break
	od
}

/* Sets `found`. */
inline consumer_look()
{
	p = 0;
	found = false;
	do
	:: p < PRODUCERS && !found -> atomic { DIE; found = published[p] > taken[p]; p++ }
	:: else -> p = 0; break
	od
}

#define nothing_unread() \
	(taken[0] == published[0] + buffered[0] && \
	 taken[PRODUCERS - 1] == published[PRODUCERS - 1] + buffered[PRODUCERS - 1])

inline sleep_for_message()
{
#ifndef BELL_LATE
	atomic { DIE; seen = data_bell };
#endif
#ifdef LOOK_FIRST
	consumer_look();
#endif
	atomic { DIE; mask = sleepers };
	if
	:: mask & (1 << me)
	:: else ->
		atomic { DIE; sleepers = sleepers | (1 << me); count(announced) }; /* [SLEEP] fetch_or */
#ifndef NO_BARRIER
		shmr_bell_barrier();
#endif
	fi;
	mask = 0;
#ifndef LOOK_FIRST
	consumer_look();
#endif
#ifdef BELL_LATE
	atomic { DIE; seen = data_bell };
#endif
	if
	:: found
	:: else -> /* shmr_bell_sleep() */
		atomic { DIE; asleep[me] = data_bell == seen };
		atomic {
			if
			:: !asleep[me] -> DIE
			:: asleep[me] && kills > 0 -> kills--; goto killed
			:: asleep[me] && waker_died -> asleep[me] = false /* D2 */
			:: asleep[me] && over == PRODUCERS && nothing_unread() -> goto killed
			fi
		}
	fi;
	seen = 0
}

inline take_back_bit()
{
	atomic { DIE; mask = sleepers };
	if
	:: mask & (1 << me) -> atomic { DIE; sleepers = sleepers & (255 - (1 << me)) } /* fetch_and */
	:: else
	fi;
	mask = 0
}

#ifdef WATERMARK
inline store_marks(by)
{
	p = 0;
	do
	:: p < PRODUCERS -> atomic { DIE; mark_of(me, p) = (by == 0 -> 0 : taken[p] + by); p++ }
	:: else -> p = 0; break
	od
}

/* Sets `found`: a lane is due. */
inline consumer_is_due()
{
	p = 0;
	found = false;
	do
	:: p < PRODUCERS && !found ->
		atomic { DIE; found = published[p] >= taken[p] + WATERMARK; p++ }
	:: else -> p = 0; break
	od
}

inline announce()
{
	atomic { DIE; mask = sleepers };
	if
	:: mask & (1 << me)
	:: else ->
		atomic { DIE; sleepers = sleepers | (1 << me) };
		shmr_bell_barrier()
	fi;
	mask = 0
}

#define never_due() \
	(over == PRODUCERS && \
	 published[0] + buffered[0] < taken[0] + WATERMARK && \
	 published[PRODUCERS - 1] + buffered[PRODUCERS - 1] < taken[PRODUCERS - 1] + WATERMARK)

/* Its time may be over now, or everything is. */
inline nap()
{
	atomic { DIE; asleep[me] = data_bell == seen };
	atomic {
		if
		:: !asleep[me] -> DIE
		:: asleep[me] && kills > 0 -> kills--; goto killed
		:: asleep[me] && naps > 0 -> naps--; asleep[me] = false; found = true
		:: asleep[me] && (waker_died || never_due()) -> asleep[me] = false; found = true
		fi
	}
}

inline wait_for_watermark()
{
#ifndef KEEP_BIT
	take_back_bit();
#endif
	store_marks(WATERMARK);
	do
	:: atomic { DIE; seen = data_bell };
	   announce();
	   consumer_is_due();
	   if
	   :: found -> break
	   :: else
	   fi;
	   nap();
	   if
	   :: found -> break
	   :: else
	   fi
	od;
	seen = 0;
#ifndef KEEP_BIT
	take_back_bit();
#endif
#ifndef KEEP_MARKS
	store_marks(0)
#endif
}
#endif

proctype Consumer(byte me)
{
	byte taken[PRODUCERS];
	byte p, seen, mask;
	bool found;

	do
	:: over == PRODUCERS && nothing_unread() -> break
	:: else ->
		consumer_look();
		if
		:: found
#ifdef WATERMARK
		:: !found -> wait_for_watermark()
#endif
		:: !found ->
			do
			:: sleep_for_message();
			   consumer_look();
			   if
			   :: found -> break
			   :: else
			   fi
			od;
			take_back_bit()
		fi;
		atomic { /* peek and release what is there */
			found = false;
			p = 0;
			do
			:: p < PRODUCERS -> taken[p] = published[p]; p++
			:: else -> p = 0; break
			od
		}
	od;
killed:
	asleep[me] = false;
	assert(rings <= announced) /* D3 */
}

init
{
	atomic {
		byte i;
		do
		:: i < PRODUCERS -> run Producer(i); i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < CONSUMERS -> run Consumer(i); i++
		:: else -> break
		od
	}
}
