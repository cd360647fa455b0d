/* SPDX-License-Identifier: MIT */
/*
 * isolated-files: the memory files of isolated rings: make them, and write into the ring's
 * file which of them is a lane (lib/core/isolated-lane.h). Only the broker does this.
 */
#ifndef DAEMON_ISOLATED_FILES_H
#define DAEMON_ISOLATED_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <shmring/shmring.h>

#include "label.h"
#include "layout.h"

/* These return 0 (or a descriptor), or a negative errno. The label is what /proc shows. */

/* A new ring, without any lane's file. Explained. */
int isolated_files_new_ring(struct shmring_ring **ret, const char *label,
			    const struct shmring_config *config);

/* An empty file for a lane. Explained. */
int isolated_files_new_lane(const struct geometry *g, const char *label);

/* Read the label of a file that is open; false: it has none. */
bool isolated_files_label(int fd, char ret[LABEL_SIZE]);

/* From now on the lane is the file `file_number` of `user` (A2). Maps the ring for a moment. */
int isolated_files_set_number(const struct shmring_ring *r, unsigned lane, uint32_t file_number,
			      uid_t user);

/* Write into the ring that it is removed. */
int isolated_files_retire(const struct shmring_ring *r);

#endif
