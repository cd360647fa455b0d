/* SPDX-License-Identifier: MIT */
/*
 * The clock by which the subcommands wait and give up.
 */
#ifndef SHMRING_CLOCK_H
#define SHMRING_CLOCK_H

#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t now_ns(void);

#endif
