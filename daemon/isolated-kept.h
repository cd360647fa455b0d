/* SPDX-License-Identifier: MIT */
/*
 * isolated-kept: make isolated rings again of the files that a keeper kept for an earlier broker.
 *
 * The files come in any order, some twice, and some may be of any other process: only their
 * labels tell what they are (N1 in isolated.h). The files that the broker's user made are sorted,
 * the last kept first. Each file of a ring becomes a ring, and gets the lanes' files that name its
 * uuid; of two files for one lane the higher number counts (N4). The ring's own file may name
 * other numbers, as the broker may have been killed between two steps; they are set anew. What
 * belongs to no ring is dropped.
 */
#ifndef DAEMON_ISOLATED_KEPT_H
#define DAEMON_ISOLATED_KEPT_H

#include <stddef.h>
#include <sys/types.h>
#include <shmring/shmring.h>

#include "keeper.h"

/*
 * Make rings of what was kept, and take the descriptors over. found() gets each ring with
 * its name and owner, and takes it over; of rings with one name, the ring that was kept last
 * comes first. Files that belong to no ring are dropped.
 */
void isolated_take_back(struct keeper *keeper, const struct kept_file *files, size_t count,
			void (*found)(const char *name, uid_t owner, struct shmring_ring *ring,
				      void *arg),
			void *arg);

#endif
