/* SPDX-License-Identifier: MIT */
/*
 * Named consumers: the cursor outlives the process, belongs to one holder at a
 * time, and goes on holding producers back until it is forgotten.
 */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <check.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 9 };

static struct shmring_ring *ring;
static struct shmring_producer *producer;

static void begin(void)
{
	struct shmring_config config = small_config();

	config.lanes = 2;
	ring = ring_create(&config);
	producer = producer_attach(ring);
}

static void end(void)
{
	shmring_producer_detach(producer);
	shmring_close(ring);
}

static int try_name(const char *name, uint32_t start)
{
	struct shmring_consumer_options options = { .size = sizeof(options),
						    .name = name,
						    .start = start };
	struct shmring_consumer *c;

	return shmring_consumer_attach(&c, ring, &options);
}

/* The state of the named consumer; the test fails if there is none. */
static struct shmring_consumer_stat stat_name(const char *name)
{
	struct shmring_consumer_stat st = { .size = sizeof(st) };

	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++) {
		must(shmring_stat_consumer(ring, i, &st));
		if (st.state != SHMRING_FREE && strcmp(st.name, name) == 0)
			return st;
	}
	ck_abort_msg("no consumer %s", name);
}

/* The number of the next message under that name. */
static uint64_t next_of(const char *name, uint32_t start)
{
	struct shmring_consumer *c = consumer_attach(ring, name, start, 0);
	struct shmring_message m;

	must(shmring_peek(c, SHMRING_NOWAIT, &m));
	shmring_consumer_detach(c);
	return m.seq;
}

static void consume_as(const char *name, uint64_t count)
{
	struct shmring_consumer *c = consumer_attach(ring, name, SHMRING_START_DEFAULT, 0);
	struct audit audit;

	audit_begin(&audit, false);
	consume_audited(c, &audit, count);
	shmring_consumer_detach(c);
}

START_TEST(name_resumes_after_detach)
{
	begin();
	publish_numbers(producer, SOURCE, 0, 30, 100);
	consume_as("logger", 10);
	ck_assert_uint_eq(next_of("logger", SHMRING_START_RESUME), 10);
	ck_assert_uint_eq(next_of("logger", SHMRING_START_DEFAULT), 10);
	consume_as("logger", 5);
	ck_assert_uint_eq(next_of("logger", SHMRING_START_DEFAULT), 15);
	end();
}
END_TEST

START_TEST(name_resumes_in_another_process)
{
	struct peer peer;

	begin();
	publish_numbers(producer, SOURCE, 0, 30, 100);
	ring_start(&peer);
	ck_assert_int_eq(peer_consumer(&peer, "logger", 0, 0), 0);
	ck_assert_int_eq(peer_consume(&peer, 12), 12);
	peer_quit(&peer);
	ck_assert_uint_eq(next_of("logger", SHMRING_START_RESUME), 12);
	end();
}
END_TEST

START_TEST(successor_of_a_killed_holder_gets_unreleased_messages_again)
{
	struct peer_command peek = { .op = PEER_PEEK, .count = 8, .deadline = patience() };
	struct peer peer;

	begin();
	publish_numbers(producer, SOURCE, 0, 30, 100);
	ring_start(&peer);
	ck_assert_int_eq(peer_consumer(&peer, "logger", 0, 0), 0);
	ck_assert_int_eq(peer_consume(&peer, 12), 12);
	ck_assert_int_eq(peer_call(&peer, &peek), 8);
	child_kill(&peer.child);
	ck_assert_uint_eq(next_of("logger", SHMRING_START_RESUME), 12);
	end();
}
END_TEST

/* Notes of a consumer, for its successors after it was killed. */
struct diary {
	struct shmring_ring *ring;
	_Atomic uint64_t releasing; /* end of the messages that it may have released */
	_Atomic uint64_t released;  /* end of the messages that it has released */
};

/* Resume, compare the first message with the notes, and read on until killed. */
static int keep_diary(int socket, void *arg)
{
	struct diary *d = arg;
	struct shmring_consumer *c;
	struct shmring_message m;
	struct audit audit;

	must(shmring_join(d->ring));
	c = consumer_attach(d->ring, "logger", SHMRING_START_DEFAULT, 0);
	step_tell(socket);
	must(shmring_peek(c, patience(), &m));
	ck_assert_uint_ge(m.seq, d->released);
	ck_assert_uint_le(m.seq, d->releasing);
	shmring_rewind(c);
	audit_begin(&audit, false);
	for (;;) {
		must(shmring_peek(c, patience(), &m));
		ck_assert_msg(audit_peeked(&audit, c, &m), "%s", audit.first_fault);
		d->releasing = m.seq + 1;
		must(shmring_release(c));
		d->released = m.seq + 1;
	}
}

