/* SPDX-License-Identifier: MIT */
/*
 * shmring stat: show a ring, its producers and its consumers.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "cli.h"
#include "foreign.h"
#include "json.h"
#include "options.h"
#include "stop.h"
#include "view.h"

struct stat_options {
	const char *address;
	bool json;
};

enum {
	KEY_JSON = 0x100,
};

/* Of the terminal's 80; the rest of a consumer's line takes the others. */
enum { NAME_COLUMNS = 23 };

static const struct argp_option options[] = {
	{ "json", KEY_JSON, NULL, 0, "Write JSON", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const char doc[] = "Show RING, its producers and its consumers, without disturbing them.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct stat_options *o = state->input;

	switch (key) {
	case KEY_JSON:
		o->json = true;
		return 0;
	case ARGP_KEY_ARG:
	case ARGP_KEY_NO_ARGS:
		o->address = ring_argument(arg, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void print_ring(const struct ring_view *v)
{
	const struct shmring_ring_stat *s = &v->ring;
	char a[UNITS_TEXT], b[UNITS_TEXT], c[UNITS_TEXT], uuid[UUID_TEXT];

	print_foreign(stdout, v->address, 0);
	printf("%s\n", s->retired ? "  (removed)" : "");
	printf("  made      %s, format %u, %s\n", format_time(a, s->created_ns), s->format,
	       format_uuid(uuid, s->uuid));
	printf("  shape     %u lanes of %s, messages up to %s, aligned to %u bytes\n", s->lanes,
	       format_size(a, s->lane_size), format_size(b, s->max_message), s->alignment);
	printf("  memory    %s in use, %s resident, file of %s\n", format_size(a, s->allocated),
	       format_known(b, s->resident), format_size(c, s->file_size));
	if (v->unknown_resident) {
		printf("            resident is unknown: ");
		print_foreign(stdout, v->unknown_resident, 0);
		printf("\n");
	}
	printf("  slow      %s", slow_word(s->slow_policy));
	if (s->slow_policy == SHMRING_SLOW_EVICT)
		printf(" after %s", format_duration(a, s->evict_after_ns));
	if (s->evict_lag)
		printf(", or %s behind", format_size(a, s->evict_lag));
	if (s->evict_lag_ns)
		printf(", or messages %s old", format_duration(a, s->evict_lag_ns));
	printf("\n  unread    %s\n", unread_word(s->unread_policy));
	printf("  wake      %s, sleeps up to %s\n", wake_word(s->wake),
	       format_duration(a, s->max_sleep_ns));
	printf("  stamps    %s\n", stamps_word(s->stamps));
	if (s->flags & SHMRING_EPHEMERAL)
		printf("  ephemeral its name goes with its last user\n");
}

/* Since the ring was made, by all that were attached; only what has happened. */
static void print_counts(const struct ring_view *v)
{
	struct view_counts n;
	char a[UNITS_TEXT], b[UNITS_TEXT];

	view_count(v, &n);
	if (n.full_waits)
		printf("  full      %s times, producers have waited %s\n",
		       format_count(a, n.full_waits), format_duration(b, n.full_wait_ns));
	if (n.producer_sleeps || n.consumer_sleeps)
		printf("  slept     producers %s times, consumers %s times\n",
		       format_count(a, n.producer_sleeps), format_count(b, n.consumer_sleeps));
	if (n.evictions)
		printf("  evicted   consumers, %s times\n", format_count(a, n.evictions));
	if (n.lost)
		printf("  lost      %s messages, %s\n", format_count(a, n.lost),
		       format_size(b, n.lost_bytes));
}

static void print_lanes(const struct ring_view *v)
{
	char count[UNITS_TEXT], bytes[UNITS_TEXT], readable[UNITS_TEXT], since[UNITS_TEXT];
	unsigned unused = 0;

	printf("\n%4s  %-8s %7s  %6s  %8s  %8s  %8s  SINCE\n", "LANE", "STATE", "PID", "OWNERS",
	       "MESSAGES", "BYTES", "READABLE");
	for (unsigned i = 0; i < v->ring.lanes; i++) {
		const struct shmring_lane_stat *l = &v->lanes[i];

		if (v->lane_errors[i]) {
			printf("%4u  %-8s ", i, "unknown");
			print_foreign(stdout, v->lane_errors[i], 0);
			printf("\n");
			continue;
		}
		if (!l->allocated && l->state == SHMRING_FREE) {
			unused++;
			continue;
		}
		printf("%4u  %-8s %7d  %6u  %8s  %8s  %8s  %s%s\n", i,
		       l->waiting ? "waiting" : state_word(l->state), l->pid, l->tenancy,
		       format_count(count, l->messages), format_size(bytes, l->bytes),
		       format_size(readable, l->readable), format_minute(since, l->attached_ns),
		       l->partial ? "\n      has more than could be counted" : "");
	}
	if (unused)
		printf("%u %s never been used\n", unused, unused == 1 ? "lane has" : "lanes have");
}

static const char *name_of(const struct shmring_consumer_stat *c)
{
	return *c->name ? c->name : "-";
}

static bool is_pinned(const struct ring_view *v, const struct shmring_consumer_stat *c)
{
	return v->ring.slow_policy == SHMRING_SLOW_EVICT && !c->evictable;
}

/* The width of the names; a longer one gets a line of its own. */
static int names_width(const struct ring_view *v)
{
	int longest = (int)strlen("CONSUMER"), most = NAME_COLUMNS;

	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++) {
		const struct shmring_consumer_stat *c = &v->consumers[i];

		if (c->state == SHMRING_FREE)
			continue;
		if ((int)foreign_width(name_of(c)) > longest)
			longest = (int)foreign_width(name_of(c));
		if (is_pinned(v, c))
			most = NAME_COLUMNS - (int)strlen("  pinned");
	}
	return longest < most ? longest : most;
}

static void print_consumers(const struct ring_view *v)
{
	char lag[UNITS_TEXT], worst[UNITS_TEXT], since[UNITS_TEXT];
	int width = names_width(v);
	bool any = false;

	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++) {
		const struct shmring_consumer_stat *c = &v->consumers[i];

		if (c->state == SHMRING_FREE)
			continue;
		if (!any)
			printf("\n%-*s  %-8s %7s  %8s  %8s  SINCE\n", width, "CONSUMER", "STATE",
			       "PID", "LAG", "MOST LAG");
		any = true;
		print_column(name_of(c), width);
		printf("  %-8s %7d  %8s  %8s  %s%s%s\n", state_word(c->state), c->pid,
		       format_size(lag, c->lag), format_size(worst, c->max_lag),
		       format_minute(since, c->attached_ns), is_pinned(v, c) ? "  pinned" : "",
		       c->partial ? "\n  may be further behind" : "");
	}
	if (!any)
		printf("\nno consumers\n");
}

/* A lane that cannot be examined: its number, and why. */
static json_t *json_lane_error(const struct ring_view *v, unsigned i)
{
	json_t *lane = json_pack("{si}", "lane", (int)i);

	if (json_set_bytes(lane, "error", v->lane_errors[i], strlen(v->lane_errors[i])) == 0)
		return lane;
	json_decref(lane);
	return NULL;
}

static json_t *json_lanes(const struct ring_view *v)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < v->ring.lanes; i++) {
		const struct shmring_lane_stat *l = &v->lanes[i];
		json_t *lane =
			v->lane_errors[i]
				? json_lane_error(v, i)
				: json_pack("{si, ss, so, sb, si, so, so, so, so, so, sb, sb, so, "
					    "so, so, so, so}",
					    "lane", (int)i, "state", state_word(l->state),
					    "tenancy", json_unsigned(l->tenancy), "allocated",
					    (int)l->allocated, "pid", (int)l->pid, "attached_ns",
					    json_unsigned(l->attached_ns), "messages",
					    json_unsigned(l->messages), "bytes",
					    json_unsigned(l->bytes), "position",
					    json_unsigned(l->position), "readable",
					    json_unsigned(l->readable), "waiting", (int)l->waiting,
					    "partial", (int)l->partial, "full_waits",
					    json_unsigned(l->full_waits), "full_wait_ns",
					    json_unsigned(l->full_wait_ns), "sleeps",
					    json_unsigned(l->sleeps), "wakes",
					    json_unsigned(l->wakes), "evictions",
					    json_unsigned(l->evictions));

		if (json_array_append_new(array, lane) == 0)
			continue;
		json_decref(array);
		return NULL;
	}
	return array;
}

