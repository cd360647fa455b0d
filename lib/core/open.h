/* SPDX-License-Identifier: MIT */
/*
 * open: find the ring at an address, and open it.
 *
 * An ephemeral ring that its users have left counts as absent: the process that opens it removes
 * its name, which the last user could not do (EP4 in ephemeral.h).
 */
#ifndef SHMRING_CORE_OPEN_H
#define SHMRING_CORE_OPEN_H

#include <stdbool.h>
#include <stdint.h>
#include <shmring/shmring.h>

#pragma GCC visibility push(default)

/* shmring_open() and shmring_open_wait() for paths and names of the runtime directory. */
int shmr_ring_open(struct shmring_ring **ret, const char *address);
int shmr_ring_open_wait(struct shmring_ring **ret, const char *address, int64_t deadline);

/*
 * Return a descriptor of the file at an address, close-on-exec: for writing where that is allowed
 * and `read_only` does not forbid it. The file is looked at before: to open a device or fifo can
 * have effects.
 */
int ring_open_file(const char *address, bool read_only);

#pragma GCC visibility pop

#endif
