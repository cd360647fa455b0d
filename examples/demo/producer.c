/* SPDX-License-Identifier: MIT */
/*
 * A producer of the demo: reads its files straight into the ring, block by
 * block. The kernel copies from its page cache to where the consumers read;
 * no other copy is made.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"

const char *const producer_name[PRODUCERS] = { "producer 1", "producer 2", "producer 3" };

/*
 * Read up to `length` bytes, less only at the end of the file. A file that
 * cannot be read (any more) ends there: verify.c finds out why.
 */
static uint32_t read_block(int fd, char *data, uint32_t length, uint64_t offset)
{
	uint32_t done = 0;

	while (fd >= 0 && done < length) {
		ssize_t n = pread(fd, data + done, length - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (uint32_t)n;
	}
	return done;
}

/* Send the block at `offset`. Returns whether it is the last one, or an error. */
static int send_block(struct shmring_producer *producer, const struct file *file, uint32_t index,
		      int fd, uint64_t offset)
{
	uint64_t rest = file->size - offset;
	uint32_t want = rest < BLOCK_SIZE ? (uint32_t)rest : BLOCK_SIZE;
	uint32_t path_length = offset == 0 ? (uint32_t)strlen(file->path) : 0;
	struct block *block;
	void *place;
	char *body;
	bool last;
	int r;

	r = shmring_claim(producer, sizeof(*block) + path_length + want, SHMRING_FOREVER, &place);
	if (r < 0)
		return r;
	block = place;
	body = (char *)(block + 1);
	memcpy(body, file->path, path_length);
	*block = (struct block){
		.file = index,
		.path_length = path_length,
		.length = read_block(fd, body + path_length, want, offset),
		.offset = offset,
	};
	last = block->length < want || offset + block->length == file->size;
	block->flags = last ? BLOCK_LAST : 0;
	block->sent_ns = now_ns();
	r = shmring_commit(producer, sizeof(*block) + path_length + block->length);
	return r < 0 ? r : last;
}

static int send_file(struct shmring_producer *producer, const struct file *file, uint32_t index)
{
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	uint64_t offset = 0;
	int r;

	while ((r = send_block(producer, file, index, fd, offset)) == 0)
		offset += BLOCK_SIZE;
	if (fd >= 0)
		close(fd);
	return r < 0 ? r : 0;
}

static int send_all(struct shmring_producer *producer, const struct file_list *files, unsigned me)
{
	struct block end = { .flags = BLOCK_END };
	int r = 0;

	for (uint32_t i = 0; i < files->count && r == 0; i++)
		if (files->file[i].producer == me)
			r = send_file(producer, &files->file[i], i);
	if (r < 0)
		return r;
	end.sent_ns = now_ns();
	return shmring_publish(producer, &end, sizeof(end), SHMRING_FOREVER);
}

int producer_main(const struct demo *demo, int index, int life)
{
	struct shmring_producer_options options = {
		.size = sizeof(options),
		.spin_ns = demo_spin_ns(),
	};
	struct producer_report *report = &demo->board->producer[index];
	struct shmring_producer *producer = NULL;
	struct shmring_ring *ring = NULL;
	int r;

	(void)life;
	r = ring_enter(demo, &ring);
	if (r == 0)
		r = shmring_producer_attach(&producer, ring, &options);
	if (r == 0) {
		report->lane = shmring_producer_lane(producer);
		report->first_ns = now_ns();
		r = send_all(producer, &demo->files, (unsigned)index);
	}
	report->counters.size = sizeof(report->counters);
	if (r == 0)
		r = shmring_producer_counters(producer, &report->counters);
	if (r < 0)
		ring_error(producer_name[index], r);
	shmring_producer_detach(producer);
	shmring_close(ring);
	return r;
}
