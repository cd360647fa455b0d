/* SPDX-License-Identifier: MIT */
/*
 * peers: see peers.h.
 */
#include "peers.h"

#include <errno.h>

#include "explain.h"
#include "sys.h"

enum presence { NOBODY, KEPT, SOMEBODY }; /* KEPT: the cursor of a name, without a holder */

static const struct holder *holder_of(const struct peers *p, const struct attachment *a,
				      unsigned place)
{
	return place_holder(a->registry, p->kind, place);
}

/* A sum that changes with each attach. */
static uint64_t count_attached(const struct peers *p, const struct attachment *a)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < LAYOUT_LANES; i++)
		sum += load_relaxed(&holder_of(p, a, i)->attached_ns);
	return sum;
}

/* The kernel may be asked again (E4). */
static bool is_due(const struct peers *p, const struct attachment *a, int64_t now)
{
	return p->asked_kernel_ns == 0 ||
	       now - p->asked_kernel_ns >= (int64_t)a->ring->geometry.max_sleep_ns;
}

static bool is_gone(struct peers *p, const struct attachment *a, unsigned place, uint64_t status,
		    bool ask, struct shmring_counters *counters)
{
	if (p->gone[place] == status)
		return true;
	if (!ask)
		return false;
	counters->system_calls += 2;
	if (!shmr_place_is_dead(p->kind, place, status, shmr_ring_probe_fd(a->ring))) {
		p->alive = place;
		return false;
	}
	p->gone[place] = status; /* E2 */
	return true;
}

/* One reading. The place that had a living tenant last time comes first. */
static enum presence read_places(struct peers *p, const struct attachment *a, bool ask,
				 uint64_t ret[LAYOUT_LANES], struct shmring_counters *counters)
{
	enum presence presence = NOBODY;
	unsigned first = p->alive;

	for (unsigned i = 0; i < LAYOUT_LANES; i++) {
		unsigned place = (first + i) % LAYOUT_LANES;
		/* [PLACE] pairs with shmr_place_leave(), shmr_place_take() */
		uint64_t status = load_acquire(place_status(a->registry, p->kind, place));

		ret[place] = status;
		if (status_protected(status) && !is_gone(p, a, place, status, ask, counters))
			return SOMEBODY;
		if (status_state(status) == PLACE_DETACHED ||
		    (status_protected(status) && (status_flags(status) & PLACE_NAMED) &&
		     status_gates(status)))
			presence = KEPT;
	}
	return presence;
}

/* E1. A place that has changed meanwhile has a peer. */
static enum presence find_presence(struct peers *p, const struct attachment *a, bool ask,
				   struct shmring_counters *counters)
{
	uint64_t words[LAYOUT_LANES];
	enum presence presence = read_places(p, a, ask, words, counters);

	for (unsigned i = 0; presence != SOMEBODY && i < LAYOUT_LANES; i++)
		/* [PLACE] pairs with shmr_place_leave(), shmr_place_take() */
		if (load_acquire(place_status(a->registry, p->kind, i)) != words[i])
			return SOMEBODY;
	return presence;
}

void shmr_peers_begin(struct peers *p, const struct attachment *a, enum place_kind kind, bool asked,
		      bool from_now)
{
	struct shmring_counters counters = { 0 };

	p->kind = kind;
	p->asked = asked;
	if (!asked || !from_now)
		return;
	p->count_from = count_attached(p, a);
	p->seen = find_presence(p, a, true, &counters) != NOBODY;
}

static bool was_there(const struct peers *p, const struct attachment *a)
{
	return p->seen || count_attached(p, a) != p->count_from;
}

int shmr_peers_check(struct peers *p, const struct attachment *a, bool waits,
		     struct shmring_counters *counters)
{
	enum presence presence;
	bool due;
	int64_t now;

	if (!p->asked && !p->removed && !waits)
		return 0;
	now = shmr_now();
	due = is_due(p, a, now);
	if (due && waits && !p->removed) {
		counters->system_calls += 2;
		p->removed = shmr_ring_is_removed(a->ring);
		p->asked_kernel_ns = now;
	}
	if (!p->asked && !p->removed)
		return 0;
	presence = find_presence(p, a, due, counters);
	if (due)
		p->asked_kernel_ns = now;
	if (presence == SOMEBODY) {
		p->gone_ns = 0;
		return 0;
	}
	if (p->gone_ns == 0)
		p->gone_ns = now;
	if (p->asked && presence == NOBODY && was_there(p, a))
		return -EPIPE;
	return p->removed ? -EIDRM : 0; /* no consumer comes back to a name that is kept there */
}

/* The pid of the process that attached last; 0: unknown. */
static uint64_t last_pid(const struct peers *p, const struct attachment *a)
{
	uint64_t last = 0, pid = 0;

	for (unsigned i = 0; i < LAYOUT_LANES; i++) {
		const struct holder *holder = holder_of(p, a, i);
		uint64_t at = load_relaxed(&holder->attached_ns);

		if (at <= last)
			continue;
		last = at;
		pid = load_relaxed(&holder->pid) & UINT32_MAX;
	}
	return pid;
}

int shmr_peers_explain(const struct peers *p, const struct attachment *a, int error)
{
	const char *others = p->kind == PLACE_LANE ? "producer" : "consumer";
	uint64_t ms = (uint64_t)(shmr_now() - p->gone_ns) / 1000000;

	if (error == -EIDRM)
		return explain(error,
			       "the ring was removed, and no %s is left in it; open it again under "
			       "its name",
			       others);
	return explain(error,
		       "no %s is left; this was noticed %u ms ago, and the last one that attached "
		       "was process %u; it is the end until another one attaches",
		       others, ms, last_pid(p, a));
}
