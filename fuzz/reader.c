/* SPDX-License-Identifier: MIT */
/*
 * Fuzzing attached processes: the runs of an image are laid over a sound ring
 * that consumers and a producer are using. By its flags a second thread lays
 * them, again and again and at shifting places, while the others run: what was
 * checked is then no longer what is used, if it is read twice.
 *
 * A process has few seconds for many inputs, so the ring is made once and put
 * back as it was before each input.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "consumer.h"
#include "image.h"
#include "use.h"

enum {
	READ_WHILE_WRITTEN = 2,
	READ_OBSERVING = 4,
	READ_NAMED = 8,
	READ_EVICTABLE = 16,
	READ_ALIGNED = 32,
	READ_STAMPED = 64,
	VARIANTS = 8,
	GLANCES = 200,
	REACH = 32, /* rows of cursors that are put back */
};

struct target {
	struct shmring_ring *ring;
	unsigned char *map; /* all of it, writable */
	unsigned char *sound;
	size_t size;
	size_t data; /* where the lanes begin */
};

static struct target targets[VARIANTS];

static void populate(struct shmring_ring *r)
{
	struct shmring_producer *p;
	struct shmring_consumer *c;
	const struct shmring_consumer_options options = { .size = sizeof(options), .name = "name" };

	insist(shmring_consumer_attach(&c, r, &options) == 0);
	for (unsigned lane = 0; lane < 2; lane++) {
		insist(shmring_producer_attach(&p, r, NULL) == 0);
		use_producer(p, 30);
		if (lane == 0)
			use_consumer(c, 6);
		shmring_producer_detach(p);
	}
	shmring_consumer_detach(c);
}

static struct target *target_for(uint8_t flags)
{
	unsigned variant = (flags & READ_EVICTABLE ? 1 : 0) + (flags & READ_ALIGNED ? 2 : 0) +
			   (flags & READ_STAMPED ? 4 : 0);
	struct target *t = &targets[variant];
	const struct shmring_config config = {
		.size = sizeof(config),
		.lane_size = SHMRING_MIN_LANE_SIZE,
		.lanes = 2,
		.slow_policy = variant & 1 ? SHMRING_SLOW_EVICT : SHMRING_SLOW_BLOCK,
		.unread_policy = SHMRING_UNREAD_OVERWRITE,
		.alignment = variant & 2 ? 64 : 8,
		.evict_after_ns = 1000,
		.stamps = variant & 4 ? SHMRING_STAMP_AUTO : SHMRING_STAMP_NONE,
	};
	struct shmring_ring_stat st = { .size = sizeof(st) };

	if (t->ring)
		return t;
	insist(shmring_create(&t->ring, NULL, &config) == 0);
	insist(shmring_stat(t->ring, &st) == 0);
	populate(t->ring);
	t->size = st.file_size;
	t->data = st.file_size - 2 * st.lane_size;
	t->map = mmap(NULL, t->size, PROT_READ | PROT_WRITE, MAP_SHARED, shmring_fd(t->ring), 0);
	t->sound = malloc(t->size);
	insist(t->map != MAP_FAILED && t->sound);
	memcpy(t->sound, t->map, t->size);
	return t;
}

/* Registry, doorbell, the first cursors, and all that is the lanes'. */
static void put_back(struct target *t)
{
	const size_t from = LAYOUT_GRANULE, cursors = 3 * LAYOUT_GRANULE;
	const size_t rows = cursors + REACH * LAYOUT_ROW;
	const size_t controls = cursors + LAYOUT_CONSUMERS * LAYOUT_ROW;

	memcpy(t->map + from, t->sound + from, rows - from);
	memcpy(t->map + controls, t->sound + controls, t->size - controls);
}

/* By words, as a process would; the identity is not looked at any more. */
static void lay(const struct target *t, const struct run *run, uint64_t shift)
{
	size_t offset = (run->offset + shift * 8) % (t->size - LAYOUT_GRANULE) + LAYOUT_GRANULE;
	uint64_t word;

	if (run->offset >= LAYOUT_GRANULE && run->offset < t->size)
		offset = run->offset + shift * 8;
	offset &= ~(size_t)7;
	for (size_t i = 0; i < run->length && offset + i + 8 <= t->size; i += 8) {
		size_t n = run->length - i < 8 ? run->length - i : 8;

		if (offset + i >= 3 * LAYOUT_GRANULE + REACH * LAYOUT_ROW &&
		    offset + i < 3 * LAYOUT_GRANULE + LAYOUT_CONSUMERS * LAYOUT_ROW)
			continue; /* is not put back */
		word = __atomic_load_n((uint64_t *)(void *)(t->map + offset + i), __ATOMIC_RELAXED);
		memcpy(&word, run->bytes + i, n);
		__atomic_store_n((uint64_t *)(void *)(t->map + offset + i), word, __ATOMIC_RELAXED);
	}
}

