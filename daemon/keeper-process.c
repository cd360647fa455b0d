/* SPDX-License-Identifier: MIT */
/*
 * The process that keeps descriptors; see keeper.h. It is this program anew, under
 * another name, so it inherits nothing of the broker's memory.
 */
#include "keeper-process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keeper-words.h"
#include "sandbox.h"

/* How often a keeper without a broker checks that a broker could find it. */
enum { LOOK_MS = 1000 };

struct item {
	int fd;
	bool old; /* not put again since BEGIN */
	uint64_t device, inode, serial;
};

struct shelf {
	struct item *items;
	size_t count, room;
	int listener, directory;
	uint64_t device, inode; /* of the listener's name */
};

static struct item *find(struct shelf *s, uint64_t device, uint64_t inode)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->items[i].inode == inode && s->items[i].device == device)
			return &s->items[i];
	return NULL;
}

/* False: out of memory. */
static bool make_room(struct shelf *s)
{
	size_t room = s->room == 0 ? 64 : 2 * s->room;
	struct item *items;

	if (s->count < s->room)
		return true;
	items = reallocarray(s->items, room, sizeof(*items));
	if (!items)
		return false;
	s->items = items;
	s->room = room;
	return true;
}

/*
 * Without memory the keeper ends: its broker notices, and gives everything to another keeper.
 * A keeper must not go on as if it had kept what it has not.
 */
static void put(struct shelf *s, int fd, const struct word *w)
{
	struct stat st;
	struct item *known;

	if (fstat(fd, &st) < 0 || !make_room(s))
		_exit(EXIT_FAILURE);
	known = find(s, st.st_dev, st.st_ino);
	if (known) {
		close(fd);
		known->serial = w->serial;
		known->old = false;
		return;
	}
	s->items[s->count++] = (struct item){
		.fd = fd, .device = st.st_dev, .inode = st.st_ino, .serial = w->serial
	};
}

static void drop(struct shelf *s, struct item *i)
{
	close(i->fd);
	*i = s->items[--s->count];
}

static void drop_named(struct shelf *s, const struct word *w)
{
	struct item *i = find(s, w->device, w->inode);

	if (i)
		drop(s, i);
}

static void begin(struct shelf *s)
{
	for (size_t i = 0; i < s->count; i++)
		s->items[i].old = true;
}

static void commit(struct shelf *s)
{
	for (size_t i = s->count; i-- > 0;)
		if (s->items[i].old)
			drop(s, &s->items[i]);
}

static void tell_all(const struct shelf *s, int socket)
{
	struct word w = { .type = WORD_ITEM };

	for (size_t i = 0; i < s->count; i++) {
		w.device = s->items[i].device;
		w.inode = s->items[i].inode;
		w.serial = s->items[i].serial;
		if (word_say(socket, &w, s->items[i].fd, -1, 0) < 0)
			return;
	}
	w = (struct word){ .type = WORD_END };
	word_say(socket, &w, -1, -1, 0);
}

static void hear(struct shelf *s, int socket, const struct word *w, int fd, int second)
{
	if (w->type == WORD_PUT && fd >= 0) {
		put(s, fd, w);
		fd = -1;
	} else if (w->type == WORD_PUT) {
		_exit(EXIT_FAILURE); /* no descriptor was left for it: act as without memory */
	} else if (w->type == WORD_LISTEN && second >= 0 && s->listener < 0) {
		s->listener = fd;
		s->directory = second;
		s->device = w->device;
		s->inode = w->inode;
		fd = second = -1;
	} else if (w->type == WORD_DROP) {
		drop_named(s, w);
	} else if (w->type == WORD_GET) {
		tell_all(s, socket);
	} else if (w->type == WORD_BEGIN) {
		begin(s);
	} else if (w->type == WORD_COMMIT) {
		commit(s);
	}
	if (fd >= 0)
		close(fd);
	if (second >= 0)
		close(second);
}

/* KE2: serve a broker until it is gone. */
static void keep_for_broker(struct shelf *s, int socket)
{
	int fd, second;
	struct word w;

	while (word_hear(socket, &w, &fd, &second) > 0)
		hear(s, socket, &w, fd, second);
	close(socket);
	/* A broker that went in the middle of a list: what it put stays, and so does what was there
	 * before. */
	for (size_t i = 0; i < s->count; i++)
		s->items[i].old = false;
}

/* KE4 */
static bool can_be_found(const struct shelf *s)
{
	struct stat st;

	return fstatat(s->directory, KEEPER_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_dev == s->device && st.st_ino == s->inode;
}

/* The next broker's connection; -1: there will be none. */
static int await_broker(const struct shelf *s)
{
	struct pollfd ready = { .fd = s->listener, .events = POLLIN };
	int fd = -1;

	do {
		if (s->count == 0 || s->listener < 0)
			return -1;
		if (poll(&ready, 1, 0) <= 0 && !can_be_found(s))
			return -1;
		if (poll(&ready, 1, LOOK_MS) == 1)
			fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
	} while (fd < 0);
	return fd;
}

static void keep(int socket)
{
	struct shelf s = { .listener = -1, .directory = -1 };

	while (socket >= 0) {
		if (word_is_own_user(socket))
			keep_for_broker(&s, socket);
		else
			close(socket);
		socket = await_broker(&s);
	}
	free(s.items); /* the end of the process frees the rest */
}

bool keeper_process_is_it(const char *name)
{
	return strcmp(name, KEEPER_PROCESS_NAME) == 0;
}

int keeper_process_run(int argc, char **argv)
{
	int socket = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);

	prctl(PR_SET_NAME, KEEPER_PROCESS_NAME);
	if (socket < 0 || chdir("/") < 0)
		return EXIT_FAILURE;
	dup2(STDOUT_FILENO, STDIN_FILENO); /* these two are /dev/null already */
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2 || strcmp(argv[1], KEEPER_NO_SANDBOX) != 0)
		sandbox_enter();
	keep(socket);
	return EXIT_SUCCESS;
}
