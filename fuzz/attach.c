/* SPDX-License-Identifier: MIT */
/*
 * Fuzzing the way in: any image is a ring or an error. A process that attaches to it in
 * any role gets an answer, and can read, write and leave.
 */
#include <unistd.h>

#include "image.h"
#include "use.h"

static void attach_consumer(struct shmring_ring *r, const char *name, uint32_t start,
			    uint32_t flags)
{
	const struct shmring_consumer_options options = {
		.size = sizeof(options),
		.name = name,
		.start = start,
		.flags = flags,
		.memory.lock = SHMRING_LOCK_NONE,
	};
	struct shmring_consumer *c;

	if (shmring_consumer_attach(&c, r, &options) < 0)
		return;
	use_consumer(c, 40);
	shmring_consumer_detach(c);
}

static void attach_producer(struct shmring_ring *r)
{
	const struct shmring_producer_options options = { .size = sizeof(options),
							  .memory.lock = SHMRING_LOCK_NONE };
	struct shmring_producer *p;

	if (shmring_producer_attach(&p, r, &options) < 0)
		return;
	use_producer(p, 20);
	shmring_producer_detach(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = image_build(data, size);
	struct shmring_ring *r;

	if (fd < 0)
		return -1;
	if (shmring_open_fd(&r, fd) == 0) {
		attach_consumer(r, NULL, SHMRING_START_OLDEST, SHMRING_OBSERVE);
		attach_consumer(r, NULL, SHMRING_START_NOW, SHMRING_OBSERVE);
		attach_consumer(r, "name", SHMRING_START_DEFAULT, 0);
		attach_producer(r);
		attach_consumer(r, NULL, SHMRING_START_OLDEST, 0);
		attach_consumer(r, NULL, SHMRING_START_NOW, 0);
		attach_consumer(r, "other", SHMRING_START_DEFAULT, SHMRING_PINNED);
		use_ring(r);
		shmring_close(r);
	}
	close(fd);
	return 0;
}
