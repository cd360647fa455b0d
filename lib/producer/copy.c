/* SPDX-License-Identifier: MIT */
/*
 * copy: how the stores of a producer get past the caches.
 *
 * In a lane that fits into the caches of two cores every line was read by a
 * consumer one lap ago, and to store into it means to take it away from there,
 * line by line. There are two ways around that.
 *
 * A large message goes into the lane by non-temporal stores, which go around the
 * caches: from 4 KiB on they are half again as fast, at 64 KiB more than twice,
 * and reading what they wrote costs the consumer little more. In larger lanes
 * the lines have left the caches by themselves, and plain stores are faster.
 *
 * A stream of small messages takes its lines in advance, with one store each, some
 * dozens in a row: 6 ns a line rather than 14, and the messages themselves hit the
 * cache. For these misses overlap if nothing but misses stands in the store queue; a
 * message with its header, its end and the counts between them fills it up.
 *
 * A producer takes lines only within what it has reserved (no consumer reads there),
 * behind its last record, and only while its readers are some way behind. When they are
 * at its heels it is a conversation, in which the next line can be taken while the other
 * side works; or they would fetch the lines back.
 */
#include "producer.h"

#include <string.h>

#define LINE ((uint64_t)64)
#define AHEAD ((uint64_t)2048)	  /* bytes in a row; twice as many was slower */
#define AT_MOST ((uint64_t)65536) /* of a long message */

#if defined(__SSE2__)
#include <emmintrin.h>

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

void producer_take(struct shmring_producer *p, uint64_t size)
{
	uint64_t at = p->hot.position;
	uint64_t room = producer_room(p);
	uint64_t wanted = size < AHEAD ? AHEAD : size < AT_MOST ? size : AT_MOST;
	uint64_t end = p->copy.streaming ? earlier(room, at + wanted) : room;
	uint64_t line = later(p->copy.taken, at);

	if (p->copy.streaming)
		for (line = (line + LINE - 1) & ~(LINE - 1); (int64_t)(end - line) > 0;
		     line += LINE)
			store_relaxed(lane_word(p->lane.data, p->lane.mask, line), 0);
	p->copy.taken = later(end, at + size);
	producer_set_limit(p);
}
