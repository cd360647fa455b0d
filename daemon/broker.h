/* SPDX-License-Identifier: MIT */
/*
 * broker: the whole of it, as a library: main.c starts one, and so can a test.
 *
 * One thread runs the loop; it owns the connections and makes all changes, and it
 * never waits but in epoll. Two more threads only look: the reaper and the metrics.
 * The broker is on nobody's way from producer to consumer.
 */
#ifndef DAEMON_BROKER_H
#define DAEMON_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "catalog.h"
#include "keeper.h"
#include "lane-copier.h"
#include "listener.h"
#include "loop.h"
#include "metrics.h"
#include "policy.h"
#include "quota.h"
#include "reaper.h"
#include "relics.h"
#include "session.h"
#include "share.h"
#include "store.h"
#include "upgrade.h"

struct broker_options {
	const char *socket;	     /* path */
	int inherited;		     /* or this listening socket; -1: none */
	bool inherited_path;	     /* that one's path is `socket`, and ours to remove */
	const char *directory;	     /* of ordinary rings */
	const char *state_directory; /* of persistent ones; NULL: there are none */
	const char *config;	     /* file; NULL: the broker's user may do everything */
	bool keeper;		     /* start one, unless there is one */
	bool no_sandbox;	     /* nor for the keeper */
	const char *program;	     /* that may take our place, and its arguments */
	char **argv;
	struct kept_file *kept; /* from systemd's store or the predecessor; broker_start()
				   takes it, whatever it returns, and frees it */
	size_t kept_count;
	bool complete; /* these are all isolated rings that there are */
};

enum broker_end { BROKER_RUNS, BROKER_STOP, BROKER_UPGRADE };

struct broker {
	struct broker_options options;
	struct loop loop;
	struct policy *policy;
	struct quota quota;
	struct share share;
	int64_t swept_ns; /* when old accounts were last looked for */
	struct catalog catalog;
	struct relics relics;
	struct store store;
	struct listener listener;
	struct reaper reaper;
	struct metrics metrics;
	struct watch metrics_done;
	struct keeper keeper;
	struct lane_copier copier;
	struct watch copied;
	struct watch signals;
	struct upgrade upgrade;
	enum broker_end end;
	bool ready; /* it has been started */
	uint8_t id[16];
	int64_t start_ns;
	LIST_HEAD(, session) sessions;
	LIST_HEAD(, session) ended;
	TAILQ_HEAD(, session) stalled;
	size_t session_count;
	uint64_t session_total, refusals, violations;
	bool metrics_asked;
};

/*
 * Read the configuration, take the directories, take in what rings are there, make
 * those of the configuration, listen. The caller has blocked the signals that the
 * broker takes from a signalfd: SIGTERM, SIGINT, SIGHUP, SIGUSR2. 0, or a negative
 * errno and a sentence in `error`.
 */
int broker_start(struct broker *b, const struct broker_options *o, char *error, size_t size);

/* One round of the loop, of up to `timeout` ms (-1: as long as need be). */
enum broker_end broker_round(struct broker *b, int timeout);

/* Leave rings and those who use them alone; drop the connections. */
void broker_stop(struct broker *b);

/* The listening socket, to be handed on; after this the path is not removed at the end. */
int broker_give_socket(struct broker *b);

/* A new configuration, or everything as before; the log has the reason. */
int broker_reload(struct broker *b);

/*
 * The ring of that name; one that lies in a directory but is not registered yet is
 * taken in, one whose file is gone is dropped. NULL: none, and shmring_explain() and
 * *ret_error say why.
 */
struct entry *broker_find(struct broker *b, const char *name, int *ret_error);

/*
 * Make it for `owner`, within `limits` (NULL: none); isolated if the config says so.
 * -EDQUOT: *ret_shortage says of what.
 */
int broker_make(struct broker *b, const char *name, bool persistent, uid_t owner,
		const struct limits *limits, const struct shmring_config *config,
		struct entry **ret, struct shortage *ret_shortage);
int broker_remove(struct broker *b, const char *name);

/* A ring that is there counts for its owner, whatever the limits. */
void broker_count_ring(struct broker *b, struct account *a, const struct geometry *g, uid_t owner);

/* Make what the configuration wants and is not there, unless the keeper may have it. */
void broker_make_wishes(struct broker *b);

/*
 * Give a hold back. After the last hold, the ring stops counting for its owner as soon as no
 * process has its files any more (relics.h).
 */
void broker_release(struct broker *b, struct entry *e);

/*
 * Take that much of the user's quota; files of the user that other processes keep count,
 * too. -EDQUOT: nothing was taken, and *ret_shortage says which limit is reached.
 */
int broker_take(struct broker *b, struct account *a, const struct limits *l,
		const struct charge *charge, struct shortage *ret_shortage);
void broker_give(struct broker *b, const struct charge *charge);

/* What a lane of the ring counts for the user that it is copied for (N4 in isolated.h). */
struct charge broker_lane_charge(const struct entry *e, uid_t uid);

/* Ask for the metrics unless somebody has; all who wait get them. */
int broker_ask_metrics(struct broker *b);

#endif
