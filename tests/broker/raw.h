/* SPDX-License-Identifier: MIT */
/*
 * A client of the broker that sends the messages of the protocol one by one, as the
 * test asks. Each function fails the test if the answer is another one.
 */
#ifndef TESTS_BROKER_RAW_H
#define TESTS_BROKER_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <shmring/shmring.h>

#include "proto.h"

/* Connect, and send nothing. */
int raw_connect(const char *socket);

/* Connect and greet. */
int raw_hello(const char *socket);

/* Send it with the next serial. */
void raw_send(int s, struct proto_message *m, enum proto_type type);

/* Send bytes as they are, with a descriptor unless that is negative. */
void raw_send_bytes(int s, const void *bytes, size_t size, int fd);

/* The next message, which is one of `type`; 0, or what a PROTO_ERROR in its place says. */
int raw_receive(int s, struct proto_message *ret, enum proto_type type, int *ret_fd);

/* Send and receive. The answer has the serial of the request. */
int raw_call(int s, struct proto_message *m, enum proto_type request, enum proto_type answer,
	     int *ret_fd);

/* The broker ends the connection, and says nothing more. */
void raw_must_end(int s);

/* Nothing is there to read, and the connection lives. */
void raw_must_be_quiet(int s);

/* The sentence of the last PROTO_ERROR. */
extern char raw_words[PROTO_TEXT_SIZE];

/* OPEN; *ret_ring is the number of the ring. The descriptor is closed. */
int raw_open(int s, const char *name, uint32_t flags, uint64_t *ret_ring);

/* OPEN with PROTO_MAKE: a ring of small lanes. */
int raw_make(int s, const char *name, uint64_t *ret_ring);

/* ATTACH and GO; *ret_fd is the description. */
int raw_attach(int s, uint64_t ring, uint32_t role, uint64_t *ret_grant, int *ret_fd);
void raw_detach(int s, uint64_t grant);

/* NEXT; the name is copied to `ret`. */
int raw_next(int s, const char *before, struct proto_entry *ret);
int raw_remove(int s, const char *name);

/* METRICS, as text for free(). */
int raw_metrics(int s, char **ret);

#endif
