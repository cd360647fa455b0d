/* SPDX-License-Identifier: MIT */
/*
 * Lanes: records, the chunk index, and the walk to the end, with all positions
 * also near the end of their range.
 */
#include "lane.h"

#include <errno.h>
#include <string.h>

#include <check.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"

enum { SIZE = 65536, CHUNK = SIZE / LAYOUT_CHUNKS };

static _Alignas(64) unsigned char data[SIZE];
static struct lane_control control;
static struct lane lane = { .data = data, .mask = SIZE - 1, .control = &control };
static struct geometry geometry;

/* Where lanes begin: at 0, and so that 2^64 lies within the first lap. */
static const uint64_t begins[] = { 0, (uint64_t)0 - SIZE / 2, (uint64_t)0 - 64 };

/* The words that their records have. */
static const uint32_t prefixes[] = { 0, PREFIX_STAMP, PREFIX_CHECK | PREFIX_KEY };

static void begin(int i)
{
	uint64_t position = begins[i];
	struct shmring_config config = {
		.size = sizeof(config), .lane_size = SIZE, .lanes = 1, .first_position = position
	};

	memset(data, 0xcc, sizeof(data));
	memset(&control, 0xcc, sizeof(control));
	must(layout_plan(&geometry, &config));
	geometry.prefix_words = prefixes[i];
	geometry.prefix_size = prefix_bytes(prefixes[i]);
	geometry.max_message -= geometry.prefix_size;
	shmr_lane_begin(&lane, &geometry);
}

/* Write a record at the boundary, as a producer does, and move on. */
static void write_record(struct shmring_boundary *at, uint64_t length)
{
	uint64_t next = at->position + record_size_in(&geometry, length);

	store_relaxed(lane_word(data, lane.mask, next), 0);
	store_release(lane_word(data, lane.mask, at->position), header_make(length, 1));
	at->position = next;
	at->seq++;
	at->bytes += length;
}

/* Reserve up to the end of the chunk in which the record ends, as a producer does. */
static void reserve(const struct shmring_boundary *at, uint64_t size)
{
	uint64_t need = at->position + size + RECORD_HEADER;

	if ((int64_t)(need - load_relaxed(&control.reserved)) <= 0)
		return;
	shmr_lane_note(&lane, at, CHUNK);
	store_release(&control.reserved, (need + CHUNK - 1) & ~(uint64_t)(CHUNK - 1));
}

/* `laps` laps of records of one length; returns the end. */
static struct shmring_boundary fill(uint64_t length, unsigned laps)
{
	struct shmring_boundary at = { .position = geometry.first_position };

	while (at.position - geometry.first_position < laps * (uint64_t)SIZE) {
		reserve(&at, record_size_in(&geometry, length));
		write_record(&at, length);
	}
	return at;
}

START_TEST(record_takes_header_payload_and_padding)
{
	ck_assert_uint_eq(record_size(0, 15, ~UINT64_C(7)), 8);
	ck_assert_uint_eq(record_size(1, 15, ~UINT64_C(7)), 16);
	ck_assert_uint_eq(record_size(8, 15, ~UINT64_C(7)), 16);
	ck_assert_uint_eq(record_size(9, 15, ~UINT64_C(7)), 24);
	ck_assert_uint_eq(record_size(0, 71, ~UINT64_C(63)), 64);
	ck_assert_uint_eq(record_size(56, 71, ~UINT64_C(63)), 64);
	ck_assert_uint_eq(record_size(57, 71, ~UINT64_C(63)), 128);
}
END_TEST

