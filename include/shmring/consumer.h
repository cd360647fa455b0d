/* SPDX-License-Identifier: MIT */
/*
 * shmring consumers: read every message of every producer.
 *
 *	struct shmring_consumer *c;
 *	struct shmring_message m;
 *	shmring_consumer_attach(&c, ring, NULL);
 *	while (shmring_peek(c, SHMRING_FOREVER, &m) == 0) {
 *		use(m.data, m.len);
 *		shmring_release(c);
 *	}
 *
 * Zero copy: m.data points into the ring until it is released. Batches: peek
 * several messages, then release them all with one call.
 *
 * A lossless consumer holds the producers back when the ring is full; the
 * ring's policy says for how long. With a name its cursor outlives the process:
 * the next consumer that attaches under that name goes on with the first message
 * that was not released. An observer needs only read permission and holds no producer
 * back; it can be overrun, and learns what it missed. See <shmring/shmring.h> for
 * the conventions and link with -lshmring-consumer -lshmring.
 *
 * A signal handler must not use a consumer whose call it may have interrupted: give
 * the handler a consumer of its own. A handler that has interrupted a call that was
 * waiting gets -EBUSY; at other moments only a library that was built with
 * --enable-handle-checks returns it.
 */
#ifndef SHMRING_CONSUMER_H
#define SHMRING_CONSUMER_H

#include <sys/types.h>

#include <shmring/shmring.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct shmring_consumer;

/* Where to begin. */
enum shmring_start {
	SHMRING_START_DEFAULT = 0, /* where the name stopped, else the oldest */
	SHMRING_START_OLDEST = 1,  /* the oldest message that is still there */
	SHMRING_START_NOW = 2,	   /* the next message to be published */
	SHMRING_START_RESUME = 3,  /* where the name stopped, else -ENOENT */
};

/* Flags. */
#define SHMRING_OBSERVE 1u   /* read-only observer; takes no name */
#define SHMRING_PINNED 2u    /* the ring's policy does not evict me; my max_lag, max_lag_ns do */
#define SHMRING_UNTIL_NOW 4u /* hand out what was published before attach, then -ENODATA */
#define SHMRING_UNTIL_END 8u /* a peek returns -EPIPE when no producer is left */

struct shmring_consumer_options {
	size_t size;	  /* sizeof(struct shmring_consumer_options) */
	const char *name; /* NULL: unnamed; else 1 to 31 of A-Z a-z 0-9 . _ - */
	uint32_t start;	  /* enum shmring_start */
	uint32_t flags;	  /* SHMRING_OBSERVE, SHMRING_PINNED, SHMRING_UNTIL_* */
	int64_t spin_ns;  /* how long a wait spins before it sleeps, in
			     nanoseconds, or SHMRING_SPIN_ADAPTIVE (0, the default),
			     SHMRING_SPIN_NEVER, SHMRING_SPIN_ALWAYS */
	struct shmring_memory memory;
	uint64_t max_lag;    /* bytes: producers evict this consumer, whatever the ring's
				policy, when a lane is more than this ahead of it; up to
				the size of a lane; 0: never */
	uint64_t max_lag_ns; /* the same limit for the age of the oldest message that it
				has not released; up to one day; 0: never */
	int64_t deadline;    /* until when attach waits for a place, or for the name
				(shmring_deadline()); 0: it does not wait */
};

/*
 * What nearly every program reads of a message. This struct never changes; the functions
 * shmring_message_*() return the rest.
 */
struct shmring_message {
	const void *data;  /* 8-byte aligned, `len` bytes */
	size_t len;	   /* bytes */
	uint64_t seq;	   /* number in its lane: 0, 1, 2, ... */
	uint32_t producer; /* its lane */
	uint32_t flags;	   /* SHMRING_AFTER_LOSS, or 0 */
};

SHMRING_ASSERT_OFFSET(shmring_message, data, 0);
SHMRING_ASSERT_OFFSET(shmring_message, len, 8);
SHMRING_ASSERT_OFFSET(shmring_message, seq, 16);
SHMRING_ASSERT_OFFSET(shmring_message, producer, 24);
SHMRING_ASSERT_OFFSET(shmring_message, flags, 28);
SHMRING_ASSERT_SIZE(shmring_message, 32);

