/* SPDX-License-Identifier: MIT */
/*
 * Random numbers that repeat: the same seed gives the same test.
 */
#include "random.h"

#include <stdlib.h>

uint64_t random_seed(void)
{
	const char *text = getenv("SHMRING_TEST_SEED");

	return text ? strtoull(text, NULL, 0) : 20;
}
