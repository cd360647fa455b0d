/* SPDX-License-Identifier: MIT */
/*
 * keeper: where the memory files of isolated rings are when the broker is not.
 *
 * Either systemd's descriptor store, if it has room for us ($FDSTORE), or a process of
 * our own that does nothing else: it is forked at the start, before there are threads
 * and a sandbox (--keeper), or found at ".keeper" in the broker's directory, where the
 * one that an earlier broker forked still listens. It holds descriptors, knows nothing
 * of them (N1 in isolated.h says why), and ends when it has none and no broker.
 *
 *  E1 What was sent is kept, whatever becomes of the sender: a descriptor in the
 *     keeper's queue is open. So the broker never waits for an answer.
 *  E2 The keeper serves one broker to the end of its connection, then the next. So a
 *     new broker is told of all that the one before sent.
 *  E3 Both sides talk to their own user only (SO_PEERCRED), and the socket lies in a
 *     directory that is closed to others.
 */
#ifndef DAEMON_KEEPER_H
#define DAEMON_KEEPER_H

#include <stdbool.h>
#include <stddef.h>

struct keeper {
	int socket; /* to the process; -1: none */
	bool systemd;
	bool mute; /* that it takes nothing has been said */
};

/* Is there one already? Its path is the broker's directory. */
bool keeper_exists(const char *directory);

/* Fork one. Its socket, or a negative errno; returns in the caller only. */
int keeper_fork(bool sandboxed);

/*
 * Find the one that is there, or begin with the one that was forked (its socket, which
 * is taken over; 0: none). `directory` is the broker's, and locked.
 */
void keeper_open(struct keeper *k, int directory, int forked);
void keeper_close(struct keeper *k);

/* Does anybody keep what is given? */
bool keeper_is_there(const struct keeper *k);

/*
 * Keep a file, and let it go; what cannot be kept is said in the log. The descriptor stays
 * the caller's.
 */
void keeper_put(struct keeper *k, int fd, const char *label);
void keeper_drop(struct keeper *k, int fd, const char *label);

/* All that the process keeps: for free(), *ret_count descriptors, now the caller's. */
int *keeper_take(struct keeper *k, size_t *ret_count);

#endif
