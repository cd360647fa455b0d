/* SPDX-License-Identifier: MIT */
/*
 * saying: see saying.h.
 */
#include "saying.h"

bool saying_has_turn(struct saying *s, int64_t now)
{
	if (s->begun_ns == 0)
		s->begun_ns = now;
	if (s->lines == SAYING_LINES) {
		s->left_out++;
		return false;
	}
	s->lines++;
	return true;
}

bool saying_is_over(struct saying *s, int64_t now, unsigned *ret_left_out)
{
	*ret_left_out = s->left_out;
	if (s->begun_ns != 0 && now - s->begun_ns < SAYING_SECONDS * INT64_C(1000000000))
		return false;
	*s = (struct saying){ 0 };
	return true;
}
