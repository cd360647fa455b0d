/* SPDX-License-Identifier: MIT */
/*
 * The labels of isolated rings' files: what is written is read back, and nothing else is a label.
 */
#include <stdio.h>
#include <string.h>

#include <check.h>

#include "label.h"
#include "room.h"
#include "runner.h"

static const uint8_t uuid[16] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
				  0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };
static const char digits[] = "00112233445566778899aabbccddeeff";

START_TEST(label_of_a_ring_is_read_back)
{
	char text[LABEL_SIZE];
	struct label l;

	label_write_ring("orders.eu-1_x", 4294967294u, text);
	ck_assert_str_eq(text, "ring+4294967294+orders.eu-1_x");
	ck_assert(label_parse(text, &l));
	ck_assert(!l.of_lane);
	ck_assert_str_eq(l.name, "orders.eu-1_x");
	ck_assert_uint_eq(l.uid, 4294967294u);
}
END_TEST

START_TEST(label_of_a_lane_is_read_back)
{
	char text[LABEL_SIZE];
	struct label l;

	label_write_lane(uuid, 63, 4294967294u, UINT32_MAX, text);
	ck_assert(label_parse(text, &l));
	ck_assert(l.of_lane);
	ck_assert_str_eq(l.uuid, digits);
	ck_assert_uint_eq(l.lane, 63);
	ck_assert_uint_eq(l.uid, 4294967294u);
	ck_assert_uint_eq(l.file_number, UINT32_MAX);
}
END_TEST

static const char *const wrong[] = {
	"",
	"ring",
	"ring+1000",
	"ring+1000+",
	"ring+1000+.hidden",
	"ring+1000+a/b",
	"ring+1000+name more",
	"rung+1000+name",
	"lane+00112233445566778899aabbccddeeff+64+1000+0",
	"lane+00112233445566778899aabbccddeeff+0+1000",
	"lane+00112233445566778899aabbccddeeff+0+1000+0+",
	"lane+00112233445566778899AABBCCDDEEFF+0+1000+0",
	"lane+00112233445566778899aabbccddeeff00+0+1000+0",
};

START_TEST(malformed_labels_are_refused)
{
	struct label l;

	ck_assert_msg(!label_parse(wrong[_i], &l), "'%s' is taken for a label", wrong[_i]);
}
END_TEST

START_TEST(name_of_a_ring_is_never_too_long)
{
	char text[LABEL_SIZE], name[PROTO_NAME_SIZE + 1];
	struct label l;

	memset(name, 'n', sizeof(name));
	name[PROTO_NAME_SIZE] = '\0';
	label_write_ring(name, 0, text);
	ck_assert(!label_parse(text, &l));
	name[PROTO_NAME_SIZE - 1] = '\0';
	label_write_ring(name, 0, text);
	ck_assert(label_parse(text, &l));
	ck_assert_str_eq(l.name, name);
}
END_TEST

START_TEST(label_stands_in_the_link_of_a_memory_file)
{
	char text[LABEL_SIZE], target[2 * LABEL_SIZE], most[LABEL_SIZE];

	ck_assert(label_from_link("/memfd:ring+0+x (deleted)", text));
	ck_assert_str_eq(text, "ring+0+x");
	ck_assert(!label_from_link("/memfd:ring+0+x", text));
	ck_assert(!label_from_link("/dev/shm/ring+0+x (deleted)", text));
	ck_assert(!label_from_link("/memfd: (delete", text));
	ck_assert(!label_from_link("", text));
	memset(most, 'm', sizeof(most) - 1);
	most[sizeof(most) - 1] = '\0';
	snprintf(target, sizeof(target), "/memfd:%s (deleted)", most);
	ck_assert(label_from_link(target, text));
	ck_assert_str_eq(text, most);
	snprintf(target, sizeof(target), "/memfd:%sm (deleted)", most);
	ck_assert(!label_from_link(target, text));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("label");
	TCase *tc = room_case(s, "label", 20);

	tcase_add_test(tc, label_of_a_ring_is_read_back);
	tcase_add_test(tc, label_of_a_lane_is_read_back);
	tcase_add_loop_test(tc, malformed_labels_are_refused, 0, sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(tc, name_of_a_ring_is_never_too_long);
	tcase_add_test(tc, label_stands_in_the_link_of_a_memory_file);
	return run_suite(s);
}
