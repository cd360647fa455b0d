/* SPDX-License-Identifier: MIT */
/*
 * The format: where everything lies, whatever the page size, and which
 * identities are refused.
 */
#include "layout.h"

#include <errno.h>
#include <string.h>

#include <check.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "stamp.h"

enum { GRANULE = 65536 };

static struct geometry plan(uint64_t lane_size, uint32_t lanes)
{
	struct shmring_config config = { .size = sizeof(config),
					 .lane_size = lane_size,
					 .lanes = lanes };
	struct geometry g;

	must(layout_plan(&g, &config));
	return g;
}

static struct identity identity_of(const struct geometry *g)
{
	struct identity id = { .named = 1 };

	layout_describe(&id, g);
	return id;
}

/* A sound identity but for one change, checksum included. */
static int check_changed(void (*change)(struct identity *id))
{
	struct geometry g = plan(1 << 20, 4), out;
	struct identity id = identity_of(&g);

	change(&id);
	layout_seal(&id);
	return layout_check(&out, &id, g.file_size);
}

/* Valid under pages of 4, 16 and 64 KiB: nothing begins within one. */
START_TEST(all_offsets_are_multiples_of_64_kib)
{
	for (uint64_t size = SHMRING_MIN_LANE_SIZE; size <= SHMRING_MAX_LANE_SIZE; size *= 2) {
		for (uint32_t lanes = 1; lanes <= SHMRING_MAX_LANES; lanes++) {
			struct geometry g = plan(size, lanes);

			ck_assert_uint_eq(g.registry_offset % GRANULE, 0);
			ck_assert_uint_eq(g.doorbell_offset % GRANULE, 0);
			ck_assert_uint_eq(g.cursors_offset % GRANULE, 0);
			ck_assert_uint_eq(g.controls_offset % GRANULE, 0);
			ck_assert_uint_eq(g.data_offset % GRANULE, 0);
			ck_assert_uint_eq(g.file_size % GRANULE, 0);
			for (unsigned i = 0; i < lanes; i++) {
				ck_assert_uint_eq(control_offset(&g, i) % GRANULE, 0);
				ck_assert_uint_eq(data_offset(&g, i) % GRANULE, 0);
			}
		}
	}
}
END_TEST

START_TEST(segments_do_not_overlap)
{
	for (uint64_t size = SHMRING_MIN_LANE_SIZE; size <= SHMRING_MAX_LANE_SIZE; size *= 2) {
		for (uint32_t lanes = 1; lanes <= SHMRING_MAX_LANES; lanes++) {
			struct geometry g = plan(size, lanes);

			ck_assert_uint_ge(g.registry_offset, sizeof(struct identity));
			ck_assert_uint_ge(g.doorbell_offset,
					  g.registry_offset + sizeof(struct registry));
			ck_assert_uint_ge(g.cursors_offset,
					  g.doorbell_offset + sizeof(struct doorbell));
			ck_assert_uint_ge(g.controls_offset,
					  g.cursors_offset + 64 * sizeof(struct cursor_row));
			ck_assert_uint_ge(g.data_offset, control_offset(&g, lanes - 1) + GRANULE);
			ck_assert_uint_eq(g.file_size, data_offset(&g, lanes - 1) + size);
		}
	}
}
END_TEST

START_TEST(words_of_the_data_path_lie_in_the_first_page)
{
	ck_assert_uint_le(offsetof(struct registry, lane_holder), 4096);
	ck_assert_uint_le(sizeof(struct doorbell), 4096);
	ck_assert_uint_le(sizeof(struct lane_control), 4096);
}
END_TEST

/* What every version must find, to refuse by name what it does not know. */
START_TEST(prefix_is_where_it_has_always_been)
{
	ck_assert_uint_eq(offsetof(struct identity, magic), 0);
	ck_assert_uint_eq(offsetof(struct identity, format), 8);
	ck_assert_uint_eq(offsetof(struct identity, endian), 12);
	ck_assert_uint_eq(offsetof(struct identity, identity_size), 16);
	ck_assert_uint_eq(offsetof(struct identity, checksum), 20);
	ck_assert_uint_eq(offsetof(struct identity, incompatible), 32);
	ck_assert_uint_eq(offsetof(struct identity, file_size), 40);
	ck_assert_uint_eq(offsetof(struct identity, uuid), 48);
	ck_assert_uint_eq(offsetof(struct identity, boot_id), 72);
	ck_assert_mem_eq(LAYOUT_MAGIC, "shmring\x1a", 8);
	ck_assert_uint_eq(LAYOUT_FORMAT, 1);
}
END_TEST

START_TEST(checksum_is_crc32c)
{
	ck_assert_uint_eq(layout_crc32c("123456789", 9), 0xe3069283);
	ck_assert_uint_eq(layout_crc32c("", 0), 0);
}
END_TEST

