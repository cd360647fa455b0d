/* SPDX-License-Identifier: MIT */
/*
 * The progress line: how much, how fast, rewritten in place on stderr. It shows
 * itself only on a terminal and only when the work takes longer than a second.
 */
#ifndef SHMRING_PROGRESS_H
#define SHMRING_PROGRESS_H

#include <stdint.h>

/* Before the work: standard input is read. If it is typed in, there is no progress line. */
void progress_reads_stdin(void);

/* Begin. `total` bytes are expected; 0: unknown. */
void progress_start(uint64_t total);

/* Tell how far the work is; cheap enough for every batch. `note` may be NULL. */
void progress_update(uint64_t records, uint64_t bytes, const char *note);

/* Take the line away, before other output or at the end. */
void progress_hide(void);

#endif