static void lay_all(const struct target *t, const uint8_t *data, size_t size, uint64_t shift)
{
	struct run run;
	size_t at = 0;

	while (image_next(data, size, &at, &run))
		lay(t, &run, shift);
}

struct writer {
	const struct target *target;
	const struct shmring_consumer *reader;
	const uint8_t *data;
	size_t size;
	bool over;
};

/*
 * Change the header that the reader is about to read, again and again. Another process
 * could not aim so well.
 */
static void flicker(const struct writer *w)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct reader *l = &w->reader->readers[i];
		uint64_t at = __atomic_load_n(&l->hot.at.position, __ATOMIC_RELAXED) & l->hot.mask;
		unsigned char *data = w->target->map + w->target->data + i * (l->hot.mask + 1);

		for (unsigned k = 0; k < 100; k++)
			__atomic_store_n((uint64_t *)(void *)(data + (at & ~UINT64_C(7))),
					 header_make(k % 2 ? 16 : UINT32_MAX, 1), __ATOMIC_RELAXED);
	}
}

static void *write_on(void *arg)
{
	struct writer *w = arg;

	for (uint64_t shift = 0; !__atomic_load_n(&w->over, __ATOMIC_ACQUIRE); shift++) {
		lay_all(w->target, w->data, w->size, shift % 3);
		flicker(w);
	}
	return NULL;
}

/*
 * Look at the word that flickers again and again, although the handle is broken
 * half of the time: what the consumer keeps to itself is put back by hand.
 */
static void insist_on_reading(struct shmring_consumer *c)
{
	struct reader *l = &c->readers[0];
	const struct shmring_boundary begin = l->hot.at;
	struct shmring_message m;

	for (unsigned i = 0; i < GLANCES; i++) {
		c->broken = false;
		if (!c->observer) {
			c->hot.lane = &l->hot;
			c->hot.limit = c->max_message + 1;
			c->hot.turn = begin.position + 1;
		}
		if (shmring_peek(c, SHMRING_NOWAIT, &m) == 0)
			use_message(c, &m);
		shmring_rewind(c);
		l->hot.at = begin;
	}
	consumer_break(c);
}

static void read_on(struct target *t, uint8_t flags, struct shmring_consumer *c,
		    struct shmring_producer *p)
{
	use_consumer(c, 60);
	if (p)
		use_producer(p, 10);
	use_consumer(c, 60);
	if (flags & READ_WHILE_WRITTEN)
		insist_on_reading(c);
	if (!(flags & READ_OBSERVING))
		use_ring(t->ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t flags = size > 0 ? data[0] : 0;
	struct target *t = target_for(flags);
	const struct shmring_consumer_options options = {
		.size = sizeof(options),
		.name = flags & READ_NAMED && !(flags & READ_OBSERVING) ? "name" : NULL,
		.start = SHMRING_START_OLDEST,
		.flags = flags & READ_OBSERVING ? SHMRING_OBSERVE : 0,
		.memory.lock = SHMRING_LOCK_NONE,
	};
	struct writer w = { .target = t, .data = data, .size = size };
	struct shmring_producer *p;
	struct shmring_consumer *c;
	pthread_t thread;

	put_back(t);
	insist(shmring_consumer_attach(&c, t->ring, &options) == 0);
	w.reader = c;
	insist(shmring_producer_attach(&p, t->ring, NULL) == 0);
	if (flags & READ_WHILE_WRITTEN)
		insist(pthread_create(&thread, NULL, write_on, &w) == 0);
	else
		lay_all(t, data, size, 0);
	read_on(t, flags, c, p);
	if (flags & READ_WHILE_WRITTEN) {
		__atomic_store_n(&w.over, true, __ATOMIC_RELEASE);
		pthread_join(thread, NULL);
	}
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	return 0;
}
