/* SPDX-License-Identifier: MIT */
/*
 * How a wait spins: its budget (O1), and when it offers its processor (O2 to O6). The
 * clock and sched_yield() are the test's own, so every length is exact.
 */
#include <sched.h>
#include <stdint.h>

#include <check.h>

#include "room.h"
#include "runner.h"
#include "spin.h"
#include "sys.h"

enum { US = 1000, MS = 1000 * US, TICK = 100 /* a look at the clock takes so many ns */ };

static int64_t clock_ns;
static int64_t away_ns;	    /* how long an offer lasts */
static unsigned offers;	    /* so many were made */
static int64_t offered[64]; /* when, since the spin began */
static int64_t began;

int64_t __wrap_shmr_now(void);
int __wrap_sched_yield(void);

int64_t __wrap_shmr_now(void)
{
	return clock_ns += TICK;
}

int __wrap_sched_yield(void)
{
	if (offers < 64)
		offered[offers] = clock_ns - began;
	offers++;
	clock_ns += away_ns;
	return 0;
}

/* Note `waits` waits, `gap` apart, which brought `messages` each. Returns the time. */
static int64_t wait_often(struct spin_habit *h, int64_t now, int waits, int64_t gap,
			  uint64_t messages)
{
	for (int i = 0; i < waits; i++) {
		now += gap;
		h->messages = messages;
		shmr_spin_learn(h, now);
	}
	return now;
}

static struct spin_habit adaptive(void)
{
	struct spin_habit h = { .waited_ns = 0 };

	shmr_spin_set_budget(&h, SHMRING_SPIN_ADAPTIVE, true);
	return h;
}

START_TEST(consumer_begins_by_spinning)
{
	struct spin_habit h = adaptive();

	ck_assert_int_eq(h.budget_ns, SPIN_DEFAULT_NS);
}
END_TEST

START_TEST(rare_messages_are_slept_for)
{
	struct spin_habit h = adaptive();

	wait_often(&h, 0, 4, MS, 1);
	ck_assert_int_eq(h.budget_ns, 0);
}
END_TEST

START_TEST(frequent_messages_are_spun_for_again)
{
	struct spin_habit h = adaptive();
	int64_t now = wait_often(&h, 0, 100, 1000 * (int64_t)MS, 1);

	ck_assert_int_eq(h.budget_ns, 0);
	wait_often(&h, now, 20, 10 * US, 1);
	ck_assert_int_eq(h.budget_ns, SPIN_DEFAULT_NS);
}
END_TEST

/* A consumer that sleeps finds several messages at a time; they still count as frequent. */
START_TEST(messages_that_came_together_count_one_by_one)
{
	struct spin_habit h = adaptive();
	int64_t now = wait_often(&h, 0, 100, 100 * US, 1);

	ck_assert_int_eq(h.budget_ns, 0);
	wait_often(&h, now, 20, 100 * US, 10);
	ck_assert_int_eq(h.budget_ns, SPIN_DEFAULT_NS);
}
END_TEST

START_TEST(one_pause_is_forgotten)
{
	struct spin_habit h = adaptive();
	int64_t now = wait_often(&h, 0, 50, US, 1);

	now = wait_often(&h, now, 1, 3600 * INT64_C(1000000000), 1);
	wait_often(&h, now, 8, US, 1);
	ck_assert_int_eq(h.budget_ns, SPIN_DEFAULT_NS);
}
END_TEST

START_TEST(chosen_budget_stays)
{
	const int64_t chosen[] = { SHMRING_SPIN_NEVER, 7 * US, SHMRING_SPIN_ALWAYS };
	const int64_t meant[] = { 0, 7 * US, INT64_MAX };
	struct spin_habit h = { .waited_ns = 0 };

	shmr_spin_set_budget(&h, chosen[_i], true);
	ck_assert_int_eq(h.budget_ns, meant[_i]);
	wait_often(&h, wait_often(&h, 0, 50, MS, 1), 50, US, 1);
	ck_assert_int_eq(h.budget_ns, meant[_i]);
}
END_TEST

