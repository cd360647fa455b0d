/* SPDX-License-Identifier: MIT */
/*
 * keeper-queue: see keeper-queue.h.
 */
#include "keeper-queue.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void queue_open(struct keeper_queue *q)
{
	*q = (struct keeper_queue){ 0 };
	TAILQ_INIT(&q->words);
}

static void discard(struct keeper_queue *q, struct queued_word *w)
{
	TAILQ_REMOVE(&q->words, w, next);
	q->count--;
	if (w->own && w->fd >= 0)
		close(w->fd);
	if (w->own && w->second >= 0)
		close(w->second);
	free(w);
}

void queue_clear(struct keeper_queue *q)
{
	while (q->count > 0)
		discard(q, TAILQ_FIRST(&q->words));
	q->incomplete = false;
}

struct queued_word *queue_first(struct keeper_queue *q)
{
	return TAILQ_FIRST(&q->words);
}

void queue_shift(struct keeper_queue *q)
{
	discard(q, TAILQ_FIRST(&q->words));
}

struct queued_word *queue_word(struct keeper_queue *q, enum word_type type)
{
	struct queued_word *w = calloc(1, sizeof(*w));

	if (!w) {
		q->incomplete = true;
		return NULL;
	}
	w->word.type = type;
	w->fd = w->second = -1;
	TAILQ_INSERT_TAIL(&q->words, w, next);
	q->count++;
	return w;
}

static void name_file(struct queued_word *w, int fd, const char *label)
{
	struct stat st;

	if (fstat(fd, &st) == 0) {
		w->word.device = st.st_dev;
		w->word.inode = st.st_ino;
	}
	if (label)
		strncat(w->label, label, sizeof(w->label) - 1);
}

void queue_put(struct keeper_queue *q, int fd, uint64_t serial, const char *label)
{
	struct queued_word *w = queue_word(q, WORD_PUT);

	if (!w)
		return;
	name_file(w, fd, label);
	w->word.serial = serial;
	w->fd = fd;
}

/* The word that puts that file and was not taken yet; NULL: it was. */
static struct queued_word *find_put(struct keeper_queue *q, int fd)
{
	struct queued_word *w;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return NULL;
	TAILQ_FOREACH (w, &q->words, next)
		if (w->word.type == WORD_PUT && w->word.inode == st.st_ino &&
		    w->word.device == st.st_dev)
			return w;
	return NULL;
}

void queue_drop(struct keeper_queue *q, int fd, const char *label)
{
	struct queued_word *w = find_put(q, fd);

	if (w) {
		discard(q, w);
		return;
	}
	w = queue_word(q, WORD_DROP);
	if (w)
		name_file(w, fd, label);
}
