/* SPDX-License-Identifier: MIT */
/*
 * Not installed: the bench that needs nothing but this project knows no further peers. See
 * installed.c.
 */
#include "bench.h"

const struct subject *const more_peers[] = { NULL };
