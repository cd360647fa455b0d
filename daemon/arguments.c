/* SPDX-License-Identifier: MIT */
/*
 * arguments: see arguments.h.
 */
#include "arguments.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include <shmring/shmring.h>

#include "harmless.h"
#include "log.h"
#include "proto.h"

enum key {
	KEY_CHECK = 256,
	KEY_CHECK_START,
	KEY_STOP,
	KEY_FOREGROUND,
	KEY_DAEMON,
	KEY_NO_SANDBOX,
	KEY_KEEPER
};

/* Where the broker of root keeps rings, and any other below its $XDG_RUNTIME_DIR. */
#define SYSTEM_RINGS "/run/shmring/rings"
#define USER_RINGS "shmring/broker-rings"
#define SYSTEM_CONFIG "/etc/shmring/shmringd.conf"

static const struct argp_option options[] = {
	{ "socket", 's', "PATH", 0,
	  "Listen at PATH (default: " PROTO_SYSTEM_SOCKET " for root, else "
	  "$XDG_RUNTIME_DIR/" PROTO_USER_SOCKET ")",
	  0 },
	{ "directory", 'd', "DIR", 0,
	  "Keep rings in DIR (default: " SYSTEM_RINGS " for root, else "
	  "$XDG_RUNTIME_DIR/" USER_RINGS ")",
	  0 },
	{ "state-directory", 'S', "DIR", 0,
	  "Keep persistent rings in DIR (default: make no persistent rings)", 0 },
	{ "config", 'c', "FILE", 0,
	  "Read the rules from FILE (default for root: " SYSTEM_CONFIG ", if it exists)", 0 },
	{ "keeper", KEY_KEEPER, NULL, 0,
	  "Start a process that keeps isolated rings after the broker has ended, unless one runs "
	  "already",
	  0 },
	{ "check-config", KEY_CHECK, "FILE", 0, "Only check the configuration in FILE", 0 },
	{ "check-start", KEY_CHECK_START, NULL, 0,
	  "Only check whether a start with these arguments would succeed", 0 },
	{ "stop", KEY_STOP, NULL, 0,
	  "End the broker that listens at the socket, and wait until it has ended", 0 },
	{ "foreground", KEY_FOREGROUND, NULL, 0, "Stay in the foreground (default)", 1 },
	{ "daemon", KEY_DAEMON, NULL, 0, "Go to the background when clients can connect", 1 },
	{ "verbose", 'v', NULL, 0, "Log every client and every refusal, too", 1 },
	{ "quiet", 'q', NULL, 0, "Log warnings and errors only", 1 },
	{ "no-sandbox", KEY_NO_SANDBOX, NULL, 0,
	  "Run without the filter of system calls, for debugging", 1 },
	{ NULL, 'h', NULL, 0, "The same as --help", -1 },
	{ 0 },
};

static error_t parse_action(int key, char *arg, struct arguments *a)
{
	switch (key) {
	case KEY_CHECK:
		a->check = arg;
		return 0;
	case KEY_CHECK_START:
		a->check_start = true;
		return 0;
	case KEY_STOP:
		a->stop = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;

	switch (key) {
	case 'h':
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
		return 0;
	case 's':
		a->broker.socket = arg;
		return 0;
	case 'd':
		a->broker.directory = arg;
		return 0;
	case 'S':
		a->broker.state_directory = arg;
		return 0;
	case 'c':
		a->broker.config = arg;
		return 0;
	case KEY_FOREGROUND:
	case KEY_DAEMON:
		a->daemon = key == KEY_DAEMON;
		return 0;
	case 'v':
	case 'q':
		a->level = key == 'v' ? LOG_DEBUG : LOG_WARNING;
		return 0;
	case KEY_NO_SANDBOX:
		a->broker.no_sandbox = true;
		return 0;
	case KEY_KEEPER:
		a->broker.keeper = true;
		return 0;
	default:
		return parse_action(key, arg, a);
	}
}

static void print_version(FILE *stream, struct argp_state *state)
{
	(void)state;
	fprintf(stream, "shmringd %s\n", shmring_version());
}

static const struct argp argp = {
	options,
	parse,
	NULL,
	"Give rings by name to programs that share neither a parent nor a path; shmringd(8).",
	NULL,
	NULL,
	NULL
};

/* --- where everything is --- */

static char *below_runtime(const char *name)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char *path;

	if (!runtime || runtime[0] != '/')
		return NULL;
	return asprintf(&path, "%s/%s", runtime, name) < 0 ? NULL : path;
}

bool arguments_choose_socket(struct broker_options *o)
{
	if (!o->socket)
		o->socket = getenv(PROTO_SOCKET_VARIABLE);
	if (!o->socket)
		o->socket = geteuid() == 0 ? PROTO_SYSTEM_SOCKET : below_runtime(PROTO_USER_SOCKET);
	if (o->socket)
		return true;
	log_say(LOG_ERR, "XDG_RUNTIME_DIR is not set: name --socket");
	return false;
}

bool arguments_choose_paths(struct broker_options *o)
{
	bool root = geteuid() == 0;

	if (!arguments_choose_socket(o))
		return false;
	if (!o->directory)
		o->directory = root ? SYSTEM_RINGS : below_runtime(USER_RINGS);
	if (!o->config && root && access(SYSTEM_CONFIG, F_OK) == 0)
		o->config = SYSTEM_CONFIG;
	if (o->directory)
		return true;
	log_say(LOG_ERR, "XDG_RUNTIME_DIR is not set: name --directory, too");
	return false;
}

static bool is_harmless(const char *text, char *ret, size_t size)
{
	text_harmless(ret, size, text);
	return strcmp(ret, text) == 0;
}

/* argp prints a wrong option, and the name of the program, as they are. */
static void check_arguments(int argc, char **argv)
{
	static char self[] = "shmringd";
	char shown[PATH_MAX];

	if (argc > 0 && !is_harmless(argv[0], shown, sizeof(shown)))
		argv[0] = self;
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] != '-' || is_harmless(argv[i], shown, sizeof(shown)))
			continue;
		fprintf(stderr, "shmringd: '%s': an option cannot hold control characters\n",
			shown);
		exit(EX_USAGE);
	}
}

static bool parsing;

/* Behind help and version argp ends the process itself, and does not look whether they arrived. */
static void finish_help(void)
{
	if (!parsing || (fflush(stdout) == 0 && !ferror(stdout)))
		return;
	fprintf(stderr, "shmringd: writing to standard output: %s\n", strerror(errno));
	_exit(EXIT_FAILURE);
}

error_t arguments_parse(int argc, char **argv, struct arguments *a)
{
	error_t err;

	argp_program_version_hook = print_version;
	check_arguments(argc, argv);
	parsing = atexit(finish_help) == 0;
	err = argp_parse(&argp, argc, argv, 0, NULL, a);
	parsing = false;
	return err;
}
