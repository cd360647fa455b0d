/* SPDX-License-Identifier: MIT */
/*
 * Peers: what users have today without installing anything. All of them block,
 * all of them copy, and their messages are as long as both sides know already
 * (a stream of bytes would need a header as well).
 */
#include <errno.h>
#include <mqueue.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loops.h"

/* Streams are read in pieces of this size. */
#define READ_SIZE ((size_t)64 << 10)
#define MQ_MESSAGES 10

struct peer {
	int fd[2]; /* to write, to read */
	mqd_t queue;
	struct monitor *monitor;
	char *buffer;
	size_t size, have, at; /* of the buffer; read into it; handed out */
};

static int peer_new(struct channel *ch)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return -1;
	peer->fd[0] = peer->fd[1] = -1;
	peer->size = ch->message > READ_SIZE ? ch->message : READ_SIZE;
	peer->buffer = aligned_alloc(LINE, (peer->size + LINE - 1) / LINE * LINE);
	if (!peer->buffer) {
		free(peer);
		return -1;
	}
	ch->state = peer;
	return 0;
}

static void peer_free(struct channel *ch)
{
	struct peer *peer = ch->state;
	int i;

	for (i = 0; i < 2; i++)
		if (peer->fd[i] >= 0)
			close(peer->fd[i]);
	free(peer->buffer);
	free(peer);
}

static uint64_t *buffer_claim(struct side *side)
{
	struct peer *peer = side->out->state;

	return (uint64_t *)peer->buffer;
}

static void no_release(struct side *side)
{
	(void)side;
}

/* Each process keeps the end that it uses, so that it sees the other one die. */
static void fd_join(struct side *side)
{
	struct peer *peer;

	if (side->out) {
		peer = side->out->state;
		close(peer->fd[1]);
	}
	if (side->in) {
		peer = side->in->state;
		close(peer->fd[0]);
	}
}

/* ---- pipes and stream sockets ---- */

static int pipe_open(struct channel *ch)
{
	struct peer *peer;
	int fd[2];

	if (peer_new(ch))
		return -1;
	peer = ch->state;
	if (pipe(fd)) {
		peer_free(ch);
		return -1;
	}
	peer->fd[0] = fd[1];
	peer->fd[1] = fd[0];
	return 0;
}

static int socket_open(struct channel *ch, int type)
{
	struct peer *peer;

	if (peer_new(ch))
		return -1;
	peer = ch->state;
	if (socketpair(AF_UNIX, type, 0, peer->fd)) {
		peer_free(ch);
		return -1;
	}
	return 0;
}

static int unix_stream_open(struct channel *ch)
{
	return socket_open(ch, SOCK_STREAM);
}

static void stream_commit(struct side *side)
{
	struct peer *peer = side->out->state;
	size_t done = 0;
	ssize_t n;

	while (done < side->message) {
		n = write(peer->fd[0], peer->buffer + done, side->message - done);
		if (n < 0)
			row_fail(side, "write: %s", strerror(errno));
		done += (size_t)n;
	}
}

static const uint64_t *stream_peek(struct side *side, size_t *ret_len)
{
	struct peer *peer = side->in->state;
	const char *message;
	ssize_t n;

	if (peer->have - peer->at < side->message) {
		memmove(peer->buffer, peer->buffer + peer->at, peer->have - peer->at);
		peer->have -= peer->at;
		peer->at = 0;
	}
	while (peer->have - peer->at < side->message) {
		n = read(peer->fd[1], peer->buffer + peer->have, peer->size - peer->have);
		if (n <= 0)
			row_fail(side, "read: %s", n ? strerror(errno) : "end of file");
		peer->have += (size_t)n;
	}
	message = peer->buffer + peer->at;
	peer->at += side->message;
	*ret_len = side->message;
	return (const uint64_t *)message;
}

/* ---- sockets that keep messages apart ---- */

/* The kernel counts overhead into the buffer, so ask for a message and a half. */
static int unix_seqpacket_open(struct channel *ch)
{
	int want = (int)(ch->message + ch->message / 2), got = 0;
	socklen_t len = sizeof(got);
	struct peer *peer;

	if (socket_open(ch, SOCK_SEQPACKET))
		return -1;
	peer = ch->state;
	if (getsockopt(peer->fd[0], SOL_SOCKET, SO_SNDBUF, &got, &len) == 0 && got >= want)
		return 0;
	if (setsockopt(peer->fd[0], SOL_SOCKET, SO_SNDBUFFORCE, &want, sizeof(want)) == 0)
		return 0;
	peer_free(ch);
	return 1;
}

static void packet_commit(struct side *side)
{
	struct peer *peer = side->out->state;
	ssize_t n = send(peer->fd[0], peer->buffer, side->message, MSG_NOSIGNAL);

	if (n != (ssize_t)side->message)
		row_fail(side, "send: %s", n < 0 ? strerror(errno) : "cut short");
}

static const uint64_t *packet_peek(struct side *side, size_t *ret_len)
{
	struct peer *peer = side->in->state;
	ssize_t n = recv(peer->fd[1], peer->buffer, peer->size, 0);

	if (n <= 0)
		row_fail(side, "recv: %s", n ? strerror(errno) : "end of file");
	*ret_len = (size_t)n;
	return (const uint64_t *)peer->buffer;
}

/* ---- POSIX message queues ---- */

