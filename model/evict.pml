/* SPDX-License-Identifier: MIT */
/*
 * evict.pml: suspect a consumer, then evict it; its release; its way back.
 *
 * Follows read_gate() and producer_reserve() of lib/producer/reserve.c; same_stall(), evict() and
 * press() of lib/producer/press.c; shmring_peek() of include/shmring/consumer-inline.h;
 * shmring_slow1_release() of lib/consumer/messages.c and consumer_release_lane() of
 * lib/consumer/cursor.c; consumer_keep_place() and enter_place() of lib/consumer/place.c;
 * consumer_replace_cursor() of lib/consumer/join.c.
 *
 * Modelled: the owner of a lane, which evicts; a second producer, which is stuck at the same
 * consumer in another lane, suspects and evicts it too, and may be stopped anywhere, for any time;
 * one evictable consumer, which reads in place, looks at the bytes again later, releases, and may be
 * stopped for good before each of its steps (DIE: for the others, a process that is killed and
 * whose death is not yet proved is one that is stopped).
 *
 * Abstracted: time. A period is over when it likes; a producer may find at any look that it was away
 * too long and begin to count anew; once the consumer has stopped for good, every period ends.
 * Records are of one word, every word is a boundary, and the index is always right (join.pml). The
 * owner reserves what one message needs. Store buffers are in join.pml; here all stores but those
 * that a fence or CAS follows may be late without harm: a cursor that is seen late is only smaller.
 * The other producer's cursor stands still, so it remembers a word only. The word's generation is not modulo 2^24: runs are short.
 *
 * Asserted:
 *	[EVICT]	what was in hand when release() returned 0 was whole
 *	and	every message is either released once or counted as lost, in order
 *	and	a producer evicts no consumer that released something since it began to count
 *	J1 I6	nothing is stored where a consumer in its place still relies on the old
 *	and	a consumer that has stopped for good holds the owner up for a few rounds only
 *
 * With LIMIT the owner also does what producer_evict_laggards() of lib/producer/lag.c does: a
 * consumer that is more than LIMIT words behind at two of its looks is suspected and, if it still is
 * at a look that follows, evicted from the word that was read before that look. This may begin anew,
 * any number of times, when a release clears the suspicion in between. All of the above holds, and
 *	a consumer is not evicted for its lag if a release had ended, when it was marked, that
 *	brought it within LIMIT
 * A release that is under way when the mark is put neither clears it nor need be seen by the look.
 *
 * Negative variants: LIMIT_LATE (a consumer over its limit passes for evicted before the CAS), ONE_CAS
 * (evicted for its lag from ACTIVE), STALE_LOOK (evicted for its lag by the look before the mark),
 * NO_SUSPECT (evicted from ACTIVE), NO_LOOK_AT_RELEASE (release does not look at the status),
 * LOOK_TOO_EARLY (it looks before it reads), STALE_WORD (the evicting CAS does not compare the
 * generation), NO_SECOND_LOOK.
 *
 * For weaker memory: [EVICT] is the CAS before what is overwritten, and the acquire fence between
 * the consumer's reads and its look at the status.
 */
#define LANE 4
#ifndef LAST
#define LAST 7
#endif
#ifndef STOPS
#define STOPS 1
#endif
#ifndef CHANGES
#define CHANGES 9 /* of the status word, after which no producer presses any more */
#endif
#define NONE 255
#define VALID 128
#define JOINING 3
#define ACTIVE 4
#define SUSPECT 5
#define EVICTED 6
#define status_state(status) ((status) & 7)
#define status_next(status, state) ((((status) >> 3) + 1) << 3 | (state))
#define may_change() (stopped || word >> 3 < CHANGES)
#define gates(status) (status_state(status) >= JOINING && status_state(status) <= SUSPECT)
#define lane_word(position) data[(position) % LANE]
#define lane_holds(reserved, position) \
	((position) <= (reserved) && (reserved) - (position) <= LANE)

/* The consumer stops here for good. */
#define DIE \
	if \
	:: stops > 0 -> stops--; goto killed \
	:: true \
	fi

byte stops = STOPS;
byte data[LANE];
byte control_reserved;
byte cursor;
byte word = ACTIVE;
bool stopped;
/*
 * True knowledge: what the consumer relies on; and its word's generation, plus 1, when its last
 * release began that has returned.
 */
byte safe;
byte armed;
byte moved;
#ifdef LIMIT
/* Up to where releases had ended: now, and when the consumer was last suspected. */
byte ended;
byte settled;
#define note_suspicion() settled = ended
#define note_end(at) ended = at
#else
#define note_suspicion() skip
#define note_end(at) skip
#endif

