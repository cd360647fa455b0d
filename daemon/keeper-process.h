/* SPDX-License-Identifier: MIT */
/*
 * keeper-process: the program under the name of the keeper; see keeper.h.
 */
#ifndef DAEMON_KEEPER_PROCESS_H
#define DAEMON_KEEPER_PROCESS_H

#include <stdbool.h>

#define KEEPER_PROCESS_NAME "shmring-keeper"
#define KEEPER_NO_SANDBOX "--no-sandbox"

/* Was the program started to be a keeper? By its argv[0]. */
bool keeper_process_is_it(const char *name);

/* Keep what comes in over standard input, a socket. The exit status. */
int keeper_process_run(int argc, char **argv);

#endif
