/* SPDX-License-Identifier: MIT */
/*
 * watch: wait until a file may have its name.
 *
 * The kernel tells of new names in a directory (inotify(7)). If the directory is missing, too, the
 * nearest directory above it is watched. The watch begins before the caller looks for the file, so
 * no name is missed. Every sleep is bounded, because some names come without a message: through a
 * symbolic link, by mount(2), or when the kernel's queue is full. Where inotify cannot be had (too
 * many instances or watches of this user, a system call filter, a directory that may not be read),
 * the waiter looks again after pauses that grow.
 */
#ifndef SHMRING_CORE_WATCH_H
#define SHMRING_CORE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"

struct watch {
	int fd;	     /* of inotify; -1: pauses */
	int wd;	     /* of the directory that is watched */
	size_t name; /* where the name that is awaited there begins in the path, ... */
	size_t name_end;
	int64_t pause_ns; /* the next one */
	char path[ADDRESS_SIZE];
};

/* A wait for the file at this address begins. */
void watch_begin(struct watch *w, const char *address);

/* Call this before each look for the file. */
void watch_arm(struct watch *w);

/*
 * Sleep until it is time to look again: 1. Otherwise -ETIMEDOUT or -EINTR; then the last sentence
 * of this thread, which says what is missing, goes on with what has ended the wait.
 */
int watch_sleep(struct watch *w, int64_t deadline);

void watch_end(struct watch *w);

#pragma GCC visibility push(default)

/* The end of a wait for a ring, for the last sentence: returns -ETIMEDOUT, or -EINTR. */
int shmr_watch_too_late(void);
int shmr_watch_interrupted(void);

/* The next pause between two looks, of which `*pause_ns` was the last; 0: there was none. */
int64_t shmr_watch_pause(int64_t *pause_ns);

#pragma GCC visibility pop

#endif
