/* SPDX-License-Identifier: MIT */
/*
 * A producer that is stopped while it is about to evict a consumer for its lag, at every
 * instruction up to the one that evicts. What the consumer does meanwhile counts. And a
 * consumer that is stopped at every instruction while it takes a kept place.
 */
#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "step.h"
#include "way.h"

enum { SOURCE = 35, SIZE = 200, LAG = 16384, MOST = 4096 };

struct trial {
	struct shmring_ring *ring;
	struct shmring_consumer *c;
	struct audit audit;
	struct child child;
	struct step step;
};

/* What the helper needs; it inherits it. */
static struct {
	uint64_t before; /* messages that it publishes at full speed */
	struct shmring_producer *p;
	unsigned char last[SIZE];
} helper;

/* The instructions of the last publication up to the one that evicts. */
static uintptr_t addresses[MOST];
static uint32_t nth[MOST];
static struct step_path path = { .address = addresses, .nth = nth };

static int publish_one(void *unused)
{
	(void)unused;
	return shmring_publish(helper.p, helper.last, SIZE, SHMRING_NOWAIT);
}

static int produce(int socket, void *unused)
{
	struct shmring_ring *r;

	(void)unused;
	must(shmring_open(&r, room_path("ring")));
	helper.p = producer_attach(r);
	publish_numbers(helper.p, SOURCE, 0, helper.before, SIZE);
	audit_fill(helper.last, SIZE, SOURCE, helper.before);
	must(step_run(publish_one, NULL));
	step_tell(socket);
	shmring_producer_detach(helper.p);
	shmring_close(r);
	return 0;
}

/* One lane, and a consumer that is evicted for its own limit only. */
static void make_ring(struct trial *t)
{
	const struct shmring_consumer_options options = { .size = sizeof(options), .max_lag = LAG };
	struct shmring_config config = small_config();

	*t = (struct trial){ .ring = NULL };
	config.lanes = 1;
	must(shmring_create(&t->ring, room_path("ring"), &config));
	must(shmring_consumer_attach(&t->c, t->ring, &options));
	audit_begin(&t->audit, true);
}

static bool is_evicted(const struct trial *t)
{
	struct shmring_consumer_stat st = { .size = sizeof(st) };

	must(shmring_stat_consumer(t->ring, 0, &st));
	return st.state == SHMRING_EVICTED;
}

static void close_ring(struct trial *t)
{
	shmring_consumer_detach(t->c);
	shmring_close(t->ring);
	must(shmring_remove(room_path("ring")));
}

/* With which message is a consumer evicted that reads nothing? Depends on bytes only. */
static uint64_t fatal_message(void)
{
	struct shmring_producer *p;
	uint64_t number = 0;
	struct trial t;

	make_ring(&t);
	p = producer_attach(t.ring);
	for (; !is_evicted(&t); number++)
		publish_numbers(p, SOURCE, number, 1, SIZE);
	shmring_producer_detach(p);
	close_ring(&t);
	return number - 1;
}

static void begin(struct trial *t)
{
	make_ring(t);
	child_fork(&t->child, produce, NULL);
	step_catch(&t->step, &t->child, publish_one);
}

static void go_on(struct trial *t)
{
	step_release(&t->step);
	step_await(t->child.socket);
}

static void end(struct trial *t)
{
	child_end(&t->child);
	close_ring(t);
}

static void record_path(void)
{
	struct trial t;

	if (step_obstacle())
		room_skip("%s", step_obstacle());
	helper.before = fatal_message();
	begin(&t);
	for (; !is_evicted(&t); path.length++) {
		ck_assert_uint_lt(path.length, MOST);
		addresses[path.length] = t.step.address;
		ck_assert(step_on(&t.step));
	}
	go_on(&t);
	end(&t);
	step_count(&path);
}

