/* SPDX-License-Identifier: MIT */
/*
 * Observers: they need only read permission, hold no producer back, can be overrun,
 * and learn exactly what they missed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 21 };

static struct shmring_ring *create(void)
{
	struct shmring_config config = small_config();

	config.lanes = 2;
	return ring_create(&config);
}

static struct shmring_consumer *observe(struct shmring_ring *r)
{
	return consumer_attach(r, NULL, SHMRING_START_OLDEST, SHMRING_OBSERVE);
}

/* The same ring through a descriptor that may only be read. */
static struct shmring_ring *open_readonly(struct shmring_ring *r)
{
	struct shmring_ring *readonly;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", (int)must(shmring_fd(r)));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	must(shmring_open_fd(&readonly, fd));
	close(fd);
	return readonly;
}

START_TEST(observer_sees_every_message_when_it_keeps_up)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *o = observe(r);
	struct audit audit;

	audit_begin(&audit, true);
	for (uint64_t number = 0; number < 3000; number += 10) {
		publish_numbers(p, SOURCE, number, 10, 32 + number % 1000);
		consume_audited(o, &audit, 10);
	}
	audit_must_be(&audit, 3000, 0);
	shmring_consumer_detach(o);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(sleeping_observer_costs_producers_nothing)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *o = observe(r);
	struct shmring_counters n = { .size = sizeof(n) };
	struct audit audit;

	for (uint64_t number = 0; number < 5000; number++)
		must(shmring_publish(p, &number, 8, SHMRING_NOWAIT));
	must(shmring_producer_counters(p, &n));
	ck_assert_uint_eq(n.waits, 0);
	audit_begin(&audit, true);
	consume_all(o, &audit);
	ck_assert_uint_gt(audit.lost, 0);
	ck_assert_uint_eq(audit.lost + audit.messages, 5000);
	ck_assert_uint_eq(audit.lost_bytes + audit.bytes, 5000 * 8);
	shmring_consumer_detach(o);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* Different sizes, so that bytes are not a multiple of messages. */
START_TEST(overrun_observer_learns_lost_messages_and_bytes)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *o = observe(r);
	uint64_t bytes = 0, published = 0, step = 1 + (uint64_t)_i * 37;
	struct shmring_counters n = { .size = sizeof(n) };
	struct audit audit;

	audit_begin(&audit, true);
	for (int lap = 0; lap < 20; lap++) {
		for (uint64_t i = 0; i < step; i++, published++) {
			publish_numbers(p, SOURCE, published, 1, 32 + published * 7 % 1500);
			bytes += 32 + published * 7 % 1500;
		}
		consume_all(o, &audit);
		ck_assert_msg(audit_faults(&audit) == 0, "%s", audit.first_fault);
		ck_assert_uint_eq(audit.lost + audit.messages, published);
		ck_assert_uint_eq(audit.lost_bytes + audit.bytes, bytes);
	}
	must(shmring_consumer_counters(o, &n));
	ck_assert_uint_eq(n.lost, audit.lost);
	ck_assert_uint_eq(n.lost_bytes, audit.lost_bytes);
	ck_assert_uint_eq(n.messages, audit.messages);
	shmring_consumer_detach(o);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* Two producers at full speed overrun it all the time. */
START_TEST(observer_of_a_storm_loses_and_receives_exactly_what_was_published)
{
	struct peer_command produce = { .op = PEER_PRODUCE, .max = 500, .deadline = patience() };
	uint64_t published = 0, bytes = 0;
	struct shmring_ring *r = create();
	struct peer p[2], o;

	ring_start(&o);
	ck_assert_int_eq(peer_consumer(&o, NULL, 0, SHMRING_OBSERVE), 0);
	produce.count = 400000;
	for (unsigned i = 0; i < 2; i++) {
		produce.seed = (uint64_t)_i * (i + 1);
		ring_start(&p[i]);
		ck_assert_int_eq(peer_producer(&p[i], SOURCE + i), 0);
		peer_tell(&p[i], &produce);
	}
	peer_tell_consume(&o, 2 * produce.count);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(peer_answer(&p[i]), produce.count);
		published += p[i].answer.published;
		bytes += p[i].answer.published_bytes;
	}
	ck_assert_int_eq(peer_answer(&o), 2 * produce.count);
	ck_assert_msg(audit_faults(&o.answer.audit) == 0, "%s", o.answer.audit.first_fault);
	ck_assert_uint_eq(o.answer.audit.messages + o.answer.audit.lost, published);
	ck_assert_uint_eq(o.answer.audit.bytes + o.answer.audit.lost_bytes, bytes);
	peer_quit(&o);
	for (unsigned i = 0; i < 2; i++)
		peer_quit(&p[i]);
	shmring_close(r);
}
END_TEST

