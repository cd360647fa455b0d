/* SPDX-License-Identifier: MIT */
/*
 * doorbell-room.pml: a producer sleeps until there is room; store buffers are modelled.
 *
 * Follows sleep_for_room(), wanted_floor() and wait_once() of lib/producer/wait.c; producer_press() of
 * lib/producer/press.c; producer_tell_others() of lib/producer/wake.c, and its counterpart
 * consumer_tell_producers() of lib/consumer/place.c; the end of
 * shmring_release() in include/shmring/consumer-inline.h, consumer_release_lane() and
 * wake_owner() of lib/consumer/cursor.c; leave_ring() of lib/consumer/attach.c; lib/core/doorbell.c.
 *
 * Modelled: the owner of a lane of SIZE messages publishes MESSAGES, SPAN at a time; CONSUMERS
 * consumers read them, release any number at a time, may leave after any release (and ring), and may
 * be killed before each step. Each consumer's cursor stores go through a buffer of two, the owner's
 * stores of room_wanted through one of two (TSO); they drain when they like, before locked
 * operations and system calls, and when membarrier(2) comes by, which goes to one consumer after the
 * other. With FENCE (SHMRING_WAKE_FENCE) wakers fence instead.
 *
 * Abstracted: the owner reserves what it needs (join.pml has producer_reserve()). New messages reach
 * consumers at once (doorbell-messages.pml has their sleep). Spinning before the sleep is a sleep
 * that ends at once. A sleep ends by itself only where the bound D2 is what the protocol relies on:
 * a consumer was killed, which causes no wake-up, or was killed between its store and its wake-up.
 * The dead are buried then (places.pml has the proof).
 *
 * Asserted:
 *	D1	no wake-up is lost: the run ends with all messages published and read by the living
 *	D2	if a consumer was killed, the sleeper's own time-out is enough
 *	I6	nothing is overwritten that is not released
 *
 * Negative variants: NO_BARRIER, FENCE with NO_WAKER_FENCE, BELL_LATE (the bell is read after the
 * second look), LOOK_FIRST (the look before room_wanted), SILENT_LEAVE.
 */
#ifndef CONSUMERS
#define CONSUMERS 2
#endif
#ifndef SIZE
#define SIZE 4
#endif
#ifndef QUARTER
#define QUARTER 2
#endif
#ifndef SPAN
#define SPAN 1
#endif
#ifndef MESSAGES
#define MESSAGES 6
#endif
#ifndef KILLS
#define KILLS 0
#endif
#ifndef LEAVES
#define LEAVES true
#endif
#define NONE 255
#define DIE \
	if \
	:: kills > 0 -> kills--; goto killed \
	:: true \
	fi

byte kills = KILLS;
byte published; /* the end of the lane */
byte cursor[CONSUMERS];
bool gates[CONSUMERS] = true; /* ACTIVE, for the owner */
bool dead[CONSUMERS];
byte room_wanted = NONE;
byte bell;
bool asleep;
chan cursor_buffer[CONSUMERS] = [2] of { byte };
chan wanted_buffer = [2] of { byte };

/* Buffers drain when they like. */
active proctype Memory()
{
end:
	do
	:: atomic { cursor_buffer[0]?cursor[0] }
#if CONSUMERS > 1
	:: atomic { cursor_buffer[1]?cursor[1] }
#endif
	:: atomic { wanted_buffer?room_wanted }
	od
}

#define drained(c) empty(cursor_buffer[c])

/* read_gate(): the cursor furthest behind. */
inline read_gate()
{
	atomic { c = 0; closed = false; floor = 0 };
	do
	:: c < CONSUMERS ->
		atomic {
			if
			:: gates[c] && (!closed || cursor[c] < floor) ->
				closed = true;
				floor = cursor[c]
			:: else
			fi;
			c++
		}
	:: else -> c = 0; break
	od
}

/* producer_reserve(): sets `room`. */
inline producer_reserve()
{
	read_gate();
	room = !closed || position + SPAN - floor <= SIZE
}

/* producer_press(): the dead are buried, on proof. */
inline producer_press()
{
	do
	:: c < CONSUMERS ->
		atomic {
			if
			:: dead[c] -> gates[c] = false
			:: else
			fi;
			c++
		}
	:: else -> c = 0; break
	od;
	producer_reserve()
}

