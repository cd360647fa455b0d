/* SPDX-License-Identifier: MIT */
/*
 * keeper-words: see keeper-words.h.
 */
#include "keeper-words.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SHORT_WORD = offsetof(struct word, serial) /* of earlier versions */ };

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(2 * sizeof(int))];
};

int word_say(int socket, const struct word *w, int fd, int second, int flags)
{
	union control control = { .room = { 0 } };
	struct iovec part = { .iov_base = (void *)(uintptr_t)w, .iov_len = sizeof(*w) };
	struct msghdr h = { .msg_iov = &part, .msg_iovlen = 1 };
	const int fds[2] = { fd, second };
	size_t size = second >= 0 ? sizeof(fds) : sizeof(int);
	ssize_t n;

	if (fd >= 0) {
		h.msg_control = &control;
		h.msg_controllen = CMSG_SPACE(size);
		CMSG_FIRSTHDR(&h)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&h)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&h)->cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&h)), fds, size);
	}
	do
		n = sendmsg(socket, &h, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int word_hear(int socket, struct word *ret, int *ret_fd, int *ret_second)
{
	union control control;
	struct iovec part = { .iov_base = ret, .iov_len = sizeof(*ret) };
	struct msghdr h = { .msg_iov = &part,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control.room) };
	const struct cmsghdr *c;
	ssize_t n;

	*ret_fd = *ret_second = -1;
	*ret = (struct word){ 0 };
	do
		n = recvmsg(socket, &h, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -EAGAIN : 0;
	c = CMSG_FIRSTHDR(&h);
	if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len >= CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len >= CMSG_LEN(2 * sizeof(int)))
		memcpy(ret_second, CMSG_DATA(c) + sizeof(int), sizeof(int));
	if (n == sizeof(*ret) || n == SHORT_WORD)
		return 1;
	if (*ret_fd >= 0)
		close(*ret_fd);
	if (*ret_second >= 0)
		close(*ret_second);
	return 0;
}

bool word_is_own_user(int socket)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       peer.uid == geteuid();
}
