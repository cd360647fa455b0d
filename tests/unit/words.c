/* SPDX-License-Identifier: MIT */
/*
 * The small things: structs of other versions, into a call and out of it, and the
 * sentences behind errors.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

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

START_TEST(options_of_a_newer_program_work_unless_it_sets_new_members)
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

/* A page that ends at memory which nothing may touch. */
static unsigned char *fenced_page(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *p =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	ck_assert_int_eq(mprotect(p + page, page, PROT_NONE), 0);
	return p;
}

/* A struct of `size` bytes, full of noise, that ends where the fenced page ends. */
static void *fenced_struct(unsigned char *page, size_t size)
{
	unsigned char *to = page + (size_t)sysconf(_SC_PAGESIZE) - size;

	memset(to, 0xa5, size);
	memcpy(to, &size, sizeof(size));
	return to;
}

static void drop_page(unsigned char *page)
{
	munmap(page, 2 * (size_t)sysconf(_SC_PAGESIZE));
}

START_TEST(answer_to_an_older_program_ends_where_its_struct_ends)
{
	const size_t old = offsetof(struct known, b);
	const struct newer ours = { .known = { 0, 5, 6 }, .c = { 7, 8 } };
	unsigned char *page = fenced_page();
	struct known *k = fenced_struct(page, old);

	must(shmr_output_write(k, &ours, sizeof(ours), old));
	ck_assert_uint_eq(k->size, old);
	ck_assert_uint_eq(k->a, 5);
	drop_page(page);
}
END_TEST

START_TEST(answer_of_equal_size_is_whole)
{
	const struct known ours = { 0, 5, 6 };
	unsigned char *page = fenced_page();
	struct known *k = fenced_struct(page, sizeof(*k));

	must(shmr_output_write(k, &ours, sizeof(ours), offsetof(struct known, b)));
	ck_assert_uint_eq(k->size, sizeof(*k));
	ck_assert_uint_eq(k->a, 5);
	ck_assert_uint_eq(k->b, 6);
	drop_page(page);
}
END_TEST

START_TEST(answer_to_a_newer_program_ends_in_zeros)
{
	const struct known ours = { 0, 5, 6 };
	unsigned char *page = fenced_page();
	struct newer *n = fenced_struct(page, sizeof(*n));

	must(shmr_output_write(n, &ours, sizeof(ours), sizeof(ours)));
	ck_assert_uint_eq(n->known.size, sizeof(*n));
	ck_assert_uint_eq(n->known.b, 6);
	ck_assert_uint_eq(n->c[0], 0);
	ck_assert_uint_eq(n->c[1], 0);
	drop_page(page);
}
END_TEST

START_TEST(answer_needs_a_size_that_can_be_true)
{
	const size_t wrong[] = { 0, sizeof(size_t), sizeof(struct known) - 1, OUTPUT_MAX + 1,
				 SIZE_MAX };
	const struct known ours = { 0, 5, 6 };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct known k = { wrong[i], 1, 2 };

		must_fail(EINVAL, shmr_output_write(&k, &ours, sizeof(ours), sizeof(ours)));
		ck_assert_ptr_nonnull(strstr(shmring_explain(), "sizeof"));
		ck_assert_uint_eq(k.size, wrong[i]);
		ck_assert_uint_eq(k.a, 1);
		ck_assert_uint_eq(k.b, 2);
	}
}
END_TEST

/* Every public call that fills a struct, with structs of all the sizes that it may meet. */
struct asked {
	struct shmring_ring *ring;
	struct shmring_producer *producer;
	struct shmring_consumer *consumer;
};

static int ask_stat(const struct asked *a, void *ret)
{
	return shmring_stat(a->ring, ret);
}

static int ask_lane(const struct asked *a, void *ret)
{
	return shmring_stat_lane(a->ring, 0, ret);
}

static int ask_consumer(const struct asked *a, void *ret)
{
	return shmring_stat_consumer(a->ring, 0, ret);
}

static int ask_producer_counters(const struct asked *a, void *ret)
{
	return shmring_producer_counters(a->producer, ret);
}

static int ask_consumer_counters(const struct asked *a, void *ret)
{
	return shmring_consumer_counters(a->consumer, ret);
}

static int ask_producer_memory(const struct asked *a, void *ret)
{
	return shmring_producer_memory(a->producer, ret);
}

