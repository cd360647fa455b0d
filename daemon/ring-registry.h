/* SPDX-License-Identifier: MIT */
/*
 * ring-registry: the rings of this broker, by name.
 *
 * A liburcu hash table, so that whoever only looks (the reaper, the metrics) needs
 * no lock while rings come and go, and never holds up the loop. The house rules:
 *
 *  U1 The loop's thread alone adds, removes, and drops its holds. It may keep a
 *     pointer to an entry as long as it holds it, also outside of a read-side section.
 *  U2 Everybody else finds entries between rcu_read_lock() and rcu_read_unlock(), and
 *     forgets them before it unlocks. Nobody makes a system call, waits, or
 *     allocates in there. Who wants to do something with a ring takes a reference of
 *     its handle (shmr_ring_ref()), leaves, does it, and closes the handle:
 *     registry_collect() does just that.
 *  U3 An entry is freed by call_rcu(), when it is neither in the table nor held. Its
 *     words do not change while it is in the table, but for the atomic ones, which
 *     belong to no edge: they are counts.
 *  U4 Every thread that reads registers itself (registry_enter_thread()) and leaves
 *     before it ends. No thread forks.
 *  U5 Closing waits for all callbacks (rcu_barrier()), outside of read-side sections.
 *
 * Besides, the loop keeps the entries in the order of their names, for listings.
 */
#ifndef DAEMON_RING_REGISTRY_H
#define DAEMON_RING_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <urcu.h>
#include <urcu/rculfhash.h>

#include "atomic.h"
#include "proto.h"
#include "ring.h"

struct entry {
	struct cds_lfht_node node;
	struct rcu_head rcu;
	struct shmring *ring;
	char name[PROTO_NAME_SIZE];
	uid_t owner;
	bool persistent;
	uint64_t bytes;	    /* of its files */
	unsigned holds;	    /* the loop's; one is the table's */
	shm_u32 clients;    /* connections that have it open */
	shm_u32 looks;	    /* how often the reaper is still to look at it */
	shm_u32 recoveries; /* peers that were proved dead by the broker */
};

struct ring_registry {
	struct cds_lfht *table;
	uint64_t seed;
	struct entry **sorted; /* the loop's, by name */
	size_t count, room;
};

int registry_open(struct ring_registry *r);
void registry_close(struct ring_registry *r); /* everything in it; nobody holds an entry */

void registry_enter_thread(void);
void registry_leave_thread(void);

/* The loop's; NULL: there is none of that name. */
struct entry *registry_find(struct ring_registry *r, const char *name);

/* The loop's: the first one behind `name` in the order of names, or NULL. */
struct entry *registry_after(const struct ring_registry *r, const char *name);

/*
 * The loop's: takes the handle over on success. There must be none of that name.
 * NULL: out of memory.
 */
struct entry *registry_add(struct ring_registry *r, const char *name, struct shmring *ring,
			   uid_t owner, bool persistent);

/* The loop's: nobody finds it any more. */
void registry_remove(struct ring_registry *r, struct entry *e);

/* The loop's. True from the last release: what it was is now nobody's, and its memory going. */
void registry_hold(struct entry *e);
bool registry_release(struct entry *e);

/* What somebody who only looks may know of an entry, with a reference of its handle. */
struct seen {
	struct shmring *ring; /* close it */
	char name[PROTO_NAME_SIZE];
	uid_t owner;
	bool persistent;
	uint32_t clients, recoveries;
};

/*
 * Any registered thread: a list of the entries for which wanted() says so, for
 * free(); *ret_count of them. When many came meanwhile, some are left for another
 * time. -ENOMEM.
 */
int registry_collect(struct ring_registry *r, bool (*wanted)(struct entry *e), struct seen **ret,
		     size_t *ret_count);

/* Any registered thread: is there one of that name? */
bool registry_has(struct ring_registry *r, const char *name);

/* Any registered thread: add to the recoveries of the entry of that name, if it is there. */
void registry_note_recoveries(struct ring_registry *r, const char *name, uint32_t count);

#endif
