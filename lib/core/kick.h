/* SPDX-License-Identifier: MIT */
/*
 * kick: a descriptor that becomes readable when a bell rings, for programs that
 * wait in an event loop and cannot sleep on a futex.
 *
 * The descriptor is an eventfd of this process alone, which no other process ever
 * sees. The kernel waits for the bell, like any sleeper, and signals the eventfd
 * (uring.h). So it works between strangers that share nothing but a file. Producers
 * do not know of it and pay nothing for it, and no peer can fill, empty or block it.
 * Where the kernel cannot do that (before Linux 6.7, or under a filter that forbids
 * io_uring), a thread can, if the program wants one.
 *
 * K1 From shmr_kick_arm() on, which returned 0, the descriptor becomes readable
 *    when the bell moves on from `seen`, and at the latest after `period_ns`, or `soon_ns`
 *    if that is not 0 (a thread may take 20 ms longer).
 * K2 It may be readable for nothing.
 */
#ifndef SHMRING_CORE_KICK_H
#define SHMRING_CORE_KICK_H

#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"

#pragma GCC visibility push(default)

struct kick;

/* `flags` as of shmring_consumer_fd(): -EINVAL, -EOPNOTSUPP and others. */
int shmr_kick_open(struct kick **ret, uint32_t flags, int64_t period_ns);
void shmr_kick_close(struct kick *k); /* NULL is fine */
int shmr_kick_fd(const struct kick *k);

/*
 * 0: armed, and not readable. 1: the bell has moved on already; look again.
 * `deaf`: readable after BELL_DEAF_NS, whatever the bell does.
 */
int shmr_kick_arm(struct kick *k, const shm_u32 *bell, uint32_t seen, bool deaf, int64_t soon_ns);

#pragma GCC visibility pop

#endif
