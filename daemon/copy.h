/* SPDX-License-Identifier: MIT */
/*
 * copy: the bytes of one memory file to another, a piece at a time. Holes stay holes.
 */
#ifndef DAEMON_COPY_H
#define DAEMON_COPY_H

#include <sys/types.h>

enum { COPY_PIECE = 1 << 20 };

/*
 * Copy some MiB of what lies at *at or behind, and move *at on; `piece` is room for
 * COPY_PIECE bytes. 1: there may be more; 0: that was all; or a negative errno.
 */
int copy_some(int from, int to, off_t *at, unsigned char *piece);

#endif
