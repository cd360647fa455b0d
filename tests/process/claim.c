/* SPDX-License-Identifier: MIT */
/*
 * What a producer may do with a claim: commit, shorten, stage, flush, abort,
 * discard. Consumers see what was committed and nothing else.
 */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

static struct shmring_ring *ring;
static struct shmring_producer *producer;
static struct shmring_consumer *consumer;

static void begin(void)
{
	struct shmring_config config = small_config();

	ring = way_create(WAY_PASSED_EXEC, &config);
	consumer = consumer_attach(ring, NULL, SHMRING_START_DEFAULT, 0);
	producer = producer_attach(ring);
}

static void end(void)
{
	shmring_producer_detach(producer);
	shmring_consumer_detach(consumer);
	shmring_close(ring);
}

/* Claim room for the text and fill it. */
static void claim_text(const char *text)
{
	void *data = NULL;

	must(shmring_claim(producer, strlen(text), SHMRING_NOWAIT, &data));
	ck_assert_uint_eq((uintptr_t)data % 8, 0);
	memcpy(data, text, strlen(text));
}

static void publish_text(const char *text)
{
	must(shmring_publish(producer, text, strlen(text), SHMRING_NOWAIT));
}

/* The next message is this text, or, with NULL, there is none. */
static void expect_text(const char *text)
{
	struct shmring_message m;

	if (!text) {
		must_fail(EAGAIN, shmring_peek(consumer, SHMRING_NOWAIT, &m));
		return;
	}
	must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
	ck_assert_uint_eq(m.len, strlen(text));
	ck_assert_mem_eq(m.data, text, m.len);
	must(shmring_release(consumer));
}

START_TEST(nothing_is_seen_before_commit)
{
	begin();
	claim_text("hello");
	expect_text(NULL);
	must(shmring_commit(producer, 5));
	expect_text("hello");
	expect_text(NULL);
	end();
}
END_TEST

START_TEST(commit_may_be_shorter_than_the_claim)
{
	void *data = NULL;

	begin();
	must(shmring_claim(producer, 20000, SHMRING_NOWAIT, &data));
	memset(data, 'a', 20000);
	must(shmring_commit(producer, 3));
	must(shmring_claim(producer, 20000, SHMRING_NOWAIT, &data));
	memset(data, 'b', 20000);
	must(shmring_commit(producer, 0));
	publish_text("next");
	expect_text("aaa");
	expect_text("");
	expect_text("next");
	expect_text(NULL);
	end();
}
END_TEST

START_TEST(shortened_claims_take_little_room)
{
	void *data = NULL;

	begin();
	for (int i = 0; i < 1000; i++) {
		must(shmring_claim(producer, 20000, SHMRING_NOWAIT, &data));
		memset(data, 0xff, 20000);
		must(shmring_commit(producer, 8));
	}
	for (int i = 0; i < 1000; i++)
		expect_text("\xff\xff\xff\xff\xff\xff\xff\xff");
	expect_text(NULL);
	end();
}
END_TEST

START_TEST(aborted_claim_publishes_nothing)
{
	begin();
	for (int i = 0; i < 100; i++) {
		claim_text("abandoned, at some length, to leave more than a header behind");
		shmring_abort(producer);
		expect_text(NULL);
	}
	shmring_abort(producer);
	publish_text("real");
	expect_text("real");
	expect_text(NULL);
	end();
}
END_TEST

START_TEST(staged_messages_appear_together)
{
	begin();
	for (int i = 0; i < 3; i++) {
		claim_text("staged");
		must(shmring_stage(producer, 6));
		expect_text(NULL);
	}
	claim_text("last");
	expect_text(NULL);
	must(shmring_commit(producer, 4));
	for (int i = 0; i < 3; i++)
		expect_text("staged");
	expect_text("last");
	expect_text(NULL);
	end();
}
END_TEST

START_TEST(flush_publishes_what_is_staged)
{
	begin();
	must(shmring_flush(producer));
	claim_text("a");
	must(shmring_stage(producer, 1));
	claim_text("b");
	must(shmring_stage(producer, 1));
	must(shmring_flush(producer));
	must(shmring_flush(producer));
	expect_text("a");
	expect_text("b");
	expect_text(NULL);
	end();
}
END_TEST

START_TEST(publish_takes_staged_messages_along)
{
	struct iovec piece = { .iov_base = (char[]){ 'v' }, .iov_len = 1 };

	begin();
	claim_text("a");
	must(shmring_stage(producer, 1));
	publish_text("b");
	claim_text("c");
	must(shmring_stage(producer, 1));
	must(shmring_publishv(producer, &piece, 1, SHMRING_NOWAIT));
	expect_text("a");
	expect_text("b");
	expect_text("c");
	expect_text("v");
	end();
}
END_TEST

