/* SPDX-License-Identifier: MIT */
/*
 * messages: claim, commit, publish and batches, as far as they are not in
 * <shmring/producer-inline.h>.
 *
 * A message comes here if there is no room within `limit`, if the inline commit cannot store
 * its stamp (producer_set_slow()), if it is SHMRING_LARGE, or as part of a batch.
 *
 * A claim marks the handle (producer_mark()), checks the length, waits for room if there is
 * none, and takes the lines. The mark is the open claim; commit, stage and abort remove it.
 *
 * A batch is written behind the published end. Its first header is held back in `batch.first`,
 * and the lane keeps the zero word there. So no reader looks at the records behind it, which
 * have their headers already. To publish it is to store the zero word at the new end, and then
 * the first header: I2 in lane.h, for many records at once. To discard it is to go back to the
 * published end; nothing in shared memory changes. A commit that comes here is a batch that is
 * published at once.
 */
#define SHMRING_INLINE /* here are the functions for callers that do not inline */
#include "atomic.h"    /* first: their stores, too, may be fault points */
#include "producer.h"

#include <errno.h>

#include "explain.h"
#include "stamp.h"

static int busy(const struct shmring_producer *p)
{
	if (use_check_unless_checked(&p->use) < 0)
		return -EBUSY;
	return explain(-EBUSY,
		       "a claim is open already, or this is a signal handler that has interrupted "
		       "a call on the same handle; commit, stage or abort the claim first, and "
		       "give signal handlers a producer of their own");
}

static shm_u64 *word_at(const struct shmring_producer *p, uint64_t position)
{
	return lane_word(p->lane.data, p->lane.mask, position);
}

static int check_length(const struct shmring_producer *p, size_t len)
{
	uint64_t size = producer_size_of(p, len);

	if (len > p->hot.max_message)
		return explain(-EMSGSIZE,
			       "a message of %u bytes is too long: this ring takes %u, half a "
			       "lane; make the ring with a larger lane size",
			       (uint64_t)len, p->hot.max_message);
	if (p->batch.staged &&
	    p->hot.position + size - p->batch.published.position > p->hot.max_message)
		return explain(-EMSGSIZE,
			       "the batch would exceed %u bytes, half a lane; flush it first",
			       p->hot.max_message);
	return 0;
}

int producer_mark_claim(struct shmring_producer *p, size_t len)
{
	int e;

	if (producer_wiped(p) < 0)
		return -ECHILD;
	if (producer_claim_is_open(p))
		return busy(p);
	producer_mark(p, (uint64_t)len + 1);
	e = check_length(p, len);
	if (e < 0)
		producer_unmark(p);
	return e;
}

int producer_claim_room(struct shmring_producer *p, size_t len, int64_t deadline)
{
	uint64_t size = producer_size_of(p, len);
	int e = producer_wiped(p);

	if (e == 0)
		e = check_length(p, len);
	if (e == 0 && producer_room(p) - p->hot.position < size)
		e = producer_wait(p, size, deadline);
	if (e < 0)
		producer_unmark(p);
	return e;
}

int shmring_slow1_claim_refused(struct shmring_producer *p, size_t len)
{
	if (producer_wiped(p) < 0)
		return -ECHILD;
	return producer_claim_is_open(p) ? busy(p) : check_length(p, len);
}

int shmring_slow1_claim(struct shmring_producer *p, size_t len, int64_t deadline)
{
	uint64_t size = producer_size_of(p, len);
	int e = producer_claim_room(p, len, deadline);

	if (e == 0 && (int64_t)(p->copy.taken - p->hot.position - size) < 0)
		producer_take(p, size);
	return e;
}

static void unstage(struct shmring_producer *p)
{
	p->batch.staged = false;
	producer_set_slow(p, false);
}

/* The payload is complete. A reader that sees the header sees the stamp, too. */
static void write_stamp(const struct shmring_producer *p)
{
	const struct geometry *g = &p->attachment.ring->geometry;

	store_relaxed(lane_stamp(&p->lane, g, p->hot.position), stamp_take(g));
}

/*
 * Close the open claim as a record. The header of a batch's first message is held back.
 * The other messages get theirs at once: no reader looks behind the zero word.
 */
