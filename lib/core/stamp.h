/* SPDX-License-Identifier: MIT */
/*
 * stamp: when a message was published, in the ring itself.
 *
 * In a ring with stamps (PREFIX_STAMP) a word stands between the header and
 * the payload of each record: the time when the producer finished the message.
 * Either it is CLOCK_MONOTONIC in nanoseconds, or the processor's counter, which
 * is cheaper to read. A counter is taken only where the kernel itself keeps time
 * by it: there it runs at one rate, never stops, and is the same on all
 * processors.
 *
 * The process that makes the ring measures what a counter means and writes it into the
 * identity: nanoseconds = base + counter * scale / 2^48. So all readers
 * convert alike and without measuring, and stamps that were taken in order stay in
 * order. From CLOCK_MONOTONIC the result departs with time, by as much as the
 * measurement was wrong and as the clock has been adjusted since; therefore
 * latencies are differences to shmring_stamp_now(), which converts alike.
 */
#ifndef SHMRING_CORE_STAMP_H
#define SHMRING_CORE_STAMP_H

#include <stdint.h>

#include "layout.h"
#include "sys.h"

#define STAMP_SHIFT 48

#pragma GCC visibility push(default)

/*
 * Give a new ring the stamps that were asked for, enum shmring_stamp; takes
 * 10 ms for a process's first counter. 0, or -EOPNOTSUPP (no such counter here), with an
 * explanation.
 */
int shmr_stamp_plan(struct geometry *g, uint32_t wish);

#pragma GCC visibility pop

/* The counter now; the inline commit reads it as well. */
static inline uint64_t stamp_counter(void)
{
	return SHMRING_COUNTER();
}

/* What a record that is finished at this moment carries. */
static inline uint64_t stamp_take(const struct geometry *g)
{
	return g->stamps == SHMRING_STAMP_TSC ? stamp_counter() : (uint64_t)shmr_now();
}

/* All of it modulo 2^64: the sum is what was measured. */
static inline uint64_t stamp_ns(const struct geometry *g, uint64_t stamp)
{
	__extension__ typedef unsigned __int128 wide;

	if (g->stamps != SHMRING_STAMP_TSC)
		return stamp;
	return g->stamp_base + (uint64_t)((wide)stamp * g->stamp_scale >> STAMP_SHIFT);
}

#endif
