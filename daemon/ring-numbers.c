/* SPDX-License-Identifier: MIT */
/*
 * ring-numbers: see ring-numbers.h.
 */
#include "ring-numbers.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "look.h"
#include "sys.h"

/* A ring, and the count under way. */
struct watched {
	uint8_t uuid[16];
	uint64_t round; /* it was there in */
	bool done;	/* in this one */
	struct ring_numbers numbers;
	unsigned lane; /* being counted */
	struct look look;
	int64_t begun_ns;
	bool damaged;
	uint64_t messages, bytes;
	struct ring_counts counts;
	struct lane_ends ends;
};

static int by_uuid(const void *a, const void *b)
{
	return memcmp(((const struct watched *)a)->uuid, ((const struct watched *)b)->uuid, 16);
}

static void free_watched(void *arg)
{
	struct watched *w = arg;

	free(w->numbers.consumers);
	free(w);
}

/* NULL: out of memory. */
static struct watched *find(struct number_rounds *r, const uint8_t uuid[16])
{
	struct watched key, *w;
	struct watched *const *found;

	memcpy(key.uuid, uuid, sizeof(key.uuid));
	found = tfind(&key, &r->rings, by_uuid);
	if (found)
		return *found;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	memcpy(w->uuid, uuid, sizeof(w->uuid));
	if (!tsearch(w, &r->rings, by_uuid)) {
		free(w);
		return NULL;
	}
	return w;
}

struct leavers {
	uint64_t round;
	struct watched *one;
};

static void find_leaver(const void *node, VISIT which, void *arg)
{
	struct watched *w = *(struct watched *const *)node;
	struct leavers *l = arg;

	if ((which == postorder || which == leaf) && w->round != l->round)
		l->one = w;
}

/* Forget rings that were not in this round. As a rule, few leave at a time. */
static void forget_leavers(struct number_rounds *r)
{
	for (;;) {
		struct leavers leavers = { .round = r->round };

		twalk_r(r->rings, find_leaver, &leavers);
		if (!leavers.one)
			return;
		tdelete(leavers.one, &r->rings, by_uuid);
		free_watched(leavers.one);
	}
}

static void begin_count(struct watched *w, int64_t now)
{
	w->lane = 0;
	w->look = (struct look){ 0 };
	w->ends = (struct lane_ends){ 0 };
	w->messages = w->bytes = 0;
	w->counts = (struct ring_counts){ 0 };
	w->damaged = false;
	w->begun_ns = now;
	if (!w->numbers.known && w->numbers.counted_ns == 0)
		w->numbers.counted_ns = now;
}

static void add_lane_counts(struct ring_counts *sum, const struct shmring_lane_stat *lane)
{
	sum->full_waits += lane->full_waits;
	sum->full_wait_ns += lane->full_wait_ns;
	sum->producer_sleeps += lane->sleeps;
	sum->wakes += lane->wakes;
	sum->evictions += lane->evictions;
}

static void add_consumer_counts(struct ring_counts *sum, const struct shmring_consumer_stat *c)
{
	sum->waits += c->waits;
	sum->consumer_sleeps += c->sleeps;
	sum->lost += c->lost;
	sum->lost_bytes += c->lost_bytes;
}

static void add_lane(struct watched *w, int e, const struct shmring_lane_stat *lane)
{
	if (e == -EBADMSG)
		w->damaged = true;
	if (e == 0) {
		w->messages += lane->messages;
		w->bytes += lane->bytes;
		add_lane_counts(&w->counts, lane);
		w->ends.known |= UINT64_C(1) << w->lane;
		w->ends.position[w->lane] = lane->position;
	}
	w->lane++;
	w->look = (struct look){ 0 };
}

static void count_consumers(struct watched *w, struct shmring_ring *r)
{
	struct ring_numbers *n = &w->numbers;

	free(n->consumers);
	n->consumer_count = n->evicted = 0;
	n->consumers = n->stat.consumers + n->stat.detached == 0
			       ? NULL
			       : calloc(SHMRING_MAX_CONSUMERS, sizeof(*n->consumers));
	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++) {
		struct consumer_numbers *to;
		struct shmring_consumer_stat c;

		if (shmr_look_at_consumer(r, i, &w->ends, &c) < 0)
			continue;
		add_consumer_counts(&w->counts, &c); /* of consumers that have left, too */
		if (c.state == SHMRING_FREE || !n->consumers)
			continue;
		to = &n->consumers[n->consumer_count];
		n->evicted += c.state == SHMRING_EVICTED;
		to->slot = i;
		to->lag = c.lag;
		memcpy(to->name, c.name, sizeof(to->name));
		n->consumer_count++;
	}
}

