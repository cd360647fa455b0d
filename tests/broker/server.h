/* SPDX-License-Identifier: MIT */
/*
 * A broker of the test's own: the real program, started by exec. It says over
 * NOTIFY_SOCKET how it gets on, as it would to systemd, so no test has to guess.
 */
#ifndef TESTS_BROKER_SERVER_H
#define TESTS_BROKER_SERVER_H

#include "child.h"

struct server {
	struct child child;
	int notify;
	const char *socket;    /* where it listens */
	const char *directory; /* where its rings are */
};

enum { SERVER_ARGUMENTS = 12 };

/*
 * Start one in the room and wait until it is ready. `extra` are further arguments, up
 * to a NULL; may be NULL itself.
 */
void server_start(struct server *s, const char *const *extra);

/* The same without waiting, and with `handed` (or -1) as the socket that systemd gives. */
void server_begin(struct server *s, const char *const *extra, int handed);

/* Wait until it says so: "READY=1". */
void server_await(struct server *s, const char *line);

/* SIGTERM, and wait for the end, which must be a good one. */
void server_stop(struct server *s);

/* It ends with this status by itself. */
void server_must_fail(struct server *s, int status);

/* SIGKILL. */
void server_kill(struct server *s);
void server_signal(struct server *s, int number);

/* From now on, start this program instead of the one that was built. */
void server_program(const char *path);

/* The process that keeps isolated rings for it, and whose parent it is. Waits for it. */
pid_t server_keeper(const struct server *s);
bool server_has_keeper(const struct server *s); /* at this moment */

/* The words it wrote to its log so far contain these. */
bool server_said(const struct server *s, const char *words);

/* Wait until it does. */
void server_await_words(const struct server *s, const char *words);

/* Write a configuration to the room; its path. */
const char *server_config(const char *text);

/* The ring `name` may stay in the room; its path. */
const char *server_ring(const char *name);

#endif
