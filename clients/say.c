/* SPDX-License-Identifier: MIT */
/*
 * Failures are one line on stderr, which names the command, the thing, and the
 * reason in the library's own words; the whole line is made harmless.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "harmless.h"
#include "options.h"
#include "progress.h"

static const char *command = "shmring";

/* Words of the library's sentences, and the command's words for the same. */
static const struct {
	const char *in_c;
	const char *in_shell;
} terms[] = {
	{ "SHMRING_OBSERVE", "--observe" },
	{ "SHMRING_PERSISTENT", "--persistent" },
	{ "SHMRING_ISOLATED", "--isolated" },
	{ "SHMRING_EPHEMERAL", "--ephemeral" },
	{ "SHMRING_STAMP_AUTO", "--stamps=auto" },
	{ "SHMRING_STAMP_CLOCK", "--stamps=clock" },
	{ "a larger lane size", "a larger --lane-size" },
	{ "a smaller lane size", "a smaller --lane-size" },
	{ "more lanes", "more --lanes" },
};

void say_as(const char *name)
{
	command = name;
}

/* What is formatted may hold names that others chose, so the line goes out as a whole. */
__attribute__((format(printf, 2, 0))) static void say_line(const char *reason, const char *format,
							   va_list args)
{
	char *about = NULL, *line = NULL;

	progress_hide();
	if (vasprintf(&about, format, args) < 0)
		about = NULL;
	if (asprintf(&line, "%s: %s%s%s", command, about ? about : "", reason ? ": " : "",
		     reason ? reason : "") >= 0) {
		text_harmless(line, strlen(line) + 1, line);
		fprintf(stderr, "%s\n", line);
		free(line);
	}
	free(about);
}

/* The library's last sentence, to be freed; NULL without memory. */
static char *reason_in_own_terms(void)
{
	char *reason = strdup(shmring_explain()), *found, *longer;

	for (size_t i = 0; reason && i < sizeof(terms) / sizeof(terms[0]); i++) {
		found = strstr(reason, terms[i].in_c);
		if (!found || asprintf(&longer, "%.*s%s%s", (int)(found - reason), reason,
				       terms[i].in_shell, found + strlen(terms[i].in_c)) < 0)
			continue;
		free(reason);
		reason = longer;
	}
	return reason;
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_line(NULL, format, args);
	va_end(args);
}

/* Where to look for the ring that is not there. */
static const char *advice(int err, const char *address)
{
	if (err != -ENOENT || strchr(address, '/'))
		return "";
	return strncmp(address, "broker:", 7) == 0 ? "; 'shmring ls broker:' lists the rings"
						   : "; 'shmring ls' lists the rings";
}

int ring_failed(const char *format, ...)
{
	char *reason = reason_in_own_terms();
	va_list args;

	va_start(args, format);
	say_line(reason ? reason : shmring_explain(), format, args);
	va_end(args);
	free(reason);
	return STATUS_FAILED;
}

int broker_failed(void)
{
	say("%s", shmring_explain());
	return STATUS_FAILED;
}

int address_failed(int err, const char *address)
{
	char *reason = reason_in_own_terms();

	say("%s%s", reason ? reason : shmring_explain(), advice(err, address));
	free(reason);
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

void usage_failed(const struct argp_state *state, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say_line(NULL, format, args);
	va_end(args);
	fprintf(stderr, "Try `%s --help' for more information.\n", state->name);
	exit(STATUS_USAGE);
}

static bool parsing;

/* Behind help and version argp ends the process itself, and does not look whether they arrived. */
static void finish_help(void)
{
	if (parsing && finish_stdout(STATUS_OK) != STATUS_OK)
		_exit(STATUS_FAILED);
}

/* Every command has it. argp has only -? and --help. */
static error_t parse_help(int key, char *arg, struct argp_state *state)
{
	(void)arg;
	if (key != 'h')
		return ARGP_ERR_UNKNOWN;
	argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
	return 0;
}

static const struct argp_option help_options[] = {
	{ NULL, 'h', NULL, 0, "The same as --help", -1 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};
static const struct argp help_argp = { help_options, parse_help, NULL, NULL, NULL, NULL, NULL };
static const struct argp_child help_child[] = { { &help_argp, 0, NULL, -1 }, { NULL, 0, NULL, 0 } };

void parse_arguments(const struct argp *argp, int argc, char **argv, unsigned flags, void *input)
{
	static bool registered;
	struct argp with_help = *argp;
	error_t err;

	with_help.children = help_child;
	check_command_line(argp, argc, argv, flags);
	registered = registered || atexit(finish_help) == 0;
	parsing = true;
	err = argp_parse(&with_help, argc, argv, flags, NULL, input);
	parsing = false;
	if (err == 0)
		return;
	system_failed(err, "reading the command line");
	exit(STATUS_USAGE);
}
