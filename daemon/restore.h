/* SPDX-License-Identifier: MIT */
/*
 * restore: isolated rings of an earlier broker, and the words to the keeper about this one's.
 */
#ifndef DAEMON_RESTORE_H
#define DAEMON_RESTORE_H

#include <stdbool.h>

#include "keeper.h"

struct loop;
struct rings;

/*
 * Find the keeper, or start one if it is `wanted`, and take back what it, systemd or the
 * predecessor has kept. With `complete` the predecessor handed over everything; keeper.h.
 */
void restore_rings(struct rings *r, struct loop *loop, bool wanted, bool sandboxed, bool complete);

/*
 * Descriptors of the files of isolated rings, for free(); *ret_count of them, now the
 * caller's; *ret_all: none is missing.
 */
struct kept_file *restore_give_rings(struct rings *r, size_t *ret_count, bool *ret_all);

#endif
