/* SPDX-License-Identifier: MIT */
/*
 * layout: every byte that processes share.
 *
 * A ring is one file of segments, one per writer role, each at a multiple of
 * 64 KiB so that the file is valid under any page size:
 *
 *	0		identity   immutable once the ring has its name
 *	64 KiB		registry   attached processes; changed by CAS only
 *	128 KiB		doorbell   wake words; written by all, trusted by none
 *	192 KiB		cursors    a row of 4 KiB per consumer, one writer each
 *	448 KiB		controls   a segment of 64 KiB per lane, one writer each
 *	(aligned)	data	   lane_size bytes per lane, same writer
 *
 * An isolated ring (FEATURE_ISOLATED) is several files: its control file ends where the
 * controls begin above, and each lane is a file of its own, its control at 0 and its
 * data behind that. Then offsets of controls and data are those within a lane's file,
 * and the same for all lanes. isolated.h of the broker explains why.
 *
 * The data begin at a multiple of 2 MiB if lanes are that large, so that huge
 * pages fit. Unused lanes are holes: no process touches the control or data of a
 * lane whose bit in registry.lanes_ready is not set.
 *
 * What another process wrote is read once into a local, checked against this
 * process's own geometry, and only the local is used. No pointers, no native
 * widths, no bit-fields: the numbers below are the format.
 */
#ifndef SHMRING_CORE_LAYOUT_H
#define SHMRING_CORE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <shmring/shmring.h>

#include "atomic.h"

#define LAYOUT_FORMAT 1
#define LAYOUT_MAGIC "shmring\x1a"
#define LAYOUT_ENDIAN UINT32_C(0x01020304)
#define LAYOUT_GRANULE ((uint64_t)1 << 16)
#define LAYOUT_HUGE ((uint64_t)1 << 21)

#define LAYOUT_LANES SHMRING_MAX_LANES
#define LAYOUT_CONSUMERS SHMRING_MAX_CONSUMERS
#define LAYOUT_CHUNKS 16 /* steps in which a lane is reserved */
#define LAYOUT_INDEX 32	 /* index entries: two laps of chunks */
#define LAYOUT_ROW ((uint64_t)1 << 12)

/* A position that is none: real ones are multiples of 8. */
#define POSITION_NONE UINT64_MAX

/* Incompatible: each lane is a file of its own, which only the broker gives out. */
#define FEATURE_ISOLATED UINT32_C(4)

/*
 * Compatible: the name goes with the last user (ephemeral.h). A library that does not know the
 * bit leaves the name, and the next open by a library that knows it removes the name.
 */
#define FEATURE_EPHEMERAL UINT32_C(1)

/*
 * Ro-compatible: consumers are evicted by their lag, see struct lag_limits. A producer that does
 * not know it would not do so.
 */
#define FEATURE_LIMITS UINT32_C(1)

/*
 * The prefix of a record: words of 8 bytes between its header and its payload, in the order
 * of these bits. Which of them there are is chosen when the ring is made and holds for all
 * its records. This version refuses a ring with other words than PREFIX_KNOWN.
 */
#define PREFIX_CHECK UINT32_C(1) /* reserved for a checksum of the record */
#define PREFIX_STAMP UINT32_C(2) /* when it was published, see stamp.h */
#define PREFIX_KEY UINT32_C(4)	 /* reserved for a tag and a key */
#define PREFIX_KNOWN PREFIX_STAMP
#define PREFIX_WORD 8u /* bytes */

static inline uint64_t prefix_bytes(uint32_t words)
{
	return PREFIX_WORD * (uint64_t)((words & 1) + (words >> 1 & 1) + (words >> 2 & 1));
}

/*
 * Segment 0. The first 128 bytes never change their meaning in any format, so
 * that every version can at least name what it refuses. This version refuses
 * unknown incompatible and ro-compatible bits, and ignores compatible ones.
 */
