/* SPDX-License-Identifier: MIT */
/*
 * refuse: see refuse.h.
 */
#include "refuse.h"

#include <errno.h>

#include <shmring/shmring.h>

#include "sessions.h"

enum { RULE_SIZE = 256 };

static const char *word_of(uint32_t right)
{
	switch (right) {
	case PROTO_PRODUCE:
		return "produce to";
	case PROTO_CONSUME:
		return "consume from";
	case PROTO_OBSERVE:
		return "observe";
	case PROTO_CREATE:
		return "create";
	case PROTO_REMOVE_RIGHT:
		return "remove";
	default:
		return "open";
	}
}

void refuse_right(struct session *s, uint32_t serial, const char *name, uint32_t right,
		  struct verdict v)
{
	char rule[RULE_SIZE];

	policy_name_rule(s->sessions->rings->policy, v.line, rule, sizeof(rule));
	session_refuse_ring(s, serial, name, -EACCES, "user %u may not %s it: %s",
			    (unsigned)s->peer.uid, word_of(right), rule);
}

static void refuse_share(struct session *s, uint32_t serial, uint64_t asked)
{
	const struct rings *rings = s->sessions->rings;
	unsigned percent = rings->policy->descriptor_share;
	uint64_t most = descriptor_share_most(&rings->descriptors, percent, asked);

	session_refuse(s, serial, -EDQUOT,
		       "user %u asks for %llu more of the broker's descriptors, has %llu and may "
		       "have %llu then, %u%% of the free ones: close connections, remove rings, or "
		       "raise LimitNOFILE or descriptor_share of the broker",
		       (unsigned)s->peer.uid, (unsigned long long)asked,
		       (unsigned long long)s->account->held, (unsigned long long)most, percent);
}

void refuse_amount(struct session *s, uint32_t serial, struct shortage lacks)
{
	const enum resource what = lacks.what;
	char limit[RULE_SIZE];
	unsigned line;
	const struct limits *l = policy_limits(s->sessions->rings->policy, &s->peer, &line);

	if (what == QUOTA_DESCRIPTOR_SHARE) {
		refuse_share(s, serial, lacks.asked);
		return;
	}
	policy_name_limit(s->sessions->rings->policy, line, limit, sizeof(limit));
	session_refuse(s, serial, -EDQUOT, "user %u asks for %llu more and has %llu of %llu %s: %s",
		       (unsigned)s->peer.uid, (unsigned long long)lacks.asked,
		       (unsigned long long)s->account->used[what],
		       (unsigned long long)l->most[what], quota_names[what], limit);
}

void refuse_explained(struct session *s, uint32_t serial, int e)
{
	session_refuse(s, serial, e, "%s", shmring_explain());
}
