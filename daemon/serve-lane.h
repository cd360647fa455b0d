/* SPDX-License-Identifier: MIT */
/*
 * serve-lane: the request LANE, from question to answer. A producer gets its own lane's file
 * to write, a reader gets any lane's file to read. If the lane was another user's, a thread
 * copies it first, and the answer waits for that.
 */
#ifndef DAEMON_SERVE_LANE_H
#define DAEMON_SERVE_LANE_H

struct proto_message;
struct service;
struct session;

/* 0 or a negative errno; and the end, fine without a start: no lane is passed on any more. */
int serve_lane_start(struct service *v);
void serve_lane_stop(struct service *v);

void serve_lane(struct session *s, const struct proto_message *m);

#endif
