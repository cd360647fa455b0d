/* SPDX-License-Identifier: MIT */
/*
 * The JSON: machine, every cell with every row, targets. Rates are messages per
 * second; nothing is rounded.
 */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <jansson.h>

#include "bench.h"

static json_t *placement_json(const struct placement *p)
{
	return json_pack("{s:s, s:f, s:f, s:f, s:f, s:f}", "class", placement_name(p->class),
			 "round_trip_ns", p->round_trip_ns, "read_gbps", p->read_gbps,
			 "overwrite_gbps", p->overwrite_gbps, "compute_ratio", p->compute_ratio,
			 "chase_ratio", p->chase_ratio);
}

static json_t *rows_json(const struct cell *cell)
{
	json_t *rows = json_array();
	const struct row *row;
	json_t *one;
	int i;

	for (i = 0; i < cell->rows; i++) {
		row = &cell->row[i];
		one = json_pack("{s:i, s:f, s:b}", "round", row->round, "value", row->value, "kept",
				row->kept);
		if (row->p99 > 0)
			json_object_set_new(one, "p99", json_real(row->p99));
		if (row->system_calls > 0)
			json_object_set_new(one, "system_calls_per_message",
					    json_real(row->system_calls));
		if (cell->kind != SOLO) {
			json_object_set_new(one, "before", placement_json(&row->before));
			json_object_set_new(one, "after", placement_json(&row->after));
		}
		json_array_append_new(rows, one);
	}
	return rows;
}

static json_t *cells_json(const struct plan *plan)
{
	json_t *cells = json_array();
	const struct cell *cell;
	const char *unit;
	struct spread s;
	char name[128];
	int i;

	for (i = 0; i < plan->cells; i++) {
		cell = &plan->cell[i];
		s = spread_of(plan, cell);
		unit = cell->kind == STREAM	  ? "messages/s"
		       : cell->kind == ROUND_TRIP ? "ns"
						  : cell->subject->unit;
		plan_name(cell, name, sizeof(name));
		json_array_append_new(
			cells,
			json_pack("{s:s, s:s, s:I, s:I, s:s, s:i, s:f, s:f, s:f, s:o}", "name",
				  name, "subject", cell->subject->name, "message",
				  (json_int_t)cell->message, "capacity", (json_int_t)cell->capacity,
				  "unit", unit, "n", s.n, "median", s.median, "min", s.min, "max",
				  s.max, "rows", rows_json(cell)));
	}
	return cells;
}

static json_t *targets_json(const struct plan *plan)
{
	struct target target[MAX_TARGETS];
	int i, count = targets_make(plan, target);
	json_t *targets = json_array();

	for (i = 0; i < count; i++) {
		const struct target *t = &target[i];

		if (t->known)
			json_array_append_new(
				targets,
				json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:s, s:b}", "what",
					  t->what, "unit", t->unit, "measured", t->measured,
					  "limit", t->limit, "ratio", t->ratio, "need", t->need,
					  "direction", t->at_least ? "at least" : "at most", "met",
					  target_met(t)));
	}
	return targets;
}

static json_t *machine_json(void)
{
	char line[256], model[256] = "unknown";
	FILE *file = fopen("/proc/cpuinfo", "re");
	struct utsname u;

	if (uname(&u))
		memset(&u, 0, sizeof(u));
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "model name : %255[^\n]", model) == 1)
			break;
	if (file)
		fclose(file);
	return json_pack("{s:s, s:s, s:s, s:i, s:s}", "kernel", u.release, "architecture",
			 u.machine, "processor", model, "processors",
			 (int)sysconf(_SC_NPROCESSORS_ONLN), "compiler", __VERSION__);
}

/* Returns 0, or -1 after it has said why not. */
int json_write(const struct plan *plan, const char *file)
{
	json_t *root = json_pack(
		"{s:o, s:s, s:i, s:f, s:[i,i], s:f, s:i, s:i, s:o, s:o}", "machine", machine_json(),
		"placement", placement_name(plan->class), "rounds", plan->rounds, "window_ms",
		(double)plan->window_ns / 1e6, "cpus", plan->cpu[0], plan->cpu[1], "load",
		plan->load, "dropped", plan->dropped, "failed", plan->failed, "cells",
		cells_json(plan), "targets", targets_json(plan));
	int ret = root ? json_dump_file(root, file, JSON_INDENT(1)) : -1;

	if (ret)
		fprintf(stderr, "shmring-bench: cannot write %s\n", file);
	json_decref(root);
	return ret ? -1 : 0;
}
