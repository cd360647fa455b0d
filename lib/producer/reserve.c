/* SPDX-License-Identifier: MIT */
/*
 * reserve: how a producer gets room in its lane, once per chunk.
 *
 *  1. If the published end has entered a new chunk, note it in the index (I4 in lane.h).
 *  2. If the record fits into what was granted before, there is room.
 *  3. Read the cursors of all consumers that gate. The one furthest behind is the gate:
 *     nothing from there on may be overwritten, so the new end is at most a lane ahead of it.
 *  4. Announce the new end in the control block, execute a full fence, and read the cursors
 *     again (I6). A consumer that joins at this moment either is seen now, or sees the
 *     announcement. If it is seen and forbids the new end, take the announcement back and go on
 *     with 3.
 *
 * Between two calls, with the lane size L:
 *
 *    published end <= position <= granted <= reserved
 *    granted <= cursor + L, for each consumer that gates and keeps the rules
 *    granted - 8 bounds `limit`, which the inline claim goes by; so does next_note - 8
 *
 * `granted` only grows, because step 3 is reached when it is too small. next_note is the end of
 * the chunk in which the record of the last call ends. So the first record that leaves this
 * chunk comes here, and the index gets its entry.
 */
#include <errno.h>

#include "producer.h"

/* Readers farther behind than this are not answering us; in bytes. */
#define STREAM_LAG ((uint64_t)2048)
#define RESERVE_AT_ONCE ((uint64_t)1 << 16) /* bytes, but at most a quarter lane */

/* I4: the published end becomes a boundary when it has entered a new chunk. */
static void note_end(struct shmring_producer *p)
{
	const struct shmring_boundary end = published_end(p);
	uint64_t chunk = end.position / chunk_size(p);

	if (chunk == p->reserve.noted_chunk)
		return;
	shmr_lane_note(&p->lane, &end, chunk_size(p));
	if (p->lag.looked_for)
		producer_note_time(p, p->reserve.noted_chunk, chunk);
	p->reserve.noted_chunk = chunk;
}

/*
 * Find the gate: the cursor that is furthest behind `target`, an end that this producer wants.
 *
 * A cursor comes from shared memory and may hold any value. Cursors are compared by their
 * distances behind `target`, which are differences modulo 2^64, so it does not matter whether a
 * position has passed 2^64.
 *
 *  - A consumer that keeps the rules is less than two lanes behind: it has held this producer, or
 *    the one before, within a lane of its cursor, and a record takes half a lane at most.
 *  - A distance of 2^63 or more is a cursor ahead of `target`, where nothing was written yet.
 *    It is nonsense, and holds no producer back. The consumer that stored it may lose messages.
 *  - All other distances, which are without a sign below 2^63, have the order of the cursors: the
 *    largest one is the furthest behind. To compare the cursors themselves would be wrong:
 *    a forged one may lie on the other side of 2^64, and then it is the smaller number although
 *    it is ahead, or the greater although it is behind.
 *  - A cursor between the published end and `target` is forged, too. Nothing is wrong with it as
 *    a gate: it allows all that its consumer could ask for.
 *  - A cursor that is forged far behind closes the gate as a slow consumer does, and is
 *    evicted, or holds the producer back, by the same rules.
 */
static void read_gate(const struct shmring_producer *p, uint64_t target, struct gate *gate)
{
	struct registry *registry = p->attachment.registry;
	bool limits = layout_has_limits(&p->attachment.ring->geometry);
	unsigned consumers = 0;

	*gate = (struct gate){ .closed = false };
	for (unsigned slot = 0; slot < LAYOUT_CONSUMERS; slot++) {
		/* [PLACE] pairs with move_on(): its cursor stands. */
		uint64_t status = load_acquire(&registry->consumer_status[slot]);
		uint64_t cursor;

		if (!status_gates(status))
			continue;
		consumers++;
		limits = limits || (status_flags(status) & PLACE_LIMITED) != 0;
		/* [RELEASE] pairs with shmring_release(): its reads are over. */
		cursor = load_acquire(&p->rows[slot].lane[p->attachment.slot].position);
		if (cursor == POSITION_NONE || (int64_t)(target - cursor) < 0)
			continue;
		if (gate->closed && target - cursor <= target - gate->floor)
			continue;
		*gate = (struct gate){ .closed = true,
				       .by_consumer = true,
				       .slot = slot,
				       .status = status,
				       .floor = cursor };
	}
	if (!gate->closed && p->attachment.ring->geometry.unread_policy == SHMRING_UNREAD_HOLD)
		*gate = (struct gate){ .closed = true, .floor = p->reserve.floor };
	gate->limits = limits;
	gate->consumers = consumers;
}

