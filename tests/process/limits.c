/* SPDX-License-Identifier: MIT */
/*
 * What a process may not do: limits on its resources, signals that interrupt it,
 * and system calls that a sandbox forbids. Memory that may not be locked has its
 * own program, memory.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "leaks.h"
#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 211, SIZE = 1000 };

#define MS INT64_C(1000000)

/* --- limits --- */

static void set_limit(int resource, rlim_t limit)
{
	struct rlimit l;

	ck_assert_int_eq(getrlimit(resource, &l), 0);
	l.rlim_cur = limit;
	ck_assert_int_eq(setrlimit(resource, &l), 0);
}

static void expect_nothing_new(struct holdings *before)
{
	struct report report = { 0 };
	struct holdings after;

	holdings_take(&after);
	holdings_compare(before, &after, &report);
	holdings_drop(&after);
	ck_assert_msg(report.used == 0, "%s", report.text);
}

static rlim_t address_space(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

START_TEST(shortage_of_addresses_is_reported)
{
	struct shmring_config config = small_config();
	struct shmring_producer *p = NULL;
	struct shmring_consumer *c = NULL;
	struct holdings before;
	struct shmring_ring *r, *other = NULL;

	if (room_is_sanitized())
		room_skip("the sanitizer reserves all addresses");
	config.lane_size = (uint64_t)4 << 20;
	r = ring_create(&config);
	shmring_producer_detach(producer_attach(r)); /* takes what the process needs only once */
	holdings_take(&before);
	for (rlim_t spare = 0; spare <= 32 << 20; spare += 1 << 20) {
		set_limit(RLIMIT_AS, address_space() + spare);
		if (shmring_producer_attach(&p, r, NULL) == 0)
			shmring_producer_detach(p);
		else
			must_fail(ENOMEM, shmring_producer_attach(&p, r, NULL));
		if (shmring_consumer_attach(&c, r, NULL) == 0)
			shmring_consumer_detach(c);
		else
			must_fail(ENOMEM, shmring_consumer_attach(&c, r, NULL));
		if (spare == 0) {
			must_fail(ENOMEM, shmring_open(&other, room_path("ring")));
			must_fail(ENOMEM, shmring_create(&other, room_path("other"), &config));
		}
		set_limit(RLIMIT_AS, RLIM_INFINITY);
		expect_nothing_new(&before);
	}
	holdings_drop(&before);
	ck_assert_int_eq(must(shmring_reap(r)), 0);
	shmring_producer_detach(producer_attach(r));
	shmring_consumer_detach(consumer_attach(r, NULL, 0, 0));
	shmring_close(r);
}
END_TEST

/* With 0, 1, 2 ... free descriptors, a call works or changes nothing. */
START_TEST(few_descriptors_are_enough_or_the_shortage_is_reported)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = ring_create(&config), *other = NULL;
	struct shmring_producer *p = NULL;
	struct shmring_consumer *c = NULL;
	struct holdings before;
	struct rlimit old;
	int next, worked = 0;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	holdings_take(&before);
	next = dup(0);
	close(next);
	/* Some numbers may be taken by what the test was started with. */
	for (int spare = 0; spare < 16; spare++) {
		int results[4];

		set_limit(RLIMIT_NOFILE, (rlim_t)(next + spare));
		results[0] = shmring_create(&other, room_path("other"), &config);
		if (results[0] == 0) {
			shmring_close(other);
			must(shmring_remove(room_path("other")));
		}
		results[1] = shmring_open(&other, room_path("ring"));
		if (results[1] == 0)
			shmring_close(other);
		results[2] = shmring_producer_attach(&p, r, NULL);
		if (results[2] == 0)
			shmring_producer_detach(p);
		results[3] = shmring_consumer_attach(&c, r, NULL);
		if (results[3] == 0)
			shmring_consumer_detach(c);
		set_limit(RLIMIT_NOFILE, old.rlim_cur);
		worked = 0;
		for (int i = 0; i < 4; i++) {
			ck_assert(results[i] == 0 || results[i] == -EMFILE);
			worked += results[i] == 0;
		}
		ck_assert_int_eq(worked == 0, spare == 0);
		ck_assert_int_ne(access(room_path("other"), F_OK), 0);
		expect_nothing_new(&before);
	}
	ck_assert_int_eq(worked, 4);
	holdings_drop(&before);
	shmring_close(r);
}
END_TEST

/*
 * While the limit is on, nothing but the library may write: a write beyond the
 * limit brings SIGXFSZ.
 */
static void limit_files(rlim_t limit, int (*work)(void *arg), void *arg, int result)
{
	struct rlimit old, l;
	int e;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	l = old;
	l.rlim_cur = limit;
	setrlimit(RLIMIT_FSIZE, &l);
	e = work(arg);
	setrlimit(RLIMIT_FSIZE, &old);
	ck_assert_int_eq(e, result);
}

static int create_one(void *arg)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = NULL;

	return shmring_create(&r, arg, &config);
}