/* The CAS that suspects, of the word `status`. */
inline suspect()
{
	if
	:: word == status && may_change() ->
		word = status_next(status, SUSPECT);
		note_suspicion();
#ifndef STALE_WORD
		moved = 0 /* of no account for this word */
#endif
	:: else
	fi
}

/* The CAS that evicts. [EVICT] */
inline put_out()
{
	if
#ifdef STALE_WORD
	:: status_state(word) == status_state(status) && may_change() ->
#else
	:: word == status && may_change() ->
#endif
		assert(moved <= status >> 3); /* none since this word is the word */
		word = status_next(word, EVICTED);
		safe = NONE
	:: else
	fi
}

/* evict() of the gate's `status` and `floor`, with same_stall(). */
inline evict()
{
	if
#ifndef NO_SUSPECT
	:: status_state(status) == ACTIVE ->
		atomic {
			suspect();
			if
			:: word == status_next(status, SUSPECT) ->
				pressed_status = word;
				pressed_floor = floor
			:: else
			fi
		}
#endif
	:: else ->
		atomic {
			if
			:: status == pressed_status && floor == pressed_floor -> put_out()
			:: !stopped || status != pressed_status || floor != pressed_floor ->
				pressed_status = status;
				pressed_floor = floor;
#ifdef NO_SUSPECT
				armed = 0;
				moved = 0
#endif
			fi
		}
	fi
}

#ifdef LIMIT
/* is_over(), by the word that is read before: sets `floor`; NONE: it is not. */
inline look_at_lag()
{
	status = word;
	atomic {
		floor = (gates(status) && status_state(status) != JOINING -> cursor : NONE);
		if
		:: floor != NONE && position <= floor + LIMIT -> floor = NONE
		:: else
		fi
	}
}

/* The CAS that evicts for lag. [EVICT] */
inline put_out_laggard()
{
	atomic {
		if
		:: word == status && may_change() ->
			assert(moved <= status >> 3); /* none since this word is the word */
			assert(status_state(status) == ACTIVE || position > settled + LIMIT);
			word = status_next(word, EVICTED);
			safe = NONE
		:: else
		fi
	}
}

/* producer_evict_laggards() and evict_laggard() of lag.c: at the second look in a row. */
inline evict_laggard()
{
	look_at_lag();
	atomic {
		if
		:: floor == NONE -> over = false
		:: floor != NONE && !over -> over = true; floor = NONE
		:: else -> over = false
		fi
	};
	do
	:: floor == NONE -> break
#ifdef ONE_CAS
	:: floor != NONE -> put_out_laggard(); break
#else
	:: floor != NONE && status_state(status) == ACTIVE ->
		atomic { suspect() };
#ifdef STALE_LOOK
		status = word;
		if
		:: status_state(status) != SUSPECT -> break
		:: else
		fi
#else
		look_at_lag()
#endif
	:: floor != NONE && status_state(status) != ACTIVE -> put_out_laggard(); break
	:: break
#endif
	od;
	atomic { status = 0; floor = 0 }
}
#endif

/* read_gate() */
inline read_gate()
{
	status = word;
	if
#ifdef LIMIT_LATE
	:: gates(status) && over -> atomic { floor = 0; closed = false }
#endif
	:: gates(status) -> atomic { floor = cursor; closed = floor != NONE }
	:: else -> atomic { floor = 0; closed = false }
	fi
}

inline put(at, value)
{
	atomic {
		assert(at < control_reserved);
		assert(safe == NONE || at - safe < LANE); /* J1 */
		lane_word(at) = value
	}
}

#define need (position + 2)

active proctype Owner()
{
	byte position, reserved, floor, status, pressed_status, pressed_floor, rounds;
	bool closed, room;
#ifdef LIMIT
	bool over;
#endif

	do
	:: position < LAST ->
		do
		:: room -> break
		:: else -> /* producer_reserve() */
#ifdef LIMIT
			evict_laggard();
#endif
			read_gate();
			if
			:: closed && need - floor > LANE -> evict() /* press() */
			:: else ->
				if
				:: need > reserved ->
					control_reserved = need; /* [JOIN] */
					read_gate();
					if
					:: closed && need - floor > LANE ->
						control_reserved = reserved
					:: else -> reserved = need; room = true
					fi
				:: else -> read_gate(); room = !(closed && need - floor > LANE)
				fi
			fi;
			if
			:: stopped -> rounds++
			:: else
			fi;
			assert(rounds < 40)
		od;
		atomic { room = false; status = 0; floor = 0; closed = false; rounds = 0; pressed_status = 0; pressed_floor = 0 };
		put(position + 1, 0);
		put(position, VALID | position);
		position++
	:: else -> break
	od
}

