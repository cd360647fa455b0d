/* SPDX-License-Identifier: MIT */
/*
 * Consumers that are evicted for how far behind they are: by the ring's limits, or because
 * they asked to be evicted instead of holding producers back.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 34, SIZE = 200, LAG = 16384, MS = 1000000, GRACE = MS };

static struct shmring_ring *create(uint64_t lag, uint64_t lag_ns)
{
	struct shmring_config config = small_config();

	config.lanes = 1;
	config.slow_policy = lag || lag_ns ? SHMRING_SLOW_EVICT : SHMRING_SLOW_BLOCK;
	config.evict_after_ns = UINT64_C(3600000) * MS;
	config.evict_lag = lag;
	config.evict_lag_ns = lag_ns;
	return ring_create(&config);
}

static struct shmring_consumer *attach(struct shmring_ring *r, const char *name, uint32_t flags,
				       uint64_t lag, uint64_t lag_ns)
{
	const struct shmring_consumer_options options = {
		.size = sizeof(options),
		.name = name,
		.flags = flags,
		.max_lag = lag,
		.max_lag_ns = lag_ns,
	};
	struct shmring_consumer *c;

	must(shmring_consumer_attach(&c, r, &options));
	return c;
}

static struct shmring_consumer_stat look(struct shmring_ring *r, unsigned index)
{
	struct shmring_consumer_stat st = { .size = sizeof(st) };

	must(shmring_stat_consumer(r, index, &st));
	return st;
}

/* The next message, if it was not evicted meanwhile: then it counts as lost. */
static bool take(struct shmring_consumer *c, struct audit *a)
{
	_Alignas(8) unsigned char copy[SIZE];
	struct shmring_message m;
	struct facts t;
	int r = shmring_peek(c, SHMRING_NOWAIT, &m);

	if (r == -EAGAIN)
		return false;
	if (r != -ESTALE)
		must(r);
	if (r == -ESTALE)
		return true;
	ck_assert_uint_eq(m.len, SIZE);
	t = facts_of(c, &m);
	memcpy(copy, m.data, SIZE);
	r = shmring_release(c);
	if (r == -ESTALE)
		return true;
	must(r);
	t.data = copy;
	audit_message(a, &t);
	return true;
}

/* It takes one message of each round; the other consumer takes all. The ring must not become full.
 */
static uint64_t trickle(struct shmring_producer *p, struct shmring_consumer *fast,
			struct audit *all, struct shmring_consumer *slow, struct audit *some,
			unsigned rounds)
{
	uint64_t published = 0;

	for (unsigned i = 0; i < rounds; i++, published += 10) {
		for (unsigned k = 0; k < 10; k++) {
			unsigned char data[SIZE];

			audit_fill(data, SIZE, SOURCE, published + k);
			must(shmring_publish(p, data, SIZE, SHMRING_NOWAIT));
		}
		consume_audited(fast, all, 10);
		take(slow, some);
	}
	return published;
}

static const struct {
	uint64_t ring, wish;
	uint64_t limit;
} limited[] = {
	{ LAG, 0, LAG },
	{ 0, LAG, LAG },
	{ 2 * LAG, LAG, LAG },
	{ LAG, 2 * LAG, LAG },
};

