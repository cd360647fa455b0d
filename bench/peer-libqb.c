/* SPDX-License-Identifier: MIT */
/*
 * libqb's ring buffer: messages of any length, filled and read in place, one semaphore.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <qb/qbdefs.h>
#include <qb/qbrb.h>

#include "installed.h"
#include "loops.h"

#define PATIENCE_MS 1000

static int qb_open(struct channel *ch)
{
	static int number;
	char name[64];

	snprintf(name, sizeof(name), "shmring-bench-%d-%d", (int)getpid(), number++);
	ch->state =
		qb_rb_open(name, ch->capacity, QB_RB_FLAG_CREATE | QB_RB_FLAG_SHARED_PROCESS, 0);
	return ch->state ? 0 : 1;
}

static void qb_close(struct channel *ch)
{
	qb_rb_close(ch->state);
}

OPERATION uint64_t *qb_claim(struct side *side)
{
	void *data;

	while (!(data = qb_rb_chunk_alloc(side->out->state, side->message)))
		cpu_pause();
	return data;
}

OPERATION void qb_commit(struct side *side)
{
	int e = qb_rb_chunk_commit(side->out->state, side->message);

	if (e < 0)
		row_fail(side, "qb_rb_chunk_commit: %s", strerror(-e));
}

OPERATION const uint64_t *qb_peek(struct side *side, size_t *ret_len)
{
	void *data = NULL;
	ssize_t n;

	do
		n = qb_rb_chunk_peek(side->in->state, &data, PATIENCE_MS);
	while (n == 0 || n == -ETIMEDOUT || n == -EINTR);
	if (n < 0)
		row_fail(side, "qb_rb_chunk_peek: %s", strerror((int)-n));
	*ret_len = (size_t)n;
	return data;
}

OPERATION void qb_release(struct side *side)
{
	qb_rb_chunk_reclaim(side->in->state);
}

static void run_qb(struct side *side)
{
	static const struct link_ops ops = {
		.claim = qb_claim, .commit = qb_commit, .peek = qb_peek, .release = qb_release
	};

	run_link(side, &ops);
}

const struct subject peer_libqb[] = {
	{ "libqb", .open = qb_open, .close = qb_close, .run = run_qb },
	{ 0 },
};
