/* SPDX-License-Identifier: MIT */
/*
 * sandbox: no new privileges, and only the system calls that the broker makes. Any
 * other call fails with EPERM, and does not end a broker that clients depend on.
 * Sockets are Unix sockets. execve() is allowed, for the upgrade in place, and processes
 * are as posix_spawn() makes them, to become another program; the filter goes along.
 */
#ifndef DAEMON_SANDBOX_H
#define DAEMON_SANDBOX_H

/* Before there are threads. 0 or a negative errno. */
int sandbox_enter(void);

#endif
