/* SPDX-License-Identifier: MIT */
/*
 * keeper-start: reach the process of the keeper, or start one.
 *
 * The keeper listens at a name in the broker's directory. The broker makes the listener of a new
 * keeper itself, under another name, and passes it on as the first word (LISTEN). It gives the
 * listener its name after the new keeper has everything (KE4), so a broker that finds a keeper
 * finds a complete one.
 */
#ifndef DAEMON_KEEPER_START_H
#define DAEMON_KEEPER_START_H

#include <stdbool.h>

#include "keeper-words.h"

/* These return a socket that does not block, or a negative errno. */

/* To the keeper that listens. -EAGAIN: it does not accept; another error: there is none. */
int keeper_connect(int directory);

/* To a process that is started here. */
int keeper_start(bool sandboxed);

/* The listener of a new keeper, under KEEPER_NEW_NAME; it blocks. *ret: the word that passes it on.
 */
int keeper_listen(int directory, struct word *ret);

#endif
