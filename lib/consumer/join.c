/* SPDX-License-Identifier: MIT */
/*
 * join: how a consumer gets a cursor that producers respect, with producers
 * running all the while.
 *
 * J1 A cursor counts from the moment it is stored. The joiner stores it,
 *    executes a full fence and reads `reserved` [JOIN]; a producer stores
 *    `reserved`, fences and reads the cursors. If the joiner finds that what
 *    it chose may be overwritten, it chooses again, further on. If it does
 *    not, every later reservation sees its cursor: nobody who has joined is
 *    ever overrun.
 * J2 A lane without memory has its first record at the ring's first position;
 *    the cursor is stored there before the lane's bit in lanes_ready is looked
 *    at, and its first owner sets that bit before it reserves anything.
 * J3 In state JOINING each lane's cursor counts by itself, so a joiner that is
 *    stopped half way holds back no more than what it has chosen.
 */
#include <errno.h>

#include "consumer.h"
#include "explain.h"

#define TRIES 1000

/* Where to begin in a lane that has memory; further on with every try. */
static bool choose(const struct reader *l, enum shmring_start start, unsigned tries,
		   struct boundary *ret)
{
	uint64_t size = l->lane.mask + 1;

	if (start == SHMRING_START_NOW || tries >= LAYOUT_CHUNKS / 4)
		return shmr_lane_newest(&l->lane, ret);
	return shmr_lane_oldest(&l->lane, size - tries * (size / LAYOUT_CHUNKS), ret);
}

/* J1: store, fence, look. True if the cursor holds. */
static bool hold(const struct reader *l, uint64_t position)
{
	store_relaxed(&l->cursor->position, position);
	fence_full(); /* [JOIN] pairs with producer_reserve() */
	return lane_holds(l->lane.mask, load_acquire(&l->lane.control->reserved), position);
}

/* J2: an empty lane, unless its first owner has come meanwhile and moved on. */
static bool hold_empty(const struct shmring_consumer *c, const struct reader *l, uint64_t position)
{
	const shm_u64 *ready = &c->attachment.registry->lanes_ready;

	if (load_acquire(ready) >> l->index & 1)
		return false;
	store_relaxed(&l->cursor->position, position);
	fence_full();
	return !(load_acquire(ready) >> l->index & 1) || hold(l, position);
}

/*
 * Place the cursor of one lane; `at` is where. Damage is not looked for here:
 * whoever reads finds it, and reports it.
 */
static void place_cursor(struct shmring_consumer *c, struct reader *l, enum shmring_start start,
			 struct boundary *at)
{
	*at = (struct boundary){ .position = consumer_geometry(c)->first_position };
	if (hold_empty(c, l, at->position))
		return;
	for (unsigned tries = 0; tries < TRIES; tries++)
		if (choose(l, start, tries, at) && hold(l, at->position))
			break;
	if (start == SHMRING_START_NOW) {
		shmr_lane_walk(&l->lane, consumer_geometry(c), at, POSITION_NONE);
		store_release(&l->cursor->position, at->position);
	}
}

static void place_all(struct shmring_consumer *c, enum shmring_start start)
{
	for (unsigned i = 0; i < consumer_geometry(c)->lanes; i++) {
		struct reader *l = &c->readers[i];

		place_cursor(c, l, start, &l->at);
		l->released = l->at;
		l->lost = l->lost_bytes = 0;
	}
}

/* Where the last release was, if that is still there; else we have lost some. */
static void replace_all(struct shmring_consumer *c)
{
	for (unsigned i = 0; i < consumer_geometry(c)->lanes; i++) {
		struct reader *l = &c->readers[i];
		const struct boundary last = l->released;

		l->at = last;
		if (!hold_empty(c, l, last.position) && !hold(l, last.position))
			place_cursor(c, l, SHMRING_START_OLDEST, &l->at);
		l->lost += l->at.seq - last.seq;
		l->lost_bytes += l->at.bytes - last.bytes;
		l->released = l->at;
	}
}

/* Both marks of every lane: nothing has been released from before here. */
static void write_marks(struct shmring_consumer *c)
{
	for (unsigned i = 0; i < consumer_geometry(c)->lanes; i++) {
		struct reader *l = &c->readers[i];

		for (int k = 0; k < 2; k++) {
			struct cursor_mark *mark = &l->cursor->mark[k];

			store_release(&mark->position, POSITION_NONE);
			store_release(&mark->seq, l->at.seq);
			store_release(&mark->bytes, l->at.bytes);
			store_release(&mark->position, l->at.position);
		}
	}
}

static void clear_cursors(struct shmring_consumer *c)
{
	for (unsigned i = 0; i < LAYOUT_LANES; i++)
		store_release(&c->readers[0].cursor[i].position, POSITION_NONE);
}

static bool move_on(struct shmring_consumer *c, uint64_t from, uint64_t to)
{
	struct attachment *a = &c->attachment;

	if (!compare_and_swap(&a->registry->consumer_status[a->slot], from, to))
		return false;
	a->status = to;
	return true;
}

