/* SPDX-License-Identifier: MIT */
/*
 * Sleep and wake, in both directions, with both wake options. A ring whose
 * sleepers look again only after ten seconds shows every wake-up that is lost:
 * no test here takes that long.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include <check.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 71, MS = 1000000, LIMIT_MS = 8000 };

static struct shmring_ring *create(uint32_t wake)
{
	struct shmring_config config = small_config();

	config.wake = wake;
	config.max_sleep_ns = 10000000000;
	return ring_create(&config);
}

static void start_consumer(struct peer *c, uint32_t flags)
{
	ring_start(c);
	ck_assert_int_eq(peer_call(c, &(struct peer_command){ .op = PEER_CONSUMER,
							      .flags = flags,
							      .spin_ns = -1 }),
			 0);
}

static void start_producer(struct peer *p)
{
	ring_start(p);
	ck_assert_int_eq(peer_call(p, &(struct peer_command){ .op = PEER_PRODUCER,
							      .source = SOURCE,
							      .spin_ns = -1 }),
			 0);
}

START_TEST(sleeping_consumer_is_woken)
{
	struct shmring_ring *r = create((uint32_t)_i);
	struct shmring_producer *p = producer_attach(r);
	int64_t began = clock_now();
	struct peer c;

	start_consumer(&c, 0);
	for (uint64_t number = 0; number < 100; number++) {
		peer_tell_consume(&c, 1);
		child_await_sleep(&c.child);
		publish_numbers(p, SOURCE, number, 1, 40);
		ck_assert_int_eq(peer_answer(&c), 1);
	}
	audit_must_be(&c.answer.audit, 100, 0);
	ck_assert_uint_ge(c.answer.counters.sleeps, 100);
	ck_assert_int_lt(clock_now() - began, (int64_t)LIMIT_MS * MS);
	peer_quit(&c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* Every call that publishes wakes. */
