/* SPDX-License-Identifier: MIT */
/*
 * window: in which order the messages in hand were handed out.
 *
 * For each lane a consumer knows only the position that is released and the position
 * that was handed out, so the inline path of a message has nothing to note. When a turn
 * ends with messages in hand, the consumer notes a run: a lane, and how far it had been
 * handed out. The runs give the order of the lanes. The lane whose turn it is comes
 * after all runs.
 */
#include <string.h>
#include <sys/mman.h>

#include "consumer.h"

#define FIRST_ROOM 128 /* runs: a page of 4 KiB */

void window_clear(struct shmring_consumer *c)
{
	c->window.first = c->window.end = 0;
	c->window.unknown = false;
	for (unsigned i = 0; i < LAYOUT_LANES; i++)
		c->readers[i].noted = POSITION_NONE;
}

void window_close(struct shmring_consumer *c)
{
	if (c->window.room > 0)
		munmap(c->window.runs, c->window.room * sizeof(struct turn_run));
	c->window.room = 0;
}

/*
 * By system calls alone: a peek may be called where malloc(3) may not. A child of fork
 * has no use for it.
 */
static bool grow_window(struct shmring_consumer *c)
{
	struct window *w = &c->window;
	uint32_t count = w->end - w->first;
	uint32_t room = w->room > 0 ? 2 * w->room : FIRST_ROOM;
	struct turn_run *runs;

	if (w->end < w->room)
		return true;
	if (count < w->room / 2) {
		memmove(w->runs, w->runs + w->first, count * sizeof(*runs));
	} else {
		runs = mmap(NULL, room * sizeof(*runs), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		c->counters.system_calls += 2;
		if (runs == MAP_FAILED)
			return false;
		madvise(runs, room * sizeof(*runs), MADV_DONTFORK);
		if (count > 0)
			memcpy(runs, w->runs + w->first, count * sizeof(*runs));
		window_close(c);
		w->runs = runs;
		w->room = room;
	}
	w->first = 0;
	w->end = count;
	return true;
}

void window_note(struct shmring_consumer *c)
{
	struct window *w = &c->window;
	struct reader *l = current_reader(c);

	if (l->hot.at.position == l->hot.released.position || l->hot.at.position == l->noted)
		return;
	if ((consumer_in_hand(c) & ~(UINT64_C(1) << l->hot.index)) == 0) {
		/* All that is in hand is this lane's, whatever its turns were. */
		w->first = w->end = 0;
		w->unknown = false;
	}
	if (w->unknown)
		return;
	if (w->end > w->first && w->runs[w->end - 1].lane == l->hot.index) {
		w->end--;
	} else if (!grow_window(c)) {
		w->unknown = true;
		return;
	}
	w->runs[w->end++] = (struct turn_run){ .end = l->hot.at, .lane = l->hot.index };
	l->noted = l->hot.at.position;
}
