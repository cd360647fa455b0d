/* SPDX-License-Identifier: MIT */
/*
 * The rights and limits of users: rules, quotas, groups, and a configuration that
 * changes meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "raw.h"
#include "room.h"
#include "runner.h"
#include "server.h"

enum { NOBODY = 65534, OTHER = 12345, GROUP = 23456 };

#define must_say(words) ck_assert_msg(strstr(raw_words, words) != NULL, "it says: %s", raw_words)
#define must_not_say(words) ck_assert_msg(!strstr(raw_words, words), "it says: %s", raw_words)

static void need_root(void)
{
	if (geteuid() != 0)
		room_skip("needs root, to become another user");
}

/* Start a broker with this configuration. */
static void start_with(struct server *b, const char *config)
{
	const char *extra[] = { "--config", server_config(config), NULL };

	server_start(b, extra);
}

/* What another user does; returns in the helper. */
struct other_user {
	const char *socket;
	uid_t uid;
	gid_t group; /* a further one; 0: none */
	void (*act)(int s);
};

static int act_as_other_user(int socket, void *arg)
{
	const struct other_user *who = arg;
	gid_t groups[1] = { who->group };
	int s;

	(void)socket;
	ck_assert_int_eq(setgroups(who->group != 0, groups), 0);
	ck_assert_int_eq(setresgid(who->uid, who->uid, who->uid), 0);
	ck_assert_int_eq(setresuid(who->uid, who->uid, who->uid), 0);
	s = raw_hello(who->socket);
	who->act(s);
	close(s);
	return 0;
}

static void as(const struct server *b, uid_t uid, gid_t group, void (*act)(int s))
{
	struct other_user who = { b->socket, uid, group, act };
	struct child c;

	child_fork(&c, act_as_other_user, &who);
	child_end(&c);
}

/* --- rules --- */

static void finds_nothing(int s)
{
	struct proto_entry entry;
	char *text;

	ck_assert_int_eq(raw_make(s, "mine", NULL), -EACCES);
	must_say("user 65534 may not create it");
	must_say("serves its own user only");
	must_not_say("mine"); /* the library puts the name before the sentence */
	ck_assert_int_eq(raw_open(s, "ring", 0, NULL), -EACCES);
	ck_assert_int_eq(raw_open(s, "no-ring", 0, NULL), -EACCES);
	ck_assert_int_eq(raw_next(s, "", &entry), -ENOENT);
	ck_assert_int_eq(raw_remove(s, "ring"), -EACCES);
	ck_assert_int_eq(raw_metrics(s, &text), -EACCES);
}

START_TEST(without_a_configuration_other_users_get_nothing)
{
	struct server b;
	int s;

	need_root();
	server_start(&b, NULL);
	server_ring("ring");
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "ring", NULL), 0);
	as(&b, NOBODY, 0, finds_nothing);
	close(s);
	server_stop(&b);
}
END_TEST

static const char by_roles[] =
	"rules = (\n"
	"  { who = \"65534\"; rings = \"in.*\"; allow = [ \"produce\" ]; },\n"
	"  { who = \"65534\"; rings = \"out.?\"; allow = [ \"consume\" ]; },\n"
	"  { who = \"65534\"; rings = \"see\"; allow = [ \"observe\" ]; },\n"
	"  { who = \"@23456\"; rings = \"g.*\"; allow = [ \"create\", "
	"\"remove\", \"observe\" ]; },\n"
	"  { who = \"*\"; rings = \"in.*\"; allow = [ ]; }\n"
	");\n"
	"metrics = [ \"12345\" ];\n";

static void attach_must_be(int s, const char *name, uint32_t role)
{
	static const uint32_t roles[] = { PROTO_PRODUCE, PROTO_CONSUME, PROTO_OBSERVE };
	uint64_t ring;

	ck_assert_int_eq(raw_open(s, name, 0, &ring), 0);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(raw_attach(s, ring, roles[i], NULL, NULL),
				 roles[i] == role ? 0 : -EACCES);
	must_say("shmringd.conf, line ");
}

