/* SPDX-License-Identifier: MIT */
/*
 * keeper.pml: broker, keeper and successor: what was answered about an isolated ring is so.
 *
 * Follows keeper_find(), start_one(), renew() and replace() of daemon/keeper.c; keeper_flush() of
 * daemon/keeper-send.c; keep_for_broker() and await_broker() of daemon/keeper-process.c; session_hold() of daemon/session.c; upgrade_prepare() of
 * daemon/upgrade.c.
 *
 * Modelled: one name, under which a client makes a ring and removes it, OPS times. Brokers, one after
 * the other: each may be killed before each of its steps (KILLS), or be replaced by a successor that it
 * gives everything (UPGRADES). Keepers: each may be killed at any time (KILLS), and be as slow as
 * it likes, which includes being stopped; while it is slow the broker may start another one (KEEPERS in
 * all). A connection is a queue of ROOM words, which outlives the broker.
 *
 * Abstracted: a ring is one file; its lanes are further files with the same words. The answer to GET
 * is one step. A broker has one client, which asks again when it was answered; one that is not answered
 * any more does not know whether it was done (`doubt`). A keeper that is stopped and cannot be replaced is
 * waited for without a limit.
 *
 * Asserted: a broker finds the ring that was answered last, or the one that was asked for since then
 * but not answered; if the keeper that can be found is dead, there may be none.
 *
 * Negative variants: DROP_WORDS (a word that finds no room is dropped), ANSWER_EARLY (before the words
 * were sent), NAME_FIRST (a new keeper can be found before it has everything), TWO_AT_ONCE (the keeper
 * serves a connection before the one before has ended), NO_COMMIT (a successor tells what there is, but
 * not that this is all), NO_WAIT (a broker does not wait for what the keeper has), NO_RENEW (a
 * successor tells nothing).
 */
#ifndef OPS
#define OPS 3
#endif
#ifndef KILLS
#define KILLS 2
#endif
#ifndef UPGRADES
#define UPGRADES 1
#endif
#ifndef KEEPERS
#define KEEPERS 2
#endif
#ifndef ROOM
#define ROOM 1
#endif
#ifdef ANSWER_EARLY
#define QUEUE 9 /* further words may come before it is empty */
#else
#define QUEUE 4
#endif
#define CONNECTIONS 5
#define IDS (OPS + 1)
#define NOBODY 255

mtype = { PUT, DROP, GET, BEGIN, COMMIT, NAME };

typedef keeper_state {
	bool runs;
	bool kept[IDS];
	bool old[IDS];
	byte serial[IDS];
};

typedef connection_state {
	byte keeper;
	bool closed; /* its broker is gone */
	bool served; /* to its end */
	bool told;
	byte answer;
};

keeper_state keepers[KEEPERS];
connection_state connections[CONNECTIONS];
chan wire[CONNECTIONS] = [ROOM] of { mtype, byte, byte };
byte connection_count;
byte keeper_count;
byte named = NOBODY; /* the keeper that the next broker finds */
bool safe; /* true: that one lives, or has died with a broker that knows everything */

byte ops = OPS;
byte kills = KILLS;
byte upgrades = UPGRADES;
byte last_id;
byte last_serial;

byte promised; /* 0: there is no ring, and a client knows it */
byte doubtful; /* what was asked for and not answered */
bool doubt;

/* The ring of the name that keeper k has; of two the one with the higher serial number. */
inline newest(k, ret)
{
	byte i = 1;

	ret = 0;
	do
	:: i == IDS -> break
	:: i < IDS ->
		if
		:: keepers[k].kept[i] && (ret == 0 || keepers[k].serial[i] > keepers[k].serial[ret]) ->
			ret = i
		:: else
		fi;
		i++
	od
}