START_TEST(observer_works_with_read_permission_alone)
{
	struct shmring_ring *r = create(), *readonly;
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *o;
	struct audit audit;

	readonly = open_readonly(r);
	o = observe(readonly);
	publish_numbers(p, SOURCE, 0, 50, 1000);
	audit_begin(&audit, true);
	consume_audited(o, &audit, 50);
	audit_must_be(&audit, 50, 0);
	shmring_consumer_detach(o);
	shmring_close(readonly);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(anonymous_ring_can_be_observed_through_a_readonly_descriptor)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = way_create(WAY_PASSED_EXEC, &config), *readonly;
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *o;
	struct audit audit;

	readonly = open_readonly(r);
	o = observe(readonly);
	publish_numbers(p, SOURCE, 0, 50, 1000);
	audit_begin(&audit, true);
	consume_audited(o, &audit, 50);
	audit_must_be(&audit, 50, 0);
	shmring_consumer_detach(o);
	shmring_close(readonly);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(readonly_ring_serves_only_observers)
{
	struct shmring_ring *r = create(), *readonly = open_readonly(r);
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct shmring_ring_stat st = { .size = sizeof(st) };

	must_fail(EACCES, shmring_producer_attach(&p, readonly, NULL));
	must_fail(EACCES, shmring_consumer_attach(&c, readonly, NULL));
	must_fail(EACCES, shmring_reap(readonly));
	must_fail(EACCES, shmring_forget(readonly, "name"));
	must(shmring_stat(readonly, &st));
	ck_assert_uint_eq(st.lanes, 2);
	shmring_close(readonly);
	shmring_close(r);
}
END_TEST

/* Another user, which may only read the file. */
START_TEST(another_user_may_observe_a_readable_file)
{
	struct shmring_producer *p;
	struct peer stranger;
	struct shmring_ring *r;

	if (geteuid() != 0)
		room_skip("needs root, to become another user");
	r = create();
	p = producer_attach(r);
	publish_numbers(p, SOURCE, 0, 20, 1000);
	peer_exec(&stranger);
	ck_assert_int_eq(peer_simple(&stranger, PEER_NOBODY), 0);
	ck_assert_int_eq(peer_open(&stranger, room_path("ring")), -EACCES);
	ck_assert_int_eq(chmod(room_path("ring"), 0444), 0);
	ck_assert_int_eq(peer_open(&stranger, room_path("ring")), 0);
	ck_assert_int_eq(peer_consumer(&stranger, NULL, 0, 0), -EACCES);
	ck_assert_int_eq(peer_producer(&stranger, SOURCE), -EACCES);
	ck_assert_int_eq(peer_consumer(&stranger, NULL, SHMRING_START_OLDEST, SHMRING_OBSERVE), 0);
	ck_assert_int_eq(peer_consume(&stranger, 20), 20);
	audit_must_be(&stranger.answer.audit, 20, 0);
	peer_quit(&stranger);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(observer_gets_copies)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *o = observe(r);
	struct shmring_message m;
	struct audit audit;

	publish_numbers(p, SOURCE, 0, 3, 2000);
	must(shmring_peek(o, SHMRING_NOWAIT, &m));
	publish_numbers(p, SOURCE, 3, 500, 2000);
	audit_begin(&audit, true);
	ck_assert_msg(audit_peeked(&audit, o, &m), "%s", audit.first_fault);
	must(shmring_release(o));
	shmring_rewind(o);
	consume_all(o, &audit);
	ck_assert_uint_eq(audit_faults(&audit), 0);
	ck_assert_uint_eq(audit.messages + audit.lost, 503);
	shmring_consumer_detach(o);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(observer_gets_one_at_a_time)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *o = observe(r);
	struct shmring_message m[4];
	char buffer[100];

	publish_numbers(p, SOURCE, 0, 3, 100);
	ck_assert_int_eq(must(shmring_peek_batch(o, SHMRING_NOWAIT, m, 4)), 1);
	ck_assert_uint_eq(m[0].seq, 0);
	must_fail(EMSGSIZE, shmring_receive(o, buffer, 99, SHMRING_NOWAIT));
	ck_assert_int_eq(must(shmring_receive(o, buffer, 100, SHMRING_NOWAIT)), 100);
	must(shmring_peek(o, SHMRING_NOWAIT, &m[0]));
	ck_assert_uint_eq(m[0].seq, 2);
	shmring_consumer_detach(o);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(observer_begins_where_it_chooses)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *o;
	struct shmring_message m;

	publish_numbers(p, SOURCE, 0, 10, 100);
	o = consumer_attach(r, NULL, SHMRING_START_NOW, SHMRING_OBSERVE);
	must_fail(EAGAIN, shmring_peek(o, SHMRING_NOWAIT, &m));
	publish_numbers(p, SOURCE, 10, 1, 100);
	must(shmring_peek(o, SHMRING_NOWAIT, &m));
	ck_assert_uint_eq(m.seq, 10);
	ck_assert_uint_eq(facts_of(o, &m).lost, 0);
	shmring_consumer_detach(o);
	o = consumer_attach(r, NULL, SHMRING_START_DEFAULT, SHMRING_OBSERVE);
	must(shmring_peek(o, SHMRING_NOWAIT, &m));
	ck_assert_uint_eq(m.seq, 0);
	shmring_consumer_detach(o);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(observer_takes_no_name_and_no_place)
{
	struct shmring_consumer_options options = { .size = sizeof(options),
						    .name = "watcher",
						    .flags = SHMRING_OBSERVE };
	struct shmring_ring *r = create();
	struct shmring_consumer *o;
	struct shmring_ring_stat st = { .size = sizeof(st) };

	must_fail(EINVAL, shmring_consumer_attach(&o, r, &options));
	o = observe(r);
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.consumers, 0);
	shmring_consumer_detach(o);
	shmring_close(r);
}
END_TEST

/* This also holds across the death of a producer and its successor. */
START_TEST(observer_follows_a_lane_to_its_next_owner)
{
	struct shmring_ring *r = create();
	struct shmring_consumer *o = observe(r);
	struct audit audit;
	struct peer p;

	audit_begin(&audit, true);
	for (uint64_t i = 0; i < 5; i++) {
		ring_start(&p);
		ck_assert_int_eq(peer_producer(&p, SOURCE + i), 0);
		ck_assert_int_eq(peer_produce(&p, 40, 500), 40);
		child_kill(&p.child);
		consume_audited(o, &audit, 40);
	}
	audit_must_be(&audit, 200, 0);
	shmring_consumer_detach(o);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("observe");
	TCase *tc = room_case(s, "observe", 40);

	tcase_add_test(tc, observer_sees_every_message_when_it_keeps_up);
	tcase_add_test(tc, sleeping_observer_costs_producers_nothing);
	tcase_add_loop_test(tc, overrun_observer_learns_lost_messages_and_bytes, 0, 10);
	tcase_add_loop_test(tc, observer_of_a_storm_loses_and_receives_exactly_what_was_published,
			    0, 3);
	tcase_add_test(tc, observer_works_with_read_permission_alone);
	tcase_add_test(tc, anonymous_ring_can_be_observed_through_a_readonly_descriptor);
	tcase_add_test(tc, readonly_ring_serves_only_observers);
	tcase_add_test(tc, another_user_may_observe_a_readable_file);
	tcase_add_test(tc, observer_gets_copies);
	tcase_add_test(tc, observer_gets_one_at_a_time);
	tcase_add_test(tc, observer_begins_where_it_chooses);
	tcase_add_test(tc, observer_takes_no_name_and_no_place);
	tcase_add_test(tc, observer_follows_a_lane_to_its_next_owner);
	return run_suite(s);
}
