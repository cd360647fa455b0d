/* SPDX-License-Identifier: MIT */
/*
 * socket-path: see socket-path.h.
 */
#include "socket-path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "sys.h"

/* L2 */
int socket_path_remove(const char *path, dev_t device, ino_t inode)
{
	char aside[PATH_MAX];
	struct stat st;
	int e;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (st.st_dev != device || st.st_ino != inode)
		return -EADDRINUSE;
	if (snprintf(aside, sizeof(aside), "%s.old", path) >= (int)sizeof(aside))
		return -ENAMETOOLONG;
	if (rename(path, aside) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (lstat(aside, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (st.st_dev == device && st.st_ino == inode)
		return unlink(aside) < 0 && errno != ENOENT ? -errno : 0;
	e = renameat2(AT_FDCWD, aside, AT_FDCWD, path, RENAME_NOREPLACE) < 0 ? -errno : 0;
	return e < 0 ? e : -EADDRINUSE;
}

/* L1. `file` is a description of the socket's file, so its name does not matter. */
static bool is_living(int file)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool refused;

	shmr_fd_path(address.sun_path, file);
	refused = s >= 0 && connect(s, (struct sockaddr *)&address, sizeof(address)) < 0 &&
		  errno == ECONNREFUSED;
	if (s >= 0)
		close(s);
	return !refused;
}

static int clear(const char *path, int file, char *error, size_t size)
{
	struct stat st;
	int e;

	if (fstat(file, &st) < 0)
		e = -errno;
	else if (!S_ISSOCK(st.st_mode))
		e = -EEXIST;
	else if (st.st_uid != geteuid())
		e = -EPERM;
	else if (is_living(file))
		e = -EADDRINUSE;
	else
		e = socket_path_remove(path, st.st_dev, st.st_ino);
	if (e == -EEXIST)
		snprintf(error, size, "%s: the file at this path is not a socket", path);
	else if (e == -EPERM)
		snprintf(error, size,
			 "%s: there is a socket of user %u; remove it, or name another socket",
			 path, (unsigned)st.st_uid);
	else if (e == -EADDRINUSE)
		snprintf(error, size,
			 "%s: another program uses that socket; stop it, or name another socket",
			 path);
	else if (e < 0)
		snprintf(error, size, "%s: cannot remove the old socket: %s", path, strerror(-e));
	return e;
}

int socket_path_clear(const char *path, char *error, size_t size)
{
	int file = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int e;

	if (file < 0 && errno == ENOENT)
		return 0;
	if (file < 0) {
		e = -errno;
		snprintf(error, size, "%s: cannot look at it: %s", path, strerror(-e));
		return e;
	}
	e = clear(path, file, error, size);
	close(file);
	return e;
}
