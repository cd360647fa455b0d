/* SPDX-License-Identifier: MIT */
/*
 * reaper: a thread that proves the deaths of participants, so that no living one has to wait
 * for that. It looks at the rings of a client that has hung up, at once and a few times
 * more, because a connection may end a moment before the mappings of its process do; and
 * now and then at all rings, for processes that died while there was no broker. It does
 * what shmring_reap() does; the kernel gives the proof, so one look too many does no harm.
 */
#ifndef DAEMON_REAPER_H
#define DAEMON_REAPER_H

#include <pthread.h>
#include <stdbool.h>

#include "catalog.h"
#include "log-limit.h"

struct reaper {
	struct catalog *catalog;
	struct log_limit log_limit; /* the thread's */
	pthread_t thread;
	pthread_mutex_t mutex; /* of the next two */
	pthread_cond_t changed;
	bool wanted, stop;
};

int reaper_start(struct reaper *r, struct catalog *catalog);
void reaper_stop(struct reaper *r);

/* The loop's: a client that was attached to this ring has gone. Never waits. */
void reaper_mark(struct entry *e);

/* The loop's: now look at the marked ones. */
void reaper_wake(struct reaper *r);

#endif
