/* SPDX-License-Identifier: MIT */
/*
 * Time stamps in records: taken while the message is published, in order for each
 * producer, the same for every reader, whatever the kind of stamp, the call, the
 * size, and the way to reach the ring.
 */
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/uio.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 0x57a3, KINDS = 2 };

/*
 * A counter is measured at create, and then departs from CLOCK_MONOTONIC by some
 * millionths; a test takes seconds, on a machine that may have interrupted the
 * measurement.
 */
#define DEPARTURE_NS INT64_C(20000000)

static const uint32_t kinds[KINDS] = { SHMRING_STAMP_CLOCK, SHMRING_STAMP_TSC };

/* A ring with stamps of one kind; the test is skipped where there are none such. */
static struct shmring_ring *create_of(enum way way, uint32_t kind)
{
	struct shmring_config config = small_config();
	struct shmring_ring *probe;

	config.stamps = kind;
	if (kind == SHMRING_STAMP_TSC) {
		int r = shmring_create(&probe, NULL, &config);

		if (r == -EOPNOTSUPP)
			room_skip("%s", shmring_explain());
		must(r);
		shmring_close(probe);
	}
	return way_create(way, &config);
}

/* Between two moments of the ring's own time: `before` and now. */
static void must_be_between(uint64_t before, uint64_t stamp_ns, uint64_t after)
{
	ck_assert_uint_gt(before, 0);
	ck_assert_uint_ge(stamp_ns, before);
	ck_assert_uint_le(stamp_ns, after);
}

static struct shmring_ring *ring;
static struct shmring_producer *producer;
static struct shmring_consumer *consumer;

static void begin(uint32_t kind)
{
	ring = create_of(WAY_PASSED_EXEC, kind);
	consumer = consumer_attach(ring, NULL, SHMRING_START_DEFAULT, 0);
	producer = producer_attach(ring);
}

static void end(void)
{
	shmring_producer_detach(producer);
	shmring_consumer_detach(consumer);
	shmring_close(ring);
}

static uint64_t stamp_of(const struct shmring_consumer *c, const struct shmring_message *m)
{
	uint64_t stamp = 0;

	must(shmring_message_stamp(c, m, &stamp));
	return stamp;
}

/* The next message has this length, and was stamped since `before`. */
static uint64_t take_one(size_t len, uint64_t before)
{
	struct shmring_message m;
	uint64_t stamp;

	must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
	ck_assert_uint_eq(m.len, len);
	stamp = stamp_of(consumer, &m);
	must_be_between(before, stamp, shmring_stamp_now(ring));
	must(shmring_release(consumer));
	return stamp;
}

START_TEST(stamp_lies_between_publication_and_receipt)
{
	static unsigned char data[SHMRING_MIN_LANE_SIZE];
	struct iovec pieces[] = { { data, 10 }, { data, 20 } };
	void *to;
	size_t most;

	begin(kinds[_i]);
	most = shmring_producer_max_message(producer);
	ck_assert_uint_eq(most, SHMRING_MIN_LANE_SIZE / 2 - 8);
	for (size_t len = 0; len <= most; len = len * 2 + 1) {
		uint64_t before = shmring_stamp_now(ring);

		must(shmring_publish(producer, data, len, SHMRING_NOWAIT));
		take_one(len, before);
	}
	for (int i = 0; i < 300; i++) { /* some laps */
		uint64_t before = shmring_stamp_now(ring);

		must(shmring_publish(producer, data, most - (size_t)i, SHMRING_NOWAIT));
		take_one(most - (size_t)i, before);
		before = shmring_stamp_now(ring);
		must(shmring_publishv(producer, pieces, 2, SHMRING_NOWAIT));
		take_one(30, before);
		must(shmring_claim(producer, 100, SHMRING_NOWAIT, &to));
		before = shmring_stamp_now(ring);
		must(shmring_commit(producer, 50));
		take_one(50, before);
	}
	must_fail(EMSGSIZE, shmring_publish(producer, data, most + 1, SHMRING_NOWAIT));
	end();
}
END_TEST

