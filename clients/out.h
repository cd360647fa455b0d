/* SPDX-License-Identifier: MIT */
/*
 * Writing many records with few system calls: small pieces are copied together,
 * large ones are written from where they lie.
 */
#ifndef SHMRING_OUT_H
#define SHMRING_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#define OUT_PIECES 512

struct out {
	int fd;
	bool copy; /* copy large pieces too: they do not stay where they are */
	bool hold; /* write nothing before out_flush(): it may have to be dropped */
	char *buffer;
	size_t size;
	size_t used;
	size_t waiting; /* bytes of the pieces */
	int count;
	struct iovec pieces[OUT_PIECES];
};

/* 0 or -ENOMEM. */
int out_init(struct out *o, int fd, bool copy, bool hold);
void out_fini(struct out *o);

/*
 * Add bytes. Without `copy` they must stay valid until out_flush(). Returns 0
 * or what out_flush() returns, or -ENOMEM.
 */
int out_put(struct out *o, const void *data, size_t len);

/* Add bytes that may change after the call. */
int out_copy(struct out *o, const void *data, size_t len);

/*
 * Write everything that was added. Returns 0, -EPIPE (no process reads any more),
 * -EINTR (stop_forced(); some of it may be written) or another negative errno.
 */
int out_flush(struct out *o);

/* Forget what was added. */
void out_drop(struct out *o);

#endif