inline hear()
{
	if
	:: word == PUT ->
		keepers[k].kept[id] = true;
		keepers[k].old[id] = false;
		keepers[k].serial[id] = serial
	:: word == DROP -> keepers[k].kept[id] = false
	:: word == GET ->
		newest(k, found);
		connections[c].answer = found;
		connections[c].told = true;
		found = 0
	:: word == BEGIN ->
		for (id : 1 .. IDS - 1) { keepers[k].old[id] = true }
	:: word == COMMIT ->
		for (id : 1 .. IDS - 1) {
			keepers[k].kept[id] = keepers[k].kept[id] && !keepers[k].old[id];
			keepers[k].old[id] = false
		}
	fi;
	word = 0;
	id = 0;
	serial = 0
}

/* Is connection x this keeper's, and its turn? */
#ifdef TWO_AT_ONCE
#define its_turn(x) (x < connection_count && connections[x].keeper == k)
#else
#define before_done(x, y) (y >= x || connections[y].keeper != k || connections[y].served)
#define its_turn(x) \
	(x < connection_count && connections[x].keeper == k && before_done(x, 0) && \
	 before_done(x, 1) && before_done(x, 2) && before_done(x, 3))
#endif

#define has_word(x) (its_turn(x) && nempty(wire[x]))
#define has_ended(x) (its_turn(x) && !connections[x].served && connections[x].closed && empty(wire[x]))

proctype Keeper(byte k)
{
	mtype word;
	byte id, serial, c, found;

end:
	do
	:: atomic {
		keepers[k].runs &&
		(has_word(0) || has_word(1) || has_word(2) || has_word(3) || has_word(4)) ->
		if
		:: has_word(0) -> c = 0
		:: has_word(1) -> c = 1
		:: has_word(2) -> c = 2
		:: has_word(3) -> c = 3
		:: has_word(4) -> c = 4
		fi;
		wire[c]?word, id, serial;
		hear();
		c = 0
	   }
	:: atomic {
		keepers[k].runs &&
		(has_ended(0) || has_ended(1) || has_ended(2) || has_ended(3)) ->
		if
		:: has_ended(0) -> connections[0].served = true
		:: has_ended(1) -> connections[1].served = true
		:: has_ended(2) -> connections[2].served = true
		:: has_ended(3) -> connections[3].served = true
		fi
	   }
	:: atomic { /* SIGKILL */
		keepers[k].runs && kills > 0 ->
		kills--;
		keepers[k].runs = false;
		for (id : 1 .. IDS - 1) { keepers[k].kept[id] = false }
		id = 0;
		break
	   }
	od
}

#define MAY_DIE \
	if \
	:: kills > 0 -> kills--; goto killed \
	:: true \
	fi

inline judge()
{
	assert(!safe || has == promised || (doubt && has == doubtful));
	if
	:: !safe -> promised = has; doubt = false /* the process that had it is dead */
	:: else
	fi
}

inline connect(k)
{
	c = connection_count;
	assert(c < CONNECTIONS);
	connections[c].keeper = k;
	connection_count++
}

inline tell(id)
{
	if
	:: id != 0 -> last_serial++; queue!PUT, id, last_serial
	:: else
	fi
}

inline clear()
{
	do
	:: queue?word, id, serial
	:: empty(queue) -> break
	od;
	word = 0;
	id = 0;
	serial = 0
}

/* start_one() */
inline start_one()
{
	if
	:: c != NOBODY -> connections[c].closed = true
	:: else
	fi;
	clear();
	keepers[keeper_count].runs = true;
	run Keeper(keeper_count);
	connect(keeper_count);
	keeper_count++;
#ifdef NAME_FIRST
	named = connections[c].keeper;
	safe = true;
	tell(has)
#else
	tell(has);
	queue!NAME, 0, 0
#endif
}

/* The first word is sent, or waits. */
inline flush_one()
{
	queue?<word, id, serial>;
	if
	:: word == NAME -> queue?word, id, serial; named = connections[c].keeper; safe = true
	:: word != NAME && nfull(wire[c]) -> queue?word, id, serial; wire[c]!word, id, serial
#ifdef DROP_WORDS
	:: word != NAME && full(wire[c]) -> queue?word, id, serial
#endif
	fi;
	word = 0;
	id = 0;
	serial = 0
}

#define can_send (c != NOBODY && nempty(queue) && keepers[connections[c].keeper].runs && \
		  (nfull(wire[c]) || queue?[NAME, 0, 0]))