START_TEST(flush_and_commit_wake_too)
{
	struct shmring_ring *r = create((uint32_t)_i);
	struct shmring_producer *p = producer_attach(r);
	int64_t began = clock_now();
	struct peer c;
	void *data = NULL;

	start_consumer(&c, 0);
	for (uint64_t number = 0; number < 20; number++) {
		peer_tell_consume(&c, 1);
		child_await_sleep(&c.child);
		must(shmring_claim(p, 40, SHMRING_NOWAIT, &data));
		audit_fill(data, 40, SOURCE, number);
		if (number & 1) {
			must(shmring_stage(p, 40));
			must(shmring_flush(p));
		} else {
			must(shmring_commit(p, 40));
		}
		ck_assert_int_eq(peer_answer(&c), 1);
	}
	audit_must_be(&c.answer.audit, 20, 0);
	ck_assert_int_lt(clock_now() - began, (int64_t)LIMIT_MS * MS);
	peer_quit(&c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(all_sleeping_consumers_are_woken)
{
	struct shmring_ring *r = create((uint32_t)_i);
	struct shmring_producer *p = producer_attach(r);
	int64_t began = clock_now();
	struct peer c[3];

	for (int i = 0; i < 3; i++)
		start_consumer(&c[i], 0);
	for (uint64_t number = 0; number < 30; number++) {
		for (int i = 0; i < 3; i++)
			peer_tell_consume(&c[i], 1);
		for (int i = 0; i < 3; i++)
			child_await_sleep(&c[i].child);
		publish_numbers(p, SOURCE, number, 1, 40);
		for (int i = 0; i < 3; i++)
			ck_assert_int_eq(peer_answer(&c[i]), 1);
	}
	ck_assert_int_lt(clock_now() - began, (int64_t)LIMIT_MS * MS);
	for (int i = 0; i < 3; i++)
		peer_quit(&c[i]);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* The consumer that wakes: with and without a name, and one that could be evicted. */
struct waker {
	uint32_t wake;
	uint32_t slow_policy;
	const char *name;
};

static const struct waker wakers[] = {
	{ SHMRING_WAKE_AUTO, SHMRING_SLOW_BLOCK, NULL },
	{ SHMRING_WAKE_FENCE, SHMRING_SLOW_BLOCK, NULL },
	{ SHMRING_WAKE_AUTO, SHMRING_SLOW_BLOCK, "waker" },
	{ SHMRING_WAKE_FENCE, SHMRING_SLOW_BLOCK, "waker" },
	{ SHMRING_WAKE_AUTO, SHMRING_SLOW_EVICT, NULL },
	{ SHMRING_WAKE_AUTO, SHMRING_SLOW_EVICT, "waker" },
};

static struct shmring_ring *create_for(const struct waker *waker)
{
	struct shmring_config config = small_config();

	config.wake = waker->wake;
	config.slow_policy = waker->slow_policy;
	config.evict_after_ns = 60000000000;
	config.max_sleep_ns = 10000000000;
	return ring_create(&config);
}

START_TEST(sleeping_producer_is_woken)
{
	struct shmring_ring *r = create_for(&wakers[_i]);
	struct shmring_consumer *c = consumer_attach(r, wakers[_i].name, 0, 0);
	int64_t began = clock_now();
	struct audit audit;
	struct peer p;

	audit_begin(&audit, true);
	start_producer(&p);
	peer_tell_produce(&p, 3000, 2000);
	while (audit.messages < 2000) {
		child_await_sleep(&p.child);
		consume_all(c, &audit);
	}
	consume_audited(c, &audit, 3000 - audit.messages);
	ck_assert_int_eq(peer_answer(&p), 3000);
	audit_must_be(&audit, 3000, 0);
	ck_assert_int_lt(clock_now() - began, (int64_t)LIMIT_MS * MS);
	peer_quit(&p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* Both producers wait for one release, which covers the lanes of both. */
START_TEST(one_release_wakes_all_sleeping_producers)
{
	struct shmring_ring *r = create((uint32_t)_i);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_message m[512];
	int64_t began = clock_now();
	struct peer p[2];

	for (int i = 0; i < 2; i++) {
		start_producer(&p[i]);
		peer_tell(&p[i], &(struct peer_command){ .op = PEER_PRODUCE,
							 .count = 70,
							 .min = 1000,
							 .max = 1000,
							 .deadline = patience() });
	}
	for (int i = 0; i < 2; i++)
		child_await_sleep(&p[i].child);
	while (shmring_peek_batch(c, SHMRING_NOWAIT, m, 512) > 0)
		;
	must(shmring_release(c));
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(peer_answer(&p[i]), 70);
	ck_assert_int_lt(clock_now() - began, (int64_t)LIMIT_MS * MS);
	for (int i = 0; i < 2; i++)
		peer_quit(&p[i]);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* Neither spins: each sleeps for the other, thousands of times. */
START_TEST(two_sleepers_never_lose_each_other)
{
	struct shmring_ring *r = create((uint32_t)_i);
	int64_t began = clock_now();
	struct peer p, c;

	start_consumer(&c, 0);
	start_producer(&p);
	peer_tell_consume(&c, 60000);
	peer_tell(&p, &(struct peer_command){ .op = PEER_PRODUCE,
					      .count = 60000,
					      .max = 8000,
					      .seed = 5,
					      .deadline = patience() });
	ck_assert_int_eq(peer_answer(&p), 60000);
	ck_assert_int_eq(peer_answer(&c), 60000);
	audit_must_be(&c.answer.audit, 60000, 0);
	ck_assert_int_lt(clock_now() - began, (int64_t)LIMIT_MS * MS);
	peer_quit(&p);
	peer_quit(&c);
	shmring_close(r);
}
END_TEST

/* Two rings, one for each direction. */
struct circuit {
	struct shmring_ring *there, *back;
};

/* Answer each message at once and go to sleep for the next one, until one has a byte. */
static int answer_and_sleep(int socket, void *arg)
{
	struct shmring_consumer_options options = { .size = sizeof(options), .spin_ns = -1 };
	struct circuit *rings = arg;
	struct shmring_consumer *c;
	struct shmring_producer *p;
	struct shmring_message m;

	must(shmring_join(rings->there));
	must(shmring_join(rings->back));
	must(shmring_consumer_attach(&c, rings->there, &options));
	p = producer_attach(rings->back);
	step_tell(socket);
	do {
		must(shmring_peek(c, patience(), &m));
		must(shmring_release(c));
		must(shmring_publish(p, "", 0, SHMRING_NOWAIT));
	} while (m.len == 0);
	return 0;
}

/*
 * The answer to an answer comes just as the other has looked and is about to
 * sleep; a little earlier or later each time. Nothing comes after it that could
 * wake a sleeper that missed it: it would sleep for ten seconds.
 */
START_TEST(message_at_the_moment_of_falling_asleep_is_not_missed)
{
	struct shmring_consumer_options options = { .size = sizeof(options),
						    .spin_ns = SHMRING_FOREVER };
	struct circuit rings = { create((uint32_t)_i), way_create(WAY_PASSED_EXEC, NULL) };
	int64_t end = clock_now() + 3000 * (int64_t)MS;
	uint64_t seed = random_seed();
	struct shmring_consumer *c;
	struct shmring_producer *p;
	struct shmring_message m;
	struct child other;

	must(shmring_consumer_attach(&c, rings.back, &options));
	p = producer_attach(rings.there);
	child_fork(&other, answer_and_sleep, &rings);
	step_await(other.socket);
	for (int round = 100000; round >= 0; round--) {
		if (round % 100 == 0 && clock_now() > end)
			round = 0;
		for (uint64_t n = random_below(&seed, 300); n > 0; n--)
			atomic_signal_fence(memory_order_seq_cst);
		must(shmring_publish(p, "", round == 0, SHMRING_NOWAIT));
		must(shmring_peek(c, shmring_deadline((int64_t)LIMIT_MS * MS), &m));
		must(shmring_release(c));
	}
	child_end(&other);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(rings.there);
	shmring_close(rings.back);
}
END_TEST

START_TEST(sleeping_observer_looks_again_by_itself)
{
	struct shmring_ring *r = create((uint32_t)_i);
	struct shmring_producer *p = producer_attach(r);
	int64_t began = clock_now();
	struct peer o;

	start_consumer(&o, SHMRING_OBSERVE);
	for (uint64_t number = 0; number < 20; number++) {
		peer_tell_consume(&o, 1);
		child_await_sleep(&o.child);
		publish_numbers(p, SOURCE, number, 1, 40);
		ck_assert_int_eq(peer_answer(&o), 1);
	}
	audit_must_be(&o.answer.audit, 20, 0);
	ck_assert_int_lt(clock_now() - began, (int64_t)LIMIT_MS * MS);
	peer_quit(&o);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* In every way of waiting, the call does not return before its deadline. */
START_TEST(consumer_waits_until_the_deadline)
{
	static const int64_t spins[] = { -1, 0, 5 * MS, SHMRING_FOREVER };
	struct shmring_consumer_options options = { .size = sizeof(options), .spin_ns = spins[_i] };
	struct shmring_ring *r = create(SHMRING_WAKE_AUTO);
	struct shmring_consumer *c;
	struct shmring_counters n = { .size = sizeof(n) };
	struct shmring_message m;
	int64_t deadline;

	must(shmring_consumer_attach(&c, r, &options));
	/* The longer pauses are longer than the scheduler keeps a process waiting. */
	for (int ms = 1; ms <= 256; ms *= 2) {
		deadline = shmring_deadline(ms * (int64_t)MS);
		must_fail(ETIMEDOUT, shmring_peek(c, deadline, &m));
		ck_assert_int_ge(clock_now(), deadline);
	}
	must(shmring_consumer_counters(c, &n));
	ck_assert_uint_eq(n.waits, 9);
	if (spins[_i] == SHMRING_FOREVER)
		ck_assert_uint_eq(n.sleeps, 0);
	else
		ck_assert_uint_gt(n.sleeps, 0);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(past_deadline_does_not_wait)
{
	struct shmring_ring *r = create(SHMRING_WAKE_AUTO);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_counters n = { .size = sizeof(n) };
	struct shmring_message m;
	char buffer[64];

	must_fail(EAGAIN, shmring_peek(c, SHMRING_NOWAIT, &m));
	must_fail(EAGAIN, shmring_receive(c, buffer, sizeof(buffer), SHMRING_NOWAIT));
	must_fail(ETIMEDOUT, shmring_peek(c, clock_now() - 1, &m));
	must_fail(ETIMEDOUT, shmring_peek(c, 1, &m));
	publish_until_full(p, SOURCE, 0, 1000);
	must(shmring_peek(c, clock_now() - 1, &m));
	must(shmring_consumer_counters(c, &n));
	ck_assert_uint_eq(n.sleeps, 0);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(signal_interrupts_the_sleep_of_a_consumer)
{
	struct shmring_ring *r = create((uint32_t)_i);
	struct shmring_producer *p = producer_attach(r);
	struct peer c;

	start_consumer(&c, 0);
	peer_tell_consume(&c, 1);
	child_await_sleep(&c.child);
	ck_assert_int_eq(kill(c.child.pid, SIGUSR1), 0);
	ck_assert_int_eq(peer_answer(&c), -EINTR);
	publish_numbers(p, SOURCE, 0, 1, 40);
	ck_assert_int_eq(peer_consume(&c, 1), 1);
	peer_quit(&c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(signal_interrupts_the_sleep_of_a_producer)
{
	struct shmring_ring *r = create((uint32_t)_i);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct audit audit;
	struct peer p;

	audit_begin(&audit, true);
	start_producer(&p);
	peer_tell_produce(&p, 5000, 1000);
	child_await_sleep(&p.child);
	ck_assert_int_eq(kill(p.child.pid, SIGUSR1), 0);
	ck_assert_int_eq(peer_answer(&p), -EINTR);
	ck_assert_uint_eq(consume_all(c, &audit), p.answer.published);
	ck_assert_int_eq(peer_produce(&p, 10, 1000), 10);
	consume_audited(c, &audit, 10);
	audit_must_be(&audit, p.answer.published, 0);
	peer_quit(&p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* Processor time of another process, in nanoseconds. */
static int64_t processor_time(pid_t pid)
{
	struct timespec used;
	clockid_t clock;

	ck_assert_int_eq(clock_getcpuclockid(pid, &clock), 0);
	ck_assert_int_eq(clock_gettime(clock, &used), 0);
	return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

START_TEST(idle_consumer_uses_no_processor)
{
	struct shmring_config config = small_config();
	struct peer_command consume = { .op = PEER_CONSUME, .count = 1 };
	struct shmring_ring *r;
	struct peer c;
	int64_t used;

	r = ring_create(&config);
	start_consumer(&c, 0);
	consume.deadline = shmring_deadline(700 * MS);
	peer_tell(&c, &consume);
	child_await_sleep(&c.child);
	used = processor_time(c.child.pid);
	ck_assert_int_eq(peer_answer(&c), -ETIMEDOUT);
	ck_assert_int_lt(processor_time(c.child.pid) - used, 5 * MS);
	ck_assert_uint_le(c.answer.counters.sleeps, 12);
	peer_quit(&c);
	shmring_close(r);
}
END_TEST

START_TEST(killed_sleeper_costs_the_producer_few_system_calls)
{
	struct shmring_ring *r = create((uint32_t)_i);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_counters n = { .size = sizeof(n) };
	struct peer c;

	for (int round = 0; round < 5; round++) {
		start_consumer(&c, 0);
		peer_tell_consume(&c, UINT32_MAX);
		child_await_sleep(&c.child);
		child_kill(&c.child);
	}
	publish_numbers(p, SOURCE, 0, 10000, 40);
	must(shmring_producer_counters(p, &n));
	ck_assert_uint_le(n.wakes, 10);
	ck_assert_uint_le(n.system_calls, 200);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(publishing_without_sleepers_makes_no_system_call)
{
	struct shmring_ring *r = create(SHMRING_WAKE_AUTO);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_counters n = { .size = sizeof(n) };
	struct audit audit;

	audit_begin(&audit, true);
	for (uint64_t number = 0; number < 3000; number += 10) {
		publish_numbers(p, SOURCE, number, 10, 100);
		consume_audited(c, &audit, 10);
	}
	must(shmring_producer_counters(p, &n));
	ck_assert_uint_eq(n.system_calls, 0);
	ck_assert_uint_eq(n.wakes, 0);
	must(shmring_consumer_counters(c, &n));
	ck_assert_uint_eq(n.system_calls, 0);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* A producer killed between publishing and waking: no process wakes, so the
 * sleeper looks for itself, before max_sleep_ns is over twice. */
START_TEST(sleep_is_bounded)
{
	struct shmring_config config = small_config();
	struct peer_command consume = { .op = PEER_CONSUME, .count = 1 };
	struct shmring_ring *r;
	struct peer c;

	config.max_sleep_ns = 5 * MS;
	r = ring_create(&config);
	start_consumer(&c, 0);
	consume.deadline = shmring_deadline(200 * MS);
	ck_assert_int_eq(peer_call(&c, &consume), -ETIMEDOUT);
	ck_assert_uint_ge(c.answer.counters.sleeps, 10);
	peer_quit(&c);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wake");
	TCase *tc = room_case(s, "wake", 40);

	tcase_add_loop_test(tc, sleeping_consumer_is_woken, 0, 2);
	tcase_add_loop_test(tc, flush_and_commit_wake_too, 0, 2);
	tcase_add_loop_test(tc, all_sleeping_consumers_are_woken, 0, 2);
	tcase_add_loop_test(tc, sleeping_producer_is_woken, 0, 6);
	tcase_add_loop_test(tc, one_release_wakes_all_sleeping_producers, 0, 2);
	tcase_add_loop_test(tc, two_sleepers_never_lose_each_other, 0, 2);
	tcase_add_loop_test(tc, message_at_the_moment_of_falling_asleep_is_not_missed, 0, 2);
	tcase_add_loop_test(tc, sleeping_observer_looks_again_by_itself, 0, 2);
	tcase_add_loop_test(tc, consumer_waits_until_the_deadline, 0, 4);
	tcase_add_test(tc, past_deadline_does_not_wait);
	tcase_add_loop_test(tc, signal_interrupts_the_sleep_of_a_consumer, 0, 2);
	tcase_add_loop_test(tc, signal_interrupts_the_sleep_of_a_producer, 0, 2);
	tcase_add_test(tc, idle_consumer_uses_no_processor);
	tcase_add_loop_test(tc, killed_sleeper_costs_the_producer_few_system_calls, 0, 2);
	tcase_add_test(tc, publishing_without_sleepers_makes_no_system_call);
	tcase_add_test(tc, sleep_is_bounded);
	return run_suite(s);
}
