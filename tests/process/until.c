/* SPDX-License-Identifier: MIT */
/*
 * SHMRING_UNTIL_NOW: a consumer gets what had been published when it attached, and
 * then the end, however much its producers go on to publish.
 */
#include <errno.h>
#include <stdint.h>

#include <check.h>

#include "child.h"
#include "must.h"
#include "room.h"
#include "runner.h"
#include "step.h"
#include "way.h"

enum { BEFORE = 100, SIZE = 100 };

static const uint32_t kinds[] = { SHMRING_UNTIL_NOW, SHMRING_UNTIL_NOW | SHMRING_OBSERVE };

static struct shmring_ring *create(uint32_t lanes)
{
	struct shmring_config config = small_config();

	config.lanes = lanes;
	config.unread_policy = SHMRING_UNREAD_OVERWRITE;
	return ring_create(&config);
}

/* Read to the end; before each message both lanes get another one. */
static void read_busy_ring(struct shmring_producer *p[2], struct shmring_consumer *c, int batch)
{
	struct shmring_message m[16];
	uint64_t more[2] = { BEFORE, BEFORE }, got[2] = { 0, 0 };
	int n;

	for (;;) {
		for (int i = 0; i < 2; i++)
			publish_numbers(p[i], (uint64_t)i, more[i]++, 1, SIZE);
		n = batch ? shmring_peek_batch(c, SHMRING_FOREVER, m, batch)
			  : shmring_peek(c, SHMRING_FOREVER, m);
		if (n < 0)
			break;
		for (int i = 0; i < (n ? n : 1); i++) {
			ck_assert_uint_eq(m[i].seq, got[m[i].producer]++);
			ck_assert_uint_eq(facts_of(c, &m[i]).lost, 0);
		}
		must(shmring_release(c));
	}
	ck_assert_int_eq(n, -ENODATA);
	ck_assert_uint_eq(got[0], BEFORE);
	ck_assert_uint_eq(got[1], BEFORE);
	must_fail(ENODATA, shmring_peek(c, SHMRING_NOWAIT, m));
}

START_TEST(busy_ring_ends)
{
	struct shmring_ring *r = create(2);
	struct shmring_producer *p[2] = { producer_attach(r), producer_attach(r) };
	struct shmring_consumer *c;

	for (int i = 0; i < 2; i++)
		publish_numbers(p[i], (uint64_t)i, 0, BEFORE, SIZE);
	c = consumer_attach(r, NULL, SHMRING_START_OLDEST, kinds[_i % 2]);
	read_busy_ring(p, c, _i < 2 ? 0 : 16);
	shmring_consumer_detach(c);
	for (int i = 0; i < 2; i++)
		shmring_producer_detach(p[i]);
	shmring_close(r);
}
END_TEST

START_TEST(name_goes_on_where_it_ended)
{
	struct shmring_ring *r = create(1);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c;
	struct shmring_message m;
	struct audit audit;

	audit_begin(&audit, true);
	for (uint64_t round = 0; round < 3; round++) {
		publish_numbers(p, 0, round * 20, 10, SIZE);
		c = consumer_attach(r, "archive", SHMRING_START_DEFAULT, SHMRING_UNTIL_NOW);
		publish_numbers(p, 0, round * 20 + 10, 10, SIZE);
		consume_audited(c, &audit, round == 0 ? 10 : 20);
		must_fail(ENODATA, shmring_peek(c, SHMRING_FOREVER, &m));
		shmring_consumer_detach(c);
	}
	audit_must_be(&audit, 50, 0);
	shmring_producer_detach(p);
	must(shmring_forget(r, "archive"));
	shmring_close(r);
}
END_TEST

/* Later messages do not come, neither in an old lane nor in a new one. */
START_TEST(empty_ring_has_ended)
{
	struct shmring_ring *r = create(2);
	struct shmring_producer *p[2] = { producer_attach(r) };
	struct shmring_consumer *c = consumer_attach(r, NULL, SHMRING_START_OLDEST, kinds[_i]);
	struct shmring_message m;

	must_fail(ENODATA, shmring_peek(c, SHMRING_FOREVER, &m));
	p[1] = producer_attach(r);
	for (int i = 0; i < 2; i++)
		publish_numbers(p[i], (uint64_t)i, 0, 1, SIZE);
	must_fail(ENODATA, shmring_peek(c, SHMRING_FOREVER, &m));
	shmring_consumer_detach(c);
	for (int i = 0; i < 2; i++)
		shmring_producer_detach(p[i]);
	shmring_close(r);
}
END_TEST

