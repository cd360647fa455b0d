/* SPDX-License-Identifier: MIT */
/*
 * producer: the handle of a lane's owner.
 *
 *	producer.c	claim, commit and their kin: the path of every message
 *	room.c		reserve room, wait for it, press slow or dead consumers
 *	lease.c		become the owner of a lane, and leave it
 */
#ifndef SHMRING_PRODUCER_PRIVATE_H
#define SHMRING_PRODUCER_PRIVATE_H

#include <shmring/producer.h>

#include "attachment.h"
#include "doorbell.h"
#include "lane.h"

/*
 * Lives in memory that a child of fork finds zeroed: then every fast path
 * fails its first comparison, and the slow one answers -ECHILD.
 */
struct shmring_producer {
	/* Touched for every message. */
	unsigned char *data;
	uint64_t mask;
	uint64_t align_mask;
	uint64_t position;    /* next record goes here */
	uint64_t limit;	      /* records may extend up to here */
	uint64_t batch;	      /* published end: the zero word that readers see */
	uint64_t first;	      /* header held back for `batch`, if anything is staged */
	uint64_t header_bits; /* VALID and tenancy */
	uint64_t claimed;     /* length of the open claim + 1; 0: none */
	uint64_t max_message;
	uint64_t seq;	      /* messages before `position` */
	uint64_t bytes;	      /* payload before `position` */
	const shm_u64 *sleepers;
	bool fence;

	/* Touched when room runs out. */
	struct lane lane;
	struct boundary published; /* totals at `batch` while something is staged */
	uint64_t reserved;	   /* what the control block says */
	uint64_t noted_chunk;	   /* chunk of the last index entry */
	uint64_t floor;		   /* nothing below was overwritten */
	const struct cursor_row *rows;
	struct bell bell;
	struct {
		unsigned slot;
		uint64_t status; /* what a slow consumer's word was at `since` */
		int64_t since;
		int64_t last_look;
		int64_t last_probe;
		unsigned probed; /* which slot that was */
	} pressed;
	struct attachment attachment;
	struct boundary begin; /* where this tenancy began */
	struct shmring_counters counters;
};

/* The consumer that holds a producer back most. */
struct gate {
	bool closed; /* somebody (or the hold policy) limits us */
	bool by_consumer;
	unsigned slot;
	uint64_t status;
	uint64_t floor; /* nothing from here on may be overwritten */
};

/*
 * Make room for a record of `size` bytes at the position. 0, -EAGAIN (and the
 * gate that forbids it); never waits.
 */
int producer_reserve(struct shmring_producer *p, uint64_t size, struct gate *ret_gate);

/*
 * Where records may extend up to: short of `reserved` by the zero word, and of
 * half a lane behind `batch` while something is staged.
 */
static inline void producer_set_limit(struct shmring_producer *p)
{
	uint64_t longest = p->batch + p->max_message;

	p->limit = p->reserved - p->position < RECORD_HEADER ? p->position : p->reserved - RECORD_HEADER;
	if (p->position != p->batch && (int64_t)(p->limit - longest) > 0)
		p->limit = (int64_t)(longest - p->position) > 0 ? longest : p->position;
}

/* Make room as above, waiting until `deadline`: 0, -EAGAIN, -ETIMEDOUT, -EINTR. */
int producer_wait(struct shmring_producer *p, uint64_t size, int64_t deadline);

#endif