/* Each word takes 8 bytes, in the order of the bits, and the payload begins behind the last. */
START_TEST(record_has_room_for_the_words_of_its_prefix)
{
	static const struct {
		uint32_t words;
		uint64_t check, stamp, key, payload;
	} rings[] = {
		{ 0, 0, 0, 0, 8 },
		{ PREFIX_CHECK, 8, 0, 0, 16 },
		{ PREFIX_STAMP, 0, 8, 0, 16 },
		{ PREFIX_KEY, 0, 0, 8, 16 },
		{ PREFIX_CHECK | PREFIX_KEY, 8, 0, 16, 24 },
		{ PREFIX_CHECK | PREFIX_STAMP | PREFIX_KEY, 8, 16, 24, 32 },
	};

	for (unsigned i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
		struct geometry g = { .alignment = 8 };

		g.prefix_words = rings[i].words;
		g.prefix_size = prefix_bytes(g.prefix_words);
		if (rings[i].check != 0)
			ck_assert_uint_eq(record_word(&g, PREFIX_CHECK), rings[i].check);
		if (rings[i].stamp != 0)
			ck_assert_uint_eq(record_word(&g, PREFIX_STAMP), rings[i].stamp);
		if (rings[i].key != 0)
			ck_assert_uint_eq(record_word(&g, PREFIX_KEY), rings[i].key);
		ck_assert_uint_eq(record_payload(&g), rings[i].payload);
		ck_assert_uint_eq(record_size_in(&g, 0), rings[i].payload);
		ck_assert_uint_eq(record_size_in(&g, 1), rings[i].payload + 8);
		g.alignment = 64;
		ck_assert_uint_eq(record_size_in(&g, 64 - rings[i].payload), 64);
		ck_assert_uint_eq(record_size_in(&g, 65 - rings[i].payload), 128);
	}
}
END_TEST

START_TEST(header_is_never_zero_and_keeps_both_parts)
{
	uint64_t header = header_make(0, 0);

	ck_assert_uint_ne(header, 0);
	header = header_make(0x7fffffff, 0xabcdef);
	ck_assert_uint_eq(header_length(header), 0x7fffffff);
	ck_assert_uint_eq(header_tenancy(header), 0xabcdef);
	ck_assert_uint_ne(header & HEADER_VALID, 0);
}
END_TEST

START_TEST(new_lane_is_empty)
{
	struct shmring_boundary at;

	begin(_i);
	ck_assert(shmr_lane_newest(&lane, &at));
	ck_assert_uint_eq(at.position, begins[_i]);
	ck_assert_uint_eq(at.seq, 0);
	ck_assert_uint_eq(at.bytes, 0);
	must(shmr_lane_walk(&lane, &geometry, &at, POSITION_NONE));
	ck_assert_uint_eq(at.position, begins[_i]);
	ck_assert_uint_eq(control.reserved, begins[_i]);
	ck_assert_uint_eq(control.room_wanted, POSITION_NONE);
}
END_TEST

START_TEST(walk_finds_the_end)
{
	struct shmring_boundary end, at;

	for (uint64_t length = 0; length < 5000; length += 123) {
		begin(_i);
		end = fill(length, 5);
		ck_assert(shmr_lane_newest(&lane, &at));
		must(shmr_lane_walk(&lane, &geometry, &at, POSITION_NONE));
		ck_assert_uint_eq(at.position, end.position);
		ck_assert_uint_eq(at.seq, end.seq);
		ck_assert_uint_eq(at.bytes, end.bytes);
	}
}
END_TEST

START_TEST(walk_from_the_oldest_entry_finds_the_end)
{
	struct shmring_boundary end, at;

	begin(_i);
	end = fill(500, 5);
	ck_assert(shmr_lane_oldest(&lane, SIZE, &at));
	ck_assert_uint_le(control.reserved - at.position, SIZE);
	ck_assert_uint_ge(control.reserved - at.position, SIZE - CHUNK - 512);
	must(shmr_lane_walk(&lane, &geometry, &at, POSITION_NONE));
	ck_assert_uint_eq(at.position, end.position);
	ck_assert_uint_eq(at.seq, end.seq);
	ck_assert_uint_eq(at.bytes, end.bytes);
}
END_TEST

