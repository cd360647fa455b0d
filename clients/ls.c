/* SPDX-License-Identifier: MIT */
/*
 * shmring ls: list the rings of directories, and of the broker.
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
#include "harmless.h"
#include "json.h"
#include "stop.h"
#include "view.h"

struct ls_options {
	char **directories; /* ends with NULL; none: the runtime directory */
	bool json;
	bool all;
};

/* One file: a ring, or the reason why it is none. */
struct entry {
	char *address; /* what another command would be given */
	char *reason;  /* NULL: a ring */
	struct shmring_ring_stat stat;
};

struct listing {
	struct entry *entries;
	size_t count;
	size_t size;
	size_t refused;
};

enum {
	KEY_JSON = 0x100,
	KEY_ALL,
};

/* Of the terminal's 80; the rest of a ring's line takes the others. */
enum { NAME_COLUMNS = 16 };

static const struct argp_option options[] = {
	{ "json", KEY_JSON, NULL, 0, "Write JSON", 0 },
	{ "all", KEY_ALL, NULL, 0, "Also show files that are not usable rings, and why", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const char doc[] = "List the rings of each DIRECTORY, or of the runtime directory, where "
			  "names without `/' live. The DIRECTORY broker: stands for the rings of "
			  "the broker.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct ls_options *o = state->input;

	(void)arg;
	switch (key) {
	case KEY_JSON:
		o->json = true;
		return 0;
	case KEY_ALL:
		o->all = true;
		return 0;
	case ARGP_KEY_ARG:
		o->directories = state->argv + state->next - 1;
		state->next = state->argc;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Room for one more entry, zeroed; NULL without memory. */
static struct entry *add_entry(struct listing *l)
{
	struct entry *grown;
	size_t size = l->size ? l->size * 2 : 16;

	if (l->count == l->size) {
		grown = realloc(l->entries, size * sizeof(*grown));
		if (!grown)
			return NULL;
		l->entries = grown;
		l->size = size;
	}
	l->entries[l->count] = (struct entry){ .stat.size = sizeof(struct shmring_ring_stat) };
	return &l->entries[l->count++];
}

/* Takes `address`. Returns 0 or -ENOMEM. */
static int examine(struct listing *l, char *address)
{
	struct entry *e = address ? add_entry(l) : NULL;
	struct shmring_ring *ring;
	int err;

	if (!e) {
		free(address);
		return -ENOMEM;
	}
	e->address = address;
	err = shmring_open(&ring, address);
	if (err == 0) {
		err = shmring_stat(ring, &e->stat);
		shmring_close(ring);
	}
	if (err == 0)
		return 0;
	if (err == -ENOENT) { /* removed meanwhile */
		free(address);
		l->count--;
		return 0;
	}
	l->refused++;
	e->reason = strdup(shmring_explain());
	return e->reason ? 0 : -ENOMEM;
}

static bool is_regular(const char *directory, const struct dirent *d)
{
	char path[PATH_MAX];
	struct stat st;

	if (d->d_type != DT_UNKNOWN)
		return d->d_type == DT_REG;
	return snprintf(path, sizeof(path), "%s/%s", directory, d->d_name) < PATH_MAX &&
	       lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* A ring that is being removed, see shmring_remove_unused(). */
static bool is_hidden(const struct dirent *d)
{
	return strncmp(d->d_name, SHMRING_HIDDEN_PREFIX, strlen(SHMRING_HIDDEN_PREFIX)) == 0;
}

/* To open an ephemeral ring whose remover was killed finishes the removal. Takes `address`. */
static void finish_hidden(char *address)
{
	struct shmring_ring *ring;

	if (address && shmring_open(&ring, address) == 0)
		shmring_close(ring);
	free(address);
}

/* `prefix` makes an address of a file name: the directory, or nothing. */
static int list_directory(struct listing *l, const char *directory, const char *prefix)
{
	struct dirent **names;
	int err = 0, count = scandir(directory, &names, NULL, alphasort);

	if (count < 0)
		return -errno;
	for (int i = 0; i < count; i++) {
		char *address = NULL;

		if (err == 0 && is_regular(directory, names[i])) {
			if (asprintf(&address, "%s%s%s", prefix, *prefix ? "/" : "",
				     names[i]->d_name) < 0)
				address = NULL;
			if (is_hidden(names[i]))
				finish_hidden(address);
			else
				err = examine(l, address);
		}
		free(names[i]);
	}
	free(names);
	return err;
}

static bool is_broker(const char *directory)
{
	return strcmp(directory, "broker:") == 0;
}

static int list_broker(struct listing *l)
{
	struct shmring_broker_ring ring = { .size = sizeof(ring) };
	struct shmring_broker *broker;
	char *address;
	int err = shmring_broker_open(&broker, NULL), more;

	if (err < 0)
		return broker_failed();
	while ((more = shmring_broker_next(broker, ring.name, &ring)) == 1 && err == 0) {
		if (asprintf(&address, "broker:%s", ring.name) < 0)
			address = NULL;
		err = examine(l, address);
	}
	shmring_broker_close(broker);
	if (more < 0)
		return broker_failed();
	return err < 0 ? system_failed(err, "broker:") : STATUS_OK;
}

static int collect(struct listing *l, const struct ls_options *o)
{
	char runtime[PATH_MAX];
	int err, status = STATUS_OK;

	if (!o->directories) {
		err = shmring_directory(runtime, sizeof(runtime));
		if (err < 0)
			return ring_failed("the runtime directory");
		err = list_directory(l, runtime, "");
		/* it comes with the first ring */
		if (err && err != -ENOENT)
			return system_failed(err, "%s", runtime);
		if (l->count == 0 && !o->json)
			say("no rings in %s", runtime);
		return STATUS_OK;
	}
	for (char **directory = o->directories; *directory; directory++) {
		size_t before = l->count;

		err = is_broker(*directory) ? list_broker(l)
					    : list_directory(l, *directory, *directory);
		if (err < 0)
			err = system_failed(err, "%s", *directory);
		if (err)
			status = err;
		else if (l->count == before && !o->json)
			say("no rings in %s", *directory);
	}
	return status;
}

/* The library's sentence without the address that it begins with: that has a column. */
static const char *bare_reason(const struct entry *e)
{
	const char *reason = e->reason, *behind;
	char shown[FOREIGN_TEXT];
	size_t length = text_harmless(shown, sizeof(shown), e->address);

	if (strncmp(reason, shown, length) != 0)
		return reason;
	behind = strncmp(reason + length, " (", 2) == 0 ? strstr(reason + length, "): ") : NULL;
	if (behind)
		return behind + 3;
	return strncmp(reason + length, ": ", 2) == 0 ? reason + length + 2 : reason;
}

static void print_entry(const struct entry *e, int width)
{
	char size[UNITS_TEXT], memory[UNITS_TEXT], made[UNITS_TEXT];
	const struct shmring_ring_stat *s = &e->stat;

	print_column(e->address, width);
	if (e->reason) {
		fputs("  ", stdout);
		print_foreign(stdout, bare_reason(e), 0);
		putchar('\n');
		return;
	}
	printf("  %4u  %4u  %4u  %5u  %9s  %8s  %s\n", s->producers, s->consumers, s->detached,
	       s->lanes, format_size(size, s->lane_size), format_size(memory, s->allocated),
	       format_minute(made, s->created_ns));
}

static int render_table(const struct listing *l, bool all)
{
	int width = (int)strlen("RING"), needed;

	for (size_t i = 0; i < l->count; i++) {
		needed = (int)foreign_width(l->entries[i].address);
		if ((all || !l->entries[i].reason) && needed > width)
			width = needed < NAME_COLUMNS ? needed : NAME_COLUMNS;
	}
	if (l->count > l->refused || (all && l->count))
		printf("%-*s  PROD  CONS  KEPT  LANES  LANE SIZE    MEMORY  MADE\n", width, "RING");
	for (size_t i = 0; i < l->count; i++)
		if (all || !l->entries[i].reason)
			print_entry(&l->entries[i], width);
	return finish_stdout(STATUS_OK);
}

static json_t *json_entry(const struct entry *e)
{
	json_t *object;

	if (!e->reason)
		return view_json_ring(e->address, &e->stat);
	object = json_object();
	if (json_set_bytes(object, "ring", e->address, strlen(e->address)) == 0 &&
	    json_set_bytes(object, "error", e->reason, strlen(e->reason)) == 0)
		return object;
	json_decref(object);
	return NULL;
}

static int render_json(const struct listing *l, bool all)
{
	json_t *array = json_array();
	int err = 0;

	for (size_t i = 0; i < l->count && !err; i++)
		if (all || !l->entries[i].reason)
			err = json_array_append_new(array, json_entry(&l->entries[i]));
	if (!err)
		return json_print(array);
	json_decref(array);
	return json_print(NULL);
}

static void free_listing(struct listing *l)
{
	for (size_t i = 0; i < l->count; i++) {
		free(l->entries[i].address);
		free(l->entries[i].reason);
	}
	free(l->entries);
}

int cmd_ls(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "[DIRECTORY...]", doc, NULL, NULL, NULL };
	struct ls_options o = { 0 };
	struct listing l = { 0 };
	int status, rendered;

	parse_arguments(&argp, argc, argv, 0, &o);
	stop_when_unread();
	status = collect(&l, &o);
	rendered = o.json ? render_json(&l, o.all) : render_table(&l, o.all);
	if (l.refused && !o.all)
		say("%zu other file%s; --all shows why %s", l.refused, l.refused == 1 ? "" : "s",
		    l.refused == 1 ? "it is not a usable ring" : "they are not usable rings");
	free_listing(&l);
	return status == STATUS_OK ? rendered : status;
}
