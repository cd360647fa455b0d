/* SPDX-License-Identifier: MIT */
/*
 * The actors: processes to which something happens while they play a role. A
 * role goes through everything that such a participant does, in always the same
 * order; where it depends on others, it asks the stage (scene.h) to see to it.
 */
#ifndef TESTS_CRASH_ACTOR_H
#define TESTS_CRASH_ACTOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <shmring/shmring.h>

#include "audit.h"
#include "fault.h"

enum role {
	ROLE_PRODUCER, /* wakes, sends batches, waits for room, evicts */
	ROLE_CONSUMER, /* sleeps, is evicted, comes back */
	ROLE_PINNED,   /* the same, never evicted: by the path that is inline */
	ROLE_NAMED,    /* leaves, resumes, begins elsewhere, lapses, is forgotten */
	ROLE_JOINER,   /* begins at the oldest message, and now */
	ROLE_OBSERVER,
	ROLE_PROBER, /* takes over from the dead, buries and forgets them */
	ROLES
};

/* What an actor asks for. */
enum request {
	REQUEST_NONE,
	REQUEST_FEED,	 /* some messages */
	REQUEST_SLEEPER, /* a sleeping process, to be woken */
	REQUEST_WAKE,	 /* a message once I am asleep */
	REQUEST_HOLD,	 /* do not read until I am asleep, waiting for room */
	REQUEST_EVICT,	 /* evict me */
	REQUEST_LAPSE,	 /* let my name lapse */
	REQUESTS
};

enum {
	NOTE_SOURCES = 100, /* actor i writes as NOTE_SOURCES * (i + 1) */
	CORPSE_SOURCE = 900,
	SMALL = 200,
	MIDDLE = 1000,
	LARGE = 5000,
};

#define CORPSE_NAME "corpse"

/* What an actor says of itself, in memory that it shares with the test. */
struct notes {
	_Atomic(uint32_t)
		request;  /* which, plus REQUESTS times a number, so that each is another */
	uint32_t reached; /* the fault has come */
	uint64_t begun;	  /* messages it began to publish */
	uint64_t done;	  /* messages it knows to be published */
	bool established; /* its name exists */
	bool elsewhere;	  /* it is giving up the place that its name had */
	bool releasing;
	struct audit released; /* what it has read up to its last release */
	struct audit pending;  /* and what it has in hand */
	char name[SHMRING_NAME_SIZE];
};

/* A part in a trial: what happens to the actor, and when. */
struct part {
	enum role role;
	enum fault_action action;
	const char *place;
	unsigned hit;
	const char *then; /* it is killed at this place, when it has gone on; or NULL */
};

struct actor {
	struct shmring_ring *ring;
	struct notes *notes;
	uint64_t source;
	const struct part *part;
	uint32_t requests; /* so far */
	uint32_t *hits;
	struct shmring_producer *producer;
	struct shmring_consumer *consumer;
};

const char *role_name(enum role role);

/* Play; for child_fork(). */
int actor_play(int socket, void *actor);

/* Attach as everything, and die. */
int actor_corpse(int socket, void *ring);

#endif