/* Redelivery begins at the first message that was not released. */
START_TEST(killed_holder_loses_and_repeats_no_message_in_a_stream)
{
	uint64_t seed = random_seed(), goal;
	struct diary *d =
		mmap(NULL, sizeof(*d), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int64_t limit = patience();
	struct child c;
	struct peer p;

	begin();
	d->ring = ring;
	ring_start(&p);
	for (int round = 0; round < 30; round++) {
		goal = d->released + 1 + random_below(&seed, 3000);
		child_fork(&c, keep_diary, d);
		step_await(c.socket);
		if (round == 0) {
			ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
			peer_tell_produce(&p, UINT32_MAX, 200);
		}
		while (d->released < goal)
			ck_assert_msg(sched_yield() == 0 && clock_now() < limit, "no progress");
		child_kill(&c);
	}
	child_kill(&p.child);
	munmap(d, sizeof(*d));
	end();
}
END_TEST

START_TEST(held_name_is_busy)
{
	struct shmring_consumer *c;
	struct peer peer;

	begin();
	c = consumer_attach(ring, "logger", 0, 0);
	must_fail(EBUSY, try_name("logger", SHMRING_START_DEFAULT));
	must_fail(EBUSY, try_name("logger", SHMRING_START_RESUME));
	must_fail(EBUSY, shmring_forget(ring, "logger"));
	ring_start(&peer);
	ck_assert_int_eq(peer_consumer(&peer, "logger", 0, 0), -EBUSY);
	ck_assert_int_eq(peer_consumer(&peer, "Logger", 0, 0), 0);
	shmring_consumer_detach(c);
	must_fail(EBUSY, try_name("Logger", SHMRING_START_DEFAULT));
	ck_assert_int_eq(peer_simple(&peer, PEER_DETACH), 0);
	ck_assert_int_eq(peer_consumer(&peer, "logger", SHMRING_START_RESUME, 0), 0);
	peer_quit(&peer);
	end();
}
END_TEST

struct race {
	struct shmring_ring *ring;
	char name[SHMRING_NAME_SIZE];
};

/* One runner: take the name on the signal, report the result, and hold the name. */
static int run_for_the_name(int socket, void *arg)
{
	struct race *race = arg;
	int r;

	must(shmring_join(race->ring));
	ring = race->ring;
	step_tell(socket);
	step_await(socket);
	r = try_name(race->name, SHMRING_START_DEFAULT);
	if (r != 0)
		must_fail(EBUSY, r);
	step_tell(socket);
	step_await(socket);
	return r == 0 ? 0 : 10;
}

START_TEST(one_of_two_gets_the_name)
{
	struct race race = { .name = "prize" };
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct child c[2];

	begin();
	race.ring = ring;
	for (int round = 0; round < 30; round++) {
		for (int i = 0; i < 2; i++)
			child_fork(&c[i], run_for_the_name, &race);
		for (int i = 0; i < 2; i++)
			step_await(c[i].socket);
		for (int i = 0; i < 2; i++)
			step_tell(c[i].socket);
		for (int i = 0; i < 2; i++)
			step_await(c[i].socket);
		must(shmring_stat(ring, &st));
		ck_assert_uint_eq(st.consumers, 1);
		for (int i = 0; i < 2; i++)
			child_kill(&c[i]);
	}
	must(shmring_forget(ring, "prize"));
	end();
}
END_TEST

START_TEST(detached_name_holds_producers_back_until_forgotten)
{
	uint64_t count;

	begin();
	publish_numbers(producer, SOURCE, 0, 3, 1000);
	consume_as("gone", 2);
	count = publish_until_full(producer, SOURCE, 3, 1000);
	ck_assert_uint_gt(count, 0);
	must_fail(ETIMEDOUT, shmring_publish(producer, "", 1, shmring_deadline(20000000)));
	must(shmring_forget(ring, "gone"));
	must_fail(ENOENT, shmring_forget(ring, "gone"));
	must_fail(ENOENT, try_name("gone", SHMRING_START_RESUME));
	publish_numbers(producer, SOURCE, 3 + count, 500, 1000);
	end();
}
END_TEST

START_TEST(forget_wakes_the_producer_that_the_name_held)
{
	struct shmring_config config = small_config();
	int64_t began = clock_now();
	struct peer p;

	config.max_sleep_ns = 10000000000;
	ring = ring_create(&config);
	shmring_consumer_detach(consumer_attach(ring, "gone", 0, 0));
	ring_start(&p);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	peer_tell_produce(&p, 2000, 1000);
	child_await_sleep(&p.child);
	must(shmring_forget(ring, "gone"));
	ck_assert_int_eq(peer_answer(&p), 2000);
	ck_assert_int_lt(clock_now() - began, 8000000000);
	peer_quit(&p);
	shmring_close(ring);
}
END_TEST

START_TEST(stat_shows_detached_names)
{
	struct shmring_consumer_stat one = { .size = sizeof(one) };
	struct shmring_ring_stat st = { .size = sizeof(st) };

	begin();
	publish_numbers(producer, SOURCE, 0, 3, 1000);
	consume_as("idle", 1);
	must(shmring_stat(ring, &st));
	ck_assert_uint_eq(st.detached, 1);
	ck_assert_uint_eq(st.consumers, 0);
	one = stat_name("idle");
	ck_assert_int_eq((int)one.state, SHMRING_DETACHED);
	ck_assert_uint_ge(one.lag, 2000);
	ck_assert_uint_le(one.lag, 2 * 1008 + 64);
	ck_assert_uint_eq(one.lag, one.max_lag);
	ck_assert_uint_eq(one.evictable, 0);
	end();
}
END_TEST

START_TEST(known_name_may_begin_elsewhere)
{
	struct shmring_consumer *c;
	struct shmring_message m;

	begin();
	publish_numbers(producer, SOURCE, 0, 10, 100);
	consume_as("mover", 5);
	c = consumer_attach(ring, "mover", SHMRING_START_NOW, 0);
	must_fail(EAGAIN, shmring_peek(c, SHMRING_NOWAIT, &m));
	shmring_consumer_detach(c);
	publish_numbers(producer, SOURCE, 10, 3, 100);
	ck_assert_uint_eq(next_of("mover", SHMRING_START_DEFAULT), 10);
	end();
}
END_TEST

START_TEST(unknown_name_begins_at_the_oldest_unless_it_must_resume)
{
	begin();
	publish_numbers(producer, SOURCE, 0, 10, 100);
	must_fail(ENOENT, try_name("new", SHMRING_START_RESUME));
	ck_assert_uint_eq(next_of("new", SHMRING_START_DEFAULT), 0);
	end();
}
END_TEST

START_TEST(names_are_independent)
{
	begin();
	publish_numbers(producer, SOURCE, 0, 20, 100);
	consume_as("a", 3);
	consume_as("b", 7);
	consume_as("a", 1);
	ck_assert_uint_eq(next_of("a", SHMRING_START_RESUME), 4);
	ck_assert_uint_eq(next_of("b", SHMRING_START_RESUME), 7);
	must(shmring_forget(ring, "a"));
	ck_assert_uint_eq(next_of("b", SHMRING_START_RESUME), 7);
	end();
}
END_TEST

START_TEST(invalid_names_are_refused)
{
	static const char *const bad[] = {
		"", "a b", "a/b", "\xc3\xa4", "a\n", "-*", "12345678901234567890123456789012"
	};
	static const char *const good[] = { "a", ".",	    "-",
					    "_", "A.b-c_9", "1234567890123456789012345678901" };

	begin();
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		must_fail(EINVAL, try_name(bad[i], SHMRING_START_DEFAULT));
		ck_assert_int_lt(shmring_forget(ring, bad[i]), 0);
	}
	publish_numbers(producer, SOURCE, 0, 1, 100);
	for (unsigned i = 0; i < sizeof(good) / sizeof(*good); i++) {
		ck_assert_uint_eq(next_of(good[i], SHMRING_START_DEFAULT), 0);
		ck_assert_uint_eq(next_of(good[i], SHMRING_START_RESUME), 0);
	}
	end();
}
END_TEST

