/* SPDX-License-Identifier: MIT */
/*
 * beside: start another program beside this one. The program gets three descriptors and
 * no other, no blocked signal, and a session of its own; it inherits the sandbox. This
 * process may have threads, and need not wait for the program's end: SIGCHLD is ignored.
 */
#ifndef DAEMON_BESIDE_H
#define DAEMON_BESIDE_H

#include <sys/types.h>

/*
 * `in` and `out` are its standard input, output and error stream; -1: /dev/null. The
 * process, or a negative errno; then nothing was started.
 */
pid_t start_beside(const char *program, char *const *argv, int in, int out);

#endif
