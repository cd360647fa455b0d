/* SPDX-License-Identifier: MIT */
/*
 * shmring broker: what the broker tells of itself.
 *
 * Its metrics are a text of samples. For people, those without labels come first,
 * and then a table for each set of labels: a line for each combination of their
 * values, a column for each metric.
 */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "json.h"
#include "samples.h"
#include "units.h"

enum form { FORM_TABLE, FORM_JSON, FORM_PROMETHEUS };

struct broker_options {
	bool stat;
	enum form form;
};

enum {
	KEY_JSON = 0x100,
	KEY_PROMETHEUS,
};

static const struct argp_option options[] = {
	{ "json", KEY_JSON, NULL, 0, "Write JSON", 0 },
	{ "prometheus", KEY_PROMETHEUS, NULL, 0, "Write the text format of Prometheus", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const char doc[] = "Show how the broker is doing, and each of its rings.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct broker_options *o = state->input;

	switch (key) {
	case KEY_JSON:
		o->form = FORM_JSON;
		return 0;
	case KEY_PROMETHEUS:
		o->form = FORM_PROMETHEUS;
		return 0;
	case ARGP_KEY_ARG:
		if (o->stat || strcmp(arg, "stat") != 0)
			argp_error(state, "`%s' is nothing that the broker can be asked", arg);
		o->stat = true;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "what to ask is missing: stat");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static bool same_keys(const struct sample *a, const struct sample *b)
{
	bool same = a->label_count == b->label_count;

	for (size_t i = 0; same && i < a->label_count; i++)
		same = strcmp(a->keys[i], b->keys[i]) == 0;
	return same;
}

static bool same_labels(const struct sample *a, const struct sample *b)
{
	bool same = same_keys(a, b);

	for (size_t i = 0; same && i < a->label_count; i++)
		same = strcmp(a->values[i], b->values[i]) == 0;
	return same;
}

/* "shmringd_ring_messages_total" of labels that begin with `ring`: "messages". */
static const char *short_name(const struct sample *s, char ret[64])
{
	const char *name = s->metric;
	size_t length;

	if (strncmp(name, "shmringd_", 9) == 0)
		name += 9;
	length = s->label_count ? strlen(s->keys[0]) : 0;
	if (length && strncmp(name, s->keys[0], length) == 0 && name[length] == '_')
		name += length + 1;
	snprintf(ret, 64, "%s", name);
	length = strlen(ret);
	if (length > 6 && strcmp(ret + length - 6, "_total") == 0)
		ret[length - 6] = '\0';
	return ret;
}

/* The first sample with these labels, or keys only. */
static size_t first_like(const struct samples *all, size_t index,
			 bool (*alike)(const struct sample *, const struct sample *))
{
	size_t i = 0;

	while (!alike(&all->all[i], &all->all[index]))
		i++;
	return i;
}

static const char *value_of(const struct samples *all, const char *metric,
			    const struct sample *labels)
{
	for (size_t i = 0; i < all->count; i++)
		if (strcmp(all->all[i].metric, metric) == 0 && same_labels(&all->all[i], labels))
			return all->all[i].value;
	return "-";
}

static bool is_first_of_metric(const struct samples *all, size_t index)
{
	return index == 0 || strcmp(all->all[index].metric, all->all[index - 1].metric) != 0;
}

static void print_head(const struct samples *all, const struct sample *of)
{
	char name[64];

	putchar('\n');
	for (size_t i = 0; i < of->label_count; i++)
		printf("%-20s  ", of->keys[i]);
	for (size_t i = 0; i < all->count; i++)
		if (same_keys(&all->all[i], of) && is_first_of_metric(all, i))
			printf("%15s  ", short_name(&all->all[i], name));
	putchar('\n');
}

static void print_line(const struct samples *all, const struct sample *of)
{
	for (size_t i = 0; i < of->label_count; i++) {
		print_foreign(stdout, of->values[i], 20);
		fputs("  ", stdout);
	}
	for (size_t i = 0; i < all->count; i++)
		if (same_keys(&all->all[i], of) && is_first_of_metric(all, i))
			printf("%15s  ", value_of(all, all->all[i].metric, of));
	putchar('\n');
}

static int print_tables(const struct samples *all)
{
	char name[64];

	for (size_t i = 0; i < all->count; i++)
		if (all->all[i].label_count == 0)
			printf("%-20s  %15s\n", short_name(&all->all[i], name), all->all[i].value);
	for (size_t i = 0; i < all->count; i++) {
		if (all->all[i].label_count == 0 || first_like(all, i, same_keys) != i)
			continue;
		print_head(all, &all->all[i]);
		for (size_t j = i; j < all->count; j++)
			if (same_keys(&all->all[j], &all->all[i]) &&
			    first_like(all, j, same_labels) == j)
				print_line(all, &all->all[j]);
	}
	return finish_stdout(STATUS_OK);
}

static json_t *json_sample(const struct sample *s)
{
	json_t *labels = json_object();

	for (size_t i = 0; i < s->label_count; i++)
		json_set_bytes(labels, s->keys[i], s->values[i], strlen(s->values[i]));
	return json_pack("{ss, so, so}", "metric", s->metric, "labels", labels, "value",
			 strspn(s->value, "0123456789") == strlen(s->value)
				 ? json_unsigned(strtoull(s->value, NULL, 10))
				 : json_real(strtod(s->value, NULL)));
}

static int print_json(const struct samples *all)
{
	json_t *array = json_array();
	int err = 0;

	for (size_t i = 0; i < all->count && !err; i++)
		err = json_array_append_new(array, json_sample(&all->all[i]));
	if (!err)
		return json_print(array);
	json_decref(array);
	return json_print(NULL);
}

static int print_text(int fd)
{
	char piece[65536];
	ssize_t n;

	while ((n = read(fd, piece, sizeof(piece))) > 0)
		fwrite(piece, 1, (size_t)n, stdout);
	return n < 0 ? system_failed(errno, "the broker's metrics") : finish_stdout(STATUS_OK);
}

static int render(int fd, enum form form)
{
	struct samples all;
	int err, status;

	if (form == FORM_PROMETHEUS)
		return print_text(fd);
	err = samples_read(&all, fd);
	if (err)
		return system_failed(err, "the broker's metrics");
	status = form == FORM_JSON ? print_json(&all) : print_tables(&all);
	samples_free(&all);
	return status;
}

int cmd_broker(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "stat", doc, NULL, NULL, NULL };
	struct broker_options o = { 0 };
	struct shmring_broker *broker;
	int fd, status, err;

	parse_arguments(&argp, argc, argv, &o);
	err = shmring_broker_open(&broker, NULL);
	if (err < 0)
		return ring_failed("the broker");
	err = shmring_broker_metrics(broker, &fd);
	if (err < 0) {
		status = ring_failed("the broker");
	} else {
		status = render(fd, o.form);
		close(fd);
	}
	shmring_broker_close(broker);
	return status;
}
