/* SPDX-License-Identifier: MIT */
/*
 * config: from a configuration file, in the grammar of libconfig, to a policy.
 * shmringd.conf(5) has the settings.
 *
 * Nothing is guessed: a setting that is not known, has the wrong type, is out of
 * range, or names a user that does not exist, is an error; so is what a rule could
 * not do. The sentence begins with file and line.
 */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include <stddef.h>
#include <sys/types.h>

#include "policy.h"

/* *ret for policy_free(); 0, or a negative errno and a sentence in `error`. */
int config_load(struct policy **ret, const char *file, uid_t own_uid, char *error, size_t size);

#endif
