/* SPDX-License-Identifier: MIT */
/*
 * The small things: option structs of other versions, and the sentences behind
 * errors.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include <check.h>

#include "explain.h"
#include "must.h"
#include "options.h"
#include "room.h"
#include "runner.h"

struct known {
	size_t size;
	uint64_t a, b;
};

struct newer {
	struct known known;
	uint64_t c[2];
};

START_TEST(no_options_are_all_defaults)
{
	struct known k = { 1, 2, 3 };

	must(shmr_options_read(&k, sizeof(k), NULL));
	ck_assert_uint_eq(k.a, 0);
	ck_assert_uint_eq(k.b, 0);
}
END_TEST

START_TEST(options_of_an_older_program_end_in_defaults)
{
	struct known old = { .size = offsetof(struct known, b), .a = 5, .b = 6 }, k = { 1, 2, 3 };

	must(shmr_options_read(&k, sizeof(k), &old));
	ck_assert_uint_eq(k.a, 5);
	ck_assert_uint_eq(k.b, 0);
}
END_TEST

START_TEST(options_of_a_newer_program_work_unless_it_needs_the_news)
{
	struct newer n = { .known = { sizeof(n), 5, 6 } };
	struct known k = { 0 };

	must(shmr_options_read(&k, sizeof(k), &n));
	ck_assert_uint_eq(k.a, 5);
	ck_assert_uint_eq(k.b, 6);
	n.c[1] = 1;
	must_fail(EINVAL, shmr_options_read(&k, sizeof(k), &n));
}
END_TEST

START_TEST(forgotten_size_is_noticed)
{
	struct known none = { .size = 0, .a = 5 }, k = { 0 };

	must_fail(EINVAL, shmr_options_read(&k, sizeof(k), &none));
	none.size = sizeof(size_t) - 1;
	must_fail(EINVAL, shmr_options_read(&k, sizeof(k), &none));
}
END_TEST

START_TEST(sentence_has_words_and_numbers)
{
	ck_assert_int_eq(shmr_explain(-EINVAL, "%s has %u of %u: %e", "x", (uint64_t)0, UINT64_MAX,
				      -ENOSPC), -EINVAL);
	ck_assert_str_eq(shmring_explain(), "x has 0 of 18446744073709551615: No space left on device");
}
END_TEST

START_TEST(names_in_a_sentence_are_harmless)
{
	shmr_explain(-EINVAL, "'%s'", "a\033[2J\nb\xc2\x9b\xe2\x80\xae\xff\xc3\xbc-\xe2");
	ck_assert_str_eq(shmring_explain(), "'a?[2J?b?" "?" "?\xc3\xbc-?'");
	shmr_explain_about(-EINVAL, "\x7f");
	ck_assert_str_eq(shmring_explain(), "?: 'a?[2J?b?" "?" "?\xc3\xbc-?'");
}
END_TEST

START_TEST(endless_sentence_is_cut)
{
	static char endless[100000];

	memset(endless, 'a', sizeof(endless) - 1);
	shmr_explain(-EINVAL, "%s %s", endless, endless);
	ck_assert_uint_lt(strlen(shmring_explain()), sizeof(endless));
	ck_assert_int_eq(shmring_explain()[0], 'a');
}
END_TEST

static void *explain_in_thread(void *arg)
{
	(void)arg;
	shmr_explain(-EINVAL, "other");
	return NULL;
}

START_TEST(sentence_belongs_to_its_thread)
{
	pthread_attr_t attr;
	pthread_t id;

	shmr_explain(-EINVAL, "mine");
	ck_assert_int_eq(pthread_attr_init(&attr), 0);
	ck_assert_int_eq(pthread_attr_setguardsize(&attr, 0), 0);
	ck_assert_int_eq(pthread_create(&id, &attr, explain_in_thread, NULL), 0);
	ck_assert_int_eq(pthread_join(id, NULL), 0);
	ck_assert_str_eq(shmring_explain(), "mine");
	pthread_attr_destroy(&attr);
}
END_TEST

START_TEST(nothing_failed_is_explained_too)
{
	ck_assert_ptr_nonnull(shmring_explain());
}
END_TEST

int main(void)
{
	Suite *s = suite_create("words");
	TCase *tc = room_case(s, "words", 10);

	tcase_add_test(tc, no_options_are_all_defaults);
	tcase_add_test(tc, options_of_an_older_program_end_in_defaults);
	tcase_add_test(tc, options_of_a_newer_program_work_unless_it_needs_the_news);
	tcase_add_test(tc, forgotten_size_is_noticed);
	tcase_add_test(tc, sentence_has_words_and_numbers);
	tcase_add_test(tc, names_in_a_sentence_are_harmless);
	tcase_add_test(tc, endless_sentence_is_cut);
	tcase_add_test(tc, sentence_belongs_to_its_thread);
	tcase_add_test(tc, nothing_failed_is_explained_too);
	return run_suite(s);
}
