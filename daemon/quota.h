/* SPDX-License-Identifier: MIT */
/*
 * quota: what each user has of the broker, and how much a user may have.
 *
 * An account is made when a user first has something, and goes when the user has nothing
 * left. Only the loop's thread uses it.
 */
#ifndef DAEMON_QUOTA_H
#define DAEMON_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "log-limit.h"

enum resource {
	QUOTA_CONNECTIONS, /* to the broker's socket */
	QUOTA_RINGS,	   /* owned */
	QUOTA_BYTES,	   /* of these rings, as large as they can become */
	QUOTA_ATTACHMENTS, /* granted and not given back */
	QUOTA_DESCRIPTORS, /* the same, and one for each ring that is open */
	QUOTA_RESOURCES,
	QUOTA_DESCRIPTOR_SHARE = QUOTA_RESOURCES /* no limit of its own: descriptor-share.h */
};

/* A request that a limit refuses: what it asked for, and how much of it. */
struct shortage {
	enum resource what;
	uint64_t asked;
};

extern const char *const quota_names[QUOTA_RESOURCES];

struct limits {
	uint64_t most[QUOTA_RESOURCES];
};

/* The limits of users for which the configuration has no others. */
extern const struct limits quota_defaults;

struct account {
	uid_t uid;
	uint64_t used[QUOTA_RESOURCES];
	unsigned strangers; /* connections beyond the limit, which only wait for their refusal */
	uint64_t held;	    /* descriptors of the broker, descriptor-share.h */
	struct log_limit log_limit;
};

struct quota {
	void *accounts; /* a tree of search.h */
	size_t count;
	bool to_sweep; /* the log had a line about a user: quota_sweep() is to be called */
};

/* The account of a user, made if need be; NULL: out of memory. */
struct account *quota_account(struct quota *q, uid_t uid);

/* Take the amount, or -EDQUOT and nothing. */
int quota_take(struct account *a, const struct limits *l, enum resource what, uint64_t amount);

/* Without a look at limits: what is there already, or what may not be refused. */
void quota_count(struct account *a, enum resource what, uint64_t amount);
void quota_give(struct account *a, enum resource what, uint64_t amount);

/* May this line about the user go to the log (log-limit.h)? */
bool account_may_say(struct quota *q, struct account *a);

/*
 * Forget the account if the user has nothing left; the pointer is then invalid. An account
 * about which the log had a line lately stays for quota_sweep(), so that a user does not
 * get new lines by coming again.
 */
void quota_settle(struct quota *q, struct account *a);

/*
 * From time to time: forget accounts without anything. said() is called with each account
 * about which lines were left out of the log. `to_sweep` says whether to call this again.
 */
void quota_sweep(struct quota *q, int64_t now,
		 void (*said)(const struct account *a, unsigned left_out));

/* All accounts, by uid. */
void quota_each(const struct quota *q, void (*see)(const struct account *a, void *arg), void *arg);
void quota_close(struct quota *q);

#endif
