/* SPDX-License-Identifier: MIT */
/*
 * shmring(1): finds the subcommand and hands over to it.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "options.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
	{ "create", cmd_create }, { "pub", cmd_pub },	    { "sub", cmd_sub },
	{ "ls", cmd_ls },	  { "stat", cmd_stat },	    { "forget", cmd_forget },
	{ "rm", cmd_rm },	  { "broker", cmd_broker },
};

static const char doc[] =
	"Pass messages between processes through memory that they share."
	"\v"
	"Commands:\n"
	"  create   make a ring\n"
	"  pub      publish records from standard input or files\n"
	"  sub      write what is published to standard output\n"
	"  ls       list rings\n"
	"  stat     show a ring, its producers and its consumers\n"
	"  forget   drop the kept place of a named consumer\n"
	"  rm       remove rings\n"
	"  broker   show how the broker is doing\n"
	"  help     show this, or the help of a command\n"
	"\n"
	"In one terminal:            shmring sub events\n"
	"in another:        ls -l | shmring pub events\n"
	"\n"
	"`shmring COMMAND --help' and shmring-COMMAND(1) say more. A ring is a path, or "
	"a name without `/', which lives in $XDG_RUNTIME_DIR/shmring, or "
	"broker:NAME, which the broker keeps.";

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_version(FILE *stream, struct argp_state *state)
{
	(void)state;
	fprintf(stream, "shmring %s\n", shmring_version());
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static void no_such_command(const char *name, struct argp_state *state)
{
	const char *names[COMMANDS + 2] = { "help" }, *close;

	for (size_t i = 0; i < COMMANDS; i++)
		names[i + 1] = commands[i].name;
	close = closest_name(name, names);
	if (close)
		usage_failed(state, "no command '%s'; did you mean '%s'?", name, close);
	usage_failed(state, "no command '%s'", name);
}

/* The first word that is no option ends the parsing: the rest is the command's. */
static error_t parse(int key, char *arg, struct argp_state *state)
{
	int *first = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (!find_command(arg))
			no_such_command(arg, state);
		*first = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		usage_failed(state, "missing argument COMMAND");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = { NULL, parse, "COMMAND [ARGUMENT...]", doc, NULL, NULL, NULL };

/*
 * A program that was started with closed standard descriptors would get their numbers
 * for files of its own, and then print into them. "/" opened as a mere path takes their
 * places: to read or to write it fails with EBADF, just as if they were still closed, so
 * output that goes nowhere is reported and not taken for success.
 */
static bool fill_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH | O_DIRECTORY) != fd)
			return false;
	return true;
}

/* `shmring help COMMAND' is `shmring COMMAND --help'; the name alone is `shmring --help'. */
static void turn_help_round(int argc, char **argv)
{
	static char option[] = "--help", dash[] = "--";

	if (argc < 2 || strcmp(argv[1], "help") != 0)
		return;
	argv[1] = argc > 2 ? argv[2] : option;
	if (argc > 2)
		argv[2] = find_command(argv[1]) ? option : dash;
}

int main(int argc, char **argv)
{
	static char self[] = "shmring", *nothing[] = { self, NULL };
	char name[32];
	int first = 0;

	if (!fill_standard_descriptors())
		return EXIT_FAILURE;
	argp_program_version_hook = print_version;
	argp_err_exit_status = STATUS_USAGE;
	if (argc < 1) {
		argc = 1;
		argv = nothing;
	}
	argv[0] = self; /* argp prints it, and the starting process may choose it */
	turn_help_round(argc, argv);
	parse_arguments(&argp, argc, argv, ARGP_IN_ORDER, &first);
	snprintf(name, sizeof(name), "shmring %s", argv[first]);
	say_as(name);
	argv[first] = name;
	return find_command(strchr(name, ' ') + 1)->run(argc - first, argv + first);
}
