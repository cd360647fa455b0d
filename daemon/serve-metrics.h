/* SPDX-License-Identifier: MIT */
/*
 * serve-metrics: the request METRICS, from question to answer. The thread of metrics.h writes
 * the numbers; what belongs to the loop goes along with the question.
 */
#ifndef DAEMON_SERVE_METRICS_H
#define DAEMON_SERVE_METRICS_H

struct proto_message;
struct service;
struct session;

/* 0 or a negative errno; and the end, fine without a start. */
int serve_metrics_start(struct service *v);
void serve_metrics_stop(struct service *v);

void serve_metrics(struct session *s, const struct proto_message *m);

#endif
