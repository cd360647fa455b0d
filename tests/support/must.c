/* SPDX-License-Identifier: MIT */
/*
 * Calls of the library that must succeed, or fail in a given way.
 */
#include "must.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

int64_t must_succeed(const char *file, int line, const char *what, int64_t result)
{
	if (result < 0)
		_ck_assert_failed(file, line, what, "%s (%s)", strerrorname_np((int)-result),
				  shmring_explain());
	return result;
}

void must_fail_with(const char *file, int line, const char *what, int error, int64_t result)
{
	if (result >= 0)
		_ck_assert_failed(file, line, what, "gives %" PRId64 ", not -%s", result,
				  strerrorname_np(error));
	if (result != -error)
		_ck_assert_failed(file, line, what, "gives -%s (%s), not -%s",
				  strerrorname_np((int)-result), shmring_explain(),
				  strerrorname_np(error));
	if (shmring_explain()[0] == '\0')
		_ck_assert_failed(file, line, what, "is not explained");
}

int64_t patience(void)
{
	return shmring_deadline(15000000000);
}

int64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
