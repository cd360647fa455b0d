/* SPDX-License-Identifier: MIT */
/*
 * lag: evict consumers that are further behind than the ring's limits, or their own.
 *
 * A lane's owner looks when it reserves room, which is once for each sixteenth of its lane,
 * whether or not there is room. It evicts a consumer that is over a limit at two looks, in
 * different chunks or LAG_GRACE_NS apart. What a consumer releases in between does not save it,
 * unless it is within the limit then or has caught up with the first look.
 *
 * The owner may be stopped between a look and the CAS that evicts, for any time. So it marks an
 * ACTIVE consumer SUSPECT first, and evicts it by what it sees afterwards: a release that begins
 * behind the mark clears it, and the CAS fails (model/evict.pml, LIMIT). The CAS names the word
 * that was read before the cursor, and precedes what is overwritten [EVICT].
 *
 * Messages carry no time. The owner remembers when its lane's end got into each chunk: a
 * message in chunk k was published before the end got into chunk k + 1.
 */
#include "producer.h"
#include "sys.h"

#define LAG_TRIES 16 /* two for each mark */

void producer_note_time(struct shmring_producer *p, uint64_t from, uint64_t to)
{
	int64_t now = shmr_now();

	if (to - from > LAYOUT_CHUNKS)
		from = to - LAYOUT_CHUNKS;
	while (from != to)
		p->lag.entered_ns[++from % LAYOUT_CHUNKS] = now;
	/* A consumer that was over its limit was so in another chunk. */
	for (unsigned slot = 0; slot < LAYOUT_CONSUMERS; slot++)
		p->lag.over[slot].since_ns = now - LAG_GRACE_NS;
}

/* How long ago was the message at `cursor` published, at least? */
static int64_t age_of(const struct shmring_producer *p, uint64_t cursor, int64_t now)
{
	const uint64_t chunk = p->attachment.ring->geometry.chunk;
	const uint64_t next = (cursor / chunk + 1) * chunk;

	if ((int64_t)(p->reserve.noted_chunk * chunk - next) < 0)
		return 0;
	return now - p->lag.entered_ns[next / chunk % LAYOUT_CHUNKS];
}

static bool is_over(const struct shmring_producer *p, unsigned slot, uint64_t status,
		    uint64_t cursor, int64_t now)
{
	uint64_t behind = published_end(p).position - cursor;
	uint64_t bytes, ns;

	if (cursor == POSITION_NONE || (int64_t)behind <= 0)
		return false;
	registry_limits(&p->attachment.ring->geometry,
			&p->attachment.registry->consumer_holder[slot], status, &bytes, &ns);
	return (bytes != 0 && behind > bytes) || (ns != 0 && age_of(p, cursor, now) > (int64_t)ns);
}

/* [RELEASE] pairs with shmring_release(): what it has released does not count. */
static uint64_t cursor_of(const struct shmring_producer *p, unsigned slot)
{
	return load_acquire(&p->rows[slot].lane[p->attachment.slot].position);
}

/*
 * Is this the second look? Remembers the first one. A consumer that has released meanwhile
 * all that was there at the first look has caught up, and begins anew.
 */
static bool is_over_again(struct shmring_producer *p, unsigned slot, uint64_t status, int64_t now)
{
	uint64_t cursor = cursor_of(p, slot);
	uint32_t epoch = status_epoch(status);

	if (!is_over(p, slot, status, cursor, now)) {
		p->lag.over[slot].epoch = 0;
		return false;
	}
	if (p->lag.over[slot].epoch == epoch && (int64_t)(p->lag.over[slot].end - cursor) > 0) {
		p->lag.pending |= now - p->lag.over[slot].since_ns < LAG_GRACE_NS;
		return now - p->lag.over[slot].since_ns >= LAG_GRACE_NS;
	}
	p->lag.over[slot].epoch = epoch;
	p->lag.over[slot].end = published_end(p).position;
	p->lag.over[slot].since_ns = now;
	p->lag.pending = true;
	return false;
}

/* A joiner has no cursor to go by yet. */
static bool may_be_evicted(uint64_t status)
{
	return (status_flags(status) & (PLACE_EVICTABLE | PLACE_LIMITED)) != 0 &&
	       status_gates(status) && status_state(status) != PLACE_JOINING;
}

/* [PLACE] pairs with move_on() and announce_limits(): its cursor and its limits stand. */
static uint64_t status_of(const struct shmring_producer *p, unsigned slot)
{
	return load_acquire(&p->attachment.registry->consumer_status[slot]);
}

/*
 * Is it still over its limit, and has not caught up? `status` was loaded before. No message is
 * younger than at `now`, which may be long ago.
 */
static bool is_still_over(const struct shmring_producer *p, unsigned slot, uint64_t status,
			  int64_t now)
{
	uint64_t cursor = cursor_of(p, slot);

	return (int64_t)(p->lag.over[slot].end - cursor) > 0 &&
	       is_over(p, slot, status, cursor, now);
}

/* An active consumer is marked first; a kept place has no process that could release. */
static enum place_state next_state(uint64_t status)
{
	switch (status_state(status)) {
	case PLACE_ACTIVE:
		return PLACE_SUSPECT;
	case PLACE_DETACHED:
		return PLACE_LAPSED;
	default:
		return PLACE_EVICTED;
	}
}

/*
 * Mark, look, evict. A consumer that releases often may take the mark away before the look is
 * over, and remain over its limit: then all of it is done again, a few times.
 */
static bool evict_laggard(struct shmring_producer *p, unsigned slot, uint32_t epoch, int64_t now)
{
	shm_u64 *word = &p->attachment.registry->consumer_status[slot];

	for (unsigned tries = 0; tries < LAG_TRIES; tries++) {
		uint64_t status = status_of(p, slot);
		enum place_state next = next_state(status);

		if (status_epoch(status) != epoch || !may_be_evicted(status) ||
		    !is_still_over(p, slot, status, now))
			return false;
		/* [EVICT] pairs with consumer_keep_place(): it precedes the overwriting. */
		if (compare_and_swap(word, status, status_next(status, next)) &&
		    next != PLACE_SUSPECT)
			return true;
	}
	p->lag.pending = true;
	return false;
}

bool producer_evict_laggards(struct shmring_producer *p)
{
	int64_t now = shmr_now();
	uint64_t evicted = 0;

	p->lag.pending = false;
	for (unsigned slot = 0; slot < LAYOUT_CONSUMERS; slot++) {
		uint64_t status = status_of(p, slot);

		if (may_be_evicted(status) && is_over_again(p, slot, status, now))
			evicted += evict_laggard(p, slot, status_epoch(status), now);
	}
	shmr_tally(&p->lane.control->counts.evictions, evicted);
	if (evicted > 0)
		producer_tell_others(p);
	return evicted > 0;
}
