/* SPDX-License-Identifier: MIT */
/*
 * catalog: the rings of this broker, by name.
 *
 * A hash table of liburcu: the threads that only look (the reaper, the metrics) need no
 * lock while rings come and go, and never make the loop wait. The rules:
 *
 *  C1 The loop's thread alone adds and removes entries, and drops its holds. It may keep
 *     a pointer to an entry as long as it holds the entry, also outside of a read-side
 *     section.
 *  C2 Every other thread finds entries between rcu_read_lock() and rcu_read_unlock(), and
 *     forgets them before it unlocks. In between it makes no system call, does not wait
 *     and does not allocate. To do something with a ring, a thread takes a reference of
 *     the ring's handle (shmr_ring_ref()), leaves the section, does it, and closes the
 *     handle: catalog_collect() takes such references.
 *  C3 An entry is freed by call_rcu(), when it is neither in the table nor held. Its
 *     words do not change while it is in the table, except the atomic ones. Those belong
 *     to no edge: they are counts.
 *  C4 Every thread that reads registers itself (catalog_enter_thread()) and leaves
 *     before it ends. No thread forks.
 *  C5 Closing waits for all callbacks (rcu_barrier()), outside of read-side sections.
 *
 * The loop also keeps the entries in the order of their names, for listings.
 */
#ifndef DAEMON_CATALOG_H
#define DAEMON_CATALOG_H

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
	struct shmring_ring *ring;
	char name[PROTO_NAME_SIZE];
	uid_t owner;
	bool persistent;
	uint64_t bytes;	    /* of its files */
	unsigned holds;	    /* the loop's; one is the table's */
	shm_u32 clients;    /* connections that have it open */
	shm_u32 looks;	    /* how often the reaper is still to look at it */
	shm_u32 recoveries; /* clients whose death the broker proved */
};

struct catalog {
	struct cds_lfht *table;
	uint64_t seed;
	struct entry **sorted; /* the loop's, by name */
	size_t count, room;
};

int catalog_open(struct catalog *r);
void catalog_close(struct catalog *r); /* everything in it; no entry is held */

void catalog_enter_thread(void);
void catalog_leave_thread(void);

/* For the loop only. NULL: no ring has that name. */
struct entry *catalog_find(struct catalog *r, const char *name);

/* For the loop only: the first entry behind `name` in the order of names, or NULL. */
struct entry *catalog_after(const struct catalog *r, const char *name);

/*
 * The loop's: takes the handle over on success. There must be none of that name.
 * NULL: out of memory.
 */
struct entry *catalog_add(struct catalog *r, const char *name, struct shmring_ring *ring,
			  uid_t owner, bool persistent);

/* For the loop only: remove the entry, so that no thread finds it. */
void catalog_remove(struct catalog *r, struct entry *e);

/* For the loop only. catalog_release() returns true at the last release: the entry will be freed.
 */
void catalog_hold(struct entry *e);
bool catalog_release(struct entry *e);

/* What other threads may read of an entry, and a reference of its handle. */
struct seen {
	struct shmring_ring *ring; /* close it */
	char name[PROTO_NAME_SIZE];
	uid_t owner;
	bool persistent;
	uint32_t clients, recoveries;
};

/*
 * Any registered thread: a list of the entries for which wanted() returns true, for
 * free(); *ret_count of them. When many came meanwhile, some are left for another
 * time. -ENOMEM.
 */
int catalog_collect(struct catalog *r, bool (*wanted)(struct entry *e), struct seen **ret,
		    size_t *ret_count);

/* Any registered thread: is there one of that name? */
bool catalog_has(struct catalog *r, const char *name);

/* Any registered thread: add to the recoveries of the entry of that name, if it is there. */
void catalog_note_recoveries(struct catalog *r, const char *name, uint32_t count);

#endif
