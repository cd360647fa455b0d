/* SPDX-License-Identifier: MIT */
/*
 * harmless: text from outside, as it may be shown. Names of files, rings and consumers,
 * arguments, and the sentences of a peer may hold escape sequences that move a terminal's
 * cursor, characters that reverse the direction of writing, or a newline that forges a
 * line. The library's sentences, the broker's log and the command's output go through this
 * one function. The library and the command are each linked with it.
 */
#ifndef SHMRING_TEXT_HARMLESS_H
#define SHMRING_TEXT_HARMLESS_H

#include <stddef.h>

/*
 * Copy `text` to `ret`, which has `size` bytes, one or more. Each control character, each
 * character that cannot be seen or that changes the direction of writing, and each byte
 * that is no UTF-8 becomes a '?'. What does not fit is cut off between two characters.
 * The result is never longer than `text`, so `ret` may be `text`. Returns its length.
 */
size_t text_harmless(char *ret, size_t size, const char *text);

#endif
