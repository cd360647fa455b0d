/* SPDX-License-Identifier: MIT */
/*
 * quota: see quota.h.
 */
#include "quota.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include "sys.h"

const char *const quota_names[QUOTA_RESOURCES] = {
	[QUOTA_CONNECTIONS] = "connections",
	[QUOTA_RINGS] = "rings",
	[QUOTA_BYTES] = "bytes",
	[QUOTA_ATTACHMENTS] = "attachments",
	[QUOTA_DESCRIPTORS] = "descriptors",
};

const struct limits quota_defaults = {
	.most = {
		[QUOTA_CONNECTIONS] = 64,
		[QUOTA_RINGS] = 64,
		[QUOTA_BYTES] = UINT64_C(8) << 30,
		[QUOTA_ATTACHMENTS] = 256,
		[QUOTA_DESCRIPTORS] = 512,
	},
};

static int by_uid(const void *a, const void *b)
{
	uid_t x = ((const struct account *)a)->uid, y = ((const struct account *)b)->uid;

	return (x > y) - (x < y);
}

struct account *quota_account(struct quota *q, uid_t uid)
{
	struct account key = { .uid = uid }, *a;
	struct account *const *found = tfind(&key, &q->accounts, by_uid);

	if (found)
		return *found;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->uid = uid;
	if (!tsearch(a, &q->accounts, by_uid)) {
		free(a);
		return NULL;
	}
	q->count++;
	return a;
}

int quota_take(struct account *a, const struct limits *l, enum resource what, uint64_t amount)
{
	/* More than the limit can be in use: it was lowered. */
	if (a->used[what] >= l->most[what] || amount > l->most[what] - a->used[what])
		return -EDQUOT;
	a->used[what] += amount;
	return 0;
}

void quota_count(struct account *a, enum resource what, uint64_t amount)
{
	a->used[what] += amount;
}

void quota_give(struct account *a, enum resource what, uint64_t amount)
{
	a->used[what] -= amount;
}

bool account_may_say(struct quota *q, struct account *a)
{
	q->to_sweep = true;
	return log_limit_has_turn(&a->log_limit, shmr_now());
}

static bool has_something(const struct account *a)
{
	for (unsigned i = 0; i < QUOTA_RESOURCES; i++)
		if (a->used[i] > 0)
			return true;
	return a->strangers > 0 || a->held > 0;
}

static void forget(struct quota *q, struct account *a)
{
	tdelete(a, &q->accounts, by_uid);
	q->count--;
	free(a);
}

void quota_settle(struct quota *q, struct account *a)
{
	if (!has_something(a) && a->log_limit.begun_ns == 0)
		forget(q, a);
}

struct sweep {
	int64_t now;
	void (*said)(const struct account *a, unsigned left_out);
	struct account *idle; /* one of them */
	bool again;
};

static void sweep_one(const void *node, VISIT which, void *arg)
{
	struct account *a = *(struct account *const *)node;
	struct sweep *s = arg;
	unsigned left_out;

	if ((which != postorder && which != leaf) || a->log_limit.begun_ns == 0)
		return;
	if (!log_limit_is_over(&a->log_limit, s->now, &left_out)) {
		s->again = true;
		return;
	}
	if (left_out > 0)
		s->said(a, left_out);
}

static void find_idle(const void *node, VISIT which, void *arg)
{
	struct account *a = *(struct account *const *)node;
	struct sweep *s = arg;

	if ((which == postorder || which == leaf) && a->log_limit.begun_ns == 0 &&
	    !has_something(a))
		s->idle = a;
}

void quota_sweep(struct quota *q, int64_t now,
		 void (*said)(const struct account *a, unsigned left_out))
{
	struct sweep s = { .now = now, .said = said };

	twalk_r(q->accounts, sweep_one, &s);
	do {
		s.idle = NULL;
		twalk_r(q->accounts, find_idle, &s);
		if (s.idle)
			forget(q, s.idle);
	} while (s.idle);
	q->to_sweep = s.again;
}

struct visit {
	void (*see)(const struct account *a, void *arg);
	void *arg;
};

static void visit(const void *node, VISIT which, void *arg)
{
	const struct visit *v = arg;

	if (which == postorder || which == leaf)
		v->see(*(struct account *const *)node, v->arg);
}

void quota_each(const struct quota *q, void (*see)(const struct account *a, void *arg), void *arg)
{
	struct visit v = { see, arg };

	twalk_r(q->accounts, visit, &v);
}

void quota_close(struct quota *q)
{
	tdestroy(q->accounts, free);
	*q = (struct quota){ 0 };
}
