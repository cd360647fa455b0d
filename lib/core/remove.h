/* SPDX-License-Identifier: MIT */
/*
 * remove: take the name of a ring away, whether processes use the ring or not.
 *
 * The file is opened first, and has to begin as a ring does, sound or not: other files are left
 * alone. The name goes only while it still leads to that file, so a ring that was made under it
 * meanwhile stays, but for the moment between the look and the removal. unused.h has the removal
 * that spares rings in use.
 */
#ifndef SHMRING_CORE_REMOVE_H
#define SHMRING_CORE_REMOVE_H

#pragma GCC visibility push(default)

/* shmring_remove() for paths and names of the runtime directory. */
int shmr_ring_remove(const char *address);

#pragma GCC visibility pop

#endif
