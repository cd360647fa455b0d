/* SPDX-License-Identifier: MIT */
/*
 * A window that slides over the messages in hand: the first of them are released, in
 * the order in which they were handed out, whatever lanes they are from. And messages
 * that are too long for a buffer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 33, LANES = 3, MANY = 400, SIZE = 1000 };

#define MS INT64_C(1000000)

static struct shmring_ring *ring;
static struct shmring_producer *producers[LANES];
static struct shmring_consumer *consumer;
static uint64_t published[LANES];

static void begin_with(const struct shmring_config *config, const char *name)
{
	ring = ring_create(config);
	consumer = consumer_attach(ring, name, 0, 0);
	for (int i = 0; i < LANES; i++)
		producers[i] = producer_attach(ring);
	memset(published, 0, sizeof(published));
}

static void begin(void)
{
	struct shmring_config config = small_config();

	begin_with(&config, NULL);
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

/* Take the next message, which must be of that lane and have that number. */
static void take(int lane, uint64_t seq)
{
	struct shmring_message m;

	must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
	ck_assert_uint_eq(m.seq, seq);
	ck_assert_int_eq((int)m.producer, (int)must(shmring_producer_lane(producers[lane])));
}

static uint64_t released(void)
{
	struct shmring_counters counters = { .size = sizeof(counters) };

	must(shmring_consumer_counters(consumer, &counters));
	return counters.messages;
}

/* How many messages of each lane come again after a rewind: those that were not released. */
static void expect_in_hand(uint64_t first, uint64_t second, uint64_t third)
{
	const uint64_t expected[LANES] = { first, second, third };
	uint64_t seen[LANES] = { 0 };
	struct shmring_message m;

	shmring_rewind(consumer);
	while (shmring_peek(consumer, SHMRING_NOWAIT, &m) == 0)
		for (int i = 0; i < LANES; i++)
			if ((int)m.producer == shmring_producer_lane(producers[i])) {
				ck_assert_uint_eq(m.seq, published[i] - expected[i] + seen[i]);
				seen[i]++;
			}
	for (int i = 0; i < LANES; i++)
		ck_assert_uint_eq(seen[i], expected[i]);
}

START_TEST(window_slides_over_one_lane)
{
	begin();
	publish(0, 5);
	for (uint64_t i = 0; i < 5; i++)
		take(0, i);
	for (uint64_t i = 5; i < MANY; i++) { /* several laps, always with five messages in hand */
		publish(0, 1);
		take(0, i);
		must(shmring_release_first(consumer, 1));
		ck_assert_uint_eq(released(), i - 4);
	}
	must(shmring_release_first(consumer, 3));
	expect_in_hand(2, 0, 0);
	must(shmring_release(consumer));
	ck_assert_uint_eq(released(), MANY);
	end();
}
END_TEST

START_TEST(order_of_handing_out_counts_across_lanes)
{
	begin();
	publish(0, 2);
	take(0, 0);
	take(0, 1);
	publish(1, 3);
	take(1, 0);
	take(1, 1);
	take(1, 2);
	publish(0, 2);
	take(0, 2);
	take(0, 3);
	publish(2, 1);
	take(2, 0);

	must(shmring_release_first(consumer,
				   3)); /* two messages of the first lane, one of the second */
	ck_assert_uint_eq(released(), 3);
	must(shmring_release_first(consumer,
				   3)); /* two messages of the second lane, one of the first */
	ck_assert_uint_eq(released(), 6);
	publish(1, 1);
	take(1, 3);
	must_fail(EINVAL, shmring_release_first(consumer, 4));
	ck_assert_uint_eq(released(), 6);
	must(shmring_release_first(consumer, 1));
	expect_in_hand(0, 1, 1);
	end();
}
END_TEST

