/* SPDX-License-Identifier: MIT */
/*
 * isolated: rings whose lanes are memory files of their own (lib/core/isolated-lane.h). The broker
 * makes these files, gives them out, and keeps them.
 *
 * Members of a ring can write the ring's own file. So nothing in that file proves anything,
 * except the locks on it, which no process can take from another one. The broker goes by
 * what stands where members cannot write:
 *
 *  N1 A file's label, given when the file was made, says what the file is: of which ring,
 *     whose, which lane, for which user, which of the lane's files. /proc shows the label,
 *     and no process can change it. So a process that keeps descriptors need not know
 *     anything about them.
 *  N2 A lane's file is given for writing only to the user of its label, and only after the
 *     end of the owner that it was given to last. The epoch of that owner stands in the
 *     file itself; the broker wrote it, and only that owner could have changed it. The end
 *     is proved by the lock on the byte of the place and the epoch: the lock is free, and
 *     stays free (R2 in registry.h).
 *  N3 The owner that gets the file has to hold a lock of the lane's place, and names its
 *     epoch.
 *  N4 Another user gets another file with the same bytes, and a number one higher. The file
 *     is kept before it takes the old one's place; the number is raised before its writer
 *     gets it (A2). If the broker is killed in between, there are two files with the same
 *     bytes, since neither has a writer; the higher number counts.
 *
 * The loop's thread makes all changes. Other threads look at lanes through the ring's
 * source, so the descriptors are changed under a mutex.
 */
#ifndef DAEMON_ISOLATED_H
#define DAEMON_ISOLATED_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <shmring/shmring.h>

#include "keeper.h"
#include "proto.h"
#include "ring.h"

struct lane_file {
	int fd; /* -1: no process has had the lane */
	uid_t uid;
	uint32_t file_number;
	bool passing; /* a thread copies the lane for another user */
};

struct isolated {
	struct ring_source calls; /* the ring, for other threads of this process */
	pthread_mutex_t mutex;
	struct shmring_ring *ring;
	struct keeper *keeper; /* NULL: it is removed, and nothing of it is kept any more */
	struct lane_file lane[LAYOUT_LANES];
};

/* Of this ring; NULL: it is not isolated. */
struct isolated *isolated_of(const struct shmring_ring *ring);

/*
 * These return 0 (or a descriptor), or a negative errno that shmring_explain() explains.
 *
 * create: a new ring, kept.
 */
int isolated_create(struct keeper *keeper, const char *name, uid_t owner,
		    const struct shmring_config *config, struct shmring_ring **ret);

/*
 * Give a ring its struct isolated, without any lane yet. Takes the ring over, and closes it
 * after an error.
 */
int isolated_adopt(struct keeper *keeper, struct shmring_ring *ring);

/* What a ring may need in the descriptor store: one lane more while a lane is passed on. */
uint64_t isolated_descriptors(const struct shmring_ring *ring);

/* The keeper drops one file; negative: there is none. */
void isolated_forget_file(const struct isolated *i, int fd);

/* The ring is removed: the keeper drops it, and the ring's file says so to its processes. */
void isolated_forget(struct isolated *i);

/* A new description of the lane's file. -ENOENT. */
int isolated_describe(struct isolated *i, unsigned lane, bool writable, uint32_t *ret_file_number);

/*
 * The owner of that epoch wants to write (N2, N3). 0: it may have the lane's file; 1: the
 * lane has to be passed on to it; -EBUSY, -ESTALE (it does not hold the place), or another
 * error.
 */
int isolated_claim(struct isolated *i, unsigned lane, uint32_t epoch, uid_t uid);

/*
 * The two ends of passing it on: an empty file, and the copy in the old one's place (N4).
 * *ret_old is the old one, to be closed.
 */
int isolated_begin_passing(struct isolated *i, unsigned lane, uid_t uid);
int isolated_end_passing(struct isolated *i, unsigned lane, uint32_t epoch, uid_t uid, int copy,
			 int *ret_old);
void isolated_cancel_passing(struct isolated *i, unsigned lane, int copy);

/* Call with each file of the ring that the keeper must keep. */
void isolated_each_file(const struct isolated *i, void (*see)(int fd, void *arg), void *arg);

/*
 * Give the files to a successor: *ret gets them, and their number is returned. After that the
 * ring can only be closed.
 */
size_t isolated_give(struct isolated *i, struct kept_file *ret);

/* Memory in use, of all its files. */
uint64_t isolated_allocated(struct isolated *i);

#endif
