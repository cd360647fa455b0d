/* SPDX-License-Identifier: MIT */
/*
 * The peer, from inside: carries out one command after the other.
 */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "random.h"

enum { BATCH = 16, PEEK_MAX = 64, PIECES = 3 };

struct server {
	int socket;
	int passed; /* descriptor that came with the command, or -1 */
	struct shmring_ring *ring;
	struct shmring_producer *producer;
	struct shmring_consumer *consumer;
	uint64_t source;
	uint64_t number; /* of the next message; those before are published or staged */
	uint64_t bytes;	 /* payload of those */
	uint64_t staged;
	uint64_t staged_bytes;
	char *buffer;
	struct shmring_message last;
	struct audit audit;
	struct audit released; /* the audit at the last release */
};

typedef int64_t (*serve_op)(struct server *s, const struct peer_command *c);

static int64_t serve_open(struct server *s, const struct peer_command *c)
{
	return shmring_open(&s->ring, c->text);
}

static int64_t serve_open_fd(struct server *s, const struct peer_command *c)
{
	int64_t result = shmring_open_fd(&s->ring, s->passed);

	(void)c;
	close(s->passed);
	s->passed = -1;
	return result;
}

static int64_t serve_join(struct server *s, const struct peer_command *c)
{
	(void)c;
	return shmring_join(s->ring);
}

static int64_t serve_producer(struct server *s, const struct peer_command *c)
{
	struct shmring_producer_options options = { .size = sizeof(options),
						    .spin_ns = c->spin_ns,
						    .flags = c->flags,
						    .deadline = c->deadline };

	s->source = c->source;
	s->number = s->bytes = 0;
	return shmring_producer_attach(&s->producer, s->ring, &options);
}

static int64_t serve_consumer(struct server *s, const struct peer_command *c)
{
	struct shmring_consumer_options options = {
		.size = sizeof(options),
		.name = c->text[0] ? c->text : NULL,
		.start = c->start,
		.flags = c->flags,
		.spin_ns = c->spin_ns,
		.deadline = c->deadline,
	};

	audit_begin(&s->audit, false);
	s->released = s->audit;
	return shmring_consumer_attach(&s->consumer, s->ring, &options);
}

/* Staged messages are published. */
static void count_staged(struct server *s)
{
	s->number += s->staged;
	s->bytes += s->staged_bytes;
	s->staged = s->staged_bytes = 0;
}

static int produce_published(struct server *s, size_t len, int64_t deadline)
{
	audit_fill(s->buffer, len, s->source, s->number + s->staged);
	return shmring_publish(s->producer, s->buffer, len, deadline);
}

static int produce_gathered(struct server *s, size_t len, uint64_t cut, int64_t deadline)
{
	size_t first = cut % (len + 1), second = (len - first) / 2;
	struct iovec pieces[PIECES] = {
		{ .iov_base = s->buffer, .iov_len = first },
		{ .iov_base = s->buffer + first, .iov_len = second },
		{ .iov_base = s->buffer + first + second, .iov_len = len - first - second },
	};

	audit_fill(s->buffer, len, s->source, s->number + s->staged);
	return shmring_publishv(s->producer, pieces, PIECES, deadline);
}

/* Claim `extra` more than needed; commit, or stage for the next to commit. */
static int produce_in_place(struct server *s, size_t len, size_t extra, bool stage,
			    int64_t deadline)
{
	void *data;
	int r = shmring_claim(s->producer, len + extra, deadline, &data);

	if (r < 0)
		return r;
	audit_fill(data, len, s->source, s->number + s->staged);
	memset((char *)data + len, 0xee, extra);
	return stage ? shmring_stage(s->producer, len) : shmring_commit(s->producer, len);
}

/* An abandoned claim, of which no consumer may ever see a byte. */
static int produce_nothing(struct server *s, size_t len, int64_t deadline)
{
	void *data;
	int r = shmring_claim(s->producer, len, deadline, &data);

	if (r < 0)
		return r;
	memset(data, 0xdd, len);
	shmring_abort(s->producer);
	return 0;
}

/* One message by a call chosen at random; *ret_stage: it waits for the next. */
static int produce_any_way(struct server *s, size_t len, uint64_t *seed, int64_t deadline,
			   bool *ret_stage)
{
	size_t most = shmring_producer_max_message(s->producer);
	size_t extra = random_size(seed, 0, most - len);
	int r;

	switch (random_below(seed, 6)) {
	case 0:
		return produce_gathered(s, len, random_next(seed), deadline);
	case 1:
		return produce_in_place(s, len, 0, false, deadline);
	case 2:
		r = s->staged ? shmring_flush(s->producer) : 0;
		if (r == 0)
			count_staged(s);
		return r < 0 ? r : produce_in_place(s, len, extra, false, deadline);
	case 3:
		*ret_stage = s->staged < 8 && s->staged_bytes + len < most / 4;
		return produce_in_place(s, len, 0, *ret_stage, deadline);
	case 4:
		r = produce_nothing(s, len, deadline);
		return r < 0 ? r : produce_published(s, len, deadline);
	default:
		return produce_published(s, len, deadline);
	}
}

