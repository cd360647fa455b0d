/* SPDX-License-Identifier: MIT */
/*
 * Fuzzing what comes over the broker's socket, from either side. Bit 0 of the first
 * byte: from a client. Bit 1: not one packet, but the answers to a whole
 * conversation of a client. Each packet is its length (two bytes), how many
 * descriptors come with it (one byte), and its bytes.
 *
 * What is taken is sound enough to be sent on, and then the same; every descriptor
 * that came is handed over or closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "connection.h"
#include "proto.h"
#include "use.h"

enum { MAX_FDS = 3, LOOK = 24 };

static int null = -1; /* what is passed */

/* Which of the first descriptors are open, a bit for each. */
static uint64_t open_ones(void)
{
	uint64_t open = 0;

	for (int fd = 0; fd < LOOK; fd++)
		open |= (uint64_t)(fcntl(fd, F_GETFD) >= 0) << fd;
	return open;
}

static void send_raw(int s, const void *bytes, size_t size, unsigned fds)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} control = { .room = { 0 } };
	struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
	struct msghdr h = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fds > 0) {
		h.msg_control = &control;
		h.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		CMSG_FIRSTHDR(&h)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&h)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&h)->cmsg_len = CMSG_LEN(fds * sizeof(int));
		for (unsigned i = 0; i < fds; i++)
			memcpy(CMSG_DATA(CMSG_FIRSTHDR(&h)) + i * sizeof(int), &null, sizeof(int));
	}
	sendmsg(s, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Send the next packet of the input; what is left of it. */
static size_t send_packet(int s, const uint8_t *data, size_t size)
{
	size_t length;

	if (size < 3)
		return 0;
	length = data[0] | (size_t)data[1] << 8;
	if (length > size - 3)
		length = size - 3;
	send_raw(s, data + 3, length, data[2] & MAX_FDS);
	return size - 3 - length;
}

/* Each text ends within its field. */
static void check_ends(const struct proto_message *m)
{
	const char *text = NULL;
	size_t size = PROTO_NAME_SIZE;

	switch (m->head.type) {
	case PROTO_OPEN:
	case PROTO_NEXT:
	case PROTO_REMOVE:
	case PROTO_ENTRY:
		text = m->u.name.name;
		break;
	case PROTO_ERROR:
		text = m->u.error.text;
		size = PROTO_TEXT_SIZE;
		break;
	}
	if (text && !memchr(text, '\0', size))
		abort();
}

/* Sent once more, it is what it was. */
static void send_on(struct proto_message *m, bool from_client, int fd)
{
	struct proto_message copy = *m, again;
	int ends[2], other;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	if (proto_send(ends[0], &copy, (enum proto_type)m->head.type, fd) != 0 ||
	    proto_receive(ends[1], &again, from_client, &other) != 0 ||
	    memcmp(m, &again, sizeof(again)) != 0 || (other >= 0) != (fd >= 0))
		abort();
	if (other >= 0)
		close(other);
	close(ends[0]);
	close(ends[1]);
}

static void one_packet(const int ends[2], bool from_client)
{
	struct proto_message m;
	int fd, e = proto_receive(ends[1], &m, from_client, &fd);

	if (e < 0) {
		if (fd >= 0)
			abort();
		return;
	}
	check_ends(&m);
	send_on(&m, from_client, fd);
	if (fd >= 0)
		close(fd);
}

static void drop(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* A client that asks for everything; the answers are there before the questions. */
static void conversation(const int ends[2])
{
	static const struct {
		enum proto_type question, answer, more;
	} course[] = {
		{ PROTO_HELLO, PROTO_WELCOME, 0 },	 { PROTO_OPEN, PROTO_RING, 0 },
		{ PROTO_ATTACH, PROTO_GRANT, PROTO_GO }, { PROTO_NEXT, PROTO_ENTRY, 0 },
		{ PROTO_METRICS, PROTO_TEXT, 0 },	 { PROTO_REMOVE, PROTO_DONE, 0 },
		{ PROTO_LANE, PROTO_LANE_FILE, 0 },
	};
	struct connection c;
	struct stat st;

	connection_init(&c, "/");
	if (fstat(ends[1], &st) < 0)
		abort();
	c.socket = ends[1];
	c.device = st.st_dev;
	c.inode = st.st_ino;
	for (unsigned i = 0; i < sizeof(course) / sizeof(course[0]); i++) {
		struct proto_message m = { 0 };
		int fd = -1, none = -1, e;

		if (course[i].question == PROTO_ATTACH || course[i].question == PROTO_LANE)
			m.u.attach.role = PROTO_PRODUCE; /* at the same place in both */
		if (course[i].question == PROTO_OPEN || course[i].question == PROTO_REMOVE)
			strcpy(m.u.name.name, "ring");
		e = connection_ask(&c, &m, course[i].question, course[i].answer, &fd);
		if (e == 0 && course[i].more)
			connection_await(&c, &m, course[i].more, &none);
		drop(fd);
		if (none >= 0)
			abort();
	}
	connection_close(&c, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t before;
	int ends[2];
	size_t left;

	if (size < 1)
		return -1;
	if (null < 0)
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
	before = open_ones();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	left = send_packet(ends[0], data + 1, size - 1);
	while ((data[0] & 2) && left > 0)
		left = send_packet(ends[0], data + size - left, left);
	shutdown(ends[0], SHUT_WR); /* nobody waits for more */
	if (data[0] & 2)
		conversation(ends);
	else
		one_packet(ends, data[0] & 1);
	close(ends[0]);
	if (!(data[0] & 2))
		close(ends[1]);
	if (open_ones() != before)
		abort();
	return 0;
}
