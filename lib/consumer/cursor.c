/* SPDX-License-Identifier: MIT */
/*
 * cursor: how far a lane is released: the cursor that producers see, the marks of a named
 * consumer, and the counts.
 *
 * For each lane the handle has two boundaries: `released`, where the cursor in shared memory
 * stands, and `at`, up to which messages were handed out. What lies between them is in hand. To
 * release is to move the cursor on, up to `at` at most; to rewind is to set `at` back to
 * `released`.
 *
 * A release does these steps in this order:
 *
 *	the mark	of a named consumer: the totals that belong to the new position
 *	the cursor	a release store: from now on the owner of the lane may overwrite
 *	the counts	messages lost before the first one that is released now
 *	wake		the owner, if it waits for a position that the cursor has just passed
 *
 * The next holder of a name knows the position by the cursor, and the totals by the mark. There are
 * two marks, and the older one is written; a mark that is being written has no position. So if the
 * consumer is killed at any instruction, one mark is whole and belongs to the cursor as it stands.
 * The other one may be beyond the cursor, and then it does not count.
 *
 * Messages are not counted one by one: the handle remembers up to which boundary each lane was
 * counted, and the difference is added when a program asks, or when the cursor is placed anew.
 */
#include <errno.h>

#include "consumer.h"
#include "explain.h"
#include "options.h"

/*
 * At whichever instruction the consumer dies: once anything was released, one mark is whole
 * and belongs to the cursor as it stands. [MARK] pairs with last_mark().
 */
void consumer_write_mark(struct reader *l, const struct shmring_boundary *at)
{
	struct cursor_mark *mark = &l->cursor->mark[l->next_mark];

	store_release(&mark->position, POSITION_NONE);
	store_release(&mark->seq, at->seq);
	store_release(&mark->bytes, at->bytes);
	store_release(&mark->position, at->position);
	l->next_mark ^= 1;
}

/*
 * The newest mark that is not beyond `limit`; -1: none. [MARK] pairs with
 * consumer_write_mark(), and with the end of the process that called it.
 */
static int last_mark(const struct reader *l, uint64_t limit, struct shmring_boundary *ret)
{
	int found = -1;

	for (int k = 0; k < 2; k++) {
		const struct cursor_mark *mark = &l->cursor->mark[k];
		struct shmring_boundary at = { load_acquire(&mark->position),
					       load_relaxed(&mark->seq),
					       load_relaxed(&mark->bytes) };

		if (!position_is_sound(at.position) ||
		    (limit != POSITION_NONE && (int64_t)(at.position - limit) > 0) ||
		    (found >= 0 && (int64_t)(at.position - ret->position) <= 0))
			continue;
		*ret = at;
		found = k;
	}
	return found;
}

bool consumer_recall(const struct shmring_consumer *c, struct reader *l, uint64_t limit)
{
	int k;

	l->hot.released =
		(struct shmring_boundary){ .position = consumer_geometry(c)->first_position };
	k = last_mark(l, limit, &l->hot.released);
	l->next_mark = k == 0 ? 1 : 0;
	return k >= 0;
}

/* Once for every position that an owner waits for: when the cursor passes it. */
static void wake_owner(struct shmring_consumer *c, const struct reader *l, uint64_t before)
{
	uint64_t wanted = load_relaxed(&l->lane.control->room_wanted);

	if (wanted != POSITION_NONE && (int64_t)(l->hot.released.position - wanted) >= 0 &&
	    (int64_t)(before - wanted) < 0)
		shmr_bell_ring_room(&c->bell, l->hot.index, &c->counters);
}

void shmring_slow1_wake_producer(struct shmring_consumer *c, uint64_t released_before)
{
	wake_owner(c, current_reader(c), released_before);
}

static struct consumer_counts *shared_counts(const struct shmring_consumer *c)
{
	return &c->attachment.registry->consumer_counts[c->attachment.slot];
}

