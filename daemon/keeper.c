/* SPDX-License-Identifier: MIT */
/*
 * keeper: see keeper.h. One packet is one word, with a descriptor or without.
 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "log.h"
#include "sandbox.h"
#include "sys.h"

#define KEEPER_NAME ".keeper"

enum { PATIENCE_S = 5 };

enum word_type {
	WORD_LISTEN = 1, /* the socket at which the next broker comes */
	WORD_PUT,
	WORD_DROP,
	WORD_GET, /* answered by WORD_ITEM for each, and WORD_END */
	WORD_ITEM,
	WORD_END,
};

struct word {
	uint32_t type;
	uint32_t reserved;
	uint64_t device, inode; /* of the descriptor */
};

/* --- words --- */

static int say(int socket, enum word_type type, int about, bool with_fd, int flags)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = { 0 } };
	struct word w = { .type = type };
	struct iovec part = { .iov_base = &w, .iov_len = sizeof(w) };
	struct msghdr h = { .msg_iov = &part, .msg_iovlen = 1 };
	struct stat st;
	ssize_t n;

	if (about >= 0 && fstat(about, &st) == 0) {
		w.device = st.st_dev;
		w.inode = st.st_ino;
	}
	if (with_fd) {
		h.msg_control = &control;
		h.msg_controllen = sizeof(control.room);
		CMSG_FIRSTHDR(&h)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&h)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&h)->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&h)), &about, sizeof(about));
	}
	do
		n = sendmsg(socket, &h, flags | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* False: the other side is gone, or talks nonsense. */
static bool hear(int socket, struct word *ret, int *ret_fd)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { .iov_base = ret, .iov_len = sizeof(*ret) };
	struct msghdr h = { .msg_iov = &part,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control.room) };
	const struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(socket, &h, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	c = n < 0 ? NULL : CMSG_FIRSTHDR(&h);
	*ret_fd = -1;
	if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len >= CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return n == sizeof(*ret);
}

/* E3 */
static bool is_own_user(int socket)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       peer.uid == geteuid();
}

/* --- the process --- */

struct shelf {
	int *fds;
	size_t count, room;
	int listener;
};

static void put(struct shelf *s, int fd)
{
	if (s->count == s->room) {
		size_t room = s->room == 0 ? 64 : 2 * s->room;
		int *fds = reallocarray(s->fds, room, sizeof(*fds));

		if (!fds) {
			close(fd);
			return;
		}
		s->fds = fds;
		s->room = room;
	}
	s->fds[s->count++] = fd;
}

static void drop(struct shelf *s, const struct word *w)
{
	struct stat st;

	for (size_t i = 0; i < s->count; i++)
		if (fstat(s->fds[i], &st) == 0 && st.st_dev == w->device && st.st_ino == w->inode) {
			close(s->fds[i]);
			s->fds[i--] = s->fds[--s->count];
		}
}

static void tell_all(const struct shelf *s, int socket)
{
	for (size_t i = 0; i < s->count; i++)
		if (say(socket, WORD_ITEM, s->fds[i], true, 0) < 0)
			return;
	say(socket, WORD_END, -1, false, 0);
}

/* E2: until the broker is gone. */
static void serve(struct shelf *s, int socket)
{
	struct word w;
	int fd;

	while (hear(socket, &w, &fd)) {
		if (w.type == WORD_PUT && fd >= 0) {
			put(s, fd);
			continue;
		}
		if (w.type == WORD_LISTEN && fd >= 0 && s->listener < 0) {
			s->listener = fd;
			continue;
		}
		if (fd >= 0)
			close(fd);
		if (w.type == WORD_DROP)
			drop(s, &w);
		else if (w.type == WORD_GET)
			tell_all(s, socket);
	}
	close(socket);
}

static void keep(int socket)
{
	struct shelf s = { .listener = -1 };

	while (socket >= 0) {
		if (is_own_user(socket))
			serve(&s, socket);
		else
			close(socket);
		if (s.count == 0 || s.listener < 0)
			return;
		do
			socket = accept4(s.listener, NULL, NULL, SOCK_CLOEXEC);
		while (socket < 0 && (errno == EINTR || errno == ECONNABORTED));
	}
}

