/* SPDX-License-Identifier: MIT */
/*
 * The peer: a helper process that uses a ring on the test's command.
 *
 * It is started by fork or by exec, and does the same either way. The test
 * tells it one command at a time and gets one answer for each.
 */
#ifndef TESTS_SUPPORT_PEER_H
#define TESTS_SUPPORT_PEER_H

#include <stddef.h>
#include <stdint.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "audit.h"
#include "child.h"

enum peer_op {
	PEER_OPEN,     /* text: address */
	PEER_OPEN_FD,  /* the descriptor sent along */
	PEER_JOIN,     /* the ring inherited through fork */
	PEER_PRODUCER, /* source, flags, spin_ns, deadline */
	PEER_CONSUMER, /* text: name, start, flags, spin_ns, deadline */
	PEER_PRODUCE,  /* count messages of min to max bytes */
	PEER_CLAIM,    /* one message of max bytes, and leave it open */
	PEER_STAGE,    /* count messages of max bytes, unpublished */
	PEER_CONSUME,  /* until count more messages were received or lost */
	PEER_PEEK,     /* up to count, not released */
	PEER_RELEASE,
	PEER_DETACH,	/* producer and consumer */
	PEER_NOBODY,	/* become another user (count; 0: nobody), without privileges */
	PEER_CLOSEFROM, /* close every descriptor but the socket */
	PEER_REPLACE,	/* exec the program anew, without an answer */
	PEER_HAMMER,	/* publish max bytes for ever, never waiting for room */
	PEER_CYCLE,	/* attach, use and detach for ever */
	PEER_QUIT,	/* close everything and end */
	PEER_OPS
};

struct peer_command {
	enum peer_op op;
	uint32_t count;
	uint32_t start;
	uint32_t flags;
	uint64_t source;
	uint64_t seed; /* of sizes and of the calls used; 0: publish only */
	size_t min;
	size_t max;
	int64_t spin_ns;
	int64_t deadline;
	char text[256];
};

struct peer_answer {
	int64_t result;			  /* count, or negative errno */
	char explain[256];		  /* why it failed */
	uint64_t published;		  /* messages published by this producer */
	uint64_t published_bytes;	  /* payload of those */
	struct shmring_message last;	  /* the last message seen; data is no pointer here */
	struct shmring_counters counters; /* of the consumer, else of the producer */
	struct audit audit;
};

struct peer {
	struct child child;
	struct peer_answer answer; /* the last one */
};

/* Start one; by fork, it inherits `inherited` (or NULL). */
void peer_fork(struct peer *p, struct shmring_ring *inherited);
void peer_exec(struct peer *p);

/* Tell a command, and get the answer: its result. */
void peer_tell(struct peer *p, const struct peer_command *command);
int64_t peer_answer(struct peer *p);
int64_t peer_call(struct peer *p, const struct peer_command *command);

/* The common ones. Those that wait do so for as long as patience() lasts. */
int64_t peer_open(struct peer *p, const char *address);
int64_t peer_open_fd(struct peer *p, int fd);
int64_t peer_join(struct peer *p);
int64_t peer_producer(struct peer *p, uint64_t source);
int64_t peer_consumer(struct peer *p, const char *name, uint32_t start, uint32_t flags);
void peer_tell_produce(struct peer *p, uint32_t count, size_t max);
int64_t peer_produce(struct peer *p, uint32_t count, size_t max);
void peer_tell_consume(struct peer *p, uint32_t count);
int64_t peer_consume(struct peer *p, uint32_t count);
int64_t peer_simple(struct peer *p, enum peer_op op);

/* Messages of the same length, and whatever time it takes: no clock decides. */
void peer_tell_fill(struct peer *p, uint32_t count, size_t len);
int64_t peer_fill(struct peer *p, uint32_t count, size_t len);
void peer_tell_take(struct peer *p, uint32_t count);

/* End it, and the test fails unless it ends well. */
void peer_quit(struct peer *p);

/* What the helper does: carry out commands until told to quit. */
int peer_serve(int socket, void *inherited);

/* Fail the test unless the audit found nothing wrong, and these counts. */
void audit_must_be(const struct audit *a, uint64_t messages, uint64_t lost);

#endif
