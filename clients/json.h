/* SPDX-License-Identifier: MIT */
/*
 * JSON values that jansson does not make by itself.
 */
#ifndef SHMRING_JSON_H
#define SHMRING_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A number; beyond 2^63 a floating one, because jansson's integers end there. */
json_t *json_unsigned(uint64_t value);

/* The same, and null for UINT64_MAX, which says "unknown". */
json_t *json_known(uint64_t value);

/* A string of the bytes themselves if they are UTF-8, otherwise of their base64. */
json_t *json_bytes(const void *data, size_t len, bool *ret_base64);

/*
 * Add bytes to an object: as string `key` if they are UTF-8, otherwise as
 * string `key`_base64. Returns 0 or -1.
 */
int json_set_bytes(json_t *object, const char *key, const void *data, size_t len);

/* Print a document to stdout; STATUS_OK or STATUS_FAILED. Takes the reference. */
int json_print(json_t *document);

/* The same with numbers that were text before, as "3.849": 15 digits, which is how they come back.
 */
int json_print_rounded(json_t *document);

#endif
