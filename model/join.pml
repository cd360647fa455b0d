/* SPDX-License-Identifier: MIT */
/*
 * join.pml: joining at the oldest message or now, while the owner of the lane goes on; restart.
 *
 * Follows hold(), hold_empty(), choose(), walk_to_end() and consumer_place_cursor() of
 * lib/consumer/join.c; enter_place() of lib/consumer/place.c; producer_reserve(), read_gate() and
 * permitted_end() of lib/producer/reserve.c; furnish_lane() and find_end() of
 * lib/producer/attach.c; the index and its search of lib/core/lane.c; consumer_release_lane() of
 * lib/consumer/cursor.c.
 *
 * Modelled: OWNERS owners of one lane, one after the other, the first of which makes it; each may be
 * killed before each of its steps. JOINERS consumers in SLOTS places; each joins at the oldest
 * message or now, reads and releases at any pace, may begin anew elsewhere (consumer_restart()), may
 * leave, and may be killed before each of its steps; the next one takes its place. A consumer that
 * is stopped takes no further steps. Store buffers (TSO): the owner's stores of `reserved`
 * and the consumers' of their cursors stay in a buffer of one until a fence, or until they happen to
 * leave it; what the owner stores later waits for them, as in a queue.
 *
 * Abstracted: SETUP and the lock bytes (places.pml): a place becomes free when its tenant is dead.
 * Records are of one word and hold their number, so seq = position is what must come out of the
 * index and of every walk. The lane has 4 words and chunks, the index 8 entries; the owner reserves
 * MORE words beyond a chunk. Loads of entries whose result is not used are left out.
 *
 * Asserted:
 *	J1 I6	nothing is stored where a consumer that has joined still relies on the old
 *	J2	no process looks at a lane without memory
 *	J3	no cursor gates but one that its tenant has chosen
 *	I4 I5	there always is an entry; numbers are right; every new owner finds the end
 *	and	a consumer that joins now gets nothing older than that; every message that is
 *		read is the one it should be; the owner never waits without a consumer in its way
 *
 * Negative variants: ANNOUNCE_AFTER_ASKING, NO_OWNER_FENCE, NO_JOINER_FENCE, NO_SECOND_LOOK,
 * NO_READY_LOOK, GRANT_INHERITED, POSITION_FIRST, NO_CLEAR.
 *
 * For weaker memory: [JOIN] is two full fences, which are modelled; [ENTRY], [INDEX], [READY],
 * [PUBLISH] and [RELEASE] are pairs of release and acquire, which program order is here.
 */
#define ONE_WORD
#define LANE 4
#define CHUNK 1
#define CHUNKS 4
#define INDEX 8
#define MAX_MESSAGE 1
#ifndef MORE
#define MORE 1
#endif
#ifndef LAST
#define LAST 7
#endif
#ifndef OWNERS
#define OWNERS 1
#endif
#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef JOINERS
#define JOINERS 1
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef KILLS
#define KILLS 0 /* of owners */
#endif
#ifndef CONSUMER_KILLS
#define CONSUMER_KILLS 0
#endif

#define drained() reserved_buffer == EMPTY
#define store_reserved(value) atomic { drained() -> DIE; reserved_buffer = value }
#ifdef NO_OWNER_FENCE
#define fence_full() skip
#else
#define fence_full() atomic { drained() -> DIE }
#endif

#include "lane.inc"
#include "room.inc"
#include "join.inc"

byte consumer_kills = CONSUMER_KILLS;
mtype = { FREE, SETUP, JOINING, ACTIVE };

mtype consumer_status[SLOTS] = FREE;
byte cursor[SLOTS] = NONE;
byte cursor_buffer[SLOTS] = EMPTY;
byte reserved_buffer = EMPTY;
byte safe[SLOTS] = NONE;
bool fresh[SLOTS];
byte tenant = 1;
byte joiners = JOINERS - SLOTS;

#define gates(status) ((status) == JOINING || (status) == ACTIVE)

/* Store buffers drain when they like. */
active proctype Memory()
{
end:
	do
	:: atomic { reserved_buffer != EMPTY -> control_reserved = reserved_buffer; reserved_buffer = EMPTY }
	:: atomic { cursor_buffer[0] != EMPTY -> cursor[0] = cursor_buffer[0]; cursor_buffer[0] = EMPTY }
#if SLOTS > 1
	:: atomic { cursor_buffer[1] != EMPTY -> cursor[1] = cursor_buffer[1]; cursor_buffer[1] = EMPTY }
#endif
	od
}

inline put(at, word)
{
	atomic {
		drained() -> DIE;
		assert(at < control_reserved); /* I6 */
		slot = 0;
		do
		:: slot < SLOTS ->
			assert(safe[slot] == NONE || at - safe[slot] < LANE); /* J1 */
			slot++
		:: else -> slot = 0; break
		od;
		lane_word(at) = word;
		assert(lane_word(true_end) == 0) /* I2 */
	}
}

