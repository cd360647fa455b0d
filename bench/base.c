/* SPDX-License-Identifier: MIT */
/*
 * Base: the bench of another build measures every cell of this one, too, in turn with it: an odd
 * round begins with the one, an even round with the other. Figures of two runs differ by what the
 * machine did in between, so only the ratio of two rows that follow each other says anything of
 * the two builds.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "bench.h"

/* Where the other bench writes. */
#define RESULTS "/dev/fd/3"

static _Noreturn void run_base(const struct plan *plan, const char *name, int out)
{
	char cpus[32], only[160];
	int quiet = open("/dev/null", O_WRONLY);

	snprintf(cpus, sizeof(cpus), "--cpus=%d,%d", plan->cpu[0], plan->cpu[1]);
	snprintf(only, sizeof(only), "--only=%s", name);
	if (quiet < 0 || dup2(quiet, STDOUT_FILENO) < 0 || (out != 3 && dup2(out, 3) < 0))
		_exit(127);
	execl(plan->base, plan->base, "--rounds=1", "--json=" RESULTS, only,
	      plan->cpu[0] < 0 ? "--unpinned" : cpus, (char *)NULL);
	_exit(127);
}

/* The row that was measured last, if there is one that may be kept. */
static bool read_row(const json_t *root, const char *name, struct row *ret)
{
	const json_t *cells = json_object_get(root, "cells"), *cell, *rows;
	size_t i, last;

	json_array_foreach((json_t *)(uintptr_t)cells, i, cell)
	{
		const char *of = json_string_value(json_object_get(cell, "name"));

		rows = json_object_get(cell, "rows");
		last = json_array_size(rows);
		if (!of || strcmp(of, name) != 0 || last == 0)
			continue;
		rows = json_array_get(rows, last - 1);
		ret->value = json_number_value(json_object_get(rows, "value"));
		ret->kept = json_is_true(json_object_get(rows, "kept"));
		return true;
	}
	return false;
}

static bool read_results(FILE *in, const char *name, struct row *ret)
{
	json_error_t error;
	json_t *root = json_loadf(in, 0, &error);
	bool well = root && read_row(root, name, ret);

	json_decref(root);
	return well;
}

/*
 * One row of the other build. Its bench may be older and tell placements in another way, so what
 * counts is that this bench saw the same placement before and after: see base_ratio().
 */
void base_measure(const struct plan *plan, struct cell *cell, int round)
{
	struct row *row = &cell->base_row[cell->base_rows];
	FILE *in = tmpfile();
	char name[128];
	int status;
	pid_t pid;

	plan_name(cell, name, sizeof(name));
	pid = in ? fork() : -1;
	if (pid == 0)
		run_base(plan, name, fileno(in));
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) == 127) {
		fprintf(stderr, "\nshmring-bench: cannot run %s\n", plan->base);
		exit(EXIT_FAILURE);
	}
	rewind(in);
	*row = (struct row){ .round = round };
	if (read_results(in, name, row))
		cell->base_rows++;
	fclose(in);
}

/* This build over the other one, of the rounds in which both have a row that is kept. */
static struct spread base_ratio(const struct plan *plan, const struct cell *cell)
{
	struct samples s = { 0 };

	for (int i = 0; i < cell->rows; i++)
		for (int k = 0; k < cell->base_rows; k++)
			if (cell->row[i].round == cell->base_row[k].round && cell->row[i].kept &&
			    (cell->kind == SOLO || cell->row[i].before.class == plan->class) &&
			    cell->base_row[k].kept && cell->base_row[k].value > 0)
				samples_add(&s, cell->row[i].value / cell->base_row[k].value);
	return spread_make(&s);
}

void base_report(const struct plan *plan)
{
	printf("\n%-36s %9s %-17s %s\n", "This build / the other one", "median",
	       " (lowest-highest)", "rounds");
	for (int i = 0; i < plan->cells; i++) {
		struct spread s = base_ratio(plan, &plan->cell[i]);
		char name[128];

		plan_name(&plan->cell[i], name, sizeof(name));
		if (s.n > 0)
			printf("%-36s %9.3f (%.3f-%.3f)     %d\n", name, s.median, s.min, s.max,
			       s.n);
	}
	puts("Messages per second: more is better. Nanoseconds, milliseconds: less is.");
}
