/* SPDX-License-Identifier: MIT */
/*
 * The doorbell bench: what sleeping and waking costs, next to the kernel's bare
 * primitives and to a pipe, measured in one run.
 *
 * A link goes from one sender to one or more receivers. What differs is how the
 * receivers wait and how the sender wakes them; a message is the moment at which it
 * was sent.
 */
#ifndef BENCH_DOORBELL_H
#define BENCH_DOORBELL_H

#include <stdatomic.h>
#include <stdint.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#define RECEIVERS 64
#define SAMPLES 65536
#define END UINT64_MAX /* the message that ends a row */

/* What all processes of a row share. */
struct stage {
	_Alignas(64) _Atomic uint32_t ready; /* receivers that are about to wait */
	_Alignas(64) _Atomic uint64_t acks;  /* messages that receivers have got, all together */
	_Atomic uint64_t cpu_ns;	     /* of the receivers */
	_Atomic uint64_t wall_ns;	     /* since they were ready */
	_Atomic uint64_t calls;		     /* system calls of all, if the link counts them */
	_Atomic uint32_t failed;
	_Alignas(64) _Atomic uint32_t word; /* of the bare futexes */
	_Atomic uint64_t slot;		    /* and what is sent beside them */
	_Alignas(64) _Atomic uint32_t samples;
	uint64_t sample[SAMPLES]; /* nanoseconds from sending to receipt */
};

struct link {
	const struct way *way;
	struct stage *stage;
	int receivers;
	struct shmring_ring *ring;
	struct shmring_producer *producer;
	struct shmring_consumer *consumer;
	uint32_t seen;	/* futexes: the word at the last look */
	int fd[2];	/* pipes, eventfds, the ring's descriptor */
	uint64_t calls; /* of this process, where the ring does not count them */
};

/* A way to send and to wait. */
struct way {
	const char *name;
	int64_t spin_ns;	     /* rings */
	int (*open)(struct link *l); /* before fork */
	void (*send)(struct link *l, uint64_t message);
	uint64_t (*receive)(struct link *l);
	uint32_t stamps; /* rings */
};

/* In the sender's and in a receiver's process, before and behind. */
void link_join_sender(struct link *l);
void link_join_receiver(struct link *l);
void link_leave(struct link *l);
void link_close(struct link *l);

extern const struct way way_poll, way_default, way_sleep, way_descriptor, way_futex, way_bounded,
	way_eventfd, way_pipe, way_wake_all, way_wake_chain, way_wake_relay, way_clock, way_stamps;

_Noreturn void link_fail(struct link *l, const char *what);

#endif
