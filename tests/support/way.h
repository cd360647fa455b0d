/* SPDX-License-Identifier: MIT */
/*
 * The ways by which a second process reaches a ring: every backing, by fork and
 * by exec.
 */
#ifndef TESTS_SUPPORT_WAY_H
#define TESTS_SUPPORT_WAY_H

#include <shmring/shmring.h>

#include "peer.h"

enum way {
	WAY_MEMORY_EXEC,    /* file in shared memory, opened by its path */
	WAY_DISK_EXEC,	    /* file on disk, opened by its path */
	WAY_FILE_FORK,	    /* file, inherited through fork and joined */
	WAY_ANONYMOUS_FORK, /* no name, inherited through fork and joined */
	WAY_PASSED_EXEC,    /* no name, descriptor passed over a socket */
	WAYS
};

/*
 * A ring with small lanes, for tests that want to see it full soon. It overwrites what
 * no consumer holds; a test that wants messages held says so.
 */
struct shmring_config small_config(void);

/* The same with time stamps; a test built with TEST_STAMPS has those everywhere. */
struct shmring_config small_config_with_stamps(void);
#ifdef TEST_STAMPS
#define small_config small_config_with_stamps
#endif

/* Make a ring that can be reached that way. */
struct shmring_ring *way_create(enum way way, const struct shmring_config *config);

/* Start a peer and have it reach the ring. */
void way_start(struct peer *p, enum way way, struct shmring_ring *r);

/* A ring in the room's shared memory, named "ring", and a peer that opened it. */
struct shmring_ring *ring_create(const struct shmring_config *config);
void ring_start(struct peer *p);

/* A consumer in this process, with these options. */
struct shmring_consumer *consumer_attach(struct shmring_ring *r, const char *name, uint32_t start,
					 uint32_t flags);

/* A producer in this process. */
struct shmring_producer *producer_attach(struct shmring_ring *r);

/* Publish messages `first` to `first + count - 1` of `source`, all `len` long. */
void publish_numbers(struct shmring_producer *p, uint64_t source, uint64_t first, uint64_t count,
		     size_t len);

/* The same until there is no room; returns how many. */
uint64_t publish_until_full(struct shmring_producer *p, uint64_t source, uint64_t first,
			    size_t len);

/* Take and audit `count` messages, one by one. */
void consume_audited(struct shmring_consumer *c, struct audit *a, uint64_t count);

/* Take and audit everything there is; returns how many messages. */
uint64_t consume_all(struct shmring_consumer *c, struct audit *a);

#endif
