/* SPDX-License-Identifier: MIT */
/*
 * Rings in event loops: descriptors that become readable, the arm step, and many
 * of them in one epoll. Each case runs with the kernel waiting for the bell and
 * with a thread doing it; a filter that forbids io_uring makes the difference.
 * And several handles that are waited for with one call, with futex_waitv and
 * without it. A ring whose sleepers look again only after ten seconds shows every
 * wake-up that is lost.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 91, MS = 1000000, LIMIT_MS = 8000, RINGS = 5 };

enum { KERNEL, THREAD, HELPS };

/* From now on, this system call fails. */
static void forbid(unsigned call, unsigned error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		room_skip("a process may not filter its own system calls here");
}

/*
 * Can the kernel? Asked by another process: it takes an io_uring down some time
 * after it was closed, and then interrupts the thread that had it.
 */
static bool kernel_helps(struct shmring_ring *r)
{
	struct shmring_consumer *c;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (shmring_join(r) < 0 || shmring_consumer_attach(&c, r, NULL) < 0)
			_exit(1);
		_exit(shmring_consumer_fd(c, 0) == -EOPNOTSUPP ? 2 : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_ne(status, 1 << 8);
	return status == 0;
}

/* The flags with which that kind of help is got; skips if the kernel has none. */
static uint32_t help(int kind, struct shmring_ring *r)
{
	if (kind == THREAD) {
		forbid(SYS_io_uring_setup, EPERM);
		return SHMRING_FD_THREAD;
	}
	if (!kernel_helps(r))
		room_skip("this kernel cannot wait for a futex by io_uring");
	return 0;
}

static struct shmring_ring *create(int64_t max_sleep_ms)
{
	struct shmring_config config = small_config();

	config.max_sleep_ns = (uint64_t)max_sleep_ms * MS;
	return ring_create(&config);
}

static bool readable(int fd, int64_t timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n = poll(&p, 1, (int)timeout_ms);

	ck_assert_int_ge(n, 0);
	return n == 1;
}

/* Take all messages, and then arm. */
static void take_all(struct shmring_consumer *c, struct audit *audit)
{
	do
		consume_all(c, audit);
	while (must(shmring_consumer_arm(c)) == 1);
}

START_TEST(descriptor_is_readable_when_a_message_comes)
{
	struct shmring_ring *r = create(10000);
	uint32_t flags = help(_i, r);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	int fd = (int)must(shmring_consumer_fd(c, flags));
	int64_t began = clock_now();
	struct audit audit;
	struct peer p;

	audit_begin(&audit, true);
	ring_start(&p);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	ck_assert_int_eq(must(shmring_consumer_fd(c, flags)), fd);
	for (uint64_t number = 0; number < 200; number++) {
		take_all(c, &audit);
		ck_assert_uint_eq(audit.messages, number);
		ck_assert(!readable(fd, 0));
		ck_assert_int_eq(peer_produce(&p, 1, 40), 1);
		ck_assert(readable(fd, LIMIT_MS));
	}
	take_all(c, &audit);
	audit_must_be(&audit, 200, 0);
	ck_assert_int_lt(clock_now() - began, (int64_t)LIMIT_MS * MS);
	peer_quit(&p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(arming_reports_messages_and_room_that_are_there)
{
	struct shmring_ring *r = create(10000);
	uint32_t flags = help(_i, r);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	int fd = (int)must(shmring_consumer_fd(c, flags));
	struct audit audit;

	audit_begin(&audit, true);
	for (uint64_t number = 0; number < 50; number++) {
		publish_numbers(p, SOURCE, number, 1, 40);
		ck_assert_int_eq(must(shmring_consumer_arm(c)), 1);
		consume_all(c, &audit);
		ck_assert_int_eq(must(shmring_consumer_arm(c)), 0);
		ck_assert_int_eq(must(shmring_consumer_arm(c)), 0);
		ck_assert(_i == THREAD || !readable(fd, 0)); /* a thread may be late */
	}
	audit_must_be(&audit, 50, 0);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* No wake-up comes, as if a producer had died before it. The test arms again and again. */
START_TEST(armed_descriptor_is_readable_after_the_longest_sleep)
{
	struct shmring_ring *r = create(30);
	uint32_t flags = help(_i, r);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	int fd = (int)must(shmring_consumer_fd(c, flags));

	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(must(shmring_consumer_arm(c)), 0);
		ck_assert(readable(fd, LIMIT_MS));
	}
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(descriptor_of_an_observer_is_readable_when_a_message_comes)
{
	struct shmring_ring *r = create(10000);
	uint32_t flags = help(_i, r);
	struct shmring_consumer *o = consumer_attach(r, NULL, 0, SHMRING_OBSERVE);
	struct shmring_producer *p = producer_attach(r);
	int fd = (int)must(shmring_consumer_fd(o, flags));
	struct audit audit;

	audit_begin(&audit, true);
	for (uint64_t number = 0; number < 20; number++) {
		take_all(o, &audit);
		publish_numbers(p, SOURCE, number, 1, 40);
		ck_assert(readable(fd, LIMIT_MS));
	}
	take_all(o, &audit);
	audit_must_be(&audit, 20, 0);
	shmring_producer_detach(p);
	shmring_consumer_detach(o);
	shmring_close(r);
}
END_TEST

/* A producer that publishes until the ring is full, then waits by descriptor. */
START_TEST(descriptor_is_readable_when_there_is_room)
{
	struct shmring_ring *r = create(10000);
	uint32_t flags = help(_i, r);
	struct shmring_producer *p = producer_attach(r);
	int fd = (int)must(shmring_producer_fd(p, flags));
	uint64_t number = 0, waits = 0;
	struct peer c;

	ring_start(&c);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	ck_assert_int_eq(must(shmring_producer_arm(p, 1000)), 1);
	for (; number < 1000; number += publish_until_full(p, SOURCE, number, 1000)) {
		if (must(shmring_producer_arm(p, 1000)) == 1)
			continue;
		ck_assert(!readable(fd, 0));
		peer_tell_consume(&c, 40);
		ck_assert(readable(fd, LIMIT_MS));
		ck_assert_int_eq(peer_answer(&c), 40);
		waits++;
	}
	ck_assert_uint_gt(waits, 10);
	ck_assert_int_eq(peer_consume(&c, (uint32_t)(number - 40 * waits)), number - 40 * waits);
	audit_must_be(&c.answer.audit, number, 0);
	peer_quit(&c);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* A producer that waits by descriptor evicts, too, each time that it arms. */
START_TEST(armed_producer_evicts_the_slow)
{
	struct shmring_config config = small_config();
	struct shmring_consumer *slow;
	struct shmring_producer *p;
	struct shmring_ring *r;
	int64_t began;
	int fd;

	config.slow_policy = SHMRING_SLOW_EVICT;
	config.evict_after_ns = 100 * MS;
	config.max_sleep_ns = 10000000000;
	r = ring_create(&config);
	slow = consumer_attach(r, NULL, 0, 0);
	p = producer_attach(r);
	fd = (int)must(shmring_producer_fd(p, help(_i, r)));
	publish_until_full(p, SOURCE, 0, 1000);
	began = clock_now();
	while (must(shmring_producer_arm(p, 1000)) == 0)
		ck_assert(readable(fd, LIMIT_MS));
	/* The producer looks four times in the ring's time, not only once in a longest sleep. */
	ck_assert_int_lt(clock_now() - began, 2000 * (int64_t)MS);
	publish_numbers(p, SOURCE, 100000, 1, 1000);
	shmring_producer_detach(p);
	shmring_consumer_detach(slow);
	shmring_close(r);
}
END_TEST

/*
 * One process publishes in each of several rings, at random moments. It is forked
 * while the test has one thread only: a copy of several finds the allocator's locks
 * as they were, maybe held.
 */
struct fleet {
	struct shmring_ring *rings[RINGS];
	int messages;
};

static int publish_at_random(int socket, void *arg)
{
	struct fleet *fleet = arg;
	struct shmring_producer *p[RINGS];
	uint64_t seed = random_seed();
	uint64_t number[RINGS] = { 0 };

	for (int i = 0; i < RINGS; i++) {
		must(shmring_join(fleet->rings[i]));
		p[i] = producer_attach(fleet->rings[i]);
	}
	step_tell(socket);
	step_await(socket);
	for (int n = 0; n < fleet->messages; n++) {
		uint64_t i = random_below(&seed, RINGS);

		publish_numbers(p[i], SOURCE + i, number[i]++, 1, 40);
		for (uint64_t k = random_below(&seed, 20000); k > 0; k--)
			atomic_signal_fence(memory_order_seq_cst);
	}
	for (int i = 0; i < RINGS; i++)
		shmring_producer_detach(p[i]);
	return 0;
}

static uint64_t received(const struct audit *audits)
{
	uint64_t n = 0;

	for (int i = 0; i < RINGS; i++)
		n += audits[i].messages;
	return n;
}

/* Level- or edge-triggered; the rings are anonymous, and inherited through fork. */
static void serve_many_rings(uint32_t events, int kind)
{
	struct shmring_config config = small_config();
	struct shmring_consumer *c[RINGS];
	static struct audit audits[RINGS];
	struct fleet fleet = { .messages = 20000 };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int64_t began = clock_now();
	struct child other;
	uint32_t flags;

	config.max_sleep_ns = 10000000000;
	config.unread_policy = SHMRING_UNREAD_HOLD;
	for (int i = 0; i < RINGS; i++)
		must(shmring_create(&fleet.rings[i], NULL, &config));
	flags = help(kind, fleet.rings[0]);
	child_fork(&other, publish_at_random, &fleet);
	step_await(other.socket);
	for (int i = 0; i < RINGS; i++) {
		struct epoll_event e = { .events = events, .data.u32 = (uint32_t)i };

		c[i] = consumer_attach(fleet.rings[i], NULL, 0, 0);
		audit_begin(&audits[i], true);
		ck_assert_int_eq(epoll_ctl(epoll, EPOLL_CTL_ADD,
					   (int)must(shmring_consumer_fd(c[i], flags)), &e),
				 0);
		take_all(c[i], &audits[i]);
	}
	step_tell(other.socket);
	while (received(audits) < (uint64_t)fleet.messages) {
		struct epoll_event ready[RINGS];
		int n = epoll_wait(epoll, ready, RINGS, LIMIT_MS);

		ck_assert_msg(n > 0, "epoll_wait: %d (%s)", n, n < 0 ? strerror(errno) : "late");
		while (n-- > 0)
			take_all(c[ready[n].data.u32], &audits[ready[n].data.u32]);
	}
	ck_assert_int_lt(clock_now() - began, (int64_t)LIMIT_MS * MS);
	child_end(&other);
	close(epoll);
	for (int i = 0; i < RINGS; i++) {
		audit_must_be(&audits[i], audits[i].messages, 0);
		shmring_consumer_detach(c[i]);
		shmring_close(fleet.rings[i]);
	}
}

START_TEST(many_rings_in_one_loop_lose_nothing)
{
	serve_many_rings(_i & 2 ? EPOLLIN | EPOLLET : EPOLLIN, _i & 1);
}
END_TEST

/* An idle loop sleeps: it is not called back for what it has already dealt with. */
START_TEST(idle_loop_does_not_spin)
{
	struct shmring_ring *r = create(100);
	uint32_t flags = help(_i, r);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	int fd = (int)must(shmring_consumer_fd(c, flags));
	int64_t end = clock_now() + 1000 * (int64_t)MS;
	struct audit audit;
	int calls = 0;

	audit_begin(&audit, true);
	for (uint64_t number = 0; number < 20; number++) {
		publish_numbers(p, SOURCE, number, 1, 40);
		take_all(c, &audit);
	}
	for (; clock_now() < end; calls++) {
		readable(fd, LIMIT_MS);
		take_all(c, &audit);
	}
	ck_assert_int_le(calls, 30); /* ten, by the clock */
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* The program's signals reach the program, and its waits are not interrupted. */
START_TEST(waiting_by_descriptor_interrupts_no_call)
{
	struct shmring_ring *r = create(20);
	uint32_t flags = help(_i, r);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct pollfd nothing = { .fd = -1 };

	must(shmring_consumer_fd(c, flags));
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(must(shmring_consumer_arm(c)), 0);
		ck_assert_int_eq(poll(&nothing, 1, 60), 0);
	}
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(without_io_uring_or_a_thread_there_is_no_descriptor)
{
	struct shmring_ring *r = create(100);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);

	forbid(SYS_io_uring_setup, EPERM);
	must_fail(EOPNOTSUPP, shmring_consumer_fd(c, 0));
	must_fail(EOPNOTSUPP, shmring_producer_fd(p, 0));
	must(shmring_consumer_fd(c, SHMRING_FD_THREAD));
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

static int use_the_parents(int socket, void *arg)
{
	step_await(socket);
	must_fail(ECHILD, shmring_consumer_fd(arg, 0));
	must_fail(ECHILD, shmring_consumer_arm(arg));
	return 0;
}

START_TEST(misuse_is_refused)
{
	struct shmring_ring *r = create(100);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	struct child child;
	void *data;

	child_fork(&child, use_the_parents, c);
	must_fail(EINVAL, shmring_consumer_fd(c, 64));
	must_fail(EINVAL, shmring_producer_fd(p, 64));
	must_fail(EINVAL, shmring_consumer_arm(c));
	must_fail(EINVAL, shmring_producer_arm(p, 8));
	must(shmring_consumer_fd(c, SHMRING_FD_THREAD));
	must(shmring_producer_fd(p, SHMRING_FD_THREAD));
	must_fail(EMSGSIZE, shmring_producer_arm(p, (size_t)shmring_producer_max_message(p) + 1));
	must(shmring_claim(p, 8, SHMRING_NOWAIT, &data));
	must_fail(EBUSY, shmring_producer_arm(p, 8));
	shmring_abort(p);
	step_tell(child.socket);
	child_end(&child);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

static void *arm_here(void *c)
{
	static int result;

	result = shmring_consumer_arm(c);
	return &result;
}

START_TEST(only_the_thread_that_asked_arms_the_descriptor)
{
	struct shmring_ring *r = create(100);
	uint32_t flags = help(KERNEL, r);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	pthread_attr_t attributes;
	pthread_t thread;
	void *result;

	must(shmring_consumer_fd(c, flags));
	pthread_attr_init(&attributes);
	pthread_attr_setguardsize(&attributes, 0); /* libc keeps the stack */
	ck_assert_int_eq(pthread_create(&thread, &attributes, arm_here, c), 0);
	pthread_attr_destroy(&attributes);
	pthread_join(thread, &result);
	ck_assert_int_eq(*(int *)result, -EBUSY);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

/* --- several at once, without descriptors --- */

static int64_t soon(void)
{
	return clock_now() + (int64_t)LIMIT_MS * MS;
}

START_TEST(wait_returns_the_handle_that_is_ready)
{
	struct shmring_ring *r[2] = { create(10000), NULL };
	struct shmring_consumer *c[2];
	struct shmring_producer *p;
	struct shmring_wait_item waits[3];
	struct audit audit;

	audit_begin(&audit, true);
	r[1] = way_create(WAY_PASSED_EXEC, NULL);
	c[0] = consumer_attach(r[0], NULL, 0, 0);
	c[1] = consumer_attach(r[1], NULL, 0, 0);
	p = producer_attach(r[1]);
	waits[0].what = shmring_consumer_waitable(c[0]);
	waits[1].what = shmring_consumer_waitable(c[1]);
	waits[2].what = shmring_producer_waitable(p, 1000);
	must_fail(EAGAIN, shmring_wait(waits, 2, SHMRING_NOWAIT));
	ck_assert_int_eq(must(shmring_wait(waits, 3, SHMRING_NOWAIT)), 1);
	ck_assert(!waits[0].ready && !waits[1].ready && waits[2].ready);
	publish_numbers(p, SOURCE, 0, 1, 40);
	ck_assert_int_eq(must(shmring_wait(waits, 2, soon())), 1);
	ck_assert(!waits[0].ready && waits[1].ready);
	consume_all(c[1], &audit);
	must_fail(ETIMEDOUT, shmring_wait(waits, 2, clock_now() + 20 * MS));
	audit_must_be(&audit, 1, 0);
	shmring_producer_detach(p);
	for (int i = 0; i < 2; i++) {
		shmring_consumer_detach(c[i]);
		shmring_close(r[i]);
	}
}
END_TEST

/* With futex_waitv, and without. */
START_TEST(one_call_waits_for_many_rings)
{
	struct shmring_consumer_options options = { .size = sizeof(options), .spin_ns = -1 };
	struct shmring_config config = small_config();
	struct fleet fleet = { .messages = 20000 };
	struct shmring_wait_item waits[RINGS];
	struct shmring_consumer *c[RINGS];
	static struct audit audits[RINGS];
	struct child other;

	if (_i)
		forbid(SYS_futex_waitv, ENOSYS);
	config.max_sleep_ns = 10000000000;
	config.unread_policy = SHMRING_UNREAD_HOLD;
	for (int i = 0; i < RINGS; i++) {
		must(shmring_create(&fleet.rings[i], NULL, &config));
		must(shmring_consumer_attach(&c[i], fleet.rings[i], &options));
		waits[i].what = shmring_consumer_waitable(c[i]);
		audit_begin(&audits[i], true);
	}
	child_fork(&other, publish_at_random, &fleet);
	step_await(other.socket);
	step_tell(other.socket);
	while (received(audits) < (uint64_t)fleet.messages) {
		ck_assert_int_gt(must(shmring_wait(waits, RINGS, soon())), 0);
		for (int i = 0; i < RINGS; i++)
			if (waits[i].ready)
				consume_all(c[i], &audits[i]);
	}
	child_end(&other);
	for (int i = 0; i < RINGS; i++) {
		audit_must_be(&audits[i], audits[i].messages, 0);
		shmring_consumer_detach(c[i]);
		shmring_close(fleet.rings[i]);
	}
}
END_TEST

/* It sleeps for messages of one ring and for room in another; room comes. */
START_TEST(one_call_waits_for_messages_and_for_room)
{
	struct shmring_ring *r = create(10000), *quiet = way_create(WAY_PASSED_EXEC, NULL);
	struct shmring_consumer *c = consumer_attach(quiet, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_wait_item waits[2];
	uint64_t number = 0, waited = 0;
	struct peer reader;

	ring_start(&reader);
	ck_assert_int_eq(peer_consumer(&reader, NULL, 0, 0), 0);
	waits[0].what = shmring_consumer_waitable(c);
	waits[1].what = shmring_producer_waitable(p, 1000);
	while (waited < 20) {
		number += publish_until_full(p, SOURCE, number, 1000);
		if (shmring_wait(waits, 2, SHMRING_NOWAIT) == 1)
			continue;
		peer_tell_consume(&reader, 40);
		ck_assert_int_eq(must(shmring_wait(waits, 2, soon())), 1);
		ck_assert(waits[1].ready && !waits[0].ready);
		ck_assert_int_eq(peer_answer(&reader), 40);
		waited++;
	}
	peer_quit(&reader);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
	shmring_close(quiet);
}
END_TEST

/* A sleep counts once for each handle that is waited for. */
START_TEST(sleeps_on_several_are_counted)
{
	struct shmring_ring *r = create(10000), *full = way_create(WAY_ANONYMOUS_FORK, NULL);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_consumer *reader = consumer_attach(full, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(full);
	struct shmring_wait_item waits[2] = { { .what = shmring_consumer_waitable(c) } };
	struct shmring_counters of_consumer = { .size = sizeof(of_consumer) };
	struct shmring_counters of_producer = { .size = sizeof(of_producer) };

	publish_until_full(p, SOURCE, 0, 1000);
	waits[1].what = shmring_producer_waitable(p, 1000);
	must_fail(ETIMEDOUT, shmring_wait(waits, 2, shmring_deadline(30 * MS)));
	must(shmring_consumer_counters(c, &of_consumer));
	must(shmring_producer_counters(p, &of_producer));
	ck_assert_uint_gt(of_consumer.sleeps, 0);
	ck_assert_uint_eq(of_producer.sleeps, of_consumer.sleeps);
	shmring_producer_detach(p);
	shmring_consumer_detach(reader);
	shmring_consumer_detach(c);
	shmring_close(full);
	shmring_close(r);
}
END_TEST

static int wait_for_the_parents(int socket, void *arg)
{
	(void)socket;
	must_fail(ECHILD, shmring_wait(arg, 1, SHMRING_NOWAIT));
	return 0;
}

START_TEST(misuse_of_waiting_is_refused)
{
	struct shmring_ring *r = create(100);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_wait_item waits[2] = { { .what = shmring_consumer_waitable(c) },
					      { .what = shmring_producer_waitable(p, SIZE_MAX) } };
	struct child child;
	void *data;

	must_fail(EINVAL, shmring_wait(waits, 0, SHMRING_NOWAIT));
	must_fail(EINVAL, shmring_wait(waits, SHMRING_MAX_WAITS + 1, SHMRING_NOWAIT));
	must_fail(EMSGSIZE, shmring_wait(waits, 2, soon()));
	must_fail(EMSGSIZE, shmring_wait(waits, 2, SHMRING_NOWAIT));
	shmring_producer_waitable(p, 8);
	must(shmring_claim(p, 8, SHMRING_NOWAIT, &data));
	must_fail(EBUSY, shmring_wait(waits, 2, soon()));
	must_fail(EBUSY, shmring_wait(waits, 2, SHMRING_NOWAIT));
	shmring_abort(p);
	child_fork(&child, wait_for_the_parents, waits);
	child_end(&child);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("loop");
	TCase *tc = room_case(s, "loop", 30);

	tcase_add_loop_test(tc, descriptor_is_readable_when_a_message_comes, 0, HELPS);
	tcase_add_loop_test(tc, arming_reports_messages_and_room_that_are_there, 0, HELPS);
	tcase_add_loop_test(tc, armed_descriptor_is_readable_after_the_longest_sleep, 0, HELPS);
	tcase_add_loop_test(tc, descriptor_of_an_observer_is_readable_when_a_message_comes, 0,
			    HELPS);
	tcase_add_loop_test(tc, descriptor_is_readable_when_there_is_room, 0, HELPS);
	tcase_add_loop_test(tc, armed_producer_evicts_the_slow, 0, HELPS);
	tcase_add_loop_test(tc, many_rings_in_one_loop_lose_nothing, 0, 2 * HELPS);
	tcase_add_loop_test(tc, idle_loop_does_not_spin, 0, HELPS);
	tcase_add_loop_test(tc, waiting_by_descriptor_interrupts_no_call, 0, HELPS);
	tcase_add_test(tc, without_io_uring_or_a_thread_there_is_no_descriptor);
	tcase_add_test(tc, misuse_is_refused);
	tcase_add_test(tc, only_the_thread_that_asked_arms_the_descriptor);
	tc = room_case(s, "several", 30);
	tcase_add_test(tc, wait_returns_the_handle_that_is_ready);
	tcase_add_loop_test(tc, one_call_waits_for_many_rings, 0, 2);
	tcase_add_test(tc, one_call_waits_for_messages_and_for_room);
	tcase_add_test(tc, sleeps_on_several_are_counted);
	tcase_add_test(tc, misuse_of_waiting_is_refused);
	return run_suite(s);
}
