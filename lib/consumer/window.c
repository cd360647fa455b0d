/* SPDX-License-Identifier: MIT */
/*
 * window: release the first of several messages in hand.
 *
 * For each lane a consumer knows only the position that is released and the position
 * that was handed out, so the inline path of a message has nothing to note. When a turn
 * ends with messages in hand, the consumer notes a run: a lane, and how far it had been
 * handed out. The runs give the order of the lanes. The lane whose turn it is comes
 * after all runs.
 *
 * A walk over the headers, from the released position on, finds where the first n
 * messages of a lane end. Our cursor protects them. But another process owns the lane,
 * so each header is read once and checked again, and no walk leaves what was handed
 * out. A consumer that was evicted meanwhile may have walked through newer payload: it
 * looks at its status word after the walk, and before it releases anything [EVICT].
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "consumer.h"
#include "explain.h"

#define FIRST_ROOM 128 /* runs: a page of 4 KiB */

/* How far messages are to be released; bit i of `touched`: lane i goes to to[i]. */
struct plan {
	struct shmring_boundary to[LAYOUT_LANES];
	uint64_t touched;
	uint64_t left; /* messages to be found yet */
};

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
static bool make_room(struct shmring_consumer *c)
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
	} else if (!make_room(c)) {
		w->unknown = true;
		return;
	}
	w->runs[w->end++] = (struct turn_run){ .end = l->hot.at, .lane = l->hot.index };
	l->noted = l->hot.at.position;
}

/* Over `count` messages, which end before `end`. False: the lane is damaged. */
static bool walk(const struct shmring_consumer *c, const struct reader *l,
		 struct shmring_boundary *at, uint64_t count, uint64_t end)
{
	for (; count > 0; count--) {
		uint64_t header = lane_header(&l->lane, at->position);
		uint64_t length = header_length(header);

		if (!(header & HEADER_VALID) || length > c->max_message)
			return false;
		at->position += consumer_size_of(c, length);
		at->seq++;
		at->bytes += length;
		if ((int64_t)(end - at->position) <= 0)
			return false;
	}
	return true;
}

/* Take as many as are wanted from a run that ends there. False: the lane is damaged. */
static bool take_run(const struct shmring_consumer *c, const struct reader *l,
		     const struct shmring_boundary *end, struct plan *plan)
{
	uint64_t bit = UINT64_C(1) << l->hot.index;
	struct shmring_boundary *to = &plan->to[l->hot.index];
	uint64_t count;

	if (!(plan->touched & bit))
		*to = l->hot.released;
	count = end->seq - to->seq;
	if ((int64_t)count <= 0)
		return true; /* released since it was noted */
	plan->touched |= bit;
	if (plan->left < count) {
		count = plan->left;
		plan->left = 0;
		return walk(c, l, to, count, end->position);
	}
	*to = *end;
	plan->left -= count;
	return true;
}

static bool make_plan(const struct shmring_consumer *c, struct plan *plan)
{
	const struct window *w = &c->window;

	for (uint32_t i = w->first; i < w->end && plan->left > 0; i++)
		if (!take_run(c, &c->readers[w->runs[i].lane], &w->runs[i].end, plan))
			return false;
	return !c->hot.lane || plan->left == 0 ||
	       take_run(c, current_reader(c), &c->hot.lane->at, plan);
}

static void carry_out(struct shmring_consumer *c, const struct plan *plan)
{
	struct window *w = &c->window;

	for (uint64_t lanes = plan->touched; lanes != 0; lanes &= lanes - 1) {
		unsigned i = (unsigned)__builtin_ctzll(lanes);
		struct reader *l = &c->readers[i];

		consumer_release_lane(c, l, &plan->to[i]);
		if (l->hot.at.position == l->hot.released.position)
			c->hot.others &= ~(lanes & -lanes);
	}
	while (w->first < w->end) {
		const struct turn_run *run = &w->runs[w->first];

		if ((int64_t)(run->end.seq - c->readers[run->lane].hot.released.seq) > 0)
			break;
		w->first++;
	}
}

int shmring_release_first(struct shmring_consumer *c, uint64_t count)
{
	struct plan plan = { .left = count };
	bool sound;
	int e = consumer_wiped(c);

	if (e == 0)
		e = use_check_unless_checked(&c->use);
	if (e < 0)
		return e;
	if (c->broken)
		return explain(-EBADMSG, "a producer damaged its lane; this handle is unusable");
	if (count == 0 || c->observer)
		return 0;
	if (c->window.unknown && c->hot.others != 0)
		return explain(-ENOMEM, "there was no memory to remember in which order messages "
					"were handed out; release all of them");
	sound = make_plan(c, &plan);
	if (sound && plan.left > 0)
		return explain(-EINVAL, "only %u messages are in hand, not %u", count - plan.left,
			       count);
	e = consumer_keep_place(c, sound);
	if (e < 0)
		return e;
	if (!sound) {
		consumer_break(c);
		return explain(-EBADMSG, "a producer damaged messages that were handed out");
	}
	carry_out(c, &plan);
	return 0;
}
