/* SPDX-License-Identifier: MIT */
/*
 * The broker's rules and quotas: which rule decides, and where a limit begins.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <check.h>

#include "policy.h"
#include "quota.h"
#include "room.h"
#include "runner.h"

enum { OWN = 100, USER = 200, OTHER = 300, GROUP = 400, FURTHER = 500 };

#define TEXT(literal) ((char *)(uintptr_t)(literal))

static struct rule rules[] = {
	{ .who = { WHO_USER, USER }, .pattern = TEXT("a*"), .rights = PROTO_PRODUCE, .line = 1 },
	{ .who = { WHO_GROUP, FURTHER }, .pattern = TEXT("*"), .rights = PROTO_OBSERVE, .line = 2 },
	{ .who = { WHO_ALL, 0 }, .pattern = TEXT("a[0-9]"), .rights = PROTO_CONSUME, .line = 3 },
	{ .who = { WHO_USER, OWN }, .pattern = TEXT("secret"), .rights = 0, .line = 4 },
};

static struct limit_rule limits[] = {
	{ { WHO_GROUP, GROUP }, { { 1, 1, 1, 1, 1 } }, 7 },
	{ { WHO_USER, USER }, { { 2, 2, 2, 2, 2 } }, 8 },
};

static struct who metrics[] = { { WHO_GROUP, FURTHER } };

static struct policy policy = {
	.file = TEXT("conf"),
	.own_uid = OWN,
	.rules = rules,
	.rule_count = 4,
	.limits = limits,
	.limit_count = 2,
	.metrics = metrics,
	.metrics_count = 1,
};

static gid_t further[] = { 1, FURTHER };

static void must_judge(const struct peer *peer, const char *name, uint32_t rights, unsigned line)
{
	struct verdict v = policy_judge(&policy, peer, name);

	ck_assert_uint_eq(v.rights, rights);
	ck_assert_uint_eq(v.line, line);
}

START_TEST(first_rule_decides)
{
	struct peer user = { .uid = USER, .gid = GROUP };
	struct peer grouped = { .uid = OTHER, .gid = GROUP, .groups = further, .group_count = 2 };
	struct peer primary = { .uid = OTHER, .gid = FURTHER };
	struct peer other = { .uid = OTHER, .gid = GROUP, .groups = further, .group_count = 1 };
	struct peer own = { .uid = OWN, .gid = GROUP };

	must_judge(&user, "a1", PROTO_PRODUCE, 1);
	must_judge(&user, "b1", 0, 0);
	must_judge(&grouped, "a1", PROTO_OBSERVE, 2);
	must_judge(&primary, "a1", PROTO_OBSERVE, 2);
	must_judge(&other, "a1", PROTO_CONSUME, 3);
	must_judge(&other, "ax", 0, 0);
	must_judge(&own, "a1", PROTO_CONSUME, 3);
	must_judge(&own, "ax", PROTO_RIGHTS, 0);
	must_judge(&own, "secret", 0, 4);
}
END_TEST

START_TEST(limits_and_metrics_are_chosen_alike)
{
	struct peer user = { .uid = USER, .gid = FURTHER };
	struct peer grouped = { .uid = USER, .gid = GROUP };
	struct peer other = { .uid = OTHER, .gid = OTHER };
	struct peer own = { .uid = OWN, .gid = OTHER };
	unsigned line;

	ck_assert_uint_eq(policy_limits(&policy, &user, &line)->most[0], 2);
	ck_assert_uint_eq(line, 8);
	ck_assert_uint_eq(policy_limits(&policy, &grouped, &line)->most[0], 1);
	ck_assert_uint_eq(line, 7);
	ck_assert_ptr_eq(policy_limits(&policy, &other, &line), &quota_defaults);
	ck_assert_uint_eq(line, 0);
	ck_assert(policy_allows_metrics(&policy, &user));
	ck_assert(!policy_allows_metrics(&policy, &other));
	ck_assert(policy_allows_metrics(&policy, &own));
}
END_TEST

START_TEST(rules_have_names)
{
	struct policy none = { .own_uid = OWN };
	char text[100];

	policy_name_rule(&policy, 3, text, sizeof(text));
	ck_assert_str_eq(text, "the rule in conf, line 3");
	policy_name_rule(&policy, 0, text, sizeof(text));
	ck_assert_str_eq(text, "no rule in conf applies");
	policy_name_rule(&none, 0, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "no configuration"));
	policy_name_limit(&policy, 8, text, sizeof(text));
	ck_assert_str_eq(text, "the limit in conf, line 8");
	policy_name_limit(&policy, 0, text, sizeof(text));
	ck_assert_str_eq(text, "the broker's default limit");
}
END_TEST

START_TEST(quotas_are_exact)
{
	struct limits l = { .most = { [QUOTA_RINGS] = 2, [QUOTA_BYTES] = UINT64_MAX } };
	struct quota q = { 0 };
	struct account *a = quota_account(&q, USER);

	ck_assert_int_eq(quota_take(a, &l, QUOTA_CONNECTIONS, 1), -EDQUOT);
	ck_assert_int_eq(quota_take(a, &l, QUOTA_RINGS, 3), -EDQUOT);
	ck_assert_int_eq(quota_take(a, &l, QUOTA_RINGS, 2), 0);
	ck_assert_int_eq(quota_take(a, &l, QUOTA_RINGS, 1), -EDQUOT);
	quota_give(a, QUOTA_RINGS, 1);
	ck_assert_int_eq(quota_take(a, &l, QUOTA_RINGS, 1), 0);
	l.most[QUOTA_RINGS] = 1; /* less than there are */
	ck_assert_int_eq(quota_take(a, &l, QUOTA_RINGS, 1), -EDQUOT);
	ck_assert_int_eq(quota_take(a, &l, QUOTA_BYTES, UINT64_MAX - 1), 0);
	ck_assert_int_eq(quota_take(a, &l, QUOTA_BYTES, 2), -EDQUOT); /* no sum wraps */
	ck_assert_int_eq(quota_take(a, &l, QUOTA_BYTES, 1), 0);
	quota_close(&q);
}
END_TEST

static void add_up(const struct account *a, void *arg)
{
	*(uint64_t *)arg += a->uid * 1000 + a->used[QUOTA_RINGS];
}

START_TEST(accounts_live_as_long_as_they_are_used)
{
	struct quota q = { 0 };
	struct account *a, *b;
	uint64_t sum = 0;

	for (uid_t uid = 0; uid < 100; uid++)
		quota_count(quota_account(&q, uid), QUOTA_RINGS, uid);
	ck_assert_uint_eq(q.count, 100);
	quota_each(&q, add_up, &sum);
	ck_assert_uint_eq(sum, 99 * 50 * 1001);
	a = quota_account(&q, 7);
	quota_settle(&q, a); /* it has seven rings */
	ck_assert_ptr_eq(quota_account(&q, 7), a);
	quota_give(a, QUOTA_RINGS, 7);
	quota_settle(&q, a);
	ck_assert_uint_eq(q.count, 99);
	b = quota_account(&q, 7);
	ck_assert_uint_eq(b->used[QUOTA_RINGS], 0);
	quota_close(&q);
	ck_assert_uint_eq(q.count, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("policy");
	TCase *tc = room_case(s, "policy", 10);

	tcase_add_test(tc, first_rule_decides);
	tcase_add_test(tc, limits_and_metrics_are_chosen_alike);
	tcase_add_test(tc, rules_have_names);
	tcase_add_test(tc, quotas_are_exact);
	tcase_add_test(tc, accounts_live_as_long_as_they_are_used);
	return run_suite(s);
}