struct identity {
	uint8_t magic[8];	/* LAYOUT_MAGIC */
	uint32_t format;	/* LAYOUT_FORMAT */
	uint32_t endian;	/* LAYOUT_ENDIAN as the creator stores it */
	uint32_t identity_size; /* bytes covered by the checksum */
	uint32_t checksum;	/* CRC-32C of those bytes, this field as zero */
	uint32_t compatible;	/* feature bits */
	uint32_t ro_compatible;
	uint32_t incompatible;
	uint32_t named; /* 1: a file with a name, 0: a memory file */
	uint64_t file_size;
	uint8_t uuid[16];
	uint64_t created_ns; /* CLOCK_REALTIME */
	uint8_t boot_id[16]; /* the boot in which it was made */
	uint64_t device;     /* st_dev and st_ino: a copy is not the ring */
	uint64_t inode;
	uint64_t birth_ns;    /* of the inode; 0: file system keeps none */
	uint64_t stamp_scale; /* of PREFIX_STAMP; 0: stamps are nanoseconds */
	uint64_t stamp_base;
	/* 128 */
	uint64_t lane_size;
	uint64_t first_position;
	uint64_t evict_after_ns;
	uint64_t max_sleep_ns;
	uint32_t lanes;
	uint32_t alignment;
	uint32_t slow_policy;
	uint32_t unread_policy; /* see layout_swap_unread() */
	uint32_t wake;
	uint32_t consumers;
	uint64_t registry_offset;
	uint64_t doorbell_offset;
	uint64_t cursors_offset;
	uint64_t controls_offset;
	uint64_t data_offset;
	uint64_t control_stride;
	uint64_t row_stride;
	uint32_t prefix_words; /* bits PREFIX_* */
	uint32_t reserved;
};
_Static_assert(offsetof(struct identity, file_size) == 40, "frozen prefix");
_Static_assert(offsetof(struct identity, lane_size) == 128, "frozen prefix");
_Static_assert(sizeof(struct identity) == 248, "identity has no padding");

/* Behind the identity, in rings with FEATURE_LIMITS: how far behind a consumer may be. */
struct lag_limits {
	uint64_t evict_lag;    /* bytes of a lane; 0: any number */
	uint64_t evict_lag_ns; /* age of the oldest message that it holds; 0: any */
	uint32_t reserved;
	uint32_t checksum; /* CRC-32C of what stands before it */
};
_Static_assert(sizeof(struct lag_limits) == 24, "limits have no padding");
#define LIMITS_OFFSET 256

/* The tenant of a place, for people; the name and the limits that a consumer has chosen. */
struct holder {
	shm_u64 pid;
	shm_u64 attached_ns;
	shm_u64 name[SHMRING_NAME_SIZE / 8];
	shm_u64 max_lag; /* with PLACE_LIMITED: evict it when it is further behind; bytes, 0: never
			  */
	shm_u64 max_lag_ns;
};
_Static_assert(sizeof(struct holder) == 64, "holder is a line");

/*
 * What the tenants of a place have counted since the ring was made, for people: nothing is
 * decided by it. Only the tenant writes it; it adds to what the tenant before it has left
 * (tally.h). A line of its own, so that counting slows no other process down.
 */
struct lane_counts {
	shm_u64 full_waits;   /* times that it found no room */
	shm_u64 full_wait_ns; /* time that it has waited for room */
	shm_u64 sleeps;
	shm_u64 wakes;	   /* times that it woke others */
	shm_u64 evictions; /* consumers that it evicted */
	shm_u64 reserved[3];
};
_Static_assert(sizeof(struct lane_counts) == 64, "a line per lane");

struct consumer_counts {
	shm_u64 waits; /* times that it found no message */
	shm_u64 sleeps;
	shm_u64 lost;	    /* messages that it could not read */
	shm_u64 lost_bytes; /* payload of those */
	shm_u64 evictions;  /* times that it was evicted */
	shm_u64 arrived; /* no count: the epoch of the last tenant that has attached, arrivals.c */
	shm_u64 reserved[2];
};
_Static_assert(sizeof(struct consumer_counts) == 64, "a line per consumer");