/* One message; with what is staged it may be longer than a batch can be. */
static int produce_one(struct server *s, size_t len, uint64_t *seed, int64_t deadline)
{
	bool stage = false;
	int r;

	if (!*seed)
		r = produce_published(s, len, deadline);
	else
		r = produce_any_way(s, len, seed, deadline, &stage);
	if (r == -EMSGSIZE && s->staged) {
		r = shmring_flush(s->producer);
		if (r < 0)
			return r;
		count_staged(s);
		r = produce_published(s, len, deadline);
		stage = false;
	}
	if (r < 0)
		return r;
	s->staged++;
	s->staged_bytes += len;
	if (!stage)
		count_staged(s);
	return 0;
}

static int64_t serve_produce(struct server *s, const struct peer_command *c)
{
	uint64_t sizes = c->seed + s->source, ways = c->seed;
	size_t max = c->max ? c->max : shmring_producer_max_message(s->producer);
	size_t len;
	int r = 0;

	s->buffer = realloc(s->buffer, max + 1);
	if (!s->buffer)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->count && r == 0; i++) {
		len = c->min == max ? max : random_size(&sizes, c->min, max);
		if (s->number + s->staged == 0 && len < sizeof(struct audit_header))
			len = sizeof(struct audit_header);
		r = produce_one(s, len, &ways, c->deadline);
	}
	if (r == 0 && s->staged) {
		r = shmring_flush(s->producer);
		if (r == 0)
			count_staged(s);
	}
	return r < 0 ? r : (int64_t)c->count;
}

static int64_t serve_claim(struct server *s, const struct peer_command *c)
{
	void *data;
	int r = shmring_claim(s->producer, c->max, c->deadline, &data);

	if (r == 0)
		audit_fill(data, c->max, s->source, s->number);
	return r;
}

static int64_t serve_stage(struct server *s, const struct peer_command *c)
{
	int r = 0;

	for (uint32_t i = 0; i < c->count && r == 0; i++) {
		r = produce_in_place(s, c->max, 0, true, c->deadline);
		s->staged += r == 0;
	}
	return r;
}

/* Drop the messages since the last release from the audit: they do not count. */
static void forget_unreleased(struct server *s)
{
	s->audit = s->released;
}

static int64_t serve_release(struct server *s, const struct peer_command *c)
{
	int r = shmring_release(s->consumer);

	(void)c;
	if (r == 0)
		s->released = s->audit;
	else
		forget_unreleased(s);
	return r;
}

/* Hand out up to `count` and audit them; how many, or an error. */
static int64_t peek(struct server *s, uint32_t count, int64_t deadline)
{
	struct shmring_message messages[PEEK_MAX];
	int n = shmring_peek_batch(s->consumer, deadline, messages, (int)count);

	for (int i = 0; i < n; i++) {
		s->last = messages[i];
		s->last.data = NULL;
		audit_peeked(&s->audit, s->consumer, &messages[i]);
	}
	return n;
}

static int64_t serve_peek(struct server *s, const struct peer_command *c)
{
	return peek(s, c->count < PEEK_MAX ? c->count : PEEK_MAX, c->deadline);
}

static int64_t serve_consume(struct server *s, const struct peer_command *c)
{
	uint64_t seen = s->released.messages + s->released.lost;
	uint64_t due = seen + c->count;
	int64_t r;

	forget_unreleased(s);
	shmring_rewind(s->consumer);
	while (seen < due) {
		r = peek(s, due - seen < BATCH ? (uint32_t)(due - seen) : BATCH, c->deadline);
		if (r >= 0)
			r = serve_release(s, c);
		if (r < 0)
			return r;
		seen = s->audit.messages + s->audit.lost;
	}
	return (int64_t)c->count;
}

static int64_t serve_detach(struct server *s, const struct peer_command *c)
{
	(void)c;
	shmring_producer_detach(s->producer);
	shmring_consumer_detach(s->consumer);
	s->producer = NULL;
	s->consumer = NULL;
	s->staged = s->staged_bytes = 0;
	return 0;
}

static int64_t serve_change_user(struct server *s, const struct peer_command *c)
{
	const uid_t user = c->count ? c->count : 65534;

	(void)s;
	if (geteuid() == 0 &&
	    (setgroups(0, NULL) || setresgid(user, user, user) || setresuid(user, user, user)))
		return -errno;
	return prctl(PR_SET_PDEATHSIG, SIGKILL) ? -errno : 0;
}

static int64_t serve_closefrom(struct server *s, const struct peer_command *c)
{
	(void)c;
	if (s->socket != 3) {
		if (dup3(s->socket, 3, O_CLOEXEC) != 3)
			return -errno;
		s->socket = 3;
	}
	closefrom(4);
	return 0;
}

