/* SPDX-License-Identifier: MIT */
/*
 * The command line: see options.h.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "options.h"
#include "units.h"

enum { NAME_MAX_LENGTH = 32, NAMES_MAX = 64 };
enum { LEAST_LAG = 4096, LEAST_LAG_NS = 1000000 };

#define MOST_LAG_NS INT64_C(86400000000000) /* as the library */

/* argp's own; beside them say.c has -h. */
static const char *const common[] = { "help", "usage", "version" };

static bool is_option(const struct argp_option *o)
{
	return o->name || o->key || o->doc;
}

static bool takes_argument(const struct argp_option *o)
{
	return o && o->arg && !(o->flags & OPTION_ARG_OPTIONAL);
}

/* The least number of letters to insert, remove or change. Both words are short. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[NAME_MAX_LENGTH + 1], above, old;
	size_t n = strlen(b);

	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		above = row[0];
		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			old = row[j];
			row[j] = above + (a[i - 1] != b[j - 1]);
			if (old + 1 < row[j])
				row[j] = old + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			above = old;
		}
	}
	return row[n];
}

const char *closest_name(const char *word, const char *const *names)
{
	unsigned best = strlen(word) < 4 ? 2 : 3; /* a word at this distance is another word */
	const char *found = NULL;

	if (strlen(word) > NAME_MAX_LENGTH)
		return NULL;
	for (; *names; names++) {
		unsigned d = strlen(*names) > NAME_MAX_LENGTH ? best : distance(word, *names);

		if (d < best) {
			best = d;
			found = *names;
		}
	}
	return found;
}

