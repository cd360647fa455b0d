/* SPDX-License-Identifier: MIT */
/*
 * What several users together may take of the broker: its descriptors, its log.
 */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "raw.h"
#include "room.h"
#include "runner.h"
#include "server.h"

enum { USERS = 10, FIRST_USER = 20001, DESCRIPTORS = 600, CONNECTIONS = 64 };

#define must_say(words) ck_assert_msg(strstr(raw_words, words) != NULL, "it says: %s", raw_words)

static const char all_may_all[] =
	"rules = ( { who = \"*\"; rings = \"*\"; allow = [ \"all\" ]; } );\n"
	"limits = ( { who = \"*\"; rings = 1000; descriptors = 5000; } );\n";

static void need_root(void)
{
	if (geteuid() != 0)
		room_skip("needs root, to become another user");
}

static void start_with(struct server *b, const char *config)
{
	const char *extra[] = { "--config", server_config(config), NULL };

	server_start(b, extra);
}

static void become_user(uid_t uid)
{
	ck_assert_int_eq(setgroups(0, NULL), 0);
	ck_assert_int_eq(setresgid(uid, uid, uid), 0);
	ck_assert_int_eq(setresuid(uid, uid, uid), 0);
}

struct greedy {
	const char *socket;
	uid_t uid;
};

static int greet(const char *socket, int *ret)
{
	struct proto_message m = { .u.hello = { .version_min = PROTO_VERSION,
						.version_max = PROTO_VERSION } };

	*ret = raw_connect(socket);
	return raw_call(*ret, &m, PROTO_HELLO, PROTO_WELCOME, NULL);
}

/* Opens as many connections as it gets, and keeps them until the test ends it. */
static int take_all(int socket, void *arg)
{
	const struct greedy *g = arg;
	int s[CONNECTIONS + 1], e = 0;
	unsigned n = 0;

	become_user(g->uid);
	for (; e == 0; n += e == 0) {
		ck_assert_uint_lt(n, CONNECTIONS);
		e = greet(g->socket, &s[n]);
	}
	ck_assert_int_eq(e, -EDQUOT);
	must_say("of the broker's descriptors");
	must_say("descriptor_share");
	ck_assert_uint_ge(n, 3);
	step_tell(socket);
	step_await(socket);
	return 0;
}

static int take_some(int socket, void *arg)
{
	const struct greedy *g = arg;
	uint64_t ring;
	int s;

	(void)socket;
	become_user(g->uid);
	s = raw_hello(g->socket);
	ck_assert_int_eq(raw_make(s, "ring", &ring), 0);
	ck_assert_int_eq(raw_attach(s, ring, PROTO_PRODUCE, NULL, NULL), 0);
	close(s);
	return 0;
}

START_TEST(ten_users_leave_some_for_the_next)
{
	const struct rlimit limit = { DESCRIPTORS, DESCRIPTORS };
	struct child c[USERS], last;
	struct greedy g;
	struct server b;

	need_root();
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	start_with(&b, all_may_all);
	server_ring("ring");
	g.socket = b.socket;
	for (unsigned i = 0; i < USERS; i++) {
		g.uid = FIRST_USER + i;
		child_fork(&c[i], take_all, &g);
		step_await(c[i].socket);
	}
	g.uid = FIRST_USER + USERS;
	child_fork(&last, take_some, &g);
	child_end(&last);
	for (unsigned i = 0; i < USERS; i++) {
		step_tell(c[i].socket);
		child_end(&c[i]);
	}
	server_stop(&b);
}
END_TEST

/* Rings count, too; with another share. */
START_TEST(rings_count_for_the_share)
{
	const struct rlimit limit = { DESCRIPTORS, DESCRIPTORS };
	char name[16];
	struct server b;
	int s, e = 0;
	unsigned n = 0;

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	start_with(&b, "rules = ( { who = \"*\"; rings = \"*\"; allow = [ \"all\" ]; } );\n"
		       "descriptor_share = 2;\n");
	s = raw_hello(b.socket);
	for (; e == 0 && n < 20; n += e == 0) {
		snprintf(name, sizeof(name), "ring-%u", n);
		server_ring(name);
		e = raw_make(s, name, NULL);
	}
	ck_assert_int_eq(e, -EDQUOT);
	must_say("2% of the free ones");
	ck_assert_uint_eq(
		n, 7); /* of 10, which is 2% of 600 - 40 - 10 rounded down; 3 are the connection */
	ck_assert_int_eq(raw_remove(s, "ring-3"), 0);
	close(s);
	server_stop(&b);
}
END_TEST

static unsigned count_lines(const struct server *b, const char *words)
{
	unsigned n = 0;
	char line[64];

	for (unsigned i = 0; i < 2000; i++) {
		snprintf(line, sizeof(line), "ring=ring-%u %s", i, words);
		n += server_said(b, line);
	}
	return n;
}

START_TEST(loop_of_one_user_does_not_flood_the_log)
{
	struct server b;
	char name[16];
	int s;

	server_start(&b, NULL);
	for (unsigned i = 0; i < 200; i++) {
		/* A new connection each time does not get more lines. */
		s = raw_hello(b.socket);
		snprintf(name, sizeof(name), "ring-%u", i);
		ck_assert_int_eq(raw_make(s, name, NULL), 0);
		ck_assert_int_eq(raw_remove(s, name), 0);
		close(s);
	}
	ck_assert_uint_le(count_lines(&b, "created"), 30);
	ck_assert_uint_ge(count_lines(&b, "created"), 10);
	server_await_words(&b, "further lines about this user were left out");
	server_stop(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("shares");
	TCase *tc = room_case(s, "shares", 60);

	tcase_add_test(tc, ten_users_leave_some_for_the_next);
	tcase_add_test(tc, rings_count_for_the_share);
	tcase_add_test(tc, loop_of_one_user_does_not_flood_the_log);
	return run_suite(s);
}
