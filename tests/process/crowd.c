/* SPDX-License-Identifier: MIT */
/*
 * Many producers and many consumers at once: every consumer gets every message
 * of every producer, and each participant beyond the limits gets a clear error.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>

#include <check.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { MESSAGES = 20000, MOST = 8 };

struct crowd {
	enum way way;
	unsigned producers;
	unsigned consumers;
};

static const struct crowd crowds[] = {
	{ WAY_MEMORY_EXEC, 1, 4 },    { WAY_MEMORY_EXEC, 4, 1 }, { WAY_MEMORY_EXEC, 3, 3 },
	{ WAY_ANONYMOUS_FORK, 2, 2 }, { WAY_DISK_EXEC, 2, 2 },	 { WAY_PASSED_EXEC, 8, 2 },
};

static struct shmring_ring *crowd_create(const struct crowd *crowd)
{
	struct shmring_config config = small_config();

	config.lanes = crowd->producers;
	return way_create(crowd->way, &config);
}

static void tell_produce(struct peer *p, uint64_t seed)
{
	peer_tell(p, &(struct peer_command){ .op = PEER_PRODUCE,
					     .count = MESSAGES,
					     .max = 2000,
					     .seed = seed,
					     .deadline = patience() });
}

START_TEST(every_consumer_gets_every_message_of_every_producer)
{
	const struct crowd *crowd = &crowds[_i];
	struct peer producers[MOST], consumers[MOST];
	struct shmring_ring *r = crowd_create(crowd);
	uint64_t bytes = 0;

	for (unsigned i = 0; i < crowd->consumers; i++) {
		way_start(&consumers[i], crowd->way, r);
		ck_assert_int_eq(peer_consumer(&consumers[i], NULL, 0, 0), 0);
		peer_tell_consume(&consumers[i], MESSAGES * crowd->producers);
	}
	for (unsigned i = 0; i < crowd->producers; i++) {
		way_start(&producers[i], crowd->way, r);
		ck_assert_int_eq(peer_producer(&producers[i], i + 1), 0);
		tell_produce(&producers[i], random_seed() + i);
	}
	for (unsigned i = 0; i < crowd->producers; i++) {
		ck_assert_int_eq(peer_answer(&producers[i]), MESSAGES);
		bytes += producers[i].answer.published_bytes;
	}
	for (unsigned i = 0; i < crowd->consumers; i++) {
		ck_assert_int_eq(peer_answer(&consumers[i]), MESSAGES * crowd->producers);
		audit_must_be(&consumers[i].answer.audit, MESSAGES * crowd->producers, 0);
		ck_assert_uint_eq(consumers[i].answer.audit.bytes, bytes);
		peer_quit(&consumers[i]);
	}
	for (unsigned i = 0; i < crowd->producers; i++)
		peer_quit(&producers[i]);
	shmring_close(r);
}
END_TEST

START_TEST(ring_of_n_lanes_has_n_producers)
{
	static const uint32_t lanes[] = { 1, 2, 7, 64 };
	struct shmring_producer *p[SHMRING_MAX_LANES], *extra;
	struct shmring_config config = small_config();
	uint64_t taken = 0;
	struct shmring_ring *r;

	config.lanes = lanes[_i];
	r = ring_create(&config);
	for (unsigned i = 0; i < config.lanes; i++) {
		p[i] = producer_attach(r);
		taken |= (uint64_t)1 << must(shmring_producer_lane(p[i]));
	}
	ck_assert_uint_eq((uint64_t)__builtin_popcountll(taken), config.lanes);
	must_fail(EUSERS, shmring_producer_attach(&extra, r, NULL));
	shmring_producer_detach(p[0]);
	p[0] = producer_attach(r);
	must_fail(EUSERS, shmring_producer_attach(&extra, r, NULL));
	for (unsigned i = 0; i < config.lanes; i++)
		shmring_producer_detach(p[i]);
	shmring_close(r);
}
END_TEST

START_TEST(other_process_is_refused_a_lane_too)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r;
	struct peer one, two;

	config.lanes = 1;
	r = ring_create(&config);
	ring_start(&one);
	ring_start(&two);
	ck_assert_int_eq(peer_producer(&one, 1), 0);
	ck_assert_int_eq(peer_producer(&two, 2), -EUSERS);
	ck_assert_str_ne(two.answer.explain, "");
	ck_assert_int_eq(peer_simple(&one, PEER_DETACH), 0);
	ck_assert_int_eq(peer_producer(&two, 2), 0);
	peer_quit(&one);
	peer_quit(&two);
	shmring_close(r);
}
END_TEST

START_TEST(sixty_four_producers_reach_one_consumer)
{
	struct shmring_producer *p[SHMRING_MAX_LANES];
	struct shmring_config config = small_config();
	struct shmring_consumer *c;
	struct audit audit;
	struct shmring_ring *r;

	config.lanes = SHMRING_MAX_LANES;
	r = way_create(WAY_PASSED_EXEC, &config);
	c = consumer_attach(r, NULL, SHMRING_START_DEFAULT, 0);
	audit_begin(&audit, true);
	for (unsigned i = 0; i < SHMRING_MAX_LANES; i++)
		p[i] = producer_attach(r);
	for (uint64_t number = 0; number < 50; number++)
		for (unsigned i = 0; i < SHMRING_MAX_LANES; i++)
			publish_numbers(p[i], i + 1, number, 1, 200);
	ck_assert_uint_eq(consume_all(c, &audit), 50 * SHMRING_MAX_LANES);
	audit_must_be(&audit, 50 * SHMRING_MAX_LANES, 0);
	for (unsigned i = 0; i < SHMRING_MAX_LANES; i++)
		shmring_producer_detach(p[i]);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(consumer_after_the_sixty_fourth_is_refused)
{
	struct shmring_consumer *c[SHMRING_MAX_CONSUMERS], *extra, *observer;
	struct shmring_config config = small_config();
	struct shmring_ring *r = ring_create(&config);
	struct shmring_producer *p = producer_attach(r);
	struct audit audit;

	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++)
		c[i] = consumer_attach(r, NULL, SHMRING_START_OLDEST, 0);
	must_fail(EUSERS, shmring_consumer_attach(&extra, r, NULL));
	observer = consumer_attach(r, NULL, SHMRING_START_OLDEST, SHMRING_OBSERVE);
	shmring_consumer_detach(observer);
	publish_numbers(p, 1, 0, 100, 300);
	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++) {
		audit_begin(&audit, true);
		ck_assert_uint_eq(consume_all(c[i], &audit), 100);
		audit_must_be(&audit, 100, 0);
	}
	shmring_consumer_detach(c[63]);
	c[63] = consumer_attach(r, NULL, SHMRING_START_NOW, 0);
	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++)
		shmring_consumer_detach(c[i]);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* Lanes that get their first owner after the consumer came. */
