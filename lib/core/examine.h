/* SPDX-License-Identifier: MIT */
/*
 * examine: from a descriptor of unknown origin to a ring.
 *
 * Another process may have written any byte of the file, so nothing of it is used before all of
 * this holds, in this order:
 *
 *  1. It is a regular file, on a file system that keeps locks of open file descriptions.
 *  2. Its identity is complete, and layout.h gets a geometry from it that fits the file's size.
 *  3. Device, inode and time of birth are those in the identity: it is no copy.
 *  4. It was made since the last boot, so a power cut has not torn it.
 *  5. No process can cut it off: a file without a name is sealed. The owner of a named file is
 *     trusted.
 *
 * Then the control segments are mapped for reading, and the description gets its mark (ring.h).
 */
#ifndef SHMRING_CORE_EXAMINE_H
#define SHMRING_CORE_EXAMINE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <shmring/shmring.h>

#include "layout.h"

#pragma GCC visibility push(default)

/*
 * The ring behind a descriptor, which is taken over, also on failure. `isolated`: it may
 * be an isolated one, and the caller gives it a source.
 */
int shmr_ring_from_fd(struct shmring_ring **ret, int fd, bool isolated);

/* Is a file of this kind a ring? 0, or a negative errno with an explanation. */
int ring_check_kind(const struct stat *st);

/* The first bytes of a file that may be a ring; they are not checked. Explained. */
int ring_read_identity(int fd, struct identity *id);

#pragma GCC visibility pop

#endif