static void close_claim(struct shmring_producer *p, size_t len)
{
	uint64_t at = p->hot.position;

	if (p->stamped)
		write_stamp(p);
	if (p->batch.staged) {
		store_relaxed(word_at(p, at), p->hot.header_bits | len);
	} else {
		p->batch.published = published_end(p);
		p->batch.first = p->hot.header_bits | len;
		p->batch.staged = true;
		producer_set_slow(p, false);
	}
	p->hot.position = at + producer_size_of(p, len);
	p->hot.seq++;
	p->hot.bytes += len;
}

/*
 * I2: all that stands behind the published end is written; put the zero word at
 * the new end, then let it exist. The handle is marked until then. [PUBLISH] pairs with
 * shmring_peek().
 */
static void publish_batch(struct shmring_producer *p)
{
	store_relaxed(word_at(p, p->hot.position), 0);
	store_release(word_at(p, p->batch.published.position), p->batch.first);
	unstage(p);
	producer_set_limit(p);
	producer_unmark(p);
	bell_order(p->hot.fence); /* [WAKE] pairs with [SLEEP] in lib/consumer/sleep.c */
	if (!producer_is_quiet(p) && load_relaxed(&p->bell.shared->sleepers) != 0)
		shmring_slow1_wake_consumers(p);
}

/* Is there a claim of this thread for a message of `len` bytes? */
static int check_claim(const struct shmring_producer *p, size_t len)
{
	if (producer_wiped(p) < 0)
		return -ECHILD;
	if (use_check_unless_checked(&p->use) < 0)
		return -EBUSY; /* whose claim has no room yet */
	if (!producer_claim_is_open(p))
		return explain(-EINVAL, "there is no open claim");
	if (len >= p->hot.claimed)
		return explain(-EINVAL, "%u bytes do not fit into the claim of %u", (uint64_t)len,
			       p->hot.claimed - 1);
	return 0;
}

int shmring_slow1_commit(struct shmring_producer *p, size_t len)
{
	int e = check_claim(p, len);

	if (e < 0)
		return e;
	close_claim(p, len);
	publish_batch(p);
	return 0;
}

int shmring_stage(struct shmring_producer *p, size_t len)
{
	int e = check_claim(p, len);

	if (e < 0)
		return e;
	close_claim(p, len);
	producer_set_limit(p);
	producer_unmark(p);
	return 0;
}

int shmring_flush(struct shmring_producer *p)
{
	if (producer_wiped(p) < 0)
		return -ECHILD;
	if (producer_claim_is_open(p))
		return busy(p);
	producer_mark(p, 1);
	if (p->batch.staged)
		publish_batch(p);
	else
		producer_unmark(p);
	return 0;
}

void shmring_abort(struct shmring_producer *p)
{
	if (use_check_unless_checked(&p->use) == 0)
		producer_unmark(p);
}

void shmring_discard(struct shmring_producer *p)
{
	if (use_check_unless_checked(&p->use) < 0)
		return;
	producer_mark(p, 1);
	if (p->batch.staged) {
		unstage(p);
		p->hot.position = p->batch.published.position;
		p->hot.seq = p->batch.published.seq;
		p->hot.bytes = p->batch.published.bytes;
		producer_set_limit(p);
	}
	producer_unmark(p);
}

/* As claim, copy and commit, but the lines are not taken: the stores go around them. */
int shmring_slow1_publish_large(struct shmring_producer *p, const void *data, size_t len,
				int64_t deadline)
{
	int e = producer_mark_claim(p, len);

	if (e == 0)
		e = producer_claim_room(p, len, deadline);
	if (e < 0)
		return e;
	p->hot.limit = later(p->hot.limit, p->hot.position + producer_size_of(p, len) + 1);
	producer_copy(p, p->hot.payloads + (p->hot.position & p->hot.mask), data, len);
	return shmring_commit(p, len);
}

int shmring_publishv(struct shmring_producer *p, const struct iovec *pieces, int count,
		     int64_t deadline)
{
	size_t len = 0;
	void *to;
	int e;

	if (count < 0 || count > 1024)
		return explain(-EINVAL, "a message can be gathered from at most 1024 pieces");
	for (int i = 0; i < count; i++)
		if (__builtin_add_overflow(len, pieces[i].iov_len, &len))
			return explain(-EMSGSIZE, "the pieces are longer than any message");
	e = shmring_claim(p, len, deadline, &to);
	if (e < 0)
		return e;
	for (int i = 0; i < count; i++) {
		if (pieces[i].iov_len > 0)
			producer_copy(p, to, pieces[i].iov_base, pieces[i].iov_len);
		to = (unsigned char *)to + pieces[i].iov_len;
	}
	return shmring_commit(p, len);
}