/* Segment 1: registry.h explains the status words. */
struct registry {
	shm_u64 lanes_ready; /* bit i: lane i has memory; bits are only set */
	shm_u64 files;	     /* isolated rings: moves when a lane gets another file */
	shm_u64 retired;     /* isolated rings: not 0: the broker has removed it */
	shm_u64 reserved[5];
	shm_u64 lane_status[LAYOUT_LANES];
	shm_u64 consumer_status[LAYOUT_CONSUMERS];
	struct holder lane_holder[LAYOUT_LANES];
	struct holder consumer_holder[LAYOUT_CONSUMERS];
	struct consumer_counts consumer_counts[LAYOUT_CONSUMERS];
};
_Static_assert(offsetof(struct registry, lane_holder) == 1088, "status words in the first page");
_Static_assert(offsetof(struct registry, consumer_counts) == 9280, "counts are behind the holders");
_Static_assert(sizeof(struct registry) == 13376, "registry");

/* Segment 2: doorbell.h explains the protocol. */
struct doorbell {
	shm_u64 sleepers;  /* bit c: consumer c is about to sleep */
	shm_u32 data_bell; /* futex: new messages */
	shm_u32 arrivals;  /* futex: a producer or consumer has attached */
	shm_u64 patient;   /* bit c: consumer c is to be rung for at its watermarks */
	shm_u64 reserved[5];
	struct {
		shm_u32 bell;	     /* futex: room in this lane */
		shm_u32 file_number; /* isolated rings: which of its files the lane is now */
		shm_u32 user;	     /* isolated rings: one more than the uid whose file it is */
		uint32_t reserved[5];
	} room[LAYOUT_LANES];
};
_Static_assert(sizeof(struct doorbell) == 2112, "doorbell fits into a page");

/* What has been consumed of a lane: a boundary and the totals up to it. */
struct cursor_mark {
	shm_u64 position;
	shm_u64 seq;
	shm_u64 bytes;
};

/*
 * A consumer's place in one lane, on a cache line of its own. `position` is
 * what gates the producer. Named consumers also keep two marks, written in
 * turn before position is moved: whichever instruction a holder dies at, one
 * mark belongs to the position.
 */
struct lane_cursor {
	shm_u64 position; /* POSITION_NONE: holds no producer back */
	struct cursor_mark mark[2];
	shm_u64 watermark; /* if it is patient, doorbell.h; 0: ring for every message */
};
_Static_assert(sizeof(struct lane_cursor) == 64, "a line per lane");

/* Segment 3: one row per consumer. */
struct cursor_row {
	struct lane_cursor lane[LAYOUT_LANES];
};
_Static_assert(sizeof(struct cursor_row) == LAYOUT_ROW, "row");

/* A record boundary and the totals before it; lane.h explains its use. */
struct index_entry {
	shm_u64 position; /* POSITION_NONE while it is rewritten */
	shm_u64 seq;
	shm_u64 bytes;
	shm_u64 reserved;
};

/* Segment 4 + i. */
struct lane_control {
	shm_u64 reserved; /* the owner writes below this position only */
	shm_u64 tenancy;  /* isolated rings: the last owner, as the broker wrote it here */
	shm_u64 ready;	  /* isolated rings: its first owner has finished it */
	shm_u64 pad0[13];
	shm_u64 room_wanted; /* wake me when cursors reach it; POSITION_NONE */
	shm_u64 pad1[15];
	struct index_entry index[LAYOUT_INDEX];
	struct lane_counts counts;
};
_Static_assert(offsetof(struct lane_control, room_wanted) == 128, "own pair of lines");
_Static_assert(offsetof(struct lane_control, counts) == 1280, "counts are behind the index");
_Static_assert(sizeof(struct lane_control) == 1344, "control fits into a page");

