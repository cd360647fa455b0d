/* SPDX-License-Identifier: MIT */
/*
 * connection: one conversation with the broker.
 *
 * We ask, the broker answers, one request at a time. Every wait is bounded. Any
 * answer that is not the one to our question ends the conversation, as does none
 * in time: then nothing that comes late can be taken for something else.
 */
#ifndef SHMRING_CLIENT_CONNECTION_H
#define SHMRING_CLIENT_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include "proto.h"

#define BROKER_PREFIX "broker:"

struct connection {
	int socket;    /* -1: none */
	int64_t hurry; /* 0, or how long to wait for an answer at most, in ns */
	uint32_t serial;
	dev_t device; /* of the socket, to know it again */
	ino_t inode;
	struct sockaddr_un address;
};

/*
 * Where the broker listens: `path`, or if that is NULL $SHMRING_BROKER, or
 * $XDG_RUNTIME_DIR/shmring/broker if it exists, or /run/shmring/broker. Not
 * connected yet. -ENAMETOOLONG.
 */
int connection_init(struct connection *c, const char *path);

/*
 * Connect and agree on a version. Where a broker has been, one that is being
 * started again is waited for, for two seconds: where it left its socket, or if
 * `awaited`; where there is no socket, for a fifth of a second. -ECONNREFUSED (nobody listens),
 * -EACCES, -ETIMEDOUT (no answer), -EPROTONOSUPPORT (no common version), -EPROTO, -ECONNRESET, what
 * the broker says.
 */
int connection_open(struct connection *c, bool awaited);

/* The same without waiting for a broker that is being started. */
int connection_open_now(struct connection *c);

/* Is it there, and has the broker not hung up? */
bool connection_is_open(const struct connection *c);

/*
 * Ask, and wait up to five seconds for an answer of type `answer`, which replaces
 * *m; a descriptor with it goes to *ret_fd. What the broker refuses is explained
 * in its own words, and the conversation goes on; after -ECONNRESET, -ETIMEDOUT
 * -EPROTO and -EMFILE it is over.
 */
int connection_ask(struct connection *c, struct proto_message *m, enum proto_type question,
		   enum proto_type answer, int *ret_fd);

/* A further answer to the last question. */
int connection_await(struct connection *c, struct proto_message *m, enum proto_type answer,
		     int *ret_fd);

/* Say something that has no answer. */
void connection_say(struct connection *c, struct proto_message *m, enum proto_type type);

/*
 * End it. `inherited`: in a child made by fork, whose parent goes on with it. Fine
 * if it is not open. What is not our socket any more, because the program closed it
 * and opened something else, is left alone.
 */
void connection_close(struct connection *c, bool inherited);

/* Put the name behind "broker:" into a field of a message; -EINVAL. */
int broker_name(char ret[PROTO_NAME_SIZE], const char *address);

#endif
