/* SPDX-License-Identifier: MIT */
/*
 * descriptor-share: see descriptor-share.h.
 */
#include "descriptor-share.h"

#include <sys/resource.h>

/* For the loop, threads, the log, directories, the keeper, and short uses. */
enum { OWN = 40 };

void descriptor_share_open(struct descriptor_share *s)
{
	struct rlimit limit = { .rlim_cur = 1024 };

	getrlimit(RLIMIT_NOFILE, &limit);
	*s = (struct descriptor_share){ .total = limit.rlim_cur > OWN ? limit.rlim_cur - OWN : 0 };
}

uint64_t descriptor_share_most(const struct descriptor_share *s, unsigned percent, uint64_t taken)
{
	uint64_t used = s->held + taken;

	/* Without a limit, fewer than 2^57 count: the product fits. */
	return used >= s->total ? 0 : ((s->total - used) & ~(UINT64_C(127) << 57)) * percent / 100;
}

bool descriptor_share_take(struct descriptor_share *s, struct account *a, unsigned percent,
			   uint64_t count)
{
	if (a->held + count > descriptor_share_most(s, percent, count))
		return false;
	descriptor_share_count(s, a, count);
	return true;
}

void descriptor_share_count(struct descriptor_share *s, struct account *a, uint64_t count)
{
	s->held += count;
	a->held += count;
}

void descriptor_share_give(struct descriptor_share *s, struct account *a, uint64_t count)
{
	s->held -= count;
	a->held -= count;
}
