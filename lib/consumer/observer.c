/* SPDX-License-Identifier: MIT */
/*
 * observer: reads without a cursor, so producers neither wait for it nor know
 * of it. An observer copies each message and looks afterwards whether the lane's owner
 * may have been overwriting it meanwhile [OVERRUN]. If so, it drops the copy, and goes on
 * half a lane further, where it knows exactly how much it missed (the chunk index).
 *
 * An observer maps everything read-only and sleeps in short slices on the consumers'
 * bell, because it cannot ask to be rung for.
 */
#include <errno.h>
#include <string.h>

#include "consumer.h"
#include "explain.h"
#include "sys.h"

#define RELOCATIONS 100 /* in one call, before others get their turn */

enum sight { NOTHING, MESSAGE, OVERRUN, DAMAGE };

/* Has the owner left this position alone until now? */
static bool still_whole(const struct reader *l, uint64_t position)
{
	fence_acquire(); /* [OVERRUN] pairs with announce() */
	return lane_holds(l->lane.mask, load_relaxed(&l->lane.control->reserved), position);
}

/* Copy prefix and payload. The owner may be writing there: word by word, and checked afterwards. */
static void copy_words(unsigned char *to, const struct reader *l, uint64_t length)
{
	const shm_u64 *from = (const shm_u64 *)(uintptr_t)lane_payload(
		l->lane.data, l->lane.mask, l->hot.at.position, RECORD_HEADER);

	for (uint64_t i = 0; i < (length + 7) / 8; i++) {
		uint64_t word = load_relaxed(&from[i]);

		memcpy(to + 8 * i, &word, 8);
	}
}

static enum sight look_and_copy(struct shmring_consumer *c, const struct reader *l,
				uint64_t *ret_header)
{
	uint64_t header = lane_header(&l->lane, l->hot.at.position);
	uint64_t length = header_length(header);
	bool sound = header_is_record(header) && length <= c->max_message;

	if (header != 0 && sound)
		copy_words(c->observed.copy, l, consumer_geometry(c)->prefix_size + length);
	if (!still_whole(l, l->hot.at.position))
		return OVERRUN;
	*ret_header = header;
	return header == 0 ? NOTHING : sound ? MESSAGE : DAMAGE;
}

/* Go on where there is some time left until the owner comes round again. */
static void relocate(struct reader *l)
{
	struct shmring_boundary to;

	if (!shmr_lane_oldest(&l->lane, (l->lane.mask + 1) / 2, &to) &&
	    !shmr_lane_newest(&l->lane, &to))
		return; /* just being rewritten: the next look finds it */
	if ((int64_t)(to.position - l->hot.at.position) < 0)
		return;
	l->hot.lost += to.seq - l->hot.at.seq;
	l->hot.lost_bytes += to.bytes - l->hot.at.bytes;
	l->hot.at = to;
}

/* The copy begins with the prefix. */
static void hand_out_copy(struct shmring_consumer *c, struct reader *l, uint64_t header,
			  struct shmring_message *ret)
{
	*ret = (struct shmring_message){
		.data = c->observed.copy + consumer_geometry(c)->prefix_size,
		.len = header_length(header),
		.seq = l->hot.at.seq,
		.producer = l->hot.index,
		.flags = l->hot.lost != 0 ? SHMRING_AFTER_LOSS : 0,
	};
	c->observed = (struct observed){
		.copy = c->observed.copy,
		.header = header,
		.seq = l->hot.at.seq,
		.lost = l->hot.lost,
		.lost_bytes = l->hot.lost_bytes,
		.lane = l->hot.index,
		.valid = true,
	};
	l->hot.at.position += consumer_size_of(c, ret->len);
	l->hot.at.seq++;
	l->hot.at.bytes += ret->len;
	l->hot.lost = l->hot.lost_bytes = 0;
	c->counters.messages++;
	c->counters.bytes += ret->len;
	c->counters.lost += c->observed.lost;
	c->counters.lost_bytes += c->observed.lost_bytes;
}

/* 1: a message; 0: none in this lane now; -EBADMSG. */
static int observe_lane(struct shmring_consumer *c, struct reader *l, struct shmring_message *ret)
{
	for (int tries = 0; tries < RELOCATIONS; tries++) {
		uint64_t header;

		switch (look_and_copy(c, l, &header)) {
		case NOTHING:
			return 0;
		case MESSAGE:
			hand_out_copy(c, l, header, ret);
			return 1;
		case OVERRUN:
			relocate(l);
			break;
		case DAMAGE:
			c->broken = true;
			return explain(-EBADMSG, "lane %u is damaged at position %u",
				       (uint64_t)l->hot.index, l->hot.at.position);
		}
	}
	return 0;
}

