/* SPDX-License-Identifier: MIT */
/*
 * A hostile participant repeats one change for ever, as fast as it can or at exactly
 * the wrong moment: a change that makes a call of another process try again. Every
 * such call still ends, soon or at its deadline.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "vandal.h"

enum { MS = 1000000, EPOCH = 1000 };

/* What the vandal does, once. */
typedef void (*stroke_fn)(struct actor *a, uint64_t turn);

struct siege {
	struct actor actor;
	struct scene *scene;
	stroke_fn stroke;
};

static int besiege(int socket, void *arg)
{
	struct siege *s = arg;

	must(shmring_join(s->actor.ring));
	map_all(&s->actor);
	s->stroke(&s->actor, 0);
	step_tell(socket);
	for (uint64_t turn = 1; !is_over(&s->actor); turn++)
		s->stroke(&s->actor, turn);
	return 0;
}

/* Returns when it has begun. */
static void siege_begin(struct siege *s, struct shmring_ring *r, stroke_fn stroke)
{
	s->scene = scene_open();
	s->stroke = stroke;
	s->actor = (struct actor){ .scene = s->scene, .ring = r };
	child_fork(&s->actor.child, besiege, s);
	step_await(s->actor.child.socket);
}

static void siege_end(struct siege *s)
{
	__atomic_store_n(&s->scene->over, 1, __ATOMIC_RELEASE);
	child_end(&s->actor.child);
	scene_close(s->scene);
}

static struct shmring_ring *make(uint32_t slow_policy)
{
	const struct shmring_config config = {
		.size = sizeof(config),
		.lane_size = LANE_SIZE,
		.lanes = LANES,
		.slow_policy = slow_policy,
		.unread_policy = SHMRING_UNREAD_OVERWRITE,
		.evict_after_ns = 1000 * (uint64_t)MS,
	};
	struct shmring_ring *r = NULL;

	must(shmring_create(&r, NULL, &config));
	return r;
}

static void expect_in_time(int64_t deadline)
{
	ck_assert_int_lt(clock_now() - deadline, slack());
}

/*
 * Worse than any other process: this one strikes exactly when the library is in a
 * system call. It is these two through which the library reaches the kernel.
 */
static struct {
	struct actor actor;
	stroke_fn stroke; /* NULL: none */
	uint64_t turn;
} ambush;

static void strike(void)
{
	if (ambush.stroke)
		ambush.stroke(&ambush.actor, ++ambush.turn);
}

static void ambush_begin(struct shmring_ring *r, stroke_fn stroke)
{
	ambush.actor = (struct actor){ .ring = r };
	map_all(&ambush.actor);
	ambush.turn = 0;
	ambush.stroke = stroke;
	strike();
}

static void ambush_end(void)
{
	ambush.stroke = NULL;
	unmap_all(&ambush.actor);
	ck_assert_uint_gt(ambush.turn, 100);
}

int fcntl(int fd, int command, ...)
{
	static int (*next)(int, int, ...);
	va_list args;
	void *arg;

	va_start(args, command);
	arg = va_arg(args, void *);
	va_end(args);
	if (!next)
		next = (int (*)(int, int, ...))dlsym(RTLD_NEXT, "fcntl");
	strike();
	return next(fd, command, arg);
}

static uint64_t sleeps_on_several;
static bool io_uring_is_refused;

