/* SPDX-License-Identifier: MIT */
/*
 * Random numbers that repeat: the same seed gives the same test.
 */
#ifndef TESTS_SUPPORT_RANDOM_H
#define TESTS_SUPPORT_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* splitmix64 */
static inline uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* 0 to limit - 1 */
static inline uint64_t random_below(uint64_t *state, uint64_t limit)
{
	return random_next(state) % limit;
}

/*
 * A message size from `min` to `max`: any magnitude is as likely as any other,
 * so that small ones, which meet the end of the lane in most ways, abound.
 */
static inline size_t random_size(uint64_t *state, size_t min, size_t max)
{
	uint64_t span = max - min + 1;
	unsigned bits = 64 - (unsigned)__builtin_clzll(span);

	return min +
	       (size_t)(random_next(state) % ((uint64_t)1 << random_below(state, bits + 1)) % span);
}

/*
 * The seed of this run: SHMRING_TEST_SEED, or always the same one, so that a
 * failure repeats.
 */
uint64_t random_seed(void);

#endif
