/* SPDX-License-Identifier: MIT */
/*
 * loop: waits for descriptors, level-triggered, and calls the function that belongs to each.
 *
 * A watch that was removed in the middle of a round is not called any more, although its
 * event may have been collected already. So the memory of a watch has to stay until the
 * round is over.
 */
#ifndef DAEMON_LOOP_H
#define DAEMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct watch {
	int fd; /* the owner's; -1: not in the loop */
	uint32_t events;
	bool last; /* after the others of a round; set by the owner once it is in the loop */
	void (*ready)(struct watch *w, uint32_t events);
};

#define watch_owner(w, type, member) ((type *)(void *)((unsigned char *)(w)-offsetof(type, member)))

struct loop {
	int epoll;
};

/* 0 or a negative errno, as the others. */
int loop_open(struct loop *l);
void loop_close(struct loop *l);

/* From now on ready() is called when `fd` has one of `events` (EPOLL*). */
int loop_add(struct loop *l, struct watch *w, int fd, uint32_t events,
	     void (*ready)(struct watch *w, uint32_t events));
void loop_change(struct loop *l, struct watch *w, uint32_t events);
void loop_remove(struct loop *l, struct watch *w); /* fine if the watch is not in it */

/* One round: wait for up to `timeout` ms (-1: for ever), call. How many were called. */
int loop_run(struct loop *l, int timeout);

#endif