/* Nothing of whoever started us, but the socket. */
static void settle(int socket, bool sandboxed)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	setsid();
	for (int fd = 0; fd < 3 && null >= 0; fd++)
		dup2(null, fd);
	close_range(3, (unsigned)socket - 1, 0);
	close_range((unsigned)socket + 1, ~0U, 0);
	if (chdir("/") < 0)
		_exit(EXIT_FAILURE);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_NAME, "shmring-keeper");
	if (sandboxed)
		sandbox_enter();
}

int keeper_fork(bool sandboxed)
{
	int ends[2], e;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	pid = fork();
	e = -errno;
	if (pid == 0) {
		settle(ends[1], sandboxed);
		keep(ends[1]);
		_exit(EXIT_SUCCESS);
	}
	close(ends[1]);
	if (pid > 0)
		return ends[0];
	close(ends[0]);
	return e;
}

/* --- the broker's side --- */

/* Through the directory's descriptor: its path may be longer than a socket's may be. */
static void name_socket(struct sockaddr_un *ret, int directory)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	shmr_fd_path(ret->sun_path, directory);
	strcat(ret->sun_path, "/" KEEPER_NAME);
}

static int new_socket(void)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (s >= 0 && (setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
		       setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)) {
		close(s);
		return -1;
	}
	return s;
}

static int find_one(int directory)
{
	struct sockaddr_un address;
	int s = new_socket();

	name_socket(&address, directory);
	if (s >= 0 && connect(s, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    is_own_user(s))
		return s;
	if (s >= 0)
		close(s);
	return -1;
}

bool keeper_exists(const char *directory)
{
	int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int s = dir < 0 ? -1 : find_one(dir);

	if (s >= 0)
		close(s);
	if (dir >= 0)
		close(dir);
	return s >= 0;
}

/* Where the next broker will find the one that was forked. */
static int listen_for(int directory, int forked)
{
	struct sockaddr_un address;
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int e;

	name_socket(&address, directory);
	unlinkat(directory, KEEPER_NAME, 0);
	e = s < 0 || bind(s, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(s, 4) < 0
		    ? -errno
		    : say(forked, WORD_LISTEN, s, true, MSG_DONTWAIT);
	if (s >= 0)
		close(s);
	return e;
}

void keeper_open(struct keeper *k, int directory, int forked)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };

	*k = (struct keeper){ .socket = find_one(directory) };
	k->systemd = getenv("NOTIFY_SOCKET") && getenv("FDSTORE");
	if (k->socket >= 0) {
		if (forked > 0)
			close(forked);
		return;
	}
	if (forked <= 0)
		return;
	k->socket = forked;
	setsockopt(forked, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (listen_for(directory, forked) < 0)
		log_say(LOG_WARNING, "nobody will find the keeper of isolated rings: %s",
			strerror(errno));
}

void keeper_close(struct keeper *k)
{
	if (k->socket >= 0)
		close(k->socket);
	k->socket = -1;
}

bool keeper_is_there(const struct keeper *k)
{
	return k->socket >= 0 || k->systemd;
}

/* Its queue is full when it is stopped; then nothing is kept, and said once. */
static void tell(struct keeper *k, enum word_type type, int fd)
{
	int e = k->socket < 0 ? 0 : say(k->socket, type, fd, type == WORD_PUT, MSG_DONTWAIT);

	if (e < 0 && !k->mute)
		log_say(LOG_WARNING,
			"the keeper of isolated rings does not take them: %s; they will end with "
			"this broker",
			strerror(-e));
	k->mute = e < 0;
}

void keeper_put(struct keeper *k, int fd, const char *label)
{
	tell(k, WORD_PUT, fd);
	if (k->systemd) {
		char state[256] = "FDSTORE=1\nFDNAME=";

		strncat(state, label, sizeof(state) - strlen(state) - 1);
		sd_pid_notify_with_fds(0, 0, state, &fd, 1);
	}
}

void keeper_drop(struct keeper *k, int fd, const char *label)
{
	tell(k, WORD_DROP, fd);
	if (k->systemd)
		sd_notifyf(0, "FDSTOREREMOVE=1\nFDNAME=%s", label);
}

int *keeper_take(struct keeper *k, size_t *ret_count)
{
	struct shelf s = { 0 };
	struct word w;
	int fd;

	*ret_count = 0;
	if (k->socket < 0 || say(k->socket, WORD_GET, -1, false, MSG_DONTWAIT) < 0)
		return NULL;
	while (hear(k->socket, &w, &fd) && w.type == WORD_ITEM)
		if (fd >= 0)
			put(&s, fd);
	*ret_count = s.count;
	return s.fds;
}
