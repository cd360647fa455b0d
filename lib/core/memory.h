/* SPDX-License-Identifier: MIT */
/*
 * memory: which pages of a mapping are in memory, and how they stay there.
 *
 * A program asks for it at the attach (struct shmring_memory). The order is: huge pages, since
 * they replace those that are there; then all pages are faulted in, through both views of a
 * lane's data; then they are locked. A lock that the kernel refuses is no error of the attach,
 * but stands in the report, unless the program wants it to be strict.
 */
#ifndef SHMRING_CORE_MEMORY_H
#define SHMRING_CORE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <shmring/shmring.h>

#pragma GCC visibility push(default)

/* Fault every page in, for writing or for reading. */
int shmr_populate(void *start, size_t size, bool writable);

/*
 * Bytes of [start, start + size) that are in memory; UINT64_MAX: unknown, also because the
 * deadline (CLOCK_MONOTONIC) passed.
 */
uint64_t shmr_resident(void *start, size_t size);
uint64_t shmr_resident_until(void *start, size_t size, int64_t deadline);

/*
 * Lock, prefault and advise as wanted, and account for it in the report. `hot`: control words
 * rather than a lane's data, which are mapped twice in a row.
 */
int shmr_memory_apply(struct shmring_memory_report *report, const struct shmring_memory *want,
		      void *start, size_t size, bool hot, bool writable);

/* After the last of those: an error if SHMRING_MEMORY_STRICT was not met. */
int shmr_memory_judge(const struct shmring_memory_report *report,
		      const struct shmring_memory *want);

/* -EINVAL with an explanation unless the options make sense. */
int shmr_memory_check(const struct shmring_memory *want);

#pragma GCC visibility pop

#endif
