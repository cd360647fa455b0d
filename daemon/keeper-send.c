/* SPDX-License-Identifier: MIT */
/*
 * keeper-send: see keeper-send.h.
 */
#include "keeper-send.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"
#include "sys.h"

uint64_t keeper_next_serial(struct keeper *k)
{
	uint64_t now = (uint64_t)shmr_now();

	k->serial = now > k->serial ? now : k->serial + 1;
	return k->serial;
}

static int send_first(struct keeper *k, const struct queued_word *w)
{
	if (w->word.type != WORD_NAME)
		return word_say(k->watch.fd, &w->word, w->fd, w->second, MSG_DONTWAIT);
	return renameat(k->directory, KEEPER_NEW_NAME, k->directory, KEEPER_NAME) < 0 ? -errno : 0;
}

void keeper_release(struct keeper *k)
{
	k->behind = false;
	k->overdue_ns = 0;
	k->calls->caught_up(k);
}

static void caught_up(struct keeper *k)
{
	if (k->hung && !k->takes_back)
		log_say(LOG_NOTICE, "the keeper of isolated rings goes on");
	k->hung = k->hung && k->takes_back;
	keeper_release(k);
}

/* KE1. If the keeper has died, the end of its connection says so. */
static int send_words(struct keeper *k)
{
	struct queued_word *w;
	int e = 0;

	while (e == 0 && (w = queue_first(&k->queue))) {
		e = send_first(k, w);
		if (e < 0 && w->word.type == WORD_NAME) {
			log_say(LOG_WARNING,
				"the next broker cannot find the keeper of isolated rings: %s",
				strerror(-e));
			e = 0;
		}
		if (e == 0)
			queue_shift(&k->queue);
	}
	return e;
}

void keeper_flush(struct keeper *k)
{
	int e;

	if (k->watch.fd < 0)
		return;
	e = send_words(k);
	k->throttled = e < 0 && e != -EAGAIN;
	loop_change(k->loop, &k->watch, EPOLLIN | (e == -EAGAIN ? EPOLLOUT : 0));
	if (e == 0 && (k->behind || k->hung))
		caught_up(k);
	if (e < 0 && k->overdue_ns == 0 && !k->hung)
		k->overdue_ns = shmr_now() + KEEPER_PATIENCE_NS;
	k->behind = e < 0;
}

void keeper_push(struct keeper *k)
{
	if (k->watch.fd < 0)
		queue_clear(&k->queue);
	else
		keeper_flush(k);
}
