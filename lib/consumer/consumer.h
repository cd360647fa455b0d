/* SPDX-License-Identifier: MIT */
/*
 * consumer: the handle of a consumer or observer.
 *
 *	read.c		peek and release: the path of every message
 *	wait.c		back off, spin, sleep
 *	join.c		find a place among the cursors, keep it, come back to it
 *	attach.c	options, slots and names, mapping, leaving
 *	observer.c	copies instead of pointers, for those who hold nobody back
 */
#ifndef SHMRING_CONSUMER_PRIVATE_H
#define SHMRING_CONSUMER_PRIVATE_H

#include <shmring/consumer.h>

#include "attachment.h"
#include "doorbell.h"
#include "lane.h"

/* What a consumer knows of one lane. */
struct reader {
	struct shmring_reader_hot hot;
	struct lane lane;
	struct lane_cursor *cursor; /* NULL: observer */
	unsigned next_mark;
};

/* Lives in memory that a child of fork finds zeroed. */
struct shmring_consumer {
	struct shmring_consumer_hot hot; /* observers: burst is always 0 */

	bool named;
	bool evictable;
	bool observer;
	bool broken;
	uint64_t lanes; /* lanes known to have memory */
	struct bell bell;
	uint32_t pauses;     /* back-off between looks, in cpu_relax() */
	uint32_t chases;     /* waits in a row that ended at once */
	uint64_t handed_out; /* messages since the last wait, full bursts only */
	bool dense;	     /* the last back-off brought so much that it may grow */
	const struct shmring_reader_hot *waited_lane; /* at the last wait */
	uint64_t waited_bytes;
	unsigned next_probe;
	unsigned char *copy; /* observers: the private copy */
	struct attachment attachment;
	struct shmring_memory memory;
	struct shmring_counters counters;
	struct reader readers[LAYOUT_LANES];
};

/* Every shmring_reader_hot is the beginning of a reader. */
static inline struct reader *current_reader(const struct shmring_consumer *c)
{
	return (struct reader *)c->hot.lane;
}

static inline const struct geometry *consumer_geometry(const struct shmring_consumer *c)
{
	return &c->attachment.ring->geometry;
}

/* Notice lanes that have got memory. */
void consumer_adopt_lanes(struct shmring_consumer *c);

/* Is there a message? Chooses the next lane in turn that has one. */
bool consumer_look(struct shmring_consumer *c);

/*
 * Wait for a message until `deadline`. 0, -EAGAIN, -ETIMEDOUT, -EINTR, or
 * -ESTALE if it was evicted.
 */
int consumer_wait(struct shmring_consumer *c, int64_t deadline);

/*
 * Are we still in our place? If not, take one again and return 0, or -ESTALE if
 * messages were handed out. `releasing`: clears a suspicion.
 */
int consumer_keep_place(struct shmring_consumer *c, bool releasing);

/*
 * Take the place of a consumer that begins at `start` in all lanes. As the
 * three that follow: 0, or -EBADMSG if a lane is damaged.
 */
int consumer_join(struct shmring_consumer *c, enum shmring_start start);

/* Go on where the last holder of the name stopped; the place is ACTIVE. */
int consumer_resume(struct shmring_consumer *c);

/* The same for one that was evicted without a holder; the place is SETUP. */
int consumer_revive(struct shmring_consumer *c);

/* Move the cursor of a resumed name elsewhere. */
int consumer_restart(struct shmring_consumer *c, enum shmring_start start);

/* Record what is released up to `at`, before the cursor is moved there. */
void consumer_write_mark(struct reader *l);

/* Wake all producers that wait for room: who reads what has changed. */
void consumer_tell_producers(struct shmring_consumer *c);

/* The observer's ways to begin, to look and to get a message. */
int observer_begin(struct shmring_consumer *c, enum shmring_start start);
int observer_peek(struct shmring_consumer *c, int64_t deadline, struct shmring_message *ret);

#endif
