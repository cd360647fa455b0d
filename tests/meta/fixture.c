/* SPDX-License-Identifier: MIT */
/*
 * Does the fixture notice? Each inner test below leaves something behind on
 * purpose; its room has to fail it and to name what was left.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "child.h"
#include "room.h"

static _Noreturn int pause_for_ever(int socket, void *arg)
{
	(void)arg;
	step_tell(socket);
	for (;;)
		pause();
}

START_TEST(leaks_nothing)
{
	int fd = open(room_path("ring"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	int disk = open(room_disk_path("ring"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	struct child c;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(disk, 0);
	close(fd);
	close(disk);
	child_fork(&c, pause_for_ever, NULL);
	child_kill(&c);
}
END_TEST

START_TEST(leaks_process)
{
	struct child c;

	child_fork(&c, pause_for_ever, NULL);
	step_await(c.socket);
	child_drop(&c);
}
END_TEST

START_TEST(leaks_stopped_process)
{
	struct child c;

	child_fork(&c, pause_for_ever, NULL);
	step_await(c.socket);
	child_stop(&c);
	child_drop(&c);
}
END_TEST

START_TEST(leaks_zombie)
{
	struct child c;

	child_fork(&c, pause_for_ever, NULL);
	child_kill_unreaped(&c);
	child_drop(&c);
}
END_TEST

/* Has a helper of its own, and ends. */
static int leave_tied(int socket, void *arg)
{
	struct child c;

	child_fork(&c, pause_for_ever, arg);
	step_await(c.socket);
	step_tell(socket);
	return 0;
}

/* The same without the tie: the room inherits it. */
static int leave_untied(int socket, void *arg)
{
	pid_t pid = fork();

	if (pid == 0)
		pause_for_ever(socket, arg);
	return 0;
}

START_TEST(leaks_orphan)
{
	struct child c;

	child_fork(&c, leave_untied, NULL);
	step_await(c.socket);
	child_end(&c);
}
END_TEST

START_TEST(helper_dies_with_its_parent)
{
	struct child c;

	child_fork(&c, leave_tied, NULL);
	step_await(c.socket);
	child_end(&c);
	/* The helper's helper gets SIGKILL at once; what is left is its body. */
	ck_assert_int_gt(waitpid(-1, NULL, 0), 0);
}
END_TEST

START_TEST(leaks_descriptor)
{
	ck_assert_int_ge(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
}
END_TEST

static void map_shared(int fd)
{
	void *address = mmap(NULL, 65536, PROT_READ, MAP_SHARED, fd, 0);

	ck_assert_ptr_ne(address, MAP_FAILED);
}

START_TEST(leaks_mapping_of_file)
{
	int fd = open(room_path("ring"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	map_shared(fd);
	close(fd);
}
END_TEST

START_TEST(leaks_mapping_of_memory_file)
{
	int fd = memfd_create("leak", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	map_shared(fd);
	close(fd);
}
END_TEST

START_TEST(leaks_guard)
{
	void *address = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(address, MAP_FAILED);
	ck_assert_msg(!room_is_sanitized(), "no leaked mapping is found with a sanitizer");
}
END_TEST

START_TEST(leaks_file)
{
	int fd;

	ck_assert_int_eq(chdir(room_directory()), 0);
	fd = open("leak", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

/* A lock far behind the end of the file, held by a mapping alone. */
START_TEST(leaks_lock)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = (off_t)1 << 61, .l_len = 1 };
	int fd = open(room_path("ring"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
	map_shared(fd);
	close(fd);
}
END_TEST

START_TEST(fails_by_itself)
{
	ck_abort_msg("on purpose");
}
END_TEST

static int fail_on_purpose(int socket, void *arg)
{
	(void)socket;
	(void)arg;
	ck_abort_msg("on purpose, in the helper");
	return 0;
}

START_TEST(fails_in_helper)
{
	struct child c;

	child_fork(&c, fail_on_purpose, NULL);
	child_end(&c);
}
END_TEST

START_TEST(fails_in_helper_before_it_is_killed)
{
	siginfo_t info;
	struct child c;

	child_fork(&c, fail_on_purpose, NULL);
	ck_assert_int_eq(waitid(P_PID, (id_t)c.pid, &info, WEXITED | WNOWAIT), 0);
	child_kill(&c);
}
END_TEST

static int assert_for_ever(int socket, void *arg)
{
	(void)arg;
	step_tell(socket);
	for (;;)
		ck_assert_int_eq(socket, socket);
}

/* Killed in the midst of an assertion: the results of the test stay sound. */
START_TEST(survives_helpers_killed_at_any_time)
{
	struct child c;

	for (int round = 0; round < 200; round++) {
		child_fork(&c, assert_for_ever, NULL);
		step_await(c.socket);
		child_kill(&c);
	}
}
END_TEST

START_TEST(skips)
{
	room_skip("on purpose, %d", 1);
}
END_TEST

struct expectation {
	const TTest *test;
	const char *message; /* part of the failure; NULL: it passes */
};

/* Run one test in a room and look at what came of it. */
static int meets(const struct expectation *e)
{
	Suite *s = suite_create("inner");
	SRunner *runner = srunner_create(s);
	TestResult **results;
	int good;

	tcase_add_test(room_case(s, "inner", 10), e->test);
	srunner_set_fork_status(runner, CK_FORK);
	srunner_run_all(runner, CK_SILENT);
	results = srunner_results(runner);
	if (e->message)
		good = tr_rtype(results[0]) == CK_FAILURE &&
		       strstr(tr_msg(results[0]), e->message) != NULL;
	else
		good = tr_rtype(results[0]) == CK_PASS;
	if (!good)
		printf("# expected \"%s\", found \"%s\"\n", e->message ? e->message : "",
		       tr_msg(results[0]));
	free(results);
	srunner_free(runner);
	return good;
}

int main(void)
{
	const struct expectation expectations[] = {
		{ leaks_nothing, NULL },
		{ helper_dies_with_its_parent, NULL },
		{ skips, NULL },
		{ leaks_process, "alive" },
		{ leaks_stopped_process, "alive" },
		{ leaks_zombie, "not waited for" },
		{ leaks_orphan, "leaked process" },
		{ leaks_descriptor, "leaked descriptor" },
		{ leaks_mapping_of_file, "leaked mapping" },
		{ leaks_mapping_of_memory_file, "memfd:leak" },
		{ leaks_guard, "leaked mapping" },
		{ leaks_file, "leaked file" },
		{ leaks_lock, "leaked lock" },
		{ fails_by_itself, "on purpose" },
		{ fails_in_helper, "in the helper" },
		{ fails_in_helper_before_it_is_killed, "in the helper" },
		{ survives_helpers_killed_at_any_time, NULL },
	};
	unsigned count = sizeof(expectations) / sizeof(*expectations);
	unsigned bad = 0;
	int good;

	rooms_open();
	printf("1..%u\n", count);
	for (unsigned i = 0; i < count; i++) {
		fflush(stdout);
		good = meets(&expectations[i]);
		bad += !good;
		printf("%s %u - room: %s\n", good ? "ok" : "not ok", i + 1,
		       expectations[i].test->name);
	}
	bad += strcmp(rooms_skipped(2), "on purpose, 1") != 0;
	rooms_close();
	return bad ? 1 : 0;
}
