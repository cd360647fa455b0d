/* SPDX-License-Identifier: MIT */
/*
 * References: the smallest rings one can write by hand. They only poll, survive no
 * death of a process, and have one producer and one consumer. Their figures are the
 * bound of such a ring on this machine.
 *
 *	slotseq	fixed slots with a sequence word each, nothing else shared
 *	slotcur	the same, but the consumer tells how far it is in one shared
 *		word, sixteen times per lap, and never writes into slots
 *	slotidx	fixed slots with nothing but the message; two shared indices, and each end looks
 *		at the other one's only when what it saw last does not suffice
 *	spsc	bytes: length header, payload; two shared indices
 *
 * A consumer that finds nothing pauses once before it looks again; -b64: 64 times.
 * -line: slots begin on a cache line of their own.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "loops.h"

struct slot {
	_Atomic uint64_t sequence;
	uint64_t data[];
};

struct slots {
	_Alignas(LINE) _Atomic uint64_t cursor; /* the consumer's position; not slotseq */
	_Alignas(LINE) _Atomic uint64_t head;	/* the producer's; slotidx only */
	_Alignas(LINE) char first[];
};

/* One end; each process has its own copy after fork. */
struct slot_end {
	struct slots *shared;
	size_t stride, size;
	uint64_t count, step;
	uint64_t position;
	uint64_t cursor; /* slotseq, slotcur: as shared; slotidx: the other end's, as last seen */
	struct slot *slot;
};

/* `words`: how many bytes a slot has besides the message. */
static struct slot_end *slots_new(struct channel *ch, size_t words)
{
	size_t grain = ch->subject->stride, stride;
	struct slot_end *end = calloc(1, sizeof(*end));

	if (!end)
		return NULL;
	stride = (words + ch->message + grain - 1) / grain * grain;
	end->stride = stride;
	end->count = ch->capacity / stride;
	end->step = end->count < 16 ? 1 : end->count / 16;
	end->size = sizeof(struct slots) + stride * end->count;
	end->shared = row_shared(end->size);
	end->slot = (struct slot *)end->shared->first;
	ch->state = end;
	return end;
}

static int slots_open(struct channel *ch)
{
	struct slot_end *end = slots_new(ch, sizeof(struct slot));

	for (uint64_t i = 0; end && i < end->count; i++)
		atomic_init((_Atomic uint64_t *)(end->shared->first + i * end->stride), i);
	return end ? 0 : -1;
}

static int slotidx_open(struct channel *ch)
{
	return slots_new(ch, 0) ? 0 : -1;
}

static void slots_close(struct channel *ch)
{
	struct slot_end *end = ch->state;

	munmap(end->shared, end->size);
	free(end);
}

OPERATION void slots_next(struct slot_end *end)
{
	char *next = (char *)end->slot + end->stride;

	if (next == end->shared->first + end->stride * end->count)
		next = end->shared->first;
	end->slot = (struct slot *)next;
	end->position++;
}

OPERATION void back_off(int pauses)
{
	while (pauses-- > 0)
		cpu_pause();
}

OPERATION uint64_t *slotseq_claim(struct side *side)
{
	struct slot_end *end = side->out->state;

	while (atomic_load_explicit(&end->slot->sequence, memory_order_acquire) != end->position)
		cpu_pause();
	return end->slot->data;
}

OPERATION void slot_commit(struct side *side)
{
	struct slot_end *end = side->out->state;

	atomic_store_explicit(&end->slot->sequence, end->position + 1, memory_order_release);
	slots_next(end);
}

OPERATION const uint64_t *slot_peek(struct side *side, size_t *ret_len)
{
	struct slot_end *end = side->in->state;
	uint64_t wanted = end->position + 1;

	while (atomic_load_explicit(&end->slot->sequence, memory_order_acquire) != wanted)
		back_off(side->in->subject->backoff);
	*ret_len = side->in->message;
	return end->slot->data;
}