START_TEST(sixty_four_names_fill_the_ring)
{
	char name[16];

	begin();
	publish_numbers(producer, SOURCE, 0, 70, 100);
	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		consume_as(name, i);
	}
	must_fail(EUSERS, try_name(NULL, SHMRING_START_DEFAULT));
	must_fail(EUSERS, try_name("another", SHMRING_START_DEFAULT));
	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++) {
		snprintf(name, sizeof(name), "name-%u", i);
		ck_assert_uint_eq(next_of(name, SHMRING_START_RESUME), i);
	}
	must(shmring_forget(ring, "name-17"));
	ck_assert_uint_eq(next_of("another", SHMRING_START_DEFAULT), 0);
	end();
}
END_TEST

START_TEST(name_survives_all_processes)
{
	begin();
	publish_numbers(producer, SOURCE, 0, 20, 100);
	consume_as("lasting", 6);
	end();
	must(shmring_open(&ring, room_path("ring")));
	ck_assert_uint_eq(next_of("lasting", SHMRING_START_RESUME), 6);
	shmring_close(ring);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("names");
	TCase *tc = room_case(s, "names", 40);

	tcase_add_test(tc, name_resumes_after_detach);
	tcase_add_test(tc, name_resumes_in_another_process);
	tcase_add_test(tc, successor_of_a_killed_holder_gets_unreleased_messages_again);
	tcase_add_test(tc, killed_holder_loses_and_repeats_no_message_in_a_stream);
	tcase_add_test(tc, held_name_is_busy);
	tcase_add_test(tc, one_of_two_gets_the_name);
	tcase_add_test(tc, detached_name_holds_producers_back_until_forgotten);
	tcase_add_test(tc, forget_wakes_the_producer_that_the_name_held);
	tcase_add_test(tc, stat_shows_detached_names);
	tcase_add_test(tc, known_name_may_begin_elsewhere);
	tcase_add_test(tc, unknown_name_begins_at_the_oldest_unless_it_must_resume);
	tcase_add_test(tc, names_are_independent);
	tcase_add_test(tc, invalid_names_are_refused);
	tcase_add_test(tc, sixty_four_names_fill_the_ring);
	tcase_add_test(tc, name_survives_all_processes);
	return run_suite(s);
}
