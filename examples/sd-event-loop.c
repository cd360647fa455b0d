/* SPDX-License-Identifier: MIT */
/*
 * Rings in the event loop of a library, systemd's sd-event: two rings, a socket
 * and a timer, as in event-loop.c. A child publishes in both rings and says over
 * the socket when it has done; the parent adds up.
 *
 * Each ring's descriptor is one more source of the loop. Its callback takes
 * everything there is and arms again; it is called once before the loop begins,
 * because a descriptor is not readable before it is armed. The same goes for every
 * other library that waits for descriptors.
 *
 *	cc sd-event-loop.c $(pkg-config --cflags --libs libsystemd shmring-producer \
 *		shmring-consumer)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#define MESSAGES 1000
#define PATIENCE_US 10000000

enum { APPLES, PEARS, RINGS };

static const char *const names[RINGS] = { "apples", "pears" };

/* What the callbacks work on. */
struct app {
	sd_event *event;
	sd_event_source *timer;
	struct shmring_ring *ring[RINGS];
	struct basket {
		struct app *app;
		struct shmring_consumer *consumer;
		int count;
	} basket[RINGS];
	int done;
};

static int fail(const char *what)
{
	fprintf(stderr, "sd-event-loop: %s: %s\n", what, shmring_explain());
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

/* Leave the loop once everything has come. */
static int look_whether_done(struct app *app)
{
	if (app->done && app->basket[APPLES].count == MESSAGES &&
	    app->basket[PEARS].count == MESSAGES)
		return sd_event_exit(app->event, EXIT_SUCCESS);
	return sd_event_source_set_time_relative(app->timer, PATIENCE_US);
}

/* Take everything there is, then arm: 1 means that something has come in between. */
static int on_ring(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct basket *b = userdata;
	int r;

	(void)source, (void)fd, (void)events;
	do {
		struct shmring_message message;

		while ((r = shmring_peek(b->consumer, SHMRING_NOWAIT, &message)) == 0) {
			b->count++;
			shmring_release(b->consumer);
		}
		if (r == -EAGAIN)
			r = shmring_consumer_arm(b->consumer);
	} while (r == 1);
	if (r < 0)
		return sd_event_exit(b->app->event, fail("consuming"));
	return look_whether_done(b->app);
}

static int on_socket(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct app *app = userdata;
	char word[4];

	(void)events;
	app->done = read(fd, word, sizeof(word)) == sizeof(word);
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return look_whether_done(app);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct app *app = userdata;

	(void)source, (void)usec;
	fprintf(stderr, "sd-event-loop: nothing more came for ten seconds\n");
	return sd_event_exit(app->event, EXIT_FAILURE);
}

/* A ring, its consumer, and its descriptor in the loop. */
static int add_ring(struct app *app, int i)
{
	struct shmring_config config = { .size = sizeof(config), .lanes = 1 };
	struct basket *b = &app->basket[i];
	int fd;

	b->app = app;
	if (shmring_create(&app->ring[i], NULL, &config) < 0 ||
	    shmring_consumer_attach(&b->consumer, app->ring[i], NULL) < 0)
		return fail(names[i]);
	fd = shmring_consumer_fd(b->consumer, SHMRING_FD_THREAD);
	if (fd < 0)
		return fail(names[i]);
	if (sd_event_add_io(app->event, NULL, fd, EPOLLIN, on_ring, b) < 0)
		return EXIT_FAILURE;
	return on_ring(NULL, fd, 0, b) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(void)
{
	struct app app = { 0 };
	int pair[2], status;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || sd_event_new(&app.event) < 0 ||
	    sd_event_add_time_relative(app.event, &app.timer, CLOCK_MONOTONIC, PATIENCE_US, 0,
				       on_timer, &app) < 0 ||
	    sd_event_add_io(app.event, NULL, pair[0], EPOLLIN, on_socket, &app) < 0)
		return EXIT_FAILURE;
	for (int i = 0; i < RINGS; i++)
		if (add_ring(&app, i) != EXIT_SUCCESS)
			return EXIT_FAILURE;
	if (fork() == 0)
		_exit(publish(app.ring, pair[1]));
	status = sd_event_loop(app.event);
	if (status == EXIT_SUCCESS)
		printf("%d apples and %d pears\n", app.basket[APPLES].count,
		       app.basket[PEARS].count);
	sd_event_source_unref(app.timer);
	sd_event_unref(app.event);
	for (int i = 0; i < RINGS; i++) {
		shmring_consumer_detach(app.basket[i].consumer);
		shmring_close(app.ring[i]);
	}
	wait(NULL);
	return status == EXIT_SUCCESS ? EXIT_SUCCESS : EXIT_FAILURE;
}
