/* SPDX-License-Identifier: MIT */
/*
 * The broker's catalog of rings: one thread adds and removes, several look, without a
 * lock. Under the address sanitizer a reader that keeps what it may not is found out.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "catalog.h"
#include "child.h"
#include "create.h"
#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"

enum { NAMES = 200, READERS = 3 };

static struct shmring_ring *new_ring(void)
{
	struct shmring_config config = { .size = sizeof(config), .lanes = 1, .lane_size = 65536 };
	struct shmring_ring *r;

	must(shmr_ring_create(&r, NULL, &config));
	return r;
}

static void name_of(unsigned i, char ret[PROTO_NAME_SIZE])
{
	snprintf(ret, PROTO_NAME_SIZE, "ring-%u", i * 7919 % 1000);
}

static struct entry *add(struct catalog *r, unsigned i)
{
	struct shmring_ring *ring = new_ring();
	char name[PROTO_NAME_SIZE];
	struct entry *e;

	name_of(i, name);
	e = catalog_add(r, name, ring, i, i % 2);
	ck_assert_ptr_nonnull(e);
	return e;
}

static int keep_order(int socket, void *arg)
{
	struct catalog r;
	char before[PROTO_NAME_SIZE] = "", name[PROTO_NAME_SIZE];
	const struct entry *e;
	unsigned count = 0;

	(void)socket;
	(void)arg;
	catalog_enter_thread();
	must(catalog_open(&r));
	for (unsigned i = 0; i < NAMES; i++)
		add(&r, i);
	for (unsigned i = 0; i < NAMES; i++) {
		name_of(i, name);
		e = catalog_find(&r, name);
		ck_assert_ptr_nonnull(e);
		ck_assert_uint_eq(e->owner, i);
		ck_assert(catalog_has(&r, name));
	}
	ck_assert_ptr_null(catalog_find(&r, "none"));
	ck_assert(!catalog_has(&r, "none"));
	while ((e = catalog_after(&r, before))) {
		ck_assert_int_gt(strcmp(e->name, before), 0);
		strcpy(before, e->name);
		count++;
	}
	ck_assert_uint_eq(count, NAMES);
	catalog_close(&r);
	catalog_leave_thread();
	return 0;
}

static int hold_entry(int socket, void *arg)
{
	struct catalog r;
	struct entry *e, *next;
	char name[PROTO_NAME_SIZE];

	(void)socket;
	(void)arg;
	catalog_enter_thread();
	must(catalog_open(&r));
	name_of(1, name);
	e = add(&r, 1);
	catalog_hold(e);
	catalog_remove(&r, e);
	ck_assert_ptr_null(catalog_find(&r, name));
	ck_assert(!catalog_release(e));
	next = add(&r, 1); /* the name is free */
	ck_assert_ptr_ne(next, e);
	rcu_barrier();
	must(shmring_fd(e->ring)); /* this test holds it */
	ck_assert(catalog_release(e));
	catalog_close(&r);
	catalog_leave_thread();
	return 0;
}

static shm_u32 over;

struct reader {
	struct catalog *catalog;
	uint64_t looks, found;
	pthread_t thread;
};

static bool is_any(struct entry *e)
{
	return e->name[0] == 'r';
}

/* Everything that a reader may do: look up a name, and collect all rings with their handles. */
static void *read_on(void *arg)
{
	struct reader *me = arg;
	uint64_t seed = random_seed() + (uint64_t)(uintptr_t)me;
	char name[PROTO_NAME_SIZE];

	catalog_enter_thread();
	while (!load_acquire32(&over)) { /* no edge: the end may be seen late */
		struct seen *list;
		size_t count;

		for (unsigned i = 0; i < 200; i++) {
			name_of((unsigned)random_below(&seed, NAMES), name);
			me->found += catalog_has(me->catalog, name);
			catalog_note_recoveries(me->catalog, name, 1);
			me->looks++;
		}
		if (catalog_collect(me->catalog, is_any, &list, &count) < 0)
			abort();
		for (size_t i = 0; i < count; i++) {
			if (shmring_fd(list[i].ring) < 0 || list[i].name[0] != 'r')
				abort();
			shmring_close(list[i].ring);
		}
		free(list);
	}
	catalog_leave_thread();
	return NULL;
}

static int churn(int socket, void *arg)
{
	struct reader readers[READERS] = { 0 };
	uint64_t seed = random_seed(), changes = 0;
	int64_t end = clock_now() + INT64_C(1000000000);
	struct entry *there[NAMES] = { 0 };
	struct catalog r;

	(void)socket;
	(void)arg;
	catalog_enter_thread();
	must(catalog_open(&r));
	store_release32(&over, 0);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i].catalog = &r;
		ck_assert_int_eq(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
	}
	for (; clock_now() < end || changes < 1000; changes++) {
		unsigned i = (unsigned)random_below(&seed, NAMES);

		if (there[i]) {
			catalog_remove(&r, there[i]);
			catalog_release(there[i]);
			there[i] = NULL;
		} else {
			there[i] = add(&r, i);
		}
	}
	store_release32(&over, 1);
	for (unsigned i = 0; i < READERS; i++) {
		ck_assert_int_eq(pthread_join(readers[i].thread, NULL), 0);
		ck_assert_uint_gt(readers[i].looks, 0);
		ck_assert_uint_gt(readers[i].found, 0);
		ck_assert_uint_lt(readers[i].found, readers[i].looks);
	}
	catalog_close(&r);
	catalog_leave_thread();
	return 0;
}

/* liburcu has threads of its own, which end with their process. */
static void in_a_helper(int (*run)(int socket, void *arg))
{
	struct child c;

	child_fork(&c, run, NULL);
	child_end(&c);
}

START_TEST(names_are_kept_in_order)
{
	in_a_helper(keep_order);
}
END_TEST

START_TEST(an_entry_lives_until_its_last_hold)
{
	in_a_helper(hold_entry);
}
END_TEST

START_TEST(readers_look_while_rings_come_and_go)
{
	in_a_helper(churn);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("catalog");
	TCase *tc = room_case(s, "catalog", 30);

	tcase_add_test(tc, names_are_kept_in_order);
	tcase_add_test(tc, an_entry_lives_until_its_last_hold);
	tcase_add_test(tc, readers_look_while_rings_come_and_go);
	return run_suite(s);
}
