/* SPDX-License-Identifier: MIT */
/*
 * keeper-queue: words that the keeper has not taken yet, in their order. Only the newest
 * word about a file counts: a file that is dropped before it was put leaves nothing
 * behind. So there are at most as many words as there are files, here and at the keeper.
 */
#ifndef DAEMON_KEEPER_QUEUE_H
#define DAEMON_KEEPER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "keeper-words.h"
#include "label.h"

struct queued_word {
	TAILQ_ENTRY(queued_word) next;
	struct word word;
	int fd, second; /* -1: none */
	bool own;	/* the descriptors are the queue's; else those of the file's owner */
	char label[LABEL_SIZE];
};

TAILQ_HEAD(queued_words, queued_word);

struct keeper_queue {
	struct queued_words words;
	size_t count;
	bool incomplete; /* a word is missing: there was no memory for it */
};

void queue_open(struct keeper_queue *q);
void queue_clear(struct keeper_queue *q);

/* NULL: nothing waits. */
struct queued_word *queue_first(struct keeper_queue *q);
void queue_shift(struct keeper_queue *q); /* the first one was taken */

/* A word without a file, and one with: a copy, or NULL without memory. */
struct queued_word *queue_word(struct keeper_queue *q, enum word_type type);
void queue_put(struct keeper_queue *q, int fd, uint64_t serial, const char *label);
void queue_drop(struct keeper_queue *q, int fd, const char *label);

#endif
