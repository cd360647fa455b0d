/* SPDX-License-Identifier: MIT */
/*
 * lane: the records of one producer.
 *
 * A lane is a byte region of a power of two, used as a ring. Positions count
 * its bytes for ever and are compared by difference. A record is a header word
 * of 8 bytes, the prefix, the payload, and padding up to the ring's alignment; the
 * header holds the length of the payload, a bit that is always set, and the owner's
 * tenancy. The prefix are the words that all records of this ring have (PREFIX_* in
 * layout.h), as a stamp, or none.
 *
 *  I1 Only the living owner of a lane stores into it.
 *  I2 Publication is one release store of the first header word. At its end E
 *     the lane always holds a zero word. To publish a record or a batch, the
 *     owner first writes everything behind that word, a zero word at the new
 *     end included, and then stores the header at E. Before that store readers
 *     see nothing of it; after it they see all of it. An owner that dies before the
 *     store leaves the zero word, and nothing to clean up.
 *  I3 Readers look at the header word at their cursor and nowhere else: a short
 *     message and the news of it travel in one cache line.
 *  I4 The chunk index holds boundaries: {position, messages and payload bytes
 *     before it}. The owner adds one, its published end, whenever that enters a
 *     new chunk. There are twice as many entries as chunks, so an entry is
 *     rewritten only when it lies a lap behind every reader that is held.
 *  I5 A lane gets a new owner only when the last one is proved dead or has left (R2 in
 *     registry.h). The new owner walks from the newest boundary to the zero word, and
 *     goes on there with the next position and the next number.
 *  I6 `reserved` is the end up to which the owner may write. The owner reads the
 *     cursors, stores a value that they allow, executes a full fence and reads
 *     them again. It takes the value back if a cursor that has just come forbids it.
 *     A reader that wants to stay stores its cursor, executes a full fence and
 *     reads `reserved`. One of the two sees the other [JOIN].
 *     What lies more than a lane behind `reserved` may be overwritten: a copy
 *     made at position p was whole if afterwards, behind an acquire fence,
 *     reserved - p <= lane size [OVERRUN].
 *  I7 The first owner of a lane allocates and faults in all of its memory before it
 *     stores into it, or fails to attach. No process touches a lane that has no memory yet.
 *
 * Why an entry is always in reach: records and batches take at most half a
 * lane, the owner looks at the index once a chunk and before every reservation,
 * and reserves at most 3 chunks more than it needs; so reserved - entry is at
 * most 1/2 + 5/16 lane.
 */
#ifndef SHMRING_CORE_LANE_H
#define SHMRING_CORE_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

#pragma GCC visibility push(default)

#define RECORD_HEADER 8u
#define HEADER_VALID (UINT64_C(1) << 32)

/* A process's view of a lane: two views of the data in a row. */
struct lane {
	unsigned char *data;
	uint64_t mask; /* lane size - 1 */
	struct lane_control *control;
};

/* Header: length 31..0, valid 32, zero 39..33, tenancy 63..40. */
static inline uint64_t header_make(uint64_t length, uint32_t tenancy)
{
	return length | HEADER_VALID | (uint64_t)tenancy << 40;
}

/* Bits 39..33 are zero in the only kind of record that there is, as the inline peek checks, too. */
static inline bool header_is_record(uint64_t header)
{
	return (header >> 32 & 0xff) == 1;
}

static inline uint64_t header_length(uint64_t header)
{
	return (uint32_t)header;
}

static inline uint32_t header_tenancy(uint64_t header)
{
	return (uint32_t)(header >> 40);
}

/*
 * Where the payload begins in a record; what a length is rounded with; and the multiples that
 * records take. The handles have them ready for the inline halves, for which they make one
 * addition and one mask.
 */
static inline uint64_t record_payload(const struct geometry *g)
{
	return RECORD_HEADER + g->prefix_size;
}

