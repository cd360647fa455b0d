/* SPDX-License-Identifier: MIT */
/*
 * until: a consumer that reads no further than the end at its attach
 * (SHMRING_UNTIL_NOW).
 *
 * The end is a position in each lane. For a consumer that begins at SHMRING_START_NOW it is the
 * position where the consumer begins: one look, one moment. A lane whose end has been reached
 * counts as empty, however much its producer goes on to publish. A lane that gets its first owner
 * later is empty from the beginning. The inline path of a message knows nothing of the end: a turn
 * ends there at the latest.
 */
#include <errno.h>

#include "consumer.h"
#include "explain.h"

int consumer_is_at_end(void)
{
	return explain(-ENODATA,
		       "this consumer has got all messages that were published before it attached");
}

/* At least one message, if the lane is not done: the message that reports a loss. */
uint64_t consumer_bounded_turn(const struct shmring_consumer *c, const struct reader *l,
			       uint64_t end)
{
	uint64_t until = l->until;

	if (!c->bounded)
		return end;
	if ((int64_t)(until - l->hot.at.position) <= 0)
		until = l->hot.at.position + 1;
	return (int64_t)(end - until) < 0 ? end : until;
}

static int find_bound(const struct shmring_consumer *c, struct reader *l)
{
	struct tries tries = { 0 };

	do {
		struct shmring_boundary from, end;
		int e;

		if (!shmr_lane_newest(&l->lane, &from))
			continue;
		end = from;
		e = shmr_lane_walk(&l->lane, consumer_geometry(c), &end, POSITION_NONE);
		fence_acquire(); /* [OVERRUN] pairs with announce() */
		if (!lane_holds(l->lane.mask, load_relaxed(&l->lane.control->reserved),
				from.position))
			continue; /* the walk went through newer payload */
		l->until = end.position;
		return e;
	} while (shmr_try_again(&tries));
	return explain(-EBADMSG, "lane %u is damaged: its index is empty", (uint64_t)l->hot.index);
}

int consumer_set_bounds(struct shmring_consumer *c, bool here)
{
	int e = 0;

	consumer_adopt_lanes(c);
	for (unsigned i = 0; i < consumer_geometry(c)->lanes; i++)
		c->readers[i].until = consumer_geometry(c)->first_position;
	for (uint64_t lanes = c->lanes.adopted; e == 0 && lanes != 0; lanes &= lanes - 1) {
		struct reader *l = &c->readers[__builtin_ctzll(lanes)];

		if (here)
			l->until = l->hot.at.position;
		else
			e = find_bound(c, l);
	}
	c->bounded = true;
	return e;
}
