/* SPDX-License-Identifier: MIT */
/*
 * producer: claim, fill, commit. What every message pays is in the first few
 * functions: a comparison with the reserved end, two stores into the ring, and
 * one load of the sleepers' mask. Everything else happens once per chunk.
 */
#include "producer.h"

#include <errno.h>
#include <string.h>

#include "explain.h"

#define likely(condition) __builtin_expect(!!(condition), 1)

static int wiped(const struct shmring_producer *p)
{
	return p->data ? 0 : explain(-ECHILD, "this producer belongs to the parent process; attach one here");
}

static __attribute__((noinline)) int claim_slowly(struct shmring_producer *p, size_t len,
						  int64_t deadline)
{
	uint64_t size;

	if (wiped(p) < 0)
		return -ECHILD;
	if (p->claimed)
		return explain(-EBUSY, "a claim is open already; commit, stage or abort it first");
	if (len > p->max_message)
		return explain(-EMSGSIZE, "a message of %u bytes is too long: this ring takes %u, half a lane",
			       (uint64_t)len, p->max_message);
	size = record_size(len, p->align_mask);
	if (p->position != p->batch && p->position + size - p->batch > p->max_message)
		return explain(-EMSGSIZE, "the batch would exceed %u bytes, half a lane; flush it first",
			       p->max_message);
	return p->limit - p->position >= size ? 0 : producer_wait(p, size, deadline);
}

/*
 * Can a record of `len` bytes be written at once? While a batch is staged,
 * `limit` also ends where the batch would be half a lane.
 */
static inline bool fits(const struct shmring_producer *p, size_t len)
{
	return likely(len <= p->max_message) && likely(p->claimed == 0) &&
	       likely(p->limit - p->position >= record_size(len, p->align_mask));
}

static inline int claim(struct shmring_producer *p, size_t len, int64_t deadline, void **ret_data)
{
	if (!fits(p, len)) {
		int e = claim_slowly(p, len, deadline);

		if (e < 0)
			return e;
	}
	p->claimed = (uint64_t)len + 1;
	*ret_data = lane_payload(p->data, p->mask, p->position);
	return 0;
}

/* The header that closes the open claim; moves on behind its record. */
static inline uint64_t close_claim(struct shmring_producer *p, size_t len)
{
	p->claimed = 0;
	p->position += record_size(len, p->align_mask);
	p->seq++;
	p->bytes += len;
	return p->header_bits | len;
}

/*
 * I2: all that stands behind `batch` is written; put the zero word at the new
 * end, then let it exist. [PUBLISH] pairs with the header loads of readers.
 */
static inline void publish_from_batch(struct shmring_producer *p, uint64_t header)
{
	store_relaxed(lane_word(p->data, p->mask, p->position), 0);
	store_release(lane_word(p->data, p->mask, p->batch), header);
	p->batch = p->position;
	bell_order(p->fence); /* [WAKE] pairs with [SLEEP] in lib/consumer/wait.c */
	if (!likely(load_relaxed(p->sleepers) == 0))
		shmr_bell_ring_data(&p->bell, &p->counters);
}

/* A record behind the first of its batch may carry its header at once. */
static inline void commit(struct shmring_producer *p, size_t len)
{
	uint64_t at = p->position;
	uint64_t header = close_claim(p, len);

	if (likely(at == p->batch)) {
		publish_from_batch(p, header);
	} else {
		store_relaxed(lane_word(p->data, p->mask, at), header);
		publish_from_batch(p, p->first);
		producer_set_limit(p);
	}
}

static int no_claim(const struct shmring_producer *p, size_t len)
{
	if (wiped(p) < 0)
		return -ECHILD;
	if (p->claimed == 0)
		return explain(-EINVAL, "there is no open claim");
	return explain(-EINVAL, "%u bytes do not fit into the claim of %u", (uint64_t)len, p->claimed - 1);
}

int shmring_claim(struct shmring_producer *p, size_t len, int64_t deadline, void **ret_data)
{
	return claim(p, len, deadline, ret_data);
}

int shmring_commit(struct shmring_producer *p, size_t len)
{
	if (!likely(len < p->claimed))
		return no_claim(p, len);
	commit(p, len);
	return 0;
}

int shmring_stage(struct shmring_producer *p, size_t len)
{
	uint64_t at = p->position;
	uint64_t header;

	if (!likely(len < p->claimed))
		return no_claim(p, len);
	if (at == p->batch)
		p->published = (struct boundary){ at, p->seq, p->bytes };
	header = close_claim(p, len);
	producer_set_limit(p);
	if (at == p->batch)
		p->first = header;
	else
		store_relaxed(lane_word(p->data, p->mask, at), header);
	return 0;
}

int shmring_flush(struct shmring_producer *p)
{
	if (wiped(p) < 0)
		return -ECHILD;
	if (p->claimed)
		return explain(-EBUSY, "a claim is open; commit, stage or abort it first");
	if (p->position != p->batch)
		publish_from_batch(p, p->first);
	producer_set_limit(p);
	return 0;
}

void shmring_abort(struct shmring_producer *p)
{
	p->claimed = 0;
}

void shmring_discard(struct shmring_producer *p)
{
	p->claimed = 0;
	if (p->position == p->batch)
		return;
	p->position = p->published.position;
	p->seq = p->published.seq;
	p->bytes = p->published.bytes;
	producer_set_limit(p);
}

int shmring_publish(struct shmring_producer *p, const void *data, size_t len, int64_t deadline)
{
	void *to;
	int e = claim(p, len, deadline, &to);

	if (!likely(e == 0))
		return e;
	if (len > 0)
		memcpy(to, data, len);
	commit(p, len);
	return 0;
}

int shmring_publishv(struct shmring_producer *p, const struct iovec *pieces, int count,
		     int64_t deadline)
{
	size_t len = 0;
	void *to;
	int e;

	if (count < 0 || count > 1024)
		return explain(-EINVAL, "a message is gathered from 0 to 1024 pieces");
	for (int i = 0; i < count; i++)
		if (__builtin_add_overflow(len, pieces[i].iov_len, &len))
			return explain(-EMSGSIZE, "the pieces are longer than any message");
	e = claim(p, len, deadline, &to);
	if (e < 0)
		return e;
	for (int i = 0; i < count; i++) {
		if (pieces[i].iov_len > 0)
			memcpy(to, pieces[i].iov_base, pieces[i].iov_len);
		to = (unsigned char *)to + pieces[i].iov_len;
	}
	commit(p, len);
	return 0;
}

size_t shmring_max_message(const struct shmring_producer *p)
{
	return p->max_message;
}

int shmring_producer_lane(const struct shmring_producer *p)
{
	return wiped(p) < 0 ? -ECHILD : (int)p->attachment.slot;
}

int shmring_producer_counters(const struct shmring_producer *p, struct shmring_counters *ret)
{
	if (wiped(p) < 0)
		return -ECHILD;
	*ret = p->counters;
	ret->messages = (p->position == p->batch ? p->seq : p->published.seq) - p->begin.seq;
	ret->bytes = (p->position == p->batch ? p->bytes : p->published.bytes) - p->begin.bytes;
	return 0;
}

int shmring_producer_memory(const struct shmring_producer *p, struct shmring_memory_report *ret)
{
	if (wiped(p) < 0)
		return -ECHILD;
	*ret = p->attachment.memory;
	ret->resident = shmr_resident(p->lane.data, p->mask + 1);
	return 0;
}
