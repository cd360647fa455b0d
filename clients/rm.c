/* SPDX-License-Identifier: MIT */
/*
 * shmring rm: remove rings by name, or all unused rings.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "foreign.h"
#include "options.h"

struct rm_options {
	char **addresses; /* ends with NULL; NULL: none */
	bool unused;
	bool verbose;
	const char *needs_unused; /* an option that was given */
	int64_t older_ns;
	uint32_t flags;
};

enum {
	KEY_UNUSED = 0x100,
	KEY_OLDER,
	KEY_FORCE,
	KEY_DRY_RUN,
};

static const struct argp_option options[] = {
	{ "unused", KEY_UNUSED, NULL, 0,
	  "Remove rings to which no process is attached: each RING, the rings of each DIRECTORY, "
	  "or the rings of the runtime directory",
	  1 },
	{ "older", KEY_OLDER, "DURATION", 0,
	  "With --unused: only rings to which the last process attached at least this long ago "
	  "(default: 0)",
	  1 },
	{ "force", KEY_FORCE, NULL, 0,
	  "With --unused: also rings that keep a consumer's name, that have messages but never had "
	  "a consumer, or that are damaged",
	  1 },
	{ "dry-run", KEY_DRY_RUN, NULL, 0, "With --unused: only say what would be done", 1 },
	{ "verbose", 'v', NULL, 0, "With --unused: say why the other rings are kept", 2 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const char doc[] = "Remove each RING. Attached processes go on undisturbed; the memory is "
			  "freed when the last of them has gone. With --unused, remove it only "
			  "if no living process is attached as a producer or lossless consumer."
			  "\v"
			  "DURATION is 500ms, 2s, 10min.";

static void finish_options(const struct rm_options *o, const struct argp_state *state)
{
	if (!o->unused && !o->addresses)
		usage_failed(state, "missing argument RING");
	if (!o->unused && o->needs_unused)
		usage_failed(state, "%s needs --unused", o->needs_unused);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct rm_options *o = state->input;

	switch (key) {
	case KEY_UNUSED:
		o->unused = true;
		return 0;
	case KEY_OLDER:
		o->older_ns = duration_argument("--older", arg, state);
		o->needs_unused = "--older";
		return 0;
	case KEY_FORCE:
		o->flags |= SHMRING_REMOVE_FORCE;
		o->needs_unused = "--force";
		return 0;
	case KEY_DRY_RUN:
		o->flags |= SHMRING_REMOVE_DRY_RUN;
		o->needs_unused = "--dry-run";
		return 0;
	case 'v':
		o->verbose = true;
		o->needs_unused = "--verbose";
		return 0;
	case ARGP_KEY_ARG:
		o->addresses = state->argv + state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		finish_options(o, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* One line: "removed NAME", or "kept PATH: why". */
static void print_done(const struct rm_options *o, const char *address)
{
	fputs(o->flags & SHMRING_REMOVE_DRY_RUN ? "would remove " : "removed ", stdout);
	print_foreign(stdout, address, 0);
	putchar('\n');
}

static void print_kept(const struct rm_options *o)
{
	char *reason = strdup(shmring_explain());

	if (reason && (o->verbose || (o->flags & SHMRING_REMOVE_DRY_RUN) != 0)) {
		fputs("kept ", stdout);
		print_foreign(stdout, reason, 0);
		putchar('\n');
	}
	free(reason);
}

static bool is_kept(int err)
{
	return err == -EBUSY || err == -EAGAIN || err == -ENOTEMPTY;
}

/* The status. */
static int remove_unused(const struct rm_options *o, const char *address)
{
	int err = shmring_remove_unused(address, o->older_ns, o->flags);

	if (err == 0)
		print_done(o, address);
	else if (is_kept(err))
		print_kept(o);
	else
		return address_failed(err, address);
	return STATUS_OK;
}

/* Files of a directory that are no rings are passed over; a ring of another user is kept. */
static void sweep_file(const struct rm_options *o, const char *address)
{
	int err = shmring_remove_unused(address, o->older_ns, o->flags);

	if (err == 0)
		print_done(o, address);
	else if (err != -EBADMSG && err != -EINVAL && err != -EISDIR && err != -ENOENT)
		print_kept(o);
}

/* `prefix` makes an address of a file name: the directory, or nothing. */
static int sweep_directory(const struct rm_options *o, const char *directory, const char *prefix)
{
	struct dirent **names;
	int count = scandir(directory, &names, NULL, alphasort);

	if (count < 0)
		return -errno;
	for (int i = 0; i < count; i++) {
		char address[PATH_MAX];
		int length = snprintf(address, sizeof(address), "%s%s%s", prefix,
				      *prefix ? "/" : "", names[i]->d_name);

		if (length < PATH_MAX)
			sweep_file(o, address);
		free(names[i]);
	}
	free(names);
	return 0;
}

static int sweep_runtime_directory(const struct rm_options *o)
{
	char runtime[PATH_MAX];
	int err = shmring_directory(runtime, sizeof(runtime));

	if (err < 0)
		return ring_failed("the runtime directory");
	err = sweep_directory(o, runtime, "");
	/* it comes with the first ring */
	return err < 0 && err != -ENOENT ? system_failed(err, "%s", runtime) : STATUS_OK;
}

static bool is_directory(const char *address)
{
	struct stat st;

	return stat(address, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A name without a slash is a ring, as everywhere, unless only a directory is called so. */
static bool names_directory(const char *address)
{
	char path[PATH_MAX];
	struct stat st;
	int length;

	if (!is_directory(address) || strchr(address, '/'))
		return is_directory(address);
	length = shmring_directory(path, sizeof(path));
	if (length < 0 || (size_t)length + 1 + strlen(address) >= sizeof(path))
		return true;
	path[length] = '/';
	strcpy(path + length + 1, address);
	return lstat(path, &st) < 0;
}

static int remove_all_unused(const struct rm_options *o)
{
	int status = STATUS_OK;

	if (!o->addresses)
		return sweep_runtime_directory(o);
	for (char **address = o->addresses; *address; address++) {
		int err = 0;

		if (!names_directory(*address)) {
			if (remove_unused(o, *address) != STATUS_OK)
				status = STATUS_FAILED;
			continue;
		}
		err = sweep_directory(o, *address, *address);
		if (err < 0)
			status = system_failed(err, "%s", *address);
	}
	return status;
}

int cmd_rm(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "RING...\n--unused [RING|DIRECTORY...]",
					  doc,	   NULL,  NULL,
					  NULL };
	struct rm_options o = { 0 };
	int status = STATUS_OK;

	parse_arguments(&argp, argc, argv, 0, &o);
	if (o.unused)
		return finish_stdout(remove_all_unused(&o));
	for (char **address = o.addresses; *address; address++) {
		int err = shmring_remove(*address);

		if (err < 0)
			status = address_failed(err, *address);
	}
	return status;
}
