/* SPDX-License-Identifier: MIT */
/*
 * press: what a producer does about the consumer that holds it back most. The producer buries
 * a dead consumer on proof, and evicts a slow one if the ring's policy says so.
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

/* Is this still the stall that we have been timing? Begins to time it if not. */
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
	if (!same_stall(p, gate, status, now) || p->press.waited < evict_after(p))
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
