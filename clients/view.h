/* SPDX-License-Identifier: MIT */
/*
 * The state of a ring as ls and stat show it: collected here, rendered by them.
 */
#ifndef SHMRING_VIEW_H
#define SHMRING_VIEW_H

#include <jansson.h>

#include <shmring/shmring.h>

#include "units.h"

struct ring_view {
	const char *address; /* not owned */
	struct shmring_ring_stat ring;
	char *unknown_resident; /* why `ring.resident` is; NULL: it is not */
	struct shmring_lane_stat lanes[SHMRING_MAX_LANES]; /* ring.lanes of them */
	char *lane_errors[SHMRING_MAX_LANES]; /* why a lane cannot be examined, or NULL */
	unsigned lane_error_count;
	struct shmring_consumer_stat consumers[SHMRING_MAX_CONSUMERS]; /* all of them */
};

/*
 * Look at a ring, its lanes and its consumers. Returns 0 or a negative errno. A lane that
 * cannot be examined has an error, and the others are there. For view_free(), also after an
 * error; `ret` is zeroed before.
 */
int view_collect(struct ring_view *ret, struct shmring_ring *r, const char *address);
void view_free(struct ring_view *v);

/* What lanes and places for consumers have counted since the ring was made, summed up. */
struct view_counts {
	uint64_t full_waits, full_wait_ns, producer_sleeps, producer_wakes, evictions;
	uint64_t consumer_waits, consumer_sleeps, lost, lost_bytes;
};

void view_count(const struct ring_view *v, struct view_counts *ret);

/* "active", "dead"; "block", "evict"; "hold", "overwrite"; "auto", "fence"; "none", "tsc". */
const char *state_word(uint32_t state);
const char *slow_word(uint32_t policy);
const char *unread_word(uint32_t policy);
const char *wake_word(uint32_t wake);
const char *stamps_word(uint32_t stamps);

#define UUID_TEXT 37
const char *format_uuid(char ret[UUID_TEXT], const uint8_t uuid[16]);

/* Bytes, or "unknown" for UINT64_MAX. */
const char *format_known(char ret[UNITS_TEXT], uint64_t bytes);

/* The ring as a JSON object, with its address; NULL without memory. */
json_t *view_json_ring(const char *address, const struct shmring_ring_stat *stat);

#endif
