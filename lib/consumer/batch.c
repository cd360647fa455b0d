/* SPDX-License-Identifier: MIT */
/*
 * batch: several messages at once: peek at a batch, and release the first of those in hand.
 *
 * A batch ends where its lane has no further message, so it costs one wait and one choice of a
 * lane. If the consumer is evicted while it reads, the messages that it has got are void. The
 * program has not seen them, so the batch begins anew, unless others were in hand before.
 *
 * To release the first n messages, the runs of window.c give the lanes in order. A walk over the
 * headers, from the released position on, finds where the first messages of a lane end. The cursor
 * protects them. But another process owns the lane, so each header is read once and checked again,
 * and no walk leaves what was handed out. A consumer that was evicted meanwhile may have walked
 * through newer payload: it looks at its status word after the walk, and before it releases
 * anything [EVICT].
 */
#include <errno.h>

#include "consumer.h"
#include "explain.h"
#include "sys.h"

/* Is there another message for a batch in the lane, which keeps its turn? */
static bool more_in_lane(struct shmring_consumer *c)
{
	if (c->observer || c->broken || !reader_has_message(c, current_reader(c)))
		return false;
	if ((int64_t)(c->hot.turn - c->hot.lane->at.position) <= 0)
		c->hot.turn = c->hot.lane->at.position + 1;
	return true;
}

/* -ESTALE: what there is of the batch was overwritten. */
static int peek_several(struct shmring_consumer *c, int64_t deadline, struct shmring_message *ret,
			int count)
{
	int n;
	int e = shmring_peek(c, deadline, ret);

	if (e < 0)
		return e;
	for (n = 1; n < count && more_in_lane(c); n++) {
		e = shmring_peek(c, SHMRING_NOWAIT, &ret[n]);
		if (e == -ESTALE)
			return e;
		if (e < 0)
			break; /* the next call meets the same, and reports it */
	}
	return n;
}

static bool is_past(int64_t deadline)
{
	return deadline != SHMRING_NOWAIT && deadline != SHMRING_FOREVER && shmr_now() >= deadline;
}

/*
 * The batch has gone again, and the caller has seen nothing of it that is to be discarded. True:
 * read another one. A producer that damages its lane can take all of them away. A few
 * tries come before the deadline counts: messages that are there are no wait.
 */
static bool may_read_again(struct tries *tries, int64_t deadline)
{
	return shmr_try_again(tries) && (tries->until == 0 || !is_past(deadline));
}

int shmring_peek_batch(struct shmring_consumer *c, int64_t deadline, struct shmring_message *ret,
		       int count)
{
	const bool in_hand = !consumer_wiped(c) && consumer_in_hand(c) != 0;
	struct tries tries = { 0 };
	int n;

	if (count < 1)
		return explain(-EINVAL, "a batch needs room for at least 1 message");
	do
		n = peek_several(c, deadline, ret, count);
	while (n == -ESTALE && !in_hand && may_read_again(&tries, deadline));
	if (n != -ESTALE || in_hand)
		return n;
	return explain(
		is_past(deadline) ? -ETIMEDOUT : -ESTALE,
		"this consumer was evicted again and again while it read a batch, so nothing "
		"of the batch counts; a producer may be broken");
}

/* How far messages are to be released; bit i of `touched`: lane i goes to to[i]. */
struct plan {
	struct shmring_boundary to[LAYOUT_LANES];
	uint64_t touched;
	uint64_t left; /* messages to be found yet */
};

/* Over `count` messages, which end before `end`. False: the lane is damaged. */
static bool walk_messages(const struct shmring_consumer *c, const struct reader *l,
			  struct shmring_boundary *at, uint64_t count, uint64_t end)
{
	for (; count > 0; count--) {
		uint64_t header = lane_header(&l->lane, at->position);
		uint64_t length = header_length(header);

		if (!header_is_record(header) || length > c->max_message)
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
		return walk_messages(c, l, to, count, end->position);
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
		return explain(-ENOMEM, "there was no memory to remember the order in which "
					"messages were handed out; release all of them");
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
