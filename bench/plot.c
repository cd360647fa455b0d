/* SPDX-License-Identifier: MIT */
/*
 * The picture: streaming rate over message size, one panel per capacity, drawn by
 * gnuplot, which reads its data from the same pipe as its commands.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "bench.h"

static const char *const subjects[] = { "shmring",     "shmring-batch32", "slotseq",
					"spsc",	       "mutex-cond",	  "pipe",
					"unix-stream", "mqueue",	  NULL };

/* A named block of data, and the bytes a second that no ring exceeds. */
static int write_bound(const struct plan *plan, FILE *out, size_t capacity)
{
	const struct cell *bound;
	int i, points = 0;
	struct spread s;
	double factor;

	fprintf(out, "$bound_%zu << EOD\n", capacity);
	for (i = 0; plan_sizes[i]; i++) {
		bound = plan_bound(plan, plan_sizes[i], capacity, &factor);
		s = spread_of(plan, bound);
		if (s.n > 0 && plan_sizes[i] <= capacity / 2) {
			fprintf(out, "%zu %g\n", plan_sizes[i], s.median * factor / 1e6);
			points++;
		}
	}
	fputs("EOD\n", out);
	return points;
}

static int write_points(const struct plan *plan, FILE *out, int subject, size_t capacity)
{
	const struct cell *cell;
	int i, points = 0;
	struct spread s;

	fprintf(out, "$data_%d_%zu << EOD\n", subject, capacity);
	for (i = 0; plan_sizes[i]; i++) {
		cell = plan_find(plan, STREAM, subjects[subject], plan_sizes[i], capacity);
		if (!cell && capacity == LARGE_LANE) /* peers have no lanes */
			cell = plan_find(plan, STREAM, subjects[subject], plan_sizes[i], 0);
		s = spread_of(plan, cell);
		if (s.n > 0) {
			fprintf(out, "%zu %g %g %g\n", plan_sizes[i], s.median / 1e6, s.min / 1e6,
				s.max / 1e6);
			points++;
		}
	}
	fputs("EOD\n", out);
	return points;
}

static void write_panel(const struct plan *plan, FILE *out, size_t capacity, const char *title)
{
	bool bound = write_bound(plan, out, capacity) > 0;
	const char *separator = "plot";
	bool present[16];
	int i;

	for (i = 0; subjects[i]; i++)
		present[i] = write_points(plan, out, i, capacity) > 0;
	fprintf(out, "set title '%s'\n", title);
	for (i = 0; subjects[i]; i++) {
		if (!present[i])
			continue;
		fprintf(out,
			"%s $data_%d_%zu using 1:2:3:4 with yerrorlines lw %d lt %d "
			"title '%s'",
			separator, i, capacity, i == 0 ? 3 : 1, i + 1, subjects[i]);
		separator = ",";
	}
	if (bound)
		fprintf(out,
			"%s $bound_%zu using 1:2 with lines lw 1 dt 2 lc rgb 'black' "
			"title 'bound of the machine'",
			separator, capacity);
	else if (strcmp(separator, "plot") == 0)
		fputs("plot [8:1e6] 1 notitle", out);
	fputc('\n', out);
}

static void write_script(const struct plan *plan, FILE *out, const char *file, bool png)
{
	fprintf(out, "set terminal %s size 1200,560\n", png ? "png" : "svg background 'white'");
	fprintf(out, "set output '%s'\n", file);
	fputs("set logscale xy\nset xrange [6:1.5e6]\nset yrange [5e-4:1e3]\n"
	      "set grid\nset key bottom left\n"
	      "set xlabel 'message, bytes'\nset ylabel 'million messages per second'\n"
	      "set xtics ('8' 8, '64' 64, '256' 256, '1K' 1024, '4K' 4096, '64K' 65536, "
	      "'1M' 1048576)\nset multiplot layout 1,2\n",
	      out);
	write_panel(plan, out, SMALL_LANE, "256 KiB lane");
	write_panel(plan, out, LARGE_LANE, "8 MiB lane");
	fputs("unset multiplot\n", out);
}

/* Returns 0, or -1 after it has said why not. Without gnuplot there is no picture. */
int plot_write(const struct plan *plan, const char *file)
{
	const char *dot = strrchr(file, '.');
	bool png = dot && strcmp(dot, ".png") == 0;
	FILE *out;
	int status;

	if (strchr(file, '\'') || !dot || (!png && strcmp(dot, ".svg") != 0)) {
		fprintf(stderr, "shmring-bench: %s does not end in .svg or .png\n", file);
		return -1;
	}
	if (system("command -v gnuplot >/dev/null") != 0) {
		fputs("shmring-bench: gnuplot is not installed, so no picture\n", stderr);
		return 0;
	}
	out = popen("gnuplot", "we");
	if (!out) {
		fprintf(stderr, "shmring-bench: gnuplot: %s\n", strerror(errno));
		return -1;
	}
	write_script(plan, out, file, png);
	status = pclose(out);
	if (status != 0)
		fprintf(stderr, "shmring-bench: gnuplot failed on %s\n", file);
	return status ? -1 : 0;
}