static struct shmring_counters counters;

/* A wait for something that comes after `length`, at most. Returns how long it spun. */
static int64_t wait_for(struct spin_habit *h, int64_t length)
{
	struct spin spin = { 0 };
	int64_t begin = clock_ns;

	began = begin;
	offers = 0;
	while (!spin.over && clock_ns - begin < length)
		shmr_spin(&spin, h, SHMRING_FOREVER, &counters);
	return clock_ns - begin;
}

static void must_be_about(int64_t measured, int64_t meant)
{
	ck_assert_int_ge(measured, meant);
	ck_assert_int_le(measured, meant + 10 * TICK);
}

/* The role of a producer: its budget does not follow the traffic. */
static struct spin_habit patient(void)
{
	struct spin_habit h = { .budget_ns = 0 };

	shmr_spin_set_budget(&h, SHMRING_SPIN_ADAPTIVE, false);
	away_ns = 0;
	return h;
}

START_TEST(short_wait_makes_no_offer)
{
	struct spin_habit h = patient();

	for (int i = 0; i < 100; i++) {
		wait_for(&h, SPIN_LONG_NS - 2 * TICK);
		ck_assert_uint_eq(offers, 0);
	}
}
END_TEST

START_TEST(offers_come_after_twice_as_long_each_time)
{
	struct spin_habit h = patient();

	must_be_about(wait_for(&h, MS), SPIN_DEFAULT_NS);
	ck_assert_uint_eq(offers, 4);
	must_be_about(offered[0], 2 * US);
	must_be_about(offered[1], 6 * US);
	must_be_about(offered[2], 14 * US);
	must_be_about(offered[3], 30 * US);
}
END_TEST

/* O3 */
START_TEST(process_alone_offers_later_and_later)
{
	struct spin_habit h = patient();

	for (int64_t first = SPIN_LONG_NS; first <= SPIN_FIRST_OFFER_MOST_NS; first *= 2) {
		wait_for(&h, MS);
		must_be_about(offered[0], first);
	}
	wait_for(&h, MS);
	must_be_about(offered[0], SPIN_FIRST_OFFER_MOST_NS);
	ck_assert_uint_eq(offers, 1);
}
END_TEST

START_TEST(offer_that_is_taken_brings_the_next_one_soon)
{
	struct spin_habit h = patient();

	for (int i = 0; i < 8; i++)
		wait_for(&h, MS);
	away_ns = 10 * US;
	wait_for(&h, 10 * MS);
	must_be_about(offered[0], SPIN_FIRST_OFFER_MOST_NS);
	must_be_about(offered[1] - offered[0], away_ns + SPIN_LONG_NS);
	wait_for(&h, 10 * MS);
	must_be_about(offered[0], SPIN_LONG_NS);
}
END_TEST

/* O2 */
START_TEST(time_of_others_is_not_taken_off_the_budget)
{
	struct spin_habit h = patient();
	int64_t length;

	away_ns = 100 * US;
	length = wait_for(&h, 100 * MS);
	ck_assert_uint_ge(offers, 10);
	must_be_about(length, SPIN_DEFAULT_NS + offers * (away_ns + TICK));
}
END_TEST

/* O4 */
START_TEST(process_that_computes_gets_no_offers_for_a_while)
{
	struct spin_habit h = patient();

	away_ns = 4 * MS;
	wait_for(&h, 100 * MS);
	ck_assert_uint_eq(offers, 2);
	wait_for(&h, 100 * MS);
	ck_assert_uint_eq(offers, 0);
	clock_ns += 50 * MS;
	wait_for(&h, 100 * MS); /* one is enough now */
	ck_assert_uint_eq(offers, 1);
}
END_TEST

