/* SPDX-License-Identifier: MIT */
/*
 * ephemeral: a ring whose name goes with its last user (FEATURE_EPHEMERAL).
 *
 * Users are the tenants of places, and kept names. The removal is that of unused.h (U1 to
 * U4), so it never takes the name of a ring that a process is attached to.
 *
 *  EP1 A user that leaves has given up its place and its lock before it looks. Of several
 *     that leave at once, the last one to give up its lock finds no lock.
 *  EP2 One that finds another remover at work tries again until that one is done: the other
 *     one may have seen a user that has left since.
 *  EP3 A process that attaches, and has its lock, waits until no remover holds the lock of U1,
 *     and then looks at the name. If that is hidden (U3) or has gone, the attach fails
 *     (-EIDRM). If not, every remover that comes later finds the lock of the process in U2,
 *     before it hides anything. So two processes that attach under one name, and succeed,
 *     are in one ring.
 *  EP4 No wait here is longer than 20 ms: the remover may have been stopped or killed. Then
 *     a process that leaves lets the ring be. With its name, it goes with the next open of
 *     that name, or with the next removal of unused rings. Hidden, only the latter finds it
 *     (`shmring ls`, `shmring rm --unused`): an open looks for the name alone. A process that
 *     attaches goes by the name alone, too.
 *
 * A ring whose status words are all 0 has never had a user, and stays.
 */
#ifndef SHMRING_CORE_EPHEMERAL_H
#define SHMRING_CORE_EPHEMERAL_H

#include <stdbool.h>

#include "ring.h"

/* The longest name that can be hidden while it is removed (unused.c). */
#define EPHEMERAL_NAME_MAX 220

#pragma GCC visibility push(default)

/*
 * Remove the name of an ephemeral ring that has had users and has none. A failure is silent,
 * and leaves the last explanation of the thread as it is. True: the name has gone. For other
 * rings: false, at once.
 */
bool shmr_ephemeral_leave(struct shmring_ring *r);

/* For a process that has its place and its lock: EP3. 0 or -EIDRM; other rings: 0, at once. */
int shmr_ephemeral_settle(struct shmring_ring *r);

#pragma GCC visibility pop

#endif
