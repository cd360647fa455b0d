/* SPDX-License-Identifier: MIT */
/*
 * Messages that are written and read in place, a batch at a time. Staged
 * messages are invisible until the batch is committed; then all of them
 * are, at the price of one. The consumer takes them all with one call and
 * gives them back with another.
 *
 * One process plays both sides here, to have them on one page.
 *
 *	cc zero-copy-batch.c $(pkg-config --cflags --libs shmring-producer shmring-consumer)
 */
#include <stdio.h>
#include <stdlib.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#define BATCH 8

struct point {
	int x, y;
};

static int produce(struct shmring_producer *producer)
{
	void *place;
	int r;

	for (int i = 0; i < BATCH; i++) {
		r = shmring_claim(producer, sizeof(struct point), SHMRING_FOREVER, &place);
		if (r < 0)
			return r;
		*(struct point *)place = (struct point){ .x = i, .y = i * i };
		if (i + 1 < BATCH)
			r = shmring_stage(producer, sizeof(struct point));
		else
			r = shmring_commit(producer, sizeof(struct point));
		if (r < 0)
			return r;
	}
	return 0;
}

static int consume(struct shmring_consumer *consumer)
{
	struct shmring_message batch[BATCH];
	int count = shmring_peek_batch(consumer, SHMRING_FOREVER, batch, BATCH);

	if (count < 0)
		return count;
	printf("%d messages in one batch:", count);
	for (int i = 0; i < count; i++) {
		const struct point *point = batch[i].data;

		printf(" (%d,%d)", point->x, point->y);
	}
	printf("\n");
	return shmring_release(consumer);
}

int main(void)
{
	struct shmring_producer *producer = NULL;
	struct shmring_consumer *consumer = NULL;
	struct shmring_ring *ring = NULL;
	int r;

	r = shmring_create(&ring, NULL, NULL);
	if (r == 0)
		r = shmring_consumer_attach(&consumer, ring, NULL);
	if (r == 0)
		r = shmring_producer_attach(&producer, ring, NULL);
	if (r == 0)
		r = produce(producer);
	if (r == 0)
		r = consume(consumer);
	if (r < 0)
		fprintf(stderr, "zero-copy-batch: %s\n", shmring_explain());

	shmring_producer_detach(producer);
	shmring_consumer_detach(consumer);
	shmring_close(ring);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
