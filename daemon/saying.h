/* SPDX-License-Identifier: MIT */
/*
 * saying: how many lines the log gets about one user (or one kind of event): 20 in 10 s. The
 * broker counts the lines that it leaves out, and logs their number after the 10 s.
 */
#ifndef DAEMON_SAYING_H
#define DAEMON_SAYING_H

#include <stdbool.h>
#include <stdint.h>

enum { SAYING_LINES = 20, SAYING_SECONDS = 10 };

struct saying {
	int64_t begun_ns; /* 0: nothing was said yet */
	unsigned lines, left_out;
};

/* May this line go to the log? */
bool saying_has_turn(struct saying *s, int64_t now);

/* Are the 10 s over? Then *ret_left_out lines were left out in them, and the count begins anew. */
bool saying_is_over(struct saying *s, int64_t now, unsigned *ret_left_out);

#endif
