/* SPDX-License-Identifier: MIT */
/*
 * Publishing many records quickly: they are staged and appear in batches, and
 * at once whenever the caller has to wait for something.
 */
#ifndef SHMRING_PUBLISH_H
#define SHMRING_PUBLISH_H

#include <shmring/producer.h>

#include "holders.h"

struct publisher {
	struct shmring_ring *ring;
	struct shmring_producer *producer;
	const char *address;
	bool while_read; /* -EPIPE as soon as no consumer is left */
	struct patience patience;
	int64_t next_look_ns; /* for consumers */
	int64_t timeout_ns;   /* for room; 0: do not wait; SHMRING_FOREVER */
	uint64_t records;     /* published */
	uint64_t bytes;
	uint64_t staged; /* records not published yet */
	uint64_t staged_bytes;
};

/*
 * Room for `len` bytes. Returns 0 or
 * -EAGAIN, -ETIMEDOUT	no room, not at all or within the timeout
 * -EINTR		stop_look()
 * -EPIPE		while_read, and no consumer is left
 * -ENOLINK		no room, the ring is removed and has no consumer
 * and those of shmring_claim(). Whatever was staged is published before a wait.
 */
int publisher_claim(struct publisher *p, size_t len, void **ret_data);

/* The same without any wait: -EAGAIN. */
int publisher_try_claim(struct publisher *p, size_t len, void **ret_data);

/* Finish the claim: soon, or at once. Return 0 or a negative errno. */
int publisher_stage(struct publisher *p, size_t len);
int publisher_commit(struct publisher *p, size_t len);

/* Publish what is staged. */
int publisher_flush(struct publisher *p);

/*
 * With while_read: wait until `fd` can be read, or has ended, and look for consumers
 * meanwhile. 0, -EPIPE, -EINTR and others. Without: 0 at once.
 */
int publisher_wait_input(struct publisher *p, int fd);

/*
 * Before the producer leaves: say so if it is the last user of an ephemeral ring, and messages go
 * with that ring that no consumer has ever come for.
 */
void publisher_tell_of_losses(struct publisher *p);

/* Wait until the ring has `count` consumers: 0, -ETIMEDOUT, -EINTR and others. */
int publisher_wait_consumers(struct publisher *p, uint32_t count);

#endif
