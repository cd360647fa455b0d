/* SPDX-License-Identifier: MIT */
/*
 * The progress line on stderr. One process does one piece of work, so there is
 * one line.
 */
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "clock.h"
#include "progress.h"
#include "units.h"

#define PROGRESS_AFTER_NS 1000000000
#define PROGRESS_EVERY_NS 250000000
#define PROGRESS_WIDTH 79 /* width of a terminal that does not report it */

static struct {
	bool typed; /* the input is typed there: the line would be written into it */
	bool enabled;
	bool visible;
	int64_t shown_ns; /* when the line was written last, or the work began */
	int64_t next_ns;
	uint64_t total;
	uint64_t bytes; /* when it was written last */
} progress;

void progress_reads_stdin(void)
{
	progress.typed = isatty(STDIN_FILENO) == 1;
}

void progress_start(uint64_t total)
{
	progress.enabled = !progress.typed && isatty(STDERR_FILENO) == 1;
	progress.total = total;
	progress.shown_ns = now_ns();
	progress.next_ns = progress.shown_ns + PROGRESS_AFTER_NS;
}

/* How many characters fit on one line of the terminal. */
static int terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return PROGRESS_WIDTH;
	return size.ws_col - 1;
}

static void progress_show(uint64_t records, uint64_t bytes, int64_t now, const char *note)
{
	char count[UNITS_TEXT], size[UNITS_TEXT], rate[UNITS_TEXT], share[UNITS_TEXT] = "";
	char line[512];
	double seconds = (double)(now - progress.shown_ns) / 1e9;

	if (progress.total)
		snprintf(share, sizeof(share), "  %.0f %%",
			 100.0 * (double)bytes / (double)progress.total);
	snprintf(line, sizeof(line), "%s record%s  %s  %s/s%s%s%s", format_count(count, records),
		 records == 1 ? "" : "s", format_size(size, bytes),
		 format_size(rate, (uint64_t)((double)(bytes - progress.bytes) / seconds)), share,
		 note ? "  " : "", note ? note : "");
	fprintf(stderr, "\r\033[K%.*s", terminal_width(), line);
	fflush(stderr);
	progress.visible = true;
	progress.bytes = bytes;
	progress.shown_ns = now;
	progress.next_ns = now + PROGRESS_EVERY_NS;
}

void progress_update(uint64_t records, uint64_t bytes, const char *note)
{
	int64_t now;

	if (!progress.enabled)
		return;
	now = now_ns();
	if (now >= progress.next_ns)
		progress_show(records, bytes, now, note);
}

void progress_hide(void)
{
	if (!progress.visible)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	progress.visible = false;
}
