/* SPDX-License-Identifier: MIT */
/*
 * Record forms: how messages lie one behind the other in a stream of bytes.
 *
 *	lines	each ends with a newline, which is not part of the message
 *	null	each ends with a NUL byte, which is not part of the message
 *	frames	each begins with its length, 4 bytes, little endian
 *	blocks	each has the same number of bytes, the last may be shorter
 *	raw	each is what one read(2) gave: it ends nowhere in particular, and
 *		does not wait for more
 *
 * Lines and null take a last record without its end; it gets one on output.
 */
#ifndef SHMRING_FRAME_H
#define SHMRING_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum frame_form {
	FRAME_LINES,
	FRAME_NULL,
	FRAME_FRAMES,
	FRAME_BLOCKS,
	FRAME_RAW,
};

#define FRAME_HEADER 4 /* bytes of the length in FRAME_FRAMES */

/* Cuts one input after the other into records. */
struct frame_reader {
	enum frame_form form;
	size_t block; /* bytes of a record in FRAME_BLOCKS, at most so many in FRAME_RAW */
	size_t limit; /* longest record, in bytes */
	int fd;
	uint64_t record; /* number of the next record of this input, from 1 */
	bool eof;
	char *buffer; /* the rest of this struct is private */
	size_t size;
	size_t begin;
	size_t end;
	size_t scanned;
};

/* 0 or -ENOMEM. The block may not be longer than the limit. */
int frame_reader_init(struct frame_reader *r, enum frame_form form, size_t block, size_t limit);
void frame_reader_fini(struct frame_reader *r);

/* Begin a new input. */
void frame_reader_open(struct frame_reader *r, int fd);

/*
 * The next record that has been read already; valid until frame_fill().
 * Returns 1, 0 (the input has ended), -EAGAIN (frame_fill() first), -EMSGSIZE
 * (longer than the limit) or -EBADMSG (the input ends inside a frame).
 */
int frame_next(struct frame_reader *r, const void **ret_data, size_t *ret_len);

/*
 * Read more: one read(2), which may block. Returns 0 or a negative errno; -EINTR
 * only if stop_requested().
 */
int frame_fill(struct frame_reader *r);

/*
 * Large blocks need no buffer: while this holds, the next block may be read
 * straight to where it belongs, `block` bytes of room: in FRAME_RAW what one
 * read(2) gives. frame_read_block()
 * returns 1, 0 (the input has ended) or a negative errno; -EINTR only if
 * stop_requested(), with the block lost.
 */
bool frame_is_direct(const struct frame_reader *r);
int frame_read_block(struct frame_reader *r, void *into, size_t *ret_len);

/*
 * FRAME_FRAMES: the bytes where the length of the next frame was looked for, and the length
 * that they say. False: there are fewer than that.
 */
bool frame_head(const struct frame_reader *r, const unsigned char **ret_bytes,
		uint32_t *ret_length);

/* Write the length of a frame. */
void frame_encode(unsigned char ret[FRAME_HEADER], uint32_t len);

#endif
