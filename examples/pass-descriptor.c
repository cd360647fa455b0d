/* SPDX-License-Identifier: MIT */
/*
 * A ring without a name, handed to another process over a Unix socket: the
 * descriptor of shmring_fd() travels as SCM_RIGHTS, the receiver opens the ring
 * with shmring_open_fd(). The child is forked before the ring exists, so the
 * socket is all that it has; it could as well be another user's program.
 *
 *	cc pass-descriptor.c $(pkg-config --cflags --libs shmring-producer shmring-consumer)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

/* One byte of data, because a descriptor cannot travel alone. */
union control {
	char space[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static int send_descriptor(int socket, int fd)
{
	char byte = 0;
	union control control = { 0 };
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr packet = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.space),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&packet);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(int));
	return sendmsg(socket, &packet, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

static int receive_descriptor(int socket)
{
	char byte;
	union control control;
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr packet = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.space),
	};
	struct cmsghdr *header;
	int fd;

	if (recvmsg(socket, &packet, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	header = CMSG_FIRSTHDR(&packet);
	if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&fd, CMSG_DATA(header), sizeof(int));
	return fd;
}

static int reader(int socket)
{
	struct shmring_consumer *consumer = NULL;
	struct shmring_ring *ring = NULL;
	char text[64];
	ssize_t r;
	int fd = receive_descriptor(socket);

	if (fd < 0) {
		fprintf(stderr, "reader: no descriptor came\n");
		return EXIT_FAILURE;
	}
	r = shmring_open_fd(&ring, fd);
	close(fd); /* the ring has a duplicate of its own */
	if (r == 0)
		r = shmring_consumer_attach(&consumer, ring, NULL);
	if (r == 0)
		r = shmring_receive(consumer, text, sizeof(text), SHMRING_FOREVER);
	if (r < 0)
		fprintf(stderr, "reader: %s\n", shmring_explain());
	else
		printf("reader: %.*s\n", (int)r, text);

	shmring_consumer_detach(consumer);
	shmring_close(ring);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int writer(int socket)
{
	static const char text[] = "a ring came through the socket";
	struct shmring_producer *producer = NULL;
	struct shmring_ring *ring = NULL;
	int r;

	r = shmring_create(&ring, NULL, NULL);
	if (r == 0)
		r = shmring_producer_attach(&producer, ring, NULL);
	if (r == 0)
		r = shmring_publish(producer, text, strlen(text), SHMRING_FOREVER);
	if (r < 0) {
		fprintf(stderr, "writer: %s\n", shmring_explain());
	} else {
		r = send_descriptor(socket, shmring_fd(ring));
		if (r < 0)
			perror("writer: sendmsg");
	}
	/* The message stays in the ring, which lives as long as a process has it. */
	shmring_producer_detach(producer);
	shmring_close(ring);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(void)
{
	int pair[2], r, status = 0;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		perror("socketpair");
		return EXIT_FAILURE;
	}
	child = fork();
	if (child < 0) {
		perror("fork");
		return EXIT_FAILURE;
	}
	if (child == 0) {
		close(pair[0]);
		return reader(pair[1]);
	}
	close(pair[1]);
	r = writer(pair[0]);
	close(pair[0]); /* ends a reader that still waits */
	if (waitpid(child, &status, 0) < 0)
		perror("waitpid");
	return r == EXIT_SUCCESS && status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