/* An observer cannot get at a writable description, not even through /proc. */
static void reopen_must_fail(int s)
{
	char path[64];
	uint64_t ring;
	int fd;

	ck_assert_int_eq(raw_open(s, "see", 0, &ring), 0);
	ck_assert_int_eq(raw_attach(s, ring, PROTO_OBSERVE, NULL, &fd), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ck_assert_int_lt(open(path, O_RDWR | O_CLOEXEC), 0);
	ck_assert_int_eq(errno, EACCES);
	close(fd);
}

static void has_roles(int s)
{
	struct proto_entry entry;

	attach_must_be(s, "in.1", PROTO_PRODUCE);
	must_say("line 2");
	attach_must_be(s, "out.1", PROTO_CONSUME);
	must_say("line 3");
	attach_must_be(s, "see", PROTO_OBSERVE);
	must_say("line 4");
	reopen_must_fail(s);
	ck_assert_int_eq(raw_make(s, "in.2", NULL), -EACCES);
	must_say("may not create it: the rule in ");
	must_say("line 2");
	ck_assert_int_eq(raw_open(s, "out.12", 0, NULL), -EACCES);
	must_say("no rule in ");
	ck_assert_int_eq(raw_remove(s, "see"), -EACCES);
	must_say("may not remove it");
	ck_assert_int_eq(raw_next(s, "", &entry), 0);
	ck_assert_str_eq(entry.name, "in.1");
	ck_assert_uint_eq(entry.rights, PROTO_PRODUCE);
	ck_assert_int_eq(raw_next(s, "see", &entry), -ENOENT);
}

static void is_in_group(int s)
{
	uint64_t ring;
	char *text;

	ck_assert_int_eq(raw_make(s, "g.1", &ring), 0);
	ck_assert_int_eq(raw_attach(s, ring, PROTO_PRODUCE, NULL, NULL), -EACCES);
	must_say("line 5");
	ck_assert_int_eq(raw_open(s, "in.1", 0, NULL), -EACCES);
	must_say("line 6");
	ck_assert_int_eq(raw_metrics(s, &text), 0);
	ck_assert_ptr_null(strstr(text, "shmringd_refusals_total 0\n"));
	ck_assert_ptr_nonnull(
		strstr(text, "shmringd_ring_size_bytes{ring=\"g.1\",owner=\"12345\"}"));
	free(text);
	ck_assert_int_eq(raw_remove(s, "g.1"), 0);
}

static void is_in_no_group(int s)
{
	ck_assert_int_eq(raw_make(s, "g.2", NULL), -EACCES);
	must_say("no rule in ");
}

START_TEST(first_matching_rule_decides)
{
	static const char *const names[] = { "in.1", "out.1", "out.12", "see", "secret" };
	struct server b;
	int s;

	need_root();
	start_with(&b, by_roles);
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "in.9", NULL), -EACCES);
	must_say("line 6");
	server_config("");
	server_signal(&b, SIGHUP);
	server_await(&b, "READY=1");
	for (unsigned i = 0; i < 5; i++) {
		server_ring(names[i]);
		ck_assert_int_eq(raw_make(s, names[i], NULL), 0);
	}
	server_config(by_roles);
	server_signal(&b, SIGHUP);
	server_await(&b, "READY=1");
	as(&b, NOBODY, 0, has_roles);
	as(&b, OTHER, GROUP, is_in_group);
	as(&b, OTHER, 0, is_in_no_group);
	close(s);
	server_stop(&b);
}
END_TEST