START_TEST(identity_gives_the_geometry_back)
{
	struct shmring_config config = {
		.size = sizeof(config),
		.lane_size = 1 << 22,
		.lanes = 3,
		.alignment = 64,
		.slow_policy = SHMRING_SLOW_EVICT,
		.unread_policy = SHMRING_UNREAD_HOLD,
		.evict_after_ns = 77,
		.max_sleep_ns = 5000000,
		.wake = SHMRING_WAKE_FENCE,
		.first_position = (uint64_t)0 - 640,
	};
	struct geometry g, out;
	struct identity id;

	memset(&g, 0, sizeof(g));
	must(layout_plan(&g, &config));
	id = identity_of(&g);
	memset(&out, 0, sizeof(out));
	must(layout_check(&out, &id, g.file_size));
	ck_assert_mem_eq(&g, &out, sizeof(g));
}
END_TEST

static void newer_format(struct identity *id)
{
	id->format++;
}

static void older_format(struct identity *id)
{
	id->format--;
}

static void other_byte_order(struct identity *id)
{
	id->endian = __builtin_bswap32(id->endian);
}

static void unknown_feature(struct identity *id)
{
	id->incompatible = 1u << 31;
}

static void former_feature(struct identity *id)
{
	id->incompatible = 1;
}

static void reserved_word(struct identity *id)
{
	id->prefix_words = PREFIX_STAMP | PREFIX_CHECK;
}

static void one_more_word(struct identity *id)
{
	id->prefix_words = PREFIX_STAMP | PREFIX_KEY << 1;
}

START_TEST(unknown_feature_is_refused_by_name)
{
	must_fail(EPROTONOSUPPORT, check_changed(newer_format));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "format 2"));
	must_fail(EPROTONOSUPPORT, check_changed(older_format));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "format 0"));
	must_fail(EPROTONOSUPPORT, check_changed(other_byte_order));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "byte order"));
	must_fail(EPROTONOSUPPORT, check_changed(unknown_feature));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "feature"));
	must_fail(EPROTONOSUPPORT, check_changed(former_feature));
}
END_TEST

START_TEST(unknown_word_of_records_is_refused)
{
	must_fail(EPROTONOSUPPORT, check_changed(one_more_word));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "the messages of the ring have fields"));
	must_fail(EPROTONOSUPPORT, check_changed(reserved_word));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "the messages of the ring have fields"));
}
END_TEST

static void scale_without_stamps(struct identity *id)
{
	id->stamp_scale = 1;
}

static void scale_beyond_reason(struct identity *id)
{
	id->prefix_words = PREFIX_STAMP;
	id->stamp_scale = UINT64_MAX;
}

START_TEST(stamps_are_words_that_take_room_from_messages)
{
	struct geometry g = plan(1 << 20, 4), out;
	struct identity id;

	ck_assert_uint_eq(offsetof(struct identity, stamp_scale), 112);
	ck_assert_uint_eq(offsetof(struct identity, prefix_words), 240);
	ck_assert_uint_eq(identity_of(&g).prefix_words, 0);
	ck_assert_uint_eq(g.max_message, 1 << 19);
	layout_add_stamps(&g, SHMRING_STAMP_TSC);
	g.stamp_scale = 12345;
	g.stamp_base = 678;
	id = identity_of(&g);
	ck_assert_uint_eq(id.prefix_words, PREFIX_STAMP);
	ck_assert_uint_eq(id.incompatible, 0);
	must(layout_check(&out, &id, g.file_size));
	ck_assert_mem_eq(&g, &out, sizeof(g));
	ck_assert_uint_eq(out.max_message, (1 << 19) - 8);
	ck_assert_uint_eq(out.prefix_size, 8);
	must_fail(EBADMSG, check_changed(scale_without_stamps));
	must_fail(EBADMSG, check_changed(scale_beyond_reason));
}
END_TEST

static void compatible_feature(struct identity *id)
{
	id->compatible = 1u << 31;
}

START_TEST(compatible_features_are_no_obstacle)
{
	must(check_changed(compatible_feature));
}
END_TEST

/* A newer version may have another layout and another checksum. */
START_TEST(newer_format_is_named_with_any_other_content)
{
	struct geometry g = plan(1 << 20, 4), out;
	struct identity id = identity_of(&g);

	memset((char *)&id + 128, 0xa5, sizeof(id) - 128);
	id.format = 7;
	id.identity_size = 4096;
	id.checksum = 1;
	must_fail(EPROTONOSUPPORT, layout_check(&out, &id, 12345));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "format 7"));
}
END_TEST

static void odd_lane_size(struct identity *id)
{
	id->lane_size += 8;
}

static void huge_lane_size(struct identity *id)
{
	id->lane_size = (uint64_t)1 << 63;
}

static void no_lanes(struct identity *id)
{
	id->lanes = 0;
}

static void many_lanes(struct identity *id)
{
	id->lanes = 65;
}

