/* SPDX-License-Identifier: MIT */
/*
 * image: see image.h.
 */
#include "image.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lane.h"
#include "sys.h"

#define LEAST_GAP 8 /* zeros between two runs; fewer are written out */

int image_next(const uint8_t *image, size_t size, size_t *at, struct run *ret)
{
	size_t rest;

	if (*at == 0)
		*at = 1; /* the flags */
	if (*at > size || size - *at < IMAGE_RUN_HEADER)
		return 0;
	memcpy(&ret->offset, image + *at, 4);
	memcpy(&ret->length, image + *at + 4, 2);
	*at += IMAGE_RUN_HEADER;
	rest = size - *at;
	if (ret->length > rest)
		ret->length = (uint16_t)rest;
	ret->bytes = image + *at;
	*at += ret->length;
	return 1;
}

/* The first lap of a lane: its stamps are of the moment. */
static void normalize_stamps(const struct geometry *g, uint8_t *data)
{
	const struct lane lane = { .data = data, .mask = g->lane_size - 1 };
	uint64_t at = g->first_position, header;

	while (at - g->first_position < g->lane_size &&
	       (header = load_relaxed(lane_word(data, lane.mask, at))) != 0) {
		store_relaxed(lane_stamp(&lane, g, at), 1);
		at += record_size_in(g, header_length(header));
	}
}

/* Waiting times differ from run to run: make them zero. */
static void normalize_counts(const struct geometry *g, uint8_t *file)
{
	for (unsigned i = 0; i < g->lanes; i++) {
		struct lane_control *control =
			(struct lane_control *)(void *)(file + control_offset(g, i));

		store_relaxed(&control->counts.full_wait_ns, 0);
		store_relaxed(&control->counts.sleeps, 0);
	}
}

/* Take out what differs from one run of the same program to the next. */
static void normalize(uint8_t *file)
{
	struct identity *id = (struct identity *)(void *)file;
	struct registry *registry = (struct registry *)(void *)(file + LAYOUT_GRANULE);
	uint8_t *doorbell = file + 2 * (size_t)LAYOUT_GRANULE;
	struct geometry g;

	memset(id->uuid, 0, sizeof(id->uuid));
	memset(id->boot_id, 0, sizeof(id->boot_id));
	id->created_ns = id->device = id->inode = id->birth_ns = 0;
	layout_seal(id);
	if (layout_check(&g, id, id->file_size) == 0 && !layout_is_isolated(&g)) {
		normalize_counts(&g, file);
		for (unsigned i = 0; g.stamps != SHMRING_STAMP_NONE && i < g.lanes; i++)
			normalize_stamps(&g, file + data_offset(&g, i));
	}
	for (unsigned i = 0; i < LAYOUT_LANES; i++) {
		store_relaxed(&registry->lane_holder[i].pid, 0);
		store_relaxed(&registry->lane_holder[i].attached_ns, 0);
		store_relaxed(&registry->consumer_holder[i].pid, 0);
		store_relaxed(&registry->consumer_holder[i].attached_ns, 0);
		store_relaxed(&registry->consumer_counts[i].arrived, 0);
		memset(doorbell + offsetof(struct doorbell, room[i].bell), 0, sizeof(shm_u32));
	}
	/* How often bells were moved means nothing; only that they move. */
	memset(doorbell + offsetof(struct doorbell, data_bell), 0, sizeof(shm_u32));
	memset(doorbell + offsetof(struct doorbell, arrivals), 0, sizeof(shm_u32));
}

static size_t add_run(uint8_t *to, size_t used, const uint8_t *file, size_t start, size_t end)
{
	uint32_t offset = (uint32_t)start;
	uint16_t length = (uint16_t)(end - start);

	memcpy(to + used, &offset, 4);
	memcpy(to + used + 4, &length, 2);
	memcpy(to + used + IMAGE_RUN_HEADER, file + start, length);
	return used + IMAGE_RUN_HEADER + length;
}

uint8_t *image_make(uint8_t *file, size_t file_size, size_t *ret_size)
{
	uint8_t *image = malloc(1 + file_size * 2);
	size_t used = 1, start, end, zeros;

	if (!image)
		return NULL;
	normalize(file);
	image[0] = 0;
	for (size_t at = 0; at < file_size; at = end) {
		for (start = at; start < file_size && file[start] == 0;)
			start++;
		zeros = 0;
		for (end = start; end < file_size && end - start < UINT16_MAX && zeros < LEAST_GAP;
		     end++)
			zeros = file[end] == 0 ? zeros + 1 : 0;
		if (start < file_size)
			used = add_run(image, used, file, start, end - zeros);
	}
	*ret_size = used;
	return image;
}

/* Make the identity what it must be in this file. */
static void repair(struct identity *id, int fd, const struct stat *st)
{
	if (shmr_boot_id(id->boot_id) < 0 || shmr_birth_time(fd, &id->birth_ns) < 0)
		abort(); /* nothing could be opened here */
	id->named = 0;
	id->device = st->st_dev;
	id->inode = st->st_ino;
	id->file_size = (uint64_t)st->st_size;
	layout_seal(id);
}

/* What follows from lanes and lane size, in range or not. */
static void derive(struct identity *id)
{
	uint64_t step = id->lane_size < LAYOUT_HUGE ? LAYOUT_GRANULE : LAYOUT_HUGE;

	if (id->lanes > IMAGE_MAX_RING / LAYOUT_GRANULE || id->lane_size > IMAGE_MAX_RING)
		return;
	id->data_offset = id->controls_offset + id->lanes * LAYOUT_GRANULE;
	id->data_offset = (id->data_offset + step - 1) / step * step;
	id->file_size = id->data_offset + id->lanes * id->lane_size;
}

/* What the image says of the first bytes. */
static void read_identity(const uint8_t *image, size_t size, struct identity *ret)
{
	struct run run;
	size_t at = 0;

	memset(ret, 0, sizeof(*ret));
	while (image_next(image, size, &at, &run))
		for (uint32_t i = 0; i < run.length && run.offset + i < sizeof(*ret); i++)
			((uint8_t *)ret)[run.offset + i] = run.bytes[i];
}

static void write_runs(int fd, const uint8_t *image, size_t size, size_t file_size)
{
	struct run run;
	size_t at = 0;

	while (image_next(image, size, &at, &run))
		if (run.offset < file_size && run.length <= file_size - run.offset &&
		    pwrite(fd, run.bytes, run.length, run.offset) != run.length)
			abort();
}

int image_build(const uint8_t *image, size_t size)
{
	struct identity id;
	struct stat st;
	int fd;

	if (size == 0)
		return -1;
	read_identity(image, size, &id);
	if (!(image[0] & IMAGE_RAW))
		derive(&id);
	if (id.file_size > IMAGE_MAX_RING)
		return -1;
	fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)id.file_size) < 0 || fstat(fd, &st) < 0)
		abort();
	write_runs(fd, image, size, id.file_size);
	if (!(image[0] & IMAGE_RAW) && id.file_size >= sizeof(id)) {
		repair(&id, fd, &st);
		if (pwrite(fd, &id, sizeof(id), 0) != (ssize_t)sizeof(id))
			abort();
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		abort();
	return fd;
}
