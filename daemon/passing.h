/* SPDX-License-Identifier: MIT */
/*
 * passing: a thread that copies lanes for their next owners (N4 in isolated.h), because a
 * large one takes longer than the loop may. It knows nothing but the two files; the loop
 * asks, and does with the answer what is to be done.
 *
 * Lanes are copied by turns of some MiB. Every other turn belongs to a lane that is new, so
 * a small one waits for one turn of a large one, not for the whole of it.
 */
#ifndef DAEMON_PASSING_H
#define DAEMON_PASSING_H

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

struct passing {
	bool runs;
	unsigned char *piece; /* the thread's, of copy.h */
	pthread_t thread;
	pthread_mutex_t mutex; /* of what follows, but for `done` */
	pthread_cond_t asked;
	struct passes wanted, begun, finished;
	bool new_ones_turn;
	bool stop;
	int done; /* eventfd: readable when something is finished */
};

int passing_start(struct passing *p);

/* The end; what was not finished is given to drop(). */
void passing_stop(struct passing *p, void (*drop)(struct pass *pass, void *arg), void *arg);

void passing_ask(struct passing *p, struct pass *pass); /* takes it over */
struct pass *passing_take(struct passing *p);		/* the next finished one, or NULL */

#endif
