/* SPDX-License-Identifier: MIT */
/*
 * watch: see watch.h.
 */
#include "watch.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>
#include <shmring/shmring.h>

#include "explain.h"
#include "sys.h"

#define FIRST_PAUSE_NS INT64_C(1000000)
#define LONGEST_PAUSE_NS INT64_C(100000000)
#define LONGEST_SLEEP_NS INT64_C(1000000000)

/* After messages about other files in the directory: so these cost little, however many come. */
#define CALM_NS INT64_C(1000000)

#define NEW_NAMES (IN_CREATE | IN_MOVED_TO)
#define EVENTS (NEW_NAMES | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

enum { RESTARTS = 8 }; /* directories that come and go while they are looked for */

/* Programs close descriptors that they do not know; then the number may be another file's. */
static bool is_ours(const struct watch *w)
{
	return w->fd >= 0 && shmr_fd_leads_to(w->fd, "anon_inode:inotify");
}

static void give_up(struct watch *w)
{
	if (is_ours(w))
		close(w->fd);
	w->fd = -1;
}

void watch_begin(struct watch *w, const char *address)
{
	int length = 0;

	*w = (struct watch){ .fd = -1 };
	if (!strchr(address, '/')) {
		length = shmring_directory(w->path, sizeof(w->path) - 1);
		if (length >= 0)
			w->path[length++] = '/';
	}
	if (length < 0 || (size_t)length + strlen(address) >= sizeof(w->path))
		return; /* the look says what is wrong with it */
	strcpy(w->path + length, address);
	w->fd = shmr_fd_above_standard(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
}

void watch_end(struct watch *w)
{
	give_up(w);
}

/* The first `length` bytes of the path. */
static void cut_path(char ret[ADDRESS_SIZE], const struct watch *w, size_t length)
{
	memcpy(ret, w->path, length);
	ret[length] = '\0';
	if (length == 0)
		strcpy(ret, ".");
}

/* Watch for what the first `end` bytes of the path lead to. */
static int watch_for(struct watch *w, size_t end, size_t *ret_parent)
{
	char directory[ADDRESS_SIZE];
	size_t parent = end;

	while (parent > 0 && w->path[parent - 1] != '/')
		parent--;
	w->name = parent;
	w->name_end = end;
	while (parent > 1 && w->path[parent - 1] == '/')
		parent--;
	cut_path(directory, w, parent);
	*ret_parent = parent;
	w->wd = inotify_add_watch(w->fd, directory, EVENTS);
	return w->wd < 0 ? -errno : 0;
}

/* Watch for the file, or for the first directory on the way to it that is missing. */
static int watch_nearest(struct watch *w)
{
	size_t end = strlen(w->path), parent;
	int e;

	while ((e = watch_for(w, end, &parent)) == -ENOENT && parent > 0 && parent < end)
		end = parent;
	return e;
}

/* Has a directory come that was missing when the one above it was watched? */
static bool has_come(const struct watch *w)
{
	char path[ADDRESS_SIZE];

	if (w->name_end == strlen(w->path))
		return false; /* the file itself: the caller looks for it */
	cut_path(path, w, w->name_end);
	return access(path, F_OK) == 0;
}

void watch_arm(struct watch *w)
{
	unsigned tries = 0;

	if (w->fd < 0)
		return;
	if (!is_ours(w)) {
		w->fd = -1;
		return;
	}
	do {
		if (watch_nearest(w) < 0) {
			give_up(w);
			return;
		}
	} while (has_come(w) && ++tries < RESTARTS);
}

static bool concerns_us(const struct watch *w, const struct inotify_event *event)
{
	const size_t length = w->name_end - w->name;

	if (event->mask & IN_Q_OVERFLOW)
		return true;
	if (event->wd != w->wd)
		return false;
	return !(event->mask & NEW_NAMES) || (strlen(event->name) == length &&
					      memcmp(event->name, w->path + w->name, length) == 0);
}

/* Read all messages. Is one of them about what is awaited? */
static bool read_events(const struct watch *w)
{
	_Alignas(struct inotify_event) char buffer[4096];
	bool ours = false;
	ssize_t size;

	while ((size = read(w->fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t at = 0; at < size;) {
			const struct inotify_event *event = (const void *)(buffer + at);

			ours = ours || concerns_us(w, event);
			at += (ssize_t)(sizeof(*event) + event->len);
		}
	return ours;
}

/* 1: look again; 0: there was nothing, or something else; -EINTR. */
static int sleep_for_event(struct watch *w, int64_t until)
{
	const int64_t left = until - shmr_now();
	const struct timespec t = { .tv_sec = left > 0 ? left / 1000000000 : 0,
				    .tv_nsec = left > 0 ? left % 1000000000 : 0 };
	struct pollfd p = { .fd = w->fd, .events = POLLIN };
	int n = ppoll(&p, 1, &t, NULL);

	if (n < 0)
		return -errno;
	if (n == 0)
		return 0;
	if (!is_ours(w)) {
		w->fd = -1;
		return 1;
	}
	return read_events(w) ? 1 : shmr_sleep(shmr_now() + CALM_NS);
}

int64_t shmr_watch_pause(int64_t *pause_ns)
{
	*pause_ns = *pause_ns == 0 ? FIRST_PAUSE_NS : 2 * *pause_ns;
	if (*pause_ns > LONGEST_PAUSE_NS)
		*pause_ns = LONGEST_PAUSE_NS;
	return *pause_ns;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int watch_sleep(struct watch *w, int64_t deadline)
{
	int64_t now = shmr_now();
	int e = 0;

	if (now >= deadline)
		return shmr_watch_too_late();
	if (w->fd < 0) {
		e = shmr_sleep(earlier(deadline, now + shmr_watch_pause(&w->pause_ns)));
	} else {
		const int64_t until = earlier(deadline, now + LONGEST_SLEEP_NS);

		while (e == 0 && shmr_now() < until)
			e = sleep_for_event(w, until);
	}
	return e == -EINTR ? shmr_watch_interrupted() : 1;
}

int shmr_watch_too_late(void)
{
	char missing[EXPLAIN_SIZE];

	shmr_explain_keep(missing);
	return explain(-ETIMEDOUT, "%s; it did not come before the deadline", missing);
}

int shmr_watch_interrupted(void)
{
	char missing[EXPLAIN_SIZE];

	shmr_explain_keep(missing);
	return explain(-EINTR, "%s; a signal interrupted the wait for it", missing);
}
