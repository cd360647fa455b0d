/* SPDX-License-Identifier: MIT */
/*
 * ring: an open ring, the ground that attachments stand on.
 *
 * It holds a descriptor, the checked geometry and a read-only view of all
 * control segments. Its descriptor never locks anything, so it may be shared
 * with children and duplicated freely; it serves to probe the liveness of
 * others and to open descriptions of one's own.
 */
#ifndef SHMRING_CORE_RING_H
#define SHMRING_CORE_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "layout.h"

#pragma GCC visibility push(default)

struct shmring {
	uint64_t *alive;    /* in a page that a child of fork finds empty */
	shm_u32 references; /* the user's, and one per attachment */
	int fd;
	shm_u32 spare_fd; /* opened anew after the program closed `fd`; 0: none */
	char *path;	  /* where the kernel says the file is; NULL: unknown */
	bool writable;
	bool named; /* has, or had, a name */
	dev_t device;
	ino_t inode;
	uint64_t created_ns;
	uint8_t uuid[16];
	struct geometry geometry;
	unsigned char *view;	   /* read-only, from 0 to the first lane's data */
	struct registry *registry; /* in the view, as are the next three */
	struct doorbell *doorbell;
	struct cursor_row *rows;
};

/* 0, or -ECHILD in a child that has not joined. */
int shmr_ring_check(const struct shmring *r);

/* The descriptor, or -EBADF if the program closed or reused its number. */
int shmr_ring_fd(const struct shmring *r);

/*
 * A descriptor to probe the liveness of others with. If the program closed ours,
 * the ring is opened again where it was, or, with the capability for it, through
 * the mapping. -EBADF: neither is possible, so nobody can be proved dead.
 */
int shmr_ring_probe_fd(struct shmring *r);

/* An open file description of one's own; the caller closes it. */
int shmr_ring_reopen(const struct shmring *r);

struct shmring *shmr_ring_ref(struct shmring *r);

static inline struct lane_control *ring_control(const struct shmring *r, unsigned lane)
{
	return (struct lane_control *)(void *)(r->view + control_offset(&r->geometry, lane));
}

/* Memory for a handle, which a child made by fork finds zeroed. */
void *shmr_handle_new(size_t size);
void shmr_handle_free(void *handle, size_t size);

#pragma GCC visibility pop

#endif