START_TEST(trickling_consumer_is_evicted_and_learns_its_loss)
{
	struct shmring_ring *r = create(limited[_i].ring, 0);
	struct shmring_consumer *fast = attach(r, NULL, SHMRING_PINNED, 0, 0);
	struct shmring_consumer *slow = attach(r, NULL, 0, limited[_i].wish, 0);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer_stat st = look(r, 1);
	struct audit all, some;
	uint64_t published;

	ck_assert_uint_eq(st.limit, limited[_i].limit);
	ck_assert_uint_eq(st.evictable, 1);
	ck_assert_uint_eq(look(r, 0).evictable, 0);
	audit_begin(&all, true);
	audit_begin(&some, true);
	published = trickle(p, fast, &all, slow, &some, 500);
	audit_must_be(&all, published, 0);
	ck_assert_uint_gt(some.lost, 0);
	/* It comes back within its limit, and is never further behind than that and two looks. */
	ck_assert_uint_le(look(r, 1).lag, LAG + 2 * SHMRING_MIN_LANE_SIZE / 4);
	while (take(slow, &some))
		;
	audit_must_be(&some, published - some.lost, some.lost);
	ck_assert_uint_eq(some.lost_bytes, some.lost * SIZE);
	shmring_consumer_detach(slow);
	shmring_consumer_detach(fast);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* With messages in hand it gets -ESTALE at once, and discards all of them. */
START_TEST(evicted_with_messages_in_hand_discards_them)
{
	struct shmring_ring *r = create(0, 0);
	struct shmring_consumer *c = attach(r, NULL, 0, LAG, 0);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_message m;
	struct audit audit;

	audit_begin(&audit, true);
	publish_numbers(p, SOURCE, 0, 10, SIZE);
	must(shmring_peek(c, SHMRING_NOWAIT, &m));
	publish_numbers(p, SOURCE, 10, 270, SIZE);
	ck_assert_uint_eq(look(r, 0).state, SHMRING_EVICTED);
	must_fail(ESTALE, shmring_release(c));
	while (take(c, &audit))
		;
	ck_assert_uint_gt(audit.lost, 0);
	audit_must_be(&audit, 280 - audit.lost, audit.lost);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* Over the limit at each look, but it catches up in between. */
START_TEST(consumer_that_catches_up_is_kept)
{
	struct shmring_ring *r = create(0, 0);
	struct shmring_consumer *c = attach(r, NULL, 0, LAG / 2, 0);
	struct shmring_producer *p = producer_attach(r);
	struct audit audit;

	audit_begin(&audit, true);
	/* 16640 bytes a round; the owner looks every 16384. */
	for (uint64_t number = 0; number < 100 * 80; number += 80) {
		publish_numbers(p, SOURCE, number, 80, SIZE);
		consume_audited(c, &audit, 80);
	}
	audit_must_be(&audit, 100 * 80, 0);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* Evicted for time, and not before it: by the ring's limit, or by its own. */
START_TEST(consumer_with_an_old_message_is_evicted)
{
	const uint64_t limit = 50 * MS;
	struct shmring_ring *r = create(0, _i ? 0 : limit);
	struct shmring_consumer *fast = attach(r, NULL, SHMRING_PINNED, 0, 0);
	struct shmring_consumer *slow = attach(r, NULL, 0, 0, _i ? limit : 0);
	struct shmring_producer *p = producer_attach(r);
	int64_t began = clock_now(), end = patience();
	uint64_t published = 0;
	struct audit all, some;

	audit_begin(&all, true);
	audit_begin(&some, true);
	for (published = 0; look(r, 1).state != SHMRING_EVICTED; published += 10) {
		const struct timespec pause = { .tv_nsec = 3 * MS };

		ck_assert_int_lt(clock_now(), end);
		publish_numbers(p, SOURCE, published, 10, SIZE);
		consume_audited(fast, &all, 10);
		nanosleep(&pause, NULL);
	}
	ck_assert_int_ge(clock_now() - began, (int64_t)limit);
	while (take(slow, &some))
		;
	audit_must_be(&some, published - some.lost, some.lost);
	shmring_consumer_detach(slow);
	shmring_consumer_detach(fast);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

static uint64_t lag_when_full(void)
{
	struct shmring_ring *r = create(0, 0);
	struct shmring_consumer *c = attach(r, NULL, 0, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	uint64_t lag;

	publish_until_full(p, SOURCE, 0, SIZE);
	lag = look(r, 0).lag;
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
	must(shmring_remove(room_path("ring")));
	return lag;
}

static int publish_one(struct shmring_producer *p, uint64_t number)
{
	unsigned char data[SIZE];

	audit_fill(data, SIZE, SOURCE, number);
	return shmring_publish(p, data, SIZE, SHMRING_NOWAIT);
}

static void pass_time(int64_t ns)
{
	const struct timespec pause = { .tv_nsec = ns };

	ck_assert_int_eq(nanosleep(&pause, NULL), 0);
}

/* The ring is full, and stays so at all looks for longer than the grace of a consumer. */
static void stays_full(struct shmring_producer *p)
{
	for (unsigned looks = 0; looks < 3; looks++) {
		must_fail(EAGAIN, publish_one(p, 0));
		pass_time(2 * GRACE);
	}
}

/* Exactly at its limit it is kept. */
START_TEST(consumer_at_its_limit_is_kept)
{
	const uint64_t limit = lag_when_full();
	struct shmring_ring *r = create(0, 0);
	struct shmring_consumer *c = attach(r, NULL, 0, limit, 0);
	struct shmring_producer *p = producer_attach(r);

	publish_until_full(p, SOURCE, 0, SIZE);
	ck_assert_uint_eq(look(r, 0).lag, limit);
	stays_full(p);
	ck_assert_uint_eq(look(r, 0).state, SHMRING_ACTIVE);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* One byte beyond its limit, it has the grace between two looks in one chunk. */
START_TEST(consumer_beyond_its_limit_has_a_grace)
{
	const uint64_t limit = lag_when_full() - 1;
	struct shmring_ring *r = create(0, 0);
	struct shmring_consumer *c = attach(r, NULL, 0, limit, 0);
	struct shmring_producer *p = producer_attach(r);
	int64_t began, end = patience();

	do
		began = clock_now(); /* no earlier look can have found it beyond its limit */
	while (publish_one(p, 0) == 0);
	ck_assert_uint_eq(look(r, 0).lag, limit + 1);
	while (publish_one(p, 0) != 0)
		ck_assert_int_lt(clock_now(), end);
	ck_assert_int_ge(clock_now() - began, GRACE);
	ck_assert_uint_eq(look(r, 0).state, SHMRING_EVICTED);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* Two looks beyond the limit, with a look within it in between, do not evict. */
START_TEST(consumer_that_was_within_its_limit_begins_anew)
{
	/* The owner looks when it crosses a multiple of a quarter of the lane. */
	static const unsigned published[] = { 240, 80, 75 }, consumed[] = { 150, 0, 245 };
	struct shmring_ring *r = create(0, 0);
	struct shmring_consumer *c = attach(r, NULL, 0, 40960, 0);
	struct shmring_producer *p = producer_attach(r);
	struct audit audit;
	uint64_t number = 0;

	audit_begin(&audit, true);
	for (unsigned i = 0; i < 3; number += published[i], i++) {
		publish_numbers(p, SOURCE, number, published[i], SIZE);
		ck_assert_uint_eq(look(r, 0).state, SHMRING_ACTIVE);
		consume_audited(c, &audit, consumed[i]);
	}
	audit_must_be(&audit, number, 0);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* By the ring's limit, or by the consumer's own. */
START_TEST(consumer_with_a_young_message_is_kept)
{
	const uint64_t limit = UINT64_C(3600000) * MS;
	struct shmring_ring *r = create(0, _i ? 0 : limit);
	struct shmring_consumer *c = attach(r, NULL, 0, 0, _i ? limit : 0);
	struct shmring_producer *p = producer_attach(r);
	struct audit audit;
	uint64_t published = publish_until_full(p, SOURCE, 0, SIZE);

	stays_full(p);
	ck_assert_uint_eq(look(r, 0).state, SHMRING_ACTIVE);
	audit_begin(&audit, true);
	consume_audited(c, &audit, published);
	audit_must_be(&audit, published, 0);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* The last message is young, though the one at its place in the lap before is old. */
START_TEST(age_of_the_last_lap_does_not_count)
{
	const uint64_t limit = 20 * MS;
	struct shmring_ring *r = create(0, 0);
	struct shmring_consumer *full = attach(r, NULL, 0, 0, 0);
	struct shmring_consumer *c = attach(r, NULL, 0, 0, limit);
	struct shmring_producer *p = producer_attach(r);
	struct audit audit;
	uint64_t published;

	audit_begin(&audit, true);
	publish_numbers(p, SOURCE, 0, 60, SIZE);
	consume_audited(c, &audit, 60);
	pass_time((int64_t)limit + 10 * MS);
	publish_numbers(p, SOURCE, 60, 1, SIZE);
	for (published = 61; publish_one(p, published) == 0; published++)
		consume_audited(c, &audit, 1); /* and is one message behind */
	stays_full(p);
	ck_assert_uint_eq(look(r, 1).state, SHMRING_ACTIVE);
	consume_audited(c, &audit, 1);
	audit_must_be(&audit, published, 0);
	shmring_consumer_detach(c);
	shmring_consumer_detach(full);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(pinned_consumer_has_no_limit_but_its_own)
{
	struct shmring_ring *r = create(LAG, 0);
	struct shmring_consumer *c = attach(r, NULL, SHMRING_PINNED, 0, 0);
	struct shmring_producer *p = producer_attach(r);

	publish_until_full(p, SOURCE, 0, SIZE);
	ck_assert_uint_eq(look(r, 0).state, SHMRING_ACTIVE);
	ck_assert_uint_eq(look(r, 0).limit, 0);
	shmring_consumer_detach(c);
	c = attach(r, NULL, SHMRING_PINNED, LAG, 0);
	ck_assert_uint_eq(look(r, 0).limit, LAG);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* The limits of a name's last holder hold until the next holder comes. */
START_TEST(kept_place_lapses_by_lag)
{
	struct shmring_ring *r = create(0, 0);
	struct shmring_consumer *c = attach(r, "name", 0, LAG, 0);
	struct shmring_producer *p = producer_attach(r);
	struct audit audit;

	audit_begin(&audit, true);
	publish_numbers(p, SOURCE, 0, 5, SIZE);
	consume_audited(c, &audit, 5);
	shmring_consumer_detach(c);
	publish_numbers(p, SOURCE, 5, 1000, SIZE);
	c = attach(r, "name", 0, LAG, 0);
	while (take(c, &audit))
		;
	ck_assert_uint_gt(audit.lost, 0);
	audit_must_be(&audit, 1005 - audit.lost, audit.lost);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* Where a consumer that begins at the oldest message begins, and how far behind that is. */
static const struct {
	uint64_t published; /* by an owner that stays attached, or has left */
	bool attached;
	uint64_t limit;
	uint64_t least, most;
} beginnings[] = {
	/* An owner reserves a quarter of such a lane, and a sixteenth is what its index shows. */
	{ 2000, true, 2 * LAG, 0, LAG },
	{ 2000, false, 2 * LAG, LAG - LAG / 2, 2 * LAG },
	{ 2000, false, 3 * LAG, 2 * LAG - LAG / 2, 3 * LAG },
	/* It holds all messages of the lane. */
	{ 140, false, 2 * LAG, 140 * SIZE, 2 * LAG },
	{ 300, true, SHMRING_MIN_LANE_SIZE, 300 * SIZE, SHMRING_MIN_LANE_SIZE },
};

START_TEST(late_consumer_begins_within_the_limit)
{
	const uint64_t published = beginnings[_i].published;
	struct shmring_ring *r = create(beginnings[_i].limit, 0);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c;
	uint64_t missed, missed_bytes;
	struct audit audit;

	publish_numbers(p, SOURCE, 0, published, SIZE);
	if (!beginnings[_i].attached)
		shmring_producer_detach(p);
	c = attach(r, NULL, 0, 0, 0);
	ck_assert_uint_ge(look(r, 0).lag, beginnings[_i].least);
	ck_assert_uint_le(look(r, 0).lag, beginnings[_i].most);
	must(shmring_consumer_missed(c, 0, &missed, &missed_bytes));
	audit_begin(&audit, true);
	while (take(c, &audit))
		;
	audit_must_be(&audit, published - missed, missed);
	ck_assert_uint_eq(missed_bytes, missed * SIZE);
	shmring_consumer_detach(c);
	if (beginnings[_i].attached)
		shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* With a second look at a laggard due, no wait for room takes the ring's longest sleep. */
START_TEST(waiting_producer_looks_again_soon)
{
	enum { SOON = 5000 };
	struct shmring_config config = small_config();
	struct shmring_consumer *c;
	struct shmring_producer *p;
	struct shmring_wait_item wait;
	struct shmring_ring *r;

	config.lanes = 1;
	config.max_sleep_ns = UINT64_C(10000) * MS;
	r = ring_create(&config);
	c = attach(r, NULL, 0, config.lane_size - LAG / 4, 0);
	p = producer_attach(r);
	publish_until_full(p, SOURCE, 0, SIZE);
	if (_i == 0) {
		struct pollfd fd = { .fd = (int)must(shmring_producer_fd(p, SHMRING_FD_THREAD)),
				     .events = POLLIN };

		while (must(shmring_producer_arm(p, SIZE)) == 0)
			ck_assert_int_eq(poll(&fd, 1, SOON), 1);
	} else {
		const int64_t deadline = clock_now() + (int64_t)SOON * MS;

		wait.what = shmring_producer_waitable(p, SIZE);
		must(shmring_wait(&wait, 1, deadline));
		ck_assert_int_lt(clock_now(), deadline);
	}
	ck_assert_uint_eq(look(r, 0).state, SHMRING_EVICTED);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(limit_above_the_size_of_a_lane_is_refused)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = ring_create(&config);
	struct shmring_consumer_options options = { .size = sizeof(options),
						    .max_lag = config.lane_size + 1 };
	struct shmring_consumer *c;

	must_fail(EINVAL, shmring_consumer_attach(&c, r, &options));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "max_lag"));
	options.max_lag = config.lane_size;
	must(shmring_consumer_attach(&c, r, &options));
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/*
 * The loss is told although the owner leaves. The records fill the lane to its end, so the newest
 * boundary of the index has no message behind it.
 */
static const struct {
	uint64_t lane, limit;
	const char *name;
} endings[] = {
	{ 65536, 4096, NULL },	    { 65536, 8192, NULL },     { 65536, 16384, NULL },
	{ 1 << 20, 65536, NULL },   { 1 << 20, 131072, NULL }, { 8 << 20, 1 << 20, NULL },
	{ 65536, 4096, "evicted" },
};

START_TEST(loss_is_reported_before_the_end)
{
	struct shmring_config config = { .size = sizeof(config),
					 .lane_size = endings[_i].lane,
					 .slow_policy = SHMRING_SLOW_EVICT,
					 .evict_lag = endings[_i].limit };
	struct shmring_ring *r = ring_create(&config);
	struct shmring_consumer *c = attach(r, endings[_i].name, SHMRING_UNTIL_END, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	uint64_t published = 0, got = 0, lost = 0;
	struct shmring_message m;
	int e;

	must(shmring_publish(p, &published, sizeof(published), SHMRING_NOWAIT));
	published++;
	must(shmring_peek(c, SHMRING_NOWAIT, &m));
	do
		while (shmring_publish(p, &published, sizeof(published), SHMRING_NOWAIT) == 0)
			published++;
	while (look(r, 0).state != SHMRING_EVICTED);
	shmring_producer_detach(p);
	must_fail(ESTALE, shmring_release(c));
	while ((e = shmring_peek(c, SHMRING_NOWAIT, &m)) == 0) {
		struct facts t = facts_of(c, &m);

		lost += t.lost;
		got++;
		must(shmring_release(c));
	}
	ck_assert_int_eq(e, -EPIPE);
	ck_assert_uint_gt(got, 0);
	ck_assert_uint_gt(lost, 0);
	ck_assert_uint_eq(got + lost, published);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(limits_are_checked_and_kept)
{
	struct shmring_config config = small_config();
	const struct shmring_consumer_options observer = { .size = sizeof(observer),
							   .flags = SHMRING_OBSERVE,
							   .max_lag = 1 };
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct shmring_consumer *c;
	struct shmring_ring *r;

	config.evict_lag = LAG;
	must_fail(EINVAL, shmring_create(&r, room_path("ring"), &config));
	config.slow_policy = SHMRING_SLOW_EVICT;
	config.evict_lag = config.lane_size + 1;
	must_fail(EINVAL, shmring_create(&r, room_path("ring"), &config));
	config.evict_lag = LAG;
	config.evict_lag_ns = UINT64_C(86400001) * MS;
	must_fail(EINVAL, shmring_create(&r, room_path("ring"), &config));
	config.evict_lag_ns = 7 * MS;
	must(shmring_create(&r, room_path("ring"), &config));
	shmring_close(r);
	must(shmring_open(&r, room_path("ring")));
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.evict_lag, LAG);
	ck_assert_uint_eq(st.evict_lag_ns, 7 * MS);
	must_fail(EINVAL, shmring_consumer_attach(&c, r, &observer));
	shmring_close(r);
	must(shmring_remove(room_path("ring")));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lag");
	TCase *tc = room_case(s, "lag", 40);

	tcase_add_loop_test(tc, trickling_consumer_is_evicted_and_learns_its_loss, 0,
			    (int)(sizeof(limited) / sizeof(limited[0])));
	tcase_add_test(tc, evicted_with_messages_in_hand_discards_them);
	tcase_add_test(tc, consumer_that_catches_up_is_kept);
	tcase_add_loop_test(tc, consumer_with_an_old_message_is_evicted, 0, 2);
	tcase_add_test(tc, consumer_at_its_limit_is_kept);
	tcase_add_test(tc, consumer_beyond_its_limit_has_a_grace);
	tcase_add_test(tc, consumer_that_was_within_its_limit_begins_anew);
	tcase_add_loop_test(tc, consumer_with_a_young_message_is_kept, 0, 2);
	tcase_add_test(tc, age_of_the_last_lap_does_not_count);
	tcase_add_test(tc, pinned_consumer_has_no_limit_but_its_own);
	tcase_add_test(tc, kept_place_lapses_by_lag);
	tcase_add_loop_test(tc, late_consumer_begins_within_the_limit, 0,
			    (int)(sizeof(beginnings) / sizeof(beginnings[0])));
	tcase_add_loop_test(tc, waiting_producer_looks_again_soon, 0, 2);
	tcase_add_test(tc, limit_above_the_size_of_a_lane_is_refused);
	tcase_add_loop_test(tc, loss_is_reported_before_the_end, 0,
			    sizeof(endings) / sizeof(endings[0]));
	tcase_add_test(tc, limits_are_checked_and_kept);
	return run_suite(s);
}
