/* SPDX-License-Identifier: MIT */
/*
 * stop: end the broker that listens at a socket, and wait until it has ended.
 */
#ifndef DAEMON_STOP_H
#define DAEMON_STOP_H

/* The exit status; the log has the reason. Without a broker there is nothing to do: success. */
int stop_broker(const char *socket);

#endif
