/* SPDX-License-Identifier: MIT */
/*
 * places.pml: the proof of death, and the CAS of the epoch, by several at a time.
 *
 * Follows shmr_place_take(), shmr_place_is_dead(), shmr_place_bury() and shmr_place_leave() of
 * lib/core/registry.c; find_lane(), take_any_lane(), take_lane() and go_active() of
 * lib/producer/attach.c.
 *
 * Modelled: one place, a lane; PEERS processes that want it, take it, use it and leave it; a prober
 * that buries the dead, again and again (shmring_reap(), or a consumer that has slept in vain).
 * Each may be killed before each of its steps. At any moment all processes may be stopped for good,
 * but one that comes and wants the place: it must get the place, alone, in one round, unless a
 * living tenant holds it.
 *
 * Abstracted: the mapping that keeps the lock is the lock itself; it goes when the process is killed
 * or unmaps. A process that is beaten TRIES times gives up: only a scheduler that never lets one of
 * two processes do three steps in a row can make them claim over each other for ever. Status words
 * change by CAS, which is sequentially consistent, and locks by system calls: no store buffers.
 *
 * Asserted:
 *	R1	a process that locks a byte finds it free
 *	R2	a tenant that is buried is dead
 *	R3	a process that is stopped while it claims keeps no other from the place
 *	R4	no dead tenant looks alive, wherever other processes are stopped
 *	I1	never two owners at a time; no other process changes the word of a living owner
 *
 * Negative variants: NO_EPOCH (one byte for all tenants of the place), SKIP_LOCK, LOCK_LATE (after
 * SETUP), TRUST_CLOCK (no question to the kernel), BLIND_BURIAL (a store instead of a CAS), and
 * NO_CLAIM_OVER.
 */
#ifndef PEERS
#define PEERS 2
#endif
#ifndef KILLS
#define KILLS 2
#endif
#ifndef TRIES
#define TRIES 2
#endif
#define EPOCHS (PEERS * TRIES + 4)
#define LAST (PEERS + 2)

#include "registry.inc"

byte owners; /* truth: processes that may store into the lane */

/* take_any_lane(): free ones first, claimed ones if nothing else is left. */
inline take_any_lane()
{
	load_status();
	if
	:: status_state(status) == FREE -> shmr_place_take()
	:: else ->
		load_status();
		if
#ifndef NO_CLAIM_OVER
		:: status_state(status) == CLAIMED -> shmr_place_take()
#endif
		:: else -> users = true /* -EUSERS */
		fi
	fi;
	status = 0
}

inline find_lane()
{
	load_status();
	shmr_place_bury(); /* shmr_place_bury_all() */
	atomic { ours = 0; users = false; tries = 0 };
	do
	:: ours != 0 || users || tries == TRIES -> break
	:: else -> take_any_lane(); tries++
	od;
	tries = 0
}

inline own()
{
	atomic {
		owning = true;
		owners++;
		assert(owners == 1) /* I1 */
	};
	compare_and_swap(ours, status_next(ours, ACTIVE)); /* go_active() */
	assert(swapped);
	atomic { DIE; owning = false; owners-- }; /* detaches: no stores from here on */
	shmr_place_leave();
	unlock_byte(status_epoch(ours)) /* shmr_detach(): unmaps */
}

proctype Peer(byte me)
{
	int status, ours, left;
	bool swapped, dead, users, owning;
	byte tries, e;

	find_lane();
	if
	:: ours != 0 -> own()
	:: else
	fi;
	goto done;
killed:
	atomic {
		!frozen;
		if
		:: owning -> owners--
		:: else
		fi;
		drop_locks()
	};
done:
	skip
}

proctype Prober(byte me)
{
	int status, left;
	bool swapped, dead;
	byte e;

	do
	:: load_status();
	   shmr_place_bury()
	:: break
	od;
killed:
	skip
}

/* The process that comes when all others have stopped for good. */
proctype Last(byte me)
{
	int status, ours, left;
	bool swapped, dead, users, held;
	byte tries, e;

	atomic {
		frozen = true;
		kills = 0;
		held = status_protected(word) && tenant_of[status_epoch(word)] != 0
	};
	find_lane();
	assert((held && ours == 0) || (!held && ours != 0)); /* R3 R4 */
killed:
	skip
}

init
{
	atomic {
		byte i = 1;
		do
		:: i <= PEERS -> run Peer(i); i++
		:: else -> break
		od;
		run Prober(PEERS + 1);
		run Last(LAST)
	}
}