/* Another producer, which the same consumer holds up in another lane. */
active proctype Other()
{
	byte status, pressed_status;

#ifndef NO_SUSPECT
	do
	:: atomic { gates(word) -> status = word };
	   atomic {
		if
		:: status_state(status) == ACTIVE -> suspect()
		:: status_state(status) != ACTIVE && status == pressed_status -> put_out()
		:: status_state(status) != ACTIVE -> pressed_status = status
		fi;
		status = 0
	   }
	:: break
	od
#endif
}

/* hold(): sets `ok`. */
inline hold(position)
{
	atomic { DIE; ok = lane_holds(control_reserved, position) };
	if
	:: ok ->
		atomic { DIE; cursor = position };
		/* [JOIN] */
		atomic {
			DIE;
#ifndef NO_SECOND_LOOK
			ok = lane_holds(control_reserved, position);
#endif
			if
			:: ok && gates(word) -> safe = position
			:: else
			fi
		}
	:: else
	fi
}

/* replace_cursor(); choose() finds a boundary that is in reach when it looks. */
inline replace_cursor()
{
	at = released;
	hold(at);
	do
	:: ok -> break
	:: else ->
		atomic {
			DIE;
			at = (control_reserved > LANE -> control_reserved - LANE : 0);
			if
			:: at < released -> at = released
			:: else
			fi
		};
		hold(at)
	od;
	lost = lost + at - released;
	released = at
}

/* enter(RETURN), from the status in `ours` */
inline enter()
{
	do
	:: /* status_state(ours) != ACTIVE */
	   atomic { DIE; cursor = NONE }; /* clear_cursors() */
	   atomic {
		DIE;
		if
		:: word == ours -> word = status_next(ours, JOINING); ours = word
		:: else
		fi
	   };
	   replace_cursor();
	   atomic {
		DIE;
		if
		:: word == ours -> word = status_next(ours, ACTIVE)
		:: else
		fi;
		ours = word;
		note_end(released);
		if
		:: status_state(ours) == ACTIVE -> break
		:: else
		fi
	   }
	od
}

/* consumer_keep_place(): sets `ok`; false is -ESTALE, or a place anew with nothing in hand. */
inline consumer_keep_place(releasing)
{
	atomic { DIE; status = word }; /* [EVICT] */
	ok = status == ours;
	if
	:: ok
	:: !ok && status_state(status) == SUSPECT && !releasing && at != released -> ok = true
	:: else ->
		if
		:: status_state(status) == SUSPECT ->
			atomic {
				DIE;
				if
				:: word == status -> word = status_next(status, ACTIVE); ours = word; ok = true
				:: else
				fi
			}
		:: else
		fi;
		if
		:: ok
		:: else ->
			ours = word;
			at = released; /* shmring_rewind() */
			torn = false;
			enter();
			ok = false
		fi
	fi;
	status = 0
}

active proctype Consumer()
{
	byte at, released, lost, delivered, status, header;
	byte ours = ACTIVE;
	bool ok, torn;

	do
	:: delivered == LAST -> break
	:: else ->
		/* shmring_peek(): inline; what it finds may be newer than it thinks */
		atomic { DIE; header = lane_word(at) };
		if
		:: header != 0 && (torn || at - released == LANE) -> header = 0 /* enough in hand */
		:: header != 0 && !torn && at - released < LANE -> atomic { torn = torn || header != (VALID | at); at++; header = 0 }
		:: else -> /* consumer_wait() */
			consumer_keep_place(false)
		fi;
		if
		:: at != released -> /* the program looks at the last one again; shmring_slow1_release() */
#ifndef LOOK_TOO_EARLY
			atomic { DIE; torn = torn || lane_word(at - 1) != (VALID | (at - 1)) };
#endif
			armed = (word >> 3) + 1;
#ifdef NO_LOOK_AT_RELEASE
			ok = true;
#else
			consumer_keep_place(true);
#endif
#ifdef LOOK_TOO_EARLY
			torn = ok && (torn || lane_word(at - 1) != (VALID | (at - 1)));
#endif
			if
			:: ok ->
				assert(!torn);
				assert(delivered + lost == released);
				delivered = at;
				lost = 0;
				atomic {
					DIE;
					cursor = at; /* [RELEASE] */
					if
					:: safe != NONE -> safe = at
					:: else
					fi
				};
				released = at;
				atomic { moved = armed; armed = 0; note_end(at) }
			:: else
			fi
		:: true
		fi
	od;
	goto done;
killed:
	stopped = true;
done:
	/* A consumer that is content leaves. */
	if
	:: stopped
	:: else -> atomic { word = 0; safe = NONE }
	fi
}
