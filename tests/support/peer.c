/* SPDX-License-Identifier: MIT */
/*
 * The peer, as the test sees it: start, command, answer.
 */
#include "peer.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "must.h"

void peer_fork(struct peer *p, struct shmring_ring *inherited)
{
	memset(p, 0, sizeof(*p));
	child_fork(&p->child, peer_serve, inherited);
}

void peer_exec(struct peer *p)
{
	memset(p, 0, sizeof(*p));
	child_exec(&p->child);
}

static void send_command(struct peer *p, const struct peer_command *command, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)command, .iov_len = sizeof(*command) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	ck_assert_msg(sendmsg(p->child.socket, &m, MSG_NOSIGNAL) == (ssize_t)sizeof(*command),
		      "cannot command the peer: %s", strerror(errno));
}

void peer_tell(struct peer *p, const struct peer_command *command)
{
	send_command(p, command, -1);
}

int64_t peer_answer(struct peer *p)
{
	struct pollfd input = { .fd = p->child.socket, .events = POLLIN };
	ssize_t len;

	ck_assert_msg(poll(&input, 1, 25000) == 1, "the peer does not answer");
	len = recv(p->child.socket, &p->answer, sizeof(p->answer), 0);
	ck_assert_msg(len == (ssize_t)sizeof(p->answer), "the peer has ended");
	return p->answer.result;
}

int64_t peer_call(struct peer *p, const struct peer_command *command)
{
	peer_tell(p, command);
	return peer_answer(p);
}

int64_t peer_simple(struct peer *p, enum peer_op op)
{
	return peer_call(p, &(struct peer_command){ .op = op });
}

int64_t peer_open(struct peer *p, const char *address)
{
	struct peer_command command = { .op = PEER_OPEN };

	snprintf(command.text, sizeof(command.text), "%s", address);
	return peer_call(p, &command);
}

int64_t peer_open_fd(struct peer *p, int fd)
{
	struct peer_command command = { .op = PEER_OPEN_FD };

	send_command(p, &command, fd);
	return peer_answer(p);
}

int64_t peer_join(struct peer *p)
{
	return peer_simple(p, PEER_JOIN);
}

int64_t peer_producer(struct peer *p, uint64_t source)
{
	return peer_call(p, &(struct peer_command){ .op = PEER_PRODUCER, .source = source });
}

int64_t peer_consumer(struct peer *p, const char *name, uint32_t start, uint32_t flags)
{
	struct peer_command command = { .op = PEER_CONSUMER, .start = start, .flags = flags };

	snprintf(command.text, sizeof(command.text), "%s", name ? name : "");
	return peer_call(p, &command);
}

void peer_tell_produce(struct peer *p, uint32_t count, size_t max)
{
	peer_tell(p,
		  &(struct peer_command){
			  .op = PEER_PRODUCE, .count = count, .max = max, .deadline = patience() });
}

int64_t peer_produce(struct peer *p, uint32_t count, size_t max)
{
	peer_tell_produce(p, count, max);
	return peer_answer(p);
}

void peer_tell_consume(struct peer *p, uint32_t count)
{
	peer_tell(p, &(struct peer_command){
			     .op = PEER_CONSUME, .count = count, .deadline = patience() });
}

int64_t peer_consume(struct peer *p, uint32_t count)
{
	peer_tell_consume(p, count);
	return peer_answer(p);
}

void peer_tell_fill(struct peer *p, uint32_t count, size_t len)
{
	peer_tell(p, &(struct peer_command){ .op = PEER_PRODUCE,
					     .count = count,
					     .min = len,
					     .max = len,
					     .deadline = SHMRING_FOREVER });
}

int64_t peer_fill(struct peer *p, uint32_t count, size_t len)
{
	peer_tell_fill(p, count, len);
	return peer_answer(p);
}

void peer_tell_take(struct peer *p, uint32_t count)
{
	peer_tell(p, &(struct peer_command){
			     .op = PEER_CONSUME, .count = count, .deadline = SHMRING_FOREVER });
}

void peer_quit(struct peer *p)
{
	int64_t result = peer_simple(p, PEER_QUIT);

	ck_assert_int_eq(result, 0);
	child_end(&p->child);
}

void audit_must_be(const struct audit *a, uint64_t messages, uint64_t lost)
{
	ck_assert_msg(audit_faults(a) == 0, "%" PRIu64 " faults; the first: %s", audit_faults(a),
		      a->first_fault);
	ck_assert_uint_eq(a->messages, messages);
	ck_assert_uint_eq(a->lost, lost);
}