static json_t *json_consumers(const struct ring_view *v)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++) {
		const struct shmring_consumer_stat *c = &v->consumers[i];
		json_t *name = *c->name ? json_string(c->name) : json_null();
		json_t *consumer;

		if (c->state == SHMRING_FREE) {
			json_decref(name);
			continue;
		}
		consumer = json_pack(
			"{si, so?, ss, si, so, so, so, sb, so, so, sb, so, so, so, so, so}",
			"index", (int)i, "name", name, "state", state_word(c->state), "pid",
			(int)c->pid, "attached_ns", json_unsigned(c->attached_ns), "lag",
			json_unsigned(c->lag), "max_lag", json_unsigned(c->max_lag), "evictable",
			(int)c->evictable, "limit", json_unsigned(c->limit), "limit_ns",
			json_unsigned(c->limit_ns), "partial", (int)c->partial, "waits",
			json_unsigned(c->waits), "sleeps", json_unsigned(c->sleeps), "lost",
			json_unsigned(c->lost), "lost_bytes", json_unsigned(c->lost_bytes),
			"evictions", json_unsigned(c->evictions));
		if (json_array_append_new(array, consumer) == 0)
			continue;
		json_decref(array);
		return NULL;
	}
	return array;
}

/* Sums over all places, free places included. */
static json_t *json_counts(const struct ring_view *v)
{
	struct view_counts n;

	view_count(v, &n);
	return json_pack(
		"{so, so, so, so, so, so, so, so, so}", "full_waits", json_unsigned(n.full_waits),
		"full_wait_ns", json_unsigned(n.full_wait_ns), "producer_sleeps",
		json_unsigned(n.producer_sleeps), "producer_wakes", json_unsigned(n.producer_wakes),
		"consumer_waits", json_unsigned(n.consumer_waits), "consumer_sleeps",
		json_unsigned(n.consumer_sleeps), "lost", json_unsigned(n.lost), "lost_bytes",
		json_unsigned(n.lost_bytes), "evictions", json_unsigned(n.evictions));
}

