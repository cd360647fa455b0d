/* SPDX-License-Identifier: MIT */
/*
 * names.pml: cursors that outlive their process: marks, resume, revive, restart, forget.
 *
 * Follows consumer_find_place(), find_name(), approach_name() and take_detached() of
 * lib/consumer/find-place.c; place_cursors() and leave_ring() of lib/consumer/attach.c;
 * consumer_resume(), consumer_revive(), consumer_restart(), enter_place(), write_marks() and
 * consumer_keep_place() of lib/consumer/place.c; consumer_resume_cursor(),
 * consumer_replace_cursor() and consumer_place_cursor() of lib/consumer/join.c;
 * consumer_release_lane(), consumer_write_mark(), consumer_recall() and last_mark() of
 * lib/consumer/cursor.c; lib/core/registry.c; forget() of lib/core/repair.c.
 *
 * Modelled: a name that exists, DETACHED, in one slot, with one lane. HOLDERS processes attach under
 * it, at any time, to resume or to begin at the oldest message or now; they read, release, leave,
 * and each may be killed before each of its steps. Others bury the dead, suspect and evict
 * (EVICTABLE), forget the name (FORGET), and then a stranger may take the slot.
 *
 * Abstracted: the lane is the oldest position that is still there and the true_end; a producer moves both
 * and respects the cursor of a gating word. hold() is one step (join.pml); boundaries are what the
 * index has (join.pml), seq = position. What evictions do to readers is in evict.pml: here a holder
 * that gets -ESTALE comes back and goes on. The first holder of a name joins like a consumer
 * without a name (join.pml) and writes both marks before the word says NAMED.
 *
 * Asserted:
 *	R1-R4	as in places.pml, and a name has one holder
 *	and	the totals of a mark belong to its position, whichever step its writer died at
 *	and	what was released does not come again, and nothing is skipped without being counted:
 *		a successor's count begins between the last release that ended and the last that
 *		began; or, if its predecessor died on its way to another start, there
 *	and	the cursor of a DETACHED name holds until its successor is ACTIVE
 *
 * Negative variants: CURSOR_BEFORE_MARK, ONE_MARK (always the same mark is written), LATEST_FIRST
 * (a restart overwrites the mark of the last release first), SEQ_LATE (a mark's position is stored
 * before its totals, and not invalidated), KEEP_EPOCH (forget leaves the epoch), DETACHED_BY_SETUP
 * (a DETACHED name is taken by way of SETUP), NO_NAME_LOCK, PLACE_ANYWAY (cursors are placed even if
 * the word has not become JOINING).
 *
 * For weaker memory: marks and cursor are release stores; the successor has seen the lock go.
 */
#ifndef HOLDERS
#define HOLDERS 2
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef STARTS
#define STARTS 1 /* holders that may begin elsewhere */
#endif
#ifndef CHANGES
#define CHANGES 0 /* suspicions and evictions */
#endif
#define LANE 4
#ifndef END
#define END 4
#endif
#define NONE 255
#define EPOCHS 6
#define gates(status) \
	((status_state(status) >= JOINING && status_state(status) <= SUSPECT) || \
	 status_state(status) == DETACHED)

#include "registry.inc"

#define NAMED 1
byte cursor = 2;
byte mark_position[2];
byte mark_seq[2];
byte oldest;
byte true_end = 3;
byte name_of; /* the holder of the name's byte */
byte changes = CHANGES;
byte starts = STARTS;
bool was_out; /* true: evicted, or dead on the way elsewhere, since the last release */
/* True: the last release that ended, and that began; the start a dead one was on its way to. */
byte ended = 2;
byte begun = 2;
byte target = NONE;
byte former = NONE; /* the same, of its try before */

inline drop_all()
{
	atomic {
		drop_locks();
		if
		:: name_of == me -> name_of = 0
		:: else
		fi
	}
}

/* A producer: the oldest is overwritten if the cursor allows it. */
active proctype Producer()
{
end:
	do
	:: atomic {
		true_end < END && (true_end + 1 - cursor <= LANE || cursor == NONE || !gates(word)) ->
		true_end++;
		oldest = (true_end > LANE -> true_end - LANE : 0)
	   }
	:: true_end == END -> break
	od
}

/*
 * One that waits: suspects, evicts, and buries the dead. In one step each: what another does between
 * its look and its CAS changes the word, and then the CAS does nothing (places.pml, evict.pml).
 */
active proctype Presser()
{
	int left;

end:
	do
	:: atomic {
		changes > 0 && gates(word) ->
		changes--;
		if
		:: status_state(word) == ACTIVE -> word = status_next(word, SUSPECT)
		:: status_state(word) == DETACHED -> word = status_next(word, LAPSED); was_out = true
		:: else -> word = status_next(word, EVICTED); was_out = true
		fi
	   }
	:: atomic {
		status_protected(word) && byte_of[status_epoch(word)] == 0 ->
		remains(word);
		word = left;
		left = 0
	   }
	od
}

