/* SPDX-License-Identifier: MIT */
/*
 * copy: how a large message gets into a lane.
 *
 * In a lane that fits into the caches of two cores every line was read by a
 * consumer one lap ago, and to store into it means to take it away from there,
 * line by line. Non-temporal stores go around the caches and do not wait for
 * that: from 4 KiB on they are half again as fast, at 64 KiB more than twice,
 * and reading what they wrote costs the consumer little more. In larger lanes
 * the lines have left the caches by themselves, and plain stores are faster.
 */
#include "producer.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>

#define LINE ((size_t)64)

/* Whole lines by non-temporal stores; what is before and behind them plainly. */
static void copy_around_caches(unsigned char *to, const unsigned char *from, size_t len)
{
	size_t head = -(uintptr_t)to % LINE;

	memcpy(to, from, head);
	to += head;
	from += head;
	len -= head;
	for (; len >= LINE; to += LINE, from += LINE, len -= LINE)
		for (size_t i = 0; i < LINE; i += sizeof(__m128i))
			_mm_stream_si128(
				(__m128i *)(void *)(to + i),
				_mm_loadu_si128((const __m128i *)(const void *)(from + i)));
	memcpy(to, from, len);
	_mm_sfence(); /* they are not ordered by the release store that publishes */
}
#else
static void copy_around_caches(unsigned char *to, const unsigned char *from, size_t len)
{
	memcpy(to, from, len);
}
#endif

void producer_copy(const struct shmring_producer *p, void *to, const void *from, size_t len)
{
	if (len < SHMRING_LARGE || p->hot.mask >= CACHED_LANE)
		memcpy(to, from, len);
	else
		copy_around_caches(to, from, len);
}

/* As claim, copy and commit, but the lines are not taken: the stores go around them. */
int shmring_slow1_publish_large(struct shmring_producer *p, const void *data, size_t len,
				int64_t deadline)
{
	int e = producer_mark_claim(p, len);

	if (e == 0)
		e = producer_claim_room(p, len, deadline);
	if (e < 0)
		return e;
	p->hot.limit = later(p->hot.limit, p->hot.position + producer_size_of(p, len));
	producer_copy(p, p->hot.data + (p->hot.position & p->hot.mask) + RECORD_HEADER, data, len);
	return shmring_commit(p, len);
}
