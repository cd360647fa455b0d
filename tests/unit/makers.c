/* SPDX-License-Identifier: MIT */
/*
 * A process that makes a ring is stopped, and then killed, before the ring gets its name
 * (segment_link() is wrapped). A process that waits for the ring sees nothing of it; the next
 * process makes the ring, and the waiter gets that one.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>

#include <check.h>

#include "child.h"
#include "must.h"
#include "room.h"
#include "runner.h"
#include "segment.h"
#include "way.h"

static bool stops; /* this process stops before it gives a name */

int __real_segment_link(int fd, int dirfd, const char *name);
int __wrap_segment_link(int fd, int dirfd, const char *name);

int __wrap_segment_link(int fd, int dirfd, const char *name)
{
	if (stops)
		raise(SIGSTOP);
	return __real_segment_link(fd, dirfd, name);
}

static int make(int socket, void *arg)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r;

	(void)socket;
	(void)arg;
	stops = true;
	must(shmring_open_or_create(&r, room_path("ring"), &config));
	shmring_close(r);
	return 0;
}

static int await_the_ring(int socket, void *arg)
{
	struct shmring_ring *r;

	(void)arg;
	step_tell(socket);
	must(shmring_open_wait(&r, room_path("ring"), patience()));
	shmring_close(r);
	return 0;
}

START_TEST(maker_stopped_before_the_name_leaves_the_name_free)
{
	struct shmring_config config = small_config();
	struct child maker, waiter;
	struct shmring_ring *r;

	child_fork(&waiter, await_the_ring, NULL);
	step_await(waiter.socket);
	child_fork(&maker, make, NULL);
	while (child_look(&maker) != CHILD_STOPPED)
		sched_yield();
	must_fail(ENOENT, shmring_open(&r, room_path("ring")));
	ck_assert_int_eq(child_look(&waiter), CHILD_RUNS);
	if (_i == 0)
		child_kill(&maker);
	ck_assert_int_eq(must(shmring_open_or_create(&r, room_path("ring"), &config)), 1);
	child_end(&waiter);
	if (_i == 1) { /* it finds that another process was quicker */
		ck_assert_int_eq(kill(maker.pid, SIGCONT), 0);
		child_end(&maker);
	}
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("makers");
	TCase *tc = room_case(s, "makers", 30);

	tcase_add_loop_test(tc, maker_stopped_before_the_name_leaves_the_name_free, 0, 2);
	return run_suite(s);
}