START_TEST(none_are_released_when_none_are_in_hand)
{
	begin();
	must(shmring_release_first(consumer, 0));
	must_fail(EINVAL, shmring_release_first(consumer, 1));
	publish(0, 2);
	take(0, 0);
	must(shmring_release(consumer));
	must_fail(EINVAL, shmring_release_first(consumer, 1));
	take(0, 1);
	shmring_rewind(consumer);
	must_fail(EINVAL, shmring_release_first(consumer, 1));
	take(0, 1);
	must(shmring_release_first(consumer, 1));
	end();
}
END_TEST

/*
 * Random turns, in one message of each, against a list of what is in hand. Every
 * alternation is a run of its own, many more than there is room for at first.
 */
START_TEST(random_windows_release_the_right_messages)
{
	static struct {
		int lane;
		uint64_t seq;
	} hand[MANY];
	uint64_t seed = random_seed() + (uint64_t)_i, taken[LANES] = { 0 }, gone[LANES] = { 0 };
	struct shmring_config config = small_config();
	unsigned first = 0, count = 0;

	config.lane_size = 1 << 20;
	begin_with(&config, _i % 2 ? "window" : NULL);
	for (int round = 0; round < 3000; round++) {
		if (count < MANY && random_below(&seed, 5) < 3) {
			int lane = (int)random_below(&seed, LANES);

			publish(lane, 1);
			take(lane, taken[lane]);
			hand[(first + count) % MANY].lane = lane;
			hand[(first + count++) % MANY].seq = taken[lane]++;
		} else if (count > 0 && random_below(&seed, 40) == 0) {
			unsigned n = (unsigned)random_below(&seed, count + 1);

			must(shmring_release_first(consumer, n));
			for (; n > 0; n--, count--, first = (first + 1) % MANY)
				gone[hand[first].lane] = hand[first].seq + 1;
			ck_assert_uint_eq(released(), gone[0] + gone[1] + gone[2]);
		} else if (random_below(&seed, 200) == 0) {
			must(shmring_release(consumer));
			memcpy(gone, taken, sizeof(gone));
			count = 0;
		}
	}
	expect_in_hand(taken[0] - gone[0], taken[1] - gone[1], taken[2] - gone[2]);
	end();
}
END_TEST

START_TEST(released_room_goes_to_the_producer)
{
	uint64_t count;

	begin();
	count = publish_until_full(producers[0], SOURCE, 0, SIZE);
	for (uint64_t i = 0; i < count; i++)
		take(0, i);
	published[0] = count;
	must(shmring_release_first(consumer, count / 2));
	ck_assert_uint_ge(publish_until_full(producers[0], SOURCE, count, SIZE), count / 4);
	shmring_rewind(consumer);
	for (uint64_t i = count / 2; i < count; i++)
		take(0, i);
	end();
}
END_TEST

START_TEST(waiting_producer_is_woken)
{
	struct shmring_config config = small_config();
	struct peer_command command = { .op = PEER_PRODUCER,
					.source = SOURCE,
					.spin_ns = SHMRING_SPIN_NEVER };
	struct shmring_message m;
	struct peer p;

	config.max_sleep_ns = 10000 * MS;
	ring = ring_create(&config);
	consumer = consumer_attach(ring, NULL, 0, 0);
	ring_start(&p);
	ck_assert_int_eq(peer_call(&p, &command), 0);
	peer_tell_fill(&p, 80, SIZE);
	child_await_sleep(&p.child);
	while (shmring_peek(consumer, SHMRING_NOWAIT, &m) == 0)
		;
	must(shmring_release_first(consumer, 40));
	ck_assert_int_eq(peer_answer(&p), 80);
	peer_quit(&p);
	shmring_consumer_detach(consumer);
	shmring_close(ring);
}
END_TEST

