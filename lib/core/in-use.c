/* SPDX-License-Identifier: MIT */
/*
 * in-use: see in-use.h.
 */
#include "in-use.h"

#include <errno.h>
#include <unistd.h>

#include "explain.h"

#ifdef SHMR_HANDLE_CHECKS

static _Thread_local uint32_t number __attribute__((tls_model("initial-exec")));

uint32_t shmr_use_thread(void)
{
	if (number == 0)
		number = (uint32_t)gettid();
	return number;
}

void shmr_use_forked(void)
{
	number = 0;
}

int shmr_use_refused(uint32_t user)
{
	if (user == shmr_use_thread())
		return explain(-EBUSY,
			       "this is a signal handler that has interrupted a call on the "
			       "same handle; give signal handlers a handle of their own");
	if (user == claim_of(user))
		return explain(-EBUSY,
			       "thread %u has opened the claim, and no other thread may use the "
			       "handle until it is committed, staged or aborted; give each thread "
			       "a handle of its own",
			       (uint64_t)(user & ~claim_of(0)));
	return explain(-EBUSY,
		       "thread %u is in a call on this handle; give each thread a handle of its "
		       "own",
		       (uint64_t)user);
}

#else

uint32_t shmr_use_thread(void)
{
	return UINT32_MAX;
}

void shmr_use_forked(void)
{
}

int shmr_use_refused(uint32_t user)
{
	(void)user;
	return explain(-EBUSY,
		       "a call on this handle is waiting, and this is another thread, or a signal "
		       "handler that has interrupted it; give each thread, and each signal "
		       "handler, a handle of its own");
}

#endif
