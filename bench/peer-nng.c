/* SPDX-License-Identifier: MIT */
/*
 * nng: push and pull over ipc.
 */
#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>

#include "installed.h"
#include "loops.h"

struct nng_line {
	struct line line; /* first */
	nng_socket socket;
};

static int nng_line_open(struct channel *ch)
{
	return line_open(ch, "ipc:///tmp/shmring-bench-%d-%d");
}

static void nng_line_close(struct channel *ch)
{
	struct line *l = ch->state;

	unlink(l->address + sizeof("ipc://") - 1);
	line_close(ch);
}

static void check(struct side *side, const char *what, int e)
{
	if (__builtin_expect(e != 0, 0))
		row_fail(side, "%s: %s", what, nng_strerror(e));
}

/* The socket's number, which is all of it, is kept in the pointer. */
static nng_socket socket_of(const struct line *l)
{
	return (nng_socket){ .id = (uint32_t)(uintptr_t)l->socket };
}

static void nng_join(struct side *side)
{
	nng_socket socket;
	struct line *l;

	if (side->in) {
		l = side->in->state;
		check(side, "nng_pull0_open", nng_pull0_open(&socket));
		check(side, l->address, nng_listen(socket, l->address, NULL, 0));
		l->socket = (void *)(uintptr_t)socket.id;
	}
	if (side->out) {
		l = side->out->state;
		check(side, "nng_push0_open", nng_push0_open(&socket));
		check(side, l->address, nng_dial(socket, l->address, NULL, NNG_FLAG_NONBLOCK));
		l->socket = (void *)(uintptr_t)socket.id;
	}
}

static void nng_leave(struct side *side)
{
	struct line *l;

	if (side->in) {
		l = side->in->state;
		atomic_store(l->received, 1);
		if (side->kind == STREAM)
			nng_close(socket_of(l));
	}
	if (side->out && side->kind == STREAM) {
		line_await_receipt(side);
		nng_close(socket_of(side->out->state));
	}
}

OPERATION uint64_t *nng_claim(struct side *side)
{
	struct line *l = side->out->state;

	return l->buffer;
}

OPERATION void nng_commit(struct side *side)
{
	struct line *l = side->out->state;

	check(side, "nng_send", nng_send(socket_of(l), l->buffer, side->message, 0));
}

OPERATION const uint64_t *nng_peek(struct side *side, size_t *ret_len)
{
	struct line *l = side->in->state;

	*ret_len = side->message;
	check(side, "nng_recv", nng_recv(socket_of(l), l->buffer, ret_len, 0));
	return l->buffer;
}

OPERATION void nng_release(struct side *side)
{
	(void)side;
}

static void run_nng(struct side *side)
{
	static const struct link_ops ops = {
		.claim = nng_claim, .commit = nng_commit, .peek = nng_peek, .release = nng_release
	};

	run_link(side, &ops);
}

const struct subject peer_nng[] = {
	{ "nng", .open = nng_line_open, .join = nng_join, .run = run_nng, .leave = nng_leave,
	  .close = nng_line_close, .sleeps = true },
	{ 0 },
};