/* Tells the test by one byte when the ring is full for the first time. */
static int64_t serve_hammer(struct server *s, const struct peer_command *c)
{
	bool told = false;
	int r = 0;

	s->buffer = realloc(s->buffer, c->max);
	if (!s->buffer)
		return -ENOMEM;
	while (r == 0 || r == -EAGAIN) {
		if (r == 0)
			audit_fill(s->buffer, c->max, s->source, s->number++);
		r = shmring_publish(s->producer, s->buffer, c->max, SHMRING_NOWAIT);
		if (r == -EAGAIN && !told)
			told = send(s->socket, "", 1, MSG_NOSIGNAL) == 1;
	}
	return r;
}

/* The socket is descriptor 3 in a program that was exec'd. */
static int64_t serve_replace(struct server *s, const struct peer_command *c)
{
	(void)s;
	(void)c;
	child_become(NULL, NULL, NULL);
}

/* Come and go until killed; tells the test about every round by one byte. */
static int64_t serve_cycle(struct server *s, const struct peer_command *c)
{
	uint64_t source = (uint64_t)getpid() << 32;
	int64_t r = 0;

	s->buffer = realloc(s->buffer, sizeof(struct audit_header));
	if (!s->buffer)
		return -ENOMEM;
	while (r >= 0) {
		r = serve_consumer(s, c);
		if (r >= 0)
			r = serve_producer(s, c);
		s->source = source++;
		if (r >= 0)
			r = produce_published(s, sizeof(struct audit_header), SHMRING_NOWAIT);
		serve_detach(s, c);
		if (r >= 0 && send(s->socket, "", 1, MSG_NOSIGNAL) != 1)
			r = -errno;
	}
	return r;
}

static int64_t serve_quit(struct server *s, const struct peer_command *c)
{
	serve_detach(s, c);
	shmring_close(s->ring);
	free(s->buffer);
	s->ring = NULL;
	s->buffer = NULL;
	return 0;
}

static const serve_op ops[PEER_OPS] = {
	[PEER_OPEN] = serve_open,	   [PEER_OPEN_FD] = serve_open_fd,
	[PEER_JOIN] = serve_join,	   [PEER_PRODUCER] = serve_producer,
	[PEER_CONSUMER] = serve_consumer,  [PEER_PRODUCE] = serve_produce,
	[PEER_CLAIM] = serve_claim,	   [PEER_STAGE] = serve_stage,
	[PEER_CONSUME] = serve_consume,	   [PEER_PEEK] = serve_peek,
	[PEER_RELEASE] = serve_release,	   [PEER_DETACH] = serve_detach,
	[PEER_NOBODY] = serve_change_user, [PEER_CLOSEFROM] = serve_closefrom,
	[PEER_REPLACE] = serve_replace,	   [PEER_HAMMER] = serve_hammer,
	[PEER_CYCLE] = serve_cycle,	   [PEER_QUIT] = serve_quit,
};

/* Wait for a command, and the descriptor that may come with it. */
static bool receive_command(struct server *s, struct peer_command *c)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = c, .iov_len = sizeof(*c) };
	struct msghdr m = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	while (recvmsg(s->socket, &m, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(*c))
		if (errno != EINTR)
			return false;
	if (m.msg_controllen >= CMSG_LEN(sizeof(int)))
		memcpy(&s->passed, CMSG_DATA(&control.header), sizeof(s->passed));
	return true;
}

static bool send_answer(struct server *s, int64_t result)
{
	static struct peer_answer answer;

	memset(&answer, 0, sizeof(answer));
	answer.result = result;
	answer.counters.size = sizeof(answer.counters);
	if (result < 0)
		snprintf(answer.explain, sizeof(answer.explain), "%s", shmring_explain());
	answer.published = s->number;
	answer.published_bytes = s->bytes;
	answer.last = s->last;
	answer.audit = s->audit;
	if (s->consumer)
		shmring_consumer_counters(s->consumer, &answer.counters);
	else if (s->producer)
		shmring_producer_counters(s->producer, &answer.counters);
	return send(s->socket, &answer, sizeof(answer), MSG_NOSIGNAL) == (ssize_t)sizeof(answer);
}

/* A signal that only interrupts sleeps. */
static void catch_signal(int signal)
{
	(void)signal;
}

int peer_serve(int socket, void *inherited)
{
	static struct server s;
	struct sigaction action = { .sa_handler = catch_signal };
	struct peer_command c = { .op = PEER_OPS };

	memset(&s, 0, sizeof(s));
	s.socket = socket;
	s.passed = -1;
	s.ring = inherited;
	if (sigaction(SIGUSR1, &action, NULL) != 0)
		return 2;
	while (c.op != PEER_QUIT)
		if (!receive_command(&s, &c) || c.op >= PEER_OPS ||
		    !send_answer(&s, ops[c.op](&s, &c)))
			return 3;
	return 0;
}
