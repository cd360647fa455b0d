/* SPDX-License-Identifier: MIT */
/*
 * keeper-start: see keeper-start.h.
 */
#include "keeper-start.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "beside.h"
#include "keeper-process.h"
#include "sys.h"

enum { BACKLOG = 16 };

/* Through the directory's descriptor: its path may be longer than a socket's may be. */
static void name_socket(struct sockaddr_un *ret, int directory, const char *name)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	shmr_fd_path(ret->sun_path, directory);
	strcat(ret->sun_path, "/");
	strcat(ret->sun_path, name);
}

int keeper_connect(int directory)
{
	struct sockaddr_un address;
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int e = s < 0 ? -errno : 0;

	name_socket(&address, directory, KEEPER_NAME);
	if (e == 0 && connect(s, (struct sockaddr *)&address, sizeof(address)) < 0)
		e = -errno;
	if (e == 0 && !word_is_own_user(s))
		e = -EPERM;
	if (e == 0)
		return s;
	if (s >= 0)
		close(s);
	return e;
}

int keeper_listen(int directory, struct word *ret)
{
	struct sockaddr_un address;
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), e;
	struct stat st;

	name_socket(&address, directory, KEEPER_NEW_NAME);
	unlinkat(directory, KEEPER_NEW_NAME, 0);
	if (s < 0)
		return -errno;
	if (bind(s, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(s, BACKLOG) < 0 ||
	    fstatat(directory, KEEPER_NEW_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		e = -errno;
		close(s);
		return e;
	}
	*ret = (struct word){ .type = WORD_LISTEN, .device = st.st_dev, .inode = st.st_ino };
	return s;
}

int keeper_start(bool sandboxed)
{
	char name[] = KEEPER_PROCESS_NAME, option[] = KEEPER_NO_SANDBOX;
	char *const argv[] = { name, sandboxed ? NULL : option, NULL };
	int ends[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	pid = start_beside("/proc/self/exe", argv, ends[1], -1);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return (int)pid;
	}
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	return ends[0];
}
