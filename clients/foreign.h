/* SPDX-License-Identifier: MIT */
/*
 * foreign: text from outside in tables and lines. Every such text that is not written as
 * JSON goes through here or through text_harmless() (lib/text); say() and usage_failed()
 * (cli.h) see to it themselves.
 */
#ifndef SHMRING_FOREIGN_H
#define SHMRING_FOREIGN_H

#include <stddef.h>
#include <stdio.h>

#define FOREIGN_TEXT 8192 /* print_foreign() cuts what is longer */

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