/* The next holder of the name gets what was not released, of each lane. */
START_TEST(name_goes_on_behind_the_window)
{
	struct shmring_config config = small_config();

	begin_with(&config, "window");
	publish(0, 3);
	for (uint64_t i = 0; i < 3; i++)
		take(0, i);
	publish(1, 3);
	for (uint64_t i = 0; i < 3; i++)
		take(1, i);
	must(shmring_release_first(consumer, 4));
	shmring_consumer_detach(consumer);
	consumer = consumer_attach(ring, "window", SHMRING_START_RESUME, 0);
	expect_in_hand(0, 2, 0);
	end();
}
END_TEST

START_TEST(evicted_window_is_void)
{
	struct shmring_config config = small_config();
	struct shmring_message m;

	config.slow_policy = SHMRING_SLOW_EVICT;
	config.evict_after_ns = MS;
	begin_with(&config, NULL);
	publish(0, 10);
	for (uint64_t i = 0; i < 10; i++)
		take(0, i);
	must(shmring_release_first(consumer, 4));
	publish(0, 300);
	must_fail(ESTALE, shmring_release_first(consumer, 3));
	must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
	ck_assert_uint_gt(facts_of(consumer, &m).lost, 0);
	ck_assert_uint_eq(m.seq, 4 + facts_of(consumer, &m).lost);
	must(shmring_release_first(consumer, 1));
	end();
}
END_TEST

START_TEST(observer_has_no_window)
{
	struct shmring_message m;

	begin();
	publish(0, 2);
	shmring_consumer_detach(consumer);
	consumer = consumer_attach(ring, NULL, 0, SHMRING_OBSERVE);
	must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
	must(shmring_release_first(consumer, 7));
	must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
	ck_assert_uint_eq(m.seq, 1);
	end();
}
END_TEST

/* With a short buffer the call reports the length, and the message can be passed over. */
START_TEST(message_that_is_too_long_can_be_measured_and_passed)
{
	struct shmring_message m;
	char *large;
	char small[10];
	ssize_t n;

	begin();
	if (_i == 1) {
		shmring_consumer_detach(consumer);
		consumer = consumer_attach(ring, NULL, 0, SHMRING_OBSERVE);
	}
	must_fail(EAGAIN, shmring_next_length(consumer, SHMRING_NOWAIT));
	publish(0, 2);
	must_fail(EMSGSIZE, shmring_receive(consumer, small, sizeof(small), SHMRING_NOWAIT));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "1000 bytes"));
	n = (ssize_t)must(shmring_next_length(consumer, SHMRING_NOWAIT));
	ck_assert_int_eq(n, SIZE);
	ck_assert_int_eq(must(shmring_next_length(consumer, SHMRING_NOWAIT)), SIZE);
	large = malloc((size_t)n);
	ck_assert_ptr_nonnull(large);
	ck_assert_int_eq(must(shmring_receive(consumer, large, (size_t)n, SHMRING_NOWAIT)), SIZE);
	free(large);
	must_fail(EMSGSIZE, shmring_receive(consumer, small, sizeof(small), SHMRING_NOWAIT));
	must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
	ck_assert_uint_eq(m.seq, 1);
	must(shmring_release(consumer));
	must_fail(EAGAIN, shmring_receive(consumer, small, sizeof(small), SHMRING_NOWAIT));
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("window");
	TCase *tc = room_case(s, "window", 30);

	tcase_add_test(tc, window_slides_over_one_lane);
	tcase_add_test(tc, order_of_handing_out_counts_across_lanes);
	tcase_add_test(tc, none_are_released_when_none_are_in_hand);
	tcase_add_loop_test(tc, random_windows_release_the_right_messages, 0, 4);
	tcase_add_test(tc, released_room_goes_to_the_producer);
	tcase_add_test(tc, waiting_producer_is_woken);
	tcase_add_test(tc, name_goes_on_behind_the_window);
	tcase_add_test(tc, evicted_window_is_void);
	tcase_add_test(tc, observer_has_no_window);
	tcase_add_loop_test(tc, message_that_is_too_long_can_be_measured_and_passed, 0, 2);
	return run_suite(s);
}
