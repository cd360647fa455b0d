/* SPDX-License-Identifier: MIT */
/*
 * messages: peek, release and receive, as far as they are not in <shmring/consumer-inline.h>.
 *
 * The slow half of peek goes on with the lane whose turn it is, or chooses the next one that has a
 * message (turn.c), or waits (wait.c). The header at the lane's position is read once, and only
 * this copy is checked and used, because another process can change the lane. A header that no
 * producer writes is damage, unless the consumer was evicted meanwhile: then it is payload of a
 * later message, and the consumer looks again where it goes on.
 *
 * The slow half of release first makes sure that the place was kept: else what is in hand is void,
 * and nothing is released. Then it releases lane after lane.
 */
#define SHMRING_INLINE /* here are the functions for callers that do not inline */
#include "atomic.h"    /* first: their stores, too, may be fault points */
#include <errno.h>
#include <string.h>

#include "consumer.h"
#include "explain.h"

/* Only the local copy of the header is used: the producer can change the lane. */
static void hand_out(struct shmring_consumer *c, struct reader *l, uint64_t header,
		     struct shmring_message *ret)
{
	uint64_t length = header_length(header);
	bool first = l->hot.at.position == l->hot.released.position;

	*ret = (struct shmring_message){
		.data = lane_payload(l->lane.data, l->lane.mask, l->hot.at.position,
				     c->hot.payload),
		.len = length,
		.seq = l->hot.at.seq,
		.producer = l->hot.index,
		.flags = first && l->hot.lost != 0 ? SHMRING_AFTER_LOSS : 0,
	};
	l->hot.at.position += consumer_size_of(c, length);
	l->hot.at.seq++;
	l->hot.at.bytes += length;
}

static int report_damage(struct shmring_consumer *c, const struct reader *l)
{
	uint64_t position = l->hot.at.position;
	int e = consumer_keep_place(c, false);

	if (e < 0 || l->hot.at.position != position)
		return e; /* evicted: what looked like a header was newer payload */
	consumer_break(c);
	return explain(-EBADMSG, "lane %u is damaged at position %u", (uint64_t)l->hot.index,
		       l->hot.at.position);
}

/* Where every message comes here, the lane whose turn it is goes on. */
static bool turn_goes_on(const struct shmring_consumer *c)
{
	return consumer_is_slow(c) && c->hot.lane &&
	       (int64_t)(c->hot.turn - c->hot.lane->at.position) > 0 &&
	       reader_has_message(c, current_reader(c));
}

int shmring_slow1_peek(struct shmring_consumer *c, int64_t deadline, struct shmring_message *ret)
{
	if (consumer_wiped(c) < 0)
		return -ECHILD;
	if (use_check_unless_checked(&c->use) < 0)
		return -EBUSY;
	if (c->broken)
		return explain(-EBADMSG, "a producer damaged its lane; this handle is unusable");
	if (c->observer)
		return observer_peek(c, deadline, ret);
	for (;;) {
		struct reader *l;
		uint64_t header;
		int e = 0;

		if (!turn_goes_on(c) && !consumer_look_around(c))
			e = consumer_wait(c, deadline);
		if (e < 0)
			return e;
		l = current_reader(c);
		header = lane_header(&l->lane, l->hot.at.position);
		if (header_is_record(header) && header_length(header) <= c->max_message) {
			hand_out(c, l, header, ret);
			return 0;
		}
		e = report_damage(c, l);
		if (e < 0)
			return e;
	}
}

int shmring_slow1_release(struct shmring_consumer *c)
{
	uint64_t lanes;
	int e = consumer_wiped(c);

	if (e == 0)
		e = use_check_unless_checked(&c->use);
	if (e < 0)
		return e;
	lanes = consumer_in_hand(c);
	if (lanes == 0)
		return 0;
	e = consumer_keep_place(c, true);
	if (e < 0)
		return e;
	for (lanes = consumer_in_hand(c); lanes != 0; lanes &= lanes - 1) {
		struct reader *l = &c->readers[__builtin_ctzll(lanes)];

		consumer_release_lane(c, l, &l->hot.at);
	}
	c->hot.others = 0;
	return 0;
}

/* The message that was just handed out stays where it is. */
static void hand_back(struct shmring_consumer *c, const struct shmring_message *m)
{
	struct reader *l = &c->readers[m->producer];

	l->hot.at.position -= consumer_size_of(c, m->len);
	l->hot.at.seq--;
	l->hot.at.bytes -= m->len;
	if (c->observer) {
		l->hot.released = l->hot.at;
		l->hot.lost += c->observed.lost;
		l->hot.lost_bytes += c->observed.lost_bytes;
		c->counters.messages--;
		c->counters.bytes -= m->len;
		c->counters.lost -= c->observed.lost;
		c->counters.lost_bytes -= c->observed.lost_bytes;
		c->observed.valid = false;
	}
}

ssize_t shmring_receive(struct shmring_consumer *c, void *buf, size_t size, int64_t deadline)
{
	struct shmring_message m;
	int e = shmring_peek(c, deadline, &m);

	if (e < 0)
		return e;
	if (m.len > size) {
		e = consumer_keep_place(c, false); /* is it a message at all? */
		if (e < 0)
			return e;
		hand_back(c, &m);
		return explain(-EMSGSIZE,
			       "the message has %u bytes, the buffer %u; give a larger one, or "
			       "pass over the message with shmring_peek() and shmring_release()",
			       (uint64_t)m.len, (uint64_t)size);
	}
	if (m.len > 0)
		memcpy(buf, m.data, m.len);
	e = shmring_release(c);
	return e < 0 ? e : (ssize_t)m.len;
}

ssize_t shmring_next_length(struct shmring_consumer *c, int64_t deadline)
{
	struct shmring_message m;
	int e = shmring_peek(c, deadline, &m);

	if (e == 0)
		e = consumer_keep_place(c, false); /* is it a message at all? */
	if (e < 0)
		return e;
	hand_back(c, &m);
	return (ssize_t)m.len;
}
