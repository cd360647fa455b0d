/* SPDX-License-Identifier: MIT */
/*
 * Record forms: cutting a stream of bytes into messages.
 *
 * The bytes that were read and not yet handed out lie at [begin, end) of the
 * buffer; up to `scanned` no delimiter was found. The buffer grows to what the
 * longest record needs, and only when such a record comes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "frame.h"
#include "stop.h"

#define FRAME_BUFFER ((size_t)256 << 10)
#define FRAME_DIRECT ((size_t)32 << 10) /* a system call per block pays from here */

int frame_reader_init(struct frame_reader *r, enum frame_form form, size_t block, size_t limit)
{
	*r = (struct frame_reader){
		.form = form,
		.block = block,
		.limit = limit,
		.fd = -1,
		.size = FRAME_BUFFER,
		.buffer = malloc(FRAME_BUFFER),
	};
	return r->buffer ? 0 : -ENOMEM;
}

void frame_reader_fini(struct frame_reader *r)
{
	free(r->buffer);
	r->buffer = NULL;
}

void frame_reader_open(struct frame_reader *r, int fd)
{
	r->fd = fd;
	r->record = 1;
	r->eof = false;
	r->begin = r->end = r->scanned = 0;
}

static int take(struct frame_reader *r, const void **ret_data, size_t *ret_len, size_t skip,
		size_t len, size_t behind)
{
	if (len > r->limit)
		return -EMSGSIZE;
	*ret_data = r->buffer + r->begin + skip;
	*ret_len = len;
	r->begin += skip + len + behind;
	r->scanned = r->begin;
	r->record++;
	return 1;
}

static int next_delimited(struct frame_reader *r, const void **ret_data, size_t *ret_len,
			  char delimiter)
{
	size_t have = r->end - r->begin;
	const char *found = memchr(r->buffer + r->scanned, delimiter, r->end - r->scanned);

	if (found)
		return take(r, ret_data, ret_len, 0, (size_t)(found - r->buffer) - r->begin, 1);
	r->scanned = r->end;
	if (have > r->limit)
		return -EMSGSIZE;
	if (!r->eof)
		return -EAGAIN;
	return have ? take(r, ret_data, ret_len, 0, have, 0) : 0;
}

bool frame_head(const struct frame_reader *r, const unsigned char **ret_bytes, uint32_t *ret_length)
{
	const unsigned char *head = (const unsigned char *)r->buffer + r->begin;

	if (r->end - r->begin < FRAME_HEADER)
		return false;
	*ret_bytes = head;
	*ret_length = (uint32_t)head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 |
		      (uint32_t)head[3] << 24;
	return true;
}

static int next_frame(struct frame_reader *r, const void **ret_data, size_t *ret_len)
{
	const unsigned char *head;
	size_t have = r->end - r->begin;
	uint32_t len;

	if (frame_head(r, &head, &len)) {
		if (len > r->limit)
			return -EMSGSIZE;
		if (have - FRAME_HEADER >= len)
			return take(r, ret_data, ret_len, FRAME_HEADER, len, 0);
	}
	if (!r->eof)
		return -EAGAIN;
	return have ? -EBADMSG : 0;
}

static int next_block(struct frame_reader *r, const void **ret_data, size_t *ret_len)
{
	size_t have = r->end - r->begin;

	if (have >= r->block)
		return take(r, ret_data, ret_len, 0, r->block, 0);
	if (!r->eof)
		return -EAGAIN;
	return have ? take(r, ret_data, ret_len, 0, have, 0) : 0;
}

static int next_raw(struct frame_reader *r, const void **ret_data, size_t *ret_len)
{
	size_t have = r->end - r->begin;

	if (have)
		return take(r, ret_data, ret_len, 0, have < r->block ? have : r->block, 0);
	return r->eof ? 0 : -EAGAIN;
}

int frame_next(struct frame_reader *r, const void **ret_data, size_t *ret_len)
{
	switch (r->form) {
	case FRAME_LINES:
		return next_delimited(r, ret_data, ret_len, '\n');
	case FRAME_NULL:
		return next_delimited(r, ret_data, ret_len, '\0');
	case FRAME_FRAMES:
		return next_frame(r, ret_data, ret_len);
	case FRAME_RAW:
		return next_raw(r, ret_data, ret_len);
	default:
		return next_block(r, ret_data, ret_len);
	}
}

/* Make room behind `end`: move what is left to the front, or grow. */
static int make_room(struct frame_reader *r)
{
	char *grown;

	if (r->begin) {
		memmove(r->buffer, r->buffer + r->begin, r->end - r->begin);
		r->end -= r->begin;
		r->scanned -= r->begin;
		r->begin = 0;
	}
	if (r->end <= r->size / 2)
		return 0;
	grown = realloc(r->buffer, r->size * 2);
	if (!grown)
		return -ENOMEM;
	r->buffer = grown;
	r->size *= 2;
	return 0;
}

static bool has_blocks(const struct frame_reader *r)
{
	return r->form == FRAME_BLOCKS || r->form == FRAME_RAW;
}

/* Of a large block at most the block itself: the next block may then go direct. */
static size_t fill_size(const struct frame_reader *r)
{
	size_t room = r->size - r->end, missing = r->block - (r->end - r->begin);

	if (has_blocks(r) && r->block >= FRAME_DIRECT && missing < room)
		return missing;
	return room;
}

int frame_fill(struct frame_reader *r)
{
	ssize_t n;
	int err;

	if (r->begin || r->end == r->size) {
		err = make_room(r);
		if (err)
			return err;
	}
	do {
		n = read(r->fd, r->buffer + r->end, fill_size(r));
	} while (n < 0 && errno == EINTR && !stop_requested());
	if (n < 0)
		return -errno;
	r->eof = n == 0;
	r->end += (size_t)n;
	return 0;
}

bool frame_is_direct(const struct frame_reader *r)
{
	return has_blocks(r) && r->block >= FRAME_DIRECT && r->begin == r->end && !r->eof;
}

int frame_read_block(struct frame_reader *r, void *into, size_t *ret_len)
{
	size_t have = 0;
	ssize_t n;

	while (have < r->block && !r->eof && !(r->form == FRAME_RAW && have > 0)) {
		n = read(r->fd, (char *)into + have, r->block - have);
		if (n < 0 && (errno != EINTR || stop_requested()))
			return -errno;
		if (n > 0)
			have += (size_t)n;
		r->eof = n == 0;
	}
	if (have == 0)
		return 0;
	r->record++;
	*ret_len = have;
	return 1;
}

void frame_encode(unsigned char ret[FRAME_HEADER], uint32_t len)
{
	for (int i = 0; i < FRAME_HEADER; i++)
		ret[i] = (unsigned char)(len >> (8 * i));
}
