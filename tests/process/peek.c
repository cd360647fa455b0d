/* SPDX-License-Identifier: MIT */
/*
 * How a consumer takes messages: peek, batches, release, rewind, receive.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 77 };

static struct shmring_ring *ring;
static struct shmring_producer *producer;
static struct shmring_consumer *consumer;
static struct audit audit;

static void begin(void)
{
	struct shmring_config config = small_config();

	ring = way_create(WAY_PASSED_EXEC, &config);
	consumer = consumer_attach(ring, NULL, SHMRING_START_DEFAULT, 0);
	producer = producer_attach(ring);
	audit_begin(&audit, true);
}

static void end(void)
{
	shmring_producer_detach(producer);
	shmring_consumer_detach(consumer);
	shmring_close(ring);
}

/* The next message has this number. */
static void expect_number(uint64_t seq)
{
	struct shmring_message m;

	must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
	ck_assert_uint_eq(m.seq, seq);
}

static void expect_nothing(void)
{
	struct shmring_message m;

	must_fail(EAGAIN, shmring_peek(consumer, SHMRING_NOWAIT, &m));
}

START_TEST(peek_goes_on_without_release)
{
	begin();
	publish_numbers(producer, SOURCE, 0, 5, 100);
	for (uint64_t i = 0; i < 5; i++)
		expect_number(i);
	expect_nothing();
	must(shmring_release(consumer));
	expect_nothing();
	end();
}
END_TEST

START_TEST(message_has_its_lane_and_its_number)
{
	struct shmring_message m;
	struct facts t;

	begin();
	publish_numbers(producer, SOURCE, 0, 2, 100);
	for (uint64_t i = 0; i < 2; i++) {
		must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
		ck_assert_uint_eq(m.len, 100);
		ck_assert_uint_eq(m.seq, i);
		ck_assert_int_eq((int)m.producer, (int)must(shmring_producer_lane(producer)));
		t = facts_of(consumer, &m);
		ck_assert_uint_eq(t.tenancy, 1);
		ck_assert_uint_eq(t.lost, 0);
		ck_assert_uint_eq(t.lost_bytes, 0);
	}
	end();
}
END_TEST

START_TEST(handed_out_messages_stay_until_released)
{
	struct shmring_message held[20];
	uint64_t count;

	begin();
	publish_numbers(producer, SOURCE, 0, 20, 1000);
	ck_assert_int_eq(must(shmring_peek_batch(consumer, SHMRING_NOWAIT, held, 20)), 20);
	count = publish_until_full(producer, SOURCE, 20, 1000);
	ck_assert_uint_ge(count, 20);
	for (int i = 0; i < 20; i++)
		ck_assert_msg(audit_peeked(&audit, consumer, &held[i]), "%s", audit.first_fault);
	must(shmring_release(consumer));
	consume_audited(consumer, &audit, count);
	audit_must_be(&audit, 20 + count, 0);
	end();
}
END_TEST

START_TEST(room_comes_back_with_release_only)
{
	uint64_t count;

	begin();
	count = publish_until_full(producer, SOURCE, 0, 1000);
	for (uint64_t i = 0; i < count; i++)
		expect_number(i);
	ck_assert_uint_eq(publish_until_full(producer, SOURCE, count, 1000), 0);
	must(shmring_release(consumer));
	ck_assert_uint_eq(publish_until_full(producer, SOURCE, count, 1000), count);
	end();
}
END_TEST

START_TEST(batch_takes_the_messages_that_are_there)
{
	struct shmring_message m[8];

	begin();
	must_fail(EAGAIN, shmring_peek_batch(consumer, SHMRING_NOWAIT, m, 8));
	publish_numbers(producer, SOURCE, 0, 10, 50);
	ck_assert_int_eq(must(shmring_peek_batch(consumer, SHMRING_FOREVER, m, 8)), 8);
	for (int i = 0; i < 8; i++)
		ck_assert(audit_peeked(&audit, consumer, &m[i]));
	ck_assert_int_eq(must(shmring_peek_batch(consumer, SHMRING_FOREVER, m, 8)), 2);
	ck_assert(audit_peeked(&audit, consumer, &m[0]));
	ck_assert(audit_peeked(&audit, consumer, &m[1]));
	must_fail(EAGAIN, shmring_peek_batch(consumer, SHMRING_NOWAIT, m, 8));
	must(shmring_release(consumer));
	must_fail(EAGAIN, shmring_peek_batch(consumer, SHMRING_NOWAIT, m, 1));
	end();
}
END_TEST