START_TEST(walk_stops_at_the_given_position)
{
	struct shmring_boundary at, stop;

	begin(_i);
	at = (struct shmring_boundary){ .position = begins[_i] };
	for (int i = 0; i < 10; i++)
		write_record(&at, 100);
	stop = at;
	for (int i = 0; i < 10; i++)
		write_record(&at, 200);
	at = (struct shmring_boundary){ .position = begins[_i] };
	must(shmr_lane_walk(&lane, &geometry, &at, stop.position));
	ck_assert_uint_eq(at.position, stop.position);
	ck_assert_uint_eq(at.seq, 10);
	ck_assert_uint_eq(at.bytes, 1000);
}
END_TEST

START_TEST(reach_limits_the_search)
{
	struct shmring_boundary at;

	begin(_i);
	fill(500, 4);
	for (uint64_t reach = 2 * CHUNK; reach <= SIZE; reach += CHUNK) {
		ck_assert(shmr_lane_oldest(&lane, reach, &at));
		ck_assert_uint_le(control.reserved - at.position, reach);
		ck_assert_uint_ge(control.reserved - at.position, reach - CHUNK - 512);
	}
	ck_assert(!shmr_lane_oldest(&lane, 8, &at));
}
END_TEST

/* An entry that its owner died writing, or is writing now. */
START_TEST(entry_in_work_is_not_used)
{
	struct shmring_boundary end, at, newest;

	begin(_i);
	end = fill(500, 4);
	ck_assert(shmr_lane_newest(&lane, &newest));
	for (unsigned i = 0; i < LAYOUT_INDEX; i++)
		if (load_relaxed(&control.index[i].position) == newest.position)
			store_relaxed(&control.index[i].position, POSITION_NONE);
	ck_assert(shmr_lane_newest(&lane, &at));
	ck_assert_uint_lt(at.seq, newest.seq);
	must(shmr_lane_walk(&lane, &geometry, &at, POSITION_NONE));
	ck_assert_uint_eq(at.position, end.position);
	ck_assert_uint_eq(at.seq, end.seq);
}
END_TEST

START_TEST(empty_index_is_reported)
{
	struct shmring_boundary at;

	begin(_i);
	for (unsigned i = 0; i < LAYOUT_INDEX; i++)
		store_relaxed(&control.index[i].position, POSITION_NONE);
	ck_assert(!shmr_lane_newest(&lane, &at));
	ck_assert(!shmr_lane_oldest(&lane, SIZE, &at));
	ck_assert(!shmr_lane_entry_at(&lane, begins[_i], &at));
}
END_TEST

START_TEST(entry_is_found_by_its_position)
{
	struct shmring_boundary at, newest;

	begin(_i);
	fill(500, 4);
	ck_assert(shmr_lane_newest(&lane, &newest));
	ck_assert(shmr_lane_entry_at(&lane, newest.position, &at));
	ck_assert_uint_eq(at.seq, newest.seq);
	ck_assert_uint_eq(at.bytes, newest.bytes);
	ck_assert(!shmr_lane_entry_at(&lane, newest.position + 8, &at));
}
END_TEST

START_TEST(damaged_header_ends_the_walk)
{
	static const uint64_t damage[] = { 1,
					   100,
					   HEADER_VALID | (SIZE / 2 + 1),
					   HEADER_VALID | UINT32_MAX,
					   1ull << 63,
					   HEADER_VALID | 1ull << 33 | 8,
					   HEADER_VALID | 1ull << 39 };
	struct shmring_boundary at;

	for (unsigned i = 0; i < sizeof(damage) / sizeof(*damage); i++) {
		begin(_i);
		at = (struct shmring_boundary){ .position = begins[_i] };
		write_record(&at, 100);
		store_relaxed(lane_word(data, lane.mask, at.position), damage[i]);
		at = (struct shmring_boundary){ .position = begins[_i] };
		must_fail(EBADMSG, shmr_lane_walk(&lane, &geometry, &at, POSITION_NONE));
	}
}
END_TEST

