/* SPDX-License-Identifier: MIT */
/*
 * lane-copier: a thread that copies lanes for their next owners (N4 in isolated.h), because
 * to copy a large one takes longer than the loop may. It knows only the two files; the loop
 * asks it, and does with the result what is to be done.
 *
 * Lanes are copied by turns of some MiB. Every other turn belongs to a lane that is new, so
 * a small one waits for one turn of a large one, not for the whole of it.
 */
#ifndef DAEMON_LANE_COPIER_H
#define DAEMON_LANE_COPIER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

struct entry;

struct pass {
	STAILQ_ENTRY(pass) next;
	struct entry *entry; /* held; the loop's */
	uint64_t session;    /* by its number: it may be gone by then */
	uint32_t serial;
	unsigned lane;
	uint32_t epoch;
	uid_t uid;
	int from, to;
	off_t at;   /* copied up to here */
	int result; /* of the copy: 1 while there is more */
};

STAILQ_HEAD(passes, pass);

struct lane_copier {
	bool runs;
	unsigned char *piece; /* the thread's, to copy through */
	pthread_t thread;
	pthread_mutex_t mutex; /* of what follows, but for `done` */
	pthread_cond_t asked;
	struct passes wanted, begun, finished;
	bool new_ones_turn;
	bool stop;
	int done; /* eventfd: readable when something is finished */
};

int lane_copier_start(struct lane_copier *p);

/* The end; what was not finished is given to drop(). */
void lane_copier_stop(struct lane_copier *p, void (*drop)(struct pass *pass, void *arg), void *arg);

void lane_copier_ask(struct lane_copier *p, struct pass *pass); /* takes it over */
struct pass *lane_copier_take(struct lane_copier *p);		/* the next finished one, or NULL */

#endif
