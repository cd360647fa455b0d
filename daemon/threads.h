/* SPDX-License-Identifier: MIT */
/*
 * threads: may the broker start its threads? liburcu aborts the process when it cannot start
 * one, so the broker tries it first.
 */
#ifndef DAEMON_THREADS_H
#define DAEMON_THREADS_H

/* The reaper, the metrics, copies of lanes; and liburcu's: of call_rcu(), of its table. */
enum { THREADS_NEEDED = 5 };

/* Start so many at once, and end them. 0, or a negative errno: not all of them may be. */
int threads_try(unsigned count);

#endif