START_TEST(stamps_are_clock_monotonic)
{
	struct shmring_message m;
	int64_t before, after;
	uint64_t stamp;

	begin(kinds[_i]);
	before = clock_now();
	must(shmring_publish(producer, "", 1, SHMRING_NOWAIT));
	after = clock_now();
	must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
	stamp = stamp_of(consumer, &m);
	if (kinds[_i] == SHMRING_STAMP_CLOCK) {
		must_be_between((uint64_t)before, stamp, (uint64_t)after);
	} else {
		ck_assert_int_gt((int64_t)stamp, before - DEPARTURE_NS);
		ck_assert_int_lt((int64_t)stamp, after + DEPARTURE_NS);
	}
	end();
}
END_TEST

/* The ring's time, and the clock just before and just behind. */
struct moment {
	int64_t before;
	int64_t stamp;
	int64_t after;
};

static struct moment look(void)
{
	struct moment m = { .before = clock_now() };

	m.stamp = (int64_t)shmring_stamp_now(ring);
	m.after = clock_now();
	return m;
}

/* To a thousandth, however long the machine keeps the test from looking. */
START_TEST(stamps_run_as_fast_as_the_clock)
{
	const int64_t interval = 100000000, tolerance = interval / 1000;
	struct moment first, last;

	begin(kinds[_i]);
	first = look();
	do
		last = look();
	while (last.before - first.after < interval);
	ck_assert_int_ge(last.stamp - first.stamp, last.before - first.after - tolerance);
	ck_assert_int_le(last.stamp - first.stamp,
			 (last.after - first.before) + (last.after - first.before) / 1000);
	end();
}
END_TEST

/* Each message of a batch has the time at which it was finished, not the time of the batch. */
START_TEST(messages_of_a_batch_have_stamps_of_their_own)
{
	uint64_t moments[6], last = 0;
	void *to;

	begin(kinds[_i]);
	for (int i = 0; i < 5; i++) {
		moments[i] = shmring_stamp_now(ring);
		must(shmring_claim(producer, 64, SHMRING_NOWAIT, &to));
		must(shmring_stage(producer, 64));
	}
	moments[5] = shmring_stamp_now(ring);
	must(shmring_flush(producer));
	for (int i = 0; i < 5; i++) {
		uint64_t stamp = take_one(64, moments[i]);

		ck_assert_uint_le(stamp, moments[i + 1]);
		ck_assert_uint_ge(stamp, last);
		last = stamp;
	}
	must(shmring_claim(producer, 64, SHMRING_NOWAIT, &to));
	shmring_abort(producer);
	must(shmring_claim(producer, 64, SHMRING_NOWAIT, &to));
	must(shmring_stage(producer, 64));
	shmring_discard(producer);
	must(shmring_publish(producer, "x", 1, SHMRING_NOWAIT));
	take_one(1, last);
	end();
}
END_TEST

/*
 * Messages by the inline halves, by the slow ones and staged follow each other in packed and in
 * aligned lanes, over some laps: each comes whole, with a stamp of the time when it was published.
 */
START_TEST(every_kind_of_message_has_its_stamp_and_its_bytes)
{
	struct shmring_config config = small_config();
	uint64_t seed = random_seed() + (uint64_t)_i, last = 0;
	struct audit audit;

	config.stamps = kinds[_i % KINDS];
	config.alignment = _i < KINDS ? 8 : 64;
	if (kinds[_i % KINDS] == SHMRING_STAMP_TSC)
		shmring_close(create_of(WAY_PASSED_EXEC, SHMRING_STAMP_TSC)); /* or skip */
	ring = way_create(WAY_PASSED_EXEC, &config);
	consumer = consumer_attach(ring, NULL, SHMRING_START_DEFAULT, 0);
	producer = producer_attach(ring);
	audit_begin(&audit, true);
	for (uint64_t i = 0; i < 4000; i++) {
		uint64_t before = shmring_stamp_now(ring);
		size_t len = random_below(&seed, 10) == 0 ? 5000 : random_below(&seed, 200);
		struct shmring_message m;
		void *to = NULL;

		if (random_below(&seed, 3) == 0) {
			must(shmring_claim(producer, len, SHMRING_NOWAIT, &to));
			audit_fill(to, len, SOURCE, i);
			must(shmring_stage(producer, len));
			must(shmring_flush(producer));
		} else {
			publish_numbers(producer, SOURCE, i, 1, len);
		}
		must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
		ck_assert_uint_eq(m.len, len);
		ck_assert_msg(audit_peeked(&audit, consumer, &m), "%s", audit.first_fault);
		ck_assert_uint_ge(stamp_of(consumer, &m), last);
		last = stamp_of(consumer, &m);
		must_be_between(before, last, shmring_stamp_now(ring));
		must(shmring_release(consumer));
	}
	audit_must_be(&audit, 4000, 0);
	end();
}
END_TEST

