/* SPDX-License-Identifier: MIT */
/*
 * announce: what a consumer tells producers before it sleeps: its bit in `sleepers`, and its
 * watermarks.
 *
 * The announcement is the first step of [SLEEP] in doorbell.h. The caller reads the bell before it,
 * and looks once more behind it. Then the caller sleeps (sleep.c), or an event loop does (fd.c). A
 * producer takes the bit away as it rings.
 *
 * A watermark is for a consumer that wants throughput: it sleeps until there is more than one
 * message. The producers count for the consumer, because they know how far their lanes are (D5 in
 * doorbell.h). The consumer stores how far that shall be, and then announces itself. No producer
 * can count over several lanes, so each lane has its own watermark. Watermarks change only while
 * the consumer is not announced. In a lane that the consumer has not adopted every message rings.
 *
 * A watermark is about sleeping only: a consumer that finds messages takes them at once. And
 * it holds no producer back: a lane is due when the consumer holds half of it.
 *
 * A quiet consumer does not announce itself, so no producer rings for it. It sleeps as long as an
 * observer, and looks again.
 */
#include <errno.h>

#include "consumer.h"
#include "explain.h"
#include "sys.h"

/*
 * All producers that have published since the barrier that followed the bit have seen it,
 * or will see it, if it still stands. [SLEEP] pairs with bell_order().
 */
void consumer_announce(struct shmring_consumer *c)
{
	struct doorbell *shared = c->bell.shared;
	uint64_t bit = UINT64_C(1) << c->attachment.slot;

	if (!c->announce.quiet && !(load_relaxed(&shared->sleepers) & bit)) {
		fetch_or(&shared->sleepers, bit);
		shmr_bell_barrier(&c->bell, &c->counters);
	}
}

/* [SLEEP] pairs with shmr_bell_ring_data(), which may be quicker. */
void consumer_take_back(struct shmring_consumer *c)
{
	uint64_t bit = UINT64_C(1) << c->attachment.slot;

	if (load_relaxed(&c->bell.shared->sleepers) & bit)
		fetch_and(&c->bell.shared->sleepers, ~bit);
}

int64_t consumer_longest_sleep(const struct shmring_consumer *c)
{
	const int64_t longest = (int64_t)c->bell.max_sleep_ns;

	if (c->announce.within_ns > 0 && c->announce.within_ns < longest)
		return c->announce.within_ns;
	return c->announce.quiet && BELL_UNANNOUNCED_NS < longest ? BELL_UNANNOUNCED_NS : longest;
}

static uint64_t watermark_of(const struct shmring_consumer *c, const struct reader *l)
{
	if (c->announce.messages != 0)
		return watermark_messages(l->hot.at.seq + c->announce.messages);
	return watermark_bytes(l->hot.at.position + ((c->announce.bytes + 7) & ~UINT64_C(7)));
}

/*
 * In lanes that the consumer has not adopted, every message wakes it. [WATERMARK] pairs with
 * shmring_slow1_wake_consumers(): with the announcement, which follows, it sees this.
 */
void consumer_raise_watermarks(struct shmring_consumer *c)
{
	consumer_take_back(c);
	for (unsigned i = 0; i < consumer_geometry(c)->lanes; i++) {
		struct reader *l = &c->readers[i];

		store_relaxed(&l->cursor->watermark,
			      c->lanes.adopted >> i & 1 ? watermark_of(c, l) : 0);
	}
	if (!c->announce.patient)
		fetch_or(&c->bell.shared->patient, UINT64_C(1) << c->attachment.slot);
	c->announce.patient = true;
}

/* Every message rings again. [WATERMARK] pairs with shmring_slow1_wake_consumers(). */
void consumer_drop_watermarks(struct shmring_consumer *c)
{
	if (!c->announce.patient)
		return;
	consumer_take_back(c);
	fetch_and(&c->bell.shared->patient, ~(UINT64_C(1) << c->attachment.slot));
	c->announce.patient = false;
}

void consumer_clear_announcement(struct shmring_consumer *c)
{
	c->announce.patient = true;
	consumer_drop_watermarks(c);
}

/* Is the lane due, or damaged? The consumer reports damage when it reads. */
static bool lane_is_due(const struct shmring_consumer *c, const struct reader *l)
{
	const uint64_t watermark = watermark_of(c, l);
	uint64_t position = l->hot.at.position;
	uint64_t seq = l->hot.at.seq;
	uint64_t header;

	while ((header = lane_header(&l->lane, position)) != 0) {
		if (!header_is_record(header) || header_length(header) > c->max_message)
			return true;
		position += consumer_size_of(c, header_length(header));
		if (watermark_reached(watermark, position, ++seq, l->hot.released.position,
				      l->lane.mask + 1))
			return true;
	}
	return false;
}

bool consumer_is_due(struct shmring_consumer *c)
{
	consumer_adopt_lanes(c);
	for (uint64_t lanes = c->lanes.adopted; lanes != 0; lanes &= lanes - 1)
		if (lane_is_due(c, &c->readers[__builtin_ctzll(lanes)]))
			return true;
	return false;
}

static int check_watermark(const struct shmring_consumer *c, uint64_t messages, uint64_t bytes,
			   int64_t within_ns)
{
	if (consumer_wiped(c) < 0)
		return -ECHILD;
	if (c->observer)
		return explain(-EINVAL,
			       "producers do not wake observers, so an observer has no watermark");
	if (messages != 0 && bytes != 0)
		return explain(-EINVAL,
			       "a watermark is a number of messages or of bytes, not both");
	if (messages > INT64_MAX / 4 || bytes > INT64_MAX / 4 || within_ns < 0)
		return explain(-EINVAL, "a watermark is at most 2^61, and its time is not "
					"negative");
	return 0;
}

int shmring_consumer_watermark(struct shmring_consumer *c, uint64_t messages, uint64_t bytes,
			       int64_t within_ns)
{
	int e = check_watermark(c, messages, bytes, within_ns);

	if (e < 0)
		return e;
	consumer_drop_watermarks(c);
	c->announce.messages = messages > 1 ? messages : 0;
	c->announce.bytes = bytes;
	c->announce.within_ns = within_ns;
	c->fd.waitable.no_spin = consumer_has_watermark(c);
	return 0;
}

int shmring_consumer_quiet(struct shmring_consumer *c, int quiet)
{
	int e = consumer_wiped(c);

	if (e < 0)
		return e;
	c->announce.quiet = quiet != 0;
	if (quiet && !c->observer)
		consumer_take_back(c);
	return 0;
}