/* The first client makes the ring, and owns it. */
START_TEST(rings_are_made_on_demand)
{
	struct proto_entry entry;
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct shmring_ring *r;
	struct server b;
	int s;

	start_with(&b, "rules = ( { who = \"*\"; rings = \"on.*\"; allow = [ \"create\", "
		       "\"consume\" ];\n"
		       "  make = { lanes = 3; lane_size = \"64 KiB\"; stamps = \"auto\"; }; } );\n"
		       "limits = ( { who = \"*\"; rings = 1; } );\n");
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_open(s, "off", 0, NULL), -ENOENT);
	ck_assert_int_eq(raw_open(s, "on.demand", 0, NULL), 0);
	ck_assert_int_eq(raw_open(s, "on.demand", 0, NULL), 0);
	ck_assert_int_eq(raw_next(s, "", &entry), 0);
	ck_assert_str_eq(entry.name, "on.demand");
	ck_assert_uint_eq(entry.owner, geteuid());
	must(shmring_open(&r, server_ring("on.demand")));
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.lanes, 3);
	ck_assert_uint_eq(st.lane_size, 65536);
	ck_assert_uint_ne(shmring_stamp_now(r), 0);
	shmring_close(r);
	ck_assert_int_eq(raw_open(s, "on.again", 0, NULL), -EDQUOT);
	must_say("has 1 of 1 rings");
	close(s);
	server_stop(&b);
}
END_TEST

/* --- limits --- */

static const char limits[] = "limits = (\n"
			     "  { who = \"*\"; connections = 3; rings = 2; bytes = \"4 MiB\";\n"
			     "    attachments = 2; descriptors = 4; }\n"
			     ");\n";

START_TEST(rings_are_limited)
{
	struct server b;
	int s;

	start_with(&b, limits);
	s = raw_hello(b.socket);
	for (const char *name = "abc"; *name != '\0'; name++) {
		char text[2] = { *name, '\0' };

		server_ring(text);
		ck_assert_int_eq(raw_make(s, text, NULL), *name == 'c' ? -EDQUOT : 0);
	}
	must_say("asks for 1 more and has 2 of 2 rings: the limit in ");
	must_say("line 2");
	ck_assert_int_eq(raw_remove(s, "a"), 0);
	ck_assert_int_eq(raw_make(s, "c", NULL), -EDQUOT); /* the connection still has it open */
	close(s);
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "c", NULL), 0);
	close(s);
	server_stop(&b);
}
END_TEST

START_TEST(bytes_are_limited_exactly)
{
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct shmring_ring *r;
	struct server b;
	char config[200];
	int s;

	start_with(&b, "");
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "a", NULL), 0);
	must(shmring_open(&r, server_ring("a")));
	must(shmring_stat(r, &st));
	shmring_close(r);
	for (int missing = 1; missing >= 0; missing--) {
		snprintf(config, sizeof(config), "limits = ( { who = \"*\"; bytes = %lluL; } );",
			 2ULL * st.file_size - (unsigned)missing);
		server_config(config);
		server_signal(&b, SIGHUP);
		server_await(&b, "READY=1");
		server_ring("b");
		ck_assert_int_eq(raw_make(s, "b", NULL), missing ? -EDQUOT : 0);
	}
	snprintf(config, sizeof(config),
		 "asks for %llu more and has %llu of %llu bytes: the limit in ",
		 (unsigned long long)st.file_size, 2ULL * st.file_size, 2ULL * st.file_size);
	ck_assert_int_eq(raw_make(s, "c", NULL), -EDQUOT);
	must_say(config);
	close(s);
	server_stop(&b);
}
END_TEST

