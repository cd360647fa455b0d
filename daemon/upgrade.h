/* SPDX-License-Identifier: MIT */
/*
 * upgrade: another program in this one's place, in the same process.
 *
 *  UP1 An exec cannot be undone. So the program is first run beside this one, with the
 *     same arguments and --check-start: only if it reads its configuration, finds its
 *     directories and says so, within five seconds, does it get this one's place.
 *     Otherwise everything stays as it was, and the log and the status say why.
 *  UP2 Whatever comes between the check and the exec: if the exec fails, this program starts
 *     again with what it had wanted to hand over.
 *  UP3 It gets the listening socket and all isolated rings, as systemd would hand them
 *     over. Nothing of this waits for the keeper: it may be stopped.
 */
#ifndef DAEMON_UPGRADE_H
#define DAEMON_UPGRADE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keeper.h"
#include "loop.h"

/* The name of the listening socket, if the broker removes its path, and of each other file. */
#define UPGRADE_NAME "shmringd-upgrade"
/* In the environment: all isolated rings are handed over. */
#define UPGRADE_COMPLETE "SHMRINGD_COMPLETE"
/* The last line of a new program that can start. */
#define UPGRADE_READY "ready\n"

enum { UPGRADE_FIRST = 3 /* the descriptor of the socket; the rings follow */ };

struct broker;

struct upgrade {
	struct watch output;  /* of the program that is being checked */
	struct watch process; /* its pidfd, when it has said everything */
	int pidfd;
	bool late;	  /* it was killed */
	int64_t deadline; /* 0: no check is going on */
	char text[1024];  /* the last of what it said */
	size_t length;
};

/* Begin a check, unless one is going on; b->end is set when the new program can start. */
void upgrade_check(struct broker *b);
int64_t upgrade_deadline(const struct broker *b); /* 0: none */
void upgrade_tick(struct broker *b);
void upgrade_close(struct broker *b);

/* What the new program gets. */
struct legacy {
	int socket;
	bool ours;     /* the socket's path is to be removed at the end */
	bool complete; /* no other isolated ring exists */
	struct kept_file *rings;
	size_t ring_count;
};

/* Before broker_stop(). */
void upgrade_prepare(struct broker *b, struct legacy *ret);

/* Then become the new program; returns only after an error (UP2). Frees what `l` has. */
void upgrade_go(struct legacy *l, const char *program, char **argv);

#endif