static int attach_and_stream(void *arg)
{
	static const char data[SIZE];
	struct shmring_message m;
	struct shmring_producer *p;
	struct shmring_consumer *c;
	int e = shmring_consumer_attach(&c, arg, NULL);

	if (e == 0)
		e = shmring_producer_attach(&p, arg, NULL); /* the lane's first owner */
	for (int i = 0; e == 0 && i < 200; i++) {
		e = shmring_publish(p, data, SIZE, SHMRING_NOWAIT);
		if (e == 0)
			e = shmring_peek(c, SHMRING_NOWAIT, &m);
		if (e == 0)
			e = shmring_release(c);
	}
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	return e;
}

/* A ring that is too large is not made; an existing ring never makes its file grow. */
START_TEST(limit_on_file_sizes_is_for_creators)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = ring_create(&config);
	char *path = strdup(room_path("other"));

	for (rlim_t limit = 0; limit <= 1 << 19; limit = limit ? 2 * limit : 1) {
		limit_files(limit, create_one, path, -EFBIG);
		limit_files(limit, create_one, NULL, -EFBIG);
		ck_assert_int_ne(access(path, F_OK), 0);
	}
	limit_files(0, attach_and_stream, r, 0);
	free(path);
	shmring_close(r);
}
END_TEST

static void catch_alarm(int signal)
{
	(void)signal;
}

/* For example a timer that profiles the program. */
static void set_timer(int microseconds)
{
	struct sigaction action = { .sa_handler = microseconds ? catch_alarm : SIG_DFL };
	struct itimerval timer = { { 0, microseconds }, { 0, microseconds } };

	if (microseconds)
		ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
	if (!microseconds)
		ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
}

static int attach_among_signals(int socket, void *arg)
{
	struct shmring_config config = { .size = sizeof(config), .lane_size = 32 << 20 };
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct shmring_ring *r;

	(void)socket;
	(void)arg;
	set_timer(500);
	for (int round = 0; round < 3; round++) {
		must(shmring_create(&r, NULL, &config));
		p = producer_attach(r);
		c = consumer_attach(r, NULL, 0, 0);
		shmring_consumer_detach(c);
		shmring_producer_detach(p);
		shmring_close(r);
	}
	set_timer(0);
	return 0;
}

START_TEST(signals_do_not_prevent_an_attach)
{
	struct child c;

	child_fork(&c, attach_among_signals, NULL);
	child_end(&c);
}
END_TEST

/* --- sandboxes --- */

struct sandbox {
	unsigned number; /* of the forbidden call */
	unsigned argument;
	unsigned mask; /* forbidden if any of these bits is set in the argument; 0: always */
	unsigned action;
};

static void enter_sandbox(const struct sandbox *s)
{
	const struct sock_filter anyhow[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, s->number, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args) + 8 * s->argument),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, s->mask, 0, s->mask ? 1 : 0),
		BPF_STMT(BPF_RET | BPF_K, s->action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(anyhow) / sizeof(anyhow[0]),
				      (struct sock_filter *)(uintptr_t)anyhow };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_msg(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp: %s",
		      strerror(errno));
}

/* A peer that does something before it serves. */
static void start(struct peer *p, int (*run)(int socket, void *arg), void *arg)
{
	memset(p, 0, sizeof(*p));
	child_fork(&p->child, run, arg);
}

static int serve_in_sandbox(int socket, void *arg)
{
	enter_sandbox(arg);
	return peer_serve(socket, NULL);
}

static int try_sandbox(int socket, void *arg)
{
	(void)socket;
	enter_sandbox(arg);
	return syscall(SYS_membarrier, 0, 0, 0) == -1 && errno == ENOTUNIQ ? 0 : 1;
}

/* Emulators know no filters. */
static void may_filter(void)
{
	struct sandbox s = { .number = SYS_membarrier, .action = SECCOMP_RET_ERRNO | ENOTUNIQ };
	struct child c;
	int status;

	child_fork(&c, try_sandbox, &s);
	ck_assert_int_eq(waitpid(c.pid, &status, 0), c.pid);
	child_drop(&c);
	if (status != 0)
		room_skip("system calls cannot be filtered");
}

static int attach_in_pieces(int socket, void *arg)
{
	struct shmring_config config = { .size = sizeof(config), .lane_size = 8 << 20 };
	struct shmring_ring *r;

	(void)socket;
	enter_sandbox(arg);
	must(shmring_create(&r, NULL, &config));
	shmring_producer_detach(producer_attach(r));
	shmring_close(r);
	return 0;
}

/* As on older kernels, where any signal ends an allocation and takes it back. */
START_TEST(lane_is_allocated_in_pieces_when_signals_interrupt)
{
	struct sandbox interrupted = {
		.number = SYS_fallocate,
		.argument = 3, /* the length */
		.mask = 0xfff80000,
		.action = SECCOMP_RET_ERRNO | EINTR,
	};
	struct child c;

	may_filter();
	child_fork(&c, attach_in_pieces, &interrupted);
	child_end(&c);
}
END_TEST

