/* SPDX-License-Identifier: MIT */
/*
 * The plan: which subjects are measured at which sizes.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

const size_t plan_sizes[] = { 8, 64, 256, 1024, 4096, 65536, 1048576, 0 };
const size_t plan_trip_sizes[] = { 48, 56, 64, 1024, 0 };

static const char *const kind_names[] = { "limit", "stream", "trip", "cost" };

static void name_size(char *ret, size_t room, size_t size)
{
	if (size >= 1048576)
		snprintf(ret, room, "%zuM", size >> 20);
	else if (size >= 1024)
		snprintf(ret, room, "%zuK", size >> 10);
	else
		snprintf(ret, room, "%zu", size);
}

/* Such as stream/shmring/64/256K: kind, subject, message, capacity. */
void plan_name(const struct cell *cell, char *ret, size_t size)
{
	char message[24], capacity[24];

	name_size(message, sizeof(message), cell->message);
	name_size(capacity, sizeof(capacity), cell->capacity);
	snprintf(ret, size, "%s/%s/%s/%s", kind_names[cell->kind], cell->subject->name, message,
		 capacity);
}

struct builder {
	struct plan *plan;
	const char *only; /* NULL: everything */
	int group;
};

static bool wanted(const struct builder *b, const struct cell *cell)
{
	char name[128];

	if (!b->only)
		return true;
	plan_name(cell, name, sizeof(name));
	return strstr(name, b->only) || fnmatch(b->only, name, 0) == 0;
}

static void add(struct builder *b, const struct subject *list, enum kind kind, size_t message,
		size_t capacity)
{
	struct plan *plan = b->plan;
	struct cell *cell;

	for (; list->name && plan->cells < MAX_CELLS; list++) {
		cell = &plan->cell[plan->cells];
		*cell = (struct cell){ .subject = list,
				       .kind = kind,
				       .message = message,
				       .capacity = capacity,
				       .group = b->group };
		/* no ring takes more than half of itself in one message */
		cell->missing = message > capacity / 2;
		plan->cells += wanted(b, cell);
	}
}

static void add_peers(struct builder *b, enum kind kind, size_t message)
{
	size_t capacity = message > SMALL_LANE / 2 ? LARGE_LANE : SMALL_LANE;

	add(b, peers, kind, message, capacity);
	for (int i = 0; more_peers[i]; i++)
		add(b, more_peers[i], kind, message, capacity);
}

static void add_streams(struct builder *b, size_t message)
{
	static const size_t capacity[] = { SMALL_LANE, LARGE_LANE };
	int i;

	for (i = 0; i < 2; i++) {
		b->group++;
		add(b, reference_streams, STREAM, message, capacity[i]);
		add(b, self_streams, STREAM, message, capacity[i]);
	}
	b->group++;
	add_peers(b, STREAM, message);
}

static void add_trips(struct builder *b, size_t message)
{
	b->group++;
	if (message == 64)
		add(b, limit_trips, LIMIT, 0, SMALL_LANE);
	add(b, reference_trips, ROUND_TRIP, message, SMALL_LANE);
	add(b, self_trips, ROUND_TRIP, message, SMALL_LANE);
	if (message < 64)
		return; /* what a few bytes more or less are to a system call */
	b->group++;
	add_peers(b, ROUND_TRIP, message);
}

static void add_lanes(struct builder *b, size_t message)
{
	b->group++;
	add(b, self_lanes, STREAM, message, SMALL_LANE);
}

/* Returns 0, or -1 if nothing matches. */
int plan_make(struct plan *plan, const char *only)
{
	struct builder b = { .plan = plan, .only = only };
	int i;

	plan->cell = calloc(MAX_CELLS, sizeof(*plan->cell));
	if (!plan->cell)
		return -1;
	add(&b, limit_overwrites, LIMIT, 0, SMALL_LANE);
	b.group++;
	add(&b, limit_streams, LIMIT, 0, SMALL_LANE);
	add(&b, limit_streams, LIMIT, 0, LARGE_LANE);
	for (i = 0; plan_sizes[i]; i++)
		add_streams(&b, plan_sizes[i]);
	for (i = 0; plan_trip_sizes[i]; i++)
		add_trips(&b, plan_trip_sizes[i]);
	add_lanes(&b, 64);
	add_lanes(&b, 1024);
	b.group++;
	add(&b, limit_costs, SOLO, 0, LARGE_LANE);
	add(&b, self_costs, SOLO, 0, LARGE_LANE);
	return plan->cells > 0 ? 0 : -1;
}

/* A capacity of 0 means any. NULL: not in the plan. */
const struct cell *plan_find(const struct plan *plan, enum kind kind, const char *subject,
			     size_t message, size_t capacity)
{
	const struct cell *cell;
	int i;

	for (i = 0; i < plan->cells; i++) {
		cell = &plan->cell[i];
		if (cell->kind == kind && cell->message == message &&
		    (capacity == 0 || cell->capacity == capacity) &&
		    strcmp(cell->subject->name, subject) == 0)
			return cell;
	}
	return NULL;
}

/* Of a list of references, the cell that is best in the placement of the report. */
static const struct cell *best_of(const struct plan *plan, const struct subject *list,
				  enum kind kind, size_t message, size_t capacity)
{
	const struct cell *best = NULL;
	double record = 0;

	for (; list->name; list++) {
		const struct cell *cell = plan_find(plan, kind, list->name, message, capacity);
		struct spread s = spread_of(plan, cell);

		if (s.n > 0 &&
		    (!best || (kind == STREAM ? s.median > record : s.median < record))) {
			best = cell;
			record = s.median;
		}
	}
	return best;
}

const struct cell *plan_best_stream(const struct plan *plan, size_t message, size_t capacity)
{
	return best_of(plan, reference_streams, STREAM, message, capacity);
}

const struct cell *plan_best_trip(const struct plan *plan, size_t message)
{
	return best_of(plan, reference_trips, ROUND_TRIP, message, 0);
}

/*
 * What a short message costs is instructions and the order of stores, and the rate at which
 * lines change hands says nothing about it: no ring of any kind comes near. Each line of a long
 * one has to change hands.
 */
const struct cell *plan_bound(const struct plan *plan, size_t message, size_t capacity,
			      double *ret_factor)
{
	*ret_factor = 1;
	if (message < LONG_MESSAGE)
		return plan_best_stream(plan, message, capacity);
	/* every message has a header; 1 GB/s is a byte per nanosecond */
	*ret_factor = 1e9 / (double)(message + 8);
	if (capacity == SMALL_LANE)
		return plan_find(plan, LIMIT, "overwrite", 0, 0);
	return plan_find(plan, LIMIT, "fill", 0, capacity);
}

void plan_choose_class(struct plan *plan)
{
	int class;

	for (class = 0; class < CLASSES; class ++)
		if (plan->count[class] > plan->count[plan->class])
			plan->class = (enum class) class;
}
