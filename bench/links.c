/* SPDX-License-Identifier: MIT */
/*
 * The links of the doorbell bench: rings, and what the kernel has.
 */
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"
#include "doorbell.h"

_Noreturn void link_fail(struct link *l, const char *what)
{
	fprintf(stderr, "shmring-doorbell-bench: %s: %s: %s\n", l->way->name, what,
		shmring_explain());
	atomic_store(&l->stage->failed, 1);
	_exit(1);
}

static void check(struct link *l, const char *what, int64_t result)
{
	if (__builtin_expect(result < 0, 0))
		link_fail(l, what);
}

/* ---- rings ---- */

static int ring_open(struct link *l)
{
	const struct shmring_config config = { .size = sizeof(config),
					       .stamps = l->way->stamps,
					       .unread_policy = SHMRING_UNREAD_OVERWRITE };

	return shmring_create(&l->ring, NULL, &config);
}

/* 64 bytes, so that the figures are those of the other bench's smallest messages. */
static void ring_send(struct link *l, uint64_t message)
{
	uint64_t data[8] = { message };

	check(l, "publish", shmring_publish(l->producer, data, sizeof(data), SHMRING_FOREVER));
}

static uint64_t take(struct link *l, const struct shmring_message *m)
{
	uint64_t message;

	memcpy(&message, m->data, sizeof(message));
	check(l, "release", shmring_release(l->consumer));
	return message;
}

static uint64_t ring_receive(struct link *l)
{
	struct shmring_message m;

	check(l, "peek", shmring_peek(l->consumer, SHMRING_FOREVER, &m));
	return take(l, &m);
}

static uint64_t descriptor_receive(struct link *l)
{
	struct pollfd fd = { .events = POLLIN };
	struct shmring_message m;

	if (l->fd[0] < 0) {
		l->fd[0] = shmring_consumer_fd(l->consumer, SHMRING_FD_THREAD);
		check(l, "descriptor", l->fd[0]);
	}
	fd.fd = l->fd[0];
	while (shmring_peek(l->consumer, SHMRING_NOWAIT, &m) < 0) {
		int armed = shmring_consumer_arm(l->consumer);

		check(l, "arm", armed);
		l->calls += armed == 0;
		if (armed == 0)
			poll(&fd, 1, -1);
	}
	return take(l, &m);
}

/* ---- the kernel's own ---- */

static int nothing_to_open(struct link *l)
{
	(void)l;
	return 0;
}

static void wake(struct link *l, int count)
{
	syscall(SYS_futex, &l->stage->word, FUTEX_WAKE, count, NULL, NULL, 0);
	l->calls++;
}

static void announce(struct link *l, uint64_t message)
{
	atomic_store_explicit(&l->stage->slot, message, memory_order_relaxed);
	atomic_fetch_add(&l->stage->word, 1);
}

static void futex_send(struct link *l, uint64_t message)
{
	announce(l, message);
	wake(l, 1);
}

static void all_send(struct link *l, uint64_t message)
{
	announce(l, message);
	wake(l, INT_MAX);
}

static uint64_t futex_receive(struct link *l)
{
	while (atomic_load(&l->stage->word) == l->seen) {
		syscall(SYS_futex, &l->stage->word, FUTEX_WAIT, l->seen, NULL, NULL, 0);
		l->calls++;
	}
	l->seen++;
	return atomic_load_explicit(&l->stage->slot, memory_order_relaxed);
}

/* No longer than 100 ms at a time, as the ring sleeps: the kernel sets a timer, and takes it back.
 */
static uint64_t bounded_receive(struct link *l)
{
	const struct timespec longest = { .tv_nsec = 100000000 };

	while (atomic_load(&l->stage->word) == l->seen) {
		syscall(SYS_futex, &l->stage->word, FUTEX_WAIT, l->seen, &longest, NULL, 0);
		l->calls++;
	}
	l->seen++;
	return atomic_load_explicit(&l->stage->slot, memory_order_relaxed);
}

/* A receiver that was woken wakes the next one before it does anything else. */
static uint64_t chain_receive(struct link *l)
{
	uint64_t message = futex_receive(l);

	wake(l, 1);
	return message;
}

