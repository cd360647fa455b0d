/* SPDX-License-Identifier: MIT */
/*
 * open: see open.h.
 */
#include "open.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "address.h"
#include "ephemeral.h"
#include "examine.h"
#include "explain.h"
#include "ring.h"
#include "sys.h"
#include "watch.h"

int ring_open_file(const char *address, bool read_only)
{
	struct address a;
	struct stat st;
	int fd = -1;
	int e = address_resolve(&a, address, false);

	if (e < 0)
		return e;
	if (fstatat(a.dirfd, a.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		e = explain(-errno, "cannot open it: %e", -errno);
	else
		e = ring_check_kind(&st);
	if (e == 0) {
		int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;

		fd = read_only ? -1
			       : shmr_fd_above_standard(openat(a.dirfd, a.name, O_RDWR | flags));
		if (fd < 0 && (read_only || errno == EACCES || errno == EROFS))
			fd = shmr_fd_above_standard(openat(a.dirfd, a.name, O_RDONLY | flags));
		if (fd < 0)
			e = explain(-errno, "cannot open it: %e", -errno);
	}
	close(a.dirfd);
	return e < 0 ? e : fd;
}

int shmr_ring_open(struct shmring_ring **ret, const char *address)
{
	int fd = ring_open_file(address, false);
	struct shmring_ring *r = NULL;
	int e;

	if (fd == -ENOENT)
		return explain_absence(address);
	e = fd < 0 ? fd : shmr_ring_from_fd(&r, fd, false);
	if (e < 0)
		return explain_address(e, address);
	if (shmr_ephemeral_leave(r)) {
		shmring_close(r);
		return explain_absence(address);
	}
	*ret = r;
	return 0;
}

int shmr_ring_open_wait(struct shmring_ring **ret, const char *address, int64_t deadline)
{
	int e = shmr_ring_open(ret, address);
	struct watch w;

	if (e != -ENOENT || deadline <= SHMRING_NOWAIT)
		return e;
	watch_begin(&w, address);
	do {
		watch_arm(&w);
		e = shmr_ring_open(ret, address);
	} while (e == -ENOENT && (e = watch_sleep(&w, deadline)) == 1);
	watch_end(&w);
	return e;
}