/* One lane after the other, beginning behind the lane that had something last. */
static int observe_any(struct shmring_consumer *c, struct shmring_message *ret)
{
	unsigned lanes = consumer_geometry(c)->lanes;
	unsigned first = c->hot.lane ? c->hot.lane->index : 0;

	consumer_adopt_lanes(c);
	for (unsigned i = 0; i < lanes; i++) {
		struct reader *l = &c->readers[(first + i) % lanes];
		int n;

		if (!(c->lanes.adopted >> l->hot.index & 1) || reader_is_done(c, l))
			continue;
		n = observe_lane(c, l, ret);
		if (n == 0)
			continue;
		c->hot.lane = &c->readers[(l->hot.index + 1) % lanes].hot;
		return n;
	}
	return 0;
}

static int begin_lane(const struct shmring_consumer *c, struct reader *l, enum shmring_start start)
{
	for (int tries = 0; tries < RELOCATIONS; tries++) {
		struct shmring_boundary from;
		int e = 0;

		if (start != SHMRING_START_NOW) {
			if (!shmr_lane_oldest(&l->lane, l->lane.mask + 1, &l->hot.at))
				continue;
			reader_begin(l, start);
			return 0;
		}
		if (!shmr_lane_newest(&l->lane, &from))
			continue;
		l->hot.at = from;
		e = shmr_lane_walk(&l->lane, consumer_geometry(c), &l->hot.at, POSITION_NONE);
		if (still_whole(l, from.position)) /* or the walk went through newer payload */
			return e;
	}
	return explain(-EBADMSG, "lane %u is damaged: its index is empty", (uint64_t)l->hot.index);
}

int observer_begin(struct shmring_consumer *c, enum shmring_start start)
{
	int e;

	consumer_adopt_lanes(c);
	while ((e = consumer_settle_files(c)) > 0)
		;
	for (uint64_t lanes = c->lanes.adopted; e == 0 && lanes != 0; lanes &= lanes - 1)
		e = begin_lane(c, &c->readers[__builtin_ctzll(lanes)], start);
	return e;
}

/* [SLEEP] pairs with shmr_bell_ring_data(), if somebody else made it ring. */
static int sleep_a_slice(struct shmring_consumer *c, int64_t deadline)
{
	const shm_u32 *bell = &c->bell.shared->data_bell;

	return shmr_bell_sleep(&c->bell, bell, load_acquire32(bell), deadline, &c->counters);
}

/* As consumer_check_end(); 1: a message was handed out. */
static int check_end(struct shmring_consumer *c, bool waits, struct shmring_message *ret)
{
	int e = shmr_peers_check(&c->end.producers, &c->attachment, waits, &c->counters);
	int n;

	if (e == 0 || !consumer_has_all_files(c))
		return 0;
	n = observe_any(c, ret); /* E3 in peers.h */
	return n != 0 ? n : shmr_peers_explain(&c->end.producers, &c->attachment, e);
}

/* Spin, then sleep in slices: 0, or why there is no message. */
static int wait_for_message(struct shmring_consumer *c, int64_t deadline,
			    struct shmring_message *ret)
{
	struct spin spin = { 0 };

	for (;;) {
		bool goes_on = shmr_spin(&spin, &c->bell.spin, deadline, &c->counters);
		int e = 0, n = observe_any(c, ret);

		if (n == 0 && !goes_on)
			n = shmr_bell_check_cancel(&c->bell);
		if (n == 0 && !goes_on)
			n = check_end(c, true, ret);
		if (n != 0)
			return n < 0 ? n : 0;
		if (spin.over && shmr_now() >= deadline)
			return explain(-ETIMEDOUT, "no message came until the deadline");
		if (spin.over)
			e = sleep_a_slice(c, deadline);
		if (e == -EINTR)
			return explain(e, "a signal interrupted the wait for messages");
		if (e < 0)
			return e;
	}
}

int observer_peek(struct shmring_consumer *c, int64_t deadline, struct shmring_message *ret)
{
	int n;

	c->observed.valid = false; /* the copy of the last one is overwritten */
	n = observe_any(c, ret);
	if (n == 0 && c->bounded)
		return consumer_is_at_end();
	if (n == 0)
		n = check_end(c, false, ret);
	if (n != 0)
		return n < 0 ? n : 0;
	if (deadline <= SHMRING_NOWAIT)
		return explain(-EAGAIN, "there is no message");
	c->counters.waits++;
	shmr_bell_begin_wait(&c->bell);
	n = use_begin_sleep(&c->use);
	if (n < 0)
		return n;
	n = wait_for_message(c, deadline, ret);
	use_end_sleep(&c->use);
	return n;
}