START_TEST(consumer_finds_lanes_of_later_producers)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = ring_create(&config);
	struct shmring_consumer *c = consumer_attach(r, NULL, SHMRING_START_NOW, 0);
	struct peer producer;
	struct audit audit;

	audit_begin(&audit, true);
	ring_start(&producer);
	ck_assert_int_eq(peer_producer(&producer, 1), 0);
	ck_assert_int_eq(peer_produce(&producer, 20, 1000), 20);
	consume_audited(c, &audit, 20);
	audit_must_be(&audit, 20, 0);
	peer_quit(&producer);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

struct thread {
	struct shmring_ring *ring;
	uint64_t source;
};

static void *produce_in_thread(void *arg)
{
	struct thread *t = arg;
	struct shmring_producer *p = producer_attach(t->ring);

	publish_numbers(p, t->source, 0, 5000, 100);
	shmring_producer_detach(p);
	return NULL;
}

START_TEST(threads_of_one_process_attach_like_processes)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = way_create(WAY_PASSED_EXEC, &config);
	struct shmring_consumer *c = consumer_attach(r, NULL, SHMRING_START_NOW, 0);
	struct thread threads[3] = { { .ring = r, .source = 1 },
				     { .ring = r, .source = 2 },
				     { .ring = r, .source = 3 } };
	struct audit audit;
	pthread_attr_t attr;
	pthread_t id[3];

	/* Guards and arenas that stay with the C library would look like leaks. */
	mallopt(M_ARENA_MAX, 1);
	ck_assert_int_eq(pthread_attr_init(&attr), 0);
	ck_assert_int_eq(pthread_attr_setguardsize(&attr, 0), 0);
	audit_begin(&audit, true);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&id[i], &attr, produce_in_thread, &threads[i]), 0);
	consume_audited(c, &audit, 15000);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_join(id[i], NULL), 0);
	audit_must_be(&audit, 15000, 0);
	pthread_attr_destroy(&attr);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("crowd");
	TCase *tc = room_case(s, "crowd", 40);
	int count = sizeof(crowds) / sizeof(*crowds);

	tcase_add_loop_test(tc, every_consumer_gets_every_message_of_every_producer, 0, count);
	tcase_add_loop_test(tc, ring_of_n_lanes_has_n_producers, 0, 4);
	tcase_add_test(tc, other_process_is_refused_a_lane_too);
	tcase_add_test(tc, sixty_four_producers_reach_one_consumer);
	tcase_add_test(tc, consumer_after_the_sixty_fourth_is_refused);
	tcase_add_test(tc, consumer_finds_lanes_of_later_producers);
	tcase_add_test(tc, threads_of_one_process_attach_like_processes);
	return run_suite(s);
}
