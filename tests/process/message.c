/* SPDX-License-Identifier: MIT */
/*
 * Questions about a message in hand: what was lost before it, which tenant of the lane wrote it,
 * when it was published. And for how long there is an answer.
 */
#include <errno.h>
#include <string.h>

#include <check.h>

#include "audit.h"
#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 33, LANES = 2, SIZE = 1000, LAPS = 300, MOST = 200 };

#define MS INT64_C(1000000)

static struct shmring_ring *ring;
static struct shmring_producer *producers[LANES];
static struct shmring_consumer *consumer;
static uint64_t published[LANES];

/* A ring that evicts soon, or an observer, which holds no producer back. */
static void begin(uint32_t flags)
{
	struct shmring_config config = small_config();

	config.slow_policy = SHMRING_SLOW_EVICT;
	config.unread_policy = SHMRING_UNREAD_OVERWRITE;
	config.evict_after_ns = MS;
	ring = ring_create(&config);
	consumer = consumer_attach(ring, NULL, 0, flags);
	for (int i = 0; i < LANES; i++)
		producers[i] = producer_attach(ring);
	memset(published, 0, sizeof(published));
}

static void end(void)
{
	for (int i = 0; i < LANES; i++)
		shmring_producer_detach(producers[i]);
	shmring_consumer_detach(consumer);
	shmring_close(ring);
}

static void publish(int lane, uint64_t count)
{
	publish_numbers(producers[lane], SOURCE + (uint64_t)lane, published[lane], count, SIZE);
	published[lane] += count;
}

/* Every question about the message is refused. */
static void must_be_unknown(const struct shmring_message *m)
{
	uint64_t messages = 1, bytes = 2, ns = 3;
	uint32_t tenancy = 4;

	must_fail(EINVAL, shmring_message_lost(consumer, m, &messages, &bytes));
	must_fail(EINVAL, shmring_message_tenancy(consumer, m, &tenancy));
	must_fail(EINVAL, shmring_message_stamp(consumer, m, &ns));
	ck_assert_uint_eq(messages, 1);
	ck_assert_uint_eq(bytes, 2);
	ck_assert_uint_eq(ns, 3);
	ck_assert_uint_eq(tenancy, 4);
}

/* Take all messages, one by one; returns their number. */
static int take_all(struct shmring_message m[MOST])
{
	int n = 0, e;

	while ((e = shmring_peek(consumer, SHMRING_NOWAIT, &m[n])) == 0)
		ck_assert_int_lt(++n, MOST);
	must_fail(EAGAIN, e);
	return n;
}

/* The first message of each lane, and no other one, reports the whole loss of its lane. */
static void check_losses(const struct shmring_message m[MOST], int n)
{
	bool seen[LANES] = { false };

	for (int i = 0; i < n; i++) {
		struct facts t = facts_of(consumer, &m[i]);

		ck_assert_uint_eq(t.tenancy, 1);
		ck_assert_uint_eq(t.lost, seen[t.producer] ? 0 : t.seq - 1);
		ck_assert_uint_eq(t.lost_bytes, t.lost * SIZE);
		seen[t.producer] = true;
	}
	ck_assert(seen[0] && seen[1]);
}

START_TEST(losses_of_several_lanes_are_known_until_the_release)
{
	struct shmring_message m[MOST];
	int n;

	begin(0);
	for (int i = 0; i < LANES; i++)
		publish(i, 1);
	ck_assert_int_eq(take_all(m), LANES);
	must(shmring_release(consumer));
	for (int i = 0; i < LANES; i++)
		publish(i, LAPS);
	n = take_all(m);
	check_losses(m, n);
	ck_assert_uint_gt(facts_of(consumer, &m[0]).lost, 0);
	must(shmring_release_first(consumer, 1));
	must_be_unknown(&m[0]);
	for (int i = 1; i < n; i++) {
		bool first = m[i].flags & SHMRING_AFTER_LOSS;

		ck_assert_uint_eq(facts_of(consumer, &m[i]).lost, first ? m[i].seq - 1 : 0);
	}
	must(shmring_release(consumer));
	for (int i = 0; i < n; i++)
		must_be_unknown(&m[i]);
	end();
}
END_TEST

START_TEST(messages_out_of_hand_are_unknown)
{
	struct shmring_message m, other;

	begin(0);
	publish(0, 3);
	must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
	facts_of(consumer, &m);
	other = m;
	other.seq++; /* was not handed out */
	must_be_unknown(&other);
	other = m;
	other.producer = 1;
	must_be_unknown(&other);
	other.producer = UINT32_MAX;
	must_be_unknown(&other);
	shmring_rewind(consumer);
	must_be_unknown(&m);
	must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
	facts_of(consumer, &m);
	must(shmring_release(consumer));
	must_be_unknown(&m);
	end();
}
END_TEST

START_TEST(messages_of_an_evicted_consumer_are_unknown)
{
	struct shmring_message m;

	begin(0);
	publish(0, 3);
	must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
	publish(0, LAPS);
	must_fail(ESTALE, shmring_release(consumer));
	must_be_unknown(&m);
	end();
}
END_TEST

START_TEST(observer_can_ask_until_the_next_peek)
{
	struct shmring_message m, next;
	struct facts t;

	begin(SHMRING_OBSERVE);
	publish(0, LAPS);
	must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
	publish(0, LAPS);
	t = facts_of(consumer, &m);
	ck_assert_uint_gt(t.lost, 0);
	ck_assert_uint_eq(t.lost, t.seq);
	ck_assert_uint_eq(t.lost_bytes, t.lost * SIZE);
	must(shmring_release(consumer));
	facts_of(consumer, &m);
	must(shmring_peek(consumer, SHMRING_NOWAIT, &next));
	must_be_unknown(&m);
	ck_assert_uint_eq(facts_of(consumer, &next).lost, next.seq - m.seq - 1);
	while (shmring_peek(consumer, SHMRING_NOWAIT, &m) == 0)
		next = m;
	must_be_unknown(&next);
	end();
}
END_TEST

/* A message that is put back keeps the loss before it. */
START_TEST(loss_is_known_after_a_message_that_was_too_long)
{
	struct shmring_message m;
	char small[10];

	begin((uint32_t)_i);
	publish(0, LAPS);
	ck_assert_int_eq(must(shmring_next_length(consumer, SHMRING_NOWAIT)), SIZE);
	must_fail(EMSGSIZE, shmring_receive(consumer, small, sizeof(small), SHMRING_NOWAIT));
	must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
	ck_assert_uint_gt(m.seq, 0);
	ck_assert_uint_eq(facts_of(consumer, &m).lost, m.seq);
	ck_assert_uint_eq(facts_of(consumer, &m).lost_bytes, m.seq * SIZE);
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("message");
	TCase *tc = room_case(s, "message", 30);

	tcase_add_test(tc, losses_of_several_lanes_are_known_until_the_release);
	tcase_add_test(tc, messages_out_of_hand_are_unknown);
	tcase_add_test(tc, messages_of_an_evicted_consumer_are_unknown);
	tcase_add_test(tc, observer_can_ask_until_the_next_peek);
	tcase_add_loop_test(tc, loss_is_known_after_a_message_that_was_too_long, 0,
			    (int)SHMRING_OBSERVE + 1);
	return run_suite(s);
}