/* read_gate(): the cursor furthest behind `target`. */
inline read_gate(target)
{
	atomic { gate_closed = false; gate_floor = 0; gate_slot = 0 };
	do
	:: slot < SLOTS ->
		atomic { DIE; status = consumer_status[slot] };
		if
		:: gates(status) ->
			atomic {
				DIE;
				if
				:: gates(consumer_status[slot]) ->
					assert(cursor[slot] == NONE || fresh[slot]) /* J3 */
				:: else
				fi;
				if
				:: cursor[slot] == NONE || cursor[slot] > target
				:: else ->
					if
					:: gate_closed && cursor[slot] >= gate_floor
					:: else ->
						gate_closed = true;
						gate_floor = cursor[slot];
						gate_slot = slot
					fi
				fi
			}
		:: else
		fi;
		atomic { status = FREE; slot++ }
	:: else -> break
	od;
	slot = 0
}

proctype Owner()
{
	byte position, seq, published_position, published_seq, reserved, granted, next_note;
	byte noted_chunk, limit, gate_floor, gate_slot, end, announced, at_position, at_seq, i, slot;
	bool staged, room, found, gate_closed;
	mtype status;

	if
	:: !lanes_ready -> furnish_lane()
	:: else
	fi;
	find_end();
	do
	:: position < LAST ->
		room = limit - position >= 1;
		do
		:: room -> break
		:: !room ->
			producer_reserve(1);
			if
			:: room
			:: else -> /* producer_wait(): a consumer gates, and must move on */
				assert(gate_closed);
				atomic {
					record_end(1) - gate_floor <= LANE ||
					cursor[gate_slot] != gate_floor ||
					!gates(consumer_status[gate_slot]) -> DIE
				}
			fi
		od;
		atomic { room = false; gate_closed = false; gate_floor = 0; gate_slot = 0 };
		put(position + 1, 0);
		atomic {
			DIE;
			lane_word(position) = VALID | seq; /* [PUBLISH] */
			true_end = position + 1;
			true_seq = seq + 1;
			assert(lane_word(true_end) == 0)
		};
		atomic { position++; seq++ }
	:: else -> break
	od;
	goto done;
killed:
	/* The kernel drops the lock when the stores are done. The next owner: I5. */
	atomic {
		drained();
		if
		:: tenant < OWNERS -> tenant++; run Owner()
		:: else
		fi
	};
done:
	skip
}

inline walk_to_end()
{
	from = at_position;
	do /* shmr_lane_walk() */
	:: atomic {
		CONSUMER_DIE;
		if
		:: lane_word(at_position) == 0 -> break
		:: else -> at_position++; at_seq++
		fi
	   };
	   if
	   :: at_position - from > LANE -> break
	   :: else
	   fi
	od;
	atomic { CONSUMER_DIE; ok = in_reach(from) }; /* [OVERRUN] */
	from = 0;
	if
	:: ok ->
		atomic { store_cursor(at_position); safe[me] = at_position }
	:: else
	fi
}

inline place_cursor()
{
	atomic { tries = 0; at_position = 0; at_seq = 0 };
	hold_empty(0);
	do
	:: ok -> break
	:: else ->
		choose(now);
		if
		:: found -> hold(at_position)
		:: else -> ok = false
		fi;
		if
		:: ok && now -> walk_to_end()
		:: else
		fi;
		tries = (tries < CHUNKS -> tries + 1 : tries)
	od;
	atomic { tries = 0; found = false }
}

proctype Consumer(byte me)
{
	byte at_position, at_seq, i, look_reserved, e_position, e_seq, from, tries, begun;
	bool now, ok, found;
	byte restarts = RESTARTS;

	consumer_status[me] = SETUP;
again:
	atomic {
		begun = true_seq;
		if
		:: now = true
		:: now = false
		fi
	};
	/* enter_place(): a cursor that an earlier tenant left must not count */
#ifndef NO_CLEAR
	if
	:: consumer_status[me] != ACTIVE ->
		store_cursor(NONE)
	:: else
	fi;
#endif
	atomic { cursor_buffer[me] == EMPTY -> CONSUMER_DIE; consumer_status[me] = JOINING }; /* CAS */
	place_cursor();
	assert(at_seq == at_position && at_position <= true_end);
	assert(!now || at_seq >= begun);
	begun = 0;
	atomic { cursor_buffer[me] == EMPTY -> CONSUMER_DIE; consumer_status[me] = ACTIVE }; /* CAS */
	do
	:: atomic {
		lanes_ready && lane_word(at_position) != 0 -> CONSUMER_DIE; /* shmring_peek() */
		assert(lane_word(at_position) == (VALID | at_seq));
		at_position++;
		at_seq++
	   }
	:: safe[me] != at_position ->
		atomic { store_cursor(at_position); safe[me] = at_position } /* [RELEASE] */
	:: restarts > 0 -> restarts--; goto again /* consumer_restart() */
	:: break
	od;
killed:
	/* Proved dead, or shmr_place_leave() */
	atomic {
		cursor_buffer[me] == EMPTY;
		safe[me] = NONE;
		fresh[me] = false;
		consumer_status[me] = FREE;
		if
		:: joiners > 0 -> joiners--; run Consumer(me)
		:: else
		fi
	}
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
		:: i < LANE -> lane_word(i) = VALID | i; i++
		:: else -> break
		od;
		i = 0;
		run Owner();
		do
		:: i < SLOTS -> run Consumer(i); i++
		:: else -> break
		od
	}
}
