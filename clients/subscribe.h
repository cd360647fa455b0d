/* SPDX-License-Identifier: MIT */
/*
 * Reading a ring to standard output until it is time to end.
 */
#ifndef SHMRING_SUBSCRIBE_H
#define SHMRING_SUBSCRIBE_H

#include <stdbool.h>

#include <shmring/consumer.h>

#include "emit.h"

enum subscribe_end {
	END_NEVER, /* when a signal comes */
	END_EMPTY, /* after what is there at the start: attach with SHMRING_UNTIL_NOW */
	END_DRAIN, /* when all producers have left: attach with SHMRING_UNTIL_END */
};

struct subscribe_options {
	const char *address;
	enum emit_form form;
	enum subscribe_end end;
	bool latency;	    /* no messages: percentiles at the end */
	uint64_t count;	    /* messages; UINT64_MAX: no limit */
	int64_t timeout_ns; /* without a message; SHMRING_FOREVER */
	struct shmring_consumer_options attach;
};

/*
 * Whatever the options say, a ring that was removed ends when it is empty and
 * no producer is left. Returns the exit status, or -EPIPE if no process reads
 * stdout any more. Takes the consumer.
 */
int subscribe(struct shmring_ring *ring, struct shmring_consumer *consumer,
	      const struct subscribe_options *options);

#endif