/* In batches, by an observer, under a resumed name. */
START_TEST(every_reader_sees_the_same_stamp)
{
	struct shmring_message batch[16], m;
	struct shmring_consumer *observer, *named;

	begin(kinds[_i]);
	named = consumer_attach(ring, "name", SHMRING_START_DEFAULT, 0);
	observer = consumer_attach(ring, NULL, SHMRING_START_DEFAULT, SHMRING_OBSERVE);
	publish_numbers(producer, SOURCE, 0, 16, 100);
	must(shmring_peek(named, SHMRING_NOWAIT, &m));
	shmring_consumer_detach(named); /* without a release */
	named = consumer_attach(ring, "name", SHMRING_START_RESUME, 0);
	ck_assert_int_eq(must(shmring_peek_batch(consumer, SHMRING_NOWAIT, batch, 16)), 16);
	for (int i = 0; i < 16; i++) {
		uint64_t stamp = stamp_of(consumer, &batch[i]);

		ck_assert_uint_gt(stamp, 0);
		must(shmring_peek(observer, SHMRING_NOWAIT, &m));
		ck_assert_uint_eq(stamp_of(observer, &m), stamp);
		must(shmring_peek(named, SHMRING_NOWAIT, &m));
		ck_assert_uint_eq(stamp_of(named, &m), stamp);
	}
	must(shmring_release(consumer));
	shmring_consumer_detach(observer);
	shmring_consumer_detach(named);
	end();
}
END_TEST

/* Each message that an overrun observer gets has its own stamp. */
START_TEST(stamps_of_an_overrun_observer_are_in_order)
{
	struct shmring_consumer *observer;
	struct shmring_message m;
	uint64_t last = 0, lost = 0;
	struct facts t;

	begin(kinds[_i]);
	shmring_consumer_detach(consumer);
	consumer = NULL;
	observer = consumer_attach(ring, NULL, SHMRING_START_OLDEST, SHMRING_OBSERVE);
	for (int round = 0; round < 50; round++) {
		publish_numbers(producer, SOURCE, (uint64_t)round * 40, 40, 3000);
		must(shmring_peek(observer, SHMRING_NOWAIT, &m));
		t = facts_of(observer, &m);
		ck_assert_uint_gt(t.stamp_ns, last);
		must_be_between(last + 1, t.stamp_ns, shmring_stamp_now(ring));
		last = t.stamp_ns;
		lost += t.lost;
	}
	ck_assert_uint_gt(lost, 0);
	shmring_consumer_detach(observer);
	end();
}
END_TEST

