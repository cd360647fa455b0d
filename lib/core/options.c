/* SPDX-License-Identifier: MIT */
/*
 * options: see options.h. Old programs work with a new library, and new ones
 * with an old library unless they ask for what it does not know.
 */
#include "options.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "explain.h"

int shmr_options_read(void *ret, size_t size, const void *given)
{
	size_t given_size;

	memset(ret, 0, size);
	if (!given)
		return 0;
	memcpy(&given_size, given, sizeof(given_size));
	if (given_size < sizeof(given_size))
		return explain(-EINVAL,
			       "the size in the options is %u; set it to the sizeof of the struct",
			       (uint64_t)given_size);
	for (size_t i = size; i < given_size; i++)
		if (((const unsigned char *)given)[i] != 0)
			return explain(-EINVAL,
				       "the options have %u bytes; this version of shmring knows "
				       "%u of them, and the rest is not zero; use a newer version",
				       (uint64_t)given_size, (uint64_t)size);
	memcpy(ret, given, given_size < size ? given_size : size);
	return 0;
}

int shmr_output_write(void *ret, const void *ours, size_t size, size_t first)
{
	const size_t head = sizeof(size_t);
	size_t given, common;

	memcpy(&given, ret, sizeof(given));
	if (given < first || given > OUTPUT_MAX)
		return explain(-EINVAL,
			       "the size in the struct for the answer is %u; set it to the sizeof "
			       "of the struct before the call",
			       (uint64_t)given);
	common = given < size ? given : size;
	memcpy((char *)ret + head, (const char *)ours + head, common - head);
	memset((char *)ret + common, 0, given - common);
	return 0;
}
