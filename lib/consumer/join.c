/* SPDX-License-Identifier: MIT */
/*
 * join: how a consumer gets a cursor that producers respect, with producers
 * running all the while.
 *
 * J1 A cursor counts from the moment it is stored. The joiner stores it,
 *    executes a full fence and reads `reserved` [JOIN]; a producer stores
 *    `reserved`, fences and reads the cursors. If the joiner finds that what
 *    it chose may be overwritten, it chooses again, further on. If it does
 *    not, every later reservation sees its cursor: no consumer that has joined
 *    is ever overrun.
 * J2 A lane without memory has its first record at the ring's first position;
 *    the cursor is stored there before the lane's bit in lanes_ready is looked
 *    at, and its first owner sets that bit before it reserves anything.
 *    In an isolated ring a lane whose file is not mapped counts as a lane without
 *    memory, and a lane whose old file is mapped counts as that file shows it.
 *    enter_place() finds out afterwards (F3 in lanes.c), and chooses again.
 * J3 In state JOINING each lane's cursor counts by itself, so a joiner that is
 *    stopped half way holds back only what it has chosen.
 */
#include <errno.h>

#include "consumer.h"
#include "explain.h"

/*
 * Choose where to begin in a lane that has memory: `reach` bytes behind its end at most, and
 * further on with every try.
 */
static bool choose(const struct reader *l, enum shmring_start start, uint64_t reach, unsigned tries,
		   struct shmring_boundary *ret)
{
	uint64_t size = l->lane.mask + 1;
	uint64_t within = size - tries * (size / LAYOUT_CHUNKS);

	if (start == SHMRING_START_NOW || tries >= LAYOUT_CHUNKS / 4)
		return shmr_lane_newest(&l->lane, ret);
	if (reach >= within)
		return shmr_lane_oldest(&l->lane, within, ret);
	return shmr_lane_oldest(&l->lane, reach, ret) || shmr_lane_newest(&l->lane, ret);
}

/*
 * A consumer that begins at its limit is evicted as soon as a message comes before it reads. So
 * half of the limit is left to it. In a lane without an owner no message comes.
 */
static uint64_t first_reach(const struct shmring_consumer *c, const struct reader *l)
{
	/* No edge: an owner that comes later costs an eviction at worst, which is reported. */
	uint64_t owner = load_relaxed(&c->attachment.registry->lane_status[l->hot.index]);

	if (c->limits.lag == 0)
		return l->lane.mask + 1;
	return status_state(owner) == PLACE_FREE ? c->limits.lag : c->limits.lag / 2;
}

/*
 * A consumer that comes back to where it was evicted for its lag would be evicted again.
 * So it goes on at half of its limit in bytes, and half-way if the time is limited: only
 * the lane's owner knows how old messages are.
 */
static uint64_t return_reach(const struct shmring_consumer *c, const struct reader *l)
{
	uint64_t size = l->lane.mask + 1, reach = size, behind;
	struct shmring_boundary newest;

	if (c->limits.lag == 0 && !c->limits.timed)
		return size;
	if (!shmr_lane_newest(&l->lane, &newest) ||
	    (int64_t)(newest.position - l->hot.released.position) <= 0)
		return size;
	behind = newest.position - l->hot.released.position;
	if (c->limits.lag != 0 && behind > c->limits.lag / 2)
		reach = c->limits.lag / 2;
	if (c->limits.timed && behind > size / 4 && behind / 2 < reach)
		reach = behind / 2;
	return reach;
}

/* [JOIN] pairs with announce() */
static bool in_reach(const struct reader *l, uint64_t position)
{
	return lane_holds(l->lane.mask, load_acquire(&l->lane.control->reserved), position);
}

/*
 * J1: store, fence, look. True if the cursor holds. What is out of reach is not
 * stored at all: it would close the lane and protect nothing.
 */
static bool hold(const struct reader *l, uint64_t position)
{
	if (!in_reach(l, position))
		return false;
	store_relaxed(&l->cursor->position, position);
	fence_full(); /* [JOIN] pairs with announce() */
	return in_reach(l, position);
}

/* [READY] pairs with show_lane() */
static bool has_memory(const struct shmring_consumer *c, const struct reader *l)
{
	if (layout_is_isolated(consumer_geometry(c)))
		return c->lanes.adopted >> l->hot.index & 1;
	return load_acquire(&c->attachment.registry->lanes_ready) >> l->hot.index & 1;
}

/* J2: an empty lane, unless its first owner has come meanwhile and moved on. */
static bool hold_empty(const struct shmring_consumer *c, const struct reader *l, uint64_t position)
{
	if (has_memory(c, l))
		return false;
	store_relaxed(&l->cursor->position, position);
	fence_full(); /* [JOIN] pairs with show_lane() */
	return !has_memory(c, l) || hold(l, position);
}

