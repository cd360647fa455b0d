/* SPDX-License-Identifier: MIT */
/*
 * keeper-words: see keeper-words.h.
 */
#include "keeper-words.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include "packet.h"

enum { SHORT_WORD = offsetof(struct word, serial) /* of earlier versions */ };

int word_say(int socket, const struct word *w, int fd, int second, int flags)
{
	const int fds[2] = { fd, second };
	unsigned count = fd < 0 ? 0 : second < 0 ? 1 : 2;

	return packet_send(socket, w, sizeof(*w), fds, count, flags);
}

int word_hear(int socket, struct word *ret, int *ret_fd, int *ret_second)
{
	struct packet_extras with;
	ssize_t n;

	*ret_fd = *ret_second = -1;
	*ret = (struct word){ 0 };
	n = packet_receive(socket, ret, sizeof(*ret), 2, 0, &with);
	if (n < 0)
		return n == -EAGAIN ? -EAGAIN : 0;
	if (n == sizeof(*ret) || n == SHORT_WORD) {
		*ret_fd = with.fd[0];
		*ret_second = with.fd[1];
		return 1;
	}
	for (unsigned i = 0; i < 2; i++)
		if (with.fd[i] >= 0)
			close(with.fd[i]);
	return 0;
}

bool word_is_own_user(int socket)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       peer.uid == geteuid();
}