START_TEST(abort_keeps_what_is_staged)
{
	begin();
	claim_text("staged");
	must(shmring_stage(producer, 6));
	claim_text("dropped");
	shmring_abort(producer);
	expect_text(NULL);
	must(shmring_flush(producer));
	expect_text("staged");
	expect_text(NULL);
	end();
}
END_TEST

START_TEST(discard_drops_claim_and_batch)
{
	begin();
	publish_text("before");
	for (int i = 0; i < 5; i++) {
		claim_text("staged and dropped");
		must(shmring_stage(producer, 18));
	}
	claim_text("claimed and dropped");
	shmring_discard(producer);
	shmring_discard(producer);
	must(shmring_flush(producer));
	must_fail(EINVAL, shmring_commit(producer, 0));
	publish_text("after");
	expect_text("before");
	expect_text("after");
	expect_text(NULL);
	end();
}
END_TEST

/* Later consumers count from the totals that the lane's owner has written. */
START_TEST(dropped_messages_are_not_counted)
{
	struct shmring_consumer *late;
	struct shmring_lane_stat st = { .size = sizeof(st) };
	struct shmring_message m;
	uint64_t published = 0;

	begin();
	for (int round = 0; round < 200; round++) {
		publish_numbers(producer, 1, published, 10, 500);
		published += 10;
		for (int i = 0; i < 3; i++) {
			claim_text("staged and dropped");
			must(shmring_stage(producer, 18));
		}
		if (round & 1)
			claim_text("claimed and dropped");
		shmring_discard(producer);
		claim_text("aborted");
		shmring_abort(producer);
		for (int i = 0; i < 10; i++) {
			must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
			must(shmring_release(consumer));
		}
		ck_assert_uint_eq(m.seq, published - 1);
	}
	must(shmring_stat_lane(ring, m.producer, &st));
	ck_assert_uint_eq(st.messages, published);
	ck_assert_uint_eq(st.bytes, published * 500);
	late = consumer_attach(ring, NULL, SHMRING_START_NOW, 0);
	publish_text("next");
	must(shmring_peek(late, SHMRING_NOWAIT, &m));
	ck_assert_uint_eq(m.seq, published);
	shmring_consumer_detach(late);
	end();
}
END_TEST

START_TEST(detach_drops_claim_and_batch)
{
	begin();
	publish_text("before");
	claim_text("staged");
	must(shmring_stage(producer, 6));
	claim_text("claimed");
	shmring_producer_detach(producer);
	producer = producer_attach(ring);
	publish_text("after");
	expect_text("before");
	expect_text("after");
	expect_text(NULL);
	end();
}
END_TEST

START_TEST(one_claim_at_a_time)
{
	void *data = NULL;

	begin();
	claim_text("first");
	must_fail(EBUSY, shmring_claim(producer, 1, SHMRING_NOWAIT, &data));
	must_fail(EBUSY, shmring_publish(producer, "x", 1, SHMRING_NOWAIT));
	must_fail(EBUSY, shmring_publishv(producer, NULL, 0, SHMRING_NOWAIT));
	must_fail(EBUSY, shmring_flush(producer));
	must(shmring_commit(producer, 5));
	expect_text("first");
	expect_text(NULL);
	end();
}
END_TEST

START_TEST(commit_must_fit_the_claim)
{
	begin();
	must_fail(EINVAL, shmring_commit(producer, 0));
	must_fail(EINVAL, shmring_stage(producer, 0));
	claim_text("four");
	must_fail(EINVAL, shmring_commit(producer, 5));
	must_fail(EINVAL, shmring_stage(producer, SIZE_MAX));
	must(shmring_commit(producer, 4));
	must_fail(EINVAL, shmring_commit(producer, 4));
	expect_text("four");
	expect_text(NULL);
	end();
}
END_TEST

START_TEST(batch_may_take_half_a_lane)
{
	size_t half, taken = 0;
	uint64_t count = 0;
	void *data = NULL;
	int r;

	begin();
	half = shmring_producer_max_message(producer);
	while ((r = shmring_claim(producer, 1016, SHMRING_NOWAIT, &data)) == 0) {
		memset(data, 's', 1016);
		must(shmring_stage(producer, 1016));
		taken += 1024;
		count++;
	}
	must_fail(EMSGSIZE, r);
	ck_assert_uint_ge(taken, half - 1024);
	expect_text(NULL);
	must(shmring_flush(producer));
	must(shmring_claim(producer, 1016, SHMRING_NOWAIT, &data));
	must(shmring_commit(producer, 0));
	for (struct shmring_message m; count > 0; count--) {
		must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
		ck_assert_uint_eq(m.len, 1016);
	}
	end();
}
END_TEST

