/* SPDX-License-Identifier: MIT */
/*
 * spin: see spin.h.
 */
#include "spin.h"

#include <sched.h>

#include "atomic.h"
#include "sys.h"

#define ROUNDS_PER_CLOCK 16
#define SLICE_NS INT64_C(1000000)

/* O1: a pause counts as one of this length at most, so that it is soon forgotten. */
#define GAP_MOST_NS (16 * SPIN_DEFAULT_NS)
#define GAP_WEIGHT 4

/* O2: an offer that lasts so long was taken. */
#define TAKEN_NS INT64_C(2000)

/* O4: one that lasts so long weighs 16; each other one that is taken weighs -1. */
#define LONG_OFFER_NS INT64_C(1000000)
#define LONG_OFFER_WEIGHT 16
#define LONG_OFFERS_SURE 20
#define LONG_OFFERS_AFTER 8 /* with so much left, one long offer is enough the next time */
#define NO_OFFERS_NS INT64_C(50000000)

/* O5 */
#define SKIP_MOST 64

/* The sum, or SHMRING_FOREVER if it is more. */
static int64_t add_ns(int64_t now, int64_t ns)
{
	return ns < SHMRING_FOREVER - now ? now + ns : SHMRING_FOREVER;
}

void shmr_spin_set_budget(struct spin_habit *h, int64_t spin_ns, bool may_adapt)
{
	h->offers = spin_ns == SHMRING_SPIN_ADAPTIVE;
	h->adaptive = h->offers && may_adapt;
	h->first_offer_ns = SPIN_LONG_NS;
	if (spin_ns == SHMRING_SPIN_ADAPTIVE)
		spin_ns = SPIN_DEFAULT_NS;
	h->budget_ns = spin_ns < 0 ? 0 : spin_ns;
}

void shmr_spin_learn(struct spin_habit *h, int64_t now)
{
	int64_t gap = now - h->waited_ns;

	if (h->messages > 1)
		gap /= (int64_t)h->messages;
	h->waited_ns = now;
	h->messages = 0;
	if (!h->adaptive)
		return;
	if (gap > GAP_MOST_NS)
		gap = GAP_MOST_NS;
	h->gap_ns += (gap - h->gap_ns) / GAP_WEIGHT;
	h->budget_ns = h->gap_ns <= SPIN_DEFAULT_NS ? SPIN_DEFAULT_NS : 0;
}

void shmr_spin_begin(struct spin *spin, const struct spin_habit *h, int64_t now, int64_t deadline)
{
	int64_t turns = h->offers && h->turns > 1 ? h->turns : 1;

	spin->until = add_ns(now, turns > 1 ? turns * h->budget_ns : h->budget_ns);
	if (spin->until > deadline)
		spin->until = deadline;
	spin->offer_at = h->offers ? add_ns(now, SPIN_LONG_NS) : SHMRING_FOREVER;
}

/* O5: may this spin become long? */
static bool may_be_long(struct spin_habit *h)
{
	if (h->fruitful)
		h->vain = 0;
	h->fruitful = h->skip == 0;
	if (h->skip > 0)
		h->skip--;
	return h->fruitful;
}

/* O5: the budget is over, and nothing came. */
static void note_vain(struct spin_habit *h)
{
	if (!h->fruitful)
		return;
	h->fruitful = false;
	h->vain++;
	if (h->adaptive && h->vain >= 2)
		h->skip = h->vain < 7 ? 1u << (h->vain - 1) : SKIP_MOST;
}

/* O4 */
static void weigh_offer(struct spin_habit *h, int64_t now, int64_t away)
{
	if (away >= LONG_OFFER_NS)
		h->long_offers += LONG_OFFER_WEIGHT;
	else if (h->long_offers > 0)
		h->long_offers--;
	if (h->long_offers < LONG_OFFERS_SURE)
		return;
	h->long_offers = LONG_OFFERS_AFTER;
	h->no_offers_until = add_ns(now, NO_OFFERS_NS);
}

/* O2, O3; returns the time after it. */
static int64_t offer(struct spin *spin, struct spin_habit *h, int64_t before, int64_t deadline)
{
	int64_t now, away;

	sched_yield();
	now = shmr_now();
	away = now - before;
	if (away >= TAKEN_NS) {
		spin->until = add_ns(spin->until, away);
		if (spin->until > deadline)
			spin->until = deadline;
		spin->offer_gap_ns = SPIN_LONG_NS / 2; /* doubled below, as all are */
		h->first_offer_ns = SPIN_LONG_NS;
		weigh_offer(h, now, away);
	} else if (!spin->offered && h->first_offer_ns < SPIN_FIRST_OFFER_MOST_NS) {
		h->first_offer_ns *= 2;
	}
	spin->offered = true;
	return now;
}

/* The spin is long, and the next offer is due. Returns the time. */
static int64_t spin_on(struct spin *spin, struct spin_habit *h, int64_t now, int64_t deadline,
		       struct shmring_counters *counters)
{
	if (spin->offer_gap_ns == 0) {
		if (!may_be_long(h)) {
			spin->until = now;
			return now;
		}
		spin->offer_gap_ns = h->first_offer_ns;
		if (h->first_offer_ns > SPIN_LONG_NS) {
			spin->offer_at = add_ns(now, h->first_offer_ns - SPIN_LONG_NS);
			return now;
		}
	}
	if (now >= h->no_offers_until) {
		counters->system_calls++;
		now = offer(spin, h, now, deadline);
	}
	spin->offer_gap_ns *= 2;
	spin->offer_at = add_ns(now, spin->offer_gap_ns);
	return now;
}

bool shmr_spin(struct spin *spin, struct spin_habit *h, int64_t deadline,
	       struct shmring_counters *counters)
{
	if (spin->rounds % ROUNDS_PER_CLOCK == 0) {
		int64_t now = shmr_now();

		if (spin->until == 0) {
			shmr_spin_learn(h, now);
			shmr_spin_begin(spin, h, now, deadline);
		} else if (now >= spin->offer_at && now < spin->until) {
			now = spin_on(spin, h, now, deadline, counters);
		}
		if (spin->rounds == 0)
			spin->slice = add_ns(now, SLICE_NS);
		spin->over = now >= spin->until;
		if (spin->over && spin->offer_gap_ns != 0 && now < deadline)
			note_vain(h);
		if (spin->over || now >= spin->slice) {
			spin->rounds = 0;
			return false;
		}
	}
	spin->rounds++;
	cpu_relax();
	return true;
}