/* The end of the chunk in which the record ends. */
static uint64_t chunk_end(const struct shmring_producer *p, uint64_t size)
{
	return (record_end(p, size) + chunk_size(p) - 1) & ~(chunk_size(p) - 1);
}

/*
 * How much to reserve for it: up to the chunk's end, and in small lanes some
 * chunks more, because asking the cursors costs as much as writing a kilobyte.
 */
uint64_t producer_wanted_end(const struct shmring_producer *p, uint64_t size)
{
	uint64_t chunk = chunk_size(p);
	uint64_t more = chunk < RESERVE_AT_ONCE ? RESERVE_AT_ONCE - chunk : 0;

	return chunk_end(p, size) + (more < 3 * chunk ? more : 3 * chunk);
}

/*
 * How far `gate` lets the producer write, at most to `target`; less than `need`: not at all.
 *
 * `need` is at most 4 chunks, a quarter lane, before `target`. So a floor between the two passes
 * the first test, and in the second one the floor lies before `need`: that difference is a
 * distance, too, and has not gone through zero.
 */
static uint64_t permitted_end(const struct shmring_producer *p, const struct gate *gate,
			      uint64_t target, uint64_t need)
{
	if (!gate->closed || target - gate->floor <= lane_size(p))
		return target;
	if (need - gate->floor <= lane_size(p))
		return gate->floor + lane_size(p);
	return p->hot.position;
}

/* How far the cursors let the producer write now, and which consumer holds it back. */
static uint64_t ask_cursors(const struct shmring_producer *p, uint64_t size, struct gate *gate)
{
	uint64_t target = producer_wanted_end(p, size);

	read_gate(p, target, gate);
	/* Without a gate, reserve to the chunk's end only: much of the past stays readable. */
	return gate->closed ? permitted_end(p, gate, target, record_end(p, size))
			    : p->reserve.next_note;
}

/*
 * The value announced never exceeds what the cursors allowed just before. It never falls
 * below what this producer or its predecessor announced, because it may have written up
 * to there. There is one exception: the value is taken back when a consumer joined at
 * this very moment, before anything was written. Then this returns false.
 */
static bool announce(struct shmring_producer *p, uint64_t size, uint64_t end, struct gate *gate)
{
	uint64_t announced = (int64_t)(end - p->reserve.reserved) > 0 ? end : p->reserve.reserved;

	/*
	 * [ENTRY] pairs with search(), [OVERRUN] pairs with still_whole() and
	 * others who check a copy, [JOIN] pairs with hold().
	 */
	store_release(&p->lane.control->reserved, announced);
	fence_full();
	read_gate(p, end, gate);
	p->copy.streaming = gate->by_consumer && lane_size(p) <= CACHED_LANE &&
			    p->hot.position - gate->floor > STREAM_LAG;
	if (permitted_end(p, gate, end, record_end(p, size)) != end) {
		store_release(&p->lane.control->reserved, p->reserve.reserved);
		return false;
	}
	if (gate->closed)
		p->reserve.floor = gate->floor;
	p->reserve.reserved = announced;
	p->reserve.granted = end;
	return true;
}

/* From the next reservation on. What the lane has now counts as published now. */
static void look_for_laggards(struct shmring_producer *p, const struct gate *gate)
{
	if (gate->limits && !p->lag.looked_for)
		producer_note_time(p, p->reserve.noted_chunk - LAYOUT_CHUNKS,
				   p->reserve.noted_chunk);
	p->lag.looked_for = gate->limits;
}

int producer_reserve(struct shmring_producer *p, uint64_t size, struct gate *gate)
{
	uint64_t need = record_end(p, size);

	note_end(p);
	p->reserve.next_note = chunk_end(p, size);
	if ((int64_t)(p->reserve.granted - need) >= 0) {
		producer_set_limit(p);
		return 0;
	}
	if (p->lag.looked_for)
		producer_evict_laggards(p);
	/* A consumer that has joined meanwhile may leave room for less: once for each place. */
	for (unsigned i = 0; i < LAYOUT_CONSUMERS; i++) {
		uint64_t end = ask_cursors(p, size, gate);

		look_for_laggards(p, gate);
		if (end == p->hot.position)
			return -EAGAIN;
		if (announce(p, size, end, gate)) {
			producer_set_limit(p);
			return 0;
		}
	}
	return -EAGAIN;
}
