/* SPDX-License-Identifier: MIT */
/*
 * descriptor-share: how many of the broker's file descriptors each user may hold.
 *
 * A limit for each user (quota.h) does not help against several users that all keep to it.
 * So there is one more rule: a user may hold at most a tenth (`descriptor_share`) as many
 * descriptors as are free. Whatever one user takes, most of the free descriptors stay free:
 * after ten users that took all they could, more than a third is left.
 *
 * What is counted are descriptors that the broker has open for a user: of its connections,
 * of the rings it owns, of their lanes if they are isolated.
 */
#ifndef DAEMON_DESCRIPTOR_SHARE_H
#define DAEMON_DESCRIPTOR_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "quota.h"

enum {
	DESCRIPTOR_SHARE_PERCENT = 10,	 /* unless the configuration says otherwise */
	DESCRIPTOR_SHARE_CONNECTION = 3, /* its socket, its process, an answer on its way */
};

struct descriptor_share {
	uint64_t total, held;
};

/* From RLIMIT_NOFILE, without what the broker needs itself. */
void descriptor_share_open(struct descriptor_share *s);

/* How many a user may hold when it has taken `taken` more. */
uint64_t descriptor_share_most(const struct descriptor_share *s, unsigned percent, uint64_t taken);

/* Take some, or false and nothing. */
bool descriptor_share_take(struct descriptor_share *s, struct account *a, unsigned percent,
			   uint64_t count);

/* Without a look at the limit. */
void descriptor_share_count(struct descriptor_share *s, struct account *a, uint64_t count);
void descriptor_share_give(struct descriptor_share *s, struct account *a, uint64_t count);

#endif