/* A lossless consumer does not begin in a lane without a cursor: it reports the damage. */
static int no_place(const struct reader *l)
{
	return explain(-EBADMSG, "lane %u is damaged: no record to begin at was found",
		       (uint64_t)l->hot.index);
}

/*
 * Walk from a boundary that is held to the end of the lane. False: it was not held
 * all the time (the consumer was evicted meanwhile), and the walk may have gone through
 * newer payload. The consumer finds and reports damage when it reads.
 */
static bool walk_to_end(struct shmring_consumer *c, struct reader *l, struct shmring_boundary *at)
{
	const uint64_t from = at->position;

	shmr_lane_walk(&l->lane, consumer_geometry(c), at, POSITION_NONE);
	fence_acquire(); /* [OVERRUN] pairs with announce() */
	if (!in_reach(l, from))
		return false;
	if (c->named) {
		l->hot.at = *at;
		consumer_write_mark(l, at);
	}
	/* [RELEASE] pairs with read_gate(): the walk is over. */
	store_release(&l->cursor->position, at->position);
	return true;
}

int consumer_place_cursor(struct shmring_consumer *c, struct reader *l, enum shmring_start start,
			  struct shmring_boundary *at)
{
	struct tries tries = { 0 };

	*at = (struct shmring_boundary){ .position = consumer_geometry(c)->first_position };
	if (hold_empty(c, l, at->position))
		return 0;
	do {
		if (!choose(l, start, first_reach(c, l), tries.count, at) || !hold(l, at->position))
			continue;
		if (start != SHMRING_START_NOW || walk_to_end(c, l, at))
			return 0;
	} while (shmr_try_again(&tries));
	return no_place(l);
}

/*
 * As choose(), for a consumer that has lost messages. The next message of the lane tells of the
 * loss. So the consumer begins further back than `reach` where no message stands behind that: the
 * owner may leave without another one. The header is a hint here; the caller holds the place.
 */
static bool choose_return(const struct reader *l, uint64_t reach, unsigned tries,
			  struct shmring_boundary *ret)
{
	for (;; reach *= 2) {
		if (!choose(l, SHMRING_START_OLDEST, reach, tries, ret))
			return false;
		if (reach > l->lane.mask || lane_header(&l->lane, ret->position) != 0)
			return true;
	}
}

int consumer_replace_cursor(struct shmring_consumer *c, struct reader *l)
{
	const struct shmring_boundary last = l->hot.released;
	struct shmring_boundary at = last;
	struct tries tries = { 0 };

	if (!hold_empty(c, l, last.position)) {
		const uint64_t reach = return_reach(c, l);
		bool held = reach > l->lane.mask && hold(l, at.position);

		while (!held) {
			if (!shmr_try_again(&tries))
				return no_place(l);
			if (!choose_return(l, reach, tries.count, &at) ||
			    (int64_t)(at.position - last.position) < 0)
				at = last;
			held = hold(l, at.position);
		}
	}
	l->hot.lost += at.seq - last.seq;
	l->hot.lost_bytes += at.bytes - last.bytes;
	l->hot.at = l->hot.released = at;
	return 0;
}

/* By walking, if a boundary before the cursor is still in reach afterwards. */
static bool walk_to_cursor(struct shmring_consumer *c, const struct reader *l, uint64_t position,
			   struct shmring_boundary *ret)
{
	struct shmring_boundary from;

	if (!shmr_lane_oldest(&l->lane, l->lane.mask + 1, &from) ||
	    (int64_t)(position - from.position) < 0)
		return false;
	*ret = from;
	return shmr_lane_walk(&l->lane, consumer_geometry(c), ret, position) == 0 &&
	       ret->position == position && in_reach(l, from.position);
}

int consumer_resume_cursor(struct shmring_consumer *c, struct reader *l)
{
	/* [RELEASE] pairs with consumer_release_lane(), by a holder that is gone. */
	uint64_t position = load_acquire(&l->cursor->position);
	bool known = consumer_recall(c, l, position);

	l->hot.at = l->hot.released;
	if (known && l->hot.at.position == position)
		return 0;
	if (position == POSITION_NONE || !has_memory(c, l) ||
	    (!shmr_lane_entry_at(&l->lane, position, &l->hot.at) &&
	     !walk_to_cursor(c, l, position, &l->hot.at)))
		return consumer_replace_cursor(c, l);
	if (known) {
		l->hot.lost = l->hot.at.seq - l->hot.released.seq;
		l->hot.lost_bytes = l->hot.at.bytes - l->hot.released.bytes;
	}
	l->hot.released = l->hot.at;
	return 0;
}
