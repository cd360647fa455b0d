/* SPDX-License-Identifier: MIT */
/*
 * ring: see ring.h.
 */
#include "ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "explain.h"
#include "registry.h"
#include "sys.h"

/*
 * How many spares may be lost. The number of a lost spare may belong to another file, so it
 * is not closed. Many are lost if the program closes all descriptors again and again, or if
 * a process that may read the ring puts locks on the marks of spares, so that they look like
 * another's. Neither must use up the descriptors of this process.
 */
#define MOST_SPARES 64

const char *shmring_version(void)
{
	return PACKAGE_VERSION;
}

int64_t shmring_deadline(int64_t ns)
{
	int64_t now = shmr_now();

	return ns >= SHMRING_FOREVER - now ? SHMRING_FOREVER : now + ns;
}

void *shmr_handle_new(size_t size)
{
	void *handle = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (handle == MAP_FAILED)
		return NULL;
	if (madvise(handle, size, MADV_WIPEONFORK) < 0) {
		munmap(handle, size);
		return NULL;
	}
	return handle;
}

void shmr_handle_free(void *handle, size_t size)
{
	munmap(handle, size);
}

int shmr_ring_check(const struct shmring_ring *r)
{
	if (*r->alive != HANDLE_ALIVE)
		return explain(
			-ECHILD,
			"this handle belongs to the parent process; call shmring_join() first");
	return 0;
}

bool ring_is_file(const struct shmring_ring *r, int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_dev == r->device && st.st_ino == r->inode;
}

/*
 * The number may belong to another handle by now, or to the program, with a description of
 * the same file. The handle's description holds a lock on a byte at random, and the mapping of the
 * view keeps description and lock alive when the descriptor is closed. The kernel reports a
 * lock to all descriptions but its own: so the handle recognises it. Where the kernel does not
 * answer, the descriptor counts as the handle's.
 */
static bool is_ours(const struct shmring_ring *r, int fd)
{
	return ring_is_file(r, fd) && (!r->marked || shmr_is_marked_by(fd, r->mark) != 0);
}

static void close_unless_lost(const struct shmring_ring *r, int fd)
{
	struct stat st;
	bool lost = fstat(fd, &st) < 0 ? errno == EBADF
				       : st.st_dev != r->device || st.st_ino != r->inode ||
						 (r->marked && shmr_is_marked_by(fd, r->mark) == 0);

	if (!lost)
		close(fd);
}

/*
 * The mark of a spare description, which a page keeps: a byte for each number, so that threads
 * which open spares at the same moment do not hinder each other from marking them.
 */
static uint64_t spare_mark(const struct shmring_ring *r, int fd)
{
	return r->mark + 1 + (uint64_t)fd;
}

/* The same as is_ours() for the spare description. */
static bool is_spare(const struct shmring_ring *r, int fd)
{
	return fd > 0 && ring_is_file(r, fd) &&
	       (!r->marked || shmr_is_marked_by(fd, spare_mark(r, fd)) != 0);
}

static void drop_spare_view(uint64_t view)
{
	if (view != 0)
		munmap((void *)(uintptr_t)view, LAYOUT_GRANULE);
}

/* The view of a new spare description, which keeps its mark; 0: there is none. */
static uint64_t mark_spare(const struct shmring_ring *r, int fd)
{
	void *view;

	if (!r->marked || shmr_mark_byte(fd, spare_mark(r, fd)) < 0)
		return 0;
	view = mmap(NULL, LAYOUT_GRANULE, PROT_READ, MAP_SHARED, fd, 0);
	return view == MAP_FAILED ? 0 : (uint64_t)(uintptr_t)view;
}

/* For writing if the ring was, because of the mark. */
static int open_path(const struct shmring_ring *r, const char *path, int flags)
{
	int fd = r->writable ? shmr_fd_above_standard(open(path, O_RDWR | flags)) : -1;

	return fd >= 0 ? fd : shmr_fd_above_standard(open(path, O_RDONLY | flags));
}

static int open_anew(const struct shmring_ring *r)
{
	const int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	char path[64];
	int fd = r->path ? open_path(r, r->path, flags) : -1;

	if (fd >= 0 && ring_is_file(r, fd))
		return fd;
	if (fd >= 0)
		close(fd);
	shmr_mapping_path(path, r->view, r->geometry.view_size);
	fd = open_path(r, path, O_CLOEXEC);
	if (fd < 0)
		return explain(-EBADF,
			       "the program closed the ring's descriptor, so the library cannot "
			       "tell dead processes from living ones; keep the descriptor open");
	return fd;
}

/* [SPARE] pairs with ring_free(); between threads. */
int shmr_ring_probe_fd(struct shmring_ring *r)
{
	uint32_t spare = load_acquire32(&r->spare_fd);
	uint64_t view;
	int fd;

	if (is_ours(r, r->fd))
		return r->fd;
	if (is_spare(r, (int)spare))
		return (int)spare;
	if (load_acquire32(&r->spares) >= MOST_SPARES)
		return explain(-EBADF, "the ring's descriptor was lost again and again, so the "
				       "library cannot tell dead processes from living ones");
	fd = open_anew(r);
	if (fd < 0)
		return fd;
	view = mark_spare(r, fd);
	if (compare_and_swap32(&r->spare_fd, spare, (uint32_t)fd)) {
		fetch_add32(&r->spares, 1); /* no edge: a count */
		drop_spare_view(exchange(&r->spare_view, view));
		return fd;
	}
	drop_spare_view(view); /* another thread was quicker */
	close(fd);
	return (int)load_acquire32(&r->spare_fd);
}

