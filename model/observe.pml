/* SPDX-License-Identifier: MIT */
/*
 * observe.pml: an observer holds no producer back, and copies messages while the owner goes round.
 *
 * Follows begin_lane(), look_and_copy(), still_whole(), copy_words(), relocate(),
 * hand_out_copy() and observe_lane() of lib/consumer/observer.c; producer_reserve() of
 * lib/producer/reserve.c, find_end() of lib/producer/attach.c, the index, its search and the walk of lib/core/lane.c.
 *
 * Modelled: OWNERS owners, one after the other, each of which may be killed before each of its
 * steps, write records of a header and one word of payload, with no consumer to wait for. One
 * observer begins at the oldest message or now, and may be stopped for any time at any step; what it
 * loads it loads word by word.
 *
 * Abstracted: a lane of 8 words and 4 chunks, 8 entries. Stores of the owner are seen in order, and
 * it has no load that a late store could pass.
 *
 * Asserted:
 *	I6	a copy that is handed out is whole, and is the message that its number says; so
 *		what is counted as lost between two of them is exact
 *	I4	the number of every boundary is right; where nothing is said to be, nothing is
 *	and	an observer that begins now gets nothing that was published before
 *	I5	every new owner finds the end
 *
 * Negative variants: NO_LOOK (the copy is not judged), LOOK_FIRST (judged before it is made),
 * ANNOUNCE_LATE (the owner moves `reserved` after it has written), POSITION_FIRST, NO_WALK_LOOK.
 *
 * For weaker memory: [OVERRUN] is the owner's full fence behind its store of `reserved`, and the
 * acquire fence between the copy and the load of it; here both are program order.
 */
#define LANE 8
#define CHUNK 2
#define CHUNKS 4
#define INDEX 8
#define MAX_MESSAGE 4
#ifndef MORE
#define MORE 0
#endif
#ifndef LAST
#define LAST 14
#endif
#ifndef OWNERS
#define OWNERS 2
#endif
#ifndef KILLS
#define KILLS 1
#endif

#define drained() true
#ifdef ANNOUNCE_LATE
#define store_reserved(value) skip
#else
#define store_reserved(value) atomic { DIE; control_reserved = value }
#endif
#define fence_full() skip
#define read_gate(target) skip
#define gate_closed false
#define gate_floor 0

#include "lane.inc"
#include "room.inc"

byte tenant = 1;

inline put(at, word)
{
	atomic {
		DIE;
#ifndef ANNOUNCE_LATE
		assert(at < control_reserved);
#endif
		lane_word(at) = word
	}
}

proctype Owner()
{
	byte position, seq, published_position, published_seq, reserved, granted, next_note;
	byte noted_chunk, limit, end, announced, at_position, at_seq, i;
	bool staged, room, found;

	if
	:: !lanes_ready -> furnish_lane()
	:: else
	fi;
	find_end();
	do
	:: position + 2 <= LAST ->
		room = limit - position >= 2;
		if
		:: room
		:: else -> producer_reserve(2)
		fi;
		assert(room);
		room = false;
		put(position + 1, payload_of(seq));
		put(position + 2, 0);
		atomic {
			DIE;
			lane_word(position) = header_make(1); /* [PUBLISH] */
			true_end = position + 2;
			true_seq = seq + 1;
			assert(lane_word(true_end) == 0) /* I2 */
		};
		atomic { position = position + 2; seq++ };
#ifdef ANNOUNCE_LATE
		control_reserved = reserved
#endif
	:: else -> break
	od;
	goto done;
killed:
	atomic {
		if
		:: tenant < OWNERS -> tenant++; run Owner()
		:: else
		fi
	};
done:
	skip
}

inline still_whole(position)
{
	whole = lane_holds(control_reserved, position) /* [OVERRUN] */
}

inline look_at()
{
	atomic { header = lane_word(at_position); at_end = at_position == true_end };
#ifdef LOOK_FIRST
	still_whole(at_position);
#endif
	if
	:: header != 0 -> copy = lane_word(at_position + 1) /* copy_words() */
	:: else
	fi;
#ifdef NO_LOOK
	whole = true
#endif
#if !defined(LOOK_FIRST) && !defined(NO_LOOK)
	still_whole(at_position)
#endif
}

inline relocate()
{
	atomic { was_position = at_position; was_seq = at_seq };
	search(LANE / 2, false);
	if
	:: !found -> search(LANE, true)
	:: else
	fi;
	if
	:: !found || at_position < was_position -> at_position = was_position; at_seq = was_seq
	:: else
	fi;
	atomic { was_position = 0; was_seq = 0; found = false }
}

inline begin_lane()
{
	do
	:: found -> break
	:: else ->
		if
		:: now ->
			search(LANE, true);
			if
			:: found ->
				was_position = at_position;
				do /* shmr_lane_walk() */
				:: lane_word(at_position) != 0 && at_position - was_position <= LANE ->
					at_position = at_position + 2;
					at_seq++
				:: else -> break
				od;
#ifndef NO_WALK_LOOK
				still_whole(was_position);
				found = whole;
#endif
				was_position = 0
			:: else
			fi
		:: else -> search(LANE, false)
		fi
	od;
	found = false
}

active proctype Observer()
{
	byte at_position, at_seq, i, look_reserved, e_position, e_seq, was_position, was_seq;
	byte header, copy, begun;
	bool now, found, whole, at_end;

	lanes_ready;
	begun = true_seq;
	if
	:: now = true
	:: now = false
	fi;
	begin_lane();
	assert(at_position == 2 * at_seq && at_position <= true_end);
	assert(!now || at_seq >= begun);
	begun = 0;
	do
	:: look_at();
	   if
	   :: !whole -> relocate() /* OVERRUN */
	   :: whole && header == 0 -> /* NOTHING */
		assert(at_end);
		if
		:: at_position == true_end && true_end + 2 > LAST -> break
		:: lane_word(at_position) != 0 || !lane_holds(control_reserved, at_position)
		fi
	   :: whole && header != 0 -> /* MESSAGE */
		assert(copy == payload_of(at_seq));
		atomic { at_position = at_position + 2; at_seq++ }
	   fi;
	   atomic { header = 0; copy = 0; whole = false; at_end = false }
	od
}

init
{
	atomic {
		byte i;
		do
		:: i < INDEX -> entry_position[i] = NONE; i++
		:: else -> break
		od;
		i = 0;
		do
		:: i < LANE -> lane_word(i) = header_make(1); i++
		:: else -> break
		od;
		i = 0;
		run Owner()
	}
}
