/* SPDX-License-Identifier: MIT */
/*
 * Does the auditor notice? Streams with and without faults.
 */
#include <string.h>

#include <check.h>

#include "audit.h"
#include "room.h"
#include "runner.h"

enum { LANE = 3 };

static struct audit audit;
static _Alignas(8) char buffer[4096];

/* Message `number` of `source`, as lane 3 gives it with `seq` and `lost`. */
static struct facts message(size_t len, uint64_t source, uint64_t number, uint64_t seq,
			    uint64_t lost)
{
	audit_fill(buffer, len, source, number);
	return (struct facts){
		.data = buffer, .len = len, .seq = seq, .producer = LANE, .tenancy = 1, .lost = lost
	};
}

static bool see(size_t len, uint64_t source, uint64_t number, uint64_t seq, uint64_t lost)
{
	struct facts m = message(len, source, number, seq, lost);

	return audit_message(&audit, &m);
}

/* Ten sound messages of all kinds of sizes. */
static void begin_well(void)
{
	static const size_t sizes[10] = { 32, 0, 1, 7, 8, 31, 33, 100, 4096, 40 };

	audit_begin(&audit, true);
	for (unsigned i = 0; i < 10; i++)
		ck_assert_msg(see(sizes[i], 7, i, i, 0), "%s", audit.first_fault);
}

START_TEST(sound_stream_passes)
{
	begin_well();
	ck_assert_uint_eq(audit.messages, 10);
	ck_assert_uint_eq(audit.bytes, 4348);
	ck_assert_uint_eq(audit_faults(&audit), 0);
	ck_assert_str_eq(audit.first_fault, "");
}
END_TEST

START_TEST(reported_loss_passes)
{
	begin_well();
	ck_assert(see(64, 7, 15, 15, 5));
	ck_assert(see(5, 7, 18, 18, 2));
	ck_assert(see(64, 7, 19, 19, 0));
	ck_assert_uint_eq(audit.lost, 7);
}
END_TEST

START_TEST(new_owner_of_the_lane_passes)
{
	struct facts m;

	begin_well();
	m = message(64, 8, 0, 10, 0);
	m.tenancy = 2;
	ck_assert_msg(audit_message(&audit, &m), "%s", audit.first_fault);
	m = message(64, 9, 3, 20, 9);
	m.tenancy = 4;
	ck_assert_msg(audit_message(&audit, &m), "%s", audit.first_fault);
}
END_TEST

START_TEST(lanes_are_independent)
{
	struct facts m;

	begin_well();
	m = message(64, 8, 0, 0, 0);
	m.producer = LANE + 1;
	ck_assert(audit_message(&audit, &m));
	ck_assert(see(64, 7, 10, 10, 0));
}
END_TEST

START_TEST(late_joiner_may_begin_anywhere)
{
	audit_begin(&audit, false);
	ck_assert(see(3, 7, 99, 99, 0));
	ck_assert(see(64, 7, 100, 100, 0));
	ck_assert(see(3, 7, 101, 101, 0));
	audit_begin(&audit, true);
	ck_assert(!see(64, 7, 100, 100, 0));
	ck_assert_uint_gt(audit.faults[AUDIT_GAP], 0);
}
END_TEST

START_TEST(repeated_message_is_noticed)
{
	begin_well();
	ck_assert(!see(40, 7, 9, 9, 0));
	ck_assert_uint_gt(audit.faults[AUDIT_REPEATED], 0);
}
END_TEST

/* The ring counts well, but hands out the same bytes again. */
START_TEST(repeated_bytes_are_noticed)
{
	begin_well();
	ck_assert(!see(40, 7, 9, 10, 0));
	ck_assert_uint_gt(audit.faults[AUDIT_REPEATED], 0);
}
END_TEST

START_TEST(missing_message_is_noticed)
{
	begin_well();
	ck_assert(!see(40, 7, 11, 11, 0));
	ck_assert_uint_gt(audit.faults[AUDIT_GAP], 0);
}
END_TEST

/* The ring counts well, but a message of the producer is not there. */
START_TEST(missing_bytes_are_noticed)
{
	begin_well();
	ck_assert(!see(40, 7, 11, 10, 0));
	ck_assert_uint_gt(audit.faults[AUDIT_GAP], 0);
}
END_TEST

START_TEST(missing_short_message_is_noticed)
{
	begin_well();
	ck_assert(!see(8, 7, 11, 10, 0));
	ck_assert_uint_gt(audit.faults[AUDIT_CORRUPT], 0);
}
END_TEST

