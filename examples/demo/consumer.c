/* SPDX-License-Identifier: MIT */
/*
 * A consumer of the demo: computes the checksum of every file as it arrives.
 *
 * One of them is killed on the way and resumes under its name as a new process.
 * The ring then hands out again every message that had not been released, some
 * of which may already be part of a checksum. So that each counts once, the
 * checksums live in shared memory that outlives the process, together with the
 * number of the next message that belongs in them, and both change at once:
 *
 *	stream.copy[2]	two versions of `struct progress`, one stream per lane
 *	stream.current	which of them counts
 *
 * A message is applied to a copy of the current version, and one atomic store
 * makes that copy the current one. A process that is killed before the store
 * has changed nothing, one that is killed after it has done all of it; there is
 * nothing in between to repair. A message whose number is below `next` has been
 * applied before and is skipped. The digest of a complete file is written
 * before the store, which may happen twice, with the same value. Release comes
 * last: what is released is applied.
 *
 * The kernel keeps the memory and the killed process's stores in it; only the
 * compiler must not move them across the switch, and a release store says so.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

#define BATCH 16

const char *const consumer_name[CONSUMERS] = { "alpha", "beta", "observer" };

const struct progress *stream_progress(const struct stream *stream)
{
	return &stream->copy[atomic_load_explicit(&stream->current, memory_order_acquire)];
}

/* All lanes together: counts only. */
struct progress consumer_total(const struct consumer_report *report)
{
	struct progress sum = { 0 };

	for (int i = 0; i < SHMRING_MAX_LANES; i++) {
		const struct progress *part = stream_progress(&report->stream[i]);

		sum.messages += part->messages;
		sum.bytes += part->bytes;
		sum.lost += part->lost;
		sum.lost_bytes += part->lost_bytes;
	}
	return sum;
}

static bool sound(const struct demo *demo, const struct shmring_message *m)
{
	const struct block *block = m->data;

	return m->len >= sizeof(*block) && block->file < demo->files.count &&
	       block->length <= BLOCK_SIZE &&
	       m->len == sizeof(*block) + block->path_length + block->length;
}

/* A block continues its file, or the file is not whole: something was lost. */
static void hash_block(struct progress *p, const struct block *block)
{
	const char *path = (const char *)(block + 1);

	if (block->offset == 0) {
		p->whole = true;
		checksum_start(&p->sum, path, block->path_length);
	} else if (p->file != block->file || p->offset != block->offset) {
		p->whole = false;
	}
	p->file = block->file;
	p->offset = block->offset + block->length;
	if (p->whole)
		checksum_add(&p->sum, path + block->path_length, block->length);
}

/* What is missing before one message, of which the library has to be asked. */
struct gap {
	uint64_t messages;
	uint64_t bytes;
};

static void apply(struct consumer_report *report, const struct shmring_message *m,
		  const struct gap *gap)
{
	struct stream *stream = &report->stream[m->producer];
	const struct block *block = m->data;
	unsigned current = atomic_load_explicit(&stream->current, memory_order_relaxed);
	struct progress *p = &stream->copy[!current];

	*p = stream->copy[current];
	p->next = m->seq + 1;
	p->messages++;
	p->bytes += m->len;
	p->lost += gap->messages;
	p->lost_bytes += gap->bytes;
	if (block->flags & BLOCK_END)
		p->ended++;
	else
		hash_block(p, block);
	if ((block->flags & BLOCK_LAST) && p->whole)
		report->digest[block->file] = (struct digest){ checksum_end(&p->sum), true };
	atomic_store_explicit(&stream->current, !current, memory_order_release);
}

/* One message, the first time or again. */
static int take(const struct demo *demo, struct consumer_report *report,
		const struct shmring_consumer *consumer, const struct shmring_message *m,
		int64_t now)
{
	const struct stream *stream = &report->stream[m->producer];
	uint64_t next = stream_progress(stream)->next;
	struct gap gap = { 0 };
	int r;

	if (!sound(demo, m)) {
		fprintf(stderr, "consumer: message %ju of lane %u is not a block\n",
			(uintmax_t)m->seq, m->producer);
		return -EBADMSG;
	}
	if (m->seq < next) {
		report->repeated++;
		return 0;
	}
	if (m->flags & SHMRING_AFTER_LOSS) {
		r = shmring_message_lost(consumer, m, &gap.messages, &gap.bytes);
		if (r < 0)
			return ring_error("consumer", r);
	}
	if (m->seq != next + gap.messages) {
		fprintf(stderr, "consumer: message %ju of lane %u came when %ju was due\n",
			(uintmax_t)m->seq, m->producer, (uintmax_t)(next + gap.messages));
		return -EBADMSG;
	}
	latency_add(&report->latency, now - ((const struct block *)m->data)->sent_ns);
	apply(report, m, &gap);
	return 0;
}

