/* SPDX-License-Identifier: MIT */
/*
 * The golden files: images of rings as this format has them, one for each thing
 * that can stand in a ring. They are the fuzzers' corpus, and they hold the format:
 *
 *	golden write DIR	make them
 *	golden check DIR	are they still what this library makes, and can it
 *				still read what was made when they were?
 *
 * A file's messages are as long as its case says and full of zeros.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "image.h"
#include "use.h"

struct context {
	struct shmring_ring *ring;
	struct shmring_producer *p;
	struct shmring_consumer *c;
};

static void start_producer(struct context *x)
{
	insist(shmring_producer_attach(&x->p, x->ring, NULL) == 0);
}

static void start_consumer(struct context *x, const char *name)
{
	const struct shmring_consumer_options options = { .size = sizeof(options), .name = name };

	insist(shmring_consumer_attach(&x->c, x->ring, &options) == 0);
}

static void publish(struct context *x, size_t len, unsigned count)
{
	static const unsigned char zeros[SHMRING_MIN_LANE_SIZE];

	while (count-- > 0)
		insist(shmring_publish(x->p, zeros, len, SHMRING_NOWAIT) == 0);
}

static void consume(struct context *x, unsigned count)
{
	struct shmring_message m;

	while (count-- > 0) {
		insist(shmring_peek(x->c, SHMRING_NOWAIT, &m) == 0);
		insist(shmring_release(x->c) == 0);
	}
}

/* Leave: detach all that is attached. */
static void leave(struct context *x)
{
	shmring_producer_detach(x->p);
	shmring_consumer_detach(x->c);
	x->p = NULL;
	x->c = NULL;
}

static void empty(struct context *x)
{
	(void)x;
}

static void few(struct context *x)
{
	start_producer(x);
	publish(x, 0, 1);
	publish(x, 1, 1);
	publish(x, 100, 3);
}

static void batch(struct context *x)
{
	void *data = NULL;

	start_producer(x);
	for (unsigned i = 0; i < 5; i++) {
		insist(shmring_claim(x->p, 24, SHMRING_NOWAIT, &data) == 0);
		memset(data, 0, 24);
		insist(shmring_stage(x->p, 24) == 0);
	}
	insist(shmring_flush(x->p) == 0);
}

static void unfinished(struct context *x)
{
	void *data = NULL;

	start_producer(x);
	publish(x, 200, 2);
	for (unsigned i = 0; i < 3; i++) {
		insist(shmring_claim(x->p, 40, SHMRING_NOWAIT, &data) == 0);
		memset(data, 0, 40);
		insist(i == 2 || shmring_stage(x->p, 40) == 0);
	}
}

static void longest(struct context *x)
{
	start_producer(x);
	publish(x, SHMRING_MIN_LANE_SIZE / 2, 1);
}

static void overwritten(struct context *x)
{
	start_producer(x);
	publish(x, 1000, 500);
}

static void successors(struct context *x)
{
	for (unsigned i = 0; i < 3; i++) {
		start_producer(x);
		publish(x, 64, 2);
		leave(x);
	}
}

static void two_lanes(struct context *x)
{
	struct context other = *x;

	start_producer(x);
	start_producer(&other);
	publish(x, 32, 3);
	publish(&other, 48, 4);
	leave(&other);
}

static void named(struct context *x)
{
	start_consumer(x, "name");
	start_producer(x);
	publish(x, 80, 6);
	consume(x, 2);
}

static void full(struct context *x)
{
	static const unsigned char zeros[1000];

	start_consumer(x, "name");
	start_producer(x);
	publish(x, 1000, 10);
	consume(x, 4);
	while (shmring_publish(x->p, zeros, sizeof(zeros), SHMRING_NOWAIT) == 0)
		;
}

/* The ring evicts after a nanosecond: two looks, and the name has lapsed. */
static void lapsed(struct context *x)
{
	static const unsigned char zeros[1000];

	start_consumer(x, "name");
	start_producer(x);
	publish(x, 1000, 3);
	consume(x, 1);
	shmring_consumer_detach(x->c);
	x->c = NULL;
	for (unsigned i = 0; i < 100; i++)
		shmring_publish(x->p, zeros, sizeof(zeros), SHMRING_FOREVER);
}

enum { RUNS_FREE = SHMRING_UNREAD_OVERWRITE };

