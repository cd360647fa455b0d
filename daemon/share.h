/* SPDX-License-Identifier: MIT */
/*
 * share: how many of the broker's file descriptors each user may hold.
 *
 * A limit for each user (quota.h) does not help against several users that all keep to it.
 * So there is one more rule: a user may hold at most a tenth (`descriptor_share`) as many
 * descriptors as are free. Whatever one user takes, most of the free descriptors stay free:
 * after ten users that took all they could, more than a third is left.
 *
 * What is counted are descriptors that the broker has open for a user: of its connections,
 * of the rings it owns, of their lanes if they are isolated.
 */
#ifndef DAEMON_SHARE_H
#define DAEMON_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "quota.h"

enum {
	SHARE_PERCENT = 10,   /* unless the configuration says otherwise */
	SHARE_CONNECTION = 3, /* its socket, its process, an answer on its way */
};

struct share {
	uint64_t total, held;
};

/* From RLIMIT_NOFILE, without what the broker needs itself. */
void share_open(struct share *s);

/* How many a user may hold when it has taken `taken` more. */
uint64_t share_most(const struct share *s, unsigned percent, uint64_t taken);

/* Take some, or false and nothing. */
bool share_take(struct share *s, struct account *a, unsigned percent, uint64_t count);

/* Without a look at the limit. */
void share_count(struct share *s, struct account *a, uint64_t count);
void share_give(struct share *s, struct account *a, uint64_t count);

#endif
