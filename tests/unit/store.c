/* SPDX-License-Identifier: MIT */
/*
 * The broker's directories: the last one is for the broker's user alone, and what root makes on
 * the way may be entered by every user, whatever the mask of the process, and from the first
 * moment. The socket lies beside the rings, so a client of another user goes through there.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "child.h"
#include "must.h"
#include "room.h"
#include "runner.h"
#include "step.h"
#include "store.h"

static struct store store;

static int open_store(void *arg)
{
	char error[512];

	(void)arg;
	return store_open(&store, room_path("broker/rings"), NULL, error, sizeof(error));
}

static int strict(int socket, void *arg)
{
	(void)socket;
	umask(0077);
	must(step_run(open_store, arg));
	store_close(&store);
	ck_assert_int_eq(rmdir(room_path("broker/rings")), 0);
	ck_assert_int_eq(rmdir(room_path("broker")), 0);
	return 0;
}

/* Does it exist? If so, it must have this mode. */
static bool is_there(const char *path, mode_t mode)
{
	struct stat st;

	if (lstat(path, &st) < 0) {
		ck_assert_int_eq(errno, ENOENT);
		return false;
	}
	ck_assert_uint_eq(st.st_mode & 0777, mode);
	return true;
}

START_TEST(directories_have_their_modes_from_the_first_moment)
{
	const mode_t way = geteuid() == 0 ? 0755 : 0700;
	unsigned with = 0, without = 0;
	struct child child;
	struct step step;

	if (step_obstacle())
		room_skip("%s", step_obstacle());
	child_fork(&child, strict, NULL);
	for (step_catch(&step, &child, open_store); step_on(&step);)
		if (step_before_call(&step)) {
			bool last = is_there(room_path("broker/rings"), 0700);

			*(is_there(room_path("broker"), way) && last ? &with : &without) += 1;
		}
	step_release(&step);
	ck_assert_uint_gt(with, 0);
	ck_assert_uint_gt(without, 0);
	child_end(&child);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("store");
	TCase *tc = room_case(s, "directories", 30);

	tcase_add_test(tc, directories_have_their_modes_from_the_first_moment);
	return run_suite(s);
}
