/* SPDX-License-Identifier: MIT */
/*
 * segment: files and mappings; see segment.h.
 */
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "explain.h"
#include "layout.h"
#include "sys.h"

/* Kernel interfaces younger than the headers of some C libraries. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

#define GUARD ((size_t)LAYOUT_GRANULE)
#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

static int new_memory_file(const char *label)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = shmr_fd_above_standard(memfd_create(label, flags | MFD_NOEXEC_SEAL));

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = shmr_fd_above_standard(memfd_create(label, flags));
	return fd < 0 ? explain(-errno, "cannot make a memory file: %e", -errno) : fd;
}

/* The umask does not change the mode of a ring. */
static int with_mode(int fd, unsigned mode)
{
	if (fd >= 0 && fchmod(fd, mode) < 0) {
		int error = -errno;

		close(fd);
		return explain(error, "cannot set the mode of the ring: %e", error);
	}
	return fd;
}

int segment_new_memory(const char *label, unsigned mode)
{
	return with_mode(new_memory_file(label), mode);
}

int segment_new_file(int dirfd, unsigned mode)
{
	int fd;

	if (dirfd < 0)
		return segment_new_memory("shmring", mode);
	fd = shmr_fd_above_standard(openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	if (fd < 0)
		return explain(errno == EISDIR ? -EOPNOTSUPP : -errno,
			       "cannot make a file in the ring's directory: %e", -errno);
	return with_mode(fd, mode);
}

int segment_seal(int fd)
{
	if (fcntl(fd, F_ADD_SEALS, SIZE_SEALS | F_SEAL_SEAL) < 0)
		return explain(-errno, "cannot seal the memory file: %e", -errno);
	return 0;
}

bool segment_is_sealed(int fd, int needed)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & needed) == needed;
}

int segment_check_seals(int fd)
{
	if (!segment_is_sealed(fd, SIZE_SEALS))
		return explain(-EPERM, "the memory file is not sealed against a change of its "
				       "size; its creator must add F_SEAL_SHRINK and F_SEAL_GROW");
	return 0;
}

int segment_link(int fd, int dirfd, const char *name)
{
	char path[32];

	shmr_fd_path(path, fd);
	return linkat(AT_FDCWD, path, dirfd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/*
 * Only where the kernel keeps a lock for as long as a mapping lives and where
 * allocated blocks stay allocated: not on network, stacked or copy-on-write
 * file systems.
 */
int segment_check_file_system(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return explain(-errno, "cannot tell the file system of the ring: %e", -errno);
	switch ((unsigned long)fs.f_type) {
	case TMPFS_MAGIC:
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
		return 0;
	default:
		return explain(
			-EOPNOTSUPP,
			"rings work on tmpfs, ext4 and xfs, not on this file system (type %u); put "
			"the ring into /dev/shm",
			(uint64_t)fs.f_type);
	}
}

static int no_room(int error, uint64_t size)
{
	if (error != -ENOSPC)
		return explain(error, "cannot get %u bytes for the ring: %e", size, error);
	return explain(error,
		       "the file system has no room for %u bytes of the ring; make room, or make "
		       "the ring with a smaller lane size (Docker: a larger --shm-size)",
		       size);
}

/*
 * On older kernels any signal takes back all that one call has got so far, and a
 * timer may be quicker than a lane is large. Smaller pieces get on.
 */
int shmr_allocate(int fd, uint64_t offset, uint64_t size)
{
	uint64_t piece = size, done = 0;

	while (done < size) {
		uint64_t want = size - done < piece ? size - done : piece;
		int r = FAULT_AROUND(posix_fallocate(fd, (off_t)(offset + done), (off_t)want));

		if (r == 0)
			done += want;
		else if (r != EINTR)
			return no_room(-r, size);
		else if (piece >= 2 * LAYOUT_GRANULE)
			piece /= 2;
	}
	return 0;
}

void shmr_deallocate(int fd, uint64_t offset, uint64_t size)
{
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size);
}

int mapping_reserve(struct mapping *m, size_t size, unsigned segments)
{
	/* A guard around each segment, and slack to align one to huge pages. */
	size_t whole = size + (segments + 1) * GUARD + LAYOUT_HUGE * segments;
	void *base =
		mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return explain(-errno, "cannot reserve %u bytes of addresses: %e", (uint64_t)whole,
			       -errno);
	m->base = base;
	m->size = whole;
	m->used = GUARD;
	return 0;
}

void *mapping_place(struct mapping *m, size_t size, unsigned copies, size_t alignment)
{
	uintptr_t start =
		((uintptr_t)m->base + m->used + alignment - 1) & ~(uintptr_t)(alignment - 1);

	m->used = start + copies * size + GUARD - (uintptr_t)m->base;
	return (void *)start;
}

int mapping_lay_at(void *where, int fd, uint64_t offset, size_t size, bool writable,
		   unsigned copies)
{
	int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;

	for (unsigned i = 0; i < copies; i++)
		if (mmap((unsigned char *)where + i * size, size, protection,
			 MAP_SHARED | MAP_FIXED, fd, (off_t)offset) == MAP_FAILED)
			return explain(-errno, "cannot map %u bytes of the ring: %e",
				       (uint64_t)size, -errno);
	return 0;
}

int mapping_lay(struct mapping *m, int fd, uint64_t offset, size_t size, bool writable,
		unsigned copies, size_t alignment, void **ret)
{
	*ret = mapping_place(m, size, copies, alignment);
	return mapping_lay_at(*ret, fd, offset, size, writable, copies);
}

int mapping_keep_from_children(void *start, size_t size)
{
	if (madvise(start, size, MADV_DONTFORK) < 0)
		return explain(-errno, "cannot exclude the ring's mapping from child processes: %e",
			       -errno);
	/* A dump of a large ring would delay the proof of its owner's death. */
	madvise(start, size, MADV_DONTDUMP);
	return 0;
}

int mapping_keep_private(struct mapping *m)
{
	return mapping_keep_from_children(m->base, m->size);
}

void mapping_drop(struct mapping *m)
{
	if (m->base)
		(void)FAULT_AROUND(munmap(m->base, m->size));
	m->base = NULL;
}