static void other_alignment(struct identity *id)
{
	id->alignment = 16;
}

static void no_alignment(struct identity *id)
{
	id->alignment = 0;
}

static void many_consumers(struct identity *id)
{
	id->consumers = 65;
}

static void other_policy(struct identity *id)
{
	id->slow_policy = 2;
}

static void endless_sleep(struct identity *id)
{
	id->max_sleep_ns = UINT64_MAX;
}

static void odd_position(struct identity *id)
{
	id->first_position = 4;
}

static void moved_registry(struct identity *id)
{
	id->registry_offset += GRANULE;
}

static void data_far_away(struct identity *id)
{
	id->data_offset = UINT64_MAX - 1;
}

static void other_stride(struct identity *id)
{
	id->row_stride = 64;
}

static void other_file_size(struct identity *id)
{
	id->file_size += GRANULE;
}

START_TEST(nonsense_with_a_sound_checksum_is_refused)
{
	static void (*const changes[])(struct identity *) = {
		odd_lane_size,	huge_lane_size, no_lanes,     many_lanes,      other_alignment,
		no_alignment,	many_consumers, other_policy, endless_sleep,   odd_position,
		moved_registry, data_far_away,	other_stride, other_file_size,
	};

	for (unsigned i = 0; i < sizeof(changes) / sizeof(*changes); i++)
		must_fail(EBADMSG, check_changed(changes[i]));
}
END_TEST

START_TEST(file_of_another_size_is_refused)
{
	struct geometry g = plan(1 << 20, 4), out;
	struct identity id = identity_of(&g);

	must_fail(EBADMSG, layout_check(&out, &id, 0));
	must_fail(EBADMSG, layout_check(&out, &id, g.file_size - 1));
	must_fail(EBADMSG, layout_check(&out, &id, g.file_size + 1));
	must_fail(EBADMSG, layout_check(&out, &id, UINT64_MAX));
}
END_TEST

/* Random changes with a sound checksum: refused, or harmless. */
START_TEST(accepted_identity_has_a_sound_geometry)
{
	uint64_t seed = random_seed() + (uint64_t)_i;
	struct geometry g = plan(1 << 20, 4), out;

	for (int round = 0; round < 20000; round++) {
		struct identity id = identity_of(&g);

		for (uint64_t n = 1 + random_below(&seed, 3); n > 0; n--)
			((uint8_t *)&id)[24 + random_below(&seed, sizeof(id) - 24)] ^=
				(uint8_t)(1u << random_below(&seed, 8));
		layout_seal(&id);
		if (layout_check(&out, &id, id.file_size) != 0)
			continue;
		ck_assert_uint_eq(out.file_size, g.file_size);
		ck_assert_uint_eq(out.lane_size, g.lane_size);
		ck_assert_uint_eq(out.lanes, g.lanes);
		ck_assert_uint_le(out.alignment, 64);
		ck_assert_uint_le(out.max_sleep_ns, 10000000000);
	}
}
END_TEST

/* The processor's counter keeps its rate, so a process waits for that once. */
START_TEST(rate_of_stamps_is_measured_once)
{
	struct geometry first = plan(0, 0), second = plan(0, 0);
	int e = shmr_stamp_plan(&first, SHMRING_STAMP_TSC);

	if (e == -EOPNOTSUPP)
		room_skip("no counter here that the kernel keeps time by");
	ck_assert_int_eq(e, 0);
	ck_assert_int_eq(shmr_stamp_plan(&second, SHMRING_STAMP_TSC), 0);
	ck_assert_uint_ne(first.stamp_scale, 0);
	ck_assert_uint_eq(first.stamp_scale, second.stamp_scale);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("layout");
	TCase *tc = room_case(s, "layout", 20);

	tcase_add_test(tc, all_offsets_are_multiples_of_64_kib);
	tcase_add_test(tc, segments_do_not_overlap);
	tcase_add_test(tc, words_of_the_data_path_lie_in_the_first_page);
	tcase_add_test(tc, prefix_is_where_it_has_always_been);
	tcase_add_test(tc, checksum_is_crc32c);
	tcase_add_test(tc, identity_gives_the_geometry_back);
	tcase_add_test(tc, unknown_feature_is_refused_by_name);
	tcase_add_test(tc, unknown_word_of_records_is_refused);
	tcase_add_test(tc, stamps_are_words_that_take_room_from_messages);
	tcase_add_test(tc, compatible_features_are_no_obstacle);
	tcase_add_test(tc, newer_format_is_named_with_any_other_content);
	tcase_add_test(tc, nonsense_with_a_sound_checksum_is_refused);
	tcase_add_test(tc, file_of_another_size_is_refused);
	tcase_add_loop_test(tc, accepted_identity_has_a_sound_geometry, 0, 4);
	tcase_add_test(tc, rate_of_stamps_is_measured_once);
	return run_suite(s);
}
