/* SPDX-License-Identifier: MIT */
/*
 * The stage of a trial: a fresh ring, the survivors, and up to three actors.
 *
 * The survivors are a writer and a reader in this process, and a listener in one
 * of its own that sleeps for every message. They do only what the actors ask for,
 * so that a trial is the same each time. An actor is alone with them until it
 * has come to its place, or to its end; then the next one enters. When all are
 * at rest, the survivors go round the ring for three laps, and newcomers attach;
 * then the stopped actors go on and play to the end. At last everything is
 * accounted for: every message, every place, every name and lock.
 */
#ifndef TESTS_CRASH_SCENE_H
#define TESTS_CRASH_SCENE_H

#include <stdbool.h>
#include <stdint.h>

#include "actor.h"
#include "child.h"

enum { CAST = 3, FAILURES = 16 };

/* Sums and maxima over all trials of all tests; in shared memory. */
struct figures {
	uint64_t trials[CAST]; /* with 1, 2, 3 actors */
	int64_t ns[CAST];      /* the time they took */
	uint64_t came[FAULT_DELAY + 1];
	uint64_t missed; /* faults whose place was not reached, because other actors were quicker */
	uint64_t recoveries;
	uint64_t evictions;	/* of actors that reported their loss */
	int64_t writer_ns;	/* longest publication, no consumer stopped or killed */
	int64_t held_writer_ns; /* the same with consumers stopped, to be evicted */
	int64_t listener_ns; /* from a publication to its sleeper, time without a processor apart */
	char title[CAST * 96];	 /* of the trial that runs; "": none */
	char slowest[CAST * 96]; /* the same where the listener waited longest */
	char failed[FAILURES][CAST * 96];
	unsigned failures;
};

extern struct figures *figures;

void figures_open(void);
void figures_print(void);

/*
 * Play one trial with these parts. `at_once`: no laps, each stopped actor goes on
 * while the others are still stopped. `hits` counts places, as shmr_fault_tell() has it.
 */
void trial(const struct part *parts, unsigned count, bool at_once, uint32_t *hits);

/*
 * The first one is stopped, and the second, a consumer that cannot be evicted,
 * behind it; the first goes on and is killed at its `then`, and a successor
 * publishes in its lane what there is room for, before the second one goes on.
 * False: the first was not killed.
 */
bool trial_of_succession(const struct part parts[2], uint32_t *hits);

#endif