static const struct golden {
	const char *name;
	void (*make)(struct context *x);
	uint64_t first_position;
	uint32_t alignment;
	uint32_t slow_policy;
	uint32_t unread_policy;
	uint32_t messages; /* that a new consumer gets */
	uint32_t stamps;
	uint64_t evict_lag;
} goldens[] = {
	{ "empty", empty, 0, 8, 0, RUNS_FREE, 0, 0, 0 },
	{ "few", few, 0, 8, 0, RUNS_FREE, 5, 0, 0 },
	{ "few-aligned", few, 0, 64, 0, RUNS_FREE, 5, 0, 0 },
	{ "few-wrapped", few, -(uint64_t)64, 8, 0, RUNS_FREE, 5, 0, 0 },
	{ "few-stamped", few, 0, 8, 0, RUNS_FREE, 5, SHMRING_STAMP_CLOCK, 0 },
	{ "batch", batch, 0, 8, 0, RUNS_FREE, 5, 0, 0 },
	{ "unfinished", unfinished, 0, 8, 0, RUNS_FREE, 2, 0, 0 },
	{ "longest", longest, 0, 8, 0, RUNS_FREE, 1, 0, 0 },
	{ "overwritten", overwritten, 0, 8, 0, RUNS_FREE, 0, 0, 0 },
	{ "successors", successors, 0, 8, 0, RUNS_FREE, 6, 0, 0 },
	{ "two-lanes", two_lanes, 0, 8, 0, RUNS_FREE, 7, 0, 0 },
	{ "named", named, 0, 8, 0, RUNS_FREE, 6, 0, 0 },
	{ "named-evict", named, 0, 8, SHMRING_SLOW_EVICT, RUNS_FREE, 6, 0, 0 },
	{ "full", full, 0, 8, 0, SHMRING_UNREAD_HOLD, 0, 0, 0 },
	{ "lapsed", lapsed, 0, 8, SHMRING_SLOW_EVICT, RUNS_FREE, 0, 0, 0 },
	{ "limited", named, 0, 8, SHMRING_SLOW_EVICT, RUNS_FREE, 6, 0, 32768 },
};

enum { GOLDENS = sizeof(goldens) / sizeof(goldens[0]) };

static uint8_t *take_image(struct shmring_ring *r, size_t *ret_size)
{
	struct shmring_ring_stat st = { .size = sizeof(st) };
	uint8_t *file, *image;

	insist(shmring_stat(r, &st) == 0);
	file = mmap(NULL, st.file_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, shmring_fd(r), 0);
	insist(file != MAP_FAILED);
	image = image_make(file, st.file_size, ret_size);
	insist(image != NULL);
	munmap(file, st.file_size);
	return image;
}

static uint8_t *make_image(const struct golden *g, size_t *ret_size)
{
	const struct shmring_config config = {
		.size = sizeof(config),
		.lane_size = SHMRING_MIN_LANE_SIZE,
		.lanes = 2,
		.alignment = g->alignment,
		.slow_policy = g->slow_policy,
		.unread_policy = g->unread_policy,
		.evict_after_ns = 1,
		.first_position = g->first_position,
		.stamps = g->stamps,
		.evict_lag = g->evict_lag,
	};
	struct context x = { NULL, NULL, NULL };
	uint8_t *image;

	insist(shmring_create(&x.ring, NULL, &config) == 0);
	g->make(&x);
	leave(&x);
	image = take_image(x.ring, ret_size);
	shmring_close(x.ring);
	return image;
}

static FILE *open_golden(const char *dir, const struct golden *g, const char *mode)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.ring", dir, g->name);
	f = fopen(path, mode);
	if (!f) {
		perror(path);
		exit(2);
	}
	return f;
}

static void write_golden(const char *dir, const struct golden *g)
{
	FILE *f = open_golden(dir, g, "wb");
	size_t size;
	uint8_t *image = make_image(g, &size);

	insist(fwrite(image, 1, size, f) == size && fclose(f) == 0);
	free(image);
}

/* What a new consumer gets of it; the lane's own count if that is not fixed. */
static bool can_be_read(const struct golden *g, const uint8_t *image, size_t size)
{
	int fd = image_build(image, size);
	struct shmring_message m;
	struct context x = { NULL, NULL, NULL };
	uint32_t count = 0;

	insist(fd >= 0);
	if (shmring_open_fd(&x.ring, fd) < 0)
		return false;
	close(fd);
	start_consumer(&x, NULL);
	while (shmring_peek(x.c, SHMRING_NOWAIT, &m) == 0)
		count++;
	leave(&x);
	shmring_close(x.ring);
	return g->messages ? count == g->messages : count > 0 || g->make == empty;
}

static bool check_golden(const char *dir, const struct golden *g)
{
	static uint8_t kept[1 << 20];
	FILE *f = open_golden(dir, g, "rb");
	size_t size, kept_size = fread(kept, 1, sizeof(kept), f);
	uint8_t *image = make_image(g, &size);
	bool same = size == kept_size && memcmp(image, kept, size) == 0;
	bool readable = can_be_read(g, kept, kept_size);

	fclose(f);
	free(image);
	if (!same)
		printf("%s: this library makes another one: has the format changed?\n", g->name);
	if (!readable)
		printf("%s: this library does not read it\n", g->name);
	return same && readable;
}

int main(int argc, char **argv)
{
	bool check = argc == 3 && strcmp(argv[1], "check") == 0;
	bool sound = true;

	if (argc != 3 || (!check && strcmp(argv[1], "write") != 0)) {
		fprintf(stderr, "usage: golden write DIR | golden check DIR\n");
		return 2;
	}
	for (unsigned i = 0; i < GOLDENS; i++) {
		if (check)
			sound = check_golden(argv[2], &goldens[i]) && sound;
		else
			write_golden(argv[2], &goldens[i]);
	}
	return sound ? 0 : 1;
}
