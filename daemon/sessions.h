/* SPDX-License-Identifier: MIT */
/*
 * sessions: all connections of the broker, living and ended, and what they share.
 */
#ifndef DAEMON_SESSIONS_H
#define DAEMON_SESSIONS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "listener.h"
#include "loop.h"
#include "reaper.h"
#include "rings.h"
#include "session.h"

struct sessions {
	struct loop *loop;
	struct rings *rings;
	struct reaper *reaper;
	struct listener *listener;
	/* A message that a client sent; it is answered now or later. */
	void (*request)(struct session *s, const struct proto_message *m);
	LIST_HEAD(, session) living;
	LIST_HEAD(, session) ended;
	TAILQ_HEAD(, session) stalled; /* T2, in the order of deadlines */
	size_t count;		       /* of the living ones */
	uint64_t total, refusals, violations;
};

void sessions_init(struct sessions *all);

/* The living one of that number; NULL: it has ended. */
struct session *sessions_find(struct sessions *all, uint64_t number);

/* Each living one; `see` may end the session that it sees, and no other. */
void sessions_each(struct sessions *all, void (*see)(struct session *s, void *arg), void *arg);

/* T2: when the next one is to be dropped (0: none); and drop all whose time has come. */
int64_t sessions_deadline(const struct sessions *all);
void sessions_drop_stalled(struct sessions *all);

/* T5: the round is over. */
void sessions_free_ended(struct sessions *all);

/* The last call: end and free all of them. */
void sessions_close(struct sessions *all);

#endif
