/* SPDX-License-Identifier: MIT */
/*
 * lane.pml: publication by the header word, batches, and takeover of a lane by the next producer.
 *
 * Follows shmring_claim(), shmring_commit() and shmring_peek(), shmring_release() of
 * include/shmring/ *-inline.h; close_claim(), publish_batch(), stage, flush, abort, discard of
 * lib/producer/messages.c; producer_reserve() and note_end() of lib/producer/reserve.c; find_end() of
 * lib/producer/attach.c; the index and the walk of lib/core/lane.c.
 *
 * Modelled: OWNERS producers own the lane one after the other; each claims, fills, commits, stages,
 * flushes, aborts and discards messages of 0 or 1 words in any order, may commit less than it
 * claimed, may leave at any time with whatever is open, and may be killed before each step. One
 * consumer, present from the beginning, reads and releases at any pace.
 *
 * Abstracted: the proof of death (places.pml): the next owner starts when the last has left or
 * is dead. Waiting for room is waiting for the cursor to move. Sizes: a lane of 8 words, 4 chunks,
 * 8 entries, batches of up to 4 words; what the index must reach (lane.h) holds in this geometry as
 * it does in the real one. Stores of the owner are seen in order: one writer, and all loads of the
 * owner that a late store could pass are of the cursor, which only grows here.
 *
 * Asserted:
 *	I1	only the tenant stores into the lane
 *	I2	the word at E is zero after every store; a batch exists as a whole, or not
 *	I4 I5	every new owner finds E, and the number of the next message
 *	I6	every store lies below `reserved`, and nothing that is not released is overwritten
 *	and	the consumer gets each message that was published once, in order, whole, and all of
 *		them: it cannot end (nor can the run) before it has the last one
 *
 * Negative variants: HEADER_FIRST, NO_END_WORD, BATCH_AT_ONCE, NOTE_STAGED, TRUST_CLOCK.
 *
 * For weaker memory the labels [PUBLISH] (header after all it covers; acquire in peek) and
 * [RELEASE] (cursor after the reads; acquire in read_gate()) stand for what is in order here.
 */
#define LANE 8
#define CHUNK 2
#define INDEX 8
#define MAX_MESSAGE 4
#define MORE 0
#define FIRST 6 /* E when the run begins; the words around are a lap old */
#ifndef LAST
#define LAST 13 /* no record ends beyond */
#endif
#ifndef OWNERS
#define OWNERS 3 /* tenants, each of which may be killed */
#endif
#define KILLS OWNERS

#define drained() true
#define store_reserved(value) control_reserved = value
#define fence_full() skip

#include "lane.inc"
#include "room.inc"

byte cursor;
byte tenant = 1; /* the epoch in lane_status */
bool over[OWNERS + 1]; /* has left, or is dead */

/* A store into the lane's data. */
inline put(at, word)
{
	atomic {
		DIE;
		assert(tenant == tenancy);   /* I1 */
		assert(at < control_reserved); /* I6 */
		assert(at - cursor < LANE);    /* [RELEASE] */
		lane_word(at) = word;
		assert(lane_word(true_end) == 0) /* I2 */
	}
}

/* The store that lets messages exist. [PUBLISH] */
inline put_first(at, word, new_end, new_seq)
{
	atomic {
		DIE;
		assert(tenant == tenancy);
		assert(at == true_end);
		lane_word(at) = word;
		true_end = new_end;
		true_seq = new_seq;
#ifndef HEADER_FIRST
		assert(lane_word(true_end) == 0)
#endif
	}
}

inline read_gate(target)
{
	atomic { DIE; gate_closed = true; gate_floor = cursor }
}

/* shmring_claim() and shmring_slow1_claim(); what does not fit is not claimed: -EMSGSIZE. */
inline shmring_claim(length)
{
	room = limit - position >= 1 + length;
	do
	:: room -> break
	:: !room ->
		producer_reserve(1 + length);
		if
		:: room
		:: else -> atomic { cursor > gate_floor -> DIE } /* producer_wait() */
		fi
	od;
	atomic { room = false; gate_floor = 0; gate_closed = false; claimed = length + 1 }
}

