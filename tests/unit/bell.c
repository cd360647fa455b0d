/* SPDX-License-Identifier: MIT */
/*
 * The doorbell's arithmetic: how long to spin, and when a watermark is reached.
 */
#include <stdint.h>

#include <check.h>

#include "doorbell.h"
#include "room.h"
#include "runner.h"

enum { US = 1000, MS = 1000 * US };

/* Note `waits` waits, `gap` apart, which brought `messages` each. Returns the time. */
static int64_t wait_often(struct bell *b, int64_t now, int waits, int64_t gap, uint64_t messages)
{
	for (int i = 0; i < waits; i++) {
		now += gap;
		b->messages = messages;
		shmr_bell_learn(b, now);
	}
	return now;
}

static struct bell adaptive(void)
{
	struct bell b = { .waited_ns = 0 };

	shmr_bell_set_spin(&b, SHMRING_SPIN_ADAPTIVE, true);
	return b;
}

START_TEST(consumer_begins_by_spinning)
{
	struct bell b = adaptive();

	ck_assert_int_eq(b.spin_ns, SPIN_DEFAULT_NS);
}
END_TEST

START_TEST(rare_messages_are_slept_for)
{
	struct bell b = adaptive();

	wait_often(&b, 0, 4, MS, 1);
	ck_assert_int_eq(b.spin_ns, 0);
}
END_TEST

START_TEST(frequent_messages_are_spun_for_again)
{
	struct bell b = adaptive();
	int64_t now = wait_often(&b, 0, 100, 1000 * (int64_t)MS, 1);

	ck_assert_int_eq(b.spin_ns, 0);
	wait_often(&b, now, 20, 10 * US, 1);
	ck_assert_int_eq(b.spin_ns, SPIN_DEFAULT_NS);
}
END_TEST

/* A consumer that sleeps finds several messages at a time; they still count as frequent. */
START_TEST(messages_that_came_together_count_one_by_one)
{
	struct bell b = adaptive();
	int64_t now = wait_often(&b, 0, 100, 100 * US, 1);

	ck_assert_int_eq(b.spin_ns, 0);
	wait_often(&b, now, 20, 100 * US, 10);
	ck_assert_int_eq(b.spin_ns, SPIN_DEFAULT_NS);
}
END_TEST

START_TEST(one_pause_is_forgotten)
{
	struct bell b = adaptive();
	int64_t now = wait_often(&b, 0, 50, US, 1);

	now = wait_often(&b, now, 1, 3600 * INT64_C(1000000000), 1);
	wait_often(&b, now, 8, US, 1);
	ck_assert_int_eq(b.spin_ns, SPIN_DEFAULT_NS);
}
END_TEST

START_TEST(chosen_budget_stays)
{
	const int64_t chosen[] = { SHMRING_SPIN_NEVER, 7 * US, SHMRING_SPIN_ALWAYS };
	const int64_t meant[] = { 0, 7 * US, INT64_MAX };
	struct bell b = { .waited_ns = 0 };

	shmr_bell_set_spin(&b, chosen[_i], true);
	ck_assert_int_eq(b.spin_ns, meant[_i]);
	wait_often(&b, wait_often(&b, 0, 50, MS, 1), 50, US, 1);
	ck_assert_int_eq(b.spin_ns, meant[_i]);
}
END_TEST

START_TEST(watermarks_are_reached)
{
	const uint64_t size = 65536;
	const uint64_t bytes = watermark_bytes(8000), count = watermark_messages(100);

	ck_assert(watermark_reached(0, 8, 1, 0, size));
	ck_assert(!watermark_reached(bytes, 7992, UINT64_MAX / 4, 0, size));
	ck_assert(watermark_reached(bytes, 8000, 0, 0, size));
	ck_assert(!watermark_reached(count, 8, 99, 0, size));
	ck_assert(watermark_reached(count, 8, 100, 0, size));
}
END_TEST

/* Numbers go round; half a lane, less what a record has beside its payload, is enough. */
START_TEST(watermarks_wrap_and_end_at_half_a_lane)
{
	const uint64_t size = 65536, at = UINT64_MAX - 799; /* a multiple of eight */

	ck_assert(!watermark_reached(watermark_bytes(at + 1600), at + 1592, 0, at, size));
	ck_assert(watermark_reached(watermark_bytes(at + 1600), at + 1600, 0, at, size));
	ck_assert(!watermark_reached(watermark_messages(1000000), at + size / 2 - 72, 1, at, size));
	ck_assert(watermark_reached(watermark_messages(1000000), at + size / 2 - 64, 1, at, size));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bell");
	TCase *tc = room_case(s, "bell", 10);

	tcase_add_test(tc, consumer_begins_by_spinning);
	tcase_add_test(tc, rare_messages_are_slept_for);
	tcase_add_test(tc, frequent_messages_are_spun_for_again);
	tcase_add_test(tc, messages_that_came_together_count_one_by_one);
	tcase_add_test(tc, one_pause_is_forgotten);
	tcase_add_loop_test(tc, chosen_budget_stays, 0, 3);
	tcase_add_test(tc, watermarks_are_reached);
	tcase_add_test(tc, watermarks_wrap_and_end_at_half_a_lane);
	return run_suite(s);
}