static int mqueue_open(struct channel *ch)
{
	struct mq_attr attr = { .mq_maxmsg = MQ_MESSAGES, .mq_msgsize = (long)ch->message };
	struct peer *peer;
	char name[64];

	if (peer_new(ch))
		return -1;
	peer = ch->state;
	snprintf(name, sizeof(name), "/shmring-bench-%ld", (long)getpid());
	peer->queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	if (peer->queue == (mqd_t)-1) {
		peer_free(ch);
		return 1; /* usually beyond the limits of this system */
	}
	mq_unlink(name);
	return 0;
}

static void mqueue_close(struct channel *ch)
{
	struct peer *peer = ch->state;

	mq_close(peer->queue);
	peer_free(ch);
}

static void mqueue_commit(struct side *side)
{
	struct peer *peer = side->out->state;

	if (mq_send(peer->queue, peer->buffer, side->message, 0))
		row_fail(side, "mq_send: %s", strerror(errno));
}

static const uint64_t *mqueue_peek(struct side *side, size_t *ret_len)
{
	struct peer *peer = side->in->state;
	ssize_t n = mq_receive(peer->queue, peer->buffer, peer->size, NULL);

	if (n < 0)
		row_fail(side, "mq_receive: %s", strerror(errno));
	*ret_len = (size_t)n;
	return (const uint64_t *)peer->buffer;
}

/* ---- a ring under a mutex with two condition variables ---- */

struct monitor {
	pthread_mutex_t mutex;
	pthread_cond_t filled, emptied;
	size_t slots, head, tail;
	_Alignas(LINE) char slot[];
};

static size_t monitor_size(const struct channel *ch)
{
	return sizeof(struct monitor) + ch->capacity;
}

static bool monitor_init(struct monitor *m, const struct channel *ch)
{
	pthread_mutexattr_t mutex;
	pthread_condattr_t cond;

	m->slots = ch->capacity / ch->message;
	return !pthread_mutexattr_init(&mutex) && !pthread_condattr_init(&cond) &&
	       !pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED) &&
	       !pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED) &&
	       !pthread_mutex_init(&m->mutex, &mutex) && !pthread_cond_init(&m->filled, &cond) &&
	       !pthread_cond_init(&m->emptied, &cond);
}

static void monitor_close(struct channel *ch)
{
	struct peer *peer = ch->state;

	munmap(peer->monitor, monitor_size(ch));
	peer_free(ch);
}

static int monitor_open(struct channel *ch)
{
	struct peer *peer;

	if (peer_new(ch))
		return -1;
	peer = ch->state;
	peer->monitor = row_shared(monitor_size(ch));
	if (monitor_init(peer->monitor, ch))
		return 0;
	monitor_close(ch);
	return -1;
}

static void monitor_commit(struct side *side)
{
	struct peer *peer = side->out->state;
	struct monitor *m = peer->monitor;

	pthread_mutex_lock(&m->mutex);
	while (m->head - m->tail == m->slots)
		pthread_cond_wait(&m->emptied, &m->mutex);
	memcpy(m->slot + m->head % m->slots * side->message, peer->buffer, side->message);
	m->head++;
	pthread_cond_signal(&m->filled);
	pthread_mutex_unlock(&m->mutex);
}

static const uint64_t *monitor_peek(struct side *side, size_t *ret_len)
{
	struct peer *peer = side->in->state;
	struct monitor *m = peer->monitor;

	pthread_mutex_lock(&m->mutex);
	while (m->head == m->tail)
		pthread_cond_wait(&m->filled, &m->mutex);
	memcpy(peer->buffer, m->slot + m->tail % m->slots * side->message, side->message);
	m->tail++;
	pthread_cond_signal(&m->emptied);
	pthread_mutex_unlock(&m->mutex);
	*ret_len = side->message;
	return (const uint64_t *)peer->buffer;
}

static void run_stream(struct side *side)
{
	static const struct link_ops ops = { .claim = buffer_claim,
					     .commit = stream_commit,
					     .peek = stream_peek,
					     .release = no_release };

	run_link(side, &ops);
}

static void run_packet(struct side *side)
{
	static const struct link_ops ops = { .claim = buffer_claim,
					     .commit = packet_commit,
					     .peek = packet_peek,
					     .release = no_release };

	run_link(side, &ops);
}

static void run_mqueue(struct side *side)
{
	static const struct link_ops ops = { .claim = buffer_claim,
					     .commit = mqueue_commit,
					     .peek = mqueue_peek,
					     .release = no_release };

	run_link(side, &ops);
}

static void run_monitor(struct side *side)
{
	static const struct link_ops ops = { .claim = buffer_claim,
					     .commit = monitor_commit,
					     .peek = monitor_peek,
					     .release = no_release };

	run_link(side, &ops);
}

const struct subject peers[] = {
	{ "pipe", .open = pipe_open, .close = peer_free, .join = fd_join, .run = run_stream,
	  .sleeps = true },
	{ "unix-stream", .open = unix_stream_open, .close = peer_free, .join = fd_join,
	  .run = run_stream, .sleeps = true },
	{ "unix-seqpacket", .open = unix_seqpacket_open, .close = peer_free, .join = fd_join,
	  .run = run_packet, .sleeps = true },
	{ "mqueue", .open = mqueue_open, .close = mqueue_close, .run = run_mqueue, .sleeps = true },
	{ "mutex-cond", .open = monitor_open, .close = monitor_close, .run = run_monitor,
	  .sleeps = true },
	{ 0 }
};
