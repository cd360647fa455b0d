/* SPDX-License-Identifier: MIT */
/*
 * isolated-lane: the lanes of isolated rings, which are files of their own.
 *
 * The ring's own file holds what all members write: places, bells, cursors. A lane's file
 * holds what its producer alone writes. All are memory files of mode 0600 that belong to the
 * broker's user, sealed for good before any process gets them: their size cannot change, and
 * no seal can be added. A process of another user that has a description for reading can
 * neither write through it nor open the file again for writing.
 *
 *  A1 A lane is at each time one file; doorbell.room[i].file_number is its number. A lane gets
 *     another file only while its place is without a living owner, and the new file has the
 *     same bytes. So a reader may change to the new file at any time: nothing under its cursor
 *     changes, and what it is reading stays where it is.
 *  A2 The number is raised before the new file is given to a process that may write: first
 *     the lane's, then the ring's count of them [FILE]. A reader that places a cursor looks
 *     at that count behind the fence of [JOIN]: if the count has not moved, the next owner
 *     will see the cursor, whatever file that owner has.
 *  A3 Members of the ring can forge all words that readers go by here. The words only tell
 *     when to ask the broker; readers believe what the broker says.
 */
#ifndef SHMRING_CORE_ISOLATED_LANE_H
#define SHMRING_CORE_ISOLATED_LANE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "layout.h"

struct shmring_ring;
struct lane_wish;

#pragma GCC visibility push(default)

/*
 * Return a descriptor of that lane's file, close-on-exec, after checking the file. Otherwise
 * as lane() of struct ring_source.
 */
int shmr_isolated_open(const struct shmring_ring *r, const struct lane_wish *wish,
		       uint32_t *ret_file_number);

/*
 * Is this a file of an isolated ring, of the ring or of a lane, that the broker of that user made?
 * No other user can have made it, and no process can change its size or its seals any more. 0,
 * or a negative errno with an explanation.
 */
int shmr_isolated_check_file(int fd, uid_t owner, struct stat *ret);

/* Is it a lane's? */
int shmr_isolated_check(const struct geometry *g, int fd, uid_t owner);

/*
 * Return the subset of `lanes` that this process's user would get without a copy. Only a
 * hint: no edge.
 */
uint64_t shmr_isolated_own_lanes(const struct doorbell *d, uint64_t lanes);

#pragma GCC visibility pop

#endif
