/* SPDX-License-Identifier: MIT */
/*
 * keeper-send: send the keeper the words that wait in the broker's queue.
 *
 * As many as the keeper's socket takes go at once, the others when epoll says that there is room.
 * As long as words wait, the broker is behind: it holds its answers back (KE1). From the first
 * word that the keeper does not take, it has a second to go on (KE4).
 */
#ifndef DAEMON_KEEPER_SEND_H
#define DAEMON_KEEPER_SEND_H

#include <stdint.h>

#include "keeper.h"

/* How long a keeper may take nothing, in ns. */
#define KEEPER_PATIENCE_NS INT64_C(1000000000)

/* Never sent. When its turn comes, all before it was sent: the new keeper gets the name (KE4). */
enum { WORD_NAME = 100 };

/* The number of the next word. */
uint64_t keeper_next_serial(struct keeper *k);

/* Send what the socket takes. */
void keeper_flush(struct keeper *k);

/*
 * The same, after a word was added to the queue. Without memory for a word, later words would
 * be wrong; a new keeper gets everything.
 */
void keeper_push(struct keeper *k);

/* No answer has to wait for the keeper (any more). */
void keeper_release(struct keeper *k);

#endif
