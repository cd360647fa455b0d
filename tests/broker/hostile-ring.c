/* SPDX-License-Identifier: MIT */
/*
 * A ring that takes long to count: a producer has filled its lanes with empty records, tens
 * of millions of them behind one entry of the index, and many names wait in it. The broker
 * and its other rings must not notice; a look at this one says that there is more.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "must.h"
#include "raw.h"
#include "room.h"
#include "runner.h"
#include "server.h"

/* Where things are in a ring's file, docs/layout.md: words of the identity, and a record. */
enum {
	IDENTITY_CONTROLS = 208,
	IDENTITY_DATA = 216,
	RECORD_SIZE = 8, /* of an empty one */
	NAMES = 32
};

#define EMPTY_RECORD (UINT64_C(1) << 40 | UINT64_C(1) << 32) /* of the first tenancy */
#define LANE_SIZE (UINT64_C(512) << 20)
#define RECORDS (LANE_SIZE / RECORD_SIZE - 1)

static int64_t ms_since(int64_t start)
{
	return (clock_now() - start) / 1000000;
}

static void make_large(int s, const char *name, uint32_t lanes)
{
	struct proto_message m = { .u.open = {
					   .flags = PROTO_MAKE,
					   .config = { .lanes = lanes, .lane_size = LANE_SIZE },
				   } };

	strcpy(m.u.open.name, name);
	ck_assert_int_eq(raw_call(s, &m, PROTO_OPEN, PROTO_RING, NULL), 0);
}

/* What the producer of its first lane may write, whether it is lawful or not. */
static void fill_lane(int fd)
{
	uint64_t controls, start, end = LANE_SIZE;
	uint64_t *data;

	ck_assert_int_eq(pread(fd, &controls, 8, IDENTITY_CONTROLS), 8);
	ck_assert_int_eq(pread(fd, &start, 8, IDENTITY_DATA), 8);
	data = mmap(NULL, LANE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)start);
	ck_assert_ptr_ne(data, MAP_FAILED);
	for (uint64_t i = 0; i < RECORDS; i++)
		data[i] = EMPTY_RECORD;
	data[RECORDS] = 0;
	munmap(data, LANE_SIZE);
	ck_assert_int_eq(pwrite(fd, &end, 8, (off_t)controls), 8); /* `reserved` */
}

