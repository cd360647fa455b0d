/* SPDX-License-Identifier: MIT */
/*
 * press: what a producer does about the consumer that holds it back most.
 *
 * First it asks for the proof that this consumer is dead (R2 in registry.h), and buries it.
 * While the same consumer stays in the way it asks once in PROBE_INTERVAL_NS.
 *
 * Then, if the ring evicts slow consumers, it times the stall. A stall is one place, status word
 * and cursor, unchanged. An ACTIVE consumer becomes SUSPECT first, which changes the word, and its
 * next release undoes that: so the time begins behind the mark, and the CAS that evicts names a
 * word that every release in between would have changed (model/evict.pml). A place that is
 * DETACHED has no process, and one that is JOINING does not release yet: they need no mark.
 *
 * The time of a stall is the sum of the gaps between looks at it, each cut off at a quarter of
 * the ring's time. For the kernel may have stopped this producer in such a gap, and the consumer
 * with it.
 *
 * After either, the other producers are woken: they may wait for the same consumer.
 */
#include "producer.h"
#include "sys.h"

#define PROBE_INTERVAL_NS INT64_C(1000000)

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

/* Is this still the stall that is being timed? If not, begin to time it. */
static bool same_stall(struct shmring_producer *p, const struct gate *gate, uint64_t status,
		       int64_t now)
{
	int64_t waited = now - p->press.last_look;

	p->press.last_look = now;
	if (status == p->press.status && gate->slot == p->press.slot &&
	    gate->floor == p->press.floor) {
		p->press.waited += waited < longest_wait(p) ? waited : longest_wait(p);
		return true;
	}
	p->press.slot = gate->slot;
	p->press.status = status;
	p->press.floor = gate->floor;
	p->press.waited = 0;
	return false;
}

/*
 * Evict a consumer that has let a whole period pass, or begin that period. An ACTIVE
 * consumer is suspected first, so that a release undoes it. In the other states no
 * process releases.
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
	if (!same_stall(p, gate, status, now) || p->press.waited < evict_after(p))
		return false;
	/* [EVICT] pairs with consumer_keep_place(): it precedes the overwriting. */
	if (!compare_and_swap(word, status,
			      status_next(status, status_state(status) == PLACE_DETACHED
							  ? PLACE_LAPSED
							  : PLACE_EVICTED)))
		return false;
	shmr_tally(&p->lane.control->counts.evictions, 1);
	return true;
}

/* Act on the consumer that holds the producer back; true: look again. */
static bool press(struct shmring_producer *p, const struct gate *gate)
{
	int64_t now;

	if (!gate->by_consumer)
		return false;
	now = shmr_now();
	/* A consumer that was found alive is left alone for a while, others are not. */
	if (gate->slot != p->press.probed || now - p->press.last_probe >= PROBE_INTERVAL_NS) {
		p->press.probed = gate->slot;
		p->press.last_probe = now;
		p->counters.system_calls += 2;
		if (shmr_place_bury(p->attachment.registry, PLACE_CONSUMER, gate->slot,
				    gate->status, shmr_ring_probe_fd(p->attachment.ring))) {
			p->press.last_probe = 0;
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
 * Deal with the consumers that hold this producer back, one after the other, each place
 * once: dead ones may appear as fast as they are buried. True: there is room.
 */
bool producer_press(struct shmring_producer *p, uint64_t size, struct gate *gate)
{
	for (unsigned i = 0; i < LAYOUT_CONSUMERS && press(p, gate); i++)
		if (producer_reserve(p, size, gate) == 0)
			return true;
	return false;
}

int64_t producer_press_due(const struct shmring_producer *p, const struct gate *gate)
{
	int64_t left = evict_after(p) - p->press.waited;

	if (!gate->by_consumer || !(status_flags(gate->status) & PLACE_EVICTABLE))
		return INT64_MAX;
	return p->press.last_look + (left < longest_wait(p) ? left : longest_wait(p));
}