/* Go on counting; with the last lane the count is done, and its numbers are those to show. */
static void take_turn(struct watched *w, struct shmring_ring *r, int64_t deadline)
{
	while (w->lane < w->numbers.stat.lanes) {
		struct shmring_lane_stat lane;
		int e = shmr_look_at_lane(r, w->lane, &w->look, deadline, &lane);

		if (e < 0 || !lane.partial)
			add_lane(w, e, &lane);
		if (shmr_now() >= deadline && w->lane < w->numbers.stat.lanes)
			return;
	}
	count_consumers(w, r);
	w->numbers.messages = w->messages;
	w->numbers.bytes = w->bytes;
	w->numbers.counts = w->counts;
	w->numbers.damaged = w->damaged;
	w->numbers.counted_ns = w->begun_ns;
	w->numbers.known = w->done = true;
	begin_count(w, 0);
}

/* The numbers that need no counting. Memory may stay what it was: it takes time, too. */
static void look_at_ring(struct watched *w, struct shmring_ring *r, int64_t deadline)
{
	uint64_t resident = w->numbers.stat.lanes > 0 ? w->numbers.stat.resident : UINT64_MAX;

	w->done = shmr_look_at_ring(r, deadline, &w->numbers.stat) < 0;
	w->numbers.damaged |= w->done;
	if (w->done)
		return;
	if (w->numbers.stat.resident == UINT64_MAX)
		w->numbers.stat.resident = resident;
	if (w->begun_ns == 0)
		begin_count(w, shmr_now());
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Give each ring its turn. False: the round was broken off. */
static bool take_turns(struct number_rounds *r, struct shmring_ring *const *rings, size_t count,
		       bool first, int64_t round_end, const struct ring_numbers_end *end,
		       struct watched **of)
{
	for (size_t n = 0; n < count; n++) {
		size_t i = (r->first + n) % count;
		struct watched *w = of[i];

		if (end && end->wanted(end->arg))
			return false;
		if (first)
			look_at_ring(w, rings[i], sooner(round_end, shmr_now() + LOOK_MEMORY_NS));
		else if (shmr_now() >= round_end)
			break;
		if (!w->done)
			take_turn(w, rings[i], shmr_now() + RING_NUMBERS_TURN_NS);
	}
	return true;
}

static bool all_done(struct watched **of, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!of[i]->done)
			return false;
	return true;
}

int ring_numbers_round(struct number_rounds *r, struct shmring_ring *const *rings, size_t count,
		       const struct ring_numbers_end *end, const struct ring_numbers **ret)
{
	struct watched **of = calloc(count + 1, sizeof(struct watched *));
	int64_t round_end = shmr_now() + RING_NUMBERS_ROUND_NS;
	bool first = true, goes_on = true;
	int e = of ? 0 : -ENOMEM;

	r->round++;
	for (size_t i = 0; e == 0 && i < count; i++) {
		of[i] = find(r, rings[i]->uuid);
		if (of[i])
			of[i]->round = r->round;
		else
			e = -ENOMEM;
	}
	while (e == 0 && goes_on && (first || (!all_done(of, count) && shmr_now() < round_end))) {
		goes_on = take_turns(r, rings, count, first, round_end, end, of);
		first = false;
	}
	for (size_t i = 0; e == 0 && i < count; i++)
		ret[i] = &of[i]->numbers;
	r->first = count > 0 ? (r->first + 1) % count : 0;
	free(of);
	if (e == 0)
		forget_leavers(r);
	return e == 0 && !goes_on ? -ECANCELED : e;
}

void ring_numbers_close(struct number_rounds *r)
{
	tdestroy(r->rings, free_watched);
	*r = (struct number_rounds){ 0 };
}
