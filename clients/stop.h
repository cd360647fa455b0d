/* SPDX-License-Identifier: MIT */
/*
 * Ending without leaving anything half done: on SIGINT, SIGTERM and SIGHUP,
 * which set a flag that the loops look at between records; and when the reader
 * of standard output has gone, which only a waiting command has to look for.
 */
#ifndef SHMRING_STOP_H
#define SHMRING_STOP_H

#include <stdbool.h>
#include <stdint.h>

/* No call of the library waits longer than this before the flag is looked at. */
#define STOP_SLICE_NS ((int64_t)200000000)

/* Catch the signals (those that are not ignored), and SIGPIPE. Exits if that fails. */
void stop_install(void);

/* End at the next record: a signal came, or stop_look() found no reader. */
bool stop_requested(void);

/*
 * The same for loops that wait, once in a slice: look also whether standard
 * output is a pipe or socket whose other end has been closed. A command that writes
 * learns it from write(2), but a command that waits does not.
 */
bool stop_look(void);

/* stop_look() has found that no process reads standard output any more. */
bool stop_unread(void);

/* A second signal has come, or the first one came a second ago: end now. */
bool stop_forced(void);

/*
 * End as the signal would have ended the process, if there was one; `status`
 * if not. `broken_pipe`, or stop_unread(): as SIGPIPE would have.
 */
int stop_finish(int status, bool broken_pipe);

/*
 * For a command that only shows something: end, as by SIGPIPE, within 200 ms after the
 * other end of standard output has been closed, also while the command waits for the broker.
 */
void stop_when_unread(void);

/* The earlier of `deadline` and one slice from now, as a library deadline. */
int64_t stop_slice(int64_t deadline, int64_t slice_ns);

#endif
