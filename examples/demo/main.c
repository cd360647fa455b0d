/* SPDX-License-Identifier: MIT */
/*
 * The plot: three producers, two lossless consumers and an observer share a
 * ring; one consumer is killed half way and resumes by name; then everything is
 * verified. Exit status 0 means that it was, and that it was right.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "demo.h"

/* Small lanes, short queues: 32 full blocks wait in each at most. */
#define LANE_SIZE ((uint64_t)1 << 20)

/* Where the ring lives: its name, and the directory that was made for it. */
struct place {
	char directory[sizeof("/dev/shm/shmring-demo-XXXXXX")];
	char path[sizeof("/dev/shm/shmring-demo-XXXXXX/ring")];
};

static int create_ring(struct demo *demo, const struct options *options, struct place *place)
{
	struct shmring_config config = {
		.size = sizeof(config),
		.lanes = PRODUCERS,
		.lane_size = LANE_SIZE,
		.unread_policy = SHMRING_UNREAD_HOLD,
	};
	int r;

	demo->address = options->ring;
	if (!options->ring && !options->anonymous) {
		strcpy(place->directory, "/dev/shm/shmring-demo-XXXXXX");
		if (!mkdtemp(place->directory)) {
			place->directory[0] = '\0';
			return system_error("shmring-demo", "cannot make a directory in /dev/shm");
		}
		sprintf(place->path, "%s/ring", place->directory);
		demo->address = place->path;
	}
	r = shmring_create(&demo->ring, demo->address, &config);
	return r < 0 ? ring_error("shmring-demo", r) : 0;
}

static int remove_ring(struct demo *demo, struct place *place)
{
	int r = 0;

	if (demo->ring && demo->address)
		r = shmring_remove(demo->address);
	if (r < 0)
		ring_error("shmring-demo", r);
	shmring_close(demo->ring);
	if (place->directory[0] && rmdir(place->directory) < 0)
		r = system_error("shmring-demo", place->directory);
	return r;
}

static void *share_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* The board lives until the end of the process, and so it is never unmapped. */
static int create_board(struct demo *demo)
{
	demo->board = share_memory(sizeof(*demo->board));
	if (!demo->board)
		return system_error("shmring-demo", "mmap");
	for (int i = 0; i < CONSUMERS; i++) {
		struct consumer_report *report = &demo->board->consumer[i];

		report->digest = share_memory(demo->files.count * sizeof(*report->digest));
		if (!report->digest)
			return system_error("shmring-demo", "mmap");
	}
	return 0;
}

static void cast(struct crew *crew)
{
	for (int i = 0; i < PRODUCERS; i++) {
		crew->producer[i].name = producer_name[i];
		crew->producer[i].work = producer_main;
		crew->producer[i].index = i;
	}
	for (int i = 0; i < CONSUMERS; i++) {
		crew->consumer[i].name = consumer_name[i];
		crew->consumer[i].work = consumer_main;
		crew->consumer[i].index = i;
	}
}

/* Consumers come first, so that the observer is there from the first message. */
static int play(const struct demo *demo, struct crew *crew, struct result *result)
{
	struct child *victim = &crew->consumer[VICTIM];
	int r = 0;

	cast(crew);
	for (int i = 0; i < CONSUMERS && r == 0; i++)
		r = crew_start(crew, demo, &crew->consumer[i]);
	if (r == 0)
		r = crew_await_events(crew, EVENT_READY, CONSUMERS);
	for (int i = 0; i < PRODUCERS && r == 0; i++)
		r = crew_start(crew, demo, &crew->producer[i]);
	if (r == 0)
		r = crew_await_events(crew, EVENT_HALF_WAY, 1);
	if (r < 0)
		return r;

	result->killed_ns = now_ns();
	r = crew_kill(victim);
	if (r < 0)
		return r;
	result->killed_at = consumer_total(&demo->board->consumer[VICTIM]).messages;
	victim->life++;
	r = crew_start(crew, demo, victim);
	return r < 0 ? r : crew_await_end(crew);
}

/* From here to the end of it, signals wait until everything is cleaned up. */
static int stage(struct demo *demo, const struct options *options, struct result *result)
{
	struct crew crew = { .events = -1, .signals = -1 };
	struct place place = { 0 };
	int r, removed;

	demo->events = -1;
	r = crew_open(&crew, demo);
	if (r == 0)
		r = create_ring(demo, options, &place);
	if (r == 0) {
		summary_ring(demo);
		r = play(demo, &crew, result);
	}
	crew_end(&crew);
	removed = remove_ring(demo, &place);
	crew_close(&crew, demo);
	return r < 0 ? r : removed;
}

static int prepare(struct demo *demo, uint64_t bytes)
{
	int64_t start = now_ns();
	int r;

	printf("Reading /usr/share and /usr/lib: ");
	fflush(stdout);
	r = files_choose(&demo->files, bytes);
	if (r == 0)
		r = verify_prepare(&demo->files);
	if (r < 0)
		return r;
	summary_files(&demo->files, (double)(now_ns() - start) / 1e9);
	demo->messages = files_blocks(&demo->files) + PRODUCERS;
	return create_board(demo);
}

static int run(const struct options *options)
{
	struct demo demo = { 0 };
	struct result result = { 0 };
	bool good = false;
	int r;

	r = prepare(&demo, options->bytes);
	if (r == 0)
		r = stage(&demo, options, &result);
	if (r == 0) {
		good = verify(&demo, &result);
		summary_print(&demo, &result, good);
	}
	files_free(&demo.files);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct options options;
	int status = options_parse(&options, argc, argv);

	return status >= 0 ? status : run(&options);
}