/* The names of all long options. */
static void collect_names(const struct argp *argp, const char *ret[NAMES_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
		ret[count++] = common[i];
	for (const struct argp_option *o = argp->options; o && is_option(o); o++)
		if (o->name && count < NAMES_MAX - 1)
			ret[count++] = o->name;
	ret[count] = NULL;
}

static const struct argp_option *find_long(const struct argp *argp, const char *name)
{
	for (const struct argp_option *o = argp->options; o && is_option(o); o++)
		if (o->name && strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

static const struct argp_option *find_short(const struct argp *argp, char letter)
{
	for (const struct argp_option *o = argp->options; o && is_option(o); o++)
		if (o->name && o->key == letter)
			return o;
	return NULL;
}

/* `word` is what follows the dashes. Returns the option it means, NULL for one of argp's own. */
static const struct argp_option *check_long(const struct argp *argp, const char *word,
					    struct argp_state *state)
{
	const char *names[NAMES_MAX], *only = NULL, *close;
	char name[FILENAME_MAX];
	size_t length = strcspn(word, "=");
	unsigned count = 0;

	collect_names(argp, names);
	snprintf(name, sizeof(name), "%.*s", (int)length, word);
	for (const char **n = names; *n; n++) {
		if (strncmp(*n, name, length) != 0)
			continue;
		count++;
		only = *n;
		if ((*n)[length] == '\0')
			return find_long(argp, *n);
	}
	if (count == 1)
		return find_long(argp, only);
	close = closest_name(name, names);
	if (count > 1)
		usage_failed(state, "option '--%s' is ambiguous", name);
	else if (close)
		usage_failed(state, "unrecognized option '--%s'; did you mean '--%s'?", name,
			     close);
	else
		usage_failed(state, "unrecognized option '--%s'", name);
	return NULL;
}

/* Several letters behind one dash. Returns whether the next word is an argument. */
static bool check_short(const struct argp *argp, const char *letters, struct argp_state *state)
{
	for (; *letters; letters++) {
		const struct argp_option *o = find_short(argp, *letters);

		if (o && o->arg)
			return takes_argument(o) && letters[1] == '\0';
		if (o || *letters == '?' || *letters == 'h' || *letters == 'V')
			continue;
		usage_failed(state, "unrecognized option '-%c'", *letters);
	}
	return false;
}

void check_command_line(const struct argp *argp, int argc, char **argv, unsigned flags)
{
	bool in_order = flags & ARGP_IN_ORDER || getenv("POSIXLY_CORRECT");
	struct argp_state state = { .name = argv[0] };

	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		bool skip = false;

		if (strcmp(word, "--") == 0 || (word[0] != '-' && in_order))
			return;
		if (word[0] != '-' || word[1] == '\0')
			continue;
		if (word[1] == '-')
			skip = takes_argument(check_long(argp, word + 2, &state)) &&
			       !strchr(word, '=');
		else
			skip = check_short(argp, word + 1, &state);
		i += skip;
	}
}

int64_t duration_argument(const char *option, const char *arg, struct argp_state *state)
{
	uint64_t number;
	int64_t ns = 0;

	if (parse_duration(arg, &ns) == 0)
		return ns;
	if (parse_number(arg, 0, UINT64_MAX, &number) == 0)
		usage_failed(state, "%s %s: needs a unit, e.g. %ss", option, arg, arg);
	usage_failed(state, "%s %s: must be a duration such as 500ms or 2s", option, arg);
	return 0;
}

static void check_lag_size(const char *option, const char *arg, uint64_t bytes, const char *instead,
			   struct argp_state *state)
{
	if (bytes < LEAST_LAG)
		usage_failed(state, "%s %s: is %llu byte%s, and the least is 4K; give %s", option,
			     arg, (unsigned long long)bytes, bytes == 1 ? "" : "s", instead);
}

static void check_lag_time(const char *option, const char *arg, int64_t ns,
			   struct argp_state *state)
{
	if (ns < LEAST_LAG_NS)
		usage_failed(state,
			     "%s %s: the least duration is 1ms; give one such as 500ms or 2s",
			     option, arg);
	if (ns > MOST_LAG_NS)
		usage_failed(state, "%s %s: the longest duration is one day (24h)", option, arg);
}

uint64_t lag_size_argument(const char *option, const char *arg, struct argp_state *state)
{
	uint64_t bytes = 0;

	if (parse_size(arg, &bytes) != 0)
		usage_failed(state, "%s %s: must be a size such as 64K or 4M", option, arg);
	check_lag_size(option, arg, bytes, "a size such as 64K or 4M", state);
	return bytes;
}

uint64_t lag_time_argument(const char *option, const char *arg, struct argp_state *state)
{
	int64_t ns = duration_argument(option, arg, state);

	check_lag_time(option, arg, ns, state);
	return (uint64_t)ns;
}

void lag_argument(const char *option, const char *arg, uint64_t *ret_bytes, uint64_t *ret_ns,
		  struct argp_state *state)
{
	uint64_t bytes = 0;
	int64_t ns = 0;

	if (parse_size(arg, &bytes) == 0) {
		check_lag_size(option, arg, bytes, "a size such as 4M, or a duration such as 2s",
			       state);
		*ret_bytes = bytes;
		return;
	}
	if (parse_duration(arg, &ns) != 0)
		usage_failed(state, "%s %s: must be a size or a duration, such as 4M or 2s", option,
			     arg);
	check_lag_time(option, arg, ns, state);
	*ret_ns = (uint64_t)ns;
}

uint64_t number_argument(const char *option, const char *arg, uint64_t low, uint64_t high,
			 struct argp_state *state)
{
	uint64_t number = 0;

	if (parse_number(arg, low, high, &number) == 0)
		return number;
	if (high >= UINT64_MAX - 1)
		usage_failed(state, "%s %s: must be a number, at least %llu", option, arg,
			     (unsigned long long)low);
	usage_failed(state, "%s %s: must be a number from %llu to %llu", option, arg,
		     (unsigned long long)low, (unsigned long long)high);
	return 0;
}

const char *ring_argument(const char *arg, struct argp_state *state)
{
	if (!arg)
		usage_failed(state, "missing argument RING");
	if (state->arg_num > 0)
		usage_failed(state, "unexpected argument '%s'", arg);
	return arg;
}
