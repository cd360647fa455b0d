/* SPDX-License-Identifier: MIT */
/*
 * The thread that copies lanes: all bytes arrive, holes stay holes, a small one does not wait
 * for a large one, and the end waits for none.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "child.h"
#include "lane-copier.h"
#include "room.h"
#include "runner.h"

#define LARGE ((size_t)512 << 20)
#define SMALL ((size_t)64 << 10)

static int new_file(size_t size, size_t filled)
{
	int fd = memfd_create("lane", MFD_CLOEXEC);
	unsigned char *p;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	if (filled == 0)
		return fd;
	p = mmap(NULL, filled, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(p, MAP_FAILED);
	memset(p, 0xa5, filled);
	munmap(p, filled);
	return fd;
}

static struct pass *new_pass(unsigned lane, size_t size, size_t filled)
{
	struct pass *pass = calloc(1, sizeof(*pass));

	ck_assert_ptr_nonnull(pass);
	pass->lane = lane;
	pass->from = new_file(size, filled);
	pass->to = new_file(size, 0);
	return pass;
}

static struct pass *take(struct lane_copier *p)
{
	struct pollfd done = { .fd = p->done, .events = POLLIN };
	struct pass *pass;
	eventfd_t count;

	while (!(pass = lane_copier_take(p))) {
		ck_assert_int_eq(poll(&done, 1, 20000), 1);
		eventfd_read(p->done, &count);
	}
	return pass;
}

static void drop(struct pass *pass, void *arg)
{
	++*(unsigned *)arg;
	close(pass->from);
	close(pass->to);
	free(pass);
}

static int check_small_one(int socket, void *arg)
{
	unsigned dropped = 0;
	struct lane_copier p;
	struct pass *large, *small;

	(void)socket;
	(void)arg;
	ck_assert_int_eq(lane_copier_start(&p), 0);
	large = new_pass(1, LARGE, LARGE);
	small = new_pass(2, SMALL, SMALL);
	lane_copier_ask(&p, large);
	lane_copier_ask(&p, small);
	ck_assert_ptr_eq(take(&p), small);
	ck_assert_int_eq(small->result, 0);
	ck_assert_ptr_eq(take(&p), large);
	ck_assert_int_eq(large->result, 0);
	drop(small, &dropped);
	drop(large, &dropped);
	lane_copier_stop(&p, drop, &dropped);
	ck_assert_uint_eq(dropped, 2);
	return 0;
}

static int check_bytes(int socket, void *arg)
{
	const size_t filled = (5 << 20) + 4096; /* more than a turn */
	unsigned char *from, *to;
	unsigned dropped = 0;
	struct lane_copier p;
	struct pass *pass;
	struct stat st;

	(void)socket;
	(void)arg;
	ck_assert_int_eq(lane_copier_start(&p), 0);
	lane_copier_ask(&p, new_pass(1, 2 * filled, filled));
	pass = take(&p);
	ck_assert_int_eq(pass->result, 0);
	from = mmap(NULL, 2 * filled, PROT_READ, MAP_SHARED, pass->from, 0);
	to = mmap(NULL, 2 * filled, PROT_READ, MAP_SHARED, pass->to, 0);
	ck_assert_ptr_ne(from, MAP_FAILED);
	ck_assert_ptr_ne(to, MAP_FAILED);
	ck_assert_int_eq(fstat(pass->to, &st), 0);
	ck_assert_uint_eq((size_t)st.st_blocks * 512, filled);
	ck_assert_int_eq(memcmp(from, to, 2 * filled), 0);
	munmap(from, 2 * filled);
	munmap(to, 2 * filled);
	drop(pass, &dropped);
	lane_copier_stop(&p, drop, &dropped);
	return 0;
}

static int check_end(int socket, void *arg)
{
	unsigned dropped = 0;
	struct lane_copier p;
	struct pass *large;
	struct stat st;
	int to;

	(void)socket;
	(void)arg;
	ck_assert_int_eq(lane_copier_start(&p), 0);
	large = new_pass(1, LARGE, LARGE);
	to = fcntl(large->to, F_DUPFD_CLOEXEC, 0);
	ck_assert_int_ge(to, 0);
	lane_copier_ask(&p, large);
	lane_copier_stop(&p, drop, &dropped);
	ck_assert_uint_eq(dropped, 1);
	ck_assert_int_eq(fstat(to, &st), 0);
	ck_assert_uint_lt((size_t)st.st_blocks * 512, LARGE);
	close(to);
	return 0;
}

/* The stack of a thread stays with its process. */
static void in_a_helper(int (*run)(int socket, void *arg))
{
	struct child c;

	child_fork(&c, run, NULL);
	child_end(&c);
}

START_TEST(small_copy_does_not_wait_for_a_large_one)
{
	in_a_helper(check_small_one);
}
END_TEST

START_TEST(bytes_arrive_and_holes_stay)
{
	in_a_helper(check_bytes);
}
END_TEST

START_TEST(end_waits_for_no_copy)
{
	in_a_helper(check_end);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lane-copier");
	TCase *tc = room_case(s, "lane-copier", 60);

	tcase_add_test(tc, small_copy_does_not_wait_for_a_large_one);
	tcase_add_test(tc, bytes_arrive_and_holes_stay);
	tcase_add_test(tc, end_waits_for_no_copy);
	return run_suite(s);
}
