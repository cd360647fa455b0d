/* SPDX-License-Identifier: MIT */
/*
 * Opening the ring that the command line names.
 */
#ifndef SHMRING_ADDRESS_H
#define SHMRING_ADDRESS_H

#include <stdbool.h>

#include <shmring/shmring.h>

/*
 * Open a ring; with `create`, make it if it does not exist. A new ring has the
 * default shape and holds its messages until a consumer has come, so either side
 * may start first. Returns 0, or the exit status after it has printed the reason.
 * The second function also takes the shape of a new ring, whose size is 0 for the default one,
 * and reports whether this call made the ring.
 */
int open_ring(struct shmring_ring **ret, const char *address, bool create);
int open_or_make_ring(struct shmring_ring **ret, const char *address, bool create,
		      const struct shmring_config *shape, bool *ret_made);

/* Has the ring lost its name, so that no process can attach? False if that is unknown. */
bool ring_is_removed(struct shmring_ring *r);

#endif
