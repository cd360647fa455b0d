/* SPDX-License-Identifier: MIT */
/*
 * relics: files that the broker does not give out any more, but that clients may still have: rings
 * that were removed, and the former files of lanes that were passed on. As long as such a
 * file exists, it counts for its user. Otherwise two users could have any amount of memory,
 * by passing lanes on and keeping the former files.
 *
 *  H1 The kernel grants a write lease (F_SETLEASE) on a file only if no other process has it
 *     open or mapped. That is the proof; where a file system has no leases, a file counts
 *     only as long as the broker gives it out.
 *  H2 For a memory file the broker asks for the lease through a new description: the kernel
 *     does not count the description that made the file, nor what the keeper has. For another
 *     file the broker asks through the ring's own descriptor.
 *  H3 One call asks about some hundred files at most; the next call goes on.
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
	uint64_t held; /* descriptor-share.h */
};

struct relic;

struct relics {
	STAILQ_HEAD(, relic) list;
	size_t count;
	bool provable; /* leases prove it on this kernel (H1); else nothing is kept */
};

void relics_open(struct relics *r);
void relics_close(struct relics *r);

/*
 * Take over a ring (a reference of its handle), or a file. True: another process has it.
 * False: none has it, or there is no memory to remember it; it is closed.
 */
bool relics_keep_ring(struct relics *r, struct shmring_ring *ring, const struct charge *charge);
bool relics_keep_file(struct relics *r, int fd, const struct charge *charge);

/*
 * Close the files that no other process has any more (H3), those of the user *uid or, with
 * NULL, of all users; gone() is called for each.
 */
void relics_sweep(struct relics *r, const uid_t *uid,
		  void (*gone)(const struct charge *charge, void *arg), void *arg);

#endif
