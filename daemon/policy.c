/* SPDX-License-Identifier: MIT */
/*
 * policy: see policy.h.
 */
#include "policy.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>

#include "descriptor-share.h"

struct policy *policy_new(uid_t own_uid)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (p) {
		p->own_uid = own_uid;
		p->descriptor_share = DESCRIPTOR_SHARE_PERCENT;
	}
	return p;
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->rule_count; i++)
		free(p->rules[i].pattern);
	free(p->rules);
	free(p->limits);
	free(p->rings);
	free(p->metrics);
	free(p->file);
	free(p);
}

static bool is_in_group(const struct peer *peer, gid_t gid)
{
	if (peer->gid == gid)
		return true;
	for (size_t i = 0; i < peer->group_count; i++)
		if (peer->groups[i] == gid)
			return true;
	return false;
}

static bool is_about(const struct who *who, const struct peer *peer)
{
	switch (who->kind) {
	case WHO_USER:
		return peer->uid == who->id;
	case WHO_GROUP:
		return is_in_group(peer, who->id);
	default:
		return true;
	}
}

struct verdict policy_judge(const struct policy *p, const struct peer *peer, const char *name)
{
	for (size_t i = 0; i < p->rule_count; i++) {
		const struct rule *r = &p->rules[i];

		if (is_about(&r->who, peer) && fnmatch(r->pattern, name, 0) == 0)
			return (struct verdict){ r->rights, r->line, r->make ? &r->shape : NULL,
						 r->isolated };
	}
	return (struct verdict){ .rights = peer->uid == p->own_uid ? PROTO_RIGHTS : 0 };
}

const struct limits *policy_limits(const struct policy *p, const struct peer *peer,
				   unsigned *ret_line)
{
	for (size_t i = 0; i < p->limit_count; i++)
		if (is_about(&p->limits[i].who, peer)) {
			*ret_line = p->limits[i].line;
			return &p->limits[i].limits;
		}
	*ret_line = 0;
	return &quota_defaults;
}

bool policy_allows_metrics(const struct policy *p, const struct peer *peer)
{
	for (size_t i = 0; i < p->metrics_count; i++)
		if (is_about(&p->metrics[i], peer))
			return true;
	return peer->uid == p->own_uid;
}

void policy_name_rule(const struct policy *p, unsigned line, char *ret, size_t size)
{
	if (line > 0)
		snprintf(ret, size, "the rule in %s, line %u", p->file, line);
	else if (p->file)
		snprintf(ret, size, "no rule in %s applies", p->file);
	else
		snprintf(ret, size,
			 "the broker has no configuration, and serves its own user only");
}

void policy_name_limit(const struct policy *p, unsigned line, char *ret, size_t size)
{
	if (line > 0)
		snprintf(ret, size, "the limit in %s, line %u", p->file, line);
	else
		snprintf(ret, size, "the broker's default limit");
}
