/* SPDX-License-Identifier: MIT */
/*
 * serve: what a client asks for, one function for each request.
 *
 * The rights are looked up for each request, so a new configuration holds from its first
 * moment on. A process that is attached already stays attached.
 *
 * A client without any right to a name does not learn whether there is such a ring.
 */
#ifndef DAEMON_SERVE_H
#define DAEMON_SERVE_H

struct proto_message;
struct session;

/* Answer this request, now or later. */
void serve_request(struct session *s, const struct proto_message *m);

#endif
