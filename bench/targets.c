/* SPDX-License-Identifier: MIT */
/*
 * The targets: what shmring is meant to reach, as ratios to limits that were
 * measured in the same run. A missed target is reported, never an error of the
 * bench.
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"

struct list {
	const struct plan *plan;
	struct target *target;
	int count;
};

static void add(struct list *list, struct target target)
{
	if (list->count < MAX_TARGETS)
		list->target[list->count++] = target;
}

/* A cell against another: ratio taken round by round. */
static void compare(struct list *list, const char *what, const struct cell *cell,
		    const struct cell *limit, double factor, struct target form)
{
	struct spread ratio = spread_ratio(list->plan, cell, limit);
	double scale = cell && cell->kind == STREAM ? 1e-6 : 1;

	form.what = what;
	form.measured = spread_of(list->plan, cell).median * scale;
	form.limit = spread_of(list->plan, limit).median * factor * scale;
	form.ratio = ratio.median / factor;
	form.known = ratio.n > 0;
	add(list, form);
}

/* A cell against a fixed figure. */
static void confine(struct list *list, const char *what, const char *name, double most,
		    const char *unit)
{
	struct spread s = spread_of(list->plan, plan_find(list->plan, SOLO, name, 0, 0));

	add(list, (struct target){ .what = what,
				   .measured = s.median,
				   .ratio = s.median,
				   .need = most,
				   .unit = unit,
				   .known = s.n > 0 });
}

static const struct cell *trip(const struct list *list, const char *name, size_t size)
{
	return plan_find(list->plan, ROUND_TRIP, name, size, 0);
}

static const struct cell *stream(const struct list *list, const char *name, size_t size,
				 size_t capacity)
{
	return plan_find(list->plan, STREAM, name, size, capacity);
}

/* What has to be reached in this placement: near, and everywhere else. */
struct need {
	double near, far;
};

static double needed(const struct list *list, struct need need)
{
	return list->plan->class == CLASS_NEAR ? need.near : need.far;
}

static void round_trips(struct list *list)
{
	static const struct {
		const char *packed, *aligned;
		size_t size;
	} at[] = {
		{ "round trip 48 B, packed / best reference",
		  "round trip 48 B, on lines / best reference", 48 },
		{ "round trip 56 B, packed / best reference",
		  "round trip 56 B, on lines / best reference", 56 },
		{ "round trip 64 B, packed / best reference",
		  "round trip 64 B, on lines / best reference", 64 },
	};
	struct target ns = { .unit = "ns", .need = needed(list, (struct need){ 1.15, 1.0 }) };

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		const struct cell *best = plan_best_trip(list->plan, at[i].size);

		compare(list, at[i].packed, trip(list, "shmring-poll", at[i].size), best, 1, ns);
		compare(list, at[i].aligned, trip(list, "shmring-poll-line", at[i].size), best, 1,
			ns);
	}
	ns.need = 1.5;
	compare(list, "round trip 64 B, on lines / two-line ping-pong",
		trip(list, "shmring-poll-line", 64),
		plan_find(list->plan, LIMIT, "two-lines", 0, 0), 1, ns);
	ns.need = 1.05;
	compare(list, "round trip 64 B, sleeping / raw futex", trip(list, "shmring-sleep", 64),
		plan_find(list->plan, LIMIT, "futex", 0, 0), 1, ns);
	compare(list, "round trip 64 B, spin then sleep / pure spinning", trip(list, "shmring", 64),
		trip(list, "shmring-poll", 64), 1, ns);
	compare(list, "round trip 1 KiB, spin then sleep / pure spinning",
		trip(list, "shmring", 1024), trip(list, "shmring-poll", 1024), 1, ns);
}

/* Of the best reference of the same size and capacity. */
static void streams(struct list *list)
{
	static const struct {
		const char *what, *cell;
		size_t size, capacity;
		struct need need;
	} at[] = {
		{ "stream 64 B, 256 KiB / best reference",
		  "shmring",
		  64,
		  SMALL_LANE,
		  { 0.65, 0.95 } },
		{ "stream 64 B, 8 MiB / best reference",
		  "shmring",
		  64,
		  LARGE_LANE,
		  { 0.65, 0.95 } },
		{ "stream 64 B in batches, 256 KiB / best reference",
		  "shmring-batch32",
		  64,
		  SMALL_LANE,
		  { 0.9, 1.0 } },
		{ "stream 64 B in batches, 8 MiB / best reference",
		  "shmring-batch32",
		  64,
		  LARGE_LANE,
		  { 0.9, 1.0 } },
		{ "stream 256 B, 256 KiB / best reference",
		  "shmring",
		  256,
		  SMALL_LANE,
		  { 0.85, 1.0 } },
		{ "stream 256 B, 8 MiB / best reference",
		  "shmring",
		  256,
		  LARGE_LANE,
		  { 0.85, 1.0 } },
		{ "stream 1 KiB, 256 KiB / best reference",
		  "shmring",
		  1024,
		  SMALL_LANE,
		  { 0.95, 0.95 } },
		{ "stream 4 KiB, 256 KiB / best reference",
		  "shmring",
		  4096,
		  SMALL_LANE,
		  { 0.95, 0.95 } },
		{ "stream 64 KiB, 256 KiB / best reference",
		  "shmring",
		  65536,
		  SMALL_LANE,
		  { 0.95, 0.95 } },
	};
	struct target rate = { .unit = "M/s", .at_least = true };

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		rate.need = needed(list, at[i].need);
		compare(list, at[i].what, stream(list, at[i].cell, at[i].size, at[i].capacity),
			plan_best_stream(list->plan, at[i].size, at[i].capacity), 1, rate);
	}
}

