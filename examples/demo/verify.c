/* SPDX-License-Identifier: MIT */
/*
 * What is on disk, and whether that is what arrived.
 *
 * The parent reads every file and computes its checksum before anything is
 * sent, which also brings the files into memory: the demo measures the ring and
 * not the disk. At the end a lossless consumer must have the same checksum for
 * every file. An observer may lack some, if it has lost messages; what it has
 * must be right. What a consumer received and lost must add up, lane by lane, to
 * what was published. A file that was changed since it was listed proves
 * nothing and is counted apart.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

#define READ_SIZE (1u << 18)

static void hash_file(struct file *file, void *buffer)
{
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct checksum sum;
	uint64_t total = 0;
	ssize_t n;

	if (fd < 0)
		return;
	checksum_start(&sum, file->path, strlen(file->path));
	while ((n = read(fd, buffer, READ_SIZE)) > 0) {
		checksum_add(&sum, buffer, (size_t)n);
		total += (uint64_t)n;
	}
	close(fd);
	file->hashed = n == 0 && total == file->size;
	file->digest = checksum_end(&sum);
}

int verify_prepare(struct file_list *files)
{
	void *buffer = malloc(READ_SIZE);

	if (!buffer)
		return system_error("shmring-demo", "malloc");
	for (uint32_t i = 0; i < files->count; i++)
		hash_file(&files->file[i], buffer);
	free(buffer);
	return 0;
}

static void compare(struct verdict *verdict, const struct digest *digest, const struct file *file,
		    const char *who)
{
	if (!digest->complete) {
		verdict->incomplete++;
	} else if (digest->value == file->digest) {
		verdict->equal++;
	} else {
		verdict->different++;
		fprintf(stderr, "shmring-demo: %s got a wrong %s\n", who, file->path);
	}
}

/* Producers that follow each other may have had the same lane. */
static bool accounted(const struct board *board, const struct consumer_report *report)
{
	uint64_t messages[SHMRING_MAX_LANES] = { 0 }, bytes[SHMRING_MAX_LANES] = { 0 };

	for (int i = 0; i < PRODUCERS; i++) {
		const struct producer_report *producer = &board->producer[i];

		messages[producer->lane] += producer->counters.messages;
		bytes[producer->lane] += producer->counters.bytes;
	}
	for (int i = 0; i < SHMRING_MAX_LANES; i++) {
		const struct progress *p = stream_progress(&report->stream[i]);

		if (p->messages + p->lost != messages[i] || p->bytes + p->lost_bytes != bytes[i])
			return false;
	}
	return true;
}

static bool passed(const struct demo *demo, const struct result *result, int consumer)
{
	const struct verdict *verdict = &result->verdict[consumer];
	uint64_t lost = consumer_total(&demo->board->consumer[consumer]).lost;

	if (verdict->different > 0 || !verdict->accounted)
		return false;
	if (consumer == OBSERVER)
		return verdict->incomplete == 0 || lost > 0;
	return verdict->incomplete == 0 && lost == 0 && verdict->equal > 0;
}

bool verify(const struct demo *demo, struct result *result)
{
	bool good = true;

	for (uint32_t i = 0; i < demo->files.count; i++) {
		const struct file *file = &demo->files.file[i];

		if (!file->hashed || !files_unchanged(file)) {
			result->changed++;
			continue;
		}
		for (int c = 0; c < CONSUMERS; c++)
			compare(&result->verdict[c], &demo->board->consumer[c].digest[i], file,
				consumer_name[c]);
	}
	for (int c = 0; c < CONSUMERS; c++) {
		result->verdict[c].accounted = accounted(demo->board, &demo->board->consumer[c]);
		good &= passed(demo, result, c);
	}
	return good;
}
