/* SPDX-License-Identifier: MIT */
/*
 * policy: which user may do what with which ring, and how much of it. It comes from the
 * configuration (config.h) and never changes; a new configuration is a new policy.
 *
 * P1 The first rule that is about this user and this name decides, whatever follows.
 * P2 Behind the last rule stands a rule that lets the broker's own user do everything,
 *    and behind that a rule that lets no user do anything.
 */
#ifndef DAEMON_POLICY_H
#define DAEMON_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <shmring/shmring.h>

#include "proto.h"
#include "quota.h"

/* A client, as the kernel knows it. */
struct peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* further ones */
	size_t group_count;
};

enum who_kind { WHO_ALL, WHO_USER, WHO_GROUP };

struct who {
	enum who_kind kind;
	uint32_t id; /* of the user or group */
};

struct rule {
	struct who who;
	char *pattern; /* of fnmatch(3) */
	uint32_t rights;
	unsigned line;
	bool make; /* make a ring that is opened and not there, in this shape */
	struct shmring_config shape;
	bool isolated; /* what is created by it is */
};

struct limit_rule {
	struct who who;
	struct limits limits;
	unsigned line;
};

/* A ring that is made at start, unless it is there. */
struct ring_wish {
	char name[PROTO_NAME_SIZE];
	uid_t owner;
	bool persistent;
	struct shmring_config config;
	unsigned line;
};

struct policy {
	char *file; /* NULL: there is no configuration */
	uid_t own_uid;
	struct rule *rules;
	size_t rule_count;
	struct limit_rule *limits;
	size_t limit_count;
	struct ring_wish *rings;
	size_t ring_count;
	struct who *metrics; /* users that may read them, besides the broker's own user */
	size_t metrics_count;
	unsigned descriptor_share; /* percent, descriptor-share.h */
};

/* The policy without a configuration (P2); NULL: out of memory. */
struct policy *policy_new(uid_t own_uid);
void policy_free(struct policy *p);

struct verdict {
	uint32_t rights;
	unsigned line;			   /* of the rule that decided; 0: one of P2 */
	const struct shmring_config *make; /* on demand; NULL: not */
	bool isolated;			   /* what is created is to be */
};

struct verdict policy_judge(const struct policy *p, const struct peer *peer, const char *name);

/* *ret_line is 0 if they are the defaults. */
const struct limits *policy_limits(const struct policy *p, const struct peer *peer,
				   unsigned *ret_line);
bool policy_allows_metrics(const struct policy *p, const struct peer *peer);

/* "the rule in FILE, line 7", or what else decided; for a sentence. */
void policy_name_rule(const struct policy *p, unsigned line, char *ret, size_t size);
void policy_name_limit(const struct policy *p, unsigned line, char *ret, size_t size);

#endif
