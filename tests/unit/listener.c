/* SPDX-License-Identifier: MIT */
/*
 * The broker's socket: whenever there is a socket at the path, every user may connect to it. A
 * client that comes back while a broker starts would be refused for good otherwise.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "child.h"
#include "listener.h"
#include "loop.h"
#include "must.h"
#include "room.h"
#include "runner.h"
#include "step.h"

static void arrived(struct listener *l, int fd)
{
	(void)l;
	close(fd);
}

static struct listener listener;
static struct loop loop;

static int open_listener(void *arg)
{
	char error[512];

	(void)arg;
	must(loop_open(&loop));
	return listener_open(&listener, &loop, room_path("socket"), -1, true, arrived, error,
			     sizeof(error));
}

static int strict(int socket, void *arg)
{
	(void)socket;
	umask(0077);
	must(step_run(open_listener, arg));
	listener_close(&listener);
	loop_close(&loop);
	ck_assert_int_eq(unlink(room_path("socket.lock")), 0);
	return 0;
}

/* Whether the socket exists; a socket that exists is open to all users. */
static bool socket_is_open(void)
{
	struct stat st;

	if (lstat(room_path("socket"), &st) < 0) {
		ck_assert_int_eq(errno, ENOENT);
		return false;
	}
	ck_assert(S_ISSOCK(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 0777, 0666);
	return true;
}

START_TEST(socket_is_never_closed_to_other_users)
{
	unsigned with = 0, without = 0;
	struct child child;
	struct step step;

	if (step_obstacle())
		room_skip("%s", step_obstacle());
	child_fork(&child, strict, NULL);
	for (step_catch(&step, &child, open_listener); step_on(&step);)
		if (step_before_call(&step))
			*(socket_is_open() ? &with : &without) += 1;
	step_release(&step);
	ck_assert_uint_gt(with, 0);
	ck_assert_uint_gt(without, 0);
	child_end(&child);
}
END_TEST

static Suite *listener_suite(void)
{
	Suite *s = suite_create("listener");
	TCase *tc = room_case(s, "path", 30);

	tcase_add_test(tc, socket_is_never_closed_to_other_users);
	return s;
}

int main(void)
{
	return run_suite(listener_suite());
}
