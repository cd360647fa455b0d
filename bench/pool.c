/* SPDX-License-Identifier: MIT */
/*
 * Pool, line: see installed.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "installed.h"

struct pool *pool_open(struct channel *ch, size_t (*queue_size)(size_t count))
{
	struct pool *p = calloc(1, sizeof(*p));
	size_t queue;

	if (!p)
		return NULL;
	p->count = 2;
	while (2 * p->count * ch->message <= ch->capacity)
		p->count *= 2;
	p->message = ch->message;
	queue = (queue_size(p->count) + LINE - 1) / LINE * LINE;
	p->size = queue + (p->count + 1) * ch->message;
	p->queue = row_shared(p->size);
	p->slots = (char *)p->queue + queue;
	ch->state = p;
	return p;
}

void pool_close(struct channel *ch)
{
	struct pool *p = ch->state;

	munmap(p->queue, p->size);
	free(p);
}

int line_open(struct channel *ch, const char *format)
{
	static int number;
	struct line *l = calloc(1, sizeof(*l));

	if (!l)
		return -1;
	l->buffer = aligned_alloc(LINE, (ch->message + LINE - 1) / LINE * LINE);
	if (!l->buffer) {
		free(l);
		return -1;
	}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(l->address, sizeof(l->address), format, (int)getpid(), number++);
#pragma GCC diagnostic pop
	l->received = row_shared(sizeof(*l->received));
	ch->state = l;
	return 0;
}

void line_close(struct channel *ch)
{
	struct line *l = ch->state;

	munmap((void *)l->received, sizeof(*l->received));
	free(l->buffer);
	free(l);
}

void line_await_receipt(struct side *side)
{
	struct line *l = side->out->state;

	while (atomic_load(l->received) == 0)
		usleep(100);
}
