/* SPDX-License-Identifier: MIT */
/*
 * A limit of processes (RLIMIT_NPROC): the broker starts, or ends with a sentence.
 */
#include <grp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <check.h>

#include "child.h"
#include "raw.h"
#include "room.h"
#include "runner.h"
#include "server.h"

/* The limit counts this helper, the broker, and its five threads. */
enum { USER = 20101, LEAST = 2, ENOUGH = 7, MOST = 9 };

static void start_within(unsigned limit)
{
	const struct rlimit most = { limit, MOST };
	struct server b;
	int s;

	ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &most), 0);
	server_begin(&b, NULL, -1);
	if (limit < ENOUGH) {
		server_await_words(&b, "raise the limit of processes");
		server_must_fail(&b, 1);
		return;
	}
	server_await(&b, "READY=1");
	s = raw_hello(b.socket);
	for (unsigned i = 0; i < 10; i++) {
		ck_assert_int_eq(raw_make(s, "ring", NULL), 0);
		ck_assert_int_eq(raw_remove(s, "ring"), 0); /* what liburcu frees */
	}
	close(s);
	server_stop(&b);
}

static int be_user(int socket, void *arg)
{
	(void)socket;
	(void)arg;
	ck_assert_int_eq(setgroups(0, NULL), 0);
	ck_assert_int_eq(setresgid(USER, USER, USER), 0);
	ck_assert_int_eq(setresuid(USER, USER, USER), 0);
	for (unsigned limit = LEAST; limit <= MOST; limit++)
		start_within(limit);
	return 0;
}

START_TEST(broker_starts_or_says_why_not)
{
	struct child c;

	if (geteuid() != 0)
		room_skip("needs root: the limit does not hold for everybody");
	if (room_is_sanitized())
		room_skip("a sanitizer has threads of its own");
	ck_assert_int_eq(chown(room_directory(), USER, USER), 0);
	child_fork(&c, be_user, NULL);
	child_end(&c);
	/* What the helper's brokers leave, as server.c names it. */
	room_path("rings");
	room_path("broker.lock");
	room_path("notify-0");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("process-limit");
	TCase *tc = room_case(s, "process-limit", 60);

	tcase_add_test(tc, broker_starts_or_says_why_not);
	return run_suite(s);
}
