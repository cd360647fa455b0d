/* SPDX-License-Identifier: MIT */
/*
 * A process that attaches is killed, or stopped, after its place counts and before it wakes the
 * processes that wait for it (shmr_bell_ring_arrival() is wrapped). The waiter looks by itself
 * within the ring's longest sleep, and counts what is alive.
 *
 * A consumer does not count while it may still choose where it begins: one that takes over a kept
 * name and wants to begin elsewhere (consumer_restart() is wrapped), and one that is evicted while
 * it joins (consumer_settle_files() is).
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "child.h"
#include "doorbell.h"
#include "must.h"
#include "registry.h"
#include "ring.h"
#include "room.h"
#include "runner.h"
#include "way.h"

#define QUICK_NS UINT64_C(20000000)

static int last_signal; /* that the attaching process gets before it wakes others */

void __real_shmr_bell_ring_arrival(struct doorbell *shared);
void __wrap_shmr_bell_ring_arrival(struct doorbell *shared);

void __wrap_shmr_bell_ring_arrival(struct doorbell *shared)
{
	if (last_signal)
		raise(last_signal);
	__real_shmr_bell_ring_arrival(shared);
}

static int attach_and_be_signalled(int socket, void *arg)
{
	struct shmring_ring *r = arg;
	struct shmring_producer *p;
	struct shmring_consumer *c;

	must(shmring_join(r));
	step_tell(socket);
	step_await(socket);
	last_signal = SIGSTOP;
	must(shmring_producer_attach(&p, r, NULL));
	must(shmring_consumer_attach(&c, r, NULL));
	return 0;
}

static struct shmring_ring *create(void)
{
	struct shmring_config config = small_config();

	config.max_sleep_ns = QUICK_NS;
	return ring_create(&config);
}

static int wait_for_both(int socket, void *arg)
{
	struct shmring_ring *r = arg;

	(void)socket;
	must(shmring_join(r));
	ck_assert_int_eq(must(shmring_wait_producers(r, 1, patience())), 1);
	ck_assert_int_eq(must(shmring_wait_consumers(r, 1, patience())), 1);
	return 0;
}

/* It stops itself. */
static void await_stop(struct child *c)
{
	while (child_look(c) != CHILD_STOPPED)
		sched_yield();
}

START_TEST(process_is_stopped_before_it_wakes_the_waiter)
{
	struct shmring_ring *r = create();
	struct child waiter, comer;

	child_fork(&comer, attach_and_be_signalled, r);
	step_await(comer.socket);
	child_fork(&waiter, wait_for_both, r);
	child_await_sleep(&waiter);
	step_tell(comer.socket);
	await_stop(&comer);
	ck_assert_int_eq(must(shmring_wait_producers(r, 1, patience())), 1);
	ck_assert_int_eq(kill(comer.pid, SIGCONT), 0); /* it stops again at once */
	await_stop(&comer);
	child_end(&waiter);
	child_kill(&comer);
	must_fail(EAGAIN, shmring_wait_producers(r, 1, SHMRING_NOWAIT));
	must_fail(EAGAIN, shmring_wait_consumers(r, 1, SHMRING_NOWAIT));
	shmring_close(r);
}
END_TEST

static struct shmring_ring *counted; /* by the functions that are wrapped */
static unsigned looks;
static struct registry *registry; /* of that ring, writable */
static bool evict;		  /* the next consumer, while it joins */

int __real_consumer_restart(struct shmring_consumer *c, enum shmring_start start);
int __wrap_consumer_restart(struct shmring_consumer *c, enum shmring_start start);
int __real_consumer_settle_files(struct shmring_consumer *c);
int __wrap_consumer_settle_files(struct shmring_consumer *c);

int __wrap_consumer_restart(struct shmring_consumer *c, enum shmring_start start)
{
	ck_assert_int_eq(must(shmring_wait_consumers(counted, 0, SHMRING_NOWAIT)), 0);
	looks++;
	return __real_consumer_restart(c, start);
}

/* As evict() does, once. */
int __wrap_consumer_settle_files(struct shmring_consumer *c)
{
	for (unsigned slot = 0; evict && slot < LAYOUT_CONSUMERS; slot++) {
		shm_u64 *word = &registry->consumer_status[slot];
		uint64_t status = load_acquire(word);

		if (status_state(status) != PLACE_JOINING)
			continue;
		evict = false;
		ck_assert(compare_and_swap(word, status, status_next(status, PLACE_EVICTED)));
		ck_assert_int_eq(must(shmring_wait_consumers(counted, 0, SHMRING_NOWAIT)), 0);
		looks++;
	}
	return __real_consumer_settle_files(c);
}

START_TEST(kept_name_counts_when_it_has_chosen_where_to_begin)
{
	struct shmring_consumer *c;

	counted = create();
	shmring_consumer_detach(consumer_attach(counted, "kept", SHMRING_START_DEFAULT, 0));
	c = consumer_attach(counted, "kept", SHMRING_START_NOW, 0);
	ck_assert_uint_eq(looks, 1);
	ck_assert_int_eq(must(shmring_wait_consumers(counted, 1, SHMRING_NOWAIT)), 1);
	shmring_consumer_detach(c);
	ck_assert_int_eq(must(shmring_wait_consumers(counted, 0, SHMRING_NOWAIT)), 0);
	shmring_close(counted);
}
END_TEST

START_TEST(consumer_that_is_evicted_while_it_joins_does_not_count)
{
	struct shmring_config config = small_config();
	struct shmring_consumer *c;

	config.slow_policy = SHMRING_SLOW_EVICT;
	counted = ring_create(&config);
	registry = mmap(NULL, sizeof(*registry), PROT_READ | PROT_WRITE, MAP_SHARED,
			(int)must(shmring_fd(counted)), (off_t)counted->geometry.registry_offset);
	ck_assert_ptr_ne(registry, MAP_FAILED);
	evict = true;
	c = consumer_attach(counted, NULL, SHMRING_START_NOW, 0);
	ck_assert_uint_eq(looks, 1);
	ck_assert_int_eq(must(shmring_wait_consumers(counted, 1, SHMRING_NOWAIT)), 1);
	shmring_consumer_detach(c);
	munmap(registry, sizeof(*registry));
	shmring_close(counted);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("arrivals");
	TCase *tc = room_case(s, "arrivals", 30);

	tcase_add_test(tc, process_is_stopped_before_it_wakes_the_waiter);
	tcase_add_test(tc, kept_name_counts_when_it_has_chosen_where_to_begin);
	tcase_add_test(tc, consumer_that_is_evicted_while_it_joins_does_not_count);
	return run_suite(s);
}
