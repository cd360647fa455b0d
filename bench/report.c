/* SPDX-License-Identifier: MIT */
/*
 * The tables: medians with the range over the rounds, in the placement that most
 * rows of the run had.
 */
#include <stdio.h>
#include <string.h>

#include "bench.h"

#define WIDTH 19

/* Three significant digits, never an exponent. */
void report_number(char *ret, size_t size, double value)
{
	int digits = value >= 99.95	? 0
		     : value >= 9.995	? 1
		     : value >= 0.9995	? 2
		     : value >= 0.09995 ? 3
					: 4;

	snprintf(ret, size, "%.*f", digits, value);
}

static void print_spread(struct spread s, double scale)
{
	char median[32], min[32], max[32], text[128] = "-";

	report_number(median, sizeof(median), s.median * scale);
	report_number(min, sizeof(min), s.min * scale);
	report_number(max, sizeof(max), s.max * scale);
	if (s.n == 1)
		snprintf(text, sizeof(text), "%s", median);
	else if (s.n > 1)
		snprintf(text, sizeof(text), "%s (%s-%s)", median, min, max);
	printf(" %*s", WIDTH, text);
}

void report_head(const struct plan *plan)
{
	int class;

	printf("Placement: %s", placement_name(plan->class));
	if (plan->cpu[0] >= 0)
		printf(" (producer on processor %d, consumer on %d)", plan->cpu[0], plan->cpu[1]);
	else
		printf(" (unpinned)");
	printf("; rows:");
	for (class = 0; class < CLASSES; class ++)
		printf(" %s %d,", placement_name((enum class) class), plan->count[class]);
	printf(" dropped for changing %d, failed %d\n", plan->dropped, plan->failed);
	printf("Medians over %d rounds of %.0f ms (lowest-highest) in that placement.\n",
	       plan->rounds, (double)plan->window_ns / 1e6);
	if (plan->load > 0.5)
		printf("Others were using the processors (load %.1f): expect worse figures.\n",
		       plan->load);
}

/* Is there anything to show? A subject of NULL and a capacity of 0 mean any. */
static bool any(const struct plan *plan, enum kind kind, const char *subject, size_t capacity)
{
	const struct cell *cell;
	int i;

	for (i = 0; i < plan->cells; i++) {
		cell = &plan->cell[i];
		if (cell->kind == kind && (capacity == 0 || cell->capacity == capacity) &&
		    (!subject || strcmp(cell->subject->name, subject) == 0))
			return true;
	}
	return false;
}

static void print_stream_row(const struct plan *plan, const char *name, size_t capacity)
{
	int i;

	if (!any(plan, STREAM, name, capacity))
		return;
	printf("%-16s", name);
	for (i = 0; plan_sizes[i]; i++)
		print_spread(
			spread_of(plan, plan_find(plan, STREAM, name, plan_sizes[i], capacity)),
			1e-6);
	putchar('\n');
}

static void print_stream_rows(const struct plan *plan, const struct subject *list, size_t capacity)
{
	for (; list->name; list++)
		print_stream_row(plan, list->name, capacity);
}

static void print_header(const char *title)
{
	int i;

	printf("\n%s, million messages per second\n%-16s", title, "bytes");
	for (i = 0; plan_sizes[i]; i++)
		printf(" %*zu", WIDTH, plan_sizes[i]);
	putchar('\n');
}

static void print_bound(const struct plan *plan, size_t capacity)
{
	const struct cell *bound, *cell;
	double factor;
	int i;

	printf("%-16s", "bound");
	for (i = 0; plan_sizes[i]; i++) {
		bound = plan_bound(plan, plan_sizes[i], capacity, &factor);
		print_spread(spread_of(plan, plan_sizes[i] > capacity / 2 ? NULL : bound),
			     factor / 1e6);
	}
	printf("\n%-16s", "shmring / bound");
	for (i = 0; plan_sizes[i]; i++) {
		bound = plan_bound(plan, plan_sizes[i], capacity, &factor);
		cell = plan_find(plan, STREAM, "shmring", plan_sizes[i], capacity);
		print_spread(spread_ratio(plan, cell, bound), 1 / factor);
	}
	putchar('\n');
}

