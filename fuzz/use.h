/* SPDX-License-Identifier: MIT */
/*
 * use: what a program does with a ring, on a ring with arbitrary bytes.
 * Whatever goes wrong aborts; errors do not.
 */
#ifndef FUZZ_USE_H
#define FUZZ_USE_H

#include <stddef.h>
#include <stdint.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

/* One input; what libFuzzer and the replayer call. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Abort with this line unless it holds. */
#define insist(condition)                                              \
	do {                                                           \
		if (!(condition))                                      \
			insist_failed(__FILE__, __LINE__, #condition); \
	} while (0)
_Noreturn void insist_failed(const char *file, int line, const char *condition);

/*
 * Read up to `calls` times, by all the calls there are, and touch every byte.
 */
void use_consumer(struct shmring_consumer *c, unsigned calls);

/* Every payload lies in the two views of its lane; touch it. */
void use_message(const struct shmring_consumer *c, const struct shmring_message *m);

/* Publish up to `count` messages of all sizes, as far as there is room. */
void use_producer(struct shmring_producer *p, unsigned count);

/* Look at everything, bury the dead, forget a name. */
void use_ring(struct shmring_ring *r);

#endif
