/* SPDX-License-Identifier: MIT */
/*
 * How failures are told: one line on stderr, which names the command, the
 * thing, and the reason in the library's own words.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "progress.h"

static const char *command = "shmring";

void say_as(const char *name)
{
	command = name;
}

__attribute__((format(printf, 2, 0))) static void say_line(const char *reason, const char *format,
							    va_list args)
{
	progress_hide();
	fprintf(stderr, "%s: ", command);
	vfprintf(stderr, format, args);
	if (reason)
		fprintf(stderr, ": %s", reason);
	fputc('\n', stderr);
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_line(NULL, format, args);
	va_end(args);
}

int ring_failed(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_line(shmring_explain(), format, args);
	va_end(args);
	return STATUS_FAILED;
}

int system_failed(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_line(strerror(err < 0 ? -err : err), format, args);
	va_end(args);
	return STATUS_FAILED;
}

int finish_stdout(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	return system_failed(errno, "writing to standard output");
}

void parse_arguments(const struct argp *argp, int argc, char **argv, void *input)
{
	error_t err = argp_parse(argp, argc, argv, 0, NULL, input);

	if (err == 0)
		return;
	system_failed(err, "reading the command line");
	exit(STATUS_USAGE);
}
