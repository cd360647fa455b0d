/* SPDX-License-Identifier: MIT */
/*
 * options: structs that begin with their own size and may grow, in both directions.
 */
#ifndef SHMRING_CORE_OPTIONS_H
#define SHMRING_CORE_OPTIONS_H

#include <stddef.h>

#pragma GCC visibility push(default)

/*
 * Copy the caller's struct, of whatever version, to the library's of `size` bytes: what
 * it lacks is zero, which means the default; what it has beyond that must be
 * zero, or -EINVAL. `given` may be NULL: all defaults.
 */
int shmr_options_read(void *ret, size_t size, const void *given);

/*
 * Copy the library's struct of `size` bytes to the caller's, of whatever version: as much as the
 * caller's has room for. What it has beyond that becomes zero. `first` is the size of the
 * first version. The caller's size stays as it is.
 * Error: -EINVAL (the caller's size is less than `first`, or more than OUTPUT_MAX).
 */
int shmr_output_write(void *ret, const void *ours, size_t size, size_t first);

/* No struct is that large: such a size was never set. In bytes. */
#define OUTPUT_MAX 4096

/*
 * The size of `type` when `last` was its last field. A call names the last field of
 * version 0.1.0, whatever was added since.
 */
#define SIZE_UP_TO(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))

#pragma GCC visibility pop

#endif
