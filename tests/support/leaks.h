/* SPDX-License-Identifier: MIT */
/*
 * What a process holds: descriptors, shared mappings and reserved addresses,
 * children, and locks on files. A test compares before and after.
 */
#ifndef TESTS_SUPPORT_LEAKS_H
#define TESTS_SUPPORT_LEAKS_H

#include <stdbool.h>
#include <stddef.h>

/* What was found, one line each; a long list ends early. */
struct report {
	size_t used;
	char text[2048];
};

void report_add(struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A list of descriptors and mappings. */
struct holdings {
	char **lines;
	size_t count;
};

/* What this process holds now; fails the test if that cannot be read. */
void holdings_take(struct holdings *h);
void holdings_drop(struct holdings *h);

/* Report what is in `after` and not in `before`. */
void holdings_compare(const struct holdings *before, const struct holdings *after,
		      struct report *r);

/* Report every child of this process, living or not, and end it. */
void leaks_children(struct report *r);

/* Report a lock that any process holds on a byte of the file. */
void leaks_locks(const char *path, struct report *r);

#endif
