/* SPDX-License-Identifier: MIT */
/*
 * operations: what a helper does while its system calls are watched, what must
 * be so before, and what the test does meanwhile.
 */
#ifndef TESTS_CRASH_OPERATIONS_H
#define TESTS_CRASH_OPERATIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "audit.h"
#include "errnos.h"
#include "peer.h"
#include "way.h"

enum { SOURCE = 1000, MS = 1000000 };

/* A run: what the test has, and what the helper makes of its copy. */
struct scene {
	const struct operation *operation;
	unsigned index; /* of the call that fails */
	enum kind kind; /* of it; CALL_UNKNOWN: none does */
	struct fault fault;
	bool done; /* the operation has succeeded in spite of it */

	/* The test's. */
	const char *path;      /* of the ring */
	const char *made_path; /* of one that is to be made */
	struct shmring_ring *ring;
	struct shmring_ring *hidden; /* without a name */
	struct shmring_producer *producer;
	struct shmring_consumer *consumer;
	struct audit audit;
	uint64_t number; /* of the producer's next message */
	uint64_t run;	 /* counts helpers that may publish */
	unsigned locks;
	bool slept;
	struct peer peer;

	/* The helper's. */
	uint64_t source; /* of its producer: one for each tenancy */
	uint64_t sent;
	int fd; /* of the hidden ring */
	struct shmring_ring *mine;
	struct shmring_ring *made;
	struct shmring_producer *p;
	struct shmring_consumer *c;
};

struct operation {
	const char *name;
	int (*run)(struct scene *s);	  /* helper: what is watched */
	void (*undo)(struct scene *s);	  /* helper: after a run that succeeded */
	void (*enter)(struct scene *s);	  /* helper: before it */
	void (*prepare)(struct scene *s); /* test: before the helper starts */
	void (*halfway)(struct scene *s); /* test: when it has entered */
	void (*asleep)(void *scene);	  /* test: when it goes to sleep */
	void (*clean)(struct scene *s);	  /* test: when it has ended */
	bool once;			  /* what has been done cannot be done again */
	bool dead;			  /* there are dead that may outlast it */
	bool fresh; /* needs a new ring each time, which no process has used */
	uint64_t max_sleep_ns;
	const struct exception *exceptions; /* up to one without answers; NULL: none */
};

extern const struct operation operations[];
extern const unsigned operation_count;

/* Test: publish some messages on its own lane. */
void scene_publish(struct scene *s, uint64_t count);

#endif
