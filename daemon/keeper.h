/* SPDX-License-Identifier: MIT */
/*
 * keeper: keeps the memory files of isolated rings while no broker runs.
 *
 * This is either systemd's descriptor store, if the unit has room in it ($FDSTORE), or a
 * process that does nothing else. The broker starts that process (--keeper), or finds it at
 * ".keeper" in its directory, where the keeper of an earlier broker still listens.
 * The keeper holds descriptors, knows nothing of them (N1 in isolated.h says why), and ends
 * when it has none and no broker.
 *
 *  KE1 The keeper keeps what was sent, even if the sender is killed: a descriptor in the
 *     keeper's queue is open. What does not fit waits in a queue of the broker. The broker
 *     answers that a ring was made or removed, and gives out a lane's new file, only after
 *     it has sent the words about it (keeper_is_behind()). So what a killed broker has
 *     answered remains true.
 *  KE2 The keeper serves one broker to the end of its connection, then the next. So a
 *     new broker gets all that the one before sent, and no word of an earlier broker
 *     comes after one of a later broker. Should there be two rings of one name
 *     nevertheless, the one with the higher serial number counts.
 *  KE3 Both sides talk to their own user only (SO_PEERCRED), and the socket lies in a
 *     directory that is closed to others.
 *  KE4 The broker replaces a keeper that has died, or takes nothing for a second. The new
 *     keeper gets everything first, and then the name ".keeper". A keeper that has lost
 *     its name and its broker ends.
 *  KE5 The broker does not replace a keeper that has not sent yet what it has, but waits
 *     for it: until then no ring is made, because an isolated ring may have its name. The
 *     broker waits in the loop, so that a stopped keeper holds up nothing else.
 */
#ifndef DAEMON_KEEPER_H
#define DAEMON_KEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "descriptor-store.h"
#include "keeper-queue.h"
#include "loop.h"

/* A descriptor that was kept; the higher serial number was kept later. */
struct kept_file {
	int fd;
	uint64_t serial;
};

struct keeper;

struct keeper_calls {
	/* keeper_tell() each file that is to be kept. */
	void (*everything)(struct keeper *k);
	/* All that an earlier broker left with the process: the descriptors are the callee's. */
	void (*returned)(struct keeper *k, const struct kept_file *files, size_t count);
	/* The keeper is not behind any more. */
	void (*caught_up)(struct keeper *k);
};

struct keeper {
	struct loop *loop;
	const struct keeper_calls *calls;
	struct watch watch; /* to the process */
	int directory;	    /* where its name lies */
	bool wanted;	    /* start one if there is none */
	bool sandboxed;	    /* so is the process */
	bool takes_back;    /* KE5 */
	bool hung;	    /* it reads nothing and cannot be replaced; the log has said so */
	bool alone;	    /* the log has said that there is no keeper */
	bool behind;	    /* words wait; caught_up() is to be called */
	bool throttled;	    /* too many descriptors are on the way */
	struct keeper_queue queue;
	int64_t overdue_ns;	/* when to do something about an unsent word; 0: there is none */
	int64_t next_start_ns;	/* when one may be started again */
	int64_t next_search_ns; /* when to look for a keeper that did not accept; 0: no need */
	uint64_t serial;	/* of the last word */
	struct kept_file *kept; /* files that the keeper has sent so far */
	size_t kept_count, kept_room;
	struct descriptor_store store;
};

/* `directory` is the broker's, and locked. */
void keeper_open(struct keeper *k, struct loop *loop, int directory, bool wanted, bool sandboxed,
		 const struct keeper_calls *calls);

/*
 * Find the keeper that is there, or start one. With `complete` everything that is to be kept
 * is known already, as the predecessor handed it over. Otherwise the broker asks the keeper,
 * and waits for up to two seconds. What the keeper sends by then comes through returned(),
 * and so does what it sends later.
 */
void keeper_find(struct keeper *k, bool complete);

/*
 * The last call; it may come without keeper_open(). Waits up to two seconds until the keeper
 * has taken all words, unless a successor gets everything from this broker.
 */
void keeper_close(struct keeper *k, bool successor);

/* Is there a keeper, or systemd's store? */
bool keeper_is_there(const struct keeper *k);

/* KE1: does the keeper still have to take words? */
bool keeper_is_behind(const struct keeper *k);

/* Keep a file, and let it go. The descriptor stays the caller's, and stays open until then. */
void keeper_put(struct keeper *k, int fd, const char *label);
void keeper_drop(struct keeper *k, int fd, const char *label);
void keeper_tell(struct keeper *k, int fd); /* only in everything() */

/* When keeper_tick() is to be called at the latest; 0: no need. */
int64_t keeper_deadline(const struct keeper *k);
void keeper_tick(struct keeper *k);

#endif
