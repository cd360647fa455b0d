/* SPDX-License-Identifier: MIT */
/*
 * listener: the socket at which clients arrive.
 *
 * S1 No other broker listens at the same path at the same time: a lock on "PATH.lock" says
 *    so. A socket from systemd has no path for the listener to remove, and no lock.
 * S2 At the end the path is removed only if it still leads to the listener's socket.
 * S3 When descriptors have run out, the listener still accepts a client, with a descriptor
 *    that is kept in reserve, and sends it away at once. Then the listener is silent until
 *    something was closed. Otherwise a client that cannot be accepted would wake the
 *    loop for ever.
 * S4 New clients are accepted last in a round, so that connections that were closed before
 *    no longer count against the limit.
 * S5 The rules say which user may do what, so every user may connect. The socket has
 *    that mode from its first moment: a client that comes back while a broker starts
 *    takes a refusal as final. The mask of the process changes for one call; it takes
 *    no right from a file that another thread makes meanwhile.
 */
#ifndef DAEMON_LISTENER_H
#define DAEMON_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "loop.h"

struct listener {
	struct watch watch;
	struct loop *loop;
	int fd;
	int lock;  /* -1: the socket was handed over */
	int spare; /* S3; -1: it is lost for the moment */
	bool armed;
	char *path; /* to be removed; NULL: not by this listener */
	dev_t device;
	ino_t inode;
	uint64_t turned_away;			     /* because descriptors had run out */
	void (*arrived)(struct listener *l, int fd); /* takes the descriptor */
};

/*
 * Listen at `path`, or at the socket `inherited` if that is not negative. `ours`: the
 * predecessor made `inherited` at `path`, so this listener removes the path. 0, or a
 * negative errno and a sentence: -EADDRINUSE if another broker listens at the path.
 */
int listener_open(struct listener *l, struct loop *loop, const char *path, int inherited, bool ours,
		  void (*arrived)(struct listener *l, int fd), char *error, size_t size);
void listener_close(struct listener *l);

/* The socket, for a successor; from now on the path stays at the end. -1: there is none. */
int listener_give(struct listener *l);

/* Something was closed: there may be descriptors again. */
void listener_rearm(struct listener *l);

#endif