START_TEST(long_offer_among_short_ones_is_forgiven)
{
	struct spin_habit h = patient();

	for (int i = 0; i < 20; i++) {
		away_ns = 2 * MS;
		wait_for(&h, 5 * US);
		ck_assert_uint_eq(offers, 1);
		away_ns = 5 * US;
		for (int k = 0; k < 16; k++)
			wait_for(&h, 5 * US);
	}
}
END_TEST

/* O5 */
START_TEST(consumer_that_spins_in_vain_sleeps_sooner)
{
	struct spin_habit h = adaptive();
	unsigned skipped, most = 2;

	away_ns = 0;
	wait_for(&h, MS);
	for (int i = 0; i < 8; i++) {
		h.gap_ns = 0; /* it is the gap that says so otherwise */
		must_be_about(wait_for(&h, MS), SPIN_DEFAULT_NS);
		for (skipped = 0; skipped < most; skipped++) {
			h.gap_ns = 0;
			must_be_about(wait_for(&h, MS), SPIN_LONG_NS);
		}
		most = most < 64 ? 2 * most : 64;
	}
}
END_TEST

START_TEST(long_spin_that_brings_something_makes_up_for_those_in_vain)
{
	struct spin_habit h = adaptive();

	away_ns = 0;
	for (int i = 0; i < 20; i++) {
		h.gap_ns = 0;
		must_be_about(wait_for(&h, MS), SPIN_DEFAULT_NS);
		h.gap_ns = 0;
		must_be_about(wait_for(&h, 20 * US), 20 * US);
	}
}
END_TEST

/* O6 */
START_TEST(producer_spins_a_budget_for_each_consumer)
{
	struct spin_habit h = patient();

	h.turns = 3;
	must_be_about(wait_for(&h, MS), 3 * SPIN_DEFAULT_NS);
}
END_TEST

START_TEST(chosen_budget_makes_no_offer_and_has_one_turn)
{
	struct spin_habit h = patient();

	shmr_spin_set_budget(&h, 100 * US, false);
	h.turns = 4;
	must_be_about(wait_for(&h, MS), 100 * US);
	ck_assert_uint_eq(offers, 0);
}
END_TEST

START_TEST(offers_are_counted_as_system_calls)
{
	struct spin_habit h = patient();
	uint64_t before = counters.system_calls;

	wait_for(&h, MS);
	ck_assert_uint_eq(counters.system_calls - before, offers);
	ck_assert_uint_gt(offers, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("spin");
	TCase *tc = room_case(s, "spin", 10);

	tcase_add_test(tc, consumer_begins_by_spinning);
	tcase_add_test(tc, rare_messages_are_slept_for);
	tcase_add_test(tc, frequent_messages_are_spun_for_again);
	tcase_add_test(tc, messages_that_came_together_count_one_by_one);
	tcase_add_test(tc, one_pause_is_forgotten);
	tcase_add_loop_test(tc, chosen_budget_stays, 0, 3);
	tcase_add_test(tc, short_wait_makes_no_offer);
	tcase_add_test(tc, offers_come_after_twice_as_long_each_time);
	tcase_add_test(tc, process_alone_offers_later_and_later);
	tcase_add_test(tc, offer_that_is_taken_brings_the_next_one_soon);
	tcase_add_test(tc, time_of_others_is_not_taken_off_the_budget);
	tcase_add_test(tc, process_that_computes_gets_no_offers_for_a_while);
	tcase_add_test(tc, long_offer_among_short_ones_is_forgiven);
	tcase_add_test(tc, consumer_that_spins_in_vain_sleeps_sooner);
	tcase_add_test(tc, long_spin_that_brings_something_makes_up_for_those_in_vain);
	tcase_add_test(tc, producer_spins_a_budget_for_each_consumer);
	tcase_add_test(tc, chosen_budget_makes_no_offer_and_has_one_turn);
	tcase_add_test(tc, offers_are_counted_as_system_calls);
	return run_suite(s);
}