/*
 * Format 1 and the protocol of the broker number unread policies the other way round than
 * enum shmring_unread_policy: 0 overwrite, 1 hold. From one to the other; what is neither
 * stays wrong.
 */
static inline uint32_t layout_swap_unread(uint32_t policy)
{
	return policy ^ 1;
}

/* The checked, private copy of an identity: what all code goes by. */
struct geometry {
	uint64_t lane_size;
	uint64_t chunk;	      /* lane_size / LAYOUT_CHUNKS */
	uint64_t max_message; /* lane_size / 2, the prefix included */
	uint64_t prefix_size; /* bytes in front of each payload */
	uint64_t first_position;
	uint64_t evict_after_ns;
	uint64_t evict_lag;    /* 0: no limit */
	uint64_t evict_lag_ns; /* 0: no limit */
	uint64_t max_sleep_ns;
	uint32_t lanes;
	uint32_t alignment;
	uint32_t slow_policy;
	uint32_t unread_policy;
	uint32_t wake;
	uint32_t ephemeral;    /* not 0: its name goes with its last user */
	uint32_t stamps;       /* enum shmring_stamp, NONE, CLOCK or TSC */
	uint32_t prefix_words; /* bits PREFIX_* */
	uint64_t stamp_scale;
	uint64_t stamp_base;
	uint64_t registry_offset;
	uint64_t doorbell_offset;
	uint64_t cursors_offset;
	uint64_t controls_offset;
	uint64_t data_offset;
	uint64_t control_stride; /* from lane to lane; 0: each has a file of its own */
	uint64_t data_stride;
	uint64_t file_size;
	uint64_t lane_file_size; /* 0: lanes have no files */
	uint64_t view_size;	 /* of the file: all but the lanes' data */
};

/*
 * Fill in the defaults of `config` (not NULL, its size is not looked at) and
 * check it. Returns 0, or -EINVAL with an explanation.
 */
int layout_plan(struct geometry *ret, const struct shmring_config *config);

/* Lay the lanes of a planned ring out in files of their own. */
void layout_set_isolated(struct geometry *g);

static inline bool layout_is_isolated(const struct geometry *g)
{
	return g->lane_file_size != 0;
}

/* All its files. */
static inline uint64_t layout_bytes(const struct geometry *g)
{
	return g->file_size + g->lanes * g->lane_file_size;
}

/* Room for stamps of this kind in the records of a planned ring. */
void layout_add_stamps(struct geometry *g, uint32_t stamps);

/*
 * Complete an identity from a geometry: all fields that do not depend on the
 * file, and the checksum last (layout_seal() again after any change).
 */
void layout_describe(struct identity *id, const struct geometry *geometry);
void layout_seal(struct identity *id);

/* The same for limits, of a ring that has them. */
void layout_describe_limits(struct lag_limits *limits, const struct geometry *geometry);
int layout_check_limits(struct geometry *geometry, const struct lag_limits *limits);

static inline bool layout_has_limits(const struct geometry *g)
{
	return g->evict_lag != 0 || g->evict_lag_ns != 0;
}

/*
 * Check untrusted bytes, copied to private memory: magic, format, features,
 * checksum and geometry. Returns 0, -EBADMSG or -EPROTONOSUPPORT, with an
 * explanation. `file_size` is what fstat says.
 */
int layout_check(struct geometry *ret, const struct identity *id, uint64_t file_size);

/* CRC-32C (Castagnoli) of `size` bytes. */
uint32_t layout_crc32c(const void *data, size_t size);

static inline uint64_t control_offset(const struct geometry *g, unsigned lane)
{
	return g->controls_offset + lane * g->control_stride;
}

static inline uint64_t data_offset(const struct geometry *g, unsigned lane)
{
	return g->data_offset + lane * g->data_stride;
}

#endif
