/* SPDX-License-Identifier: MIT */
/*
 * restore: isolated rings of an earlier broker, and what the keeper is to be told of ours.
 */
#ifndef DAEMON_RESTORE_H
#define DAEMON_RESTORE_H

#include <stdbool.h>

#include "keeper.h"

struct broker;

/* Find or start the keeper, and take back what it, systemd or the predecessor has for us. */
void restore_rings(struct broker *b);

/*
 * Descriptors of the files of isolated rings, for free(); *ret_count of them, now the
 * caller's; *ret_all: none is missing.
 */
struct kept_file *restore_give_rings(struct broker *b, size_t *ret_count, bool *ret_all);

#endif
