/* SPDX-License-Identifier: MIT */
/*
 * source: rings that the broker gives.
 *
 * The ring keeps the conversation with the broker, which thereby knows that it is
 * used, and asks for a description for each attachment. Who is attached needs the
 * broker no more. If it has gone, the next attachment looks for its successor, and
 * for the ring under its name.
 */
#ifndef SHMRING_BROKER_SOURCE_H
#define SHMRING_BROKER_SOURCE_H

#include <shmring/shmring.h>

/* shmring_open(), shmring_create() and shmring_remove() for "broker:NAME". */
int source_open_ring(struct shmring **ret, const char *address);
int source_create_ring(struct shmring **ret, const char *address,
		       const struct shmring_config *config);
int source_remove_ring(const char *address);

#endif
