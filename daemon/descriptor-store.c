/* SPDX-License-Identifier: MIT */
/*
 * descriptor-store: see descriptor-store.h.
 */
#include "descriptor-store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "explain.h"
#include "log.h"
#include "sys.h"

#define RETRY_NS INT64_C(100000000)

void descriptor_store_open(struct descriptor_store *s)
{
	const char *most = getenv("FDSTORE");

	*s = (struct descriptor_store){ .used = most && getenv("NOTIFY_SOCKET") };
	s->most = most ? strtoull(most, NULL, 10) : 0;
	queue_open(&s->queue);
}

/* Try one last time: after the broker's end no process sends the rest. */
void descriptor_store_close(struct descriptor_store *s)
{
	if (s->queue.count > 0)
		descriptor_store_tick(s, s->retry_ns);
	if (s->queue.count > 0)
		log_say(LOG_ERR,
			"systemd did not take %zu messages about isolated rings: the next broker "
			"may lack rings, or find removed ones again",
			s->queue.count);
	queue_clear(&s->queue);
}

/* systemd drops a descriptor by its name; the order of the words is kept. */
static int say(const struct queued_word *w)
{
	char state[LABEL_SIZE + 64];

	if (w->word.type == WORD_DROP)
		return sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", w->label);
	snprintf(state, sizeof(state), "FDSTORE=1\nFDNAME=%s", w->label);
	return sd_pid_notify_with_fds(0, 0, state, &w->fd, 1);
}

static void flush(struct descriptor_store *s)
{
	bool waited = s->retry_ns != 0;
	struct queued_word *w;
	int e = 0;

	while (e >= 0 && (w = queue_first(&s->queue))) {
		e = say(w);
		if (e >= 0)
			queue_shift(&s->queue);
	}
	s->retry_ns = e < 0 ? shmr_now() + RETRY_NS : 0;
	if (e < 0 && !waited)
		log_say(LOG_WARNING,
			"systemd does not take messages about isolated rings: %s; the broker sends "
			"them again",
			strerror(-e));
}

void descriptor_store_tick(struct descriptor_store *s, int64_t now)
{
	if (s->retry_ns != 0 && now >= s->retry_ns)
		flush(s);
}

void descriptor_store_put(struct descriptor_store *s, int fd, const char *label)
{
	if (!s->used)
		return;
	queue_put(&s->queue, fd, 0, label);
	if (s->retry_ns == 0)
		flush(s);
}

void descriptor_store_drop(struct descriptor_store *s, int fd, const char *label)
{
	if (!s->used)
		return;
	queue_drop(&s->queue, fd, label);
	if (s->retry_ns == 0)
		flush(s);
}

static void tell(struct descriptor_store *s)
{
	bool near = s->reserved >= s->most - s->most / 10;

	if (near != s->near)
		sd_notifyf(0,
			   "STATUS=Isolated rings need %" PRIu64 " of the %" PRIu64
			   " descriptors of the descriptor store",
			   s->reserved, s->most);
	if (near && !s->near)
		log_say(LOG_WARNING,
			"isolated rings need %" PRIu64 " of the %" PRIu64
			" descriptors that systemd keeps; raise FileDescriptorStoreMax= and "
			"FDSTORE= of the unit",
			s->reserved, s->most);
	s->near = near;
}

int descriptor_store_reserve(struct descriptor_store *s, uint64_t count, bool forced)
{
	if (!s->used)
		return 0;
	if (!forced && (count > s->most || s->reserved > s->most - count))
		return explain(-ENOSPC,
			       "systemd keeps up to %u descriptors for the broker, of which other "
			       "rings need %u and this one %u: remove a ring, or raise "
			       "FileDescriptorStoreMax= and FDSTORE= of the broker's unit",
			       s->most, s->reserved, count);
	s->reserved += count;
	tell(s);
	return 0;
}

void descriptor_store_give(struct descriptor_store *s, uint64_t count)
{
	if (!s->used)
		return;
	s->reserved -= count;
	tell(s);
}
