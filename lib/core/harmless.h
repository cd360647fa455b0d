/* SPDX-License-Identifier: MIT */
/*
 * harmless: text from outside, as it may be shown. Names of files and consumers, and the
 * broker's sentences, may hold escape sequences that move a terminal's cursor, characters
 * that reverse the direction of writing, or a newline that forges a line of a log.
 */
#ifndef SHMRING_CORE_HARMLESS_H
#define SHMRING_CORE_HARMLESS_H

#include <stddef.h>

#pragma GCC visibility push(default)

/*
 * Copy `text` to `ret`, which has `size` bytes, one or more. Each control character, each
 * character that cannot be seen or that changes the direction of writing, and each byte
 * that is no UTF-8 becomes a '?'. What does not fit is cut off between two characters.
 * The result is never longer than `text`, so `ret` may be `text`. Returns its length.
 */
size_t shmr_harmless(char *ret, size_t size, const char *text);

#pragma GCC visibility pop

#endif
