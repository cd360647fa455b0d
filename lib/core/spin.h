/* SPDX-License-Identifier: MIT */
/*
 * spin: how a wait spins before it sleeps.
 *
 * A wait that spins answers within the time that a cache line needs. But it keeps a processor
 * from others, and the process that it waits for may need that very processor: consumers of one
 * lane that share a processor hold the producer back together, and each of them would spin its
 * whole budget before the next one runs. So there are rules for the default budget. A program
 * that has chosen a budget gets that one, and nothing else.
 *
 * O1 The budget follows the traffic. A consumer spins only while the mean gap between messages is
 *    at most the budget: to sleep and be woken costs about as much as the budget.
 * O2 A long spin, one of more than SPIN_LONG_NS, offers its processor to others by
 *    sched_yield(2): at first, and then after twice as long each time. When another process takes
 *    the offer, the intervals begin anew, and its time is not taken off the budget.
 * O3 A message that comes during an offer waits for the end of it, some 0.3 us. So a process that
 *    is alone on its processor, which shows because its first offer is not taken, makes the first
 *    offer of the next spin later, up to SPIN_FIRST_OFFER_MOST_NS.
 * O4 Participants of a ring give a processor back within a fraction of a millisecond, because
 *    they wait as well. A process that computes does not: after two offers that it has taken,
 *    with few others between, there are none for a while.
 * O5 A consumer that has spun for long in vain twice in a row sleeps after SPIN_LONG_NS in the
 *    next 2 waits, then 4, up to 64. This is what helps while O4 forbids offers.
 * O6 A producer that waits for several consumers spins one budget for each, at most four: each of
 *    them may need a turn of the same processor.
 *
 * All of this is private to a process. Nothing that others see depends on it, so no invariant of
 * the doorbell does. The constants were found by experiment (docs/decisions/0047).
 */
#ifndef SHMRING_CORE_SPIN_H
#define SHMRING_CORE_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#include <shmring/shmring.h>

#pragma GCC visibility push(default)

#define SPIN_DEFAULT_NS INT64_C(50000)
#define SPIN_LONG_NS INT64_C(2000) /* most waits are over by then */
#define SPIN_FIRST_OFFER_MOST_NS INT64_C(32000)

/* What a handle has learnt from its waits. */
struct spin_habit {
	int64_t budget_ns; /* of a wait */
	bool adaptive;	   /* O1 */
	bool offers;	   /* the budget is the default: O2 to O6 */
	int64_t gap_ns;	   /* the mean of late, pauses cut off */
	int64_t waited_ns; /* when the last wait looked at the clock */
	uint64_t messages; /* since then */

	int64_t first_offer_ns;	 /* O3: into a spin */
	uint32_t long_offers;	 /* O4: what speaks for a process that computes */
	int64_t no_offers_until; /* O4 */
	bool fruitful;	/* O5: the last long spin has not ended in vain, as far as is known */
	uint32_t vain;	/* O5: long spins in vain, in a row */
	uint32_t skip;	/* O5: so many waits more do without a long spin */
	uint32_t turns; /* O6: budgets of a wait; 0 means 1 */
};

/* A wait in progress. Zero: it has not begun. */
struct spin {
	int64_t until; /* end of the budget, or the deadline */
	int64_t slice;
	int64_t offer_at;
	int64_t offer_gap_ns; /* 0: the spin is not long yet */
	uint32_t rounds;
	bool offered;
	bool over;
};

/* The budget as the options of both roles say it. */
void shmr_spin_set_budget(struct spin_habit *h, int64_t spin_ns, bool may_adapt);

/* O1: a wait begins, and h->messages came since the last one did. */
void shmr_spin_learn(struct spin_habit *h, int64_t now);

/* Begin a spin whose wait was learnt from. */
void shmr_spin_begin(struct spin *spin, const struct spin_habit *h, int64_t now, int64_t deadline);

/*
 * One pause of a spinning wait; the first one learns and begins. Returns false when the budget or
 * the deadline is over (then `over` is set), and once in a millisecond, so that a caller that
 * spins long can look after other things. Looks at the clock every few rounds only.
 */
bool shmr_spin(struct spin *spin, struct spin_habit *h, int64_t deadline,
	       struct shmring_counters *counters);

#pragma GCC visibility pop

#endif
