/* SPDX-License-Identifier: MIT */
/*
 * rings: the rings of this broker by name, with the accounts of the users that own them: find
 * a ring, make it, take it in from a directory, remove it.
 *
 * A ring counts for its owner from its making until no process has its files any more. Only
 * the loop's thread uses this; other threads look at the catalog.
 */
#ifndef DAEMON_RINGS_H
#define DAEMON_RINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <shmring/shmring.h>

#include "catalog.h"
#include "descriptor-share.h"
#include "keeper.h"
#include "policy.h"
#include "quota.h"
#include "relics.h"
#include "store.h"

struct rings {
	struct policy *policy; /* the configuration; a new one takes its place */
	struct catalog catalog;
	struct quota quota;
	struct descriptor_share descriptors;
	struct relics relics;
	struct store store;
	struct keeper keeper;
	struct kept_file *kept; /* handed over, and not taken back yet */
	size_t kept_count;
	bool ready;	  /* the broker has started, and may make the rings of the configuration */
	int64_t swept_ns; /* when old accounts were last looked for */
	void (*caught_up)(struct rings *r); /* the keeper has taken all that it was sent */
};

/* Before everything else; nothing of this can fail. */
void rings_init(struct rings *r, void (*caught_up)(struct rings *r));

/* Take the directories. 0, or a negative errno and a sentence in `error`. */
int rings_open(struct rings *r, const char *directory, const char *state_directory, char *error,
	       size_t size);

/* Take in the rings that lie there. 0 or a negative errno. */
int rings_take_in(struct rings *r);

/* What was handed over is not taken back. */
void rings_drop_kept(struct rings *r);

/* The last call; no ring is held. The policy stays. `successor`: see keeper_close(). */
void rings_close(struct rings *r, bool successor);

/*
 * The ring of that name. A ring that lies in a directory but is not in the catalog yet is
 * taken in; a ring whose file is gone is dropped. NULL: there is none, and shmring_explain()
 * and *ret_error say why.
 */
struct entry *rings_find(struct rings *r, const char *name, int *ret_error);

/*
 * Make it for `owner`, within `limits` (NULL: none); isolated if the config says so.
 * -EDQUOT: *ret_shortage says of what.
 */
int rings_make(struct rings *r, const char *name, bool persistent, uid_t owner,
	       const struct limits *limits, const struct shmring_config *config, struct entry **ret,
	       struct shortage *ret_shortage);
int rings_remove(struct rings *r, const char *name);

/* A ring that is there counts for its owner, whatever the limits. */
void rings_count(struct rings *r, struct account *a, const struct geometry *g, uid_t owner);

/* Make missing rings of the configuration, unless the keeper may have them. */
void rings_make_wishes(struct rings *r);

/*
 * Give a hold back. After the last hold, the ring stops counting for its owner as soon as no
 * process has its files any more (relics.h).
 */
void rings_release(struct rings *r, struct entry *e);

/*
 * Take that much of the user's quota; files of the user that other processes keep count,
 * too. -EDQUOT: nothing was taken, and *ret_shortage says which limit is reached.
 */
int rings_take(struct rings *r, struct account *a, const struct limits *l,
	       const struct charge *charge, struct shortage *ret_shortage);
void rings_give(struct rings *r, const struct charge *charge);

/* What a lane of the ring counts for the user that it is copied for (N4 in isolated.h). */
struct charge rings_lane_charge(const struct entry *e, uid_t uid);

/* Is rings_sweep() to be called within a second? It does its work once in a second. */
bool rings_are_to_sweep(const struct rings *r);
void rings_sweep(struct rings *r);

#endif