static inline uint64_t record_round(const struct geometry *g)
{
	return record_payload(g) + g->alignment - 1;
}

static inline uint64_t record_align(const struct geometry *g)
{
	return ~(uint64_t)(g->alignment - 1);
}

/* Bytes that a record with a payload of `length` takes. */
static inline uint64_t record_size(uint64_t length, uint64_t round, uint64_t align)
{
	return (length + round) & align;
}

static inline uint64_t record_size_in(const struct geometry *g, uint64_t length)
{
	return record_size(length, record_round(g), record_align(g));
}

/* Where a word of the prefix, PREFIX_*, is in a record. */
static inline uint64_t record_word(const struct geometry *g, uint32_t word)
{
	return RECORD_HEADER + prefix_bytes(g->prefix_words & (word - 1));
}

/* Only such a position is ever used; POSITION_NONE is none. */
static inline bool position_is_sound(uint64_t position)
{
	return position % 8 == 0;
}

/* Header words are touched through the first view only. */
static inline shm_u64 *lane_word(const unsigned char *data, uint64_t mask, uint64_t position)
{
	return (shm_u64 *)(uintptr_t)(data + (position & mask));
}

/* The header at a position; 0: nothing there yet. [PUBLISH] pairs with shmring_commit(). */
static inline uint64_t lane_header(const struct lane *lane, uint64_t position)
{
	return load_acquire(lane_word(lane->data, lane->mask, position));
}

/* The payload of a record, which begins there in it; it may run on into the second view. */
static inline unsigned char *lane_payload(unsigned char *data, uint64_t mask, uint64_t position,
					  uint64_t payload)
{
	return data + (position & mask) + payload;
}

/* The stamp in a ring that has them: written before the header, and read after it. */
static inline shm_u64 *lane_stamp(const struct lane *lane, const struct geometry *g,
				  uint64_t position)
{
	return lane_word(lane->data, lane->mask, position + record_word(g, PREFIX_STAMP));
}

/* Is `position` still safe from the owner, by this value of `reserved`? */
static inline bool lane_holds(uint64_t mask, uint64_t reserved, uint64_t position)
{
	return reserved - position <= mask + 1;
}

/* First owner: an empty lane at the ring's first position. */
void shmr_lane_begin(struct lane *lane, const struct geometry *g);

/* Owner: add a boundary to the index. */
void shmr_lane_note(struct lane *lane, const struct shmring_boundary *at, uint64_t chunk);

/*
 * Find the boundary of the index that is farthest behind `reserved`, but not more
 * than `reach` bytes; or the nearest boundary. Returns false if there is none: the
 * lane is damaged, or its owner is rewriting the index.
 */
bool shmr_lane_oldest(const struct lane *lane, uint64_t reach, struct shmring_boundary *ret);
bool shmr_lane_newest(const struct lane *lane, struct shmring_boundary *ret);

/* The boundary of the index at exactly this position, in reach or not. */
bool shmr_lane_entry_at(const struct lane *lane, uint64_t position, struct shmring_boundary *ret);

/*
 * Move a boundary on to `stop`, or to the end of the lane if that comes first
 * (`stop` POSITION_NONE: to the end). The caller makes sure that the records in
 * between stay, or checks with lane_holds() afterwards. -EBADMSG: damaged.
 *
 * A producer may fill its lane with empty records that no index entry is near to, so
 * a walk can take minutes. A caller that only looks gives a deadline of CLOCK_MONOTONIC.
 * -EAGAIN: the deadline passed; `at` is as far as the walk got, and another call goes on
 * from there. Each call gets on by some records, however short its time is.
 */
int shmr_lane_walk(const struct lane *lane, const struct geometry *g, struct shmring_boundary *at,
		   uint64_t stop);
int shmr_lane_walk_until(const struct lane *lane, const struct geometry *g,
			 struct shmring_boundary *at, uint64_t stop, int64_t deadline);

#pragma GCC visibility pop

#endif
