/* SPDX-License-Identifier: MIT */
/*
 * Thousands of sleepers: as many rings as there are processes, with as many
 * consumers as a ring takes, each a thread of its own, all asleep. One message in
 * each ring, and all of them wake. The rings' sleepers look again only after ten
 * seconds, so that a missing wake-up shows.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { RINGS = 40, ROUNDS = 3, SOURCE = 40, LIMIT_MS = 8000, STACK = 128 << 10 };

/* What a process of sleepers reports. */
struct dormitory {
	_Atomic(uint32_t) attached;
	_Atomic(uint32_t) woken;  /* messages that its sleepers have got, and found right */
	_Atomic(uint32_t) failed; /* the first error of any sleeper */
	pid_t threads[SHMRING_MAX_CONSUMERS];
};

struct ward {
	struct shmring_ring *ring;
	struct dormitory *dormitory;
};

static unsigned rings(void)
{
	return room_is_sanitized() || child_is_emulated() ? RINGS / 10 : RINGS;
}

static int sleep_and_wake(struct ward *w, struct shmring_consumer *c)
{
	struct shmring_message m;
	struct audit_header h;

	for (uint64_t number = 0; number < ROUNDS; number++) {
		int r = shmring_peek(c, SHMRING_FOREVER, &m);

		if (r == 0 && (!audit_read(m.data, m.len, &h) || h.number != number))
			r = -EBADMSG;
		if (r == 0)
			r = shmring_release(c);
		if (r < 0)
			return -r;
		atomic_fetch_add(&w->dormitory->woken, 1);
	}
	return 0;
}

static void *sleeper(void *arg)
{
	struct shmring_consumer_options options = { .size = sizeof(options), .spin_ns = -1 };
	struct ward *w = arg;
	struct shmring_consumer *c;
	int e = -shmring_consumer_attach(&c, w->ring, &options);

	if (e == 0) {
		w->dormitory->threads[atomic_fetch_add(&w->dormitory->attached, 1)] = gettid();
		e = sleep_and_wake(w, c);
		shmring_consumer_detach(c);
	}
	if (e != 0)
		atomic_store(&w->dormitory->failed, (uint32_t)e);
	return NULL;
}

/* Threads make no assertions: check's are not for several at a time. */
static int house(int socket, void *arg)
{
	pthread_t threads[SHMRING_MAX_CONSUMERS];
	struct ward *w = arg;
	pthread_attr_t attr;

	(void)socket;
	must(shmring_join(w->ring));
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], &attr, sleeper, w), 0);
	pthread_attr_destroy(&attr);
	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++)
		pthread_join(threads[i], NULL);
	shmring_close(w->ring);
	return 0;
}

/* Is this thread asleep in a futex? */
static bool is_asleep(pid_t pid, pid_t thread)
{
	char path[64];
	long call = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", (int)pid, (int)thread);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%ld", &call) != 1)
		call = -1;
	if (f)
		fclose(f);
	return call == (child_is_emulated() ? 202 : SYS_futex); /* an emulator runs on x86-64 */
}

static bool all_asleep(const struct child *child, struct dormitory *d)
{
	ck_assert_uint_eq(atomic_load(&d->failed), 0);
	if (atomic_load(&d->attached) < SHMRING_MAX_CONSUMERS)
		return false;
	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++)
		if (!is_asleep(child->pid, d->threads[i]))
			return false;
	return true;
}

static void await_all_asleep(struct child *children, struct dormitory *d)
{
	int64_t limit = patience();

	for (unsigned i = 0; i < rings(); i++)
		while (!all_asleep(&children[i], &d[i])) {
			ck_assert_msg(clock_now() < limit, "ring %u: %u have attached", i,
				      (unsigned)atomic_load(&d[i].attached));
			sched_yield();
		}
}

/* All consumers have got `count` messages. */
static void await_woken(const struct dormitory *d, unsigned count)
{
	for (unsigned i = 0; i < rings(); i++)
		while (atomic_load(&d[i].woken) < count * SHMRING_MAX_CONSUMERS) {
			ck_assert_uint_eq(atomic_load(&d[i].failed), 0);
			sched_yield();
		}
}

static void skip_if_limited(void)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NPROC, &limit), 0);
	if (limit.rlim_cur < 2 * rings() * SHMRING_MAX_CONSUMERS)
		room_skip("this user may not have so many threads");
}

START_TEST(thousands_of_sleepers_are_all_woken)
{
	struct shmring_config config = small_config();
	struct shmring_producer *producers[RINGS];
	struct dormitory *d = mmap(NULL, RINGS * sizeof(*d), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct child children[RINGS];
	struct ward wards[RINGS];
	int64_t slowest = 0;

	skip_if_limited();
	ck_assert_ptr_ne(d, MAP_FAILED);
	config.lanes = 1;
	config.max_sleep_ns = 10000000000;
	for (unsigned i = 0; i < rings(); i++) {
		wards[i].dormitory = &d[i];
		must(shmring_create(&wards[i].ring, NULL, &config));
		child_fork(&children[i], house, &wards[i]);
		producers[i] = producer_attach(wards[i].ring);
	}
	for (uint64_t number = 0; number < ROUNDS; number++) {
		int64_t began;

		await_all_asleep(children, d);
		began = clock_now();
		for (unsigned i = 0; i < rings(); i++)
			publish_numbers(producers[i], SOURCE, number, 1, 40);
		await_woken(d, (unsigned)number + 1);
		if (clock_now() - began > slowest)
			slowest = clock_now() - began;
	}
	printf("# %u sleepers of %u rings were all awake within %.1f ms\n",
	       rings() * SHMRING_MAX_CONSUMERS, rings(), (double)slowest / 1e6);
	ck_assert_int_lt(slowest, (int64_t)LIMIT_MS * 1000000);
	for (unsigned i = 0; i < rings(); i++) {
		child_end(&children[i]);
		shmring_producer_detach(producers[i]);
		shmring_close(wards[i].ring);
	}
	munmap(d, RINGS * sizeof(*d));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sleepers");
	TCase *tc = room_case(s, "sleepers", 50);

	tcase_add_test(tc, thousands_of_sleepers_are_all_woken);
	return run_suite(s);
}