OPERATION void slotseq_release(struct side *side)
{
	struct slot_end *end = side->in->state;

	atomic_store_explicit(&end->slot->sequence, end->position + end->count,
			      memory_order_release);
	slots_next(end);
}

OPERATION uint64_t *slotcur_claim(struct side *side)
{
	struct slot_end *end = side->out->state;

	while (end->position - end->cursor >= end->count) {
		end->cursor = atomic_load_explicit(&end->shared->cursor, memory_order_acquire);
		if (end->position - end->cursor >= end->count)
			cpu_pause();
	}
	return end->slot->data;
}

OPERATION void slotcur_release(struct side *side)
{
	struct slot_end *end = side->in->state;

	slots_next(end);
	if (end->position - end->cursor < end->step)
		return;
	end->cursor = end->position;
	atomic_store_explicit(&end->shared->cursor, end->cursor, memory_order_release);
}

OPERATION uint64_t *slotidx_claim(struct side *side)
{
	struct slot_end *end = side->out->state;

	while (end->position - end->cursor >= end->count) {
		end->cursor = atomic_load_explicit(&end->shared->cursor, memory_order_acquire);
		if (end->position - end->cursor >= end->count)
			cpu_pause();
	}
	return (uint64_t *)end->slot;
}

OPERATION void slotidx_commit(struct side *side)
{
	struct slot_end *end = side->out->state;

	slots_next(end);
	atomic_store_explicit(&end->shared->head, end->position, memory_order_release);
}

OPERATION const uint64_t *slotidx_peek(struct side *side, size_t *ret_len)
{
	struct slot_end *end = side->in->state;

	while (end->position == end->cursor) {
		end->cursor = atomic_load_explicit(&end->shared->head, memory_order_acquire);
		if (end->position == end->cursor)
			back_off(side->in->subject->backoff);
	}
	*ret_len = side->in->message;
	return (const uint64_t *)end->slot;
}

OPERATION void slotidx_release(struct side *side)
{
	struct slot_end *end = side->in->state;

	slots_next(end);
	atomic_store_explicit(&end->shared->cursor, end->position, memory_order_release);
}

/* Bytes, mapped twice in a row so that no message is ever split. */
struct indices {
	_Alignas(LINE) _Atomic uint64_t head;
	_Alignas(LINE) _Atomic uint64_t tail;
};

struct byte_end {
	struct indices *shared;
	char *bytes;
	uint64_t position; /* mine */
	uint64_t seen;	   /* the other's, when last looked at */
};

static int spsc_map(struct byte_end *end, size_t capacity)
{
	int fd = memfd_create("shmring-bench", MFD_CLOEXEC);
	int prot = PROT_READ | PROT_WRITE;
	char *bytes;

	if (fd < 0)
		return -1;
	bytes = mmap(NULL, 2 * capacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bytes == MAP_FAILED || ftruncate(fd, (off_t)capacity) ||
	    mmap(bytes, capacity, prot, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) != bytes ||
	    mmap(bytes + capacity, capacity, prot, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) ==
		    MAP_FAILED) {
		close(fd);
		return -1;
	}
	close(fd);
	end->bytes = bytes;
	return 0;
}

static int spsc_open(struct channel *ch)
{
	struct byte_end *end = calloc(1, sizeof(*end));

	if (!end || spsc_map(end, ch->capacity)) {
		free(end);
		return -1;
	}
	end->shared = row_shared(sizeof(*end->shared));
	ch->state = end;
	return 0;
}

static void spsc_close(struct channel *ch)
{
	struct byte_end *end = ch->state;

	munmap(end->bytes, 2 * ch->capacity);
	munmap(end->shared, sizeof(*end->shared));
	free(end);
}

OPERATION uint64_t *spsc_at(struct byte_end *end, const struct channel *ch)
{
	return (uint64_t *)(end->bytes + (end->position & (ch->capacity - 1)));
}

