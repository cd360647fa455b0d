/* SPDX-License-Identifier: MIT */
/*
 * The room a test runs in: a private directory in shared memory and one on
 * disk, and a proof, when the test is over, that nothing of it is left: no
 * process, no descriptor, no mapping, no lock, no file.
 */
#ifndef TESTS_SUPPORT_ROOM_H
#define TESTS_SUPPORT_ROOM_H

#include <stdbool.h>

#include <check.h>

/*
 * A test case whose tests each run in a process and a room of their own. A test
 * that takes longer than `seconds` fails, one that leaves something, too.
 */
TCase *room_case(Suite *s, const char *name, int seconds);

/*
 * The path of `name` in the room, in shared memory or on disk. What is made
 * under such a path may stay there when the test ends; anything else found in
 * the room is a leak. The text lives as long as the test.
 */
const char *room_path(const char *name);
const char *room_disk_path(const char *name);

/* The directory in shared memory itself. It is $XDG_RUNTIME_DIR, too. */
const char *room_directory(void);

/*
 * End the test here: what it needs is not there. The reason goes to the result,
 * as "# SKIP reason".
 */
void room_skip(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/*
 * Is this a build with a sanitizer? It reserves addresses of its own, and locks
 * no memory.
 */
bool room_is_sanitized(void);

/* For the runner: make and remove what all rooms share. */
void rooms_open(void);
void rooms_close(void);

/* For the runner: why the index-th test was skipped; "": it was not. */
const char *rooms_skipped(unsigned index);

#endif
