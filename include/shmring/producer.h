/* SPDX-License-Identifier: MIT */
/*
 * shmring producers: write messages into a lane of one's own.
 *
 *	struct shmring_producer *p;
 *	shmring_producer_attach(&p, ring, NULL);
 *	shmring_publish(p, "hello", 5, SHMRING_FOREVER);
 *
 * Zero copy: shmring_claim() gives memory in the ring, shmring_commit()
 * publishes what was written there. Batches: shmring_stage() instead of commit
 * for all messages but the last; the whole batch then appears at once.
 *
 * A message exists for consumers once it is committed, whatever happens to the
 * producer afterwards, and not at all before. See <shmring/shmring.h> for the
 * conventions and link with -lshmring-producer -lshmring.
 *
 * A signal handler may publish through the handle whose call it has interrupted. If the
 * two calls would collide, the handler's call returns -EBUSY and publishes nothing. A
 * handler that must not fail needs a producer of its own. A handler must neither attach
 * nor detach.
 */
#ifndef SHMRING_PRODUCER_H
#define SHMRING_PRODUCER_H

#include <sys/uio.h>

#include <shmring/shmring.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct shmring_producer;

/* Flags. */
#define SHMRING_WHILE_READ 1u /* a claim returns -EPIPE when no consumer is left */

struct shmring_producer_options {
	size_t size;	 /* sizeof(struct shmring_producer_options) */
	int64_t spin_ns; /* how long a wait for room spins before it sleeps, in
			    nanoseconds, or SHMRING_SPIN_NEVER, SHMRING_SPIN_ALWAYS;
			    0: 50 us for each consumer that may hold it back, 200 us
			    at most, see SHMRING_SPIN_ADAPTIVE */
	struct shmring_memory memory;
	uint32_t flags;	   /* SHMRING_WHILE_READ */
	uint32_t reserved; /* 0 */
	int64_t deadline;  /* until when attach waits for a lane (shmring_deadline());
			      0: it does not wait */
};

/*
 * Become a producer of `r`: take a free lane, or that of a producer that is
 * proved dead, and go on behind its last message. The first owner of a lane
 * allocates its memory.
 *
 * With a `deadline` the call waits while all lanes have live producers. It returns
 * -EUSERS when the deadline has passed, with a sentence that names the processes which
 * have the lanes, and -EINTR when a signal handler ran while it slept. Other threads may
 * fork during the wait.
 *
 * Errors: -EINVAL (options), -EUSERS (all lanes have live producers), -ENOSPC, -EACCES (ring open
 * read-only), -EOPNOTSUPP (no liveness lock there), -EIDRM (an ephemeral ring, whose
 * name went with its last user: open it again), -EPERM or -ENOMEM
 * (SHMRING_MEMORY_STRICT, see shmring_explain()), -EBUSY (a foreign process locks
 * the file, or a broken process changes the places all the time), -EBADF (the program
 * closed the ring's descriptor), -EINTR (see above), -ECHILD. In a ring of the broker also
 * -EACCES and -EDQUOT (the broker refuses), -ENOENT and -ESTALE (the ring was removed;
 * another one has its name now), and -ECONNREFUSED, -ECONNRESET, -ETIMEDOUT, -EPROTO and
 * -EPROTONOSUPPORT (as shmring_broker_open()).
 * Concurrency: any number of processes and threads.
 */
int shmring_producer_attach(struct shmring_producer **ret, struct shmring_ring *r,
			    const struct shmring_producer_options *options);

/*
 * Give the lane back; NULL is fine. An open claim and staged messages are
 * dropped; published ones stay for the consumers.
 */
void shmring_producer_detach(struct shmring_producer *p);

/*
 * Ask for `len` bytes in the ring (0 to shmring_producer_max_message()), contiguous and
 * 8-byte aligned, with unspecified content. No other process reads them. At most one
 * claim is open at a time.
 *
 * Waits for room until `deadline`. Errors: -EAGAIN (no room and
 * SHMRING_NOWAIT), -ETIMEDOUT, -EINTR (a signal handler ran while it slept),
 * -ECANCELED (shmring_producer_cancel()), -EMSGSIZE (message, or batch with it, too
 * long), -EBUSY (a claim is open, or a signal handler calls this and has interrupted a
 * call on the same producer), -ECHILD.
 *
 * -EPIPE (SHMRING_WHILE_READ only): there is no room, no lossless consumer is left that
 * could make some, and there has been one since this producer attached (or was there
 * then). So a producer that is started first waits for the first consumer. The kept
 * place of a named consumer counts, because it may come back. -EIDRM: the call would
 * have waited, but the ring was removed (or made anew under its name) and no lossless
 * consumer is alive in it. Both are states of the ring: when a consumer attaches after
 * all, the next claim waits for it.
 */