START_TEST(attachments_and_descriptors_are_limited)
{
	uint64_t ring[2], grant;
	struct server b;
	int s, t;

	start_with(&b, limits);
	s = raw_hello(b.socket);
	server_ring("a");
	server_ring("b");
	ck_assert_int_eq(raw_make(s, "a", &ring[0]), 0);
	ck_assert_int_eq(raw_make(s, "b", &ring[1]), 0);
	ck_assert_int_eq(raw_attach(s, ring[0], PROTO_CONSUME, NULL, NULL), 0);
	ck_assert_int_eq(raw_attach(s, ring[1], PROTO_CONSUME, &grant, NULL), 0);
	ck_assert_int_eq(raw_attach(s, ring[1], PROTO_CONSUME, NULL, NULL), -EDQUOT);
	must_say("has 2 of 2 attachments");
	raw_detach(s, grant);
	ck_assert_int_eq(raw_attach(s, ring[1], PROTO_CONSUME, NULL, NULL), 0);
	close(s);
	/* All is given back with the connection. What remains counts for the user. */
	s = raw_hello(b.socket);
	t = raw_hello(b.socket);
	ck_assert_int_eq(raw_open(s, "a", 0, NULL), 0);
	ck_assert_int_eq(raw_open(s, "b", 0, NULL), 0);
	ck_assert_int_eq(raw_open(t, "a", 0, &ring[0]), 0);
	ck_assert_int_eq(raw_attach(t, ring[0], PROTO_OBSERVE, NULL, NULL), 0);
	ck_assert_int_eq(raw_attach(t, ring[0], PROTO_OBSERVE, NULL, NULL), -EDQUOT);
	must_say("has 4 of 4 descriptors");
	ck_assert_int_eq(raw_open(t, "b", 0, NULL), -EDQUOT);
	ck_assert_int_eq(raw_open(t, "a", 0, NULL), 0); /* it is open */
	close(s);
	close(t);
	server_stop(&b);
}
END_TEST

/* A refused request makes no ring, neither by OPEN with the flag nor on demand. */
START_TEST(ring_is_not_made_if_the_client_may_not_open_it)
{
	struct proto_entry entry;
	struct server b;
	int s;

	start_with(&b, "rules = ( { who = \"*\"; rings = \"*\"; allow = [ \"all\" ];\n"
		       "  make = { }; } );\n"
		       "limits = ( { who = \"*\"; descriptors = 1; } );\n");
	s = raw_hello(b.socket);
	server_ring("a");
	ck_assert_int_eq(raw_make(s, "a", NULL), 0);
	ck_assert_int_eq(raw_make(s, "b", NULL), -EDQUOT);
	must_say("has 1 of 1 descriptors");
	ck_assert_int_eq(raw_open(s, "c", 0, NULL), -EDQUOT);
	ck_assert_int_eq(raw_next(s, "a", &entry), -ENOENT);
	close(s);
	server_stop(&b);
}
END_TEST

/* A client that has shut down its reading side is refused the second half of its request. */
START_TEST(refusal_to_a_client_that_reads_nothing_harms_no_other_client)
{
	struct proto_message m = { .u.attach.role = PROTO_CONSUME };
	struct server b;
	uint64_t grant;
	int s, t;

	start_with(&b, "limits = ( { who = \"*\"; attachments = 1; descriptors = 2; } );");
	s = raw_hello(b.socket);
	server_ring("a");
	ck_assert_int_eq(raw_make(s, "a", NULL), 0);
	t = raw_hello(b.socket);
	ck_assert_int_eq(raw_open(t, "a", 0, &m.u.attach.ring), 0);
	ck_assert_int_eq(shutdown(t, SHUT_RD), 0);
	raw_send(t, &m, PROTO_ATTACH);
	ck_assert_int_eq(raw_remove(s, "a"), 0); /* the broker lives */
	close(t);
	close(s);
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "a", &m.u.attach.ring), 0);
	ck_assert_int_eq(raw_attach(s, m.u.attach.ring, PROTO_CONSUME, &grant, NULL), 0);
	close(s);
	server_stop(&b);
}
END_TEST

START_TEST(connections_are_limited)
{
	struct proto_message m = { .u.hello = { 1, 1, 0 } };
	struct server b;
	int s[3], t;

	start_with(&b, limits);
	for (int i = 0; i < 3; i++)
		s[i] = raw_hello(b.socket);
	t = raw_connect(b.socket);
	ck_assert_int_eq(raw_call(t, &m, PROTO_HELLO, PROTO_WELCOME, NULL), -EDQUOT);
	must_say("has 3 of 3 connections: the limit in ");
	raw_must_end(t);
	close(s[1]);
	s[1] = raw_hello(b.socket);
	/* The broker sees the end before it looks at the next one, whatever came first. */
	child_stop(&b.child);
	t = raw_connect(b.socket);
	close(s[0]);
	child_continue(&b.child);
	m = (struct proto_message){ .u.hello = { 1, 1, 0 } };
	ck_assert_int_eq(raw_call(t, &m, PROTO_HELLO, PROTO_WELCOME, NULL), 0);
	s[0] = t;
	ck_assert_int_eq(raw_open(s[2], "none", 0, NULL), -ENOENT);
	for (int i = 0; i < 3; i++)
		close(s[i]);
	server_stop(&b);
}
END_TEST

