/* SPDX-License-Identifier: MIT */
/*
 * A participant has damaged the word of a name for good. A consumer that wants that name
 * gets an error within a moment, also where all processors are busy and each yield gives them away
 * for long.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <check.h>

#include "child.h"
#include "must.h"
#include "registry.h"
#include "ring.h"
#include "room.h"
#include "runner.h"
#include "way.h"

#include <shmring/consumer.h>

enum { BUSY = 8, BOUND = 1500 /* ms: the bound is 100, and the processors are busy */ };

static int spin_for_ever(int socket, void *arg)
{
	(void)socket;
	(void)arg;
	for (;;)
		__asm__ volatile("" ::: "memory");
	return 0;
}

/* A state that no place is ever in; nothing is locked for it, and nothing can be buried. */
static void damage(const struct shmring *r, const char *name)
{
	int fd = open(room_path("ring"), O_RDWR | O_CLOEXEC);
	struct registry *registry =
		mmap(NULL, sizeof(*registry), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		     (off_t)r->geometry.registry_offset);
	uint64_t status;
	unsigned slot;

	ck_assert(registry != MAP_FAILED);
	must(shmr_name_find(registry, name, &slot, &status));
	store_release(&registry->consumer_status[slot], status_next(status, (enum place_state)15));
	munmap(registry, sizeof(*registry));
	close(fd);
}

START_TEST(damaged_name_is_told_within_a_moment)
{
	struct shmring_consumer_options o = { .size = sizeof(o), .name = "kept" };
	struct shmring_config config = small_config();
	struct shmring *r = ring_create(&config);
	struct shmring_consumer *c;
	struct child busy[BUSY];
	int64_t start;

	shmring_consumer_detach(consumer_attach(r, "kept", 0, 0));
	damage(r, "kept");
	for (int i = 0; i < BUSY; i++)
		child_fork(&busy[i], spin_for_ever, NULL);
	start = clock_now();
	must_fail(EBUSY, shmring_consumer_attach(&c, r, &o));
	ck_assert_int_lt((clock_now() - start) / 1000000, BOUND);
	for (int i = 0; i < BUSY; i++)
		child_kill(&busy[i]);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tries");
	TCase *tc = room_case(s, "tries", 60);

	tcase_add_test(tc, damaged_name_is_told_within_a_moment);
	return run_suite(s);
}
