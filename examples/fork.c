/* SPDX-License-Identifier: MIT */
/*
 * A ring without a name, shared by a process and its child: the parent sends
 * the numbers 1 to 1000 and the child adds them up. The child inherits the ring
 * through fork and makes it its own with one call, shmring_join().
 *
 *	cc fork.c $(pkg-config --cflags --libs shmring-producer shmring-consumer) -o fork
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#define NUMBERS 1000

static int add_up(struct shmring_ring *ring)
{
	struct shmring_consumer *consumer = NULL;
	long number, sum = 0;
	ssize_t r;

	r = shmring_join(ring);
	if (r == 0)
		r = shmring_consumer_attach(&consumer, ring, NULL);
	for (int i = 0; i < NUMBERS && r >= 0; i++) {
		r = shmring_receive(consumer, &number, sizeof(number), SHMRING_FOREVER);
		sum += number;
	}
	if (r < 0)
		fprintf(stderr, "child: %s\n", shmring_explain());
	else
		printf("child: the sum is %ld\n", sum);

	shmring_consumer_detach(consumer);
	shmring_close(ring);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int send_numbers(struct shmring_ring *ring)
{
	struct shmring_producer *producer;
	int r = shmring_producer_attach(&producer, ring, NULL);

	if (r < 0)
		return r;
	for (long number = 1; number <= NUMBERS && r == 0; number++)
		r = shmring_publish(producer, &number, sizeof(number), SHMRING_FOREVER);
	shmring_producer_detach(producer);
	return r;
}

int main(void)
{
	/* Nothing may be overwritten before the child has come to read it. */
	struct shmring_config config = {
		.size = sizeof(config),
		.unread_policy = SHMRING_UNREAD_HOLD,
	};
	struct shmring_ring *ring;
	int r, status = 0;
	pid_t child;

	r = shmring_create(&ring, NULL, &config);
	if (r < 0) {
		fprintf(stderr, "parent: %s\n", shmring_explain());
		return EXIT_FAILURE;
	}
	child = fork();
	if (child == 0)
		return add_up(ring);
	if (child < 0) {
		perror("fork");
		return EXIT_FAILURE;
	}
	r = send_numbers(ring);
	if (r < 0)
		fprintf(stderr, "parent: %s\n", shmring_explain());
	shmring_close(ring);
	if (waitpid(child, &status, 0) < 0)
		perror("waitpid");
	return r == 0 && status == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
