/* SPDX-License-Identifier: MIT */
/*
 * Boost.Interprocess's message queue: see peer-boost.cpp.
 */
#include "installed.h"
#include "loops.h"
#include "peer-boost.h"

static int boost_open(struct channel *ch)
{
	struct line *l;

	if (line_open(ch, "shmring-bench-%d-%d"))
		return -1;
	l = ch->state;
	l->socket = boost_queue_new(l->address, ch->capacity / ch->message, ch->message);
	if (l->socket)
		return 0;
	line_close(ch);
	return 1;
}

static void boost_close(struct channel *ch)
{
	struct line *l = ch->state;

	boost_queue_free(l->socket, l->address);
	line_close(ch);
}

OPERATION uint64_t *boost_claim(struct side *side)
{
	struct line *l = side->out->state;

	return l->buffer;
}

OPERATION void boost_commit(struct side *side)
{
	struct line *l = side->out->state;

	if (boost_queue_send(l->socket, l->buffer, side->message) < 0)
		row_fail(side, "message_queue::send fails");
}

OPERATION const uint64_t *boost_peek(struct side *side, size_t *ret_len)
{
	struct line *l = side->in->state;
	long n = boost_queue_receive(l->socket, l->buffer, side->message);

	if (n < 0)
		row_fail(side, "message_queue::receive fails");
	*ret_len = (size_t)n;
	return l->buffer;
}

OPERATION void boost_release(struct side *side)
{
	(void)side;
}

static void run_boost(struct side *side)
{
	static const struct link_ops ops = { .claim = boost_claim,
					     .commit = boost_commit,
					     .peek = boost_peek,
					     .release = boost_release };

	run_link(side, &ops);
}

const struct subject peer_boost[] = {
	{ "boost", .open = boost_open, .close = boost_close, .run = run_boost, .sleeps = true },
	{ 0 },
};