/* Flag of a message: messages of its lane are missing just before it. */
#define SHMRING_AFTER_LOSS 1u

/*
 * Become a consumer of `r`.
 *
 * With a `deadline` the call waits while all places are taken, or while a live process
 * holds the name. It returns -EUSERS or -EBUSY when the deadline has passed, and -EINTR
 * when a signal handler ran while it slept. Other threads may fork during the wait. An
 * observer needs no place.
 *
 * Errors: -EUSERS (64 consumers), -EBUSY (a live process holds the name, a foreign process
 * locks the file, or a broken process changes the places all the time), -ENOENT
 * (SHMRING_START_RESUME, unknown name), -EINVAL (name or options), -EACCES (ring open read-only and
 * not SHMRING_OBSERVE), -EOPNOTSUPP (no liveness lock there), -EIDRM (an ephemeral ring, whose name
 * went with its last user: open it again), -EPERM or -ENOMEM (SHMRING_MEMORY_STRICT), -EBADMSG (a
 * lane is damaged), -EBADF (the program closed the ring's descriptor), -EINTR (see above), -ECHILD.
 * In a ring of the broker also -EACCES and -EDQUOT (the broker refuses), -ENOENT and -ESTALE (the
 * ring was removed; another one has its name now), and -ECONNREFUSED, -ECONNRESET, -ETIMEDOUT,
 * -EPROTO and -EPROTONOSUPPORT (as shmring_broker_open()).
 *
 * Concurrency: any number of processes and threads.
 */
int shmring_consumer_attach(struct shmring_consumer **ret, struct shmring_ring *r,
			    const struct shmring_consumer_options *options);

/*
 * Leave; NULL is fine. What was not released is not released. An unnamed
 * consumer's place is free at once; a named cursor stays and goes on holding
 * producers back (shmring_forget() drops it).
 */
void shmring_consumer_detach(struct shmring_consumer *c);

/*
 * Hand out the next message, without releasing those handed out before.
 *
 * A lossless consumer gets a pointer into the ring, valid until
 * shmring_release(). If it may be evicted (the ring has SHMRING_SLOW_EVICT and the
 * consumer is not SHMRING_PINNED, or the consumer has a max_lag or max_lag_ns), what it
 * read there counts only once release returned 0.
 * An observer gets a pointer to a private copy, valid until the next peek.
 *
 * Waits until `deadline`. Errors: -EAGAIN (no message and SHMRING_NOWAIT),
 * -ETIMEDOUT, -EINTR (a signal handler ran while it slept), -ECANCELED
 * (shmring_consumer_cancel()), -ENODATA (SHMRING_UNTIL_NOW: everything has been handed
 * out; the call never waits), -ESTALE (evicted with unreleased messages: discard them,
 * as with shmring_release()), -EBADMSG (a producer damaged its lane; the handle stays
 * unusable), -ECHILD.
 *
 * -EPIPE (SHMRING_UNTIL_END only): every message was handed out, no producer is
 * attached any more (each has left, or is proved dead), and there has been a producer:
 * at any time, or with SHMRING_START_NOW since this consumer attached. So a consumer
 * that starts first waits for the first producer. -EIDRM: the call would have waited,
 * but the ring was removed (or made anew under its name) and no producer is alive in it.
 * Both are states of the ring, not of the handle: when a producer attaches after all,
 * the next peek finds its messages. A consumer notices at once that a producer has
 * left, and within two of the ring's longest sleeps that a producer was killed.
 */
int shmring_peek(struct shmring_consumer *c, int64_t deadline, struct shmring_message *ret);

/*
 * The same for up to `count` messages (1 or more, else -EINVAL); waits for the
 * first only. A consumer that is evicted during the call, and that had nothing in hand
 * before it, gets messages that are still there, as from shmring_peek(), and no -ESTALE. Only
 * if it is evicted again and again for a tenth of a second, or until the deadline, it gets
 * -ESTALE or -ETIMEDOUT, and has nothing to discard. Returns how many. An observer gets one at a
 * time.
 */
