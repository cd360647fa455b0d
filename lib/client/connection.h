/* SPDX-License-Identifier: MIT */
/*
 * connection: one conversation with the broker.
 *
 * The client asks, the broker answers, one request at a time. Every wait is bounded. An
 * answer to another question ends the conversation, and so does an answer that does not
 * come in time. So a late answer is never taken for the answer to a later question.
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
	int socket;	    /* -1: none */
	int64_t answer_ns;  /* how long to wait for an answer at most; 0: five seconds */
	bool interruptible; /* a signal ends a wait for the broker: -EINTR */
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
 * Connect and agree on a version. A broker may be starting again, so this waits for it:
 *
 *	a socket at which no broker listens	two seconds
 *	no socket, and `awaited`		two seconds
 *	no socket				a fifth of a second
 *
 * -ECONNREFUSED (no broker listens), -EACCES, -ETIMEDOUT (no answer), -EPROTONOSUPPORT (no
 * common version), -EPROTO, -ECONNRESET, or the error with which the broker refuses.
 */
int connection_open(struct connection *c, bool awaited);

/* The same without waiting for a broker that is being started. */
int connection_open_now(struct connection *c);

/* Is there a connection, and has the broker not hung up? */
bool connection_is_open(const struct connection *c);

/*
 * Ask, and wait up to five seconds for an answer of type `answer`, which replaces
 * *m; a descriptor with it goes to *ret_fd. If the broker refuses, its own sentence is the
 * explanation, and the conversation goes on. After -ECONNRESET, -ETIMEDOUT, -EPROTO and
 * -EMFILE the conversation is over.
 */
int connection_ask(struct connection *c, struct proto_message *m, enum proto_type question,
		   enum proto_type answer, int *ret_fd);

/* A further answer to the last question. */
int connection_await(struct connection *c, struct proto_message *m, enum proto_type answer,
		     int *ret_fd);

/* Say something that has no answer. */
void connection_say(struct connection *c, struct proto_message *m, enum proto_type type);

/*
 * End the conversation; fine if it is not open. `inherited`: in a child made by fork, whose
 * parent goes on with it. If the program closed the socket and opened something else under
 * its number, that is left alone.
 */
void connection_close(struct connection *c, bool inherited);

/* Put the name behind "broker:" into a field of a message; -EINVAL. */
int broker_name(char ret[PROTO_NAME_SIZE], const char *address);

#endif