int shmring_claim(struct shmring_producer *p, size_t len, int64_t deadline, void **ret_data);

/*
 * Publish the first `len` bytes of the open claim, and with it all staged
 * messages. `len` may be less than was claimed.
 * Errors: -EINVAL (no open claim, or `len` beyond it), -EBUSY (a claim of this handle waits for
 * room, and a second thread or a signal handler makes this call), -ECHILD.
 */
int shmring_commit(struct shmring_producer *p, size_t len);

/*
 * Finish the open claim as a message of `len` bytes, but publish it only with
 * the next shmring_commit(), shmring_publish() or shmring_flush(): all messages
 * staged until then appear together. A batch may take half a lane.
 * Errors: as shmring_commit().
 */
int shmring_stage(struct shmring_producer *p, size_t len);

/* Publish the staged messages, if any. Errors: -EBUSY (as shmring_claim()), -ECHILD. */
int shmring_flush(struct shmring_producer *p);

/* Drop the open claim, if any; staged messages stay staged. */
void shmring_abort(struct shmring_producer *p);

/* Drop the open claim and all staged messages, as if they had never been. */
void shmring_discard(struct shmring_producer *p);

/* Claim, copy, commit. Errors: as shmring_claim(). */
int shmring_publish(struct shmring_producer *p, const void *data, size_t len, int64_t deadline);

/* The same, gathered from `count` pieces (0 to 1024, else -EINVAL). */
int shmring_publishv(struct shmring_producer *p, const struct iovec *pieces, int count,
		     int64_t deadline);

/* The longest message, in bytes: half a lane, less 8 bytes in a ring with stamps. */
size_t shmring_producer_max_message(const struct shmring_producer *p);

/* Which lane this is (0 to 63): `producer` of its messages. Error: -ECHILD. */
int shmring_producer_lane(const struct shmring_producer *p);

/*
 * A descriptor for event loops, readable when there may be room. As that of a
 * consumer (shmring_consumer_fd()), it tells nothing until it is armed: with
 * -EAGAIN from a claim or publish the loop calls shmring_producer_arm() for a
 * message of `len` bytes, which returns 0 (armed: go and wait) or 1 (there is
 * room already: try again). Arming also does what waiting does about consumers
 * that are dead or too slow. Errors: as shmring_consumer_fd(), and -EMSGSIZE,
 * -EBUSY (a claim is open).
 */
int shmring_producer_fd(struct shmring_producer *p, uint32_t flags);
int shmring_producer_arm(struct shmring_producer *p, size_t len);

/* Cancel a wait for room, as shmring_consumer_cancel() cancels a wait for messages. */
int shmring_producer_cancel(struct shmring_producer *p);

/*
 * What shmring_wait() takes to wait for room for `len` bytes. One for each handle: a later call
 * replaces `len`.
 */
struct shmring_waitable *shmring_producer_waitable(struct shmring_producer *p, size_t len);

/*
 * While a producer is quiet it wakes no consumer: a batch of messages costs one system
 * call for all sleeping consumers, not one for each message that finds a sleeper. It
 * still wakes them when it has to wait for room, when shmring_producer_wake() is called, when it
 * leaves, and when it ends being quiet. A consumer that sleeps meanwhile sees the
 * messages within the ring's longest sleep, even if the producer is killed.
 * shmring_producer_wake() returns 1 if a consumer slept and was woken, whatever its watermark
 * is, else 0; so does the end of being quiet.
 * Error: -ECHILD.
 */
int shmring_producer_quiet(struct shmring_producer *p, int quiet);
int shmring_producer_wake(struct shmring_producer *p);

/* From the next wait for room on: as `spin_ns` of the options. Error: -ECHILD. */
int shmring_producer_spin(struct shmring_producer *p, int64_t spin_ns);

/* Counters and memory of this handle. Error: -ECHILD. */
int shmring_producer_counters(const struct shmring_producer *p, struct shmring_counters *ret);
int shmring_producer_memory(const struct shmring_producer *p, struct shmring_memory_report *ret);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#ifndef SHMRING_NO_INLINE
#include <shmring/producer-inline.h>
#endif

#endif
