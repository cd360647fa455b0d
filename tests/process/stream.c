/* SPDX-License-Identifier: MIT */
/*
 * One producer's stream: every message arrives once, in order and whole,
 * whatever its size, the backing of the ring, and the way to reach it.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 0x5eed };

/* A ring of one lane with a producer and a consumer in this process. */
struct pair {
	struct shmring_ring *ring;
	struct shmring_producer *producer;
	struct shmring_consumer *consumer;
	struct audit audit;
};

static void pair_begin(struct pair *p, uint64_t lane_size, uint32_t alignment)
{
	struct shmring_config config = small_config();

	config.lane_size = lane_size;
	config.lanes = 1;
	config.alignment = alignment;
	p->ring = way_create(WAY_PASSED_EXEC, &config);
	p->consumer = consumer_attach(p->ring, NULL, SHMRING_START_DEFAULT, 0);
	p->producer = producer_attach(p->ring);
	audit_begin(&p->audit, true);
}

static void pair_end(struct pair *p)
{
	shmring_producer_detach(p->producer);
	shmring_consumer_detach(p->consumer);
	shmring_close(p->ring);
}

START_TEST(consumer_process_gets_all_messages_of_this_process)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = way_create((enum way)_i, &config);
	struct shmring_producer *p;
	struct peer consumer;

	way_start(&consumer, (enum way)_i, r);
	ck_assert_int_eq(peer_consumer(&consumer, NULL, 0, 0), 0);
	peer_tell_consume(&consumer, 3000);
	p = producer_attach(r);
	publish_numbers(p, SOURCE, 0, 1000, 40);
	publish_numbers(p, SOURCE, 1000, 1000, 1);
	publish_numbers(p, SOURCE, 2000, 1000, 3000);
	ck_assert_int_eq(peer_answer(&consumer), 3000);
	audit_must_be(&consumer.answer.audit, 3000, 0);
	peer_quit(&consumer);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(process_to_process_every_call_every_size)
{
	struct peer_command produce = { .op = PEER_PRODUCE,
					.count = 40000,
					.seed = random_seed() + (uint64_t)_i,
					.deadline = patience() };
	struct shmring_config config = small_config();
	struct shmring_ring *r = way_create((enum way)_i, &config);
	struct peer consumer, producer;

	way_start(&consumer, (enum way)_i, r);
	way_start(&producer, (enum way)_i, r);
	ck_assert_int_eq(peer_consumer(&consumer, NULL, 0, 0), 0);
	ck_assert_int_eq(peer_producer(&producer, SOURCE), 0);
	peer_tell_consume(&consumer, 40000);
	peer_tell(&producer, &produce);
	ck_assert_int_eq(peer_answer(&producer), 40000);
	ck_assert_int_eq(peer_answer(&consumer), 40000);
	audit_must_be(&consumer.answer.audit, 40000, 0);
	ck_assert_uint_eq(consumer.answer.audit.bytes, producer.answer.published_bytes);
	peer_quit(&consumer);
	peer_quit(&producer);
	shmring_close(r);
}
END_TEST

START_TEST(every_small_size_arrives)
{
	struct pair p;

	pair_begin(&p, SHMRING_MIN_LANE_SIZE, _i ? 64 : 8);
	for (size_t len = 600; len-- > 0;) {
		publish_numbers(p.producer, SOURCE, 599 - len, 1, len);
		consume_audited(p.consumer, &p.audit, 1);
	}
	audit_must_be(&p.audit, 600, 0);
	pair_end(&p);
}
END_TEST

/* A record goes across the end of the lane, however many bytes are left before it. */
START_TEST(every_size_goes_across_the_end_of_the_lane)
{
	uint64_t number = 0;
	struct pair p;
	size_t most;

	pair_begin(&p, SHMRING_MIN_LANE_SIZE, _i ? 64 : 8);
	most = shmring_producer_max_message(p.producer);
	for (size_t len = most; len >= 1000; len -= len / 7) {
		for (size_t rest = 0; rest < 3 * 64; rest += 8) {
			publish_numbers(p.producer, SOURCE, number++, 1, len);
			consume_audited(p.consumer, &p.audit, 1);
			publish_numbers(p.producer, SOURCE, number++, 1, rest);
			consume_audited(p.consumer, &p.audit, 1);
		}
	}
	audit_must_be(&p.audit, number, 0);
	pair_end(&p);
}
END_TEST

START_TEST(random_bursts_arrive)
{
	static const uint64_t lane_sizes[] = { 1 << 16, 1 << 17, 1 << 20 };
	uint64_t seed = random_seed() + (uint64_t)_i, published = 0, burst;
	struct pair p;
	size_t len;

	pair_begin(&p, lane_sizes[_i % 3], _i & 1 ? 64 : 8);
	while (published < 5000) {
		len = random_size(&seed, 0, shmring_producer_max_message(p.producer));
		if (published == 0)
			len = sizeof(struct audit_header);
		burst = publish_until_full(p.producer, SOURCE, published, len);
		published += burst;
		consume_audited(p.consumer, &p.audit, random_below(&seed, burst + 1));
		if (burst == 0)
			consume_all(p.consumer, &p.audit);
	}
	consume_all(p.consumer, &p.audit);
	audit_must_be(&p.audit, published, 0);
	pair_end(&p);
}
END_TEST