inline close_claim(length)
{
	if
	:: staged -> put(position, header_make(length))
	:: else ->
#ifdef BATCH_AT_ONCE
		put(position + 1 + length, 0);
		put(position, header_make(length));
#endif
		atomic {
			published_position = position;
			published_seq = seq;
			first = header_make(length);
			staged = true
		}
	fi;
	atomic { claimed = 0; position = position + 1 + length; seq++ }
}

inline publish_batch()
{
	put(position, 0);
	put_first(published_position, first, position, seq);
	d_step {
		staged = false;
		published_position = 0;
		published_seq = 0;
		first = 0;
		producer_set_limit()
	}
}

inline shmring_commit(length)
{
	if
	:: staged ->
		close_claim(length);
		publish_batch()
	:: else ->
#ifdef HEADER_FIRST
		put_first(position, header_make(length), position + 1 + length, seq + 1);
		put(position + 1 + length, 0);
#else
		put(position + 1 + length, 0);
		put_first(position, header_make(length), position + 1 + length, seq + 1);
#endif
		atomic { claimed = 0; position = position + 1 + length; seq++ }
	fi
}

inline shmring_stage(length)
{
	close_claim(length);
	d_step { producer_set_limit() }
}

inline shmring_discard()
{
	d_step {
		staged = false;
		position = published_position;
		seq = published_seq;
		published_position = 0;
		published_seq = 0;
		first = 0;
		producer_set_limit()
	}
}

#define fits(length) \
	(position + 1 + (length) <= LAST && \
	 (!staged || position + 1 + (length) - published_position <= MAX_MESSAGE))

proctype Owner(byte tenancy)
{
	byte position, seq, published_position, published_seq, reserved, granted, next_note;
	byte noted_chunk, limit, claimed, first, gate_floor, end, announced, at_position, at_seq, i;
	bool staged, room, found, gate_closed;

	find_end();
	do
	:: claimed == 0 && fits(1) ->
		shmring_claim(1);
		put(position + 1, payload_of(seq)) /* fill */
	:: claimed > 0 -> shmring_commit(0)
	:: claimed > 0 -> shmring_commit(1)
#ifndef SINGLES
	:: claimed > 0 -> shmring_stage(0)
	:: claimed > 0 -> shmring_stage(1)
#endif
	:: claimed > 0 -> claimed = 0 /* shmring_abort() */
	:: claimed == 0 && staged -> publish_batch() /* shmring_flush() */
	:: claimed == 0 && staged -> shmring_discard()
	:: break /* shmring_producer_detach() */
	od;
killed:
	over[tenancy] = true
}

/* One owner after the other. */
init
{
	atomic {
		byte i;
		do
		:: i < INDEX -> entry_position[i] = NONE; i++
		:: else -> break
		od;
		entry_position[chunk_of(FIRST) % INDEX] = FIRST;
		control_reserved = FIRST;
		true_end = FIRST;
		cursor = FIRST;
		i = 0;
		do
		:: i < LANE -> lane_word(i) = header_make(1); i++
		:: else -> break
		od;
		lane_word(FIRST) = 0;
		lanes_ready = true;
		run Consumer();
		run Owner(1)
	};
	do
#ifdef TRUST_CLOCK
	:: atomic { tenant < OWNERS -> tenant++; run Owner(tenant) }
#else
	:: atomic { tenant < OWNERS && over[tenant] -> tenant++; run Owner(tenant) }
#endif
	:: tenant == OWNERS -> break
	od
}

proctype Consumer()
{
	byte at_position = FIRST, at_seq, header, word;

	do
	:: atomic { /* shmring_peek() */
		lane_word(at_position) != 0 -> header = lane_word(at_position) /* [PUBLISH] */
	   };
	   assert(header & VALID);
	   assert(at_seq < true_seq);
	   if
	   :: header_length(header) ->
		word = lane_word(at_position + 1);
		assert(word == payload_of(at_seq))
	   :: else
	   fi;
	   d_step {
		at_position = at_position + 1 + header_length(header);
		at_seq++;
		header = 0;
		word = 0
	   }
	:: cursor != at_position -> cursor = at_position /* shmring_release(): [RELEASE] */
	:: over[OWNERS] && cursor == at_position && at_position == true_end ->
		assert(at_seq == true_seq);
		break
	od
}
