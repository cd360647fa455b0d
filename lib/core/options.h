/* SPDX-License-Identifier: MIT */
/*
 * options: structs that begin with their own size and may grow.
 */
#ifndef SHMRING_CORE_OPTIONS_H
#define SHMRING_CORE_OPTIONS_H

#include <stddef.h>

#pragma GCC visibility push(default)

/*
 * Copy the caller's struct, of whatever version, to ours of `size` bytes: what
 * it lacks is zero, which means the default; what it has beyond ours must be
 * zero, or -EINVAL. `given` may be NULL: all defaults.
 */
int shmr_options_read(void *ret, size_t size, const void *given);

#pragma GCC visibility pop

#endif