START_TEST(batch_size_must_be_positive)
{
	struct shmring_message m;

	begin();
	publish_numbers(producer, SOURCE, 0, 1, 50);
	must_fail(EINVAL, shmring_peek_batch(consumer, SHMRING_NOWAIT, &m, 0));
	must_fail(EINVAL, shmring_peek_batch(consumer, SHMRING_NOWAIT, &m, -1));
	expect_number(0);
	end();
}
END_TEST

START_TEST(rewind_hands_out_again)
{
	begin();
	publish_numbers(producer, SOURCE, 0, 5, 50);
	shmring_rewind(consumer);
	expect_number(0);
	expect_number(1);
	must(shmring_release(consumer));
	expect_number(2);
	expect_number(3);
	shmring_rewind(consumer);
	shmring_rewind(consumer);
	consume_audited(consumer, &(struct audit){ 0 }, 3);
	shmring_rewind(consumer);
	expect_nothing();
	end();
}
END_TEST

START_TEST(release_with_nothing_in_hand_does_nothing)
{
	begin();
	must(shmring_release(consumer));
	publish_numbers(producer, SOURCE, 0, 1, 50);
	must(shmring_release(consumer));
	expect_number(0);
	must(shmring_release(consumer));
	must(shmring_release(consumer));
	expect_nothing();
	end();
}
END_TEST

START_TEST(receive_copies_and_releases)
{
	char buffer[100], due[100];
	uint64_t count;

	begin();
	for (uint64_t number = 0; number < 3; number++) {
		publish_numbers(producer, SOURCE, number, 1, 90);
		ck_assert_int_eq(must(shmring_receive(consumer, buffer, 100, SHMRING_NOWAIT)), 90);
		audit_fill(due, 90, SOURCE, number);
		ck_assert_mem_eq(buffer, due, 90);
	}
	must_fail(EAGAIN, shmring_receive(consumer, buffer, 100, SHMRING_NOWAIT));
	count = publish_until_full(producer, SOURCE, 3, 90);
	while (count-- > 0)
		must(shmring_receive(consumer, buffer, 90, SHMRING_NOWAIT));
	expect_nothing();
	end();
}
END_TEST

START_TEST(receive_releases_messages_peeked_before)
{
	char buffer[64];
	uint64_t count;

	begin();
	count = publish_until_full(producer, SOURCE, 0, 40);
	expect_number(0);
	expect_number(1);
	must(shmring_receive(consumer, buffer, sizeof(buffer), SHMRING_NOWAIT));
	shmring_rewind(consumer);
	expect_number(3);
	ck_assert_uint_gt(count, 4);
	end();
}
END_TEST

START_TEST(message_too_long_for_the_buffer_stays)
{
	char buffer[100];

	begin();
	publish_numbers(producer, SOURCE, 0, 1, 100);
	publish_numbers(producer, SOURCE, 1, 1, 0);
	must_fail(EMSGSIZE, shmring_receive(consumer, buffer, 99, SHMRING_NOWAIT));
	must_fail(EMSGSIZE, shmring_receive(consumer, NULL, 0, SHMRING_NOWAIT));
	ck_assert_int_eq(must(shmring_receive(consumer, buffer, 100, SHMRING_NOWAIT)), 100);
	ck_assert_int_eq(must(shmring_receive(consumer, NULL, 0, SHMRING_NOWAIT)), 0);
	expect_nothing();
	end();
}
END_TEST

START_TEST(release_gives_back_all_lanes)
{
	struct shmring_counters counters = { .size = sizeof(counters) };
	struct shmring_producer *other;
	struct shmring_message m[2];

	begin();
	other = producer_attach(ring);
	for (uint64_t n = 0; n < 100; n++) {
		publish_numbers(producer, SOURCE, n, 1, 40);
		publish_numbers(other, SOURCE + 1, n, 1, 40);
		must(shmring_peek(consumer, SHMRING_NOWAIT, &m[0]));
		must(shmring_peek(consumer, SHMRING_NOWAIT, &m[1]));
		ck_assert_uint_ne(m[0].producer, m[1].producer);
		must(shmring_release(consumer));
		must(shmring_consumer_counters(consumer, &counters));
		ck_assert_uint_eq(counters.messages, 2 * (n + 1));
		ck_assert_uint_eq(counters.bytes, 80 * (n + 1));
	}
	shmring_producer_detach(other);
	end();
}
END_TEST