START_TEST(too_little_reported_loss_is_noticed)
{
	begin_well();
	ck_assert(!see(40, 7, 15, 15, 4));
	ck_assert_uint_gt(audit.faults[AUDIT_GAP], 0);
}
END_TEST

START_TEST(too_much_reported_loss_is_noticed)
{
	begin_well();
	ck_assert(!see(40, 7, 15, 15, 6));
	ck_assert_uint_gt(audit.faults[AUDIT_LIE], 0);
}
END_TEST

START_TEST(wrong_order_is_noticed)
{
	begin_well();
	ck_assert(!see(40, 7, 11, 11, 0));
	ck_assert(!see(40, 7, 10, 10, 0));
	ck_assert_uint_gt(audit.faults[AUDIT_GAP], 0);
	ck_assert_uint_gt(audit.faults[AUDIT_REPEATED], 0);
}
END_TEST

/* Every single bit of a message counts. */
START_TEST(flipped_bit_is_noticed)
{
	size_t len = (size_t)_i;
	struct facts m;
	struct audit before;

	begin_well();
	before = audit;
	for (size_t bit = 0; bit < len * 8; bit++) {
		audit = before;
		m = message(len, 7, 10, 10, 0);
		buffer[bit / 8] ^= (char)(1 << bit % 8);
		ck_assert_msg(!audit_message(&audit, &m), "bit %zu", bit);
	}
}
END_TEST

START_TEST(wrong_length_is_noticed)
{
	struct facts m;

	begin_well();
	m = message(100, 7, 10, 10, 0);
	m.len = 99;
	ck_assert(!audit_message(&audit, &m));
	ck_assert_uint_gt(audit.faults[AUDIT_CORRUPT], 0);
}
END_TEST

START_TEST(wrong_tenancy_is_noticed)
{
	struct facts m;

	begin_well();
	m = message(64, 8, 0, 10, 0);
	ck_assert(!audit_message(&audit, &m));
	begin_well();
	m = message(64, 7, 10, 10, 0);
	m.tenancy = 2;
	ck_assert(!audit_message(&audit, &m));
	begin_well();
	m = message(64, 8, 1, 10, 0);
	m.tenancy = 2;
	ck_assert(!audit_message(&audit, &m));
	ck_assert_uint_gt(audit.faults[AUDIT_GAP], 0);
}
END_TEST

START_TEST(stamp_of_the_past_is_noticed)
{
	struct facts m;

	begin_well();
	m = message(64, 7, 10, 10, 0);
	m.stamp_ns = 1000;
	ck_assert(audit_message(&audit, &m));
	m = message(64, 7, 11, 11, 0);
	m.stamp_ns = 1000;
	ck_assert(audit_message(&audit, &m));
	m = message(64, 7, 12, 12, 0);
	m.stamp_ns = 999;
	ck_assert(!audit_message(&audit, &m));
	ck_assert_uint_eq(audit.faults[AUDIT_STAMP], 1);
}
END_TEST

START_TEST(unaligned_message_is_noticed)
{
	struct facts m;

	begin_well();
	m = message(64, 7, 10, 10, 0);
	memmove(buffer + 1, buffer, 64);
	m.data = buffer + 1;
	ck_assert(!audit_message(&audit, &m));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("auditor");
	TCase *tc = room_case(s, "stream", 10);

	tcase_add_test(tc, sound_stream_passes);
	tcase_add_test(tc, reported_loss_passes);
	tcase_add_test(tc, new_owner_of_the_lane_passes);
	tcase_add_test(tc, lanes_are_independent);
	tcase_add_test(tc, late_joiner_may_begin_anywhere);
	tcase_add_test(tc, repeated_message_is_noticed);
	tcase_add_test(tc, repeated_bytes_are_noticed);
	tcase_add_test(tc, missing_message_is_noticed);
	tcase_add_test(tc, missing_bytes_are_noticed);
	tcase_add_test(tc, missing_short_message_is_noticed);
	tcase_add_test(tc, too_little_reported_loss_is_noticed);
	tcase_add_test(tc, too_much_reported_loss_is_noticed);
	tcase_add_test(tc, wrong_order_is_noticed);
	tcase_add_loop_test(tc, flipped_bit_is_noticed, 1, 50);
	tcase_add_test(tc, wrong_length_is_noticed);
	tcase_add_test(tc, wrong_tenancy_is_noticed);
	tcase_add_test(tc, stamp_of_the_past_is_noticed);
	tcase_add_test(tc, unaligned_message_is_noticed);
	return run_suite(s);
}
