/* SPDX-License-Identifier: MIT */
/*
 * Writing many records with few system calls.
 *
 * A piece is a stretch of bytes to be written: part of the buffer, where
 * small records are gathered, or memory of the caller. With `hold` the buffer
 * grows instead of being written, and because it then may move, there are no
 * pieces before out_flush().
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "out.h"
#include "stop.h"

#define OUT_BUFFER ((size_t)128 << 10)
#define OUT_SMALL 2048 /* up to here a copy is cheaper than a piece */

int out_init(struct out *o, int fd, bool copy, bool hold)
{
	*o = (struct out){
		.fd = fd,
		.copy = copy || hold,
		.hold = hold,
		.size = OUT_BUFFER,
		.buffer = malloc(OUT_BUFFER),
	};
	return o->buffer ? 0 : -ENOMEM;
}

void out_fini(struct out *o)
{
	free(o->buffer);
	o->buffer = NULL;
}

void out_drop(struct out *o)
{
	o->used = o->waiting = 0;
	o->count = 0;
}

static void add_piece(struct out *o, void *base, size_t len)
{
	struct iovec *last = o->count ? &o->pieces[o->count - 1] : NULL;

	if (last && (char *)last->iov_base + last->iov_len == base)
		last->iov_len += len;
	else
		o->pieces[o->count++] = (struct iovec){ base, len };
	o->waiting += len;
}

/* Room for `len` more bytes in the buffer. */
static int make_room(struct out *o, size_t len)
{
	size_t size = o->size;
	char *grown;
	int err;

	if (!o->hold && (o->used + len > o->size || o->count == OUT_PIECES)) {
		err = out_flush(o);
		if (err < 0)
			return err;
	}
	while (size - o->used < len)
		size *= 2;
	if (size == o->size)
		return 0;
	grown = realloc(o->buffer, size);
	if (!grown)
		return -ENOMEM;
	o->buffer = grown;
	o->size = size;
	return 0;
}

int out_copy(struct out *o, const void *data, size_t len)
{
	int err = make_room(o, len);

	if (err < 0 || len == 0)
		return err;
	memcpy(o->buffer + o->used, data, len);
	if (!o->hold)
		add_piece(o, o->buffer + o->used, len);
	o->used += len;
	return 0;
}

int out_put(struct out *o, const void *data, size_t len)
{
	int err = 0;

	if (o->copy || len <= OUT_SMALL)
		return out_copy(o, data, len);
	if (o->count == OUT_PIECES)
		err = out_flush(o);
	if (err < 0)
		return err;
	/* an iovec knows no const; writev() only reads */
	add_piece(o, (void *)(uintptr_t)data, len);
	return 0;
}

/* Take `n` written bytes off the front; returns the first piece that is left. */
static int skip_written(struct out *o, int first, size_t n)
{
	for (; n >= o->pieces[first].iov_len; first++) {
		n -= o->pieces[first].iov_len;
		if (first + 1 == o->count)
			return o->count;
	}
	o->pieces[first].iov_base = (char *)o->pieces[first].iov_base + n;
	o->pieces[first].iov_len -= n;
	return first;
}

/* stdout may have been handed over non-blocking. */
static int wait_writable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

static int write_pieces(struct out *o)
{
	int first = 0, err = 0;
	ssize_t n;

	while (first < o->count && err == 0) {
		if (stop_forced())
			return -EINTR;
		n = writev(o->fd, o->pieces + first, o->count - first);
		if (n >= 0)
			first = skip_written(o, first, (size_t)n);
		else if (errno == EAGAIN)
			err = wait_writable(o->fd);
		else if (errno != EINTR)
			err = -errno;
	}
	return err;
}

int out_flush(struct out *o)
{
	int err;

	if (o->hold && o->used)
		add_piece(o, o->buffer, o->used);
	err = write_pieces(o);
	out_drop(o);
	return err;
}
