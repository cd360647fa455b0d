/* SPDX-License-Identifier: MIT */
/*
 * turn: which lane is read next.
 *
 * A lane has its turn until it is empty or has given so many bytes. Then the next lane
 * that has a message has its turn, in circular order. The consumer looks at the header at
 * the cursor only, a cache line per lane. In all idle lanes of a ring that line has the
 * same offset, so these lines share one set of the first-level cache. So the path of every
 * message looks at the lanes that had something when they were last looked at, and at a
 * few of the others, in rotation. A consumer that is about to sleep, or to report that
 * there is nothing, looks at all of them.
 */
#include "consumer.h"

#define TURN ((uint64_t)32 << 10) /* bytes: half of the smallest lane */
#define IDLE_LANES_AT_ONCE 4

static struct reader *first_with_message(struct shmring_consumer *c, uint64_t lanes)
{
	for (; lanes != 0; lanes &= lanes - 1) {
		struct reader *l = &c->readers[__builtin_ctzll(lanes)];

		if (reader_has_message(c, l))
			return l;
		c->turn.active &= ~(lanes & -lanes);
	}
	return NULL;
}

/* Messages of this turn, since the last wait. */
static uint64_t count_turn(const struct shmring_consumer *c)
{
	return c->hot.lane ? c->hot.lane->at.seq - c->turn.seq : 0;
}

uint64_t consumer_take_handed_out(struct shmring_consumer *c)
{
	uint64_t count = c->turn.handed_out + count_turn(c);

	c->turn.handed_out = 0;
	c->turn.seq = c->hot.lane ? c->hot.lane->at.seq : 0;
	return count;
}

/* Turns are counted in bytes, so that one lane's long messages do not starve another. */
static void begin_turn(struct shmring_consumer *c, struct reader *l)
{
	if (c->hot.lane && c->hot.lane != &l->hot && !c->observer)
		window_note(c);
	c->turn.handed_out += count_turn(c);
	c->hot.others = consumer_in_hand(c) & ~(UINT64_C(1) << l->hot.index);
	c->hot.lane = &l->hot;
	c->hot.turn = consumer_bounded_turn(c, l, l->hot.at.position + TURN);
	c->hot.limit = consumer_is_slow(c) ? 0 : c->max_message + 1;
	c->turn.active |= UINT64_C(1) << l->hot.index;
	c->turn.seq = l->hot.at.seq;
}

/* The next of `lanes`, behind the current one first, that has a message. */
static bool look_at_lanes(struct shmring_consumer *c, uint64_t lanes)
{
	unsigned first = c->hot.lane ? c->hot.lane->index + 1 : 0;
	uint64_t later = first < 64 ? lanes >> first << first : 0;
	struct reader *l = first_with_message(c, later);

	if (!l)
		l = first_with_message(c, lanes & ~later);
	if (!l)
		return false;
	begin_turn(c, l);
	return true;
}

bool consumer_look(struct shmring_consumer *c)
{
	consumer_adopt_lanes(c);
	return look_at_lanes(c, c->lanes.adopted);
}

/* Some of the lanes that had nothing last time, others every time. */
static uint64_t some_idle_lanes(struct shmring_consumer *c)
{
	uint64_t idle = c->lanes.adopted & ~c->turn.active;
	uint64_t some = 0;

	if (__builtin_popcountll(idle) <= IDLE_LANES_AT_ONCE)
		return idle;
	for (int n = 0; n < IDLE_LANES_AT_ONCE; n++) {
		uint64_t later = idle >> c->turn.next_idle << c->turn.next_idle;
		unsigned lane = (unsigned)__builtin_ctzll(later != 0 ? later : idle);

		some |= UINT64_C(1) << lane;
		idle &= ~some;
		c->turn.next_idle = (lane + 1) % LAYOUT_LANES;
	}
	return some;
}

bool consumer_look_around(struct shmring_consumer *c)
{
	consumer_adopt_lanes(c);
	return look_at_lanes(c, c->turn.active | some_idle_lanes(c));
}
