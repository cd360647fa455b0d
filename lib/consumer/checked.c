/* SPDX-License-Identifier: MIT */
/*
 * checked: the public functions of a consumer in a build with --enable-handle-checks; in
 * other builds there is nothing here. See unchecked.h, and lib/core/in-use.h.
 *
 * shmring_consumer_cancel() is for other threads and signal handlers, so it is not here.
 * shmring_wait() takes its handles itself.
 */
#ifdef SHMR_HANDLE_CHECKS
#undef SHMR_UNCHECKED_NAMES
#include "consumer.h"
#include "in-use.h"

#define UNCHECKED(name) extern __typeof__(shmring_##name) unchecked_##name

UNCHECKED(consumer_arm);
UNCHECKED(consumer_counters);
UNCHECKED(consumer_detach);
UNCHECKED(consumer_fd);
UNCHECKED(consumer_memory);
UNCHECKED(consumer_missed);
UNCHECKED(consumer_quiet);
UNCHECKED(consumer_spin);
UNCHECKED(consumer_waitable);
UNCHECKED(consumer_watermark);
UNCHECKED(message_lost);
UNCHECKED(message_stamp);
UNCHECKED(message_tenancy);
UNCHECKED(next_length);
UNCHECKED(peek);
UNCHECKED(peek_batch);
UNCHECKED(slow1_peek);
UNCHECKED(receive);
UNCHECKED(release);
UNCHECKED(release_first);
UNCHECKED(slow1_release);
UNCHECKED(rewind);

static struct in_use *use_of_consumer(const struct shmring_consumer *c)
{
	return (struct in_use *)(uintptr_t)&c->use; /* not part of what the call may not change */
}

/* The body of a function that returns what `call` does, or -EBUSY. */
#define TAKEN(type, call)                              \
	do {                                           \
		int e = use_begin(use_of_consumer(c)); \
		type r;                                \
                                                       \
		if (e < 0)                             \
			return e;                      \
		r = (call);                            \
		use_end(use_of_consumer(c));           \
		return r;                              \
	} while (0)

int shmring_peek(struct shmring_consumer *c, int64_t deadline, struct shmring_message *ret)
{
	TAKEN(int, unchecked_peek(c, deadline, ret));
}

int shmring_slow1_peek(struct shmring_consumer *c, int64_t deadline, struct shmring_message *ret)
{
	TAKEN(int, unchecked_slow1_peek(c, deadline, ret));
}

int shmring_peek_batch(struct shmring_consumer *c, int64_t deadline, struct shmring_message *ret,
		       int count)
{
	TAKEN(int, unchecked_peek_batch(c, deadline, ret, count));
}

int shmring_release(struct shmring_consumer *c)
{
	TAKEN(int, unchecked_release(c));
}

int shmring_slow1_release(struct shmring_consumer *c)
{
	TAKEN(int, unchecked_slow1_release(c));
}

int shmring_release_first(struct shmring_consumer *c, uint64_t count)
{
	TAKEN(int, unchecked_release_first(c, count));
}

ssize_t shmring_receive(struct shmring_consumer *c, void *buf, size_t size, int64_t deadline)
{
	TAKEN(ssize_t, unchecked_receive(c, buf, size, deadline));
}

ssize_t shmring_next_length(struct shmring_consumer *c, int64_t deadline)
{
	TAKEN(ssize_t, unchecked_next_length(c, deadline));
}

int shmring_message_lost(const struct shmring_consumer *c, const struct shmring_message *m,
			 uint64_t *ret_messages, uint64_t *ret_bytes)
{
	TAKEN(int, unchecked_message_lost(c, m, ret_messages, ret_bytes));
}

int shmring_message_tenancy(const struct shmring_consumer *c, const struct shmring_message *m,
			    uint32_t *ret)
{
	TAKEN(int, unchecked_message_tenancy(c, m, ret));
}

int shmring_message_stamp(const struct shmring_consumer *c, const struct shmring_message *m,
			  uint64_t *ret_ns)
{
	TAKEN(int, unchecked_message_stamp(c, m, ret_ns));
}

int shmring_consumer_fd(struct shmring_consumer *c, uint32_t flags)
{
	TAKEN(int, unchecked_consumer_fd(c, flags));
}

int shmring_consumer_arm(struct shmring_consumer *c)
{
	TAKEN(int, unchecked_consumer_arm(c));
}

int shmring_consumer_watermark(struct shmring_consumer *c, uint64_t messages, uint64_t bytes,
			       int64_t within_ns)
{
	TAKEN(int, unchecked_consumer_watermark(c, messages, bytes, within_ns));
}

int shmring_consumer_quiet(struct shmring_consumer *c, int quiet)
{
	TAKEN(int, unchecked_consumer_quiet(c, quiet));
}

int shmring_consumer_spin(struct shmring_consumer *c, int64_t spin_ns)
{
	TAKEN(int, unchecked_consumer_spin(c, spin_ns));
}

int shmring_consumer_missed(const struct shmring_consumer *c, uint32_t lane, uint64_t *ret_messages,
			    uint64_t *ret_bytes)
{
	TAKEN(int, unchecked_consumer_missed(c, lane, ret_messages, ret_bytes));
}

int shmring_consumer_counters(const struct shmring_consumer *c, struct shmring_counters *ret)
{
	TAKEN(int, unchecked_consumer_counters(c, ret));
}

int shmring_consumer_memory(const struct shmring_consumer *c, struct shmring_memory_report *ret)
{
	TAKEN(int, unchecked_consumer_memory(c, ret));
}

/* The functions that follow return no error: they do nothing, and leave the sentence. */
void shmring_rewind(struct shmring_consumer *c)
{
	if (use_begin(use_of_consumer(c)) < 0)
		return;
	unchecked_rewind(c);
	use_end(use_of_consumer(c));
}

void shmring_consumer_detach(struct shmring_consumer *c)
{
	if (c && use_begin(use_of_consumer(c)) == 0)
		unchecked_consumer_detach(c);
}

/* The wait with it will answer. */
struct shmring_waitable *shmring_consumer_waitable(struct shmring_consumer *c)
{
	if (use_begin(use_of_consumer(c)) < 0)
		return &c->fd.waitable;
	unchecked_consumer_waitable(c);
	use_end(use_of_consumer(c));
	return &c->fd.waitable;
}

#endif
