/* SPDX-License-Identifier: MIT */
/*
 * Text from outside, as it may be shown: names of files, rings and consumers, arguments,
 * reasons. It may hold escape sequences that move the cursor, characters that reverse the
 * direction of writing, or a newline that forges a line. Every such text that is not written
 * as JSON goes through here; say() and usage_failed() (cli.h) see to it themselves.
 */
#ifndef SHMRING_HARMLESS_H
#define SHMRING_HARMLESS_H

#include <stddef.h>
#include <stdio.h>

#define FOREIGN_TEXT 8192 /* print_foreign() cuts what is longer */

/*
 * Copy `text` to `ret`, which has `size` bytes, one or more. Each control character, each
 * character that cannot be seen or that changes the direction of writing, and each byte
 * that is no UTF-8 becomes a '?'. What does not fit is cut off between two characters.
 * The result is never longer than `text`, so `ret` may be `text`. Returns its length.
 */
size_t harmless(char *ret, size_t size, const char *text);

/* How many columns print_foreign() needs. */
size_t foreign_width(const char *text);

/* Print it so, and blanks up to `width` columns. */
void print_foreign(FILE *stream, const char *text, int width);

/*
 * The first column of a table on stdout. If `text` is wider than that, it gets a line of
 * its own, and the other columns follow on the next one.
 */
void print_column(const char *text, int width);

#endif
