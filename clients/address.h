/* SPDX-License-Identifier: MIT */
/*
 * Opening the ring that the command line names.
 */
#ifndef SHMRING_ADDRESS_H
#define SHMRING_ADDRESS_H

#include <stdbool.h>

#include <shmring/shmring.h>

/*
 * Open a ring; with `create`, make it if it does not exist: of the default
 * shape, and holding its messages until a consumer has come, so that it does
 * not matter who is started first. Returns 0 or the exit status, and then has
 * told why. The second also tells whether this call made the ring.
 */
int open_ring(struct shmring **ret, const char *address, bool create);
int open_or_make_ring(struct shmring **ret, const char *address, bool create, bool *ret_made);

/* Nobody can attach any more: its name is gone. False if that is unknown. */
bool ring_is_removed(struct shmring *r);

#endif
