/* SPDX-License-Identifier: MIT */
/*
 * examine: see examine.h.
 */
#include "examine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "explain.h"
#include "registry.h"
#include "ring.h"
#include "segment.h"
#include "sys.h"

/* A copy of a ring, or a ring of an earlier boot, has bytes that may be anything. */
static int check_origin(const struct identity *id, int fd, const struct stat *st)
{
	uint64_t birth_ns;
	int e = shmr_birth_time(fd, &birth_ns);

	if (e < 0)
		return explain(e, "cannot find out when the ring's file was made: %e", e);
	if (id->device != st->st_dev || id->inode != st->st_ino ||
	    (id->birth_ns != 0 && birth_ns != 0 && id->birth_ns != birth_ns))
		return explain(-ESTALE,
			       "the file is a copy of a ring, not the ring itself; remove it with "
			       "'shmring rm'");
	return 0;
}

static int check_boot(const struct identity *id)
{
	uint8_t boot_id[16];
	int e = shmr_boot_id(boot_id);

	if (memcmp(id->boot_id, boot_id, sizeof(boot_id)) == 0)
		return 0;
	if (e < 0) /* -ENOENT would mean that there is no ring */
		return explain(e == -ENOENT ? -EOPNOTSUPP : e,
			       "cannot tell whether the ring was made before the last boot: "
			       "/proc/sys/kernel/random/boot_id: %e",
			       e);
	return explain(-ESTALE, "the ring was made before the last boot and may be torn; remove "
				"it with 'shmring rm'");
}

int ring_read_identity(int fd, struct identity *id)
{
	ssize_t n = shmr_read_at(fd, id, sizeof(*id), 0);

	if (n < 0)
		return explain((int)n, "cannot read the ring: %e", (int)n);
	if ((size_t)n < sizeof(*id))
		return explain(-EBADMSG, "not a shmring ring: the file has only %u bytes",
			       (uint64_t)n);
	return 0;
}

/* Read the limits behind the identity, if the identity says that there are any. */
static int read_limits(struct geometry *g, const struct identity *id, int fd)
{
	struct lag_limits limits;
	ssize_t n;

	if ((id->ro_compatible & FEATURE_LIMITS) == 0)
		return 0;
	n = shmr_read_at(fd, &limits, sizeof(limits), LIMITS_OFFSET);
	if (n < 0)
		return explain((int)n, "cannot read the ring: %e", (int)n);
	if ((size_t)n < sizeof(limits))
		return explain(-EBADMSG, "the ring's file is truncated");
	return layout_check_limits(g, &limits);
}

int ring_check_kind(const struct stat *st)
{
	if (S_ISDIR(st->st_mode))
		return explain(-EISDIR, "a directory is not a ring");
	if (S_ISLNK(st->st_mode))
		return explain(-ELOOP, "a symbolic link is not followed; name the ring itself");
	if (!S_ISREG(st->st_mode))
		return explain(-EINVAL, "a fifo, socket or device is not a ring");
	return 0;
}

static int map_view(struct shmring_ring *r)
{
	void *view = mmap(NULL, r->geometry.view_size, PROT_READ, MAP_SHARED, r->fd, 0);

	if (view == MAP_FAILED)
		return explain(-errno, "cannot map the ring: %e", -errno);
	r->view = view;
	r->path = r->named ? shmr_path_of(r->fd) : NULL;
	r->registry = (struct registry *)(void *)(r->view + r->geometry.registry_offset);
	r->doorbell = (struct doorbell *)(void *)(r->view + r->geometry.doorbell_offset);
	r->rows = (struct cursor_row *)(void *)(r->view + r->geometry.cursors_offset);
	return 0;
}

/* The view must stand: from then on the description cannot vanish behind the mark. */
static int mark_description(struct shmring_ring *r)
{
	uint64_t random;
	int e = shmr_random(&random, sizeof(random));

	if (e < 0)
		return explain(e, "cannot get a random number: %e", e);
	r->mark = shmr_mark_of(random) & ~UINT64_C(1);
	e = shmr_mark_byte(r->fd, r->mark);
	r->marked = e == 0;
	if (e == -EAGAIN)
		return explain(-EBUSY,
			       "a process that is not attached holds locks on the ring's file");
	return e < 0 ? explain(e, "cannot lock a byte of the ring: %e", e) : 0;
}

/* Everything that makes a descriptor of unknown origin a ring. */
static int ring_examine(struct shmring_ring *r)
{
	struct identity id;
	struct stat st;
	int flags = fcntl(r->fd, F_GETFL);
	int e;

	if (flags < 0 || fstat(r->fd, &st) < 0)
		return explain(-errno, "cannot examine the ring: %e", -errno);
	if ((e = ring_check_kind(&st)) < 0 || (e = segment_check_file_system(r->fd)) < 0 ||
	    (e = ring_read_identity(r->fd, &id)) < 0 ||
	    (e = layout_check(&r->geometry, &id, (uint64_t)st.st_size)) < 0 ||
	    (e = read_limits(&r->geometry, &id, r->fd)) < 0 ||
	    (e = check_origin(&id, r->fd, &st)) < 0 || (e = check_boot(&id)) < 0 ||
	    /* the owner of a named file is trusted not to truncate it */
	    (!id.named && (e = segment_check_seals(r->fd)) < 0))
		return e;
	r->writable = (flags & O_ACCMODE) == O_RDWR;
	r->device = st.st_dev;
	r->inode = st.st_ino;
	r->owner = st.st_uid;
	r->created_ns = id.created_ns;
	r->named = id.named != 0;
	memcpy(r->uuid, id.uuid, sizeof(r->uuid));
	e = map_view(r);
	return e == 0 ? mark_description(r) : e;
}

int shmr_ring_from_fd(struct shmring_ring **ret, int fd, bool isolated)
{
	struct shmring_ring *r = calloc(1, sizeof(*r));
	int e = -ENOMEM;

	if (!r) {
		close(fd);
		return explain(e, "out of memory");
	}
	r->fd = fd;
	r->alive = shmr_handle_new(sizeof(*r->alive));
	if (!r->alive)
		explain(e, "cannot get memory that fork() clears in the child");
	else
		e = ring_examine(r);
	if (e == 0 && layout_is_isolated(&r->geometry) && !isolated)
		e = explain(-EOPNOTSUPP, "this is the file of an isolated ring, which only its "
					 "broker can open; use broker:NAME");
	if (e < 0) {
		ring_free(r);
		return e;
	}
	*r->alive = HANDLE_ALIVE;
	fetch_add32(&r->references, 1); /* [COUNT] pairs with shmring_close() */
	*ret = r;
	return 0;
}

int shmring_open_fd(struct shmring_ring **ret, int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

	if (copy < 0)
		return explain(-errno, "cannot use descriptor: %e", -errno);
	return shmr_ring_from_fd(ret, copy, false);
}
