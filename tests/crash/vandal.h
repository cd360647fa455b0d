/* SPDX-License-Identifier: MIT */
/*
 * The vandal: a process that maps all of a ring for writing, knows its layout,
 * and respects nothing. And what its victims have in common.
 */
#ifndef TESTS_CRASH_VANDAL_H
#define TESTS_CRASH_VANDAL_H

#include <stdbool.h>
#include <stdint.h>

#include <shmring/shmring.h>

#include "child.h"

/* Offsets in the rings of these tests; see docs/layout.md. */
enum {
	LANES = 3,
	SLOTS = SHMRING_MAX_CONSUMERS,
	LANE_SIZE = SHMRING_MIN_LANE_SIZE,
	REGISTRY = 0x10000,
	LANE_STATUS = REGISTRY + 64,
	CONSUMER_STATUS = REGISTRY + 576,
	LANE_HOLDER = REGISTRY + 1088,
	CONSUMER_HOLDER = REGISTRY + 5184,
	DOORBELL = 0x20000,
	DATA_BELL = DOORBELL + 8,
	ROOM_BELL = DOORBELL + 64, /* of lane 0; 32 bytes each */
	CURSORS = 0x30000,
	CONTROLS = 0x70000,
	DATA = CONTROLS + LANES * 0x10000,
	FILE_SIZE = DATA + LANES * LANE_SIZE,
};

enum place_state { FREE, CLAIMED, SETUP, JOINING, ACTIVE, SUSPECT, EVICTED, DETACHED, LAPSED };
enum { NAMED = 1, EVICTABLE = 2 };

/* No call returns this much later than its deadline, however busy the machine is. */
int64_t slack(void);

/* The results of one victim's calls; shared with the test. */
struct tally {
	uint64_t calls;
	uint64_t messages;
	uint64_t damages; /* -EBADMSG */
	uint64_t refusals;
	int64_t latest;		 /* how long after its deadline a call returned, */
	const char *latest_call; /* and which one: a literal, the same in all processes */
};

struct scene {
	uint32_t over;
	struct tally tallies[16];
};

struct actor {
	struct scene *scene;
	struct tally *tally;
	struct shmring_ring *ring;
	uint64_t seed;
	int64_t due; /* when the present call has to return */
	unsigned part;
	unsigned intensity;
	unsigned char *map; /* vandals: all of the ring */
	struct child child;
};

bool is_over(const struct actor *a);

/* A page that actors share, and what ends their play. */
struct scene *scene_open(void);
void scene_close(struct scene *s);

/* Vandals: map the ring; a word of it, 8-byte aligned; something random. */
void map_all(struct actor *a);
void unmap_all(struct actor *a);
void put(const struct actor *a, uint64_t offset, uint64_t value);
uint64_t get(const struct actor *a, uint64_t offset);
uint64_t draw(struct actor *a, uint64_t limit);
uint64_t status_word(uint64_t epoch, uint64_t generation, unsigned flags, unsigned state);

/* Change one word of the ring, chosen with malice or at random. */
void spoil_something(struct actor *a);

/* Move a bell and wake all processes that sleep on it. */
void ring_bell(const struct actor *a, uint64_t offset);

#endif
