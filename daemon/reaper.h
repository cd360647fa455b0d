/* SPDX-License-Identifier: MIT */
/*
 * reaper: a thread that looks after the dead, so that nobody has to wait for a peer
 * to do it: at the rings of a client that has hung up, at once and a few times more,
 * because its connection may end a moment before its mappings do; and now and then
 * at all, for those who died while there was no broker. It does what shmring_reap()
 * does, and proof is the kernel's as ever: a look too many harms nobody.
 */
#ifndef DAEMON_REAPER_H
#define DAEMON_REAPER_H

#include <pthread.h>
#include <stdbool.h>

#include "catalog.h"
#include "saying.h"

struct reaper {
	struct catalog *catalog;
	struct saying saying; /* the thread's */
	pthread_t thread;
	pthread_mutex_t mutex; /* of the next two */
	pthread_cond_t changed;
	bool wanted, stop;
};

int reaper_start(struct reaper *r, struct catalog *catalog);
void reaper_stop(struct reaper *r);

/* The loop's: somebody who was at this ring has gone. Never waits. */
void reaper_mark(struct entry *e);

/* The loop's: now look at the marked ones. */
void reaper_wake(struct reaper *r);

#endif
