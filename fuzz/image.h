/* SPDX-License-Identifier: MIT */
/*
 * image: a ring's file in a few hundred bytes.
 *
 * An image is a byte of flags and then the runs of bytes that are not zero, each
 * with its place: offset (4 bytes) and length (2 bytes), little endian, and the
 * bytes. Runs may come in any order and overlap; an image that ends within a run
 * ends with what there is of it. So every sequence of bytes is an image, and a
 * fuzzer that changes one changes a word of the ring rather than its size.
 *
 * What belongs to one machine and one moment is not in an image: times, process
 * IDs, the file's inode. image_build() puts the origin in that a ring needs to be
 * opened, and what follows from other fields, unless the flags forbid it.
 */
#ifndef FUZZ_IMAGE_H
#define FUZZ_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "layout.h"

enum {
	IMAGE_RAW = 1,	      /* leave origin, offsets and checksum as they are */
	IMAGE_RUN_HEADER = 6, /* offset and length */
	IMAGE_MAX_RING = 32 << 20,
};

/* The next run of an image; `at` moves on. Returns 0 at the end. */
struct run {
	uint32_t offset;
	uint16_t length;
	const uint8_t *bytes;
};

int image_next(const uint8_t *image, size_t size, size_t *at, struct run *ret);

/*
 * The image of a ring file; the caller frees it. `file` is changed: what belongs
 * to the moment is taken out.
 */
uint8_t *image_make(uint8_t *file, size_t file_size, size_t *ret_size);

/*
 * A sealed memory file with that content, as large as its identity says (up to
 * IMAGE_MAX_RING); -1: there is no such file.
 */
int image_build(const uint8_t *image, size_t size);

#endif
