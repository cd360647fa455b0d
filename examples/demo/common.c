/* SPDX-License-Identifier: MIT */
/*
 * What every process of the demo needs: errors, the time, the way into the ring.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

int ring_error(const char *who, int r)
{
	fprintf(stderr, "%s: %s\n", who, shmring_explain());
	return r;
}

int system_error(const char *who, const char *what)
{
	int r = errno ? -errno : -EIO;

	fprintf(stderr, "%s: %s: %s\n", who, what, strerror(-r));
	return r;
}

int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* A child's own handle: the ring by its name, or the one it has inherited. */
int ring_enter(const struct demo *demo, struct shmring_ring **ret)
{
	int r;

	if (demo->address)
		return shmring_open(ret, demo->address);
	r = shmring_join(demo->ring);
	if (r == 0)
		*ret = demo->ring;
	return r;
}

/*
 * Spinning before sleep saves microseconds where every process has a core of
 * its own. With fewer cores it takes the core from a process that has work.
 */
int64_t demo_spin_ns(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN) > PRODUCERS + CONSUMERS ? 0 : -1;
}
