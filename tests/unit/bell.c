/* SPDX-License-Identifier: MIT */
/*
 * The doorbell's arithmetic: when a watermark is reached.
 */
#include <stdint.h>

#include <check.h>

#include "doorbell.h"
#include "room.h"
#include "runner.h"

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

	tcase_add_test(tc, watermarks_are_reached);
	tcase_add_test(tc, watermarks_wrap_and_end_at_half_a_lane);
	return run_suite(s);
}
