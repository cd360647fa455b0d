/* SPDX-License-Identifier: MIT */
/*
 * The broker's configuration: what is read from a file, and which line is blamed for
 * what is wrong in it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "config.h"
#include "room.h"
#include "runner.h"

enum { OWN = 4242 };

static char error[512];

static int load(const char *text, struct policy **ret)
{
	const char *path = room_path("conf");
	FILE *f = fopen(path, "we");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	error[0] = '\0';
	return config_load(ret, path, OWN, error, sizeof(error));
}

START_TEST(every_setting_is_read)
{
	const struct rule *rule;
	const struct ring_wish *ring;
	struct policy *p;

	ck_assert_int_eq(
		load("# a comment\n"
		     "rules = (\n"
		     "  { who = \"root\"; rings = \"a*\"; allow = [ \"all\" ]; },\n"
		     "  { who = \"@root\"; rings = \"b\"; allow = [ \"create\", \"remove\" ]; },\n"
		     "\n"
		     "  { who = \"*\"; rings = \"*\"; allow = ( \"consume\" ); }\n"
		     ");\n"
		     "limits = (\n"
		     "  { who = \"77\"; rings = 0; bytes = \"3 GiB\"; descriptors = 0x10; }\n"
		     ");\n"
		     "rings = (\n"
		     "  { name = \"log\"; owner = \"root\"; persistent = true; lanes = 4;\n"
		     "    lane_size = \"1 MiB\"; alignment = 64; slow = \"evict\";\n"
		     "    unread = \"hold\"; evict_after_ms = 20; max_sleep_ms = 30;\n"
		     "    wake = \"fence\"; },\n"
		     "  { name = \"plain\"; }\n"
		     ");\n"
		     "metrics = [ \"@77\" ];\n",
		     &p),
		0);
	ck_assert_uint_eq(p->rule_count, 3);
	rule = p->rules;
	ck_assert(rule->who.kind == WHO_USER && rule->who.id == 0 && rule->line == 3);
	ck_assert_str_eq(rule->pattern, "a*");
	ck_assert_uint_eq(rule->rights, PROTO_RIGHTS);
	ck_assert(rule[1].who.kind == WHO_GROUP && rule[1].who.id == 0 && rule[1].line == 4);
	ck_assert_uint_eq(rule[1].rights, PROTO_CREATE | PROTO_REMOVE_RIGHT);
	ck_assert(rule[2].who.kind == WHO_ALL && rule[2].line == 6);
	ck_assert_uint_eq(p->limit_count, 1);
	ck_assert_uint_eq(p->limits[0].limits.most[QUOTA_RINGS], 0);
	ck_assert_uint_eq(p->limits[0].limits.most[QUOTA_BYTES], UINT64_C(3) << 30);
	ck_assert_uint_eq(p->limits[0].limits.most[QUOTA_DESCRIPTORS], 16);
	ck_assert_uint_eq(p->limits[0].limits.most[QUOTA_CONNECTIONS],
			  quota_defaults.most[QUOTA_CONNECTIONS]);
	ck_assert_uint_eq(p->ring_count, 2);
	ring = p->rings;
	ck_assert_str_eq(ring->name, "log");
	ck_assert(ring->owner == 0 && ring->persistent && ring->line == 12);
	ck_assert_uint_eq(ring->config.lanes, 4);
	ck_assert_uint_eq(ring->config.lane_size, 1 << 20);
	ck_assert_uint_eq(ring->config.alignment, 64);
	ck_assert_uint_eq(ring->config.slow_policy, SHMRING_SLOW_EVICT);
	ck_assert_uint_eq(ring->config.unread_policy, SHMRING_UNREAD_HOLD);
	ck_assert_uint_eq(ring->config.evict_after_ns, 20000000);
	ck_assert_uint_eq(ring->config.max_sleep_ns, 30000000);
	ck_assert_uint_eq(ring->config.wake, SHMRING_WAKE_FENCE);
	ck_assert(ring[1].owner == OWN && !ring[1].persistent);
	ck_assert_uint_eq(p->metrics_count, 1);
	ck_assert(p->metrics[0].kind == WHO_GROUP && p->metrics[0].id == 77);
	policy_free(p);
}
END_TEST

/* A mistake, its line, and a word of the error sentence. */
static const struct {
	const char *text;
	unsigned line;
	const char *word;
} mistakes[] = {
	{ "rules = (\n\n};\n", 3, "syntax error" },
	{ "\nrulez = ();\n", 2, "no setting 'rulez'" },
	{ "rules = 3;\n", 1, "takes a list" },
	{ "rules = (\n 3\n);\n", 2, "is a list of groups" },
	{ "rules = (\n {\n who = \"*\"; }\n);\n", 2, "'rings' is missing" },
	{ "rules = ( { who = \"*\"; rings = \"*\";\n allow = \"produce\"; } );\n", 2,
	  "takes a list" },
	{ "rules = ( { who = \"*\"; rings = \"*\";\n allow = [ \"write\" ]; } );\n", 2,
	  "a right is" },
	{ "rules = ( { who = \"*\"; rings = \"*\";\n allow = [ 3 ]; } );\n", 2, "a right is" },
	{ "rules = ( { who = \"*\"; rings = 7; allow = []; } );\n", 1, "takes a string" },
	{ "rules = ( {\nwho = \"no such user\"; rings = \"*\"; allow = []; } );\n", 2, "no user" },
	{ "rules = ( {\nwho = \"@nogroupofthis\"; rings = \"*\"; allow = []; } );\n", 2,
	  "no group" },
	{ "rules = ( {\nwho = \"4294967295\"; rings = \"*\"; allow = []; } );\n", 2, "no user" },
	{ "rules = ( { who = \"*\"; rings = \"*\"; allow = [];\n deny = []; } );\n", 2, "'deny'" },
	{ "rules = ( { who = \"*\"; rings = \"*\"; allow = [ \"create\" ];\n make = true; } );\n",
	  2, "takes a shape" },
	{ "rules = ( { who = \"*\"; rings = \"*\"; allow = [ \"observe\" ];\n make = { }; } );\n",
	  2, "needs the right" },
	{ "rules = ( { who = \"*\"; rings = \"*\"; allow = [ \"create\" ];\n make = {\n size = 3; "
	  "}; } "
	  ");\n",
	  3, "'size'" },
	{ "rules = ( { who = \"*\"; rings = \"*\"; allow = [ \"create\" ];\n make = { lanes = 99; "
	  "}; } "
	  ");\n",
	  2, "lanes" },
	{ "limits = ( { who = \"*\";\n rings = -1; } );\n", 2, "a number from 0" },
	{ "limits = ( { who = \"*\";\n\n bytes = \"3 MB\"; } );\n", 3, "a number from 0" },
	{ "limits = ( { who = \"*\"; bytes = \"99999999 TiB\"; } );\n", 1, "a number from 0" },
	{ "limits = ( { who = \"*\"; bytes = 1.5; } );\n", 1, "a number from 0" },
	{ "limits = ( { who = \"*\"; memory = 5; } );\n", 1, "'memory'" },
	{ "limits = ( {\n rings = 5; } );\n", 1, "'who' is missing" },
	{ "rings = ( {\n name = \"a/b\"; } );\n", 2, "not the name of a ring" },
	{ "rings = ( {\n name = \"\"; } );\n", 2, "not the name of a ring" },
	{ "rings = (\n{ name = \"a\"; },\n{ name = \"a\"; } );\n", 3, "is already in line 2" },
	{ "rings = ( { name = \"a\";\n lanes = 65; } );\n", 1, "lanes" },
	{ "rings = ( { name = \"a\";\n lanes = \"many\"; } );\n", 2, "a number from 0" },
	{ "rings = ( { name = \"a\";\n lanes = 5000000000L; } );\n", 2, "is too large" },
	{ "rings = ( { name = \"a\"; slow = \"evict\";\n evict_lag = 4; } );\n", 2,
	  "at least 4096 bytes" },
	{ "rings = ( { name = \"a\";\n slow = \"kill\"; } );\n", 2, "\"block\" or \"evict\"" },
	{ "rings = ( { name = \"a\";\n persistent = 1; } );\n", 2, "true or false" },
	{ "rings = ( { name = \"a\";\n owner = \"no such user\"; } );\n", 2, "no user" },
	{ "metrics = (\n { } );\n", 2, "takes a string" },
	{ "metrics = \"*\";\n", 1, "takes a list" },
};

