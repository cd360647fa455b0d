/* SPDX-License-Identifier: MIT */
/*
 * Ending on a signal without leaving anything half done: SIGINT, SIGTERM and
 * SIGHUP set a flag, which the loops look at between records.
 */
#ifndef SHMRING_STOP_H
#define SHMRING_STOP_H

#include <stdbool.h>
#include <stdint.h>

/* No call of the library waits longer than this before the flag is looked at. */
#define STOP_SLICE_NS ((int64_t)200000000)

/* Catch the signals (those that are not ignored), and SIGPIPE. Exits if that fails. */
void stop_install(void);

/* A signal asks to end at the next record. */
bool stop_requested(void);

/* It has asked again, or a second ago: end now. */
bool stop_forced(void);

/*
 * End as the signal would have ended the process, if there was one; `status`
 * if not. `broken_pipe`: nobody reads stdout any more.
 */
int stop_finish(int status, bool broken_pipe);

/* The earlier of `deadline` and one slice from now, as a library deadline. */
int64_t stop_slice(int64_t deadline, int64_t slice_ns);

#endif
