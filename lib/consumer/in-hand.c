/* SPDX-License-Identifier: MIT */
/*
 * in-hand: what a message in hand can be asked. Nothing is kept for it while messages are
 * handed out, so that a message costs few stores:
 *
 *  - A loss lies before the first message in hand of its lane, and is kept there (hot.lost)
 *    until that message is released. A lane has one at most: it is found when the cursor is
 *    placed, and then nothing is in hand.
 *  - Tenancy and stamp are in the record, where the message is.
 *  - Of an observer's message both are in the copy, and in `observed`.
 */
#include <errno.h>
#include <string.h>

#include "consumer.h"
#include "explain.h"
#include "stamp.h"

static int not_in_hand(void)
{
	return explain(-EINVAL, "the message is not in hand: ask between the peek that hands it "
				"out and its release");
}

/* Find the lane of a message in hand: its seq was handed out, and is not released. */
static int find_lane_in_hand(const struct shmring_consumer *c, const struct shmring_message *m,
			     const struct reader **ret)
{
	const struct reader *l;

	if (consumer_wiped(c) < 0)
		return -ECHILD;
	if (m->producer >= consumer_geometry(c)->lanes)
		return not_in_hand();
	l = &c->readers[m->producer];
	if (c->observer &&
	    !(c->observed.valid && c->observed.lane == m->producer && c->observed.seq == m->seq))
		return not_in_hand();
	if (!c->observer && m->seq - l->hot.released.seq >= l->hot.at.seq - l->hot.released.seq)
		return not_in_hand();
	*ret = l;
	return 0;
}

int shmring_message_lost(const struct shmring_consumer *c, const struct shmring_message *m,
			 uint64_t *ret_messages, uint64_t *ret_bytes)
{
	const struct reader *l;
	bool first;
	int e = find_lane_in_hand(c, m, &l);

	if (e < 0)
		return e;
	first = m->seq == l->hot.released.seq;
	*ret_messages = c->observer ? c->observed.lost : first ? l->hot.lost : 0;
	*ret_bytes = c->observer ? c->observed.lost_bytes : first ? l->hot.lost_bytes : 0;
	return 0;
}

/* Where the record of a lossless consumer's message begins in its lane, in bytes. */
static int find_record(const struct shmring_consumer *c, const struct shmring_message *m,
		       const struct reader *l, uint64_t *ret)
{
	uint64_t at = (uint64_t)((const unsigned char *)m->data - l->lane.data) - c->hot.payload;

	if (c->broken)
		return explain(-EBADMSG, "a producer damaged its lane; this handle is unusable");
	if (at > l->lane.mask || !position_is_sound(at))
		return not_in_hand();
	*ret = at;
	return 0;
}

int shmring_message_tenancy(const struct shmring_consumer *c, const struct shmring_message *m,
			    uint32_t *ret)
{
	const struct reader *l;
	uint64_t header = c->observed.header, at = 0;
	int e = find_lane_in_hand(c, m, &l);

	if (e == 0 && !c->observer) {
		e = find_record(c, m, l, &at);
		if (e == 0)
			header = load_relaxed(lane_word(l->lane.data, l->lane.mask, at));
	}
	if (e < 0)
		return e;
	*ret = header_tenancy(header);
	return 0;
}

int shmring_message_stamp(const struct shmring_consumer *c, const struct shmring_message *m,
			  uint64_t *ret_ns)
{
	const struct geometry *g;
	const struct reader *l;
	uint64_t stamp, at = 0;
	int e = find_lane_in_hand(c, m, &l);

	if (e == 0 && !c->observer)
		e = find_record(c, m, l, &at);
	if (e < 0)
		return e;
	g = consumer_geometry(c);
	if (g->stamps == SHMRING_STAMP_NONE) {
		*ret_ns = 0;
		return 0;
	}
	if (c->observer)
		memcpy(&stamp, c->observed.copy + record_word(g, PREFIX_STAMP) - RECORD_HEADER,
		       sizeof(stamp));
	else
		stamp = load_relaxed(lane_stamp(&l->lane, g, at));
	*ret_ns = stamp_ns(g, stamp);
	return 0;
}
