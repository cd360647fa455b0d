/* SPDX-License-Identifier: MIT */
/*
 * metrics: a thread that writes the broker's numbers, in the text format of
 * Prometheus, into a sealed memory file. The loop asks and gets the file through an
 * eventfd, and never waits. What belongs to the loop (clients, quotas, counts of its
 * own) it gives along with the question; rings the thread reads itself, from the
 * catalog and from the rings.
 */
#ifndef DAEMON_METRICS_H
#define DAEMON_METRICS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "catalog.h"
#include "quota.h"
#include "ring-numbers.h"

struct client_numbers {
	uint64_t connection; /* its number since the broker started */
	pid_t pid;
	uid_t uid;
	size_t rings, grants;
};

struct snapshot {
	uint64_t up_ns, connections_total, refusals, violations, turned_away;
	uint64_t keeper_words, stored, stored_most;
	bool kept; /* isolated rings outlive the broker */
	struct client_numbers *clients;
	size_t client_count;
	struct account *accounts;
	size_t account_count;
};

struct metrics {
	struct catalog *catalog;
	struct number_rounds rounds; /* the thread's */
	pthread_t thread;
	pthread_mutex_t mutex; /* of what follows, but for `done` */
	pthread_cond_t asked;
	struct snapshot *question; /* NULL: none */
	bool stop;
	int answer; /* the file, or a negative errno, once `answered` */
	uint64_t answer_bytes;
	bool answered;
	int done; /* eventfd: readable when there is an answer */
};

int metrics_start(struct metrics *m, struct catalog *catalog);
void metrics_stop(struct metrics *m);

/* Takes the snapshot over. There is no other question under way. */
void metrics_ask(struct metrics *m, struct snapshot *s);
void snapshot_free(struct snapshot *s);

/* After `done` was readable: the file, to be closed, or a negative errno; -EAGAIN: not yet. */
int metrics_take(struct metrics *m, uint64_t *ret_bytes);

/*
 * The text of the format; for the thread, and for tests. For free(). NULL: out of memory, or
 * it was broken off (`end` may be NULL).
 */
char *metrics_write(struct catalog *catalog, struct number_rounds *rounds,
		    const struct ring_numbers_end *end, const struct snapshot *s,
		    size_t *ret_bytes);

#endif