START_TEST(mistakes_are_found_in_their_line)
{
	struct policy *untouched = (struct policy *)(void *)error, *p = untouched;
	char where[64];

	ck_assert_int_eq(load(mistakes[_i].text, &p), -EINVAL);
	ck_assert_ptr_eq(p, untouched);
	snprintf(where, sizeof(where), "/conf:%u: ", mistakes[_i].line);
	ck_assert_msg(strstr(error, where) != NULL, "not in line %u: %s", mistakes[_i].line, error);
	ck_assert_msg(strstr(error, mistakes[_i].word) != NULL, "nothing of %s: %s",
		      mistakes[_i].word, error);
}
END_TEST

START_TEST(missing_file_is_reported)
{
	struct policy *p;

	ck_assert_int_eq(config_load(&p, "/nowhere/conf", OWN, error, sizeof(error)), -ENOENT);
	ck_assert_ptr_nonnull(strstr(error, "/nowhere/conf: cannot read it: No such file"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("config");
	TCase *tc = room_case(s, "config", 20);

	tcase_add_test(tc, every_setting_is_read);
	tcase_add_loop_test(tc, mistakes_are_found_in_their_line, 0,
			    sizeof(mistakes) / sizeof(mistakes[0]));
	tcase_add_test(tc, missing_file_is_reported);
	return run_suite(s);
}
