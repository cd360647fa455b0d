/* SPDX-License-Identifier: MIT */
/*
 * log-limit: how many lines the log gets about one user (or one kind of event): 20 in 10 s. The
 * broker counts the lines that it leaves out, and logs their number after the 10 s.
 */
#ifndef DAEMON_LOG_LIMIT_H
#define DAEMON_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

enum { LOG_LIMIT_LINES = 20, LOG_LIMIT_SECONDS = 10 };

struct log_limit {
	int64_t begun_ns; /* 0: nothing was logged yet */
	unsigned lines, left_out;
};

/* May this line go to the log? */
bool log_limit_has_turn(struct log_limit *l, int64_t now);

/* Are the 10 s over? Then *ret_left_out lines were left out in them, and the count begins anew. */
bool log_limit_is_over(struct log_limit *l, int64_t now, unsigned *ret_left_out);

#endif
