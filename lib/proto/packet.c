/* SPDX-License-Identifier: MIT */
/*
 * packet: see packet.h.
 */
#include "packet.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(PACKET_FDS * sizeof(int))];
};

int packet_send(int socket, const void *data, size_t size, const int *fds, unsigned count,
		int flags)
{
	union control control = { .room = { 0 } };
	struct iovec part = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };
	struct msghdr h = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n;

	if (count > 0) {
		h.msg_control = &control;
		h.msg_controllen = CMSG_SPACE(count * sizeof(int));
		CMSG_FIRSTHDR(&h)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&h)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&h)->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&h)), fds, count * sizeof(int));
	}
	do
		n = sendmsg(socket, &h, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* All descriptors that came: the first `room` of them are handed on, the others closed. */
static void take_fds(struct msghdr *h, int room, struct packet_extras *ret)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			if (ret->came < room)
				ret->fd[ret->came] = fd;
			else
				close(fd);
			ret->came++;
		}
	}
}

ssize_t packet_receive(int socket, void *data, size_t size, unsigned room, int flags,
		       struct packet_extras *ret)
{
	union control control;
	struct iovec part = { .iov_base = data, .iov_len = size };
	struct msghdr h = { .msg_iov = &part, .msg_iovlen = 1 };
	ssize_t n;

	if (room > 0) {
		h.msg_control = &control;
		h.msg_controllen = sizeof(control.room);
	}
	*ret = (struct packet_extras){ .fd = { -1, -1 } };
	do
		n = recvmsg(socket, &h, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	take_fds(&h, (int)room, ret);
	ret->flags = h.msg_flags;
	return n;
}
