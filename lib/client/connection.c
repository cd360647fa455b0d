/* SPDX-License-Identifier: MIT */
/*
 * connection: see connection.h.
 */
#include "connection.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <shmring/shmring.h>

#include "explain.h"
#include "sys.h"

#define MILLISECOND INT64_C(1000000)
#define ANSWER_TIME (5000 * MILLISECOND)
#define RESTART_TIME (2000 * MILLISECOND)
#define RENEWAL_TIME (200 * MILLISECOND)
#define FIRST_PAUSE MILLISECOND
#define LONGEST_PAUSE (100 * MILLISECOND)

static bool fits(struct sockaddr_un *ret, const char *directory, const char *rest)
{
	if (strlen(directory) + strlen(rest) >= sizeof(ret->sun_path))
		return false;
	strcpy(ret->sun_path, directory);
	strcat(ret->sun_path, rest);
	return true;
}

int connection_init(struct connection *c, const char *path)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	struct sockaddr_un *a = &c->address;

	*c = (struct connection){ .socket = -1, .address.sun_family = AF_UNIX };
	if (!path)
		path = getenv(PROTO_SOCKET_VARIABLE);
	if (path && path[0] != '\0')
		return fits(a, path, "") ? 0
					 : explain(-ENAMETOOLONG, "the path of the broker's socket "
								  "is longer than 107 bytes");
	if (!runtime || !fits(a, runtime, "/" PROTO_USER_SOCKET) || access(a->sun_path, F_OK) < 0)
		strcpy(a->sun_path, PROTO_SYSTEM_SOCKET);
	return 0;
}

/* Programs close descriptors that they do not know. Then the number may belong to any file. */
static bool is_ours(const struct connection *c)
{
	struct stat st;

	return c->socket >= 0 && fstat(c->socket, &st) == 0 && st.st_dev == c->device &&
	       st.st_ino == c->inode;
}

bool connection_is_open(const struct connection *c)
{
	struct pollfd p = { .fd = c->socket };

	/* Between requests the broker says nothing: there is something only at the end. */
	p.events = POLLIN;
	return is_ours(c) && poll(&p, 1, 0) == 0;
}

void connection_close(struct connection *c, bool inherited)
{
	if (is_ours(c)) {
		/* Children may have copies, which would keep it up. */
		if (!inherited)
			shutdown(c->socket, SHUT_RDWR);
		close(c->socket);
	}
	c->socket = -1;
}

/* End the conversation, and explain why. */
static int broken(struct connection *c, int e)
{
	connection_close(c, false);
	switch (e) {
	case -EPIPE:
	case -ECONNRESET:
		return explain(-ECONNRESET,
			       "the broker has closed the connection; it may be restarting");
	case -ETIMEDOUT:
		return explain(e, "the broker does not answer; is it stopped?");
	case -EMFILE:
	case -ENFILE:
		return explain(e, "the broker's descriptor could not be received: %e", e);
	case -EPROTO:
	case -EBADMSG:
		return explain(
			-EPROTO,
			"the broker's answer is malformed; does another program listen at %s?",
			c->address.sun_path);
	default:
		return explain(e, "cannot talk to the broker: %e", e);
	}
}

static int64_t answer_deadline(const struct connection *c)
{
	return shmr_now() + (c->answer_ns > 0 ? c->answer_ns : ANSWER_TIME);
}

/* Until the socket is ready for `events`, or closed. */
static int await(const struct connection *c, short events, int64_t deadline)
{
	struct pollfd p = { .fd = c->socket, .events = events };

	for (;;) {
		int64_t left = deadline - shmr_now();
		struct timespec t = { .tv_sec = left / 1000000000, .tv_nsec = left % 1000000000 };
		int n;

		if (left <= 0)
			return -ETIMEDOUT;
		n = ppoll(&p, 1, &t, NULL);
		if (n > 0)
			return 0;
		if (n < 0 && (errno != EINTR || c->interruptible))
			return -errno;
	}
}

static int send_all(struct connection *c, struct proto_message *m, enum proto_type type,
		    int64_t deadline)
{
	int e;

	while ((e = proto_send(c->socket, m, type, -1)) == -EAGAIN)
		if ((e = await(c, POLLOUT, deadline)) < 0)
			return e;
	return e;
}

static int receive(struct connection *c, struct proto_message *m, enum proto_type answer,
		   int64_t deadline, int *ret_fd)
{
	int e;

	while ((e = proto_receive(c->socket, m, false, ret_fd)) == -EAGAIN)
		if ((e = await(c, POLLIN, deadline)) < 0)
			return e;
	if (e < 0)
		return e;
	if (*ret_fd >= 0 && (*ret_fd = shmr_fd_above_standard(*ret_fd)) < 0)
		return -errno;
	if ((m->head.serial == c->serial && m->head.type == answer) ||
	    (m->head.type == PROTO_ERROR && (m->head.serial == c->serial || !m->head.serial)))
		return 0;
	if (*ret_fd >= 0)
		close(*ret_fd);
	*ret_fd = -1;
	return -EPROTO;
}