/* It reads six arguments, as libc does, however many were passed. */
__attribute__((no_sanitize("address"))) long syscall(long number, ...)
{
	static long (*next)(long, ...);
	long a[6];
	va_list args;

	va_start(args, number);
	for (unsigned i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (!next)
		next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	sleeps_on_several += number == SYS_futex_waitv;
	strike();
	if (number == SYS_io_uring_setup && io_uring_is_refused) {
		errno = EPERM;
		return -1;
	}
	return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Every place is free, but never long enough to take it. */
static void free_all_places(struct actor *a, uint64_t turn)
{
	for (unsigned i = 0; i < LANES; i++)
		put(a, LANE_STATUS + 8 * i, status_word(turn, 0, 0, FREE));
	for (unsigned i = 0; i < SLOTS; i++)
		put(a, CONSUMER_STATUS + 8 * i, status_word(turn, 0, 0, FREE));
}

START_TEST(attach_ends_although_every_place_is_lost_again)
{
	struct shmring_consumer_options named = { .size = sizeof(named), .name = "name" };
	struct shmring_ring *r = make(SHMRING_SLOW_BLOCK);
	struct shmring_producer *p;
	struct shmring_consumer *c;

	ambush_begin(r, free_all_places);
	must_fail(EBUSY, shmring_producer_attach(&p, r, NULL));
	must_fail(EBUSY, shmring_consumer_attach(&c, r, NULL));
	must_fail(EBUSY, shmring_consumer_attach(&c, r, &named));
	ambush_end();
	must(shmring_producer_attach(&p, r, NULL));
	must(shmring_consumer_attach(&c, r, &named));
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* A consumer that has died holds all lanes back; a process that buries it finds the next. */
static void raise_the_dead(struct actor *a, uint64_t turn)
{
	(void)turn;
	for (unsigned i = 0; i < LANES; i++)
		put(a, CURSORS + 64 * i, 0);
	put(a, CONSUMER_STATUS, status_word(EPOCH, 0, 0, ACTIVE));
}

START_TEST(producer_keeps_its_deadline_although_dead_consumers_reappear)
{
	struct shmring_ring *r = make(SHMRING_SLOW_BLOCK);
	struct shmring_producer *p, *other;
	char message[1000] = "";
	int64_t deadline;
	int result = 0;

	must(shmring_producer_attach(&p, r, NULL));
	must(shmring_producer_attach(&other, r, NULL)); /* to be woken after a burial */
	ambush_begin(r, raise_the_dead);
	for (int i = 0; i < 200 && result == 0; i++)
		result = shmring_publish(p, message, sizeof(message), SHMRING_NOWAIT);
	must_fail(EAGAIN, result);
	deadline = clock_now() + 10 * MS;
	must_fail(ETIMEDOUT, shmring_publish(p, message, sizeof(message), deadline));
	expect_in_time(deadline);
	ambush_end();
	must(shmring_publish(p, message, sizeof(message), SHMRING_NOWAIT));
	shmring_producer_detach(other);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* Another process seems to have the consumer's place: the consumer neither uses it nor takes it
 * back. */
START_TEST(consumer_whose_place_another_has_is_unusable)
{
	struct shmring_ring *r = make(SHMRING_SLOW_EVICT);
	const uint64_t others = status_word(EPOCH, 7, EVICTABLE, ACTIVE);
	struct actor a = { .ring = r };
	struct shmring_consumer *c;
	struct shmring_message m;

	must(shmring_consumer_attach(&c, r, NULL));
	map_all(&a);
	put(&a, CONSUMER_STATUS, others);
	must_fail(EBADMSG, shmring_peek(c, SHMRING_NOWAIT, &m));
	must_fail(EBADMSG, shmring_peek(c, SHMRING_NOWAIT, &m));
	shmring_consumer_detach(c);
	ck_assert_uint_eq(get(&a, CONSUMER_STATUS), others);
	unmap_all(&a);
	shmring_close(r);
}
END_TEST

/*
 * Not hostile: a consumer that has been evicted and overwritten meets a word that
 * is no header in the midst of a batch. It gets an error, and discards the messages.
 */
START_TEST(batch_that_meets_its_eviction_is_discarded)
{
	struct shmring_ring *r = make(SHMRING_SLOW_EVICT);
	struct actor a = { .ring = r };
	struct shmring_message m[4];
	struct shmring_producer *p;
	struct shmring_consumer *c;

	must(shmring_consumer_attach(&c, r, NULL));
	must(shmring_producer_attach(&p, r, NULL));
	for (int i = 0; i < 4; i++)
		must(shmring_publish(p, "message", 8, SHMRING_NOWAIT));
	must(shmring_peek(c, SHMRING_NOWAIT, m)); /* with nothing in hand it begins again */
	map_all(&a);
	put(&a, CONSUMER_STATUS, status_word(1, 100, EVICTABLE, EVICTED));
	put(&a, DATA + 2 * 16, 2);
	must_fail(ESTALE, shmring_peek_batch(c, SHMRING_NOWAIT, m, 4));
	must(shmring_release(c));
	unmap_all(&a);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* The place of the name changes, as if one holder after the other died. */
static void change_the_holder(struct actor *a, uint64_t turn)
{
	put(a, CONSUMER_STATUS, status_word(EPOCH, turn, NAMED, ACTIVE));
}

START_TEST(forget_ends_although_the_holder_changes_all_the_time)
{
	struct shmring_consumer_options named = { .size = sizeof(named), .name = "name" };
	struct shmring_ring *r = make(SHMRING_SLOW_BLOCK);
	struct shmring_consumer *c;

	must(shmring_consumer_attach(&c, r, &named));
	shmring_consumer_detach(c);
	ambush_begin(r, change_the_holder);
	must_fail(EBUSY, shmring_forget(r, "name"));
	must_fail(EBUSY, shmring_consumer_attach(&c, r, &named));
	ambush_end();
	must(shmring_forget(r, "name"));
	shmring_close(r);
}
END_TEST

/* The marks of a name say that its holder stopped between two words. */
START_TEST(name_that_stopped_at_no_boundary_reads_nothing_unaligned)
{
	struct shmring_consumer_options named = { .size = sizeof(named), .name = "name" };
	struct shmring_ring *r = make(_i % 2 ? SHMRING_SLOW_EVICT : SHMRING_SLOW_BLOCK);
	struct actor a = { .ring = r };
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct shmring_message m;
	char message[100];

	must(shmring_consumer_attach(&c, r, &named));
	must(shmring_producer_attach(&p, r, NULL));
	memset(message, 1, sizeof(message)); /* half of it makes a header with half of one */
	for (int i = 0; i < 10; i++)
		must(shmring_publish(p, message, sizeof(message), SHMRING_NOWAIT));
	must(shmring_peek(c, SHMRING_NOWAIT, &m));
	must(shmring_release(c));
	shmring_consumer_detach(c);
	map_all(&a);
	put(&a, CURSORS, 112 + 4);     /* the cursor, */
	put(&a, CURSORS + 8, 112 + 4); /* and both marks */
	put(&a, CURSORS + 8 + 24, 112 + 4);
	if (_i >= 2)
		put(&a, CONSUMER_STATUS, status_word(1, 9, NAMED, LAPSED));
	if (shmring_consumer_attach(&c, r, &named) == 0) {
		if (shmring_peek(c, SHMRING_NOWAIT, &m) == 0)
			ck_assert_uint_eq((uintptr_t)m.data % 8, 0);
		shmring_consumer_detach(c);
	}
	unmap_all(&a);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* All bells, all the time. */
static void ring_all_bells(struct actor *a, uint64_t turn)
{
	ring_bell(a, turn % 2 ? DATA_BELL : ROOM_BELL + 32 * (turn / 2 % LANES));
}

/* A sleeper that ignores its bell looks once per millisecond. */
static void expect_few_looks(const struct shmring_counters *before,
			     const struct shmring_counters *after, int64_t took)
{
	uint64_t sleeps = after->sleeps - before->sleeps;

	ck_assert_msg(sleeps <= 200 + (uint64_t)(took / MS) * 2,
		      "%" PRIu64 " sleeps in %" PRId64 " ms", sleeps, took / MS);
}

START_TEST(consumer_sleeps_in_spite_of_false_wake_ups)
{
	struct shmring_consumer_options observe = { .size = sizeof(observe), .spin_ns = -1 };
	struct shmring_ring *r = make(SHMRING_SLOW_BLOCK);
	struct shmring_counters before = { .size = sizeof(before) },
				after = { .size = sizeof(after) };
	struct shmring_consumer *c;
	struct shmring_message m;
	struct siege siege;
	int64_t begin = clock_now();

	observe.flags = _i ? SHMRING_OBSERVE : 0;
	must(shmring_consumer_attach(&c, r, &observe));
	siege_begin(&siege, r, ring_all_bells);
	must(shmring_consumer_counters(c, &before));
	must_fail(ETIMEDOUT, shmring_peek(c, clock_now() + 1000 * MS, &m));
	must(shmring_consumer_counters(c, &after));
	expect_few_looks(&before, &after, clock_now() - begin);
	siege_end(&siege);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(waiter_for_several_sleeps_in_spite_of_false_wake_ups)
{
	struct shmring_consumer_options deep = { .size = sizeof(deep), .spin_ns = -1 };
	struct shmring_ring *r = make(SHMRING_SLOW_BLOCK);
	struct shmring_wait_item wait;
	struct shmring_consumer *c;
	struct siege siege;
	int64_t begin;

	must(shmring_consumer_attach(&c, r, &deep));
	wait.what = shmring_consumer_waitable(c);
	siege_begin(&siege, r, ring_all_bells);
	begin = clock_now();
	sleeps_on_several = 0;
	must_fail(ETIMEDOUT, shmring_wait(&wait, 1, begin + 1000 * MS));
	ck_assert_uint_gt(sleeps_on_several, 0);
	ck_assert_uint_le(sleeps_on_several, 200 + (uint64_t)((clock_now() - begin) / MS) * 2);
	siege_end(&siege);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(producer_sleeps_in_spite_of_false_wake_ups)
{
	struct shmring_producer_options options = { .size = sizeof(options), .spin_ns = -1 };
	struct shmring_ring *r = make(SHMRING_SLOW_BLOCK);
	struct shmring_counters before = { .size = sizeof(before) },
				after = { .size = sizeof(after) };
	struct shmring_producer *p;
	struct shmring_consumer *c;
	char message[1000] = "";
	struct siege siege;
	int64_t begin = clock_now();

	must(shmring_consumer_attach(&c, r, NULL));
	must(shmring_producer_attach(&p, r, &options));
	while (shmring_publish(p, message, sizeof(message), SHMRING_NOWAIT) == 0)
		;
	siege_begin(&siege, r, ring_all_bells);
	must(shmring_producer_counters(p, &before));
	must_fail(ETIMEDOUT, shmring_publish(p, message, sizeof(message), clock_now() + 1000 * MS));
	must(shmring_producer_counters(p, &after));
	expect_few_looks(&before, &after, clock_now() - begin);
	siege_end(&siege);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* Count the rounds of a loop that waits by descriptor for a message that never comes. */
static uint64_t loop_in_vain(struct shmring_consumer *c, int fd, int64_t end)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct shmring_message m;
	uint64_t rounds = 0;

	for (; clock_now() < end; rounds++) {
		must_fail(EAGAIN, shmring_peek(c, SHMRING_NOWAIT, &m));
		if (must(shmring_consumer_arm(c)) == 0)
			ck_assert_int_ge(poll(&p, 1, 1000), 0);
	}
	return rounds;
}

START_TEST(waiter_by_descriptor_sleeps_in_spite_of_false_wake_ups)
{
	struct shmring_consumer_options observe = { .size = sizeof(observe) };
	struct shmring_ring *r = make(SHMRING_SLOW_BLOCK);
	struct shmring_consumer *c;
	struct siege siege;
	int64_t begin;
	uint64_t rounds;
	int fd;

	observe.flags = _i & 1 ? SHMRING_OBSERVE : 0;
	io_uring_is_refused = (_i & 2) != 0;
	must(shmring_consumer_attach(&c, r, &observe));
	siege_begin(&siege, r, ring_all_bells);
	fd = (int)must(shmring_consumer_fd(c, SHMRING_FD_THREAD));
	begin = clock_now();
	rounds = loop_in_vain(c, fd, begin + 1000 * MS);
	ck_assert_uint_le(rounds, 300 + (uint64_t)((clock_now() - begin) / MS) * 3);
	siege_end(&siege);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("stubborn");
	TCase *tc = room_case(s, "stubborn", 60);

	tcase_add_test(tc, attach_ends_although_every_place_is_lost_again);
	tcase_add_test(tc, producer_keeps_its_deadline_although_dead_consumers_reappear);
	tcase_add_test(tc, consumer_whose_place_another_has_is_unusable);
	tcase_add_test(tc, batch_that_meets_its_eviction_is_discarded);
	tcase_add_test(tc, forget_ends_although_the_holder_changes_all_the_time);
	tcase_add_loop_test(tc, name_that_stopped_at_no_boundary_reads_nothing_unaligned, 0, 4);
	tcase_add_loop_test(tc, consumer_sleeps_in_spite_of_false_wake_ups, 0, 2);
	tcase_add_test(tc, waiter_for_several_sleeps_in_spite_of_false_wake_ups);
	tcase_add_loop_test(tc, waiter_by_descriptor_sleeps_in_spite_of_false_wake_ups, 0, 4);
	tcase_add_test(tc, producer_sleeps_in_spite_of_false_wake_ups);
	return run_suite(s);
}
