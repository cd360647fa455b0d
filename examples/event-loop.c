/* SPDX-License-Identifier: MIT */
/*
 * Rings in an event loop, beside whatever else a program waits for: two rings, a
 * socket and a timer in one epoll. A child publishes in both rings and says over
 * the socket when it has done; the parent adds up.
 *
 * The rule for rings: take everything there is, then arm. Arming says 1 if
 * something has come in between; only when it says 0 the loop may wait.
 *
 *	cc event-loop.c $(pkg-config --cflags --libs shmring-producer shmring-consumer)
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#define MESSAGES 1000

enum source { APPLES, PEARS, RINGS, SOCKET = RINGS, TIMER };

static const char *const names[RINGS] = { "apples", "pears" };

static int fail(const char *what)
{
	fprintf(stderr, "event-loop: %s: %s\n", what, shmring_explain());
	return EXIT_FAILURE;
}

static int publish(struct shmring_ring *const *ring, int socket)
{
	struct shmring_producer *producer[RINGS];

	for (int i = 0; i < RINGS; i++)
		if (shmring_join(ring[i]) < 0 ||
		    shmring_producer_attach(&producer[i], ring[i], NULL) < 0)
			return fail(names[i]);
	for (int n = 0; n < MESSAGES; n++)
		for (int i = 0; i < RINGS; i++)
			if (shmring_publish(producer[i], &n, sizeof(n), SHMRING_FOREVER) < 0)
				return fail(names[i]);
	return write(socket, "done", 4) == 4 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int watch(int epoll, int fd, enum source source)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = source };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* Take everything there is, then arm. Returns the number of messages. */
static int take(struct shmring_consumer *consumer)
{
	int count = 0, r;

	do {
		struct shmring_message message;

		while ((r = shmring_peek(consumer, SHMRING_NOWAIT, &message)) == 0) {
			count++;
			shmring_release(consumer);
		}
		r = shmring_consumer_arm(consumer);
	} while (r == 1);
	return r < 0 ? r : count;
}

static int loop(int epoll, struct shmring_consumer *const *consumer, int socket, int timer)
{
	int count[RINGS] = { 0 }, done = 0;
	char word[4];

	while (!done || count[APPLES] < MESSAGES || count[PEARS] < MESSAGES) {
		struct epoll_event event;
		enum source source;
		int r;

		if (epoll_wait(epoll, &event, 1, -1) < 0)
			continue;
		source = event.data.u32;
		if (source == SOCKET) {
			done = read(socket, word, sizeof(word)) == sizeof(word);
			epoll_ctl(epoll, EPOLL_CTL_DEL, socket, NULL);
		} else if (source == TIMER) {
			fprintf(stderr, "event-loop: nothing more came for ten seconds\n");
			return EXIT_FAILURE;
		} else {
			r = take(consumer[source]);
			if (r < 0)
				return fail(names[source]);
			count[source] += r;
			timerfd_settime(timer, 0, &(struct itimerspec){ .it_value.tv_sec = 10 },
					NULL);
		}
	}
	printf("%d apples and %d pears\n", count[APPLES], count[PEARS]);
	return EXIT_SUCCESS;
}

int main(void)
{
	struct shmring_config config = { .size = sizeof(config), .lanes = 1 };
	struct shmring_consumer *consumer[RINGS];
	struct shmring_ring *ring[RINGS];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	int pair[2], status;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return EXIT_FAILURE;
	for (int i = 0; i < RINGS; i++) {
		int fd;

		if (shmring_create(&ring[i], NULL, &config) < 0 ||
		    shmring_consumer_attach(&consumer[i], ring[i], NULL) < 0)
			return fail(names[i]);
		fd = shmring_consumer_fd(consumer[i], SHMRING_FD_THREAD);
		if (fd < 0 || watch(epoll, fd, i) < 0 || take(consumer[i]) < 0)
			return fail(names[i]);
	}
	if (fork() == 0)
		_exit(publish(ring, pair[1]));
	watch(epoll, pair[0], SOCKET);
	watch(epoll, timer, TIMER);
	timerfd_settime(timer, 0, &(struct itimerspec){ .it_value.tv_sec = 10 }, NULL);
	status = loop(epoll, consumer, pair[0], timer);
	for (int i = 0; i < RINGS; i++) {
		shmring_consumer_detach(consumer[i]);
		shmring_close(ring[i]);
	}
	wait(NULL);
	return status;
}
