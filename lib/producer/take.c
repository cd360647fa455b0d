/* SPDX-License-Identifier: MIT */
/*
 * take: how a producer gets the lines that it is about to write.
 *
 * In a lane that fits into the caches of two cores every line was read by a
 * consumer one lap ago, and to store into it means to take it away from there.
 * These misses overlap if nothing but misses stands in the store queue; a
 * message with its header, its end and the counts between them fills it up. So
 * a stream takes its lines in advance, with one store each, some dozens in a
 * row: 6 ns a line rather than 14, and the messages themselves hit the cache.
 *
 * A producer does so only within what it has reserved (no consumer reads there), behind
 * its last record, and only while its readers are some way behind. When they are at its
 * heels it is a conversation, in which the next line can be taken while the other side
 * works; or they would fetch the lines back.
 */
#include "producer.h"

#define LINE ((uint64_t)64)
#define AHEAD ((uint64_t)2048)	  /* bytes in a row; twice as many was slower */
#define AT_MOST ((uint64_t)65536) /* of a long message */

void producer_take(struct shmring_producer *p, uint64_t size)
{
	uint64_t at = p->hot.position;
	uint64_t room = producer_room(p);
	uint64_t wanted = size < AHEAD ? AHEAD : size < AT_MOST ? size : AT_MOST;
	uint64_t end = p->streaming ? earlier(room, at + wanted) : room;
	uint64_t line = later(p->taken, at);

	if (p->streaming)
		for (line = (line + LINE - 1) & ~(LINE - 1); (int64_t)(end - line) > 0;
		     line += LINE)
			store_relaxed(lane_word(p->lane.data, p->lane.mask, line), 0);
	p->taken = later(end, at + size);
	producer_set_limit(p);
}
