/* SPDX-License-Identifier: MIT */
/*
 * How long messages were under way: counts in buckets of equal ratio, and the
 * quantiles that follow from them. Values below 16 ns have a
 * bucket each; above, every power of two is cut into 16 equal parts.
 */
#include <stdio.h>
#include <string.h>

#include "demo.h"

static unsigned bucket_of(uint64_t ns)
{
	unsigned exponent;

	if (ns < 16)
		return (unsigned)ns;
	exponent = 63 - (unsigned)__builtin_clzll(ns);
	return (exponent - 3) * 16 + (unsigned)((ns >> (exponent - 4)) & 15);
}

/* The smallest value that does not belong to it any more. */
static uint64_t bucket_end(unsigned bucket)
{
	if (bucket < 16)
		return bucket + 1;
	return (uint64_t)(bucket % 16 + 17) << (bucket / 16 - 1);
}

void latency_add(struct latency *latency, int64_t ns)
{
	uint64_t value = ns > 0 ? (uint64_t)ns : 0;

	latency->bucket[bucket_of(value)]++;
	latency->count++;
	if (value > latency->max)
		latency->max = value;
}

void latency_merge(struct latency *sum, const struct latency *part)
{
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		sum->bucket[i] += part->bucket[i];
	sum->count += part->count;
	if (part->max > sum->max)
		sum->max = part->max;
}

/* The bound that the fraction `q` of all values does not exceed. */
uint64_t latency_quantile(const struct latency *latency, double q)
{
	uint64_t rank = (uint64_t)(q * (double)latency->count);
	uint64_t seen = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
		seen += latency->bucket[i];
		if (seen > rank)
			return bucket_end(i) < latency->max ? bucket_end(i) : latency->max;
	}
	return latency->max;
}

/* How many values lie in [from, to); both are powers of two, 16 or more. */
uint64_t latency_between(const struct latency *latency, uint64_t from, uint64_t to)
{
	uint64_t count = 0;

	for (unsigned i = bucket_of(from); i < bucket_of(to); i++)
		count += latency->bucket[i];
	return count;
}