static uint64_t current_status(const struct shmring_consumer *c)
{
	return load_acquire(&c->attachment.registry->consumer_status[c->attachment.slot]);
}

/* JOINING, or SUSPECT already, to ACTIVE. False: evicted on the way. */
static bool become_active(struct shmring_consumer *c, unsigned flags)
{
	uint64_t status;

	do {
		status = current_status(c);
		if (status_state(status) == PLACE_EVICTED) {
			c->attachment.status = status;
			return false;
		}
	} while (!move_on(c, status, status_with_flags(status_next(status, PLACE_ACTIVE), flags)));
	return true;
}

/*
 * From a state in which our cursors count for nothing to ACTIVE. A producer may
 * suspect or evict us on the way, if the ring's policy allows it.
 */
static void enter(struct shmring_consumer *c, enum shmring_start start, bool first_time)
{
	unsigned flags = (c->named ? PLACE_NAMED : 0) | (c->evictable ? PLACE_EVICTABLE : 0);
	/* A name is established only when its cursor is. */
	unsigned joining = first_time ? flags & ~PLACE_NAMED : flags;

	do {
		uint64_t status = c->attachment.status;

		clear_cursors(c);
		move_on(c, status, status_with_flags(status_next(status, PLACE_JOINING), joining));
		if (first_time)
			place_all(c, start);
		else
			replace_all(c);
		if (first_time && c->named)
			write_marks(c);
	} while (!become_active(c, flags));
	consumer_tell_producers(c);
}

/* Those that found nobody to read for may be waiting. */
void consumer_tell_producers(struct shmring_consumer *c)
{
	shmr_bell_ring_rooms(&c->bell, load_acquire(&c->attachment.registry->lanes_ready), &c->counters);
}

void consumer_join(struct shmring_consumer *c, enum shmring_start start)
{
	enter(c, start, true);
}

/* The newest mark that is not beyond `limit`; -1: none. */
static int last_mark(const struct reader *l, uint64_t limit, struct boundary *ret)
{
	int found = -1;

	for (int k = 0; k < 2; k++) {
		const struct cursor_mark *mark = &l->cursor->mark[k];
		struct boundary at = { load_acquire(&mark->position), load_relaxed(&mark->seq),
				       load_relaxed(&mark->bytes) };

		if (at.position == POSITION_NONE ||
		    (limit != POSITION_NONE && (int64_t)(at.position - limit) > 0) ||
		    (found >= 0 && (int64_t)(at.position - ret->position) <= 0))
			continue;
		*ret = at;
		found = k;
	}
	return found;
}

/* What was last released, from the marks; `limit` as in last_mark(). */
static void recall(const struct shmring_consumer *c, struct reader *l, uint64_t limit)
{
	int k;

	l->released = (struct boundary){ .position = consumer_geometry(c)->first_position };
	k = last_mark(l, limit, &l->released);
	l->next_mark = k == 0 ? 1 : 0;
}

void consumer_revive(struct shmring_consumer *c)
{
	for (unsigned i = 0; i < consumer_geometry(c)->lanes; i++)
		recall(c, &c->readers[i], POSITION_NONE);
	enter(c, SHMRING_START_OLDEST, false);
}

/*
 * The cursors of a detached name have held producers back all the time; only
 * the totals that belong to them must be found again. A mark gives them, or the
 * index, if the holder came back from an eviction and died before it released
 * anything.
 */
void consumer_resume(struct shmring_consumer *c)
{
	for (unsigned i = 0; i < consumer_geometry(c)->lanes; i++) {
		struct reader *l = &c->readers[i];
		uint64_t position = load_acquire(&l->cursor->position);

		recall(c, l, position);
		l->at = l->released;
		if (l->at.position != position && !shmr_lane_entry_at(&l->lane, position, &l->at))
			place_cursor(c, l, SHMRING_START_OLDEST, &l->at);
		l->lost = l->at.seq - l->released.seq;
		l->lost_bytes = l->at.bytes - l->released.bytes;
		l->released = l->at;
	}
}

void consumer_restart(struct shmring_consumer *c, enum shmring_start start)
{
	place_all(c, start);
	write_marks(c);
	consumer_tell_producers(c);
}

int consumer_keep_place(struct shmring_consumer *c, bool releasing)
{
	uint64_t status;

	if (!c->evictable)
		return 0;
	fence_acquire(); /* [EVICT] pairs with the CAS in lib/producer/room.c */
	status = current_status(c);
	if (likely(status == c->attachment.status))
		return 0;
	if (status_state(status) == PLACE_SUSPECT) {
		if (!releasing && c->touched != 0)
			return 0; /* only a release clears us */
		if (move_on(c, status, status_next(status, PLACE_ACTIVE)))
			return 0;
	}
	c->attachment.status = current_status(c);
	status = c->touched;
	shmring_rewind(c);
	enter(c, SHMRING_START_OLDEST, false);
	if (status == 0)
		return 0; /* it had nothing in hand; the next message tells what it lost */
	return explain(-ESTALE, "evicted: this consumer held producers back for too long; discard what was "
				"read since the last release");
}
