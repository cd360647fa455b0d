/* SPDX-License-Identifier: MIT */
/*
 * Positions near 2^32, 2^63 and 2^64: nothing special happens there.
 */
#include <errno.h>
#include <stdint.h>

#include <check.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 64 };

#define LANE SHMRING_MIN_LANE_SIZE

/* Where the lanes begin, so that the border lies within, before, or behind. */
static const uint64_t begins[] = {
	((uint64_t)1 << 32) - 64, ((uint64_t)1 << 32) - LANE,  ((uint64_t)1 << 32) - 5 * 64,
	((uint64_t)1 << 63) - 64, ((uint64_t)1 << 63) - LANE,  (uint64_t)0 - 64,
	(uint64_t)0 - LANE,	  (uint64_t)0 - LANE / 2 - 64, (uint64_t)0 - 3 * LANE - 1088,
	(uint64_t)0 - 2 * LANE,
};

enum { BEGINS = sizeof(begins) / sizeof(*begins) };

static struct shmring_ring *create(int begin)
{
	struct shmring_config config = small_config();

	config.lanes = 2;
	config.first_position = begins[begin];
	return ring_create(&config);
}

START_TEST(stream_goes_across_a_limit_of_positions)
{
	struct shmring_ring *r = create(_i);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_consumer *o = consumer_attach(r, NULL, 0, SHMRING_OBSERVE);
	struct shmring_producer *p = producer_attach(r);
	uint64_t seed = random_seed() + (uint64_t)_i, published = 0;
	struct audit audit, seen;

	audit_begin(&audit, true);
	audit_begin(&seen, true);
	while (published < 4000) {
		published +=
			publish_until_full(p, SOURCE, published, 32 + random_size(&seed, 0, 4000));
		consume_audited(c, &audit, random_below(&seed, published - audit.messages + 1));
		consume_audited(o, &seen, published - seen.messages);
	}
	consume_all(c, &audit);
	audit_must_be(&audit, published, 0);
	audit_must_be(&seen, published, 0);
	shmring_producer_detach(p);
	shmring_consumer_detach(o);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(processes_stream_across_a_limit_of_positions)
{
	struct peer_command produce = { .op = PEER_PRODUCE,
					.count = 3000,
					.max = 2000,
					.seed = random_seed() + (uint64_t)_i,
					.deadline = patience() };
	struct shmring_ring *r = create(_i);
	struct peer p, c;

	ring_start(&c);
	ring_start(&p);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	peer_tell_consume(&c, 3000);
	ck_assert_int_eq(peer_call(&p, &produce), 3000);
	ck_assert_int_eq(peer_answer(&c), 3000);
	audit_must_be(&c.answer.audit, 3000, 0);
	peer_quit(&p);
	peer_quit(&c);
	shmring_close(r);
}
END_TEST

START_TEST(successors_go_across_a_limit_of_positions)
{
	struct shmring_ring *r = create(_i);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct audit audit;
	struct peer p;

	audit_begin(&audit, true);
	for (uint64_t i = 0; i < 12; i++) {
		ring_start(&p);
		ck_assert_int_eq(peer_producer(&p, SOURCE + i), 0);
		ck_assert_int_eq(peer_produce(&p, 30, 1500), 30);
		child_kill(&p.child);
		consume_audited(c, &audit, 30);
	}
	audit_must_be(&audit, 360, 0);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* Overwriting: the oldest and the exact loss are found on either side. */
START_TEST(late_joiners_and_observers_find_their_place)
{
	struct shmring_ring *r = create(_i);
	struct shmring_consumer *o = consumer_attach(r, NULL, 0, SHMRING_OBSERVE);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c;
	uint64_t published = 0;
	struct audit audit, seen;

	audit_begin(&seen, true);
	for (int round = 0; round < 60; round++) {
		publish_numbers(p, SOURCE, published, 11, 900);
		published += 11;
		c = consumer_attach(r, NULL, SHMRING_START_OLDEST, 0);
		audit_begin(&audit, false);
		consume_all(c, &audit);
		ck_assert_msg(audit_faults(&audit) == 0, "%s", audit.first_fault);
		ck_assert_uint_eq(audit.lanes[0].next_seq, published);
		ck_assert_uint_ge(audit.messages, published < 55 ? published : 55);
		shmring_consumer_detach(c);
		if (round % 7 == 0)
			consume_all(o, &seen);
	}
	consume_all(o, &seen);
	audit_must_be(&seen, published - seen.lost, seen.lost);
	shmring_consumer_detach(o);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(names_resume_across_a_limit_of_positions)
{
	struct shmring_ring *r = create(_i);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c;
	struct audit audit;

	audit_begin(&audit, true);
	shmring_consumer_detach(consumer_attach(r, "logger", 0, 0));
	for (uint64_t number = 0; number < 600; number += 15) {
		publish_numbers(p, SOURCE, number, 15, 1000);
		c = consumer_attach(r, "logger", SHMRING_START_RESUME, 0);
		consume_audited(c, &audit, 15);
		shmring_consumer_detach(c);
	}
	audit_must_be(&audit, 600, 0);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(eviction_counts_across_a_limit_of_positions)
{
	struct shmring_config config = small_config();
	struct shmring_consumer *c;
	struct shmring_producer *p;
	struct shmring_ring *r;
	struct audit audit;

	config.first_position = begins[_i];
	config.slow_policy = SHMRING_SLOW_EVICT;
	config.evict_after_ns = 1000000;
	r = ring_create(&config);
	c = consumer_attach(r, NULL, 0, 0);
	p = producer_attach(r);
	audit_begin(&audit, true);
	for (uint64_t number = 0; number < 1000; number += 100) {
		publish_numbers(p, SOURCE, number, 100, 1000);
		consume_audited(c, &audit, 5);
	}
	consume_all(c, &audit);
	audit_must_be(&audit, 1000 - audit.lost, audit.lost);
	ck_assert_uint_gt(audit.lost, 0);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(first_position_must_be_aligned)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r;

	config.first_position = ((uint64_t)1 << 32) + 8;
	must_fail(EINVAL, shmring_create(&r, room_path("ring"), &config));
	config.first_position = UINT64_MAX;
	must_fail(EINVAL, shmring_create(&r, room_path("ring"), &config));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("positions");
	TCase *tc = room_case(s, "positions", 40);

	tcase_add_loop_test(tc, stream_goes_across_a_limit_of_positions, 0, BEGINS);
	tcase_add_loop_test(tc, processes_stream_across_a_limit_of_positions, 0, BEGINS);
	tcase_add_loop_test(tc, successors_go_across_a_limit_of_positions, 0, BEGINS);
	tcase_add_loop_test(tc, late_joiners_and_observers_find_their_place, 0, BEGINS);
	tcase_add_loop_test(tc, names_resume_across_a_limit_of_positions, 0, BEGINS);
	tcase_add_loop_test(tc, eviction_counts_across_a_limit_of_positions, 0, BEGINS);
	tcase_add_test(tc, first_position_must_be_aligned);
	return run_suite(s);
}
