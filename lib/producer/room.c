/* SPDX-License-Identifier: MIT */
/*
 * room: how a producer gets room in its lane, once per chunk.
 *
 * The producer announces the new end first and asks the cursors afterwards (I6 in
 * lane.h), so that a consumer that joins at this moment either is seen here or
 * sees the announcement. When a cursor forbids the new end the producer waits: spinning,
 * then asleep with the position it needs posted. While it waits it looks after the
 * consumers that hold it back: it buries a dead consumer on proof, and evicts a slow
 * one if the ring's policy says so.
 */
#include <errno.h>

#include "explain.h"
#include "producer.h"
#include "sys.h"

#define PROBE_INTERVAL_NS INT64_C(1000000)
#define RESERVE_AT_ONCE ((uint64_t)1 << 16) /* bytes, but at most a quarter lane */
#define SPIN_PAUSES 8			    /* between two looks at the cursor */

static uint64_t chunk_size(const struct shmring_producer *p)
{
	return p->attachment.ring->geometry.chunk;
}

static uint64_t lane_size(const struct shmring_producer *p)
{
	return p->hot.mask + 1;
}

/* I4: the published end becomes a boundary when it has entered a new chunk. */
static void note_end(struct shmring_producer *p)
{
	const struct shmring_boundary end = published_end(p);
	uint64_t chunk = end.position / chunk_size(p);

	if (chunk == p->noted_chunk)
		return;
	shmr_lane_note(&p->lane, &end, chunk_size(p));
	if (p->lag.looked_for)
		producer_note_time(p, p->noted_chunk, chunk);
	p->noted_chunk = chunk;
}

/*
 * Find the cursor that is furthest behind `target`. A cursor that claims to be ahead of
 * it is nonsense and holds no producer back.
 */