START_TEST(pieces_make_one_message)
{
	static char text[1024];
	struct iovec pieces[1024];

	begin();
	for (int i = 0; i < 1024; i++) {
		text[i] = (char)('a' + i % 26);
		pieces[i] = (struct iovec){ .iov_base = text + i, .iov_len = 1 };
	}
	must(shmring_publishv(producer, pieces, 1024, SHMRING_NOWAIT));
	pieces[1].iov_len = 0;
	must(shmring_publishv(producer, pieces, 3, SHMRING_NOWAIT));
	must(shmring_publishv(producer, NULL, 0, SHMRING_NOWAIT));
	must_fail(EINVAL, shmring_publishv(producer, pieces, 1025, SHMRING_NOWAIT));
	must_fail(EINVAL, shmring_publishv(producer, pieces, -1, SHMRING_NOWAIT));
	pieces[0].iov_len = pieces[1].iov_len = SIZE_MAX / 2 + 1;
	must_fail(EMSGSIZE, shmring_publishv(producer, pieces, 2, SHMRING_NOWAIT));
	text[1023] = '\0';
	{
		struct shmring_message m;

		must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
		ck_assert_uint_eq(m.len, 1024);
		ck_assert_mem_eq(m.data, text, 1023);
		must(shmring_release(consumer));
	}
	expect_text("ac");
	expect_text("");
	expect_text(NULL);
	end();
}
END_TEST

START_TEST(full_ring_refuses_and_keeps_what_is_staged)
{
	uint64_t count;
	void *data = NULL;

	begin();
	count = publish_until_full(producer, 1, 0, 56);
	must_fail(EAGAIN, shmring_claim(producer, 56, SHMRING_NOWAIT, &data));
	must_fail(EINVAL, shmring_commit(producer, 0));
	for (struct shmring_message m; count > 0; count--) {
		must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
		must(shmring_release(consumer));
	}
	claim_text("staged");
	must(shmring_stage(producer, 6));
	expect_text(NULL);
	must(shmring_flush(producer));
	expect_text("staged");
	end();
}
END_TEST

START_TEST(counters_count_what_was_published)
{
	struct shmring_counters n = { .size = sizeof(n) };

	begin();
	publish_text("12345");
	claim_text("dropped");
	shmring_abort(producer);
	claim_text("67");
	must(shmring_stage(producer, 2));
	must(shmring_producer_counters(producer, &n));
	ck_assert_uint_eq(n.messages, 1);
	ck_assert_uint_eq(n.bytes, 5);
	must(shmring_flush(producer));
	must(shmring_producer_counters(producer, &n));
	ck_assert_uint_eq(n.messages, 2);
	ck_assert_uint_eq(n.bytes, 7);
	expect_text("12345");
	must(shmring_consumer_counters(consumer, &n));
	ck_assert_uint_eq(n.messages, 1);
	ck_assert_uint_eq(n.bytes, 5);
	ck_assert_uint_eq(n.lost, 0);
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("claim");
	TCase *tc = room_case(s, "claim", 20);

	tcase_add_test(tc, nothing_is_seen_before_commit);
	tcase_add_test(tc, commit_may_be_shorter_than_the_claim);
	tcase_add_test(tc, shortened_claims_take_little_room);
	tcase_add_test(tc, aborted_claim_publishes_nothing);
	tcase_add_test(tc, staged_messages_appear_together);
	tcase_add_test(tc, flush_publishes_what_is_staged);
	tcase_add_test(tc, publish_takes_staged_messages_along);
	tcase_add_test(tc, abort_keeps_what_is_staged);
	tcase_add_test(tc, discard_drops_claim_and_batch);
	tcase_add_test(tc, dropped_messages_are_not_counted);
	tcase_add_test(tc, detach_drops_claim_and_batch);
	tcase_add_test(tc, one_claim_at_a_time);
	tcase_add_test(tc, commit_must_fit_the_claim);
	tcase_add_test(tc, batch_may_take_half_a_lane);
	tcase_add_test(tc, pieces_make_one_message);
	tcase_add_test(tc, full_ring_refuses_and_keeps_what_is_staged);
	tcase_add_test(tc, counters_count_what_was_published);
	return run_suite(s);
}