static void make_hostile(int s, const char *name, uint32_t lanes)
{
	struct shmring_consumer_options o = { .size = sizeof(o) };
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct shmring_ring *r;
	char text[16];
	int fd;

	make_large(s, name, lanes);
	must(shmring_open(&r, server_ring(name)));
	must(shmring_producer_attach(&p, r, NULL));
	for (unsigned i = 0; i < NAMES; i++) {
		snprintf(text, sizeof(text), "name-%u", i);
		o.name = text;
		must(shmring_consumer_attach(&c, r, &o));
		shmring_consumer_detach(c);
	}
	fd = open(server_ring(name), O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	fill_lane(fd);
	shmring_producer_detach(p);
	close(fd);
	shmring_close(r);
}

/* A sample of a ring; -1: there is none. */
static double sample(const char *text, const char *what, const char *ring)
{
	char key[128];
	const char *at;

	snprintf(key, sizeof(key), "\nshmringd_%s{ring=\"%s\",owner=\"%u\"} ", what, ring,
		 (unsigned)geteuid());
	at = strstr(text, key);
	return at ? strtod(at + strlen(key), NULL) : -1;
}

static void publish(const char *name, unsigned count)
{
	struct shmring_producer *p;
	struct shmring_ring *r;

	must(shmring_open(&r, server_ring(name)));
	must(shmring_producer_attach(&p, r, NULL));
	for (unsigned i = 0; i < count; i++)
		must(shmring_publish(p, "1", 1, SHMRING_NOWAIT));
	shmring_producer_detach(p);
	shmring_close(r);
}

START_TEST(other_rings_have_fresh_numbers)
{
	double age, messages = -1;
	struct server b;
	char *text;
	int s;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	make_hostile(s, "hostile", 1);
	server_ring("good");
	ck_assert_int_eq(raw_make(s, "good", NULL), 0);
	for (unsigned n = 1; n <= 50 && messages < 0; n++) {
		int64_t start = clock_now();

		publish("good", 1);
		ck_assert_int_eq(raw_metrics(s, &text), 0);
		ck_assert_int_lt(ms_since(start), room_is_sanitized() ? 20000 : 5000);
		ck_assert_double_eq(sample(text, "ring_messages_total", "good"), n);
		ck_assert_double_eq(sample(text, "ring_count_age_seconds", "good"), 0);
		ck_assert_double_eq(sample(text, "ring_detached", "hostile"), NAMES);
		messages = sample(text, "ring_messages_total", "hostile");
		age = sample(text, "ring_count_age_seconds", "hostile");
		ck_assert_double_ge(age, 0);
		free(text);
	}
	/* It goes on where it stopped, so the count comes to its end. */
	ck_assert_double_eq(messages, (double)RECORDS);
	close(s);
	server_stop(&b);
}
END_TEST

START_TEST(bounded_look_reports_that_there_is_more)
{
	struct shmring_consumer_stat c = { .size = sizeof(c) };
	struct shmring_lane_stat lane = { .size = sizeof(lane) };
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct shmring_ring *r;
	struct server b;
	int64_t start;
	int s;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	make_hostile(s, "hostile", 1);
	must(shmring_open(&r, server_ring("hostile")));
	start = clock_now();
	must(shmring_stat(r, &st));
	must(shmring_stat_lane(r, 0, &lane));
	ck_assert_uint_eq(lane.partial, 1);
	ck_assert_uint_gt(lane.messages, 0);
	ck_assert_uint_lt(lane.messages, RECORDS);
	ck_assert_uint_eq(lane.position, lane.messages * RECORD_SIZE);
	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++) {
		must(shmring_stat_consumer(r, i, &c));
		ck_assert_uint_eq(c.partial, i < NAMES);
	}
	/* Each of these takes 20 ms of its own; whole counts would take several times as much. */
	ck_assert_int_lt(ms_since(start), (NAMES + 4) * 20 * 5);
	shmring_close(r);
	close(s);
	server_stop(&b);
}
END_TEST

/* A request for the metrics is under way when the broker is asked to end. */
START_TEST(end_does_not_wait_for_a_look)
{
	struct proto_message m = { 0 };
	struct server b;
	int64_t start;
	int s;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	make_hostile(s, "hostile", 1);
	raw_send(s, &m, PROTO_METRICS);
	start = clock_now();
	server_stop(&b);
	ck_assert_int_lt(ms_since(start), 1000);
	close(s);
}
END_TEST

/* A producer gets another lane; or this one, when there is no other. */
START_TEST(new_producers_take_other_lanes_first)
{
	struct shmring_producer *p, *q;
	struct shmring_ring *r;
	struct server b;
	int s;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	make_hostile(s, "hostile", 2);
	must(shmring_open(&r, server_ring("hostile")));
	must(shmring_producer_attach(&p, r, NULL));
	ck_assert_int_eq(shmring_producer_lane(p), 1);
	must(shmring_producer_attach(&q, r, NULL));
	ck_assert_int_eq(shmring_producer_lane(q), 0);
	shmring_producer_detach(p);
	shmring_producer_detach(q);
	shmring_close(r);
	close(s);
	server_stop(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hostile-ring");
	TCase *tc = room_case(s, "hostile-ring", 60);

	tcase_add_test(tc, other_rings_have_fresh_numbers);
	tcase_add_test(tc, bounded_look_reports_that_there_is_more);
	tcase_add_test(tc, end_does_not_wait_for_a_look);
	tcase_add_test(tc, new_producers_take_other_lanes_first);
	return run_suite(s);
}
