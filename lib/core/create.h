/* SPDX-License-Identifier: MIT */
/*
 * create: make a ring.
 *
 * A ring is made as a file without a name. It gets its size, then memory for the segments that
 * every participant writes, and last the identity: everything else of a new ring is zero. The
 * ring is then opened by the same checks as any other file (examine.h), and gets its name as the
 * last step. So a process that finds a name finds a complete ring, and a process that dies
 * before leaves nothing.
 */
#ifndef SHMRING_CORE_CREATE_H
#define SHMRING_CORE_CREATE_H

#include <stdbool.h>
#include <shmring/shmring.h>

#include "layout.h"

#pragma GCC visibility push(default)

/* shmring_create() for paths, names of the runtime directory, and NULL. */
int shmr_ring_create(struct shmring_ring **ret, const char *address,
		     const struct shmring_config *config);

/* 0, or -EINVAL: shmr_ring_create() would refuse the config. */
int shmr_ring_check_config(const char *address, const struct shmring_config *config);

/* Make a complete ring, except the seals, of a new file. Explained. */
int ring_fill(int fd, const struct geometry *g, bool named);

/* Read and check the shape of a new ring; -EINVAL with an explanation. */
int shmr_ring_config(struct shmring_config *ret, const struct shmring_config *given);

#pragma GCC visibility pop

#endif
