/* SPDX-License-Identifier: MIT */
/*
 * service: what the requests of clients work on: the sessions with the rings, and the two
 * threads that make an answer that takes longer than the loop may.
 */
#ifndef DAEMON_SERVICE_H
#define DAEMON_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lane-copier.h"
#include "loop.h"
#include "metrics.h"
#include "sessions.h"

struct service {
	struct sessions sessions;
	struct lane_copier copier;
	struct watch copied;
	struct metrics metrics;
	struct watch metrics_done;
	bool metrics_asked;
	uint8_t id[16]; /* of this broker */
	int64_t start_ns;
};

static inline struct service *service_of(const struct session *s)
{
	return (struct service *)(void *)((unsigned char *)s->sessions -
					  offsetof(struct service, sessions));
}

#endif
