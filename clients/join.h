/* SPDX-License-Identifier: MIT */
/*
 * How pub and sub come to their ring: open it, or make it; make it anew if it is
 * what an earlier run left (--fresh); and attach, as soon as there is a free place.
 *
 * Commands that do so at the same moment agree by a lock on the ring's file
 * (flock(2)), which they hold while they look and attach: a shared one if the command
 * takes the ring as it is, an exclusive one if it may remove the ring. A command that
 * finds that the ring was removed before it had the lock begins again with the ring
 * that has the name now. So a ring is removed only while no process is attached, and
 * no command attaches to one that is just being removed.
 */
#ifndef SHMRING_JOIN_H
#define SHMRING_JOIN_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include <shmring/shmring.h>

struct joining {
	const char *address;
	const char *name;   /* of a consumer, or NULL */
	bool create;	    /* if there is no ring */
	bool fresh;	    /* make it anew if it was used and no process is attached */
	bool for_lane;	    /* a producer's place; else a consumer's */
	bool verbose;	    /* name the reason of a wait even if stderr is no terminal */
	int64_t timeout_ns; /* for a free place, or the name; 0: do not wait; SHMRING_FOREVER */
	struct shmring_ring *ring;
	bool made;		     /* this command has made the ring */
	struct shmring_config shape; /* of an ephemeral ring that went meanwhile; else size is 0 */
};

/* The options --fresh, --no-create and --verbose ('v'), which pub and sub have in common. */
enum {
	JOIN_FRESH = 0x1000,
	JOIN_NO_CREATE,
};

/* What --help says of them. */
#define JOIN_FRESH_HELP                                                                            \
	"If the ring has been used, but no process is attached to it: make it again, without the " \
	"messages and kept places of earlier runs"
#define JOIN_NO_CREATE_HELP "Fail if the ring does not exist"
#define JOIN_VERBOSE_HELP "Name the reason of a wait, even if standard error is no terminal"

/* Take one of them: 0, or ARGP_ERR_UNKNOWN if `key` is another option. */
error_t parse_join(struct joining *j, int key);

/* Wrong on the command line: --fresh for a ring that cannot be made anew. */
void check_fresh(const char *address, bool fresh, const struct argp_state *state);

/*
 * Attach to a ring, and leave it again. attach() returns 0, or after `deadline` -EUSERS (all
 * places are taken) or -EBUSY (a process has the name), or another negative errno.
 */
struct joiner {
	int (*attach)(struct shmring_ring *ring, int64_t deadline, void *context);
	void (*detach)(void *context);
	void *context;
};

/*
 * Open the ring and attach to it. Returns 0, or the exit status after it has said
 * why; `j->ring` is open in both cases unless it is NULL. If stop_requested(), it
 * may return 0 without having attached.
 */
int join_ring(struct joining *j, const struct joiner *by);

/*
 * The command has failed, and has left the ring: if it made the ring, and no process
 * has used it, remove it.
 */
void abandon_ring(struct joining *j);

#endif