START_TEST(lane_without_an_end_ends_the_walk)
{
	struct shmring_boundary at = { .position = begins[_i] };

	begin(_i);
	for (unsigned i = 0; i < SIZE / 8; i++)
		store_relaxed(lane_word(data, lane.mask, 8 * i), HEADER_VALID);
	must_fail(EBADMSG, shmr_lane_walk(&lane, &geometry, &at, POSITION_NONE));
}
END_TEST

/* With any content of the lane and its index the walk answers soon, and does not crash. */
START_TEST(noise_does_not_crash_the_walk)
{
	uint64_t seed = random_seed() + (uint64_t)_i;
	struct shmring_boundary at;

	begin(0);
	for (int round = 0; round < 2000; round++) {
		for (unsigned i = 0; i < 64; i++)
			((uint64_t *)(void *)data)[random_below(&seed, SIZE / 8)] =
				random_next(&seed) >> random_below(&seed, 64);
		for (unsigned i = 0; i < LAYOUT_INDEX; i++)
			store_relaxed(&control.index[i].position,
				      random_next(&seed) >> random_below(&seed, 64));
		store_relaxed(&control.reserved, random_next(&seed));
		shmr_lane_oldest(&lane, SIZE, &at);
		if (shmr_lane_newest(&lane, &at))
			shmr_lane_walk(&lane, &geometry, &at, POSITION_NONE);
	}
}
END_TEST

/* A deadline that has passed: each call gets on by some records, and all of them arrive. */
START_TEST(walk_goes_on_where_its_time_was_up)
{
	struct shmring_boundary whole, end, at, before;
	unsigned calls = 0;
	int e;

	begin(_i);
	whole = (struct shmring_boundary){ .position = geometry.first_position };
	at = whole;
	store_relaxed(&control.reserved, geometry.first_position + SIZE);
	end = whole;
	while (end.position - whole.position < SIZE - 64)
		write_record(&end, 0);
	must(shmr_lane_walk(&lane, &geometry, &whole, POSITION_NONE));
	ck_assert_uint_eq(whole.position, end.position);
	do {
		before = at;
		e = shmr_lane_walk_until(&lane, &geometry, &at, POSITION_NONE, 0);
		ck_assert(e == 0 || e == -EAGAIN);
		ck_assert(e == 0 || at.seq > before.seq);
		calls++;
	} while (e == -EAGAIN);
	ck_assert_uint_gt(calls, 4);
	ck_assert_mem_eq(&at, &end, sizeof(at));
	at = (struct shmring_boundary){ .position = geometry.first_position };
	must(shmr_lane_walk_until(&lane, &geometry, &at, POSITION_NONE, INT64_MAX - 1));
	ck_assert_mem_eq(&at, &end, sizeof(at));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lane");
	TCase *tc = room_case(s, "lane", 20);

	tcase_add_test(tc, record_takes_header_payload_and_padding);
	tcase_add_test(tc, record_has_room_for_the_words_of_its_prefix);
	tcase_add_test(tc, header_is_never_zero_and_keeps_both_parts);
	tcase_add_loop_test(tc, new_lane_is_empty, 0, 3);
	tcase_add_loop_test(tc, walk_finds_the_end, 0, 3);
	tcase_add_loop_test(tc, walk_from_the_oldest_entry_finds_the_end, 0, 3);
	tcase_add_loop_test(tc, walk_stops_at_the_given_position, 0, 3);
	tcase_add_loop_test(tc, reach_limits_the_search, 0, 3);
	tcase_add_loop_test(tc, entry_in_work_is_not_used, 0, 3);
	tcase_add_loop_test(tc, empty_index_is_reported, 0, 3);
	tcase_add_loop_test(tc, entry_is_found_by_its_position, 0, 3);
	tcase_add_loop_test(tc, damaged_header_ends_the_walk, 0, 3);
	tcase_add_loop_test(tc, lane_without_an_end_ends_the_walk, 0, 3);
	tcase_add_loop_test(tc, noise_does_not_crash_the_walk, 0, 4);
	tcase_add_loop_test(tc, walk_goes_on_where_its_time_was_up, 0,
			    sizeof(begins) / sizeof(begins[0]));
	return run_suite(s);
}
