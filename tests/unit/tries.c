/* SPDX-License-Identifier: MIT */
/*
 * A participant has damaged the word of a name for good. A consumer that wants that name
 * gets an error within a moment, also where each yield gives the processor away for long.
 *
 * The clock and the yield are the test's own, so the load of the machine does not matter: a yield
 * takes MS_PER_YIELD of the clock, and every look at the clock a microsecond.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "registry.h"
#include "ring.h"
#include "room.h"
#include "runner.h"
#include "way.h"

#include <shmring/consumer.h>

/* The library tries for 100 ms, and 64 times at least. */
enum { MS_PER_YIELD = 5, BOUND_MS = 64 * MS_PER_YIELD + 110 };

#define NS_PER_MS INT64_C(1000000)

static int64_t elapsed_ns;

int64_t __wrap_shmr_now(void);
int64_t __wrap_shmr_now(void)
{
	elapsed_ns += 1000;
	return 1000 * NS_PER_MS + elapsed_ns;
}

int __wrap_sched_yield(void);
int __wrap_sched_yield(void)
{
	elapsed_ns += MS_PER_YIELD * NS_PER_MS;
	return 0;
}

/* An invalid state: it has no lock, and no process can bury it. */
static void damage(const struct shmring_ring *r, const char *name)
{
	int fd = open(room_path("ring"), O_RDWR | O_CLOEXEC);
	struct registry *registry = mmap(NULL, sizeof(*registry), PROT_READ | PROT_WRITE,
					 MAP_SHARED, fd, (off_t)r->geometry.registry_offset);
	uint64_t status;
	unsigned slot;

	ck_assert(registry != MAP_FAILED);
	must(shmr_name_find(registry, name, &slot, &status));
	store_release(&registry->consumer_status[slot], status_next(status, (enum place_state)15));
	munmap(registry, sizeof(*registry));
	close(fd);
}

START_TEST(damaged_name_is_reported_within_a_moment)
{
	struct shmring_consumer_options o = { .size = sizeof(o), .name = "kept" };
	struct shmring_config config = small_config();
	struct shmring_ring *r = ring_create(&config);
	struct shmring_consumer *c;

	shmring_consumer_detach(consumer_attach(r, "kept", 0, 0));
	damage(r, "kept");
	elapsed_ns = 0;
	must_fail(EBUSY, shmring_consumer_attach(&c, r, &o));
	ck_assert_int_gt(elapsed_ns / NS_PER_MS, 0);
	ck_assert_int_lt(elapsed_ns / NS_PER_MS, BOUND_MS);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tries");
	TCase *tc = room_case(s, "tries", 60);

	tcase_add_test(tc, damaged_name_is_reported_within_a_moment);
	return run_suite(s);
}
