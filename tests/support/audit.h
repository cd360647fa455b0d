/* SPDX-License-Identifier: MIT */
/*
 * Messages that can be audited, and the auditor.
 *
 * Every message names its writer, its number, its length and a checksum of all
 * its bytes. The auditor reads the messages of one consumer and compares them with
 * the promises: each message once, in the order of its producer, whole, and none
 * missing but those that `lost` reports. It judges by two independent counts:
 * the sequence number the ring gave, and the number the producer wrote.
 *
 * A message too short for the header carries the first bytes of a pattern that
 * follows from its producer and its number, which the auditor knows by then.
 */
#ifndef TESTS_SUPPORT_AUDIT_H
#define TESTS_SUPPORT_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <shmring/consumer.h>

struct audit_header {
	uint64_t source;   /* its producer: a number that no other one of the test uses */
	uint64_t number;   /* 0, 1, 2, ... of that producer */
	uint64_t length;   /* of the whole message, in bytes */
	uint64_t checksum; /* of everything else */
};

/* What can be wrong with a stream. */
enum audit_fault {
	AUDIT_CORRUPT,	/* bytes, length or checksum */
	AUDIT_REPEATED, /* a message that had been handed out, or is late */
	AUDIT_GAP,	/* messages are missing and `lost` did not say so */
	AUDIT_LIE,	/* `lost` reported more than is missing */
	AUDIT_TENANCY,	/* the lane's owner and the message's do not agree */
	AUDIT_STAMP,	/* published before the message in front of it */
	AUDIT_FAULTS
};

struct audit_lane {
	uint64_t next_seq;    /* sequence number expected next */
	uint64_t source;      /* producer of the last message */
	uint64_t next_number; /* number expected next from there */
	uint32_t tenancy;     /* owner of the lane that wrote it */
	uint64_t stamp_ns;    /* when it was published */
	bool seen;	      /* next_seq is known */
	bool known;	      /* source and next_number are known */
};

struct audit {
	uint64_t messages;
	uint64_t bytes;
	uint64_t lost;
	uint64_t lost_bytes;
	uint64_t faults[AUDIT_FAULTS];
	char first_fault[160]; /* "": none */
	struct audit_lane lanes[SHMRING_MAX_LANES];
};

/* A message, and all that the library reports about it. */
struct facts {
	const void *data;
	size_t len;
	uint64_t seq;
	uint32_t producer;
	uint32_t tenancy;
	uint64_t lost;
	uint64_t lost_bytes;
	uint64_t stamp_ns;
};

/* Of a message in hand: the flag and the loss agree, and every question has an answer. */
struct facts facts_of(const struct shmring_consumer *c, const struct shmring_message *m);

/* Write message `number` of `source`, `len` bytes. */
void audit_fill(void *data, size_t len, uint64_t source, uint64_t number);

/*
 * Read what a message says of itself; false: it is too short for a header, or
 * not whole.
 */
bool audit_read(const void *data, size_t len, struct audit_header *ret);

/*
 * Begin an audit. From the start: every lane must begin with sequence number 0.
 * Otherwise it may begin anywhere.
 */
void audit_begin(struct audit *a, bool from_start);

/* Look at the next message; false if something is wrong with it. */
bool audit_message(struct audit *a, const struct facts *m);

/* The same for a message in hand. */
bool audit_peeked(struct audit *a, const struct shmring_consumer *c,
		  const struct shmring_message *m);

/* How many faults were found. */
uint64_t audit_faults(const struct audit *a);

#endif
