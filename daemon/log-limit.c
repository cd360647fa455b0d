/* SPDX-License-Identifier: MIT */
/*
 * log-limit: see log-limit.h.
 */
#include "log-limit.h"

bool log_limit_has_turn(struct log_limit *l, int64_t now)
{
	if (l->begun_ns == 0)
		l->begun_ns = now;
	if (l->lines == LOG_LIMIT_LINES) {
		l->left_out++;
		return false;
	}
	l->lines++;
	return true;
}

bool log_limit_is_over(struct log_limit *l, int64_t now, unsigned *ret_left_out)
{
	*ret_left_out = l->left_out;
	if (l->begun_ns != 0 && now - l->begun_ns < LOG_LIMIT_SECONDS * INT64_C(1000000000))
		return false;
	*l = (struct log_limit){ 0 };
	return true;
}