void consumer_show_counts(struct shmring_consumer *c)
{
	struct consumer_counts *shared = shared_counts(c);

	if (c->observer)
		return;
	shmr_tally(&shared->waits, c->counters.waits - c->shown.waits);
	shmr_tally(&shared->sleeps, c->counters.sleeps - c->shown.sleeps);
	c->shown = c->counters;
}

/*
 * Count what was lost before the message that is now released. The ring counts only what was
 * lost while the consumer had a place: what was gone before is no loss of a consumer. The
 * cursor has been moved already. If the consumer dies before this, the loss is not counted;
 * no loss is counted twice.
 */
static void count_loss(struct shmring_consumer *c, struct reader *l)
{
	bool late = !l->missed_told;

	shmr_tally(&shared_counts(c)->lost, l->hot.lost - (late ? l->missed : 0));
	shmr_tally(&shared_counts(c)->lost_bytes, l->hot.lost_bytes - (late ? l->missed_bytes : 0));
	l->missed_told = true;
	c->counters.lost += l->hot.lost;
	c->counters.lost_bytes += l->hot.lost_bytes;
	l->hot.lost = l->hot.lost_bytes = 0;
}

void consumer_release_lane(struct shmring_consumer *c, struct reader *l,
			   const struct shmring_boundary *to)
{
	uint64_t before = l->hot.released.position;

	if (c->named)
		consumer_write_mark(l, to);
	/* [RELEASE] pairs with read_gate() in lib/producer/reserve.c: the reads are over. */
	store_release(&l->cursor->position, to->position);
	if (l->hot.lost != 0)
		count_loss(c, l);
	l->hot.released = *to;
	bell_order(c->hot.fence); /* [WAKE] pairs with [SLEEP] in lib/producer/wait.c */
	wake_owner(c, l, before);
}

void shmring_rewind(struct shmring_consumer *c)
{
	if (use_check_unless_checked(&c->use) < 0)
		return;
	for (uint64_t lanes = consumer_in_hand(c); lanes != 0; lanes &= lanes - 1) {
		struct reader *l = &c->readers[__builtin_ctzll(lanes)];

		l->hot.at = l->hot.released;
	}
	c->hot.others = 0;
	window_clear(c);
}

/* What was released since consumer_begin_count(). */
static void add_released(const struct shmring_consumer *c, struct shmring_counters *to)
{
	if (c->observer)
		return; /* counts for itself */
	for (unsigned i = 0; i < consumer_geometry(c)->lanes; i++) {
		const struct reader *l = &c->readers[i];

		to->messages += l->hot.released.seq - l->counted.seq;
		to->bytes += l->hot.released.bytes - l->counted.bytes;
	}
}

void consumer_count(struct shmring_consumer *c)
{
	add_released(c, &c->counters);
	consumer_begin_count(c);
}

void consumer_begin_count(struct shmring_consumer *c)
{
	for (unsigned i = 0; i < consumer_geometry(c)->lanes; i++)
		c->readers[i].counted = c->readers[i].hot.released;
}

int shmring_consumer_counters(const struct shmring_consumer *c, struct shmring_counters *ret)
{
	struct shmring_counters counters;

	if (consumer_wiped(c) < 0)
		return -ECHILD;
	counters = c->counters;
	add_released(c, &counters);
	return shmr_output_write(ret, &counters, sizeof(counters),
				 SIZE_UP_TO(struct shmring_counters, system_calls));
}

int shmring_consumer_missed(const struct shmring_consumer *c, uint32_t lane, uint64_t *ret_messages,
			    uint64_t *ret_bytes)
{
	int e = consumer_wiped(c);

	if (e < 0)
		return e;
	if (lane >= consumer_geometry(c)->lanes)
		return explain(-EINVAL, "the ring has no lane %u", (uint64_t)lane);
	*ret_messages = c->readers[lane].missed;
	*ret_bytes = c->readers[lane].missed_bytes;
	return 0;
}
