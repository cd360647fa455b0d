/* SPDX-License-Identifier: MIT */
/*
 * packet: one packet over a Unix socket, with the descriptors that go along with it.
 *
 * Every descriptor that comes with a packet is closed, unless it is handed to the caller.
 */
#ifndef SHMRING_PROTO_PACKET_H
#define SHMRING_PROTO_PACKET_H

#include <stddef.h>
#include <sys/types.h>

enum { PACKET_FDS = 2 /* at most, with one packet */ };

/* What came with a packet. */
struct packet_extras {
	int fd[PACKET_FDS]; /* the caller's; -1: none */
	int came;	    /* how many there were, closed ones included */
	int flags;	    /* MSG_TRUNC, MSG_CTRUNC of recvmsg(2) */
};

/* Send it with `count` descriptors; flags of send(2). 0 or a negative errno. */
int packet_send(int socket, const void *data, size_t size, const int *fds, unsigned count,
		int flags);

/*
 * Receive one, with up to `room` descriptors, close-on-exec; flags of recv(2). Without any
 * room the kernel drops them and sets MSG_CTRUNC. The number of bytes, or a negative errno.
 */
ssize_t packet_receive(int socket, void *data, size_t size, unsigned room, int flags,
		       struct packet_extras *ret);

#endif
