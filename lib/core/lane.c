/* SPDX-License-Identifier: MIT */
/*
 * lane: boundaries, found through the chunk index and by walking; see lane.h.
 */
#include "lane.h"

#include <errno.h>

#include "explain.h"
#include "sys.h"

enum { PACE_STEPS = 512, PACE_BYTES = 1 << 18 };

void shmr_lane_begin(struct lane *lane, const struct geometry *g)
{
	const struct shmring_boundary start = { .position = g->first_position };

	for (unsigned i = 0; i < LAYOUT_INDEX; i++)
		store_relaxed(&lane->control->index[i].position, POSITION_NONE);
	shmr_lane_note(lane, &start, g->chunk);
	store_relaxed(&lane->control->room_wanted, POSITION_NONE);
	store_relaxed(&lane->control->reserved, g->first_position);
	/* [PUBLISH] pairs with lane_header(): nothing is there yet. */
	store_release(lane_word(lane->data, lane->mask, g->first_position), 0);
}

/*
 * [INDEX] pairs with read_entry(): a reader that sees the same position before
 * and after it read the totals has read that entry whole. Positions never come
 * again.
 */
void shmr_lane_note(struct lane *lane, const struct shmring_boundary *at, uint64_t chunk)
{
	struct index_entry *entry = &lane->control->index[at->position / chunk % LAYOUT_INDEX];

	store_relaxed(&entry->position, POSITION_NONE);
	fence_release();
	store_relaxed(&entry->seq, at->seq);
	store_relaxed(&entry->bytes, at->bytes);
	store_release(&entry->position, at->position);
}

/* [INDEX] pairs with shmr_lane_note(). */
static bool read_entry(const struct index_entry *entry, struct shmring_boundary *ret)
{
	ret->position = load_acquire(&entry->position);
	ret->seq = load_relaxed(&entry->seq);
	ret->bytes = load_relaxed(&entry->bytes);
	fence_acquire();
	return position_is_sound(ret->position) && load_relaxed(&entry->position) == ret->position;
}

static bool search(const struct lane *lane, uint64_t reach, bool newest,
		   struct shmring_boundary *ret)
{
	/* [ENTRY] pairs with announce(): entries precede the value they are for. */
	uint64_t reserved = load_acquire(&lane->control->reserved);
	bool found = false;

	for (unsigned i = 0; i < LAYOUT_INDEX; i++) {
		struct shmring_boundary at;

		if (!read_entry(&lane->control->index[i], &at) || reserved - at.position > reach)
			continue;
		if (!found || (reserved - at.position < reserved - ret->position) == newest)
			*ret = at;
		found = true;
	}
	return found;
}

bool shmr_lane_oldest(const struct lane *lane, uint64_t reach, struct shmring_boundary *ret)
{
	return search(lane, reach, false, ret);
}

bool shmr_lane_newest(const struct lane *lane, struct shmring_boundary *ret)
{
	return search(lane, lane->mask + 1, true, ret);
}

bool shmr_lane_entry_at(const struct lane *lane, uint64_t position, struct shmring_boundary *ret)
{
	for (unsigned i = 0; i < LAYOUT_INDEX; i++)
		if (read_entry(&lane->control->index[i], ret) && ret->position == position)
			return true;
	return false;
}

/* When a walk looks at the clock: reading it costs as much as some records. */
struct pace {
	int64_t deadline;
	uint64_t steps, position; /* since the last look, and where that was */
};

static bool is_late(struct pace *p, uint64_t position)
{
	if (p->deadline == INT64_MAX)
		return false;
	if (++p->steps < PACE_STEPS && position - p->position < PACE_BYTES)
		return false;
	p->steps = 0;
	p->position = position;
	return shmr_now() >= p->deadline;
}

int shmr_lane_walk_until(const struct lane *lane, const struct geometry *g,
			 struct shmring_boundary *at, uint64_t stop, int64_t deadline)
{
	uint64_t start = at->position;
	struct pace pace = { deadline, 0, start };

	while (at->position != stop) {
		uint64_t header = lane_header(lane, at->position);
		uint64_t length = header_length(header);

		if (header == 0)
			return 0;
		if (!header_is_record(header) || length > g->max_message)
			return explain(-EBADMSG, "the lane is damaged: no record at position %u",
				       at->position);
		at->position += record_size_in(g, length);
		at->seq++;
		at->bytes += length;
		if (at->position - start > g->lane_size)
			return explain(-EBADMSG, "the lane is damaged: it has no end");
		if (is_late(&pace, at->position))
			return explain(-EAGAIN, "the lane has too many records to count them now");
	}
	return 0;
}

int shmr_lane_walk(const struct lane *lane, const struct geometry *g, struct shmring_boundary *at,
		   uint64_t stop)
{
	return shmr_lane_walk_until(lane, g, at, stop, INT64_MAX);
}