static void copies(struct list *list)
{
	static const struct {
		const char *what;
		size_t size;
	} at[] = {
		{ "publish 1 KiB / filling in place", 1024 },
		{ "publish 4 KiB / filling in place", 4096 },
		{ "publish 64 KiB / filling in place", 65536 },
	};
	struct target rate = { .unit = "M/s", .at_least = true, .need = 0.95 };

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		compare(list, at[i].what, stream(list, "shmring-publish", at[i].size, SMALL_LANE),
			stream(list, "shmring", at[i].size, SMALL_LANE), 1, rate);
}

static void able_to_sleep(struct list *list)
{
	static const struct {
		const char *what;
		size_t size, capacity;
	} at[] = {
		{ "able to sleep / only polling, 64 B, 256 KiB", 64, SMALL_LANE },
		{ "able to sleep / only polling, 256 B, 256 KiB", 256, SMALL_LANE },
		{ "able to sleep / only polling, 1 KiB, 256 KiB", 1024, SMALL_LANE },
		{ "able to sleep / only polling, 64 B, 8 MiB", 64, LARGE_LANE },
		{ "able to sleep / only polling, 1 KiB, 8 MiB", 1024, LARGE_LANE },
	};
	struct target rate = { .unit = "M/s", .at_least = true, .need = 0.97 };
	size_t i;

	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		compare(list, at[i].what, stream(list, "shmring", at[i].size, at[i].capacity),
			stream(list, "shmring-poll", at[i].size, at[i].capacity), 1, rate);
}

static void lanes(struct list *list)
{
	struct target rate = { .unit = "M/s", .at_least = true, .need = 0.95 };
	const struct cell *one;

	one = stream(list, "one-producer", 64, SMALL_LANE);
	compare(list, "two producers on one core / one producer, 64 B",
		stream(list, "two-producers", 64, SMALL_LANE), one, 1, rate);
	compare(list, "63 idle lanes / none, 64 B", stream(list, "idle-lanes-63", 64, SMALL_LANE),
		one, 1, rate);
	one = stream(list, "one-producer", 1024, SMALL_LANE);
	compare(list, "two producers on one core / one producer, 1 KiB",
		stream(list, "two-producers", 1024, SMALL_LANE), one, 1, rate);
	compare(list, "63 idle lanes / none, 1 KiB",
		stream(list, "idle-lanes-63", 1024, SMALL_LANE), one, 1, rate);
}

/* N consumers get N times as many messages; all together as many as one, at best. */
static void consumers(struct list *list)
{
	static const struct {
		const char *what, *cell;
		size_t size;
		int count;
	} at[] = {
		{ "2 x rate of 2 consumers on one core / of one, 64 B", "two-consumers", 64, 2 },
		{ "4 x rate of 4 consumers on one core / of one, 64 B", "four-consumers", 64, 4 },
		{ "8 x rate of 8 consumers on one core / of one, 64 B", "eight-consumers", 64, 8 },
		{ "2 x rate of 2 consumers on one core / of one, 1 KiB", "two-consumers", 1024, 2 },
		{ "4 x rate of 4 consumers on one core / of one, 1 KiB", "four-consumers", 1024,
		  4 },
		{ "8 x rate of 8 consumers on one core / of one, 1 KiB", "eight-consumers", 1024,
		  8 },
	};
	struct target rate = { .unit = "M/s", .at_least = true, .need = 0.9 };

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		compare(list, at[i].what, stream(list, at[i].cell, at[i].size, SMALL_LANE),
			stream(list, "one-consumer", at[i].size, SMALL_LANE), 1.0 / at[i].count,
			rate);
}

static void costs(struct list *list)
{
	struct target ms = { .unit = "ms", .need = 1.2 };

	confine(list, "idle consumer", "idle-consumer", 0.1, "% cpu");
	confine(list, "create", "create", 2, "ms");
	compare(list, "first attach of an 8 MiB lane / population",
		plan_find(list->plan, SOLO, "attach-first", 0, 0),
		plan_find(list->plan, SOLO, "populate-memfd", 0, 0), 1, ms);
	confine(list, "producer's attach to a lane in memory", "attach-again", 1, "ms");
	confine(list, "consumer's attach", "attach-consumer", 1, "ms");
}

int targets_make(const struct plan *plan, struct target ret[MAX_TARGETS])
{
	struct list list = { .plan = plan, .target = ret };

	round_trips(&list);
	streams(&list);
	copies(&list);
	able_to_sleep(&list);
	lanes(&list);
	consumers(&list);
	costs(&list);
	return list.count;
}

bool target_met(const struct target *t)
{
	return t->known && (t->at_least ? t->ratio >= t->need : t->ratio <= t->need);
}

static void print_target(const struct target *t)
{
	char measured[32], limit[32] = "", ratio[32] = "";

	report_number(measured, sizeof(measured), t->measured);
	if (t->limit > 0) {
		report_number(limit, sizeof(limit), t->limit);
		report_number(ratio, sizeof(ratio), t->ratio);
	}
	printf("%-53s %9s %9s %-5s %7s %s %-5g %s\n", t->what, measured, limit, t->unit, ratio,
	       t->at_least ? ">=" : "<=", t->need, target_met(t) ? "met" : "missed");
}

void targets_print(const struct plan *plan)
{
	struct target target[MAX_TARGETS];
	int i, unknown = 0, met = 0, count = targets_make(plan, target);

	printf("\n%-53s %9s %9s %-5s %7s %8s\n", "Targets", "measured", "limit", "", "ratio",
	       "need");
	for (i = 0; i < count; i++) {
		if (target[i].known)
			print_target(&target[i]);
		unknown += !target[i].known;
		met += target_met(&target[i]);
	}
	printf("%d met, %d missed, %d not measured in this run\n", met, count - met - unknown,
	       unknown);
}