START_TEST(longest_message_is_half_a_lane)
{
	struct pair p;

	pair_begin(&p, SHMRING_MIN_LANE_SIZE, 8);
	ck_assert_uint_ge(shmring_producer_max_message(p.producer), SHMRING_MIN_LANE_SIZE / 2 - 64);
	ck_assert_uint_le(shmring_producer_max_message(p.producer), SHMRING_MIN_LANE_SIZE / 2);
	for (uint64_t i = 0; i < 10; i++) {
		publish_numbers(p.producer, SOURCE, i, 1, shmring_producer_max_message(p.producer));
		consume_audited(p.consumer, &p.audit, 1);
	}
	audit_must_be(&p.audit, 10, 0);
	pair_end(&p);
}
END_TEST

START_TEST(longer_message_is_refused_and_harms_nothing)
{
	struct pair p;
	size_t most;
	void *data;
	char *big;

	pair_begin(&p, SHMRING_MIN_LANE_SIZE, 8);
	most = shmring_producer_max_message(p.producer);
	big = calloc(1, most + 1);
	ck_assert_ptr_nonnull(big);
	publish_numbers(p.producer, SOURCE, 0, 1, 100);
	must_fail(EMSGSIZE, shmring_publish(p.producer, big, most + 1, SHMRING_NOWAIT));
	must_fail(EMSGSIZE, shmring_claim(p.producer, most + 1, SHMRING_FOREVER, &data));
	must_fail(EMSGSIZE, shmring_claim(p.producer, SIZE_MAX, SHMRING_FOREVER, &data));
	must_fail(EMSGSIZE, shmring_claim(p.producer, SIZE_MAX - 16, SHMRING_FOREVER, &data));
	publish_numbers(p.producer, SOURCE, 1, 1, 100);
	consume_audited(p.consumer, &p.audit, 2);
	audit_must_be(&p.audit, 2, 0);
	free(big);
	pair_end(&p);
}
END_TEST

START_TEST(empty_messages_are_messages)
{
	struct shmring_message m;
	struct pair p;

	pair_begin(&p, SHMRING_MIN_LANE_SIZE, 8);
	for (uint64_t i = 0; i < 20000; i++) {
		must(shmring_publish(p.producer, NULL, 0, SHMRING_NOWAIT));
		must(shmring_peek(p.consumer, SHMRING_NOWAIT, &m));
		ck_assert_uint_eq(m.len, 0);
		ck_assert_uint_eq(m.seq, i);
		ck_assert_ptr_nonnull(m.data);
		must(shmring_release(p.consumer));
	}
	must_fail(EAGAIN, shmring_peek(p.consumer, SHMRING_NOWAIT, &m));
	pair_end(&p);
}
END_TEST

START_TEST(whole_lane_can_be_used)
{
	uint64_t record = 8 + 8, count;
	struct pair p;

	pair_begin(&p, SHMRING_MIN_LANE_SIZE, 8);
	for (uint64_t lap = 0, number = 0; lap < 3; lap++, number += count) {
		count = publish_until_full(p.producer, SOURCE, number, 8);
		/* One zero word ends the lane; messages can use the rest. */
		ck_assert_uint_ge((count + 1) * record, SHMRING_MIN_LANE_SIZE - 8);
		ck_assert_uint_eq(consume_all(p.consumer, &p.audit), count);
	}
	pair_end(&p);
}
END_TEST

START_TEST(default_ring_takes_megabytes)
{
	struct pair p = { 0 };

	must(shmring_create(&p.ring, room_path("ring"), NULL));
	p.consumer = consumer_attach(p.ring, NULL, SHMRING_START_DEFAULT, 0);
	p.producer = producer_attach(p.ring);
	audit_begin(&p.audit, true);
	ck_assert_uint_gt(shmring_producer_max_message(p.producer), 4000000);
	for (uint64_t i = 0; i < 6; i++) {
		publish_numbers(p.producer, SOURCE, i, 1, 3000001);
		consume_audited(p.consumer, &p.audit, 1);
	}
	audit_must_be(&p.audit, 6, 0);
	pair_end(&p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("stream");
	TCase *tc = room_case(s, "stream", 40);

	tcase_add_loop_test(tc, consumer_process_gets_all_messages_of_this_process, 0, WAYS);
	tcase_add_loop_test(tc, process_to_process_every_call_every_size, 0, WAYS);
	tcase_add_loop_test(tc, every_small_size_arrives, 0, 2);
	tcase_add_loop_test(tc, every_size_goes_across_the_end_of_the_lane, 0, 2);
	tcase_add_loop_test(tc, random_bursts_arrive, 0, 6);
	tcase_add_test(tc, longest_message_is_half_a_lane);
	tcase_add_test(tc, longer_message_is_refused_and_harms_nothing);
	tcase_add_test(tc, empty_messages_are_messages);
	tcase_add_test(tc, whole_lane_can_be_used);
	tcase_add_test(tc, default_ring_takes_megabytes);
	return run_suite(s);
}
