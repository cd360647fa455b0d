/* SPDX-License-Identifier: MIT */
/*
 * wait: how a producer waits for room.
 *
 *  1. Reserve. If there is room, the wait is over.
 *  2. A quiet producer wakes its consumers: they do not know of the messages that fill its lane.
 *  3. Press the consumers in the way, and see whether a consumer is left that could make room
 *     (peers.h).
 *  4. Spin until the consumer in the way has freed a whole chunk.
 *  5. Sleep as D1 in doorbell.h says: read the bell, store in `room_wanted` the position that
 *     is wanted, force a barrier, reserve once more, sleep on the bell. A consumer whose cursor
 *     passes that position rings it.
 *  6. Go on with 3.
 *
 * The position that is wanted is at or before the published end, because no cursor passes that;
 * and it is at least what the record needs, because a wake-up for less would be for nothing.
 *
 * A sleep ends when press.c or lag.c has to look at a consumer again.
 */
#include <errno.h>

#include "explain.h"
#include "producer.h"
#include "sys.h"

#define SPIN_PAUSES 8 /* between two looks at the cursor */
#define SPIN_TURNS 4  /* O6: budgets of a wait, at most */

/*
 * Spin until the consumer that holds this producer back has freed a whole chunk. To go on with
 * less would make both sides fight for the cursor's line.
 */
static void spin_for_chunk(struct shmring_producer *p, uint64_t size, const struct gate *gate,
			   struct spin *spin, int64_t deadline)
{
	const shm_u64 *cursor = &p->rows[gate->slot].lane[p->attachment.slot].position;
	uint64_t target = producer_wanted_end(p, size);

	while (shmr_spin(spin, &p->bell.spin, deadline, &p->counters)) {
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

/* Until when this producer may sleep without a look at the consumers that hold it back. */
static int64_t sleep_deadline(const struct shmring_producer *p, const struct gate *gate,
			      int64_t deadline)
{
	int64_t look = producer_second_look_ns(p);
	int64_t due = producer_press_due(p, gate);

	if (look != 0 && shmr_now() + look < deadline)
		deadline = shmr_now() + look;
	return due < deadline ? due : deadline;
}

int producer_check_end(struct shmring_producer *p, uint64_t size, bool waits)
{
	int e = shmr_peers_check(&p->wait.consumers, &p->attachment, waits, &p->counters);
	struct gate gate;

	if (e == 0)
		return 0;
	producer_forget_probe(p);
	if (producer_reserve(p, size, &gate) == 0 || producer_press(p, size, &gate)) /* E3 */
		return 1;
	return shmr_peers_explain(&p->wait.consumers, &p->attachment, e);
}

/* [SLEEP] pairs with [WAKE] in lib/consumer, where cursors are released. */
static int sleep_for_room(struct shmring_producer *p, uint64_t size, const struct gate *gate,
			  int64_t deadline)
{
	const shm_u32 *bell = room_bell(p);
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
	if (producer_reserve(p, size, gate) == 0 || producer_press(p, size, gate))
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
	if (producer_reserve(p, size, gate) == 0 || producer_press(p, size, gate))
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

static void wake_if_quiet(struct shmring_producer *p)
{
	if (producer_is_quiet(p))
		shmring_producer_wake(p);
}

/*
 * The handle says that it is in use meanwhile, and a commit by another thread, which would
 * otherwise be inline, comes to its slow half and is refused.
 */
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
	p->bell.spin.turns = gate.consumers < SPIN_TURNS ? gate.consumers : SPIN_TURNS;
	wake_if_quiet(p);
	if (producer_press(p, size, &gate))
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

	*ret_seen = load_acquire32(room_bell(p));
	wake_if_quiet(p);
	if (producer_reserve(p, size, &gate) == 0 || producer_press(p, size, &gate))
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
		shmr_spin_set_budget(&p->bell.spin, spin_ns, false);
	return e;
}