/* The end was overwritten: the message that comes instead reports the loss. */
START_TEST(overrun_observer_learns_its_loss_before_the_end)
{
	struct shmring_ring *r = create(1);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c;
	struct shmring_message m;

	publish_numbers(p, 0, 0, BEFORE, SIZE);
	c = consumer_attach(r, NULL, SHMRING_START_OLDEST, kinds[1]);
	publish_numbers(p, 0, BEFORE, 10000, SIZE);
	must(shmring_peek(c, SHMRING_FOREVER, &m));
	ck_assert_uint_ge(facts_of(c, &m).lost, BEFORE);
	ck_assert_uint_eq(facts_of(c, &m).lost, m.seq);
	must_fail(ENODATA, shmring_peek(c, SHMRING_FOREVER, &m));
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* A program that waits in another way is sent to peek. */
START_TEST(end_makes_a_consumer_ready)
{
	struct shmring_ring *r = create(1);
	struct shmring_consumer *c = consumer_attach(r, NULL, SHMRING_START_OLDEST, kinds[_i]);
	struct shmring_wait_item wait = { .what = shmring_consumer_waitable(c) };

	ck_assert_int_eq(must(shmring_wait(&wait, 1, SHMRING_FOREVER)), 1);
	must(shmring_consumer_fd(c, SHMRING_FD_THREAD));
	ck_assert_int_eq(must(shmring_consumer_arm(c)), 1);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

enum { STEPS = 500 }; /* between two messages; attaching takes thousands */

struct late {
	struct shmring_ring *ring;
	struct shmring_consumer *consumer;
	uint32_t kind;
};

static int attach_now(void *arg)
{
	struct late *l = arg;

	l->consumer = consumer_attach(l->ring, NULL, SHMRING_START_NOW, l->kind);
	return 0;
}

static int find_nothing(int socket, void *arg)
{
	struct late *l = arg;
	struct shmring_message m;

	(void)socket;
	must(shmring_open(&l->ring, room_path("ring")));
	must(step_run(attach_now, l));
	must_fail(ENODATA, shmring_peek(l->consumer, SHMRING_FOREVER, &m));
	shmring_consumer_detach(l->consumer);
	shmring_close(l->ring);
	return 0;
}

/* Now is one moment: a message that is published during the attach is before or after it. */
START_TEST(consumer_from_now_until_now_gets_no_message)
{
	struct shmring_config config = small_config();
	struct late late = { .kind = kinds[_i] };
	struct shmring_producer *p;
	struct shmring_ring *r;
	struct child child;
	struct step step;
	uint64_t count = 0;

	if (step_obstacle())
		room_skip("%s", step_obstacle());
	config.lanes = 1;
	config.unread_policy = SHMRING_UNREAD_OVERWRITE;
	must(shmring_create(&r, room_path("ring"), &config));
	p = producer_attach(r);
	publish_numbers(p, 0, 0, BEFORE, SIZE);
	child_fork(&child, find_nothing, &late);
	for (step_catch(&step, &child, attach_now); step_on(&step);)
		if (step.taken % STEPS == 0)
			publish_numbers(p, 0, BEFORE + count++, 1, SIZE);
	step_release(&step);
	ck_assert_uint_gt(count, 5);
	child_end(&child);
	shmring_producer_detach(p);
	shmring_close(r);
	must(shmring_remove(room_path("ring")));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("until");
	TCase *tc = room_case(s, "until", 40);

	tcase_add_loop_test(tc, busy_ring_ends, 0, 4);
	tcase_add_test(tc, name_goes_on_where_it_ended);
	tcase_add_loop_test(tc, empty_ring_has_ended, 0, 2);
	tcase_add_test(tc, overrun_observer_learns_its_loss_before_the_end);
	tcase_add_loop_test(tc, end_makes_a_consumer_ready, 0, 2);
	tcase_add_loop_test(tc, consumer_from_now_until_now_gets_no_message, 0, 2);
	return run_suite(s);
}