static void read_gate(const struct shmring_producer *p, uint64_t target, struct gate *gate)
{
	struct registry *registry = p->attachment.registry;
	bool limits = layout_has_limits(&p->attachment.ring->geometry);

	*gate = (struct gate){ .closed = false };
	for (unsigned slot = 0; slot < LAYOUT_CONSUMERS; slot++) {
		/* [PLACE] pairs with move_on(): its cursor stands. */
		uint64_t status = load_acquire(&registry->consumer_status[slot]);
		uint64_t cursor;

		if (!status_gates(status))
			continue;
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
		*gate = (struct gate){ .closed = true, .floor = p->floor };
	gate->limits = limits;
}

static uint64_t record_end(const struct shmring_producer *p, uint64_t size)
{
	return p->hot.position + size + RECORD_HEADER; /* the zero word included */
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
static uint64_t wanted_end(const struct shmring_producer *p, uint64_t size)
{
	uint64_t chunk = chunk_size(p);
	uint64_t more = chunk < RESERVE_AT_ONCE ? RESERVE_AT_ONCE - chunk : 0;

	return chunk_end(p, size) + (more < 3 * chunk ? more : 3 * chunk);
}

/* How far `gate` lets us write, at best to `target`; less than `need`: not at all. */
static uint64_t permitted_end(const struct shmring_producer *p, const struct gate *gate,
			      uint64_t target, uint64_t need)
{
	if (!gate->closed || target - gate->floor <= lane_size(p))
		return target;
	if (need - gate->floor <= lane_size(p))
		return gate->floor + lane_size(p);
	return p->hot.position;
}

/* How far the cursors let us write at this moment, and which consumer holds us back. */
static uint64_t ask_cursors(const struct shmring_producer *p, uint64_t size, struct gate *gate)
{
	uint64_t target = wanted_end(p, size);

	read_gate(p, target, gate);
	/* Without a gate, reserve to the chunk's end only: much of the past stays readable. */
	return gate->closed ? permitted_end(p, gate, target, record_end(p, size)) : p->next_note;
}

/*
 * The value announced never exceeds what the cursors allowed just before. It never falls
 * below what this producer or its predecessor announced, because it may have written up
 * to there. There is one exception: the value is taken back when a consumer joined at
 * this very moment, before anything was written. Then this returns false.
 */
static bool announce(struct shmring_producer *p, uint64_t size, uint64_t end, struct gate *gate)
{
	uint64_t announced = (int64_t)(end - p->reserved) > 0 ? end : p->reserved;

	/*
	 * [ENTRY] pairs with search(), [OVERRUN] pairs with still_whole() and
	 * others who check a copy, [JOIN] pairs with hold().
	 */
	store_release(&p->lane.control->reserved, announced);
	fence_full();
	read_gate(p, end, gate);
	p->streaming = gate->by_consumer && lane_size(p) <= CACHED_LANE &&
		       p->hot.position - gate->floor > STREAM_LAG;
	if (permitted_end(p, gate, end, record_end(p, size)) != end) {
		store_release(&p->lane.control->reserved, p->reserved);
		return false;
	}
	if (gate->closed)
		p->floor = gate->floor;
	p->reserved = announced;
	p->granted = end;
	return true;
}

/* From the next reservation on. What the lane has now counts as published now. */
static void look_for_laggards(struct shmring_producer *p, const struct gate *gate)
{
	if (gate->limits && !p->lag.looked_for)
		producer_note_time(p, p->noted_chunk - LAYOUT_CHUNKS, p->noted_chunk);
	p->lag.looked_for = gate->limits;
}

int producer_reserve(struct shmring_producer *p, uint64_t size, struct gate *gate)
{
	uint64_t need = record_end(p, size);

	note_end(p);
	p->next_note = chunk_end(p, size);
	if ((int64_t)(p->granted - need) >= 0) {
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

static int64_t evict_after(const struct shmring_producer *p)
{
	return (int64_t)p->attachment.ring->geometry.evict_after_ns;
}

/*
 * The most that counts as waiting between two looks at a stall. This producer may have been
 * stopped in between, and the consumer with it: so one such pause costs the consumer only
 * this share of its time. A producer that looks seldom needs a few looks.
 */
static int64_t longest_wait(const struct shmring_producer *p)
{
	return (evict_after(p) + 3) / 4;
}

/* Is this still the stall that we have been timing? Begins to time it if not. */
static bool same_stall(struct shmring_producer *p, const struct gate *gate, uint64_t status,
		       int64_t now)
{
	int64_t waited = now - p->pressed.last_look;

	p->pressed.last_look = now;
	if (status == p->pressed.status && gate->slot == p->pressed.slot &&
	    gate->floor == p->pressed.floor) {
		p->pressed.waited += waited < longest_wait(p) ? waited : longest_wait(p);
		return true;
	}
	p->pressed.slot = gate->slot;
	p->pressed.status = status;
	p->pressed.floor = gate->floor;
	p->pressed.waited = 0;
	return false;
}

/*
 * Evict a consumer that has let a whole period pass, or begin that period. An ACTIVE
 * consumer is suspected first, so that a release undoes it. A place in another state has
 * no process that could release.
 */
static bool evict(struct shmring_producer *p, const struct gate *gate, int64_t now)
{
	shm_u64 *word = &p->attachment.registry->consumer_status[gate->slot];
	uint64_t status = gate->status;

	if (!(status_flags(status) & PLACE_EVICTABLE))
		return false;
	if (status_state(status) == PLACE_ACTIVE) {
		uint64_t suspect = status_next(status, PLACE_SUSPECT);

		/* [PLACE] pairs with current_status() */
		if (compare_and_swap(word, status, suspect))
			same_stall(p, gate, suspect, now);
		return false;
	}
	if (!same_stall(p, gate, status, now) || p->pressed.waited < evict_after(p))
		return false;
	/* [EVICT] pairs with consumer_keep_place(): it precedes what we overwrite. */
	if (!compare_and_swap(word, status,
			      status_next(status, status_state(status) == PLACE_DETACHED
							  ? PLACE_LAPSED
							  : PLACE_EVICTED)))
		return false;
	shmr_tally(&p->lane.control->counts.evictions, 1);
	return true;
}

/* Do something about the consumer that holds us back; true: look again. */
static bool press(struct shmring_producer *p, const struct gate *gate)
{
	int64_t now;

	if (!gate->by_consumer)
		return false;
	now = shmr_now();
	/* A consumer that was found alive is left alone for a while, others are not. */
	if (gate->slot != p->pressed.probed || now - p->pressed.last_probe >= PROBE_INTERVAL_NS) {
		p->pressed.probed = gate->slot;
		p->pressed.last_probe = now;
		p->counters.system_calls += 2;
		if (shmr_place_bury(p->attachment.registry, PLACE_CONSUMER, gate->slot,
				    gate->status, shmr_ring_probe_fd(p->attachment.ring))) {
			p->pressed.last_probe = 0;
			p->counters.recoveries++;
			producer_tell_others(p);
			return true;
		}
	}
	if (!evict(p, gate, now))
		return false;
	producer_tell_others(p);
	return true;
}

/*
 * Spin until the consumer that holds us back has freed a whole chunk: taking
 * its crumbs would make both sides fight for the cursor's line.
 */
static void spin_for_chunk(struct shmring_producer *p, uint64_t size, const struct gate *gate,
			   struct spin *spin, int64_t deadline)
{
	const shm_u64 *cursor = &p->rows[gate->slot].lane[p->attachment.slot].position;
	uint64_t target = wanted_end(p, size);

	while (shmr_spin(spin, &p->bell, deadline)) {
		if (gate->by_consumer && target - load_relaxed(cursor) <= lane_size(p))
			return;
		for (int i = 0; i < SPIN_PAUSES; i++)
			cpu_relax();
	}
}

/* Which cursor position to be woken for: a quarter lane of room, if it exists. */
static uint64_t wanted_floor(const struct shmring_producer *p, uint64_t size,
			     const struct gate *gate)
{
	uint64_t least = record_end(p, size) - lane_size(p);
	uint64_t wanted = gate->floor + lane_size(p) / 4;

	if ((int64_t)(wanted - least) < 0)
		wanted = least;
	/* Cursors never pass the published end. */
	return earlier(wanted, published_end(p).position);
}

static int64_t sleep_deadline(const struct shmring_producer *p, const struct gate *gate,
			      int64_t deadline)
{
	int64_t left = evict_after(p) - p->pressed.waited;
	int64_t due = p->pressed.last_look + (left < longest_wait(p) ? left : longest_wait(p));

	if (p->lag.pending && shmr_now() + LAG_GRACE_NS < deadline)
		deadline = shmr_now() + LAG_GRACE_NS;
	if (gate->by_consumer && (status_flags(gate->status) & PLACE_EVICTABLE) && due < deadline)
		return due;
	return deadline;
}

/*
 * Deal with the consumers that hold this producer back, one after the other, each place
 * once: dead ones may appear as fast as they are buried. True: there is room.
 */
static bool press_all(struct shmring_producer *p, uint64_t size, struct gate *gate)
{
	for (unsigned i = 0; i < LAYOUT_CONSUMERS && press(p, gate); i++)
		if (producer_reserve(p, size, gate) == 0)
			return true;
	return false;
}

int producer_check_end(struct shmring_producer *p, uint64_t size, bool waits)
{
	int e = shmr_peers_check(&p->consumers, &p->attachment, waits, &p->counters);
	struct gate gate;

	if (e == 0)
		return 0;
	p->pressed.last_probe = 0; /* the consumer in the way was found dead */
	if (producer_reserve(p, size, &gate) == 0 || press_all(p, size, &gate)) /* E3 */
		return 1;
	return shmr_peers_explain(&p->consumers, &p->attachment, e);
}

/* [SLEEP] pairs with [WAKE] in lib/consumer, where cursors are released. */
static int sleep_for_room(struct shmring_producer *p, uint64_t size, const struct gate *gate,
			  int64_t deadline)
{
	const shm_u32 *bell = &p->bell.shared->room[p->attachment.slot].bell;
	uint32_t seen = load_acquire32(bell);
	struct gate again;
	int e;

	store_relaxed(&p->lane.control->room_wanted, wanted_floor(p, size, gate));
	shmr_bell_barrier(&p->bell, &p->counters);
	e = producer_reserve(p, size, &again);
	if (e == -EAGAIN) {
		e = producer_check_end(p, size, true);
		if (e == 0)
			e = shmr_bell_sleep(&p->bell, bell, seen,
					    sleep_deadline(p, &again, deadline), &p->counters);
	}
	store_relaxed(&p->lane.control->room_wanted, POSITION_NONE);
	return e;
}

static int wait_once(struct shmring_producer *p, uint64_t size, int64_t deadline, struct gate *gate,
		     struct spin *spin)
{
	int e;

	spin_for_chunk(p, size, gate, spin, deadline);
	if (producer_reserve(p, size, gate) == 0 || press_all(p, size, gate))
		return 0;
	if (shmr_now() >= deadline)
		return explain(-ETIMEDOUT, "the ring stayed full until the deadline");
	if (!spin->over) {
		e = shmr_bell_check_cancel(&p->bell);
		if (e == 0)
			e = producer_check_end(p, size, true);
		return e < 0 ? e : e > 0 ? 0 : -EAGAIN;
	}
	e = sleep_for_room(p, size, gate, deadline);
	if (e == -EINTR)
		return explain(e, "a signal interrupted the wait for room");
	if (e < 0)
		return e;
	if (producer_reserve(p, size, gate) == 0 || press_all(p, size, gate))
		return 0;
	return -EAGAIN;
}

/* Count a wait while it goes on, so that a look shows it, and not only at its end. */
static void show_wait(struct shmring_producer *p, int64_t *since)
{
	int64_t now = shmr_now();

	shmr_tally(&p->lane.control->counts.full_wait_ns, (uint64_t)(now - *since));
	producer_show_counts(p);
	*since = now;
}

/* A quiet producer wakes its consumers before it waits for room. */
static void wake_whom_we_need(struct shmring_producer *p)
{
	if (producer_is_quiet(p))
		shmring_producer_wake(p);
}

/* The handle says so meanwhile, and a commit by another thread is not done inline. */
static int wait_in_use(struct shmring_producer *p, uint64_t size, int64_t deadline,
		       struct gate *gate)
{
	struct spin spin = { 0 };
	int64_t since;
	int e = use_begin_sleep(&p->use);

	if (e < 0)
		return e;
	producer_set_slow(p, true);
	shmr_bell_begin_wait(&p->bell);
	since = shmr_now();
	do {
		e = wait_once(p, size, deadline, gate, &spin);
		show_wait(p, &since);
	} while (e == -EAGAIN);
	producer_set_slow(p, false);
	use_end_sleep(&p->use);
	return e;
}

int producer_wait(struct shmring_producer *p, uint64_t size, int64_t deadline)
{
	struct gate gate;
	int e;

	if (producer_reserve(p, size, &gate) == 0)
		return 0;
	p->counters.waits++;
	producer_show_counts(p);
	wake_whom_we_need(p);
	if (press_all(p, size, &gate))
		return 0;
	e = producer_check_end(p, size, false);
	if (e != 0)
		return e > 0 ? 0 : e;
	if (deadline <= SHMRING_NOWAIT)
		return explain(-EAGAIN, "the ring is full");
	e = shmr_bell_check_cancel(&p->bell);
	return e < 0 ? e : wait_in_use(p, size, deadline, &gate);
}

/* [SLEEP] pairs with bell_order(). */
int producer_arm(struct shmring_producer *p, uint64_t size, uint32_t *ret_seen)
{
	struct gate gate;
	int e = 1;

	*ret_seen = load_acquire32(&p->bell.shared->room[p->attachment.slot].bell);
	wake_whom_we_need(p);
	if (producer_reserve(p, size, &gate) == 0 || press_all(p, size, &gate))
		return 1;
	store_relaxed(&p->lane.control->room_wanted, wanted_floor(p, size, &gate));
	shmr_bell_barrier(&p->bell, &p->counters);
	if (producer_reserve(p, size, &gate) != 0)
		e = producer_check_end(p, size, true);
	if (e != 0)
		producer_disarm(p);
	return e;
}

void producer_disarm(struct shmring_producer *p)
{
	store_relaxed(&p->lane.control->room_wanted, POSITION_NONE);
}

int shmring_producer_spin(struct shmring_producer *p, int64_t spin_ns)
{
	int e = producer_wiped(p);

	if (e == 0)
		shmr_bell_set_spin(&p->bell, spin_ns, false);
	return e;
}