/* Or all others. */
static uint64_t relay_receive(struct link *l)
{
	uint64_t message = futex_receive(l);

	wake(l, INT_MAX);
	return message;
}

static int eventfd_open(struct link *l)
{
	l->fd[0] = eventfd(0, EFD_NONBLOCK);
	return l->fd[0] < 0 ? -1 : 0;
}

static void eventfd_send(struct link *l, uint64_t message)
{
	const uint64_t one = 1;

	announce(l, message);
	check(l, "write", write(l->fd[0], &one, sizeof(one)));
	l->calls++;
}

static uint64_t eventfd_receive(struct link *l)
{
	struct pollfd fd = { .fd = l->fd[0], .events = POLLIN };
	uint64_t count;

	poll(&fd, 1, -1);
	check(l, "read", read(l->fd[0], &count, sizeof(count)));
	l->calls += 2;
	return atomic_load_explicit(&l->stage->slot, memory_order_relaxed);
}

static int pipe_open(struct link *l)
{
	return pipe(l->fd);
}

static void pipe_send(struct link *l, uint64_t message)
{
	check(l, "write", write(l->fd[1], &message, sizeof(message)));
	l->calls++;
}

static uint64_t pipe_receive(struct link *l)
{
	uint64_t message;

	check(l, "read", read(l->fd[0], &message, sizeof(message)));
	l->calls++;
	return message;
}

/* ---- both ---- */

void link_join_sender(struct link *l)
{
	if (!l->ring)
		return;
	check(l, "attach", shmring_producer_attach(&l->producer, l->ring, NULL));
}

void link_join_receiver(struct link *l)
{
	struct shmring_consumer_options options = { .size = sizeof(options),
						    .start = SHMRING_START_NOW,
						    .spin_ns = l->way->spin_ns };

	l->seen = atomic_load(&l->stage->word);
	if (!l->ring)
		return;
	check(l, "join", shmring_join(l->ring));
	check(l, "attach", shmring_consumer_attach(&l->consumer, l->ring, &options));
}

void link_leave(struct link *l)
{
	struct shmring_counters c = { .size = sizeof(c) };

	if (l->producer)
		check(l, "counters", shmring_producer_counters(l->producer, &c));
	if (l->consumer)
		check(l, "counters", shmring_consumer_counters(l->consumer, &c));
	atomic_fetch_add(&l->stage->calls, l->calls + c.system_calls);
	shmring_producer_detach(l->producer);
	shmring_consumer_detach(l->consumer);
	l->producer = NULL;
	l->consumer = NULL;
}

void link_close(struct link *l)
{
	shmring_close(l->ring);
	for (int i = 0; i < 2; i++)
		if (l->fd[i] >= 0)
			close(l->fd[i]);
}

#define WAY(words, opens, sends, receives) \
	.name = words, .open = opens, .send = sends, .receive = receives
#define RING(words) WAY(words, ring_open, ring_send, ring_receive)
#define MODEL(words, sends, receives) WAY(words, nothing_to_open, sends, receives)

const struct way way_poll = { RING("ring, never sleeps"), .spin_ns = SHMRING_FOREVER };
const struct way way_default = { RING("ring, default") };
const struct way way_clock = { RING("ring, stamps: clock"), .stamps = SHMRING_STAMP_CLOCK };
const struct way way_stamps = { RING("ring, stamps: auto"), .stamps = SHMRING_STAMP_AUTO };
const struct way way_sleep = { RING("ring, sleeps at once"), .spin_ns = -1 };
const struct way way_descriptor = {
	WAY("ring, descriptor", ring_open, ring_send, descriptor_receive), .spin_ns = -1
};
const struct way way_futex = { MODEL("bare futex", futex_send, futex_receive) };
const struct way way_bounded = { MODEL("bare futex, bounded", futex_send, bounded_receive) };
const struct way way_eventfd = { WAY("bare eventfd", eventfd_open, eventfd_send, eventfd_receive) };
const struct way way_pipe = { WAY("pipe", pipe_open, pipe_send, pipe_receive) };
const struct way way_wake_all = { MODEL("model: wakes all", all_send, futex_receive) };
const struct way way_wake_chain = { MODEL("model: wake chain", futex_send, chain_receive) };
const struct way way_wake_relay = { MODEL("model: wake relay", futex_send, relay_receive) };