#ifdef FORGET
/* shmring_forget() */
proctype Forgetter(byte me)
{
	int status;
	bool swapped;
	byte e;

	do
	:: load_status();
	   if
	   :: status_flags(status) == NAMED &&
	      (status_state(status) == DETACHED || status_state(status) == LAPSED ||
	       status_state(status) == CLAIMED) ->
#ifdef KEEP_EPOCH
		compare_and_swap(status, status_make(status_epoch(status), 0, 0, FREE));
#else
		compare_and_swap(status, status_make(status_epoch(status) + 1, 0, 0, FREE));
#endif
		if
		:: swapped -> break
		:: else
		fi
	   :: else -> break
	   fi
	od;
	goto done;
killed:
	drop_locks();
done:
	skip
}

/* A consumer without a name, which takes the slot when it is free. */
proctype Stranger(byte me)
{
	int status, ours, left;
	bool swapped;
	byte e;

	load_status();
	if
	:: status_state(status) == FREE -> shmr_place_take()
	:: else
	fi;
	if
	:: ours != 0 -> shmr_place_leave(); unlock_byte(status_epoch(ours))
	:: else
	fi;
	goto done;
killed:
	drop_locks();
done:
	skip
}
#endif

/* consumer_write_mark(), of `at`; k is which. */
inline write_mark(k)
{
#ifdef SEQ_LATE
	atomic { DIE; mark_position[k] = at };
	atomic { DIE; mark_seq[k] = at_seq }
#else
	atomic { DIE; mark_position[k] = NONE };
	atomic { DIE; mark_seq[k] = at_seq };
	atomic { DIE; mark_position[k] = at }
#endif
}

inline consumer_write_mark()
{
	write_mark(next_mark);
#ifndef ONE_MARK
	next_mark = 1 - next_mark
#endif
}

/* write_marks(): the mark of the last release goes last, so that there always is one. */
inline write_marks()
{
#ifdef LATEST_FIRST
	write_mark(0);
	write_mark(1)
#else
	consumer_write_mark();
	consumer_write_mark()
#endif
}

/* last_mark() and recall(): sets released, released_seq, next_mark. Nobody else writes. */
inline recall(limit)
{
	atomic {
		DIE;
		k = 2;
		released = 0;
		released_seq = 0;
		if
		:: mark_position[0] != NONE && (limit == NONE || mark_position[0] <= limit) ->
			k = 0;
			released = mark_position[0];
			released_seq = mark_seq[0]
		:: else
		fi;
		if
		:: mark_position[1] != NONE && (limit == NONE || mark_position[1] <= limit) &&
		   (k == 2 || mark_position[1] > released) ->
			k = 1;
			released = mark_position[1];
			released_seq = mark_seq[1]
		:: else
		fi;
		next_mark = (k == 0 -> 1 : 0);
		assert(k != 2 || limit != NONE); /* a name has a mark */
		assert(released_seq == released);
		known = k != 2;
		k = 0
	}
}

/* Where the count of a successor begins; what lies between there and `at` is counted as lost. */
inline judge(base)
{
	atomic {
		assert((ended <= base && base <= begun) || base == target || base == former);
		if
		:: base == target || base == former -> ended = base; begun = base
		:: else
		fi;
		target = NONE;
		former = NONE
	}
}

/* replace_cursor(), hold() in one step */
inline replace_cursor()
{
	atomic {
		DIE;
		at = (released >= oldest -> released : oldest);
		at_seq = at;
		cursor = at;
		released = at;
		released_seq = at
	}
}

/* place_cursor() with OLDEST or NOW */
inline place_cursor()
{
	if
	:: now -> /* hold(): a boundary that is near the end */
		atomic {
			DIE;
			if
			:: at = true_end
			:: true_end > oldest -> at = true_end - 1
			:: true_end > oldest + 1 -> at = true_end - 2
			fi;
			cursor = at
		};
		atomic { at = true_end; at_seq = at; former = target; target = at };
		consumer_write_mark(); /* walk_to_end() */
		atomic { DIE; cursor = at }
	:: else ->
		atomic {
			DIE;
			at = oldest;
			at_seq = at;
			cursor = at;
			former = target;
			target = at
		}
	fi;
	atomic { released = at; released_seq = at }
}

/* enter(RETURN or RESTART), from the status in `ours`; `restart` says which. */
inline enter()
{
	do
	:: if
#ifdef PLACE_ANYWAY
	   :: status_state(ours) != ACTIVE -> atomic { DIE; cursor = NONE }
#else
	   :: !gates(ours) -> atomic { DIE; cursor = NONE } /* clear_cursors() */
#endif
	   :: else
	   fi;
	   compare_and_swap(ours, status_next(ours, JOINING));
	   if
	   :: swapped -> ours = status_next(ours, JOINING)
	   :: else
	   fi;
#ifndef PLACE_ANYWAY
	   if
	   :: !swapped
	   :: else ->
#endif
		if
		:: restart -> place_cursor(); write_marks()
		:: else -> replace_cursor()
		fi;
		compare_and_swap(ours, status_next(ours, ACTIVE))
#ifndef PLACE_ANYWAY
	   fi
#endif
	   ;
	   if
	   :: swapped ->
		ours = status_next(ours, ACTIVE);
		break
	   :: else ->
		load_status();
		ours = status;
		if
		:: status_state(ours) == ACTIVE -> break
		:: else
		fi
	   fi
	od;
	status = 0;
	if
	:: restart -> atomic { ended = at; begun = at; target = NONE; former = NONE; restart = false }
	:: else
	fi
}

