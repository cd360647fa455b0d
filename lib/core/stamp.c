/* SPDX-License-Identifier: MIT */
/*
 * stamp: choose the source of a new ring's stamps, and measure it; see stamp.h.
 */
#include "stamp.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "explain.h"
#include "ring.h"

#define BASELINE_NS INT64_C(10000000)
#define TRIES 32 /* to read counter and clock without an interruption in between */

#if defined(__x86_64__)
#define CLOCKSOURCE "tsc"

/* Does the processor say that the counter never changes its rate and never stops? */
static bool counter_is_invariant(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d >> 8 & 1);
}
#else
#define CLOCKSOURCE "arch_sys_counter"

static bool counter_is_invariant(void)
{
#if defined(__aarch64__)
	return true; /* by architecture */
#else
	return false;
#endif
}
#endif

/* The kernel watches the counter, and would not keep time by it if processors disagreed. */
static bool kernel_trusts_counter(void)
{
	char name[32] = "";
	int fd = shmr_fd_above_standard(
		open("/sys/devices/system/clocksource/clocksource0/current_clocksource",
		     O_RDONLY | O_CLOEXEC));
	ssize_t n;

	if (fd < 0)
		return false;
	n = shmr_read_at(fd, name, sizeof(name) - 1, 0);
	close(fd);
	return n > 0 && strcmp(name, CLOCKSOURCE "\n") == 0;
}

struct moment {
	uint64_t counter;
	uint64_t ns;
};

/* Take some pairs of readings, and return the closest pair. */
static struct moment now(void)
{
	uint64_t closest = UINT64_MAX;
	struct moment best = { 0 };

	for (int i = 0; i < TRIES; i++) {
		uint64_t before = stamp_counter();
		uint64_t ns = (uint64_t)shmr_now();
		uint64_t window = stamp_counter() - before;

		if (window >= closest)
			continue;
		closest = window;
		best = (struct moment){ before + window / 2, ns };
	}
	return best;
}

static int measure_scale(uint64_t *ret)
{
	__extension__ typedef unsigned __int128 wide;
	struct moment first = now(), last;

	shmr_sleep((int64_t)first.ns + BASELINE_NS);
	do /* a signal may have come */
		last = now();
	while (last.ns - first.ns < (uint64_t)BASELINE_NS);
	if (last.counter - first.counter == 0)
		return explain(-EOPNOTSUPP, "the processor's counter stands still");
	*ret = (uint64_t)(((wide)(last.ns - first.ns) << STAMP_SHIFT) /
			  (last.counter - first.counter));
	return 0;
}

/*
 * The counter keeps its rate, so a process that makes many rings waits for that only
 * once. Threads that meet here measure twice, and any of the results will do.
 */
static int calibrate(struct geometry *g)
{
	static shm_u64 known; /* 0: not yet */
	struct moment last;
	uint64_t scale = load_relaxed(&known);
	int e = scale == 0 ? measure_scale(&scale) : 0;

	if (e < 0)
		return e;
	store_relaxed(&known, scale);
	last = now();
	g->stamp_scale = scale;
	g->stamp_base = 0;
	g->stamp_base = last.ns - stamp_ns(g, last.counter);
	return 0;
}

int shmr_stamp_plan(struct geometry *g, uint32_t wish)
{
	bool counter =
		wish >= SHMRING_STAMP_TSC && counter_is_invariant() && kernel_trusts_counter();

	if (wish == SHMRING_STAMP_TSC && !counter)
		return explain(
			-EOPNOTSUPP,
			"the kernel does not use the processor's counter as its clock, so stamps "
			"cannot use it; use SHMRING_STAMP_CLOCK or SHMRING_STAMP_AUTO");
	if (wish == SHMRING_STAMP_AUTO)
		wish = counter ? SHMRING_STAMP_TSC : SHMRING_STAMP_CLOCK;
	layout_add_stamps(g, wish);
	return wish == SHMRING_STAMP_TSC ? calibrate(g) : 0;
}

uint64_t shmring_stamp_now(const struct shmring_ring *r)
{
	const struct geometry *g = &r->geometry;

	return g->stamps == SHMRING_STAMP_NONE ? 0 : stamp_ns(g, stamp_take(g));
}