int shmring_peek_batch(struct shmring_consumer *c, int64_t deadline, struct shmring_message *ret,
		       int count);

/*
 * What the library knows of a message in hand. An answer can be had from the peek that
 * hands the message out until the message is released, rewound, or lost by eviction; of
 * an observer's message, until the next peek.
 *
 * shmring_message_lost(): how many messages of its lane are missing just before it, and
 * how many bytes their payload has. Both are 0 unless the message has the flag
 * SHMRING_AFTER_LOSS, so a program calls this only then. In the first message of a lane
 * this includes the messages that were gone when the consumer began at the oldest one.
 * shmring_message_tenancy(): which owner of the lane wrote it: 1, 2, ...
 * shmring_message_stamp(): when its producer had finished it, in nanoseconds of
 * CLOCK_MONOTONIC (see shmring_stamp_now()); 0: the ring has no stamps.
 *
 * Tenancy and stamp lie in the ring, as the payload does: a consumer that may be evicted
 * can rely on them once release returned 0.
 * Errors: -EINVAL (the message is not in hand), -EBADMSG (the ring is damaged), -ECHILD.
 */
int shmring_message_lost(const struct shmring_consumer *c, const struct shmring_message *m,
			 uint64_t *ret_messages, uint64_t *ret_bytes);
int shmring_message_tenancy(const struct shmring_consumer *c, const struct shmring_message *m,
			    uint32_t *ret);
int shmring_message_stamp(const struct shmring_consumer *c, const struct shmring_message *m,
			  uint64_t *ret_ns);

/*
 * Give back everything that was handed out; producers may overwrite it.
 * Errors: -ESTALE (evicted meanwhile: discard what was read; shmring_message_lost()
 * of the next message tells what is missing, counted from the last successful release),
 * -EBADMSG (the ring is damaged; the handle stays unusable), -ECHILD.
 */
int shmring_release(struct shmring_consumer *c);

/*
 * Release the first `count` of the messages in hand, in the order in which they were
 * handed out, whatever their lanes: a sliding window. The others stay in hand. With 0,
 * and for an observer, the call does nothing.
 * Errors: -EINVAL (fewer are in hand; nothing is released), -ENOMEM (there was no memory
 * to remember the order; shmring_release() still works), and those of shmring_release().
 */
int shmring_release_first(struct shmring_consumer *c, uint64_t count);

/*
 * Take back what was handed out but not released: the next peek begins again
 * behind the last release. No effect on an observer.
 */
void shmring_rewind(struct shmring_consumer *c);

/*
 * Copy the next message into `buf` and release it, together with all that was peeked
 * before. Returns its length. Errors: those of shmring_peek(), -ESTALE (as
 * shmring_release(): discard what was copied to `buf`), and -EMSGSIZE (the message is longer than
 * `size`, and stays). After -EMSGSIZE, shmring_next_length() tells how large `buf` has to
 * be; shmring_peek() and shmring_release() skip the message.
 */
ssize_t shmring_receive(struct shmring_consumer *c, void *buf, size_t size, int64_t deadline);

/*
 * Returns the length in bytes of the message that the next peek or receive takes. The
 * message stays. Errors: those of shmring_peek().
 */
ssize_t shmring_next_length(struct shmring_consumer *c, int64_t deadline);

/*
 * A descriptor for poll(2), epoll(7) (level or edge), select(2) and io_uring,
 * readable when there may be a message. The same at every call; it belongs to
 * the handle and is closed with it. It tells nothing until it is armed, and the
 * step that closes the race is the loop's: before it waits, and after it has
 * peeked until -EAGAIN, it calls shmring_consumer_arm(), which returns 0 (armed:
 * go and wait) or 1 (there is something already, or may be: peek first).
 * Readable does not promise a message; it also becomes readable about every
 * longest sleep of the ring, because a producer may have been killed before it
 * could wake this consumer, and that of an observer every 5 ms. A program need not
 * read from it.
 *
 * The kernel waits for the wake-up, by io_uring (Linux 6.7). Where the kernel cannot,
 * the call returns -EOPNOTSUPP, or with SHMRING_FD_THREAD a thread of this process
 * waits; it blocks all signals and lives as long as the handle.
 * Further errors: -EINVAL (unknown flags; arm: no descriptor), -EMFILE, -ENFILE,
 * -ENOMEM, -EAGAIN (no thread to be had), -EBUSY (arm: from another thread than
 * the thread that asked for it), -ESTALE, -EBADMSG, -EPIPE and -EIDRM (arm,
 * as shmring_peek()), -ECHILD.
 */
