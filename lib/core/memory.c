/* SPDX-License-Identifier: MIT */
/*
 * memory: see memory.h.
 */
#include "memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "explain.h"
#include "sys.h"

/* Kernel interfaces younger than the headers of some C libraries. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

int shmr_populate(void *start, size_t size, bool writable)
{
	if (madvise(start, size, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) == 0)
		return 0;
	if (errno != EINVAL) /* EINVAL: before Linux 5.14, the pages come when touched */
		return explain(errno == EFAULT ? -ENOSPC : -errno,
			       "cannot get the pages of the ring into memory: %e", -errno);
	return 0;
}

static void lock(void *start, size_t size, struct shmring_memory_report *report)
{
	struct rlimit limit;

	report->lock_wanted += size;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0)
		report->lock_limit = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
	if (mlock(start, size) == 0)
		report->locked += size;
	else if (report->lock_error == 0)
		report->lock_error = -errno;
}

/*
 * Collapsing works whatever the policy for shared memory is (Linux 6.1); the
 * plain advice is for older kernels and takes effect at the next fault.
 */
static void advise_huge(void *start, size_t size, struct shmring_memory_report *report)
{
	if (madvise(start, size, MADV_HUGEPAGE) < 0)
		return;
	if (madvise(start, size, MADV_COLLAPSE) == 0)
		report->huge += size;
}

uint64_t shmr_resident(void *start, size_t size)
{
	return shmr_resident_until(start, size, INT64_MAX);
}

uint64_t shmr_resident_until(void *start, size_t size, int64_t deadline)
{
	unsigned char in_core[1024];
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t resident = 0;

	for (size_t at = 0; at < size; at += sizeof(in_core) * page) {
		size_t rest =
			size - at < sizeof(in_core) * page ? size - at : sizeof(in_core) * page;

		if (at > 0 && deadline != INT64_MAX && shmr_now() >= deadline)
			return UINT64_MAX;
		if (mincore((char *)start + at, rest, in_core) < 0)
			return UINT64_MAX;
		for (size_t i = 0; i < (rest + page - 1) / page; i++)
			resident += (in_core[i] & 1) * page;
	}
	return resident;
}

int shmr_memory_check(const struct shmring_memory *want)
{
	const uint32_t known =
		SHMRING_MEMORY_STRICT | SHMRING_MEMORY_PREFAULT | SHMRING_MEMORY_HUGE;

	if (want->lock > SHMRING_LOCK_NONE || (want->flags & ~known) != 0)
		return explain(-EINVAL, "memory options: unknown lock or flag");
	return 0;
}

int shmr_memory_apply(struct shmring_memory_report *report, const struct shmring_memory *want,
		      void *start, size_t size, bool hot, bool writable)
{
	int e = 0;

	if (!hot && (want->flags & SHMRING_MEMORY_HUGE) != 0)
		advise_huge(start, size, report);
	if ((want->flags & SHMRING_MEMORY_PREFAULT) != 0)
		e = shmr_populate(start, hot ? size : 2 * size, writable); /* both views */
	if (want->lock == SHMRING_LOCK_ALL || (want->lock == SHMRING_LOCK_HOT && hot))
		lock(start, size, report);
	return e;
}

int shmr_memory_judge(const struct shmring_memory_report *report, const struct shmring_memory *want)
{
	if (report->lock_error == 0 || !(want->flags & SHMRING_MEMORY_STRICT))
		return 0;
	return explain(
		report->lock_error,
		"cannot lock the ring in memory: %u of %u bytes are locked, RLIMIT_MEMLOCK is %u; "
		"raise it or attach without SHMRING_MEMORY_STRICT",
		report->locked, report->lock_wanted, report->lock_limit);
}
