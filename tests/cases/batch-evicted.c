/* SPDX-License-Identifier: MIT */
/*
 * A consumer of batches is evicted while it reads one, and what it has read is overwritten. It
 * had nothing in hand before, so there is nothing for its program to discard: it goes on, as
 * with single messages.
 *
 * The moment is made: the lane is overwritten before the call, with payload that looks like
 * one sound record, and nonsense behind it, where the consumer stands. The first look of the
 * batch takes the false record, and the second one finds out.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "must.h"
#include "room.h"
#include "runner.h"

enum { SMALL = 56, LARGE = 3000, BATCH = 8, PERIOD = 128 };

static struct shmring_ring *make(void)
{
	struct shmring_config config = {
		.size = sizeof(config),
		.lane_size = 65536,
		.unread_policy = SHMRING_UNREAD_OVERWRITE,
	};
	struct shmring_ring *r;

	must(shmring_create(&r, room_path("ring"), &config));
	return r;
}

/* The word before the payload is the header of a small message. */
static uint64_t read_one(struct shmring_consumer *c)
{
	struct shmring_message m;
	uint64_t header;

	must(shmring_peek(c, patience(), &m));
	ck_assert_uint_eq(m.len, SMALL);
	memcpy(&header, (const char *)m.data - sizeof(header), sizeof(header));
	must(shmring_release(c));
	return header;
}

/* Publish more than one lap, so that the consumer is evicted. */
static void overwrite(struct shmring_producer *p, uint64_t header, size_t shift)
{
	char large[LARGE];

	memset(large, 0xff, sizeof(large));
	for (size_t at = shift; at + sizeof(header) <= sizeof(large); at += PERIOD)
		memcpy(large + at, &header, sizeof(header));
	for (int i = 0; i < 65536 / LARGE + 8; i++)
		must(shmring_publish(p, large, sizeof(large), patience()));
}

/* In one of the loops the header lies just where the consumer stands. */
START_TEST(eviction_with_nothing_in_hand_is_no_error)
{
	struct shmring_consumer_options options = { .size = sizeof(options), .max_lag = 4096 };
	struct shmring_message batch[BATCH];
	struct shmring_ring *r = make();
	struct shmring_producer *p;
	struct shmring_consumer *c;
	char small[SMALL] = "";
	uint64_t header;
	int n;

	must(shmring_consumer_attach(&c, r, &options));
	must(shmring_producer_attach(&p, r, NULL));
	for (int i = 0; i < 2; i++)
		must(shmring_publish(p, small, sizeof(small), SHMRING_NOWAIT));
	header = read_one(c);
	overwrite(p, header, (size_t)_i * sizeof(header));
	n = shmring_peek_batch(c, SHMRING_NOWAIT, batch, BATCH);
	ck_assert_msg(n > 0, "%d: %s", n, shmring_explain());
	if (batch[0].len == LARGE)
		ck_assert_uint_eq(batch[0].flags, SHMRING_AFTER_LOSS);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* A program with messages in hand must learn that they are void. */
START_TEST(eviction_with_messages_in_hand_is_reported)
{
	struct shmring_consumer_options options = { .size = sizeof(options), .max_lag = 4096 };
	struct shmring_message batch[BATCH];
	struct shmring_ring *r = make();
	struct shmring_producer *p;
	struct shmring_consumer *c;
	char small[SMALL] = "";
	int n;

	must(shmring_consumer_attach(&c, r, &options));
	must(shmring_producer_attach(&p, r, NULL));
	must(shmring_publish(p, small, sizeof(small), SHMRING_NOWAIT));
	ck_assert_int_eq(shmring_peek_batch(c, patience(), batch, BATCH), 1);
	overwrite(p, ~UINT64_C(0), 0);
	must_fail(ESTALE, shmring_peek_batch(c, SHMRING_NOWAIT, batch, BATCH));
	n = shmring_peek_batch(c, SHMRING_NOWAIT, batch, BATCH);
	ck_assert_msg(n > 0, "%d: %s", n, shmring_explain());
	ck_assert_uint_eq(batch[0].len, LARGE);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("batch-evicted");
	TCase *tc = room_case(s, "batch-evicted", 30);

	tcase_add_loop_test(tc, eviction_with_nothing_in_hand_is_no_error, 0, PERIOD / 8);
	tcase_add_test(tc, eviction_with_messages_in_hand_is_reported);
	return run_suite(s);
}