/* --- a configuration that changes --- */

START_TEST(configuration_changes_at_once_or_not_at_all)
{
	struct server b;
	int s;

	start_with(&b, "rings = ( { name = \"first\"; lanes = 1; lane_size = \"64 KiB\"; } );");
	server_ring("first");
	server_ring("second");
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_open(s, "first", 0, NULL), 0);
	server_config("rules = ( { who = \"*\"; rings = \"*\"; allow = [ \"observe\" ]; } );\n"
		      "rings = (\n"
		      "  { name = \"second\"; lanes = 1; lane_size = \"63 KiB\"; }\n"
		      ");\n");
	server_signal(&b, SIGHUP);
	server_await(&b, "READY=1");
	ck_assert(server_said(&b, "shmringd.conf:3: "));
	ck_assert(server_said(&b, "stays as it was"));
	ck_assert_int_eq(raw_make(s, "third", NULL), 0);
	server_ring("third");
	ck_assert_int_eq(raw_open(s, "second", 0, NULL), -ENOENT);
	server_config("rules = ( { who = \"*\"; rings = \"*\"; allow = [ \"observe\" ]; } );\n"
		      "rings = (\n"
		      "  { name = \"second\"; lanes = 1; lane_size = \"64 KiB\"; }\n"
		      ");\n");
	server_signal(&b, SIGHUP);
	server_await(&b, "READY=1");
	ck_assert_int_eq(raw_open(s, "second", 0, NULL), 0);
	ck_assert_int_eq(raw_open(s, "first", 0, NULL), 0); /* nobody takes it away */
	ck_assert_int_eq(raw_make(s, "fourth", NULL), -EACCES);
	must_say("line 1");
	close(s);
	server_stop(&b);
}
END_TEST

START_TEST(broker_does_not_start_with_a_wrong_configuration)
{
	const char *extra[] = { "--config", server_config("rules = (\n\n{ who = 3; }\n);"), NULL };
	struct server b;

	server_begin(&b, extra, -1);
	server_await_words(&b, "shmringd.conf:3: ");
	server_must_fail(&b, 1);
}
END_TEST

START_TEST(check_config_finds_a_syntax_error)
{
	const char *extra[] = { "--check-config", room_path("shmringd.conf"), NULL };
	struct server b;

	server_config("metrics = [ \"*\" ];\nrules = ( );\n");
	server_begin(&b, extra, -1);
	server_await_words(&b, "shmringd.conf: rules=0 limits=0 rings=0");
	server_must_fail(&b, 0);
	server_config("metrics = [ \"*\" ];\nrules = (\n");
	server_begin(&b, extra, -1);
	server_await_words(&b, "shmringd.conf:3: syntax error");
	server_must_fail(&b, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rights");
	TCase *tc = room_case(s, "rights", 30);

	tcase_add_test(tc, without_a_configuration_other_users_get_nothing);
	tcase_add_test(tc, first_matching_rule_decides);
	tcase_add_test(tc, rings_are_made_on_demand);
	tcase_add_test(tc, rings_are_limited);
	tcase_add_test(tc, bytes_are_limited_exactly);
	tcase_add_test(tc, attachments_and_descriptors_are_limited);
	tcase_add_test(tc, ring_is_not_made_if_the_client_may_not_open_it);
	tcase_add_test(tc, refusal_to_a_client_that_reads_nothing_harms_no_other_client);
	tcase_add_test(tc, connections_are_limited);
	tcase_add_test(tc, configuration_changes_at_once_or_not_at_all);
	tcase_add_test(tc, broker_does_not_start_with_a_wrong_configuration);
	tcase_add_test(tc, check_config_finds_a_syntax_error);
	return run_suite(s);
}
