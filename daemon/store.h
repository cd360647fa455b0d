/* SPDX-License-Identifier: MIT */
/*
 * store: the files of rings: in a directory in shared memory, and, if there is one,
 * in the state directory, for persistent rings. The name of a ring is the name of its
 * file. Both directories and all files belong to the broker's user alone.
 *
 * A symbolic link ".NAME" beside the ring leads to the number of its owner, for the
 * quotas. The link comes into being whole, before the ring does, and goes after it. So a
 * link without a ring was left by a broker that was killed, and is swept; a ring without
 * a link belongs to the broker's user.
 *
 * A lock on each directory keeps a second broker out as long as this one lives.
 */
#ifndef DAEMON_STORE_H
#define DAEMON_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "proto.h"
#include "ring.h"

struct store {
	char *path[2];	  /* of the ordinary ones and of the persistent ones (or NULL) */
	int directory[2]; /* locked */
};

/*
 * Makes the directories if they are not there. 0, or a negative errno and a sentence
 * for the log: -EBUSY if another broker has one of them, -EPERM if one is not private.
 */
int store_open(struct store *s, const char *directory, const char *state_directory, char *error,
	       size_t size);
void store_close(struct store *s);

/* Could store_open() use them, but for a broker that has them? The same errors. */
int store_check(const char *directory, const char *state_directory, char *error, size_t size);

/*
 * These return 0, or a negative errno that shmring_explain() explains.
 *
 * create: the ring must be registered nowhere. -EOPNOTSUPP: there is no state directory.
 * adopt: takes the ring of that name in: -ENOENT, or what is unsound about it.
 * remove: `ring` is what is registered under the name, or NULL; its file goes whatever
 * it may contain by now, any other one only if it is a ring. -ENOENT.
 */
int store_create(struct store *s, const char *name, bool persistent, uid_t owner,
		 const struct shmring_config *config, struct shmring_ring **ret);
int store_adopt(struct store *s, const char *name, struct shmring_ring **ret, uid_t *ret_owner,
		bool *ret_persistent);
int store_remove(struct store *s, const char *name, struct shmring_ring *ring);

/*
 * Calls see() with each name that might be that of a ring, in no order; names that
 * come or go meanwhile may be among them or not.
 */
int store_each(struct store *s, void (*see)(const char *name, void *arg), void *arg);

/* Remove an ordinary ring that adopt() found to be stale; false: it is none, or persistent. */
bool store_sweep_stale(struct store *s, const char *name);

/* Sweep what killed brokers have left: owners of no ring. */
void store_sweep(struct store *s);

#endif
