/* SPDX-License-Identifier: MIT */
/*
 * How long messages were under way: counted in buckets, shown as percentiles.
 */
#ifndef SHMRING_LATENCY_H
#define SHMRING_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A bucket is as wide as a 64th of its smallest value, or 1 ns; so what a
 * percentile says is too long by 1.6 % at most.
 */
#define LATENCY_PARTS 64
#define LATENCY_BUCKETS (59 * LATENCY_PARTS) /* all of 64 bits */

struct latency {
	uint64_t count;
	uint64_t max;
	uint64_t buckets[LATENCY_BUCKETS];
};

void latency_add(struct latency *l, uint64_t ns);

/* What `per_mille` of the messages did not exceed, in nanoseconds; 0: no messages. */
uint64_t latency_at(const struct latency *l, unsigned per_mille);

/* Print the percentiles to stdout; the exit status. */
int latency_print(const struct latency *l, bool json);

#endif