/* consumer_resume_cursor(), of a word that was DETACHED */
inline consumer_resume()
{
	atomic { DIE; position = cursor };
	recall(position);
	if
	:: known && released == position -> judge(released); at = released; at_seq = released_seq
	:: (!known || released != position) && position != NONE -> /* the index has it, or a walk */
		if
		:: known -> /* lost: what lies between */
			assert(position > released && was_out);
			judge(released)
		:: else -> judge(position)
		fi;
		at = position;
		at_seq = position;
		released = at;
		released_seq = at;
		if
		:: known -> atomic { ended = at; begun = at }
		:: else
		fi
	:: position == NONE -> judge(released); replace_cursor()
	fi;
	/* Held all the time, unless a producer evicts the consumer just now. */
	assert(at >= oldest || word != ours);
	position = 0
}

/* consumer_keep_place(true): sets `ok` */
inline consumer_keep_place()
{
	load_status();
	ok = status == ours;
	if
	:: !ok && status_state(status) == SUSPECT ->
		compare_and_swap(status, status_next(status, ACTIVE));
		if
		:: swapped -> ours = status_next(status, ACTIVE); ok = true
		:: else
		fi
	:: else
	fi;
	if
	:: !ok ->
		load_status();
		ours = status;
		at = released;
		enter()
	:: else
	fi;
	status = 0
}

/* take_detached() of `status` */
inline take_detached()
{
	ours = status_make(status_epoch(status) + 1, 0, NAMED, ACTIVE);
	lock_byte(status_epoch(ours));
	atomic {
		compare_and_swap(status, ours);
		if
		:: swapped -> assert(tenant_of[status_epoch(ours)] == 0); tenant_of[status_epoch(ours)] = me
		:: else
		fi
	};
	if
	:: swapped
	:: else -> unlock_byte(status_epoch(ours)); ours = 0
	fi
}

/* find_name(): sets `ours`; 0 if the name is gone. */
inline find_name()
{
	do
	:: load_status();
	   if
	   :: status_flags(status) != NAMED -> break /* -ENOENT */
#ifndef DETACHED_BY_SETUP
	   :: status_flags(status) == NAMED && status_state(status) == DETACHED -> take_detached()
#endif
	   :: status_flags(status) == NAMED &&
#ifdef DETACHED_BY_SETUP
	      (status_state(status) == DETACHED ||
#else
	      (
#endif
	       status_state(status) == LAPSED || status_state(status) == CLAIMED) ->
		shmr_place_take()
	   :: status_flags(status) == NAMED && status_protected(status) -> shmr_place_bury()
	   fi;
	   if
	   :: ours != 0 -> break
	   :: else
	   fi
	od;
	status = 0
}

proctype Holder(byte me)
{
	int status, ours, left;
	bool swapped, dead, known, now, restart, ok;
	byte e, k, at, at_seq, released, released_seq, next_mark, position;

	/* shmr_lock_byte() of the name */
#ifndef NO_NAME_LOCK
	atomic { name_of == 0 -> DIE; name_of = me };
#endif
	find_name();
	if
	:: ours == 0 -> goto gone
	:: else
	fi;
	if
	:: status_state(ours) == ACTIVE -> consumer_resume()
	:: else -> /* consumer_revive() */
		recall(NONE);
		judge(released);
		position = released;
		enter();
		assert(was_out || at == position);
		position = 0
	fi;
	if
	:: starts > 0 -> /* begins elsewhere: consumer_restart() */
		atomic {
			starts--;
			restart = true;
			if
			:: now = true
			:: now = false
			fi
		};
		load_status();
		ours = status;
		enter()
	:: true
	fi;
	do
	:: at == released && at < true_end && at >= oldest -> atomic { at++; at_seq++ } /* shmring_peek() */
	:: at != released -> /* shmring_slow1_release() */
		consumer_keep_place();
		if
		:: ok ->
			begun = at;
#ifdef CURSOR_BEFORE_MARK
			atomic { DIE; cursor = at };
			consumer_write_mark();
#else
			consumer_write_mark();
			atomic { DIE; cursor = at };
#endif
			atomic {
				ended = at;
				begun = at;
				was_out = false;
				released = at;
				released_seq = at_seq
			}
		:: else
		fi
	:: break
	od;
	shmr_place_leave();
	goto gone;
killed:
	was_out = was_out || restart;
gone:
	drop_all()
}

init
{
	atomic {
		byte i = 1;
		word = status_make(1, 0, NAMED, DETACHED);
		mark_position[0] = 2;
		mark_seq[0] = 2;
		mark_position[1] = 1;
		mark_seq[1] = 1;
		do
		:: i <= HOLDERS -> run Holder(i); i++
		:: else -> break
		od;
#ifdef FORGET
		run Forgetter(HOLDERS + 2);
		run Stranger(HOLDERS + 3);
#endif
		i = 0
	}
}
