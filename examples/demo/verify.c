/* SPDX-License-Identifier: MIT */
/*
 * What arrived against what is on disk. The parent reads every file itself and
 * compares checksums; and what a consumer received and lost must add up, lane
 * by lane, to what its producer published.
 *
 * A lossless consumer must have every file. An observer may lack some, if it
 * has lost messages; what it has must be right. A file that somebody changed
 * since it was listed proves nothing and is counted apart.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

#define READ_SIZE (1u << 20)

/* The checksum of a file on disk; false if it is not what was listed. */
static bool checksum_of(const struct file *file, void *buffer, uint64_t *ret)
{
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct checksum sum;
	uint64_t total = 0;
	bool same;
	ssize_t n;

	if (fd < 0)
		return false;
	checksum_start(&sum, file->path, strlen(file->path));
	while ((n = read(fd, buffer, READ_SIZE)) > 0) {
		checksum_add(&sum, buffer, (size_t)n);
		total += (uint64_t)n;
	}
	same = n == 0 && total == file->size && files_unchanged(file, fd);
	close(fd);
	if (same)
		*ret = checksum_end(&sum);
	return same;
}

static void compare(struct verdict *verdict, const struct digest *digest, uint64_t value,
		    const char *who, const char *path)
{
	if (!digest->complete) {
		verdict->incomplete++;
	} else if (digest->value == value) {
		verdict->equal++;
	} else {
		verdict->different++;
		fprintf(stderr, "shmring-demo: %s got a wrong %s\n", who, path);
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
	return verdict->incomplete == 0 && lost == 0;
}

bool verify(const struct demo *demo, struct result *result)
{
	void *buffer = malloc(READ_SIZE);
	int64_t start = now_ns();
	bool good = true;

	if (!buffer) {
		system_error("shmring-demo", "malloc");
		return false;
	}
	for (uint32_t i = 0; i < demo->files.count; i++) {
		const struct file *file = &demo->files.file[i];
		uint64_t value;

		if (!checksum_of(file, buffer, &value)) {
			result->changed++;
			continue;
		}
		for (int c = 0; c < CONSUMERS; c++)
			compare(&result->verdict[c], &demo->board->consumer[c].digest[i], value,
				consumer_name[c], file->path);
	}
	free(buffer);
	for (int c = 0; c < CONSUMERS; c++) {
		result->verdict[c].accounted = accounted(demo->board, &demo->board->consumer[c]);
		good &= passed(demo, result, c);
	}
	result->verify_seconds = (double)(now_ns() - start) / 1e9;
	return good;
}