/* A consumer that was killed and started again sees messages that were handed out before. */
static void count_redelivered(struct consumer_report *report, const struct shmring_message *m)
{
	struct stream *stream = &report->stream[m->producer];

	if (m->seq < stream->handed_out)
		report->redelivered++;
	else
		stream->handed_out = m->seq + 1;
}

static bool all_ended(const struct consumer_report *report)
{
	unsigned ended = 0;

	for (int i = 0; i < SHMRING_MAX_LANES; i++)
		ended += stream_progress(&report->stream[i])->ended;
	return ended == PRODUCERS;
}

/*
 * The victim's first life. Half way it tells the parent, and from then on it
 * works without releasing, so that whatever it does when the signal hits, there
 * is something to hand out again. Should the signal take long, the victim waits
 * for it, so that there is work left for its second life.
 */
static int face_death(const struct demo *demo, const struct consumer_report *report, bool *doomed)
{
	uint64_t messages = consumer_total(report).messages;
	char event = EVENT_HALF_WAY;

	if (messages >= demo->messages / 2 && !*doomed) {
		*doomed = true;
		if (write(demo->events, &event, 1) != 1)
			return system_error("consumer", "write");
	}
	while (messages >= demo->messages / 4 * 3)
		pause();
	return 0;
}

static int take_batch(const struct demo *demo, struct consumer_report *report,
		      struct shmring_consumer *consumer, int life)
{
	struct shmring_message batch[BATCH];
	int n, r = 0;
	int64_t now;

	n = shmring_peek_batch(consumer, SHMRING_FOREVER, batch, BATCH);
	if (n < 0)
		return ring_error("consumer", n);
	now = now_ns();
	if (!report->first_ns[life])
		report->first_ns[life] = now;
	for (int i = 0; i < n; i++)
		count_redelivered(report, &batch[i]);
	for (int i = 0; i < n && r == 0; i++)
		r = take(demo, report, consumer, &batch[i], now);
	return r;
}

static int give_back(struct consumer_report *report, struct shmring_consumer *consumer, int life)
{
	int r = shmring_release(consumer);

	/* The counters end with the process: what is to survive is copied. */
	report->counters[life].size = sizeof(report->counters[life]);
	if (r == 0)
		r = shmring_consumer_counters(consumer, &report->counters[life]);
	return r < 0 ? ring_error("consumer", r) : 0;
}

static int consume(const struct demo *demo, struct consumer_report *report,
		   struct shmring_consumer *consumer, bool mortal, int life)
{
	bool doomed = false;
	int r = 0;

	while (r == 0 && !all_ended(report)) {
		r = take_batch(demo, report, consumer, life);
		if (r == 0 && mortal)
			r = face_death(demo, report, &doomed);
		if (r == 0 && !doomed)
			r = give_back(report, consumer, life);
	}
	report->last_ns = now_ns();
	return r;
}

int consumer_main(const struct demo *demo, int index, int life)
{
	struct shmring_consumer_options options = {
		.size = sizeof(options),
		.name = index == OBSERVER ? NULL : consumer_name[index],
		.flags = index == OBSERVER ? SHMRING_OBSERVE : 0,
		.spin_ns = demo_spin_ns(),
		.start = life == 0 ? SHMRING_START_OLDEST : SHMRING_START_RESUME,
	};
	struct consumer_report *report = &demo->board->consumer[index];
	struct shmring_consumer *consumer = NULL;
	struct shmring_ring *ring = NULL;
	char event = EVENT_READY;
	int r;

	r = ring_enter(demo, &ring);
	if (r == 0)
		r = shmring_consumer_attach(&consumer, ring, &options);
	if (r < 0)
		ring_error(consumer_name[index], r);
	else if (write(demo->events, &event, 1) != 1)
		r = system_error(consumer_name[index], "write");
	else
		r = consume(demo, report, consumer, index == VICTIM && life == 0, life);
	shmring_consumer_detach(consumer);
	shmring_close(ring);
	return r;
}
