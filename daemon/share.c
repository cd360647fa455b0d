/* SPDX-License-Identifier: MIT */
/*
 * share: see share.h.
 */
#include "share.h"

#include <sys/resource.h>

/* For the loop, threads, the log, directories, the keeper, and short uses. */
enum { OWN = 40 };

void share_open(struct share *s)
{
	struct rlimit limit = { .rlim_cur = 1024 };

	getrlimit(RLIMIT_NOFILE, &limit);
	*s = (struct share){ .total = limit.rlim_cur > OWN ? limit.rlim_cur - OWN : 0 };
}

uint64_t share_most(const struct share *s, unsigned percent, uint64_t taken)
{
	uint64_t used = s->held + taken;

	/* Without a limit, fewer than 2^57 count: the product fits. */
	return used >= s->total ? 0 : ((s->total - used) & ~(UINT64_C(127) << 57)) * percent / 100;
}

bool share_take(struct share *s, struct account *a, unsigned percent, uint64_t count)
{
	if (a->held + count > share_most(s, percent, count))
		return false;
	share_count(s, a, count);
	return true;
}

void share_count(struct share *s, struct account *a, uint64_t count)
{
	s->held += count;
	a->held += count;
}

void share_give(struct share *s, struct account *a, uint64_t count)
{
	s->held -= count;
	a->held -= count;
}
