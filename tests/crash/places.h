/* SPDX-License-Identifier: MIT */
/*
 * The places of lib/core/fault.h: which there are, which role comes to which, and
 * what has been reached. All of it outlives the single test, in shared memory.
 */
#ifndef TESTS_CRASH_PLACES_H
#define TESTS_CRASH_PLACES_H

#include <stdbool.h>
#include <stdint.h>

#include "actor.h"
#include "fault.h"

enum { PLACES = 512 };

/* A place on one of its sides: its name, and the operation that is there. */
struct place {
	char name[FAULT_NAME_SIZE];
	const char *operation;
	enum fault_side side;
};

struct places {
	unsigned count;
	struct place place[PLACES];
	bool counter;			   /* stamps can be the processor's counter here */
	uint32_t hits[PLACES];		   /* by all processes of all tests */
	uint32_t role_hits[ROLES][PLACES]; /* in the role's rehearsal */
};

/* Made before the first test. */
extern struct places *places;

void places_open(void);

/* Places that the role comes to when nothing happens to it; returns how many. */
unsigned places_of(enum role role, unsigned ret[PLACES]);

/* Why no test comes to this place; NULL: one must. */
const char *place_excuse(const char *name);

#endif
