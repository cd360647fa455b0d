/* SPDX-License-Identifier: MIT */
/*
 * A histogram with buckets whose width grows with the value: see latency.h.
 */
#include <stdio.h>

#include "cli.h"
#include "json.h"
#include "latency.h"
#include "units.h"

static const struct {
	const char *name;
	const char *key;
	unsigned per_mille;
} shown[] = {
	{ "p50", "p50_ns", 500 },    { "p90", "p90_ns", 900 },	{ "p99", "p99_ns", 990 },
	{ "p99.9", "p999_ns", 999 }, { "max", "max_ns", 1000 },
};

enum { SHOWN = sizeof(shown) / sizeof(shown[0]) };

/* How far to shift a value until it is below twice LATENCY_PARTS. */
static unsigned shift_of(uint64_t ns)
{
	return ns < LATENCY_PARTS ? 0 : 57 - (unsigned)__builtin_clzll(ns);
}

static unsigned bucket_of(uint64_t ns)
{
	unsigned shift = shift_of(ns);

	return shift * LATENCY_PARTS + (unsigned)(ns >> shift);
}

/* The largest value that is counted there. */
static uint64_t end_of(unsigned bucket)
{
	unsigned shift = bucket < 2 * LATENCY_PARTS ? 0 : bucket / LATENCY_PARTS - 1;

	return (((uint64_t)bucket - shift * LATENCY_PARTS + 1) << shift) - 1;
}

void latency_add(struct latency *l, uint64_t ns)
{
	l->buckets[bucket_of(ns)]++;
	l->count++;
	if (ns > l->max)
		l->max = ns;
}

uint64_t latency_at(const struct latency *l, unsigned per_mille)
{
	/* The rank is rounded up: no message fewer than that share. */
	uint64_t rank = l->count / 1000 * per_mille + (l->count % 1000 * per_mille + 999) / 1000;
	uint64_t seen = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		seen += l->buckets[i];
		if (l->count > 0 && seen >= rank)
			return end_of(i) < l->max ? end_of(i) : l->max;
	}
	return l->max;
}

static int print_json(const struct latency *l)
{
	json_t *object = json_object();
	int err = json_object_set_new(object, "messages", json_unsigned(l->count));

	for (unsigned i = 0; i < SHOWN && err == 0; i++)
		err = json_object_set_new(
			object, shown[i].key,
			l->count ? json_unsigned(latency_at(l, shown[i].per_mille)) : json_null());
	if (err == 0)
		return json_print(object);
	json_decref(object);
	return json_print(NULL);
}

int latency_print(const struct latency *l, bool json)
{
	char text[UNITS_TEXT];

	if (json)
		return print_json(l);
	printf("%llu message%s\n", (unsigned long long)l->count, l->count == 1 ? "" : "s");
	for (unsigned i = 0; i < SHOWN && l->count > 0; i++)
		printf("%-6s %s\n", shown[i].name,
		       format_duration(text, latency_at(l, shown[i].per_mille)));
	return finish_stdout(STATUS_OK);
}
