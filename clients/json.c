/* SPDX-License-Identifier: MIT */
/*
 * JSON values that jansson does not make by itself.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "json.h"

json_t *json_unsigned(uint64_t value)
{
	return value <= INT64_MAX ? json_integer((json_int_t)value) : json_real((double)value);
}

json_t *json_known(uint64_t value)
{
	return value == UINT64_MAX ? json_null() : json_unsigned(value);
}

/* Up to three bytes as four characters. */
static void encode_group(char *text, const unsigned char *data, size_t len)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = (unsigned)data[0] << 16;

	if (len > 1)
		bits |= (unsigned)data[1] << 8;
	if (len > 2)
		bits |= data[2];
	text[0] = alphabet[bits >> 18 & 63];
	text[1] = alphabet[bits >> 12 & 63];
	text[2] = len > 1 ? alphabet[bits >> 6 & 63] : '=';
	text[3] = len > 2 ? alphabet[bits & 63] : '=';
}

static json_t *json_base64(const unsigned char *data, size_t len)
{
	size_t size = (len + 2) / 3 * 4;
	char *text = malloc(size + 1);
	json_t *value;

	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i += 3)
		encode_group(text + i / 3 * 4, data + i, len - i);
	value = json_stringn_nocheck(text, size);
	free(text);
	return value;
}

json_t *json_bytes(const void *data, size_t len, bool *ret_base64)
{
	json_t *value = json_stringn(len ? data : "", len);

	*ret_base64 = !value;
	return value ? value : json_base64(data, len);
}

int json_set_bytes(json_t *object, const char *key, const void *data, size_t len)
{
	char longer[64];
	bool base64;
	json_t *value = json_bytes(data, len, &base64);

	snprintf(longer, sizeof(longer), "%s%s", key, base64 ? "_base64" : "");
	return json_object_set_new(object, longer, value);
}

/* What is not ASCII is written as \uXXXX: names that others chose may reach a terminal. */
static int print_with(json_t *document, size_t digits)
{
	int err = document ? json_dumpf(document, stdout,
					JSON_INDENT(2) | JSON_ENSURE_ASCII |
						JSON_REAL_PRECISION(digits))
			   : -1;

	json_decref(document);
	if (err)
		say("the JSON text cannot be made: out of memory, or standard output failed");
	else
		putchar('\n');
	return finish_stdout(err ? STATUS_FAILED : STATUS_OK);
}

int json_print(json_t *document)
{
	return print_with(document, 17);
}

int json_print_rounded(json_t *document)
{
	return print_with(document, 15);
}
