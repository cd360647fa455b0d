/* SPDX-License-Identifier: MIT */
/*
 * Honest work: the producer writes every word of a message, the consumer reads
 * every word. Word i of message `sequence` is sequence + i, so the sum is known.
 *
 * Vectors are spelled out because the bench should not depend on the level of
 * optimisation its builder chose. Their width matters: a line written by one
 * store takes one place in the store buffer, so more lines are under way.
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include <stddef.h>
#include <stdint.h>

/* First word of the message that ends a row. */
#define LAST_MESSAGE UINT64_MAX

#if defined(__AVX512F__)
#define WORK_WORDS 8
#elif defined(__AVX2__)
#define WORK_WORDS 4
#else
#define WORK_WORDS 2
#endif

typedef uint64_t work_block __attribute__((vector_size(8 * WORK_WORDS), aligned(8), may_alias));

static inline void work_fill(uint64_t *word, size_t bytes, uint64_t sequence)
{
	size_t i, blocks = bytes / sizeof(work_block), rest = bytes / 8 % WORK_WORDS;
	work_block next = { 0 };

	for (i = 0; i < WORK_WORDS; i++)
		next[i] = sequence + i;
	for (i = 0; i < blocks; i++) {
		((work_block *)word)[i] = next;
		next += WORK_WORDS;
	}
	word += blocks * WORK_WORDS;
	for (i = 0; i < rest; i++)
		word[i] = sequence + blocks * WORK_WORDS + i;
}

static inline uint64_t work_sum(const uint64_t *word, size_t bytes)
{
	size_t i, blocks = bytes / sizeof(work_block), rest = bytes / 8 % WORK_WORDS;
	work_block sums = { 0 };
	uint64_t sum = 0;

	for (i = 0; i < blocks; i++)
		sums += ((const work_block *)word)[i];
	for (i = 0; i < rest; i++)
		sum += word[blocks * WORK_WORDS + i];
	for (i = 0; i < WORK_WORDS; i++)
		sum += sums[i];
	return sum;
}

static inline uint64_t work_expected(size_t bytes, uint64_t sequence)
{
	uint64_t words = bytes / 8;

	return words * sequence + words * (words - 1) / 2;
}

#endif
