/* SPDX-License-Identifier: MIT */
/*
 * segment: make, allocate and map the segments of a ring file.
 *
 * A file comes into being unnamed, is allocated and filled, and gets its name
 * last, so no process ever sees half a ring. A mapping reserves one stretch of
 * addresses and lays the segments into it, each with a guard of inaccessible
 * addresses on both sides; lane data are laid twice in a row, so that a record
 * that wraps around is contiguous. All of it is kept from children (fork) and
 * core dumps.
 */
#ifndef SHMRING_CORE_SEGMENT_H
#define SHMRING_CORE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)

/*
 * An unnamed file on the file system of directory `dirfd`, or a memory file if
 * `dirfd` is negative. `mode` gives its permission bits.
 */
int segment_new_file(int dirfd, unsigned mode);

/* A memory file; the label is what /proc shows. */
int segment_new_memory(const char *label, unsigned mode);

/*
 * Seal a memory file against a change of its size and against further seals: a peer that
 * was given the file could otherwise forbid all processes to map it for writing.
 * segment_check_seals(): check that a file is sealed against a change of its size.
 */
int segment_seal(int fd);
int segment_check_seals(int fd);

/* Is it a memory file with all of these seals, F_SEAL_...? */
bool segment_is_sealed(int fd, int needed);

/* Give an unnamed file its name. -EEXIST: the name is taken. */
int segment_link(int fd, int dirfd, const char *name);

/* -EOPNOTSUPP unless the file lies on tmpfs, ext4 or xfs. */
int segment_check_file_system(int fd);

/* Get memory or disk for a range of the file; -ENOSPC and the like. */
int shmr_allocate(int fd, uint64_t offset, uint64_t size);

/* Give it back (a lane whose set-up failed). */
void shmr_deallocate(int fd, uint64_t offset, uint64_t size);

/* A stretch of addresses; what is not laid over stays inaccessible. */
struct mapping {
	unsigned char *base;
	size_t size;
	size_t used; /* the next segment goes behind this */
};

/* Room for segments of `size` bytes in total, guards not counted. */
int mapping_reserve(struct mapping *m, size_t size, unsigned segments);

/*
 * Lay a range of the file behind the last one, `copies` times in a row.
 * `alignment` is a power of two >= 64 KiB.
 */
int mapping_lay(struct mapping *m, int fd, uint64_t offset, size_t size, bool writable,
		unsigned copies, size_t alignment, void **ret);

/* The two halves of that: reserve the addresses, and lay a file there, now or later. */
void *mapping_place(struct mapping *m, size_t size, unsigned copies, size_t alignment);
int mapping_lay_at(void *where, int fd, uint64_t offset, size_t size, bool writable,
		   unsigned copies);

/* Keep it, or a part of it, from children and core dumps. */
int mapping_keep_from_children(void *start, size_t size);
int mapping_keep_private(struct mapping *m);

void mapping_drop(struct mapping *m);

#pragma GCC visibility pop

#endif