OPERATION uint64_t *spsc_claim(struct side *side)
{
	struct byte_end *end = side->out->state;
	uint64_t need = end->position + sizeof(uint64_t) + side->message;

	while (need - end->seen > side->out->capacity) {
		end->seen = atomic_load_explicit(&end->shared->tail, memory_order_acquire);
		if (need - end->seen > side->out->capacity)
			cpu_pause();
	}
	return spsc_at(end, side->out) + 1;
}

OPERATION void spsc_commit(struct side *side)
{
	struct byte_end *end = side->out->state;

	*spsc_at(end, side->out) = side->message;
	end->position += sizeof(uint64_t) + side->message;
	atomic_store_explicit(&end->shared->head, end->position, memory_order_release);
}

OPERATION const uint64_t *spsc_peek(struct side *side, size_t *ret_len)
{
	struct byte_end *end = side->in->state;
	uint64_t *record;

	while (end->position == end->seen) {
		end->seen = atomic_load_explicit(&end->shared->head, memory_order_acquire);
		if (end->position == end->seen)
			back_off(side->in->subject->backoff);
	}
	record = spsc_at(end, side->in);
	*ret_len = *record;
	return record + 1;
}

OPERATION void spsc_release(struct side *side)
{
	struct byte_end *end = side->in->state;

	end->position += sizeof(uint64_t) + *spsc_at(end, side->in);
	atomic_store_explicit(&end->shared->tail, end->position, memory_order_release);
}

static void run_slotseq(struct side *side)
{
	static const struct link_ops ops = { .claim = slotseq_claim,
					     .commit = slot_commit,
					     .peek = slot_peek,
					     .release = slotseq_release };

	run_link(side, &ops);
}

static void run_slotcur(struct side *side)
{
	static const struct link_ops ops = { .claim = slotcur_claim,
					     .commit = slot_commit,
					     .peek = slot_peek,
					     .release = slotcur_release };

	run_link(side, &ops);
}

static void run_slotidx(struct side *side)
{
	static const struct link_ops ops = { .claim = slotidx_claim,
					     .commit = slotidx_commit,
					     .peek = slotidx_peek,
					     .release = slotidx_release };

	run_link(side, &ops);
}

static void run_spsc(struct side *side)
{
	static const struct link_ops ops = { .claim = spsc_claim,
					     .commit = spsc_commit,
					     .peek = spsc_peek,
					     .release = spsc_release };

	run_link(side, &ops);
}

#define SLOTSEQ .open = slots_open, .close = slots_close, .run = run_slotseq
#define SLOTCUR .open = slots_open, .close = slots_close, .run = run_slotcur
#define SLOTIDX .open = slotidx_open, .close = slots_close, .run = run_slotidx
#define SPSC .open = spsc_open, .close = spsc_close, .run = run_spsc

const struct subject reference_streams[] = { { "slotseq", SLOTSEQ, .stride = 8, .backoff = 1 },
					     { "slotseq-b64", SLOTSEQ, .stride = 8, .backoff = 64 },
					     { "slotcur", SLOTCUR, .stride = 8, .backoff = 1 },
					     { "slotcur-b64", SLOTCUR, .stride = 8, .backoff = 64 },
					     { "slotidx", SLOTIDX, .stride = 8, .backoff = 1 },
					     { "slotidx-b64", SLOTIDX, .stride = 8, .backoff = 64 },
					     { "spsc", SPSC, .backoff = 1 },
					     { "spsc-b64", SPSC, .backoff = 64 },
					     { 0 } };

const struct subject reference_trips[] = {
	{ "slotseq", SLOTSEQ, .stride = 8, .backoff = 1 },
	{ "slotseq-line", SLOTSEQ, .stride = LINE, .backoff = 1 },
	{ "slotcur", SLOTCUR, .stride = 8, .backoff = 1 },
	{ "slotcur-line", SLOTCUR, .stride = LINE, .backoff = 1 },
	{ "slotidx-line", SLOTIDX, .stride = LINE, .backoff = 1 },
	{ "spsc", SPSC, .backoff = 1 },
	{ 0 }
};
