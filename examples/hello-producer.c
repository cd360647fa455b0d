/* SPDX-License-Identifier: MIT */
/*
 * Smallest producer: three greetings and an empty message that says "the end"
 * go into the ring "hello", or the one that is named on the command line.
 *
 *	cc hello-producer.c $(pkg-config --cflags --libs shmring-producer) -o hello-producer
 *
 * No consumer needs to be there: the messages wait in the ring for
 * hello-consumer, also when this program has ended.
 */
#include <stdio.h>
#include <stdlib.h>

#include <shmring/producer.h>

static int say_hello(struct shmring_producer *producer)
{
	char text[64];

	for (int i = 1; i <= 3; i++) {
		int len = snprintf(text, sizeof(text), "hello, world %d", i);
		int r = shmring_publish(producer, text, (size_t)len, SHMRING_FOREVER);

		if (r < 0)
			return r;
	}
	return shmring_publish(producer, NULL, 0, SHMRING_FOREVER);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "hello";
	struct shmring_producer *producer = NULL;
	struct shmring_ring *ring = NULL;
	int r;

	r = shmring_open_or_create(&ring, name, NULL);
	if (r >= 0)
		r = shmring_producer_attach(&producer, ring, NULL);
	if (r == 0)
		r = say_hello(producer);
	if (r < 0)
		fprintf(stderr, "hello-producer: %s\n", shmring_explain());

	shmring_producer_detach(producer);
	shmring_close(ring);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
