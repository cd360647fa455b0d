/* SPDX-License-Identifier: MIT */
/*
 * relics: files that the broker gives to nobody any more, but that others may still have:
 * rings that were removed, and the former files of lanes that were passed on. As long as
 * one exists, it counts for the user it counted for, or two users could have as much memory
 * as they like, by passing it on and keeping it.
 *
 *  E1 The kernel grants a write lease (F_SETLEASE) on a file only if nobody else has it open
 *     or mapped. That is the proof; where a file system has no leases, a file counts no
 *     longer than the broker gives it out.
 *  E2 For a memory file the lease is asked for through a new description: the one that made
 *     it is not counted by the kernel, and neither is what the keeper has. For another file it
 *     is asked for through the ring's own descriptor.
 *  E3 Nobody asks about more than some hundred files at a time; the next call goes on.
 */
#ifndef DAEMON_RELICS_H
#define DAEMON_RELICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "ring.h"

/* What counts for the user. */
struct charge {
	uid_t uid;
	uint64_t rings, bytes, descriptors;
	uint64_t held; /* share.h */
};

struct relic;

struct relics {
	STAILQ_HEAD(, relic) list;
	size_t count;
	bool provable; /* leases prove it on this kernel (E1); else nothing is kept */
};

void relics_open(struct relics *r);
void relics_close(struct relics *r);

/*
 * A ring (a reference of its handle) or a file: taken over if somebody else has it, and true;
 * false: nobody has it, or there is no memory to remember it; it is closed.
 */
bool relics_keep_ring(struct relics *r, struct shmring *ring, const struct charge *charge);
bool relics_keep_file(struct relics *r, int fd, const struct charge *charge);

/*
 * Close those that nobody has any more (E3), of that user or, NULL, of all; gone() is called
 * for each.
 */
void relics_sweep(struct relics *r, const uid_t *uid,
		  void (*gone)(const struct charge *charge, void *arg), void *arg);

#endif