#ifdef DROP_WORDS
#define may_send (c != NOBODY && nempty(queue) && keepers[connections[c].keeper].runs)
#else
#define may_send can_send
#endif
#ifdef ANSWER_EARLY
#define all_sent true
#else
#define all_sent (empty(queue) || c == NOBODY)
#endif

proctype Broker(byte has; bool complete)
{
	chan queue = [QUEUE] of { mtype, byte, byte };
	mtype word;
	byte id, serial, c = NOBODY;
	bool asked;

	atomic { /* keeper_find() */
		MAY_DIE;
		if
		:: named != NOBODY && keepers[named].runs ->
			connect(named);
			if
			:: !complete -> queue!GET, 0, 0
#ifndef NO_RENEW
			:: complete ->
#ifndef NO_COMMIT
				queue!BEGIN, 0, 0;
#endif
				tell(has);
#ifndef NO_COMMIT
				queue!COMMIT, 0, 0
#endif
#endif
#ifdef NO_RENEW
			:: complete
#endif
			fi
		:: else ->
			safe = false;
			if
			:: keeper_count < KEEPERS -> start_one()
			:: else
			fi
		fi
	};
	if
	:: !complete && c != NOBODY && queue?[GET, 0, 0] ->
		atomic { MAY_DIE; flush_one() };
#ifdef NO_WAIT
		if
		:: connections[c].told -> has = connections[c].answer
		:: true
		fi;
#else
		if /* KE5: waits, without a limit */
		:: atomic { connections[c].told -> has = connections[c].answer }
		:: atomic { !keepers[connections[c].keeper].runs -> safe = false }
		fi;
#endif
		atomic { MAY_DIE; judge(); asked = true }
	:: else -> atomic { asked = true; if :: !complete -> judge() :: else fi }
	fi;
end:
	do
	:: atomic { may_send -> MAY_DIE; flush_one() }
	:: atomic { /* the answer, also of what was found or handed over: clients see it */
		asked && all_sent ->
		MAY_DIE;
		asked = false;
		promised = has;
		doubt = false
	   }
	:: atomic { /* a request */
		!asked && ops > 0 ->
		MAY_DIE;
		ops--;
		asked = true;
		if
		:: has == 0 -> last_id++; has = last_id; if :: c != NOBODY -> tell(has) :: else fi
		:: else -> if :: c != NOBODY -> queue!DROP, has, 0 :: else fi; has = 0
		fi;
		doubtful = has;
		doubt = true
	   }
	:: atomic { /* lose(), restart() */
		c != NOBODY && !keepers[connections[c].keeper].runs ->
		MAY_DIE;
		if
		:: connections[c].keeper == named -> safe = false
		:: else
		fi;
		if
		:: keeper_count < KEEPERS && connection_count < CONNECTIONS -> start_one()
		:: else -> connections[c].closed = true; c = NOBODY; clear(); safe = false
		fi
	   }
	:: atomic { /* replace(): it takes nothing */
		c != NOBODY && nempty(queue) && full(wire[c]) && keepers[connections[c].keeper].runs &&
		keeper_count < KEEPERS && connection_count < CONNECTIONS ->
		MAY_DIE;
		start_one()
	   }
	:: atomic { /* SIGUSR2 */
		upgrades > 0 && connection_count < CONNECTIONS ->
		MAY_DIE;
		upgrades--;
		if
		:: c != NOBODY -> connections[c].closed = true
		:: else
		fi;
		run Broker(has, true);
		goto gone
	   }
	:: atomic { kills > 0 && connection_count < CONNECTIONS -> kills--; goto killed }
	od;
killed:
	atomic {
		if
		:: c != NOBODY -> connections[c].closed = true
		:: else
		fi;
		if
		:: named == NOBODY -> safe = false
		:: else -> safe = safe && keepers[named].runs
		fi;
		if
		:: connection_count < CONNECTIONS -> run Broker(0, false)
		:: else
		fi
	};
gone:
	skip
}

init
{
	run Broker(0, false)
}