inline shmr_bell_barrier()
{
	empty(wanted_buffer); /* a system call is a barrier for the caller */
#ifndef FENCE
	do
	:: c < CONSUMERS ->
		atomic {
			do
			:: cursor_buffer[c]?cursor[c]
			:: empty(cursor_buffer[c]) -> break
			od;
			c++
		}
	:: else -> c = 0; break
	od
#endif
}

/* wanted_floor() */
inline set_wanted()
{
	wanted = floor + QUARTER;
	if
	:: wanted + SIZE < position + SPAN -> wanted = position + SPAN - SIZE
	:: else
	fi;
	if
	:: wanted > position -> wanted = position
	:: else
	fi
}

inline sleep_for_room()
{
#ifndef BELL_LATE
	seen = bell;
#endif
#ifdef LOOK_FIRST
	atomic { set_wanted() };
	producer_reserve();
	atomic { nfull(wanted_buffer) -> wanted_buffer!wanted; wanted = 0 };
#else
	atomic { nfull(wanted_buffer) -> set_wanted(); wanted_buffer!wanted; wanted = 0 }; /* [SLEEP] */
#endif
#ifndef NO_BARRIER
	shmr_bell_barrier();
#endif
#ifndef LOOK_FIRST
	producer_reserve();
#endif
#ifdef BELL_LATE
	seen = bell;
#endif
	if
	:: room
	:: else ->
		atomic { asleep = bell == seen };
		if
		:: !asleep
		:: asleep && dead[0] -> asleep = false	   /* D2 */
		:: asleep && dead[CONSUMERS - 1] -> asleep = false /* D2 */
		fi
	fi;
	atomic { nfull(wanted_buffer) -> wanted_buffer!NONE; seen = 0 }
}

active proctype Owner()
{
	byte position, floor, wanted, seen, c;
	bool closed, room;

	do
	:: position < MESSAGES ->
		producer_reserve(); /* producer_wait() */
		if
		:: !room -> producer_press()
		:: else
		fi;
		do
		:: room -> break
		:: else -> /* wait_once() */
			sleep_for_room();
			producer_reserve();
			if
			:: !room -> producer_press()
			:: else
			fi
		od;
		atomic {
			c = 0;
			do
			:: c < CONSUMERS ->
				assert(!gates[c] || dead[c] || position + SPAN - cursor[c] <= SIZE);
				c++
			:: else -> break
			od;
			position = position + SPAN;
			published = position;
			c = 0;
			closed = false;
			room = false;
			floor = 0
		}
	:: else -> break
	od
}

inline shmr_bell_ring_room()
{
	atomic { drained(me) -> DIE; bell++ };
	atomic { DIE; asleep = false } /* FUTEX_WAKE */
}

proctype Consumer(byte me)
{
	byte at, before, wanted;
	bool leaving;

	do
	:: before == MESSAGES -> break
	:: before < MESSAGES && !leaving && before < published -> /* peek any number, release them */
		at = before + 1;
		do
		:: at < published -> at++
		:: break
		od;
		atomic { nfull(cursor_buffer[me]) -> DIE; cursor_buffer[me]!at }; /* [RELEASE] */
#ifdef FENCE
#ifndef NO_WAKER_FENCE
		atomic { drained(me) -> DIE };
#endif
#endif
		atomic { DIE; wanted = room_wanted }; /* [WAKE] */
		if
		:: wanted != NONE -> /* wake_owner() */
			atomic { DIE; wanted = room_wanted };
			if
			:: wanted != NONE && at >= wanted && before < wanted -> shmr_bell_ring_room()
			:: else
			fi
		:: else
		fi;
		/* A consumer that waits does not leave: that would hide a lost wake-up. */
		atomic {
			wanted = 0;
			before = at;
			at = 0;
			if
			:: leaving = LEAVES
			:: leaving = false
			fi
		}
	:: before < MESSAGES && leaving ->
		atomic { drained(me) -> DIE; gates[me] = false }; /* shmr_place_leave() */
#ifndef SILENT_LEAVE
		shmr_bell_ring_room(); /* consumer_tell_producers() */
#endif
		goto left
	od;
	goto left;
killed:
	dead[me] = true;
left:
	skip
}

init
{
	atomic {
		byte i;
		do
		:: i < CONSUMERS -> run Consumer(i); i++
		:: else -> break
		od
	}
}