START_TEST(every_lane_gets_its_turn)
{
	struct shmring_producer *other;
	struct shmring_message m;
	int tries = 0;

	begin();
	other = producer_attach(ring);
	publish_until_full(producer, SOURCE, 0, 8);
	publish_numbers(other, SOURCE + 1, 0, 1, 100);
	do {
		must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
		must(shmring_release(consumer));
		tries++;
	} while ((int)m.producer != shmring_producer_lane(other));
	/* 4096 messages of 8 bytes fill a lane: to wait for all of them is starvation. */
	ck_assert_int_le(tries, 3000);
	shmring_producer_detach(other);
	end();
}
END_TEST

START_TEST(detach_keeps_unreleased_messages_for_other_consumers)
{
	struct shmring_consumer *other;

	begin();
	other = consumer_attach(ring, NULL, SHMRING_START_OLDEST, 0);
	publish_numbers(producer, SOURCE, 0, 3, 50);
	expect_number(0);
	shmring_consumer_detach(consumer);
	consumer = other;
	expect_number(0);
	expect_number(1);
	expect_number(2);
	end();
}
END_TEST

START_TEST(null_handles_may_be_dropped)
{
	shmring_producer_detach(NULL);
	shmring_consumer_detach(NULL);
	shmring_close(NULL);
}
END_TEST

START_TEST(attachments_outlive_the_ring_handle)
{
	begin();
	shmring_close(ring);
	ring = NULL;
	for (uint64_t number = 0; number < 1000; number++) {
		publish_numbers(producer, SOURCE, number, 1, 500);
		consume_audited(consumer, &audit, 1);
	}
	audit_must_be(&audit, 1000, 0);
	end();
}
END_TEST

/* Publish an empty message; returns its header, which docs/layout.md describes. */
static uint64_t *publish_empty(void)
{
	struct shmring_ring_stat st = { .size = sizeof(st) };
	uint64_t *payload;
	void *to = NULL;

	must(shmring_stat(ring, &st));
	must(shmring_claim(producer, 0, SHMRING_NOWAIT, &to));
	must(shmring_commit(producer, 0));
	payload = to;
	return payload - (st.stamps == SHMRING_STAMP_NONE ? 1 : 2);
}

/*
 * Bits 39..33 of a header are zero; a record of another kind is not handed out: neither by the
 * slow half, which takes the first message of a turn, nor by the inline half, nor to an observer.
 */
START_TEST(record_of_an_unknown_kind_is_not_handed_out)
{
	struct shmring_consumer *observer;
	struct shmring_message m;
	uint64_t *header;

	for (int before = 0; before < 3; before++) {
		begin();
		observer = consumer_attach(ring, NULL, SHMRING_START_OLDEST, SHMRING_OBSERVE);
		for (int i = 0; i < before; i++)
			publish_empty();
		header = publish_empty();
		ck_assert_uint_eq(*header >> 32 & 0xff, 1);
		*header |= UINT64_C(1) << _i;
		for (int i = 0; i < before; i++) {
			must(shmring_peek(consumer, SHMRING_NOWAIT, &m));
			must(shmring_peek(observer, SHMRING_NOWAIT, &m));
		}
		must_fail(EBADMSG, shmring_peek(consumer, SHMRING_NOWAIT, &m));
		must_fail(EBADMSG, shmring_peek(observer, SHMRING_NOWAIT, &m));
		shmring_consumer_detach(observer);
		end();
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("peek");
	TCase *tc = room_case(s, "peek", 20);

	tcase_add_test(tc, peek_goes_on_without_release);
	tcase_add_test(tc, message_has_its_lane_and_its_number);
	tcase_add_test(tc, handed_out_messages_stay_until_released);
	tcase_add_test(tc, room_comes_back_with_release_only);
	tcase_add_test(tc, batch_takes_the_messages_that_are_there);
	tcase_add_test(tc, batch_size_must_be_positive);
	tcase_add_test(tc, rewind_hands_out_again);
	tcase_add_test(tc, release_with_nothing_in_hand_does_nothing);
	tcase_add_test(tc, receive_copies_and_releases);
	tcase_add_test(tc, receive_releases_messages_peeked_before);
	tcase_add_test(tc, message_too_long_for_the_buffer_stays);
	tcase_add_test(tc, release_gives_back_all_lanes);
	tcase_add_test(tc, every_lane_gets_its_turn);
	tcase_add_test(tc, detach_keeps_unreleased_messages_for_other_consumers);
	tcase_add_test(tc, null_handles_may_be_dropped);
	tcase_add_test(tc, attachments_outlive_the_ring_handle);
	tcase_add_loop_test(tc, record_of_an_unknown_kind_is_not_handed_out, 33, 40);
	return run_suite(s);
}