char *shmr_ring_path(struct shmring_ring *r)
{
	static const char deleted[] = " (deleted)";
	int fd = shmr_ring_probe_fd(r);
	char *path = fd >= 0 ? shmr_path_of(fd) : NULL;
	size_t length = path ? strlen(path) : 0;

	if (!path || !r->path || length < sizeof(deleted) ||
	    strcmp(path + length + 1 - sizeof(deleted), deleted) != 0)
		return path;
	free(path);
	return strdup(r->path);
}

bool shmr_ring_is_removed(struct shmring_ring *r)
{
	struct stat st;
	int fd;

	if (layout_is_isolated(&r->geometry))
		return load_relaxed(&r->registry->retired) != 0;
	if (!r->named)
		return false;
	fd = shmr_ring_probe_fd(r);
	return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == r->device && st.st_ino == r->inode &&
	       st.st_nlink == 0;
}

int shmr_ring_fd(const struct shmring_ring *r)
{
	if (!is_ours(r, r->fd))
		return explain(
			-EBADF,
			"the ring's descriptor was closed by the program; open the ring again");
	return r->fd;
}

static int reopen_through_proc(const struct shmring_ring *r)
{
	int fd = shmr_ring_fd(r);

	if (fd < 0)
		return fd;
	fd = shmr_reopen(fd, r->writable ? O_RDWR : O_RDONLY);
	if (fd < 0)
		return explain(fd, "cannot open the ring again through /proc: %e", fd);
	return fd;
}

/* Check a descriptor that a source gave. */
static int check_description(const struct shmring_ring *r, int fd, enum ring_role role)
{
	int flags = fcntl(fd, F_GETFL);

	if (!ring_is_file(r, fd))
		return explain(-ESTALE, "the given descriptor does not lead to this ring");
	if (role != RING_OBSERVE && (flags < 0 || (flags & O_ACCMODE) != O_RDWR))
		return explain(-EACCES, "the given descriptor does not allow writing");
	return 0;
}

int shmr_ring_reopen(const struct shmring_ring *r, enum ring_role role,
		     struct ring_grant *ret_grant)
{
	int fd, e;

	if (!r->source)
		return reopen_through_proc(r);
	fd = r->source->open(r->source, role, ret_grant);
	if (fd < 0)
		return fd;
	e = check_description(r, fd, role);
	if (e == 0)
		return fd;
	close(fd);
	shmr_ring_leave(r, ret_grant);
	return e;
}

void shmr_ring_leave(const struct shmring_ring *r, const struct ring_grant *grant)
{
	if (r->source && grant->connection != 0)
		r->source->leave(r->source, grant);
}

/* [COUNT] pairs with shmring_close(); between threads. */
struct shmring_ring *shmr_ring_ref(struct shmring_ring *r)
{
	fetch_add32(&r->references, 1);
	return r;
}

/* The description may live on behind other descriptors, without the handle's mark. */
static void drop_description(const struct shmring_ring *r)
{
	if (r->marked && !r->inherited && *r->alive == HANDLE_ALIVE && is_ours(r, r->fd))
		shmr_unlock_byte(r->fd, r->mark);
	close_unless_lost(r, r->fd);
}

/* [SPARE] pairs with shmr_ring_probe_fd() */
void ring_free(struct shmring_ring *r)
{
	if (!r->view)
		close(r->fd); /* not examined yet, and the program could not have closed it */
	else
		drop_description(r);
	if (r->view && is_spare(r, (int)load_acquire32(&r->spare_fd)))
		close((int)load_acquire32(&r->spare_fd));
	drop_spare_view(load_acquire(&r->spare_view));
	free(r->path);
	if (r->source)
		r->source->free(r->source, *r->alive != HANDLE_ALIVE);
	if (r->view)
		munmap(r->view, r->geometry.view_size);
	if (r->alive)
		shmr_handle_free(r->alive, sizeof(*r->alive));
	free(r);
}

/* [COUNT] pairs with shmr_ring_ref(): the last one frees what all have used. */
void shmring_close(struct shmring_ring *r)
{
	if (!r)
		return;
	/* In a child the references of the parent's attachments do not count. */
	if (*r->alive != HANDLE_ALIVE || fetch_add32(&r->references, UINT32_MAX) == 1)
		ring_free(r);
}

int shmring_join(struct shmring_ring *r)
{
	int fd;

	if (*r->alive == HANDLE_ALIVE)
		return 0;
	fd = shmr_ring_fd(r);
	if (fd < 0)
		return fd;
	if (r->source)
		r->source->join(r->source);
	atomic_store(&r->references, 1); /* no edge: a child has one thread */
	r->inherited = true;
	*r->alive = HANDLE_ALIVE;
	return 0;
}

int shmring_fd(struct shmring_ring *r)
{
	int e = shmr_ring_check(r);

	return e < 0 ? e : shmr_ring_fd(r);
}
