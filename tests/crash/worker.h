/* SPDX-License-Identifier: MIT */
/*
 * The processes that a storm kills, stops and restarts.
 */
#ifndef TESTS_CRASH_WORKER_H
#define TESTS_CRASH_WORKER_H

#include <stdint.h>

#include "ledger.h"

enum role_kind {
	ROLE_PRODUCER,
	ROLE_CONSUMER, /* lossless; with or without a name */
	ROLE_OBSERVER,
	ROLE_VISITOR, /* looks at rings, and cleans up after the dead */
	ROLE_CREATOR, /* makes, opens and removes rings of other names */
	ROLES,
};

struct role {
	enum role_kind kind;
	unsigned ring;
	const char *name; /* of a consumer; NULL: none */
};

enum { MADE_RINGS = 3, LANES = 4 };

/*
 * A consumer that is not woken waits so long; one that is gets its message sooner
 * than this by far, however busy the machine is.
 */
enum { LONG_WAIT_MS = 6000, LONGEST_ARRIVAL_MS = 4000 };

struct worker {
	struct role role;
	unsigned index; /* its page in the ledger */
	uint64_t seed;
	struct ledger *ledger;
	struct shmring_ring *rings[STORM_RINGS]; /* the supervisor's */
	const char *path;			 /* of ring 0; ring 1 has none */
	const char *made[MADE_RINGS];		 /* the name that creators compete for */
};

/* For child_fork(): do what the role says until the storm is over. */
int worker_run(int socket, void *worker);

#endif
