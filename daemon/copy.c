/* SPDX-License-Identifier: MIT */
/*
 * copy: see copy.h.
 */
#include "copy.h"

#include <errno.h>
#include <unistd.h>

#include "segment.h"
#include "sys.h"

/* A turn takes about a millisecond. */
enum { TURN = 4 * COPY_PIECE };

static int copy_range(unsigned char *piece, int from, int to, off_t at, off_t end)
{
	while (at < end) {
		size_t want = end - at < COPY_PIECE ? (size_t)(end - at) : COPY_PIECE;
		ssize_t n = shmr_read_at(from, piece, want, at);
		int e = n <= 0 ? -EIO : shmr_write_at(to, piece, (size_t)n, at);

		if (e < 0)
			return e;
		at += n;
	}
	return 0;
}

int copy_some(int from, int to, off_t *at, unsigned char *piece)
{
	off_t start = lseek(from, *at, SEEK_DATA), end;
	int e;

	if (start < 0)
		return errno == ENXIO ? 0 : -errno; /* ENXIO: there is no more data */
	end = lseek(from, start, SEEK_HOLE);
	if (end < 0)
		return -errno;
	if (end - start > TURN)
		end = start + TURN;
	e = copy_range(piece, from, to, start, end);
	*at = end;
	return e < 0 ? e : 1;
}