int connection_await(struct connection *c, struct proto_message *m, enum proto_type answer,
		     int *ret_fd)
{
	int fd, e = receive(c, m, answer, answer_deadline(c), &fd);

	if (e < 0)
		return broken(c, e);
	if (m->head.type == PROTO_ERROR && m->head.serial == 0)
		connection_close(c, false); /* its last words */
	if (m->head.type == PROTO_ERROR)
		return m->u.error.text[0]
			       ? explain(m->u.error.error, "%s", m->u.error.text)
			       : explain(m->u.error.error, "the broker: %e", m->u.error.error);
	if (fd >= 0)
		*ret_fd = fd;
	return 0;
}

int connection_ask(struct connection *c, struct proto_message *m, enum proto_type question,
		   enum proto_type answer, int *ret_fd)
{
	int e;

	if (!is_ours(c))
		return broken(c, -ECONNRESET);
	m->head.serial = ++c->serial;
	e = send_all(c, m, question, answer_deadline(c));
	/* A broker that has hung up may have said why before. */
	return e < 0 && e != -EPIPE && e != -ECONNRESET ? broken(c, e)
							: connection_await(c, m, answer, ret_fd);
}

void connection_say(struct connection *c, struct proto_message *m, enum proto_type type)
{
	m->head.serial = ++c->serial;
	if (is_ours(c) && proto_send(c->socket, m, type, -1) < 0)
		connection_close(c, false);
}

/* A socket that is connected, or a negative errno. */
static int connect_once(const struct connection *c)
{
	const struct sockaddr_un *address = &c->address;
	int64_t deadline = answer_deadline(c);
	int s = shmr_fd_above_standard(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
	int r, e;

	if (s < 0)
		return -errno;
	do {
		/* A full queue of the listener is waited for as long as a send would be. */
		int64_t left = deadline - shmr_now();
		struct timeval t = { .tv_sec = left / 1000000000,
				     .tv_usec = left % 1000000000 / 1000 + 1 };

		r = left <= 0 || setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) < 0
			    ? -2
			    : connect(s, (const struct sockaddr *)address, sizeof(*address));
	} while (r == -1 && errno == EINTR && !c->interruptible);
	if (r == 0)
		return s;
	e = r == -2 || errno == EAGAIN ? -ETIMEDOUT : -errno;
	close(s);
	return e;
}

/* Begin a conversation on `s`; false: the client could not know the socket again. */
static bool take_socket(struct connection *c, int s)
{
	struct stat st;

	if (fstat(s, &st) < 0) {
		close(s);
		return false;
	}
	c->socket = s;
	c->device = st.st_dev;
	c->inode = st.st_ino;
	c->serial = 0;
	return true;
}

static int shake_hands(struct connection *c)
{
	struct proto_message m = {
		.u.hello = { .version_min = PROTO_VERSION, .version_max = PROTO_VERSION },
	};
	int fd, e = connection_ask(c, &m, PROTO_HELLO, PROTO_WELCOME, &fd);
	if (e == 0 && (m.u.welcome.version != PROTO_VERSION || m.u.welcome.features != 0))
		return broken(c, -EPROTO);
	if (e < 0)
		connection_close(c, false);
	return e;
}

static int open_once(struct connection *c)
{
	const char *path = c->address.sun_path;
	int s = connect_once(c);

	if (s >= 0)
		return take_socket(c, s) ? shake_hands(c)
					 : explain(-EIO, "cannot examine a socket");
	switch (s) {
	case -ENOENT:
	case -ECONNREFUSED:
		return explain(s,
			       "no broker listens at %s; start shmringd, or name its socket "
			       "in " PROTO_SOCKET_VARIABLE,
			       path);
	case -EPROTOTYPE:
		return explain(s, "%s is the socket of another kind of program", path);
	case -ETIMEDOUT:
		return explain(s, "the broker at %s accepts no connection; is it stopped?", path);
	default:
		return explain(s, "cannot reach the broker at %s: %e", path, s);
	}
}

int connection_open_now(struct connection *c)
{
	int e;

	connection_close(c, false);
	e = open_once(c);
	return e == -ENOENT ? -ECONNREFUSED : e; /* it is not the ring that is missing */
}

int connection_open(struct connection *c, bool awaited)
{
	int64_t start = shmr_now(), pause = FIRST_PAUSE;
	int e;

	connection_close(c, false);
	while ((e = open_once(c)) == -ECONNREFUSED || e == -ECONNRESET || e == -ENOENT) {
		/* A broker that starts replaces the socket of the one before. */
		bool brief = e == -ENOENT && !awaited;

		if (shmr_now() + pause - start > (brief ? RENEWAL_TIME : RESTART_TIME))
			break;
		shmr_sleep(shmr_now() + pause);
		pause = pause * 2 < LONGEST_PAUSE ? pause * 2 : LONGEST_PAUSE;
	}
	return e == -ENOENT ? -ECONNREFUSED : e; /* it is not the ring that is missing */
}

int broker_name(char ret[PROTO_NAME_SIZE], const char *address)
{
	const char *name = address + strlen(BROKER_PREFIX);

	if (!proto_is_name(name))
		return explain(-EINVAL,
			       "a ring of the broker has 1 to 63 letters, digits, '.', '_' "
			       "or '-' for a name, and no '.' first; a file of that name "
			       "is './%s'",
			       address);
	memset(ret, 0, PROTO_NAME_SIZE);
	memcpy(ret, name, strlen(name));
	return 0;
}
