/* SPDX-License-Identifier: MIT */
/*
 * Smallest consumer: prints what hello-producer said, up to the empty message
 * that ends it. Start it in a second terminal, or in five: each of them gets
 * every message. It may be started first, and then waits until the ring is there.
 *
 *	cc hello-consumer.c $(pkg-config --cflags --libs shmring-consumer) -o hello-consumer
 */
#include <stdio.h>
#include <stdlib.h>

#include <shmring/consumer.h>

static int listen_to_all(struct shmring_consumer *consumer)
{
	struct shmring_message m;
	int r;

	do {
		/* m.data points into the ring until the release. */
		r = shmring_peek(consumer, SHMRING_FOREVER, &m);
		if (r < 0)
			return r;
		if (m.len > 0)
			printf("%.*s\n", (int)m.len, (const char *)m.data);
		r = shmring_release(consumer);
	} while (r == 0 && m.len > 0);
	return r;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "hello";
	struct shmring_consumer *consumer = NULL;
	struct shmring_ring *ring = NULL;
	int r;

	r = shmring_open_wait(&ring, name, SHMRING_FOREVER);
	if (r == 0)
		r = shmring_consumer_attach(&consumer, ring, NULL);
	if (r == 0)
		r = listen_to_all(consumer);
	if (r < 0)
		fprintf(stderr, "hello-consumer: %s\n", shmring_explain());

	shmring_consumer_detach(consumer);
	shmring_close(ring);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