static void start_in_sandbox(struct peer *p, struct sandbox *s)
{
	start(p, serve_in_sandbox, s);
	ck_assert_int_eq(peer_open(p, room_path("ring")), 0);
}

/* No wake-up is late: a sleep without one lasts ten seconds. */
static void expect_prompt_wakes(struct peer *p, struct peer *c)
{
	int64_t began = clock_now();

	ck_assert_int_eq(peer_consumer(c, NULL, 0, 0), 0);
	ck_assert_int_eq(peer_producer(p, SOURCE), 0);
	for (int round = 1; round <= 20; round++) {
		peer_tell_take(c, 200);
		child_await_sleep(&c->child);
		peer_tell_fill(p, 200, SIZE);
		ck_assert_int_eq(peer_answer(p), 200);
		ck_assert_int_eq(peer_answer(c), 200);
		audit_must_be(&c->answer.audit, 200 * (uint64_t)round, 0);
	}
	peer_tell_fill(p, 200, SIZE);
	child_await_sleep(&p->child);
	ck_assert_int_eq(peer_consume(c, 200), 200);
	ck_assert_int_eq(peer_answer(p), 200);
	ck_assert_int_lt(clock_now() - began, 9000 * MS);
}

/* A sleeper that cannot force a barrier looks every few milliseconds; the others sleep. */
static void expect_slices(struct peer *c, bool soft)
{
	struct peer_command wait = { .op = PEER_CONSUME,
				     .count = 1,
				     .deadline = shmring_deadline(300 * MS) };
	uint64_t before = c->answer.counters.sleeps, sleeps;

	ck_assert_int_eq(peer_call(c, &wait), -ETIMEDOUT);
	sleeps = c->answer.counters.sleeps - before;
	ck_assert_msg(soft ? sleeps >= 10 : sleeps <= 3, "%" PRIu64 " sleeps", sleeps);
}

/* One of the two processes has no membarrier(2), or both have none; two errors. */
START_TEST(without_membarrier_sleepers_wake_in_time)
{
	static const int errors[] = { ENOSYS, EPERM };
	struct sandbox without = {
		.number = SYS_membarrier,
		.action = SECCOMP_RET_ERRNO | (unsigned)errors[_i / 3],
	};
	struct shmring_config config = small_config();
	struct shmring_ring *r;
	struct peer p, c;

	may_filter();
	config.max_sleep_ns = 10000 * MS;
	r = ring_create(&config);
	if (_i % 3 != 0)
		start_in_sandbox(&p, &without);
	else
		ring_start(&p);
	if (_i % 3 != 1)
		start_in_sandbox(&c, &without);
	else
		ring_start(&c);
	expect_prompt_wakes(&p, &c);
	expect_slices(&c, _i % 3 != 1);
	peer_quit(&p);
	peer_quit(&c);
	shmring_close(r);
}
END_TEST

/* Where the call alone is deadly. */
START_TEST(fencing_ring_makes_no_membarrier_call)
{
	struct sandbox deadly = { .number = SYS_membarrier, .action = SECCOMP_RET_KILL_PROCESS };
	struct shmring_config config = small_config();
	struct shmring_ring *r;
	struct peer p, c;

	may_filter();
	config.max_sleep_ns = 10000 * MS;
	config.wake = SHMRING_WAKE_FENCE;
	r = ring_create(&config);
	start_in_sandbox(&p, &deadly);
	start_in_sandbox(&c, &deadly);
	expect_prompt_wakes(&p, &c);
	peer_quit(&p);
	peer_quit(&c);
	shmring_close(r);
}
END_TEST

/* The wall clock jumps: no sleep may go by it. */
START_TEST(no_sleep_ends_by_the_wall_clock)
{
	struct sandbox deadly = {
		.number = SYS_futex,
		.argument = 1,
		.mask = FUTEX_CLOCK_REALTIME,
		.action = SECCOMP_RET_KILL_PROCESS,
	};
	struct shmring_config config = small_config();
	struct shmring_ring *r = ring_create(&config);
	struct peer p, c;

	may_filter();
	start_in_sandbox(&p, &deadly);
	start_in_sandbox(&c, &deadly);
	expect_prompt_wakes(&p, &c);
	peer_quit(&p);
	peer_quit(&c);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("limits");
	TCase *tc = room_case(s, "limits", 30);

	tcase_add_test(tc, shortage_of_addresses_is_reported);
	tcase_add_test(tc, few_descriptors_are_enough_or_the_shortage_is_reported);
	tcase_add_test(tc, limit_on_file_sizes_is_for_creators);
	tcase_add_test(tc, signals_do_not_prevent_an_attach);
	tcase_add_test(tc, lane_is_allocated_in_pieces_when_signals_interrupt);
	tcase_add_loop_test(tc, without_membarrier_sleepers_wake_in_time, 0, 6);
	tcase_add_test(tc, fencing_ring_makes_no_membarrier_call);
	tcase_add_test(tc, no_sleep_ends_by_the_wall_clock);
	return run_suite(s);
}