int shmring_consumer_fd(struct shmring_consumer *c, uint32_t flags);
int shmring_consumer_arm(struct shmring_consumer *c);

/*
 * Cancel a wait. The call in which this handle waits (peek, receive, shmring_wait())
 * returns -ECANCELED. If the handle does not wait, the next call that would have to wait
 * or to arm returns it instead. One cancellation ends one call. A descriptor that is
 * armed becomes readable. A call that has just got a message returns the message, and
 * the next call is cancelled. An observer notices within 5 ms, other consumers at once.
 * Concurrency: any thread, and signal handlers, as long as the handle lives. Sets no
 * sentence for shmring_explain(). Error: -ECHILD.
 */
int shmring_consumer_cancel(struct shmring_consumer *c);

/* What shmring_wait() takes to wait for a message of this consumer. One for each handle. */
struct shmring_waitable *shmring_consumer_waitable(struct shmring_consumer *c);

/*
 * Sleep until there is more than one message. The sleep ends when one lane has
 *
 *	messages	so many messages that were not handed out, or
 *	bytes		so many bytes of its room taken by such messages, or
 *	within_ns	so many nanoseconds after the first message came; 0: at the end of the
 *			ring's longest sleep, which begins with the sleep.
 *
 * At most one of the first two is given, the other is 0; both 0: no watermark. Producers
 * count, and do not wake the consumer before. They wake a consumer that holds half of a lane
 * anyway. The watermark concerns sleeping only, in every way of waiting: a call that finds a
 * message returns it at once, and a wait with a watermark does not spin. For a descriptor the
 * time counts from arming; it is the time that was set when the program asked for the
 * descriptor.
 * Errors: -EINVAL (both are given, messages or bytes of 2^61 or more, a negative time, an
 * observer), -ECHILD.
 */
int shmring_consumer_watermark(struct shmring_consumer *c, uint64_t messages, uint64_t bytes,
			       int64_t within_ns);

/*
 * While a consumer is quiet, no producer makes a system call to wake it. When it sleeps,
 * it looks for messages itself, every 5 ms or `within_ns` of its watermark. With 0
 * producers wake it again. Error: -ECHILD.
 */
int shmring_consumer_quiet(struct shmring_consumer *c, int quiet);

/* From the next wait on: as `spin_ns` of the options. Error: -ECHILD. */
int shmring_consumer_spin(struct shmring_consumer *c, int64_t spin_ns);

/*
 * How much of `lane` (0 to lanes - 1) this consumer cannot get, because it began there
 * at the oldest message and that had been overwritten, or lay too far behind for a limit
 * of lag in bytes: messages, and bytes of their payload. Both are 0 if it began where its
 * name had stopped, or with the next message to come (SHMRING_START_NOW). They are known
 * when attach returns; shmring_message_lost() of the lane's first message includes them.
 * Errors: -EINVAL (no such lane), -ECHILD.
 */
int shmring_consumer_missed(const struct shmring_consumer *c, uint32_t lane, uint64_t *ret_messages,
			    uint64_t *ret_bytes);

/* Counters and memory of this handle. Error: -ECHILD. */
int shmring_consumer_counters(const struct shmring_consumer *c, struct shmring_counters *ret);
int shmring_consumer_memory(const struct shmring_consumer *c, struct shmring_memory_report *ret);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#ifndef SHMRING_NO_INLINE
#include <shmring/consumer-inline.h>
#endif

#endif
