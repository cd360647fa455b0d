/* SPDX-License-Identifier: MIT */
/*
 * read: hand out messages and take them back. What every message pays is one
 * load of its header, and when it is released a store of the cursor and a load
 * of the position that the lane's owner may be waiting for.
 */
#include <errno.h>
#include <string.h>

#include "consumer.h"
#include "explain.h"

static int wiped(const struct shmring_consumer *c)
{
	return c->attachment.ring ?
		       0 :
		       explain(-ECHILD, "this consumer belongs to the parent process; attach one here");
}

/* [PUBLISH] pairs with publish_from_batch() in lib/producer. */
static inline uint64_t read_header(const struct reader *l)
{
	return load_acquire(lane_word(l->lane.data, l->lane.mask, l->at.position));
}

static inline bool header_sound(const struct shmring_consumer *c, uint64_t header)
{
	return (header & HEADER_VALID) && header_length(header) <= c->max_message;
}

/* Only the local copy of the header is used: the lane is somebody else's. */
static inline void hand_out(struct shmring_consumer *c, struct reader *l, uint64_t header,
			    struct shmring_message *ret)
{
	uint64_t length = header_length(header);

	ret->data = lane_payload(l->lane.data, l->lane.mask, l->at.position);
	ret->len = length;
	ret->seq = l->at.seq;
	ret->producer = l->index;
	ret->tenancy = header_tenancy(header);
	ret->lost = 0;
	ret->lost_bytes = 0;
	if (!likely(l->lost == 0) && l->at.position == l->released.position) {
		ret->lost = l->lost;
		ret->lost_bytes = l->lost_bytes;
	}
	l->at.position += record_size(length, c->align_mask);
	l->at.seq++;
	l->at.bytes += length;
	c->touched |= UINT64_C(1) << l->index;
	c->burst--;
}

static int damaged(struct shmring_consumer *c, const struct reader *l)
{
	uint64_t position = l->at.position;
	int e = consumer_keep_place(c, false);

	if (e < 0 || l->at.position != position)
		return e; /* evicted: what we took for a header was newer payload */
	c->broken = true;
	return explain(-EBADMSG, "lane %u is damaged at position %u", (uint64_t)l->index, l->at.position);
}

static __attribute__((noinline)) int peek_slowly(struct shmring_consumer *c, int64_t deadline,
						 struct shmring_message *ret)
{
	if (wiped(c) < 0)
		return -ECHILD;
	if (c->broken)
		return explain(-EBADMSG, "a producer damaged its lane; this handle is unusable");
	if (c->observer)
		return observer_peek(c, deadline, ret);
	for (;;) {
		struct reader *l;
		uint64_t header;
		int e = 0;

		if (!consumer_look(c))
			e = consumer_wait(c, deadline);
		if (e < 0)
			return e;
		l = c->current;
		header = read_header(l);
		if (header_sound(c, header)) {
			hand_out(c, l, header, ret);
			return 0;
		}
		e = damaged(c, l);
		if (e < 0)
			return e;
	}
}

static inline bool peek_at_once(struct shmring_consumer *c, struct shmring_message *ret)
{
	uint64_t header;

	if (!likely(c->burst > 0))
		return false;
	header = read_header(c->current);
	if (!likely(header_sound(c, header)))
		return false;
	hand_out(c, c->current, header, ret);
	return true;
}

int shmring_peek(struct shmring_consumer *c, int64_t deadline, struct shmring_message *ret)
{
	return likely(peek_at_once(c, ret)) ? 0 : peek_slowly(c, deadline, ret);
}

int shmring_peek_batch(struct shmring_consumer *c, int64_t deadline, struct shmring_message *ret,
		       int count)
{
	int n = 0;
	int e;

	if (count < 1)
		return explain(-EINVAL, "a batch has 1 or more messages");
	while (n < count && peek_at_once(c, &ret[n]))
		n++;
	if (n > 0)
		return n;
	e = peek_slowly(c, deadline, &ret[0]);
	if (e < 0)
		return e;
	for (n = 1; n < count && peek_at_once(c, &ret[n]);)
		n++;
	return n;
}

/*
 * Whichever instruction we die at, one mark is whole and belongs to the cursor
 * as it stands.
 */
