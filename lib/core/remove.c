/* SPDX-License-Identifier: MIT */
/*
 * remove: see remove.h.
 */
#include "remove.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "address.h"
#include "examine.h"
#include "explain.h"
#include "layout.h"
#include "open.h"

/* Remove the name only while it still leads to the file that was examined. */
static int unlink_same(const char *address, int fd)
{
	struct address a;
	struct stat opened, named;
	int e = address_resolve(&a, address, false);

	if (e < 0)
		return e;
	if (fstat(fd, &opened) < 0 || fstatat(a.dirfd, a.name, &named, AT_SYMLINK_NOFOLLOW) < 0)
		e = explain(-errno, "cannot examine it: %e", -errno);
	else if (opened.st_dev != named.st_dev || opened.st_ino != named.st_ino)
		e = explain(-EAGAIN, "it was replaced while it was examined");
	else if (unlinkat(a.dirfd, a.name, 0) < 0)
		e = explain(-errno, "cannot remove it: %e", -errno);
	close(a.dirfd);
	return e;
}

static int remove_ring(const char *address)
{
	struct identity id;
	int fd = ring_open_file(address, true);
	int e;

	if (fd < 0)
		return fd;
	e = ring_read_identity(fd, &id);
	if (e == 0 && memcmp(id.magic, LAYOUT_MAGIC, sizeof(id.magic)) != 0)
		e = explain(-EBADMSG, "it is not a ring; it was left alone");
	if (e == 0)
		e = unlink_same(address, fd);
	close(fd);
	return e;
}

int shmr_ring_remove(const char *address)
{
	int e = remove_ring(address);

	if (e == -ENOENT)
		return explain_absence(address);
	return e < 0 ? explain_address(e, address) : e;
}
