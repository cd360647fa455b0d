/* SPDX-License-Identifier: MIT */
/*
 * ring-source: rings that the broker gives.
 *
 * The ring's handle keeps the connection to the broker, which thereby knows that the ring
 * is in use, and asks for a description for each attachment. An attached process does not
 * need the broker any more. After the end of a broker, the next attachment looks for the
 * next broker, and for the ring under its name.
 */
#ifndef SHMRING_CLIENT_RING_SOURCE_H
#define SHMRING_CLIENT_RING_SOURCE_H

#include <shmring/shmring.h>

/*
 * shmring_open(), shmring_open_wait(), shmring_create() and shmring_remove() for "broker:NAME"; and
 * 0, or -EINVAL: source_create_ring() would refuse the config.
 */
int source_open_ring(struct shmring_ring **ret, const char *address);
int source_open_ring_wait(struct shmring_ring **ret, const char *address, int64_t deadline);
int source_create_ring(struct shmring_ring **ret, const char *address,
		       const struct shmring_config *config);
int source_check_config(const char *address, const struct shmring_config *config);
int source_remove_ring(const char *address);

#endif
