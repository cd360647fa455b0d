/* SPDX-License-Identifier: MIT */
/*
 * ZeroMQ: PUSH and PULL over ipc.
 */
#include <errno.h>

#include <zmq.h>

#include "installed.h"
#include "loops.h"

static int zmq_line_open(struct channel *ch)
{
	return line_open(ch, "ipc://@shmring-bench-%d-%d");
}

static void open_socket(struct side *side, struct line *l, bool sends)
{
	int e;

	l->context = zmq_ctx_new();
	l->socket = l->context ? zmq_socket(l->context, sends ? ZMQ_PUSH : ZMQ_PULL) : NULL;
	if (!l->socket)
		row_fail(side, "zmq_socket: %s", zmq_strerror(errno));
	e = sends ? zmq_connect(l->socket, l->address) : zmq_bind(l->socket, l->address);
	if (e)
		row_fail(side, "%s: %s", l->address, zmq_strerror(errno));
}

static void zmq_join(struct side *side)
{
	if (side->in)
		open_socket(side, side->in->state, false);
	if (side->out)
		open_socket(side, side->out->state, true);
}

static void zmq_leave(struct side *side)
{
	struct line *l;

	if (side->in) {
		l = side->in->state;
		atomic_store(l->received, 1);
		zmq_close(l->socket);
		zmq_ctx_term(l->context);
	}
	if (side->out) {
		l = side->out->state;
		zmq_close(l->socket);
		zmq_ctx_term(l->context); /* waits until everything is sent */
	}
}

OPERATION uint64_t *zmq_claim(struct side *side)
{
	struct line *l = side->out->state;

	return l->buffer;
}

OPERATION void zmq_commit(struct side *side)
{
	struct line *l = side->out->state;

	if (zmq_send(l->socket, l->buffer, side->message, 0) < 0)
		row_fail(side, "zmq_send: %s", zmq_strerror(errno));
}

OPERATION const uint64_t *zmq_peek(struct side *side, size_t *ret_len)
{
	struct line *l = side->in->state;
	int n = zmq_recv(l->socket, l->buffer, side->message, 0);

	if (n < 0)
		row_fail(side, "zmq_recv: %s", zmq_strerror(errno));
	*ret_len = (size_t)n;
	return l->buffer;
}

OPERATION void zmq_release(struct side *side)
{
	(void)side;
}

static void run_zmq(struct side *side)
{
	static const struct link_ops ops = {
		.claim = zmq_claim, .commit = zmq_commit, .peek = zmq_peek, .release = zmq_release
	};

	run_link(side, &ops);
}

const struct subject peer_zmq[] = {
	{ "zeromq", .open = zmq_line_open, .join = zmq_join, .run = run_zmq, .leave = zmq_leave,
	  .close = line_close, .sleeps = true },
	{ 0 },
};