/* Stop the helper when it is about to execute the k-th instruction of the path. */
static void approach(struct trial *t, unsigned k)
{
	ck_assert(step_along(&t->step, &path, k));
	ck_assert_uint_eq(t->step.address, path.address[k]);
	ck_assert(!is_evicted(t));
}

/* A sanitizer multiplies the instructions, not the places: a part of them stands for all. */
static unsigned stride(void)
{
	return room_is_sanitized() ? 7 : 1;
}

/* It releases all that there is; and whatever the producer saw before, it is not evicted. */
START_TEST(consumer_that_catches_up_meanwhile_is_kept)
{
	record_path();
	for (unsigned k = 0; k < path.length; k += stride()) {
		struct trial t;

		begin(&t);
		approach(&t, k);
		consume_audited(t.c, &t.audit, helper.before);
		go_on(&t);
		ck_assert_msg(!is_evicted(&t), "evicted by a producer stopped after %u steps", k);
		consume_audited(t.c, &t.audit, 1);
		audit_must_be(&t.audit, helper.before + 1, 0);
		end(&t);
	}
}
END_TEST

/* It releases one message, and is over its limit still: that does not save it. */
START_TEST(consumer_that_trickles_meanwhile_is_evicted)
{
	record_path();
	for (unsigned k = 0; k < path.length; k += stride()) {
		struct trial t;

		begin(&t);
		approach(&t, k);
		consume_audited(t.c, &t.audit, 1);
		go_on(&t);
		ck_assert_msg(is_evicted(&t), "kept by a producer stopped after %u steps", k);
		end(&t);
	}
}
END_TEST

static int take_over(void *r)
{
	const struct shmring_consumer_options options = { .size = sizeof(options),
							  .name = "kept",
							  .max_lag = 2 * LAG };
	struct shmring_consumer *c;
	int e = shmring_consumer_attach(&c, r, &options);

	if (e == 0)
		shmring_consumer_detach(c);
	return e;
}

static int take_over_in_steps(int socket, void *unused)
{
	struct shmring_ring *r;

	(void)socket;
	(void)unused;
	must(shmring_open(&r, room_path("ring")));
	must(step_run(take_over, r));
	shmring_close(r);
	return 0;
}

/* At no instruction is it held to the limit of the one before. */
START_TEST(limits_of_the_last_holder_end_with_its_place)
{
	struct shmring_consumer_options options = { .size = sizeof(options),
						    .name = "kept",
						    .max_lag = LAG };
	struct shmring_config config = small_config();
	bool limited = false;
	struct shmring_ring *r;
	struct shmring_consumer *c;
	struct child child;
	struct step step;

	if (step_obstacle())
		room_skip("%s", step_obstacle());
	config.lanes = 1;
	must(shmring_create(&r, room_path("ring"), &config));
	must(shmring_consumer_attach(&c, r, &options));
	shmring_consumer_detach(c);
	child_fork(&child, take_over_in_steps, NULL);
	step_catch(&step, &child, take_over);
	while (step_on(&step)) {
		struct shmring_consumer_stat st = { .size = sizeof(st) };

		must(shmring_stat_consumer(r, 0, &st));
		if (st.state != SHMRING_ACTIVE)
			continue;
		ck_assert_msg(st.limit == 0 || st.limit == 2 * LAG,
			      "a limit of %ju bytes counts after %ju steps", (uintmax_t)st.limit,
			      (uintmax_t)step.taken);
		limited = limited || st.limit == 2 * LAG;
	}
	ck_assert(limited);
	step_release(&step);
	child_end(&child);
	shmring_close(r);
	must(shmring_remove(room_path("ring")));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lag-stopped");
	TCase *tc = room_case(s, "lag-stopped", 120);

	tcase_add_test(tc, consumer_that_catches_up_meanwhile_is_kept);
	tcase_add_test(tc, consumer_that_trickles_meanwhile_is_evicted);
	tcase_add_test(tc, limits_of_the_last_holder_end_with_its_place);
	return run_suite(s);
}