static void print_lane(const struct plan *plan, size_t capacity, const char *title)
{
	if (!any(plan, STREAM, NULL, capacity))
		return;
	print_header(title);
	print_stream_rows(plan, self_streams, capacity);
	print_stream_rows(plan, reference_streams, capacity);
	print_bound(plan, capacity);
}

static void print_streams(const struct plan *plan)
{
	print_lane(plan, SMALL_LANE, "Streaming through 256 KiB");
	print_lane(plan, LARGE_LANE, "Streaming through 8 MiB");
	if (!any(plan, STREAM, NULL, 0))
		return;
	print_header("What else there is");
	print_stream_rows(plan, peers, 0);
	for (int i = 0; more_peers[i]; i++)
		print_stream_rows(plan, more_peers[i], 0);
	print_header("Several producers, lanes or consumers, 256 KiB");
	print_stream_rows(plan, self_lanes, SMALL_LANE);
}

static void print_trips(const struct plan *plan, const struct subject *list)
{
	int i;

	for (; list->name; list++) {
		if (!any(plan, ROUND_TRIP, list->name, 0))
			continue;
		printf("%-18s", list->name);
		for (i = 0; plan_trip_sizes[i]; i++)
			print_spread(spread_of(plan, plan_find(plan, ROUND_TRIP, list->name,
							       plan_trip_sizes[i], 0)),
				     1);
		putchar('\n');
	}
}

static void print_values(const struct plan *plan, enum kind kind, const char *title)
{
	const struct cell *cell;
	char name[128];
	int i;

	if (any(plan, kind, NULL, 0))
		printf("\n%s\n", title);
	for (i = 0; i < plan->cells; i++) {
		cell = &plan->cell[i];
		if (cell->kind != kind)
			continue;
		plan_name(cell, name, sizeof(name));
		printf("%-28s", name);
		print_spread(spread_of(plan, cell), 1);
		printf(" %s\n", cell->subject->unit);
	}
}

static void print_calls(const struct plan *plan)
{
	static const size_t size[] = { 64, 4096 };
	const struct cell *cell;
	int i, k;

	if (any(plan, STREAM, "shmring", SMALL_LANE))
		printf("\nSystem calls per message through 256 KiB, both ends together\n");
	for (k = 0; self_streams[k].name; k++)
		for (i = 0; i < 2; i++) {
			cell = plan_find(plan, STREAM, self_streams[k].name, size[i], SMALL_LANE);
			if (cell && cell->rows)
				printf("%-18s %5zu B %14.6f\n", self_streams[k].name, size[i],
				       cell->row[cell->rows - 1].system_calls);
		}
}

static void print_trip_header(const struct plan *plan)
{
	if (!any(plan, ROUND_TRIP, NULL, 0))
		return;
	printf("\nRound trip, ns\n%-18s", "bytes");
	for (int i = 0; plan_trip_sizes[i]; i++)
		printf(" %*zu", WIDTH, plan_trip_sizes[i]);
	putchar('\n');
}

/* How long 64 messages of a consumer take that shares its processor, microseconds. */
static void print_stalls(const struct plan *plan)
{
	static const size_t size[] = { 64, 1024 };
	const struct cell *cell;

	if (any(plan, STREAM, "one-consumer", SMALL_LANE))
		printf("\n64 messages take at the 99th percentile, us (64 B, 1 KiB)\n");
	for (int k = 0; self_lanes[k].name; k++) {
		if (!self_lanes[k].consumers || !any(plan, STREAM, self_lanes[k].name, SMALL_LANE))
			continue;
		printf("%-16s", self_lanes[k].name);
		for (int i = 0; i < 2; i++) {
			cell = plan_find(plan, STREAM, self_lanes[k].name, size[i], SMALL_LANE);
			if (cell && cell->rows)
				printf(" %10.1f", cell->row[cell->rows - 1].p99 / 1e3);
		}
		putchar('\n');
	}
}

void report_tables(const struct plan *plan)
{
	print_values(plan, LIMIT, "Limits of the machine");
	print_streams(plan);
	print_stalls(plan);
	print_trip_header(plan);
	print_trips(plan, self_trips);
	print_trips(plan, reference_trips);
	print_trips(plan, peers);
	for (int i = 0; more_peers[i]; i++)
		print_trips(plan, more_peers[i]);
	print_values(plan, SOLO, "Costs");
	print_calls(plan);
}
