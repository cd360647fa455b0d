/* SPDX-License-Identifier: MIT */
/*
 * A client that sends single messages; see raw.h.
 */
#include "raw.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <check.h>

enum { PATIENCE_MS = 20000 };

char raw_words[PROTO_TEXT_SIZE];
static uint32_t serial;

int raw_connect(const char *socket_path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_uint_lt(strlen(socket_path), sizeof(address.sun_path));
	strcpy(address.sun_path, socket_path);
	ck_assert_msg(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "%s: %s",
		      socket_path, strerror(errno));
	return fd;
}

int raw_hello(const char *socket_path)
{
	struct proto_message m = { .u.hello = { PROTO_VERSION, PROTO_VERSION, 0 } };
	int fd = raw_connect(socket_path);

	ck_assert_int_eq(raw_call(fd, &m, PROTO_HELLO, PROTO_WELCOME, NULL), 0);
	ck_assert_uint_eq(m.u.welcome.version, PROTO_VERSION);
	return fd;
}

void raw_send(int s, struct proto_message *m, enum proto_type type)
{
	struct pollfd room = { .fd = s, .events = POLLOUT };

	m->head.serial = ++serial;
	ck_assert_int_eq(poll(&room, 1, PATIENCE_MS), 1);
	ck_assert_int_eq(proto_send(s, m, type, -1), 0);
}

void raw_send_bytes(int s, const void *bytes, size_t size, int fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = { 0 } };
	struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
	struct msghdr h = { .msg_iov = &part, .msg_iovlen = 1 };

	if (fd >= 0) {
		h.msg_control = &control;
		h.msg_controllen = sizeof(control.room);
		CMSG_FIRSTHDR(&h)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&h)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&h)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&h)), &fd, sizeof(fd));
	}
	ck_assert_int_eq(sendmsg(s, &h, MSG_NOSIGNAL), (ssize_t)size);
}

int raw_receive(int s, struct proto_message *ret, enum proto_type type, int *ret_fd)
{
	struct pollfd input = { .fd = s, .events = POLLIN };
	int fd, e;

	ck_assert_msg(poll(&input, 1, PATIENCE_MS) == 1, "the broker does not answer");
	e = proto_receive(s, ret, false, &fd);
	ck_assert_msg(e == 0, "no answer but %s", strerror(-e));
	if (ret->head.type == PROTO_ERROR && type != PROTO_ERROR) {
		memcpy(raw_words, ret->u.error.text, sizeof(raw_words));
		return ret->u.error.error;
	}
	ck_assert_uint_eq(ret->head.type, type);
	if (ret_fd)
		*ret_fd = fd;
	else if (fd >= 0)
		close(fd);
	return 0;
}

int raw_call(int s, struct proto_message *m, enum proto_type request, enum proto_type answer,
	     int *ret_fd)
{
	uint32_t mine;
	int e;

	raw_send(s, m, request);
	mine = m->head.serial;
	e = raw_receive(s, m, answer, ret_fd);
	ck_assert_uint_eq(m->head.serial, mine);
	return e;
}

void raw_must_end(int s)
{
	struct pollfd input = { .fd = s, .events = POLLIN };
	char byte;

	ck_assert_msg(poll(&input, 1, PATIENCE_MS) == 1, "the broker keeps the connection");
	errno = 0;
	ck_assert_int_le(recv(s, &byte, 1, MSG_DONTWAIT), 0);
	ck_assert_int_ne(errno, EAGAIN);
	close(s);
}

void raw_must_be_quiet(int s)
{
	struct proto_message m = { 0 };
	int fd;

	ck_assert_int_eq(proto_receive(s, &m, false, &fd), -EAGAIN);
}

static void put_name(char ret[PROTO_NAME_SIZE], const char *name)
{
	ck_assert_uint_lt(strlen(name), PROTO_NAME_SIZE);
	memset(ret, 0, PROTO_NAME_SIZE);
	memcpy(ret, name, strlen(name));
}

static int open_ring(int s, struct proto_message *m, const char *name, uint64_t *ret_ring)
{
	int e;

	put_name(m->u.open.name, name);
	e = raw_call(s, m, PROTO_OPEN, PROTO_RING, NULL);
	if (e == 0 && ret_ring)
		*ret_ring = m->u.ring.ring;
	return e;
}

int raw_open(int s, const char *name, uint32_t flags, uint64_t *ret_ring)
{
	struct proto_message m = { .u.open.flags = flags };

	return open_ring(s, &m, name, ret_ring);
}

int raw_make(int s, const char *name, uint64_t *ret_ring)
{
	struct proto_message m = { .u.open = {
					   .flags = PROTO_MAKE,
					   .config = { .lanes = 2, .lane_size = 65536 },
				   } };

	return open_ring(s, &m, name, ret_ring);
}

int raw_attach(int s, uint64_t ring, uint32_t role, uint64_t *ret_grant, int *ret_fd)
{
	struct proto_message m = { .u.attach = { .ring = ring, .role = role } };
	uint64_t grant;
	uint32_t mine;
	int e = raw_call(s, &m, PROTO_ATTACH, PROTO_GRANT, ret_fd);

	if (e < 0)
		return e;
	grant = m.u.grant.grant;
	mine = m.head.serial;
	ck_assert_int_eq(raw_receive(s, &m, PROTO_GO, NULL), 0);
	ck_assert_uint_eq(m.u.grant.grant, grant);
	ck_assert_uint_eq(m.head.serial, mine);
	if (ret_grant)
		*ret_grant = grant;
	return 0;
}

void raw_detach(int s, uint64_t grant)
{
	struct proto_message m = { .u.grant.grant = grant };

	raw_send(s, &m, PROTO_DETACH);
}

int raw_next(int s, const char *before, struct proto_entry *ret)
{
	struct proto_message m = { 0 };
	int e;

	put_name(m.u.name.name, before);
	e = raw_call(s, &m, PROTO_NEXT, PROTO_ENTRY, NULL);
	if (e == 0)
		*ret = m.u.entry;
	return e;
}

int raw_remove(int s, const char *name)
{
	struct proto_message m = { 0 };

	put_name(m.u.name.name, name);
	return raw_call(s, &m, PROTO_REMOVE, PROTO_DONE, NULL);
}

int raw_metrics(int s, char **ret)
{
	struct proto_message m = { 0 };
	int fd, e = raw_call(s, &m, PROTO_METRICS, PROTO_TEXT, &fd);
	char *text;

	if (e < 0)
		return e;
	text = calloc(1, m.u.text.bytes + 1);
	ck_assert_ptr_nonnull(text);
	ck_assert_int_eq(pread(fd, text, m.u.text.bytes + 1, 0), (ssize_t)m.u.text.bytes);
	close(fd);
	*ret = text;
	return 0;
}