/* Another process publishes: its stamps are of this ring's time, and in order. */
START_TEST(stamps_of_another_process_are_in_order)
{
	enum way way = (enum way)(_i / KINDS);
	struct shmring_ring *r = create_of(way, kinds[_i % KINDS]);
	struct shmring_consumer *c = consumer_attach(r, NULL, SHMRING_START_DEFAULT, 0);
	struct shmring_message m;
	uint64_t last = shmring_stamp_now(r), now, stamp;
	struct audit audit;
	struct peer p;

	audit_begin(&audit, true);
	way_start(&p, way, r);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	peer_tell_produce(&p, 3000, 3000);
	for (int i = 0; i < 3000; i++) {
		must(shmring_peek(c, patience(), &m));
		now = shmring_stamp_now(r);
		audit_peeked(&audit, c, &m);
		stamp = stamp_of(c, &m);
		must_be_between(last, stamp, now);
		last = stamp;
		must(shmring_release(c));
	}
	ck_assert_int_eq(peer_answer(&p), 3000);
	audit_must_be(&audit, 3000, 0);
	peer_quit(&p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* Lanes take turns of many messages, as they do without stamps; none is left out. */
START_TEST(several_producers_are_read_in_turn)
{
	struct shmring_producer *other;
	struct shmring_message m;
	unsigned changes = 0;
	uint32_t lane = UINT32_MAX;

	begin(kinds[_i]);
	other = producer_attach(ring);
	publish_numbers(producer, SOURCE, 0, 400, 100);
	publish_numbers(other, SOURCE + 1, 0, 400, 100);
	for (int i = 0; i < 800; i++) {
		must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
		changes += m.producer != lane;
		lane = m.producer;
		must(shmring_release(consumer));
	}
	must_fail(EAGAIN, shmring_peek(consumer, SHMRING_NOWAIT, &m));
	ck_assert_uint_ge(changes, 2);
	ck_assert_uint_le(changes, 10);
	shmring_producer_detach(other);
	end();
}
END_TEST

START_TEST(rings_without_stamps_have_none)
{
	struct shmring_message m;
	uint64_t stamp = 1;
	struct shmring_ring_stat st = { .size = sizeof(st) };

	begin(SHMRING_STAMP_NONE);
	must(shmring_publish(producer, "", 1, SHMRING_NOWAIT));
	must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
	must(shmring_message_stamp(consumer, &m, &stamp));
	ck_assert_uint_eq(stamp, 0);
	ck_assert_uint_eq(shmring_stamp_now(ring), 0);
	must(shmring_stat(ring, &st));
	ck_assert_uint_eq(st.stamps, SHMRING_STAMP_NONE);
	ck_assert_uint_eq(st.max_message, SHMRING_MIN_LANE_SIZE / 2);
	end();
}
END_TEST

/* The library cannot learn here by which counter the kernel keeps time. */
START_TEST(where_no_counter_is_trusted_stamps_are_the_clock)
{
	struct shmring_config config = small_config();
	struct shmring_ring_stat st = { .size = sizeof(st) };

	if (unshare(CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", "/sys", "tmpfs", 0, NULL) != 0)
		room_skip("a process may not hide /sys from itself here");
	config.stamps = SHMRING_STAMP_TSC;
	must_fail(EOPNOTSUPP, shmring_create(&ring, NULL, &config));
	config.stamps = SHMRING_STAMP_AUTO;
	must(shmring_create(&ring, NULL, &config));
	must(shmring_stat(ring, &st));
	ck_assert_uint_eq(st.stamps, SHMRING_STAMP_CLOCK);
	shmring_close(ring);
}
END_TEST

START_TEST(ring_says_which_stamps_it_has)
{
	struct shmring_config config = small_config();
	struct shmring_ring_stat st = { .size = sizeof(st) };

	begin(kinds[_i]);
	must(shmring_stat(ring, &st));
	ck_assert_uint_eq(st.stamps, kinds[_i]);
	end();
	config.stamps = SHMRING_STAMP_AUTO;
	must(shmring_create(&ring, NULL, &config));
	must(shmring_stat(ring, &st));
	ck_assert(st.stamps == SHMRING_STAMP_CLOCK || st.stamps == SHMRING_STAMP_TSC);
	ck_assert_uint_eq(st.max_message, SHMRING_MIN_LANE_SIZE / 2 - 8);
	shmring_close(ring);
	config.stamps = SHMRING_STAMP_AUTO + 1;
	must_fail(EINVAL, shmring_create(&ring, NULL, &config));
	config.stamps = 0;
	config.flags = 1u << 31;
	must_fail(EINVAL, shmring_create(&ring, NULL, &config));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("stamps");
	TCase *tc = room_case(s, "stamps", 30);

	tcase_add_loop_test(tc, stamp_lies_between_publication_and_receipt, 0, KINDS);
	tcase_add_loop_test(tc, stamps_are_clock_monotonic, 0, KINDS);
	tcase_add_loop_test(tc, stamps_run_as_fast_as_the_clock, 0, KINDS);
	tcase_add_loop_test(tc, messages_of_a_batch_have_stamps_of_their_own, 0, KINDS);
	tcase_add_loop_test(tc, every_kind_of_message_has_its_stamp_and_its_bytes, 0, 2 * KINDS);
	tcase_add_loop_test(tc, every_reader_sees_the_same_stamp, 0, KINDS);
	tcase_add_loop_test(tc, stamps_of_an_overrun_observer_are_in_order, 0, KINDS);
	tcase_add_loop_test(tc, stamps_of_another_process_are_in_order, 0, KINDS * WAYS);
	tcase_add_loop_test(tc, several_producers_are_read_in_turn, 0, KINDS);
	tcase_add_test(tc, rings_without_stamps_have_none);
	tcase_add_test(tc, where_no_counter_is_trusted_stamps_are_the_clock);
	tcase_add_loop_test(tc, ring_says_which_stamps_it_has, 0, KINDS);
	return run_suite(s);
}
