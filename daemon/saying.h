/* SPDX-License-Identifier: MIT */
/*
 * saying: how many lines the log gets about one user (or one kind of event): 20 in 10 s. What
 * is left out is counted, and said when the 10 s are over.
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

/* Has this line its turn? */
bool saying_has_turn(struct saying *s, int64_t now);

/* Are the 10 s over? Then how many lines were left out in them, and it begins anew. */
bool saying_is_over(struct saying *s, int64_t now, unsigned *ret_left_out);

#endif
