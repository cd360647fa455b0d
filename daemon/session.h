/* SPDX-License-Identifier: MIT */
/*
 * session: one connection: what its client has, and what is still to be sent to it. It hands
 * each request to a callback (sessions.h).
 *
 *  T1 One request at a time: while an answer waits to be sent, or to be made, the client is
 *     not read from. So what a client can have in here is bounded: the two messages that
 *     answer an ATTACH.
 *  T2 A client that does not take its answers for STALL_SECONDS is dropped.
 *  T3 A client that breaks M1 (proto.h), or names a grant that it does not have, is
 *     disconnected, with one line in the log.
 *  T4 When the connection or its process ends, everything that it had is given back at
 *     once, and the reaper looks at its rings.
 *  T5 An ended session stays in memory until the loop's round is over (loop.h).
 *  T6 Any answer may end the session and clear s->account. So a function answers last.
 *  T7 An answer about an isolated ring waits until the words about it were sent to the
 *     keeper (KE1 in keeper.h).
 */
#ifndef DAEMON_SESSION_H
#define DAEMON_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "catalog.h"
#include "loop.h"
#include "policy.h"
#include "proto.h"
#include "quota.h"

enum { STALL_SECONDS = 5, SESSION_QUEUE = 2 };

struct sessions;

struct open_ring {
	uint64_t number;
	struct entry *entry; /* held */
};

struct grant {
	uint64_t number;
	struct entry *entry; /* that of an open ring */
};

struct outgoing {
	struct proto_message message;
	enum proto_type type;
	int fd; /* to be closed when it is sent; -1: none */
};

struct session {
	LIST_ENTRY(session) all;      /* of the sessions, living or ended */
	TAILQ_ENTRY(session) stalled; /* T2, in the order of deadlines */
	struct sessions *sessions;
	struct watch socket, process;
	uint64_t number;
	struct peer peer;
	struct account *account; /* NULL: the session has ended */
	bool stranger;		 /* beyond the limit of connections: it only gets a refusal */
	struct shortage lacks;	 /* of a stranger: the limit that is reached */
	bool greeted;		 /* HELLO was answered */
	bool closing;		 /* to be ended when the queue is empty */
	bool awaits_metrics, awaits_lane;
	bool held; /* T7 */
	uint32_t metrics_serial;
	int64_t stall_deadline; /* 0: not stalled */
	uint64_t last_number;
	struct open_ring *rings;
	size_t ring_count;
	struct grant *grants;
	size_t grant_count;
	struct outgoing queue[SESSION_QUEUE];
	unsigned queued;
};

/* Begin a session with a new client; takes the descriptor. */
void session_begin(struct sessions *all, int fd);
void session_end(struct session *s);
void session_free(struct session *s); /* after its end */

/* Answer the request with this serial; takes the descriptor (or -1). */
void session_answer(struct session *s, uint32_t serial, enum proto_type type,
		    struct proto_message *m, int fd);
/*
 * Answer that it is refused, and why. The sentence does not name the ring: its client puts the
 * name before it. `ring` is for the log.
 */
void session_refuse_ring(struct session *s, uint32_t serial, const char *ring, int error,
			 const char *format, ...) __attribute__((format(printf, 5, 6)));
void session_refuse(struct session *s, uint32_t serial, int error, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* T7: its next answer is about an isolated ring; and: the keeper has caught up. */
void session_hold(struct session *s);
void session_go_on(struct session *s);

/* The client broke the protocol (T3): says so, and ends the session. */
void session_condemn(struct session *s, const char *why);

/* What the present rules allow its user to do with the ring of that name. */
struct verdict session_judge(const struct session *s, const char *name);

struct open_ring *session_ring(struct session *s, uint64_t number);
struct open_ring *session_ring_of(struct session *s, const struct entry *e);

/* NULL: out of memory. */
struct open_ring *session_add_ring(struct session *s, struct entry *e);
struct grant *session_add_grant(struct session *s, struct entry *e);

/* False: it has no such grant. */
bool session_drop_grant(struct session *s, uint64_t number);

#endif
