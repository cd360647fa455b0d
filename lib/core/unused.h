/* SPDX-License-Identifier: MIT */
/*
 * unused: remove a ring that no process is attached to, without a race.
 *
 * A living tenant of a place, and a process that is taking a name, hold a lock on a byte of
 * the file (registry.h). So one question to the kernel about all those bytes proves that no
 * process is attached. The look and the removal are two steps; between them a process may
 * attach. So the remover first hides the ring, under a name that no process opens, and looks
 * at it again:
 *
 *  U1 A remover holds flock(2) on the file; there is one at a time.
 *  U2 The remover reads all status words, and proves that no lock is held.
 *  U3 The remover renames the file to the hidden name. From here on no process can open the
 *     ring.
 *  U4 The remover proves again that no lock is held, and that no status word has changed
 *     since U2. If so, it unlinks the file. If not, a process has attached or is attaching,
 *     and the ring gets its name back, unless another ring has that name by now.
 *
 * A process that is attached before U4 keeps the ring, and its name. A process that has opened
 * the ring before U3 and attaches after U4 is in a removed ring, and gets -EIDRM as soon as it
 * waits there alone. A remover that is killed behind U3 leaves a hidden ring; the next remover
 * that is called with the hidden name goes on at U4.
 */
#ifndef SHMRING_CORE_UNUSED_H
#define SHMRING_CORE_UNUSED_H

#include <stdint.h>

#include "ring.h"

#pragma GCC visibility push(default)

/* shmring_remove_unused() for paths and names of the runtime directory. */
int shmr_ring_remove_unused(const char *address, int64_t older_ns, uint32_t flags);

/*
 * The same for a ring that is open, under the name that it has now, and for no other ring
 * that has got that name. The caller has no place in it.
 */
int shmr_ring_remove_left(struct shmring_ring *r);

#pragma GCC visibility pop

#endif
