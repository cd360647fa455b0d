/* SPDX-License-Identifier: MIT */
/*
 * shmring broker: the broker's metrics.
 *
 * Its metrics are a text of samples. For people, those without labels come first,
 * and then tables for each set of labels: a line for each combination of their
 * values, a column for each metric, and another table where the line is full.
 */
#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "foreign.h"
#include "harmless.h"
#include "json.h"
#include "samples.h"
#include "stop.h"
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

enum {
	LINE_COLUMNS = 80,
	LABEL_COLUMNS = 32, /* a longer value gets a line of its own */
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
			usage_failed(state, "unexpected argument '%s'%s", arg,
				     o->stat ? "" : "; the only action is: stat");
		o->stat = true;
		return 0;
	case ARGP_KEY_NO_ARGS:
		usage_failed(state, "missing argument: stat");
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

/*
 * "shmringd_ring_messages_total" of labels that begin with `ring`: "messages_total". The end
 * stays, for there may be a metric without it: connections, and connections_total.
 */
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

/* How wide the labels are, which each line of a table begins with. */
static int label_widths(const struct samples *all, const struct sample *of, int ret[SAMPLE_LABELS])
{
	int sum = 0;

	for (size_t i = 0; i < of->label_count; i++) {
		ret[i] = (int)foreign_width(of->keys[i]);
		for (size_t j = 0; j < all->count; j++)
			if (same_keys(&all->all[j], of) &&
			    (int)foreign_width(all->all[j].values[i]) > ret[i])
				ret[i] = (int)foreign_width(all->all[j].values[i]);
		if (ret[i] > LABEL_COLUMNS)
			ret[i] = LABEL_COLUMNS;
		sum += ret[i] + 2;
	}
	return sum;
}

static int metric_width(const struct samples *all, size_t index)
{
	char name[64];
	int width = (int)foreign_width(short_name(&all->all[index], name));

	for (size_t i = index; i < all->count; i++)
		if (strcmp(all->all[i].metric, all->all[index].metric) == 0 &&
		    (int)strlen(all->all[i].value) > width)
			width = (int)strlen(all->all[i].value);
	return width;
}

/* The metrics of these keys from `first` on that fit on a line; the first that does not. */
static size_t fill_line(const struct samples *all, const struct sample *of, size_t first, int used)
{
	bool any = false;

	for (size_t i = first; i < all->count; i++) {
		if (!same_keys(&all->all[i], of) || !is_first_of_metric(all, i))
			continue;
		used += metric_width(all, i) + 2;
		if (any && used - 2 > LINE_COLUMNS)
			return i;
		any = true;
	}
	return all->count;
}

static void print_right(const char *text, int width)
{
	printf("  %*s", width - (int)foreign_width(text), "");
	print_foreign(stdout, text, 0);
}

/* The words `labels` of one line; those that are too wide get a line of their own. */
static void print_labels(char *const *labels, size_t count, const int *widths, int sum)
{
	int used = 0;

	for (size_t i = 0; i < count; i++) {
		int width = (int)foreign_width(labels[i]);

		print_foreign(stdout, labels[i], widths[i]);
		if (i + 1 < count)
			fputs("  ", stdout);
		used += (width > widths[i] ? width : widths[i]) + 2;
	}
	if (used > sum)
		printf("\n%*s", sum - 2, "");
}

/* The columns of the metrics from `first` to before `end`. */
static void print_table(const struct samples *all, size_t of, size_t first, size_t end)
{
	const struct sample *head = &all->all[of];
	int widths[SAMPLE_LABELS], sum = label_widths(all, head, widths);
	char name[64];

	putchar('\n');
	print_labels(head->keys, head->label_count, widths, sum);
	for (size_t i = first; i < end; i++)
		if (same_keys(&all->all[i], head) && is_first_of_metric(all, i))
			print_right(short_name(&all->all[i], name), metric_width(all, i));
	for (size_t j = of; j < all->count; j++) {
		const struct sample *line = &all->all[j];

		if (!same_keys(line, head) || first_like(all, j, same_labels) != j)
			continue;
		putchar('\n');
		print_labels(line->values, line->label_count, widths, sum);
		for (size_t i = first; i < end; i++)
			if (same_keys(&all->all[i], head) && is_first_of_metric(all, i))
				print_right(value_of(all, all->all[i].metric, line),
					    metric_width(all, i));
	}
	putchar('\n');
}

/* Everything with the keys of sample `of`, in as many tables as a line needs. */
static void print_tables_of(const struct samples *all, size_t of)
{
	int widths[SAMPLE_LABELS], sum = label_widths(all, &all->all[of], widths);
	size_t first = of, end;

	for (; first < all->count; first = end) {
		end = fill_line(all, &all->all[of], first, sum);
		print_table(all, of, first, end);
	}
}

static int print_all(const struct samples *all)
{
	char name[64];

	for (size_t i = 0; i < all->count; i++) {
		if (all->all[i].label_count > 0)
			continue;
		print_foreign(stdout, short_name(&all->all[i], name), 40);
		printf("  %15s\n", all->all[i].value);
	}
	for (size_t i = 0; i < all->count; i++)
		if (all->all[i].label_count > 0 && first_like(all, i, same_keys) == i)
			print_tables_of(all, i);
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
		return json_print_rounded(array);
	json_decref(array);
	return json_print(NULL);
}

static int print_text(int fd)
{
	FILE *text = fdopen(dup(fd), "r");
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	int err;

	if (!text)
		return system_failed(errno, "the broker's metrics");
	while ((n = getline(&line, &size, text)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		text_harmless(line, size, line);
		puts(line);
	}
	err = ferror(text) ? errno : 0;
	free(line);
	fclose(text);
	return err ? system_failed(err, "the broker's metrics") : finish_stdout(STATUS_OK);
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
	status = form == FORM_JSON ? print_json(&all) : print_all(&all);
	samples_free(&all);
	return status;
}

int cmd_broker(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "stat", doc, NULL, NULL, NULL };
	struct broker_options o = { 0 };
	struct shmring_broker *broker;
	int fd, status, err;

	parse_arguments(&argp, argc, argv, 0, &o);
	stop_when_unread();
	err = shmring_broker_open(&broker, NULL);
	if (err < 0)
		return broker_failed();
	err = shmring_broker_metrics(broker, &fd);
	if (err < 0) {
		status = broker_failed();
	} else {
		status = render(fd, o.form);
		close(fd);
	}
	shmring_broker_close(broker);
	return status;
}
