/* SPDX-License-Identifier: MIT */
/*
 * listener: see listener.h.
 */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "socket-path.h"
#include "sys.h"

enum { BACKLOG = 128, ACCEPTS = 16 /* in one round */ };

static int fail(int e, char *error, size_t size, const char *path, const char *what)
{
	snprintf(error, size, "%s: %s: %s", path, what, strerror(-e));
	return e;
}

static int lock_path(const char *path, char *error, size_t size)
{
	char lock[sizeof(((struct sockaddr_un *)0)->sun_path) + sizeof(".lock")];
	int fd, e;

	snprintf(lock, sizeof(lock), "%s.lock", path);
	fd = open(lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail(-errno, error, size, lock, "cannot open it");
	e = shmr_lock_byte(fd, 0);
	if (e == 0)
		return fd;
	close(fd);
	if (e != -EAGAIN)
		return fail(e, error, size, lock, "cannot lock it");
	snprintf(error, size,
		 "%s: another broker listens there; stop it with 'shmringd --stop', or name "
		 "another socket",
		 path);
	return -EADDRINUSE;
}

/* S5 */
static int bind_for_all(int fd, const struct sockaddr_un *address)
{
	mode_t mask = umask(0111);
	int e = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

	umask(mask);
	return e;
}

static int listen_at(struct listener *l, const char *path, char *error, size_t size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int e = socket_path_clear(path, error, size);

	if (e < 0)
		return e;
	l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return fail(-errno, error, size, path, "cannot make a socket");
	strcpy(address.sun_path, path);
	e = bind_for_all(l->fd, &address);
	if (e == 0 && listen(l->fd, BACKLOG) < 0)
		e = -errno;
	return e < 0 ? fail(e, error, size, path, "cannot listen there") : 0;
}

/* S2: which file the listener may remove. */
static int remember_path(struct listener *l, const char *path, char *error, size_t size)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return fail(-errno, error, size, path, "cannot look at it");
	l->path = strdup(path);
	l->device = st.st_dev;
	l->inode = st.st_ino;
	return l->path ? 0 : fail(-ENOMEM, error, size, path, "cannot remember it");
}

/* S1 */
static int own_path(struct listener *l, const char *path, char *error, size_t size)
{
	int e = 0;

	l->lock = lock_path(path, error, size);
	if (l->lock < 0)
		return l->lock;
	if (l->fd < 0)
		e = listen_at(l, path, error, size);
	return e < 0 ? e : remember_path(l, path, error, size);
}

static int open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* S3 */
static void turn_away(struct listener *l)
{
	int fd;

	if (l->spare >= 0)
		close(l->spare);
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		l->turned_away++;
	}
	l->spare = open_spare();
}

static void disarm(struct listener *l)
{
	l->armed = false;
	loop_change(l->loop, &l->watch, 0);
	log_say(LOG_WARNING,
		"no descriptors left, %llu clients were turned away so far; raise "
		"LimitNOFILE, or lower the limits of connections and rings",
		(unsigned long long)l->turned_away);
}

static void ready(struct watch *w, uint32_t events)
{
	struct listener *l = watch_owner(w, struct listener, watch);

	(void)events;
	for (unsigned i = 0; i < ACCEPTS; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			l->arrived(l, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			turn_away(l);
			disarm(l);
			return;
		}
		if (errno == EAGAIN)
			return;
		/* Other errors are about one client, which has left already. */
	}
}

void listener_rearm(struct listener *l)
{
	if (l->armed || l->fd < 0)
		return;
	if (l->spare < 0)
		l->spare = open_spare();
	l->armed = true;
	loop_change(l->loop, &l->watch, EPOLLIN);
}

int listener_open(struct listener *l, struct loop *loop, const char *path, int inherited, bool ours,
		  void (*arrived)(struct listener *l, int fd), char *error, size_t size)
{
	int e = 0;

	*l = (struct listener){ .loop = loop,
				.fd = inherited,
				.lock = -1,
				.spare = -1,
				.armed = true,
				.watch.fd = -1,
				.arrived = arrived };
	if (inherited < 0 || ours) {
		if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
			e = fail(-ENAMETOOLONG, error, size, path, "cannot listen there");
		else
			e = own_path(l, path, error, size);
	}
	if (e == 0) {
		l->spare = open_spare();
		e = loop_add(loop, &l->watch, l->fd, EPOLLIN, ready);
		l->watch.last = true; /* S4 */
		if (e < 0)
			fail(e, error, size, path, "cannot wait for clients");
	}
	if (e < 0)
		listener_close(l);
	return e;
}

int listener_give(struct listener *l)
{
	int fd = l->fd;

	if (fd < 0)
		return -1;
	loop_remove(l->loop, &l->watch);
	free(l->path);
	l->path = NULL;
	l->fd = -1;
	return fd;
}

void listener_close(struct listener *l)
{
	if (l->path)
		socket_path_remove(l->path, l->device, l->inode); /* S2 */
	if (l->watch.fd >= 0)
		loop_remove(l->loop, &l->watch);
	if (l->fd >= 0)
		close(l->fd);
	if (l->spare >= 0)
		close(l->spare);
	if (l->lock >= 0)
		close(l->lock);
	free(l->path);
	*l = (struct listener){ .fd = -1, .lock = -1, .spare = -1, .watch.fd = -1 };
}