static void write_mark(struct reader *l)
{
	struct cursor_mark *mark = &l->cursor->mark[l->next_mark];

	store_release(&mark->position, POSITION_NONE);
	store_release(&mark->seq, l->at.seq);
	store_release(&mark->bytes, l->at.bytes);
	store_release(&mark->position, l->at.position);
	l->next_mark ^= 1;
}

static inline void release_lane(struct shmring_consumer *c, struct reader *l)
{
	uint64_t before = l->released.position;
	uint64_t wanted;

	if (!likely(!c->named))
		write_mark(l);
	/* [RELEASE] pairs with read_gate() in lib/producer: our reads are over. */
	store_release(&l->cursor->position, l->at.position);
	c->counters.messages += l->at.seq - l->released.seq;
	c->counters.bytes += l->at.bytes - l->released.bytes;
	l->released = l->at;
	if (!likely(l->lost == 0)) {
		c->counters.lost += l->lost;
		c->counters.lost_bytes += l->lost_bytes;
		l->lost = l->lost_bytes = 0;
	}
	bell_order(c->fence); /* [WAKE] pairs with [SLEEP] in lib/producer/room.c */
	wanted = load_relaxed(&l->lane.control->room_wanted);
	if (!likely(wanted == POSITION_NONE) && (int64_t)(l->at.position - wanted) >= 0 &&
	    (int64_t)(before - wanted) < 0)
		shmr_bell_ring_room(&c->bell, l->index, &c->counters);
}

static inline int release(struct shmring_consumer *c)
{
	uint64_t touched = c->touched;

	if (!likely(!c->evictable)) {
		int e = consumer_keep_place(c, true);

		if (e < 0)
			return e;
	}
	c->touched = 0;
	for (; touched != 0; touched &= touched - 1)
		release_lane(c, &c->readers[__builtin_ctzll(touched)]);
	return 0;
}

int shmring_release(struct shmring_consumer *c)
{
	if (!likely(c->touched != 0))
		return wiped(c);
	return release(c);
}

void shmring_rewind(struct shmring_consumer *c)
{
	for (uint64_t touched = c->touched; touched != 0; touched &= touched - 1) {
		struct reader *l = &c->readers[__builtin_ctzll(touched)];

		l->at = l->released;
	}
	c->touched = 0;
}

/* The message that was just handed out stays where it is. */
static void hand_back(struct shmring_consumer *c, const struct shmring_message *m)
{
	struct reader *l = &c->readers[m->producer];

	l->at.position -= record_size(m->len, c->align_mask);
	l->at.seq--;
	l->at.bytes -= m->len;
	if (c->observer) {
		l->released = l->at;
		l->lost += m->lost;
		l->lost_bytes += m->lost_bytes;
		c->counters.messages--;
		c->counters.bytes -= m->len;
		c->counters.lost -= m->lost;
		c->counters.lost_bytes -= m->lost_bytes;
		return;
	}
	c->burst++;
	if (l->at.position == l->released.position)
		c->touched &= ~(UINT64_C(1) << l->index);
}

ssize_t shmring_receive(struct shmring_consumer *c, void *buf, size_t size, int64_t deadline)
{
	struct shmring_message m;
	int e = shmring_peek(c, deadline, &m);

	if (e < 0)
		return e;
	if (m.len > size) {
		hand_back(c, &m);
		return explain(-EMSGSIZE, "the message has %u bytes, the buffer %u", (uint64_t)m.len,
			       (uint64_t)size);
	}
	if (m.len > 0)
		memcpy(buf, m.data, m.len);
	e = shmring_release(c);
	return e < 0 ? e : (ssize_t)m.len;
}

int shmring_consumer_counters(const struct shmring_consumer *c, struct shmring_counters *ret)
{
	if (wiped(c) < 0)
		return -ECHILD;
	*ret = c->counters;
	return 0;
}

int shmring_consumer_memory(const struct shmring_consumer *c, struct shmring_memory_report *ret)
{
	if (wiped(c) < 0)
		return -ECHILD;
	*ret = c->attachment.memory;
	ret->resident = 0;
	for (uint64_t lanes = c->lanes; lanes != 0; lanes &= lanes - 1) {
		const struct lane *lane = &c->readers[__builtin_ctzll(lanes)].lane;
		uint64_t resident = shmr_resident(lane->data, lane->mask + 1);

		if (resident == UINT64_MAX) {
			ret->resident = resident;
			break;
		}
		ret->resident += resident;
	}
	return 0;
}