static int render_json(const struct ring_view *v)
{
	json_t *document = view_json_ring(v->address, &v->ring);
	int err = json_object_set_new(document, "lane", json_lanes(v));

	err |= json_object_set_new(document, "consumer", json_consumers(v));
	err |= json_object_set_new(document, "counts", json_counts(v));
	if (v->unknown_resident)
		err |= json_set_bytes(document, "resident_unknown", v->unknown_resident,
				      strlen(v->unknown_resident));
	if (!err)
		return json_print(document);
	json_decref(document);
	return json_print(NULL);
}

static int render(const struct ring_view *v, bool json)
{
	if (json)
		return render_json(v);
	print_ring(v);
	print_counts(v);
	print_lanes(v);
	print_consumers(v);
	return finish_stdout(STATUS_OK);
}

/* What is shown is not all: say so, and end as failed. */
static int tell_lane_errors(const struct ring_view *v)
{
	for (unsigned i = 0; i < v->ring.lanes; i++)
		if (v->lane_errors[i])
			say("%s: lane %u cannot be examined: %s", v->address, i, v->lane_errors[i]);
	return v->lane_error_count ? STATUS_FAILED : STATUS_OK;
}

int cmd_stat(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "RING", doc, NULL, NULL, NULL };
	static struct ring_view view;
	struct stat_options o = { 0 };
	struct shmring_ring *ring;
	int status, err;

	parse_arguments(&argp, argc, argv, 0, &o);
	stop_when_unread();
	status = open_ring(&ring, o.address, false);
	if (status != STATUS_OK)
		return status;
	err = view_collect(&view, ring, o.address);
	status = err < 0 ? ring_failed("%s", o.address) : render(&view, o.json);
	if (err == 0 && tell_lane_errors(&view) != STATUS_OK)
		status = STATUS_FAILED;
	view_free(&view);
	shmring_close(ring);
	return status;
}
