/* SPDX-License-Identifier: MIT */
/*
 * loop: see loop.h.
 */
#include "loop.h"

#include <errno.h>
#include <unistd.h>

enum { BATCH = 512 };

int loop_open(struct loop *l)
{
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	return l->epoll < 0 ? -errno : 0;
}

void loop_close(struct loop *l)
{
	close(l->epoll);
	l->epoll = -1;
}

int loop_add(struct loop *l, struct watch *w, int fd, uint32_t events,
	     void (*ready)(struct watch *w, uint32_t events))
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	*w = (struct watch){ .fd = fd, .events = events, .ready = ready };
	return 0;
}

/* For a descriptor that is in the loop neither of the two calls can fail. */
void loop_change(struct loop *l, struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (w->fd < 0 || w->events == events)
		return;
	w->events = events;
	epoll_ctl(l->epoll, EPOLL_CTL_MOD, w->fd, &ev);
}

void loop_remove(struct loop *l, struct watch *w)
{
	if (w->fd < 0)
		return;
	epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	w->fd = -1;
}

static void call(const struct epoll_event *events, int n, bool last)
{
	for (int i = 0; i < n; i++) {
		struct watch *w = events[i].data.ptr;

		if (w->fd >= 0 && w->last == last)
			w->ready(w, events[i].events);
	}
}

int loop_run(struct loop *l, int timeout)
{
	struct epoll_event events[BATCH];
	int n = epoll_wait(l->epoll, events, BATCH, timeout);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	call(events, n, false);
	call(events, n, true);
	return n;
}
