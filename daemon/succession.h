/* SPDX-License-Identifier: MIT */
/*
 * succession: take isolated rings back from an earlier broker, and give them to the next one.
 */
#ifndef DAEMON_SUCCESSION_H
#define DAEMON_SUCCESSION_H

#include <stdbool.h>

#include "keeper.h"

struct loop;
struct rings;

/*
 * Find the keeper, or start one if it is `wanted`, and take back what it, systemd or the
 * predecessor has kept. With `complete` the predecessor handed over everything; keeper.h.
 */
void succession_take_rings(struct rings *r, struct loop *loop, bool wanted, bool sandboxed,
			   bool complete);

/*
 * Descriptors of the files of isolated rings, for free(); *ret_count of them, now the
 * caller's; *ret_all: none is missing.
 */
struct kept_file *succession_give_rings(struct rings *r, size_t *ret_count, bool *ret_all);

#endif
