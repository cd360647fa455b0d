/* SPDX-License-Identifier: MIT */
/*
 * The checksum of a file: XXH3 (64 bits) of its path and its content.
 *
 * xxHash is compiled into this file rather than linked, because the size of its
 * state is fixed only within one version, and the demo keeps states in memory
 * of its own. A state points to constants of the program: all processes that
 * share it must be forks of one.
 */
#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "demo.h"

_Static_assert(sizeof(XXH3_state_t) <= sizeof(struct checksum), "the state must fit");
_Static_assert(_Alignof(XXH3_state_t) <= _Alignof(struct checksum), "and be aligned");

/* xxHash fails for a NULL pointer only. */
static void must_work(XXH_errorcode r)
{
	if (r == XXH_OK)
		return;
	fprintf(stderr, "shmring-demo: xxHash refused its input\n");
	abort();
}

void checksum_start(struct checksum *sum, const char *path, size_t length)
{
	XXH3_state_t *state = (void *)sum->state;

	XXH3_INITSTATE(state);
	must_work(XXH3_64bits_reset(state));
	checksum_add(sum, path, length);
}

void checksum_add(struct checksum *sum, const void *data, size_t length)
{
	if (length > 0)
		must_work(XXH3_64bits_update((void *)sum->state, data, length));
}

uint64_t checksum_end(const struct checksum *sum)
{
	return XXH3_64bits_digest((const void *)sum->state);
}