static int ask_consumer_memory(const struct asked *a, void *ret)
{
	return shmring_consumer_memory(a->consumer, ret);
}

static const struct answer {
	int (*ask)(const struct asked *a, void *ret);
	size_t size;
} answers[] = {
	{ ask_stat, sizeof(struct shmring_ring_stat) },
	{ ask_lane, sizeof(struct shmring_lane_stat) },
	{ ask_consumer, sizeof(struct shmring_consumer_stat) },
	{ ask_producer_counters, sizeof(struct shmring_counters) },
	{ ask_consumer_counters, sizeof(struct shmring_counters) },
	{ ask_producer_memory, sizeof(struct shmring_memory_report) },
	{ ask_consumer_memory, sizeof(struct shmring_memory_report) },
};

static struct asked asked_begin(void)
{
	struct asked a;

	must(shmring_create(&a.ring, NULL, NULL));
	must(shmring_producer_attach(&a.producer, a.ring, NULL));
	must(shmring_consumer_attach(&a.consumer, a.ring, NULL));
	return a;
}

static void asked_end(const struct asked *a)
{
	shmring_consumer_detach(a->consumer);
	shmring_producer_detach(a->producer);
	shmring_close(a->ring);
}

START_TEST(public_answers_stay_within_the_size)
{
	const struct answer *answer = &answers[_i];
	const size_t larger = answer->size + 64;
	struct asked a = asked_begin();
	unsigned char *page = fenced_page(), *to;

	to = fenced_struct(page, answer->size - sizeof(uint64_t));
	must_fail(EINVAL, answer->ask(&a, to));
	ck_assert_int_eq(to[answer->size - sizeof(uint64_t) - 1], 0xa5);
	must(answer->ask(&a, fenced_struct(page, answer->size)));
	to = fenced_struct(page, larger);
	must(answer->ask(&a, to));
	for (size_t i = answer->size; i < larger; i++)
		ck_assert_int_eq(to[i], 0);
	ck_assert_mem_eq(to, &larger, sizeof(larger));
	memset(to, 0, sizeof(size_t));
	must_fail(EINVAL, answer->ask(&a, to));
	drop_page(page);
	asked_end(&a);
}
END_TEST

START_TEST(sentence_has_words_and_numbers)
{
	ck_assert_int_eq(
		shmr_explain(-EINVAL, "%s has %u of %u: %e", "x", (uint64_t)0, UINT64_MAX, -ENOSPC),
		-EINVAL);
	ck_assert_str_eq(shmring_explain(),
			 "x has 0 of 18446744073709551615: No space left on device");
}
END_TEST

START_TEST(names_in_a_sentence_are_harmless)
{
	shmr_explain(-EINVAL, "'%s'", "a\033[2J\nb\xc2\x9b\xe2\x80\xae\xff\xc3\xbc-\xe2");
	ck_assert_str_eq(shmring_explain(), "'a?[2J?b?"
					    "?"
					    "?\xc3\xbc-?'");
	shmr_explain_about(-EINVAL, "\x7f");
	ck_assert_str_eq(shmring_explain(), "?: 'a?[2J?b?"
					    "?"
					    "?\xc3\xbc-?'");
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

START_TEST(explain_without_a_failure_has_a_sentence)
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
	tcase_add_test(tc, options_of_a_newer_program_work_unless_it_sets_new_members);
	tcase_add_test(tc, forgotten_size_is_noticed);
	tcase_add_test(tc, answer_to_an_older_program_ends_where_its_struct_ends);
	tcase_add_test(tc, answer_of_equal_size_is_whole);
	tcase_add_test(tc, answer_to_a_newer_program_ends_in_zeros);
	tcase_add_test(tc, answer_needs_a_size_that_can_be_true);
	tcase_add_loop_test(tc, public_answers_stay_within_the_size, 0,
			    sizeof(answers) / sizeof(answers[0]));
	tcase_add_test(tc, sentence_has_words_and_numbers);
	tcase_add_test(tc, names_in_a_sentence_are_harmless);
	tcase_add_test(tc, endless_sentence_is_cut);
	tcase_add_test(tc, sentence_belongs_to_its_thread);
	tcase_add_test(tc, explain_without_a_failure_has_a_sentence);
	return run_suite(s);
}
