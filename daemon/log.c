/* SPDX-License-Identifier: MIT */
/*
 * log: see log.h. A pipe that polls as writable has room for a line (PIPE_BUF), so
 * the write cannot block, and it is atomic.
 */
#include "log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "atomic.h"
#include "harmless.h"

enum { LINE_SIZE = 1024 };

static int most = LOG_INFO;
static bool to_journal;
static shm_u32 unsaid;

void log_begin(int level)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	most = level;
	to_journal = stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
		     fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static bool has_room(void)
{
	struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) != 0;
}

static void put_line(char *line, int length)
{
	if (length >= LINE_SIZE)
		length = LINE_SIZE - 1;
	line[length] = '\0';
	length = (int)text_harmless(line, LINE_SIZE, line);
	line[length] = '\n';
	/* If this fails, there is nowhere to report it. */
	if (write(STDERR_FILENO, line, (size_t)length + 1) < 0)
		return;
}

static int begin_line(char *line, int level)
{
	return to_journal ? snprintf(line, LINE_SIZE, "<%d>", level)
			  : snprintf(line, LINE_SIZE, "shmringd: ");
}

/* Between threads of this process; no edge, they share nothing but the number. */
static void say_unsaid(void)
{
	uint32_t count = load_acquire32(&unsaid);
	char line[LINE_SIZE];
	int length;

	if (count == 0 || !compare_and_swap32(&unsaid, count, 0))
		return;
	length = begin_line(line, LOG_WARNING);
	length += snprintf(line + length, LINE_SIZE - (size_t)length,
			   "%u lines of this log were lost, because they were not read in time",
			   (unsigned)count);
	put_line(line, length);
}

void log_say(int level, const char *format, ...)
{
	char line[LINE_SIZE];
	va_list args;
	int length;

	if (level > most)
		return;
	if (!has_room()) {
		fetch_add32(&unsaid, 1); /* no edge: a count */
		return;
	}
	say_unsaid();
	length = begin_line(line, level);
	va_start(args, format);
	length += vsnprintf(line + length, LINE_SIZE - (size_t)length, format, args);
	va_end(args);
	put_line(line, length);
}
