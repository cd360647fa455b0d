/* SPDX-License-Identifier: MIT */
/*
 * What a process lives in: namespaces, identifiers that come again, limits,
 * sandboxes, clocks, users, and everybody stopped at once. What is here cannot
 * be made everywhere; where it cannot, the test is skipped.
 *
 * Others of the kind have their programs: full file systems space.c, memory that
 * may not be locked memory.c, zombies death.c, descriptors and fork forked.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "leaks.h"
#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 201, SIZE = 1000, NOBODY = 65534 };

#define MS INT64_C(1000000)

/* A peer that does something before it serves. */
static void start(struct peer *p, int (*run)(int socket, void *arg), void *arg)
{
	memset(p, 0, sizeof(*p));
	child_fork(&p->child, run, arg);
}

/* Commands whose deadline no clock of the test decides. */
static void tell_produce(struct peer *p, uint32_t count)
{
	peer_tell(p, &(struct peer_command){ .op = PEER_PRODUCE,
					     .count = count,
					     .min = SIZE,
					     .max = SIZE,
					     .deadline = SHMRING_FOREVER });
}

static int64_t produce(struct peer *p, uint32_t count)
{
	tell_produce(p, count);
	return peer_answer(p);
}

static void tell_consume(struct peer *p, uint32_t count)
{
	peer_tell(p, &(struct peer_command){
			     .op = PEER_CONSUME, .count = count, .deadline = SHMRING_FOREVER });
}

static struct shmring_consumer_stat stat_consumer(struct shmring *r, unsigned index)
{
	struct shmring_consumer_stat st;

	must(shmring_stat_consumer(r, index, &st));
	return st;
}

static struct shmring_lane_stat stat_lane(struct shmring *r, unsigned index)
{
	struct shmring_lane_stat st;

	must(shmring_stat_lane(r, index, &st));
	return st;
}

/* --- namespaces --- */

struct space {
	int flags;
	const char *offsets; /* of clocks, or NULL */
};

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? write(fd, text, strlen(text)) : -1;
	int error = errno;

	if (fd >= 0)
		close(fd);
	return n < 0 ? -error : 0;
}

static int enter_space(const struct space *s)
{
	int user = geteuid() == 0 ? 0 : CLONE_NEWUSER;

	if (unshare(s->flags | user) != 0)
		return -errno;
	return s->offsets ? write_text("/proc/self/timens_offsets", s->offsets) : 0;
}

/*
 * The peer is a grandchild, the first process in there. Its number out here, or
 * why there is none, goes to the test.
 */
static int serve_in_space(int socket, void *arg)
{
	int e = enter_space(arg), status;
	pid_t pid = e < 0 ? e : fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(peer_serve(socket, NULL));
	}
	if (send(socket, &pid, sizeof(pid), 0) != sizeof(pid))
		return 1;
	close(socket);
	if (pid < 0)
		return 0;
	if (waitpid(pid, &status, 0) != pid)
		return 1;
	return status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ? 0 : 1;
}

/* Returns the number of the process that serves. */
static pid_t start_in_space(struct peer *p, const struct space *s)
{
	struct space copy = *s;
	pid_t pid;

	start(p, serve_in_space, &copy);
	ck_assert_int_eq(recv(p->child.socket, &pid, sizeof(pid), 0), sizeof(pid));
	if (pid < 0) {
		child_end(&p->child);
		room_skip("no such namespace: %s", strerror(-pid));
	}
	ck_assert_int_eq(peer_open(p, room_path("ring")), 0);
	return pid;
}

static void kill_in_space(struct peer *p, pid_t pid)
{
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	child_end(&p->child);
}

START_TEST(peers_may_all_be_process_1)
{
	static const struct space own = { .flags = CLONE_NEWPID };
	struct shmring_config config = small_config();
	struct shmring *r = ring_create(&config);
	struct peer p, c, d;
	pid_t writer = start_in_space(&p, &own), reader = start_in_space(&c, &own), other;

	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	ck_assert_int_eq(stat_lane(r, 0).pid, 1);
	ck_assert_int_eq(stat_consumer(r, 0).pid, 1);
	/* A dead process 1 does not look alive because of a living one, */
	tell_produce(&p, 200);
	kill_in_space(&c, reader);
	ck_assert_int_eq(peer_answer(&p), 200);
	/* and a living one not dead because of a dead one. */
	other = start_in_space(&d, &own);
	ck_assert_int_eq(peer_consumer(&d, NULL, SHMRING_START_NOW, 0), 0);
	ck_assert_int_eq(produce(&p, 20), 20);
	kill_in_space(&p, writer);
	ck_assert_int_eq(must(shmring_reap(r)), 1);
	ck_assert_uint_eq(stat_consumer(r, 0).state, SHMRING_ACTIVE);
	ck_assert_int_eq(peer_consume(&d, 20), 20);
	kill_in_space(&d, other);
	ck_assert_int_eq(must(shmring_reap(r)), 1);
	shmring_close(r);
}
END_TEST

/* Their clocks for waiting differ by a day: none of them goes through the ring. */
START_TEST(peers_need_not_agree_on_the_time)
{
	static const struct space ahead = { .flags = CLONE_NEWTIME,
					    .offsets = "monotonic 86400 0\n" };
	struct shmring_config config = small_config();
	struct shmring *r;
	struct peer p, c;

	config.slow_policy = SHMRING_SLOW_EVICT;
	config.evict_after_ns = 10000 * MS;
	r = ring_create(&config);
	start_in_space(&p, &ahead);
	ring_start(&c);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	for (int round = 1; round <= 3; round++) {
		tell_consume(&c, 500); /* sleeps, and is woken */
		child_await_sleep(&c.child);
		tell_produce(&p, 500); /* is held back again and again */
		ck_assert_int_eq(peer_answer(&p), 500);
		ck_assert_int_eq(peer_answer(&c), 500);
		audit_must_be(&c.answer.audit, 500 * (uint64_t)round, 0);
	}
	peer_quit(&p);
	peer_quit(&c);
	shmring_close(r);
}
END_TEST

/* --- processes, threads, and their numbers --- */

static void *serve_on(void *arg)
{
	struct server {
		int socket;
		struct shmring_producer *p;
	} *s = arg;

	step_tell(s->socket);
	step_await(s->socket);
	publish_numbers(s->p, SOURCE, 0, 10, SIZE);
	step_tell(s->socket);
	step_await(s->socket);
	_exit(0);
}

static _Noreturn int leave_it_to_a_thread(int socket, void *arg)
{
	static struct {
		int socket;
		struct shmring_producer *p;
	} s;
	struct shmring *r = arg;
	pthread_t thread;

	must(shmring_join(r));
	s.socket = socket;
	s.p = producer_attach(r);
	ck_assert_int_eq(pthread_create(&thread, NULL, serve_on, &s), 0);
	pthread_exit(NULL);
}

/* The letter that the kernel has for what a process does. */
static char state_of(pid_t pid)
{
	char path[64], line[512] = "", *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), f));
	fclose(f);
	end = strrchr(line, ')');
	ck_assert_ptr_nonnull(end);
	return end[2];
}

/* Its first thread is a zombie, to be seen as such in /proc; the others live. */
START_TEST(process_without_its_first_thread_is_alive)
{
	struct shmring_config config = small_config();
	struct shmring *r = ring_create(&config);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	int64_t limit = patience();
	struct child process;
	struct audit audit;

	child_fork(&process, leave_it_to_a_thread, r);
	step_await(process.socket);
	while (state_of(process.pid) != 'Z')
		ck_assert_msg(sched_yield() == 0 && clock_now() < limit, "the thread lives on");
	ck_assert_int_eq(must(shmring_reap(r)), 0);
	ck_assert_uint_eq(stat_lane(r, 0).state, SHMRING_ACTIVE);
	step_tell(process.socket);
	step_await(process.socket);
	audit_begin(&audit, true);
	ck_assert_uint_eq(consume_all(c, &audit), 10);
	audit_must_be(&audit, 10, 0);
	step_tell(process.socket);
	child_end(&process);
	ck_assert_int_eq(must(shmring_reap(r)), 1);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

static _Noreturn int join_and_wait(int socket, void *arg)
{
	struct shmring *r = arg;

	must(shmring_join(r));
	consumer_attach(r, NULL, 0, 0);
	producer_attach(r);
	step_tell(socket);
	for (;;)
		pause();
}

START_TEST(dead_child_takes_nothing_of_its_living_parent)
{
	struct shmring_config config = small_config();
	struct shmring *r = way_create(_i ? WAY_ANONYMOUS_FORK : WAY_FILE_FORK, &config);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);
	struct audit audit;
	struct child child;

	audit_begin(&audit, true);
	for (uint64_t round = 0; round < 5; round++) {
		child_fork(&child, join_and_wait, r);
		step_await(child.socket);
		child_kill(&child);
		ck_assert_int_eq(must(shmring_reap(r)), 2);
		publish_numbers(p, SOURCE, 20 * round, 20, SIZE);
		consume_audited(c, &audit, 20);
	}
	audit_must_be(&audit, 100, 0);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

static _Noreturn int pause_in_shared_memory(void *arg)
{
	(void)arg;
	for (;;)
		pause();
}

/* Two processes, one memory: while one of them is left it may store. */
static _Noreturn int share_memory(int socket, void *arg)
{
	enum { STACK = 65536 };
	struct shmring *r = arg;
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	must(shmring_join(r));
	consumer_attach(r, NULL, 0, 0);
	producer_attach(r);
	ck_assert_ptr_ne(stack, MAP_FAILED);
	pid = clone(pause_in_shared_memory, stack + STACK, CLONE_VM | SIGCHLD, NULL);
	ck_assert_int_eq(send(socket, &pid, sizeof(pid), 0), sizeof(pid));
	for (;;)
		pause();
}

START_TEST(place_lives_as_long_as_the_memory_of_its_owner)
{
	struct shmring_config config = small_config();
	struct shmring *r = ring_create(&config);
	struct child c;
	pid_t sharer;

	child_fork(&c, share_memory, r);
	ck_assert_int_eq(recv(c.socket, &sharer, sizeof(sharer), 0), sizeof(sharer));
	ck_assert_int_gt(sharer, 0);
	child_kill(&c);
	ck_assert_int_eq(must(shmring_reap(r)), 0);
	ck_assert_uint_eq(stat_lane(r, 0).state, SHMRING_ACTIVE);
	ck_assert_int_eq(kill(sharer, SIGKILL), 0);
	ck_assert_int_eq(waitpid(sharer, NULL, 0), sharer);
	ck_assert_int_eq(must(shmring_reap(r)), 2);
	shmring_close(r);
}
END_TEST

/* A process with the number of one that has ended; its end of the socket is 3. */
static pid_t start_as(pid_t number, struct shmring *r, int ends[2])
{
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&number,
		.set_tid_size = 1,
	};
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ends[0]);
		step_await(ends[1]);
		_exit(join_and_wait(ends[1], r));
	}
	close(ends[1]);
	return pid;
}

START_TEST(number_of_a_dead_process_may_come_again)
{
	struct shmring_config config = small_config();
	struct shmring *r = ring_create(&config);
	struct shmring_producer *p = producer_attach(r);
	struct child first;
	pid_t again;
	int ends[2];

	child_fork(&first, join_and_wait, r);
	step_await(first.socket);
	ck_assert_int_eq(stat_consumer(r, 0).pid, first.pid);
	publish_until_full(p, SOURCE, 0, SIZE);
	child_kill(&first);
	again = start_as(first.pid, r, ends);
	if (again < 0) {
		int error = errno;

		close(ends[0]);
		shmring_producer_detach(p);
		shmring_close(r);
		room_skip("cannot choose the number of a process: %s", strerror(error));
	}
	/* The dead one is dead although its number lives, */
	ck_assert_uint_eq(stat_consumer(r, 0).state, SHMRING_DEAD);
	publish_numbers(p, SOURCE, 0, 200, SIZE);
	ck_assert_int_eq(must(shmring_reap(r)), 1);
	/* and the living one lives although its number has died. */
	step_tell(ends[0]);
	step_await(ends[0]);
	ck_assert_int_eq(stat_consumer(r, 0).pid, again);
	ck_assert_int_eq(must(shmring_reap(r)), 0);
	ck_assert_int_eq(kill(again, SIGKILL), 0);
	ck_assert_int_eq(waitpid(again, NULL, 0), again);
	ck_assert_int_eq(must(shmring_reap(r)), 2);
	close(ends[0]);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

/* --- descriptors and /proc --- */

/* A peer that can prove nobody's death any more. */
static void start_blind(struct peer *p, enum way way, struct shmring *r)
{
	way_start(p, way, r);
	ck_assert_int_eq(peer_producer(p, SOURCE), 0);
	ck_assert_int_eq(peer_simple(p, PEER_NOBODY), 0);
	ck_assert_int_eq(peer_simple(p, PEER_CLOSEFROM), 0);
}

/*
 * It cannot tell the dead from the living, and so waits for them: nothing that a
 * living one might still read is overwritten.
 */
START_TEST(producer_that_can_prove_nothing_overwrites_nothing)
{
	struct peer_command some = {
		.op = PEER_PRODUCE,
		.count = 200,
		.min = SIZE,
		.max = SIZE,
	};
	struct shmring_config config = small_config();
	struct shmring *r = way_create(_i ? WAY_MEMORY_EXEC : WAY_PASSED_EXEC, &config);
	struct shmring *other = NULL;
	struct shmring_lane_stat before;
	struct peer p, c;

	if (geteuid() != 0)
		room_skip("needs root, to become another user");
	way_start(&c, _i ? WAY_MEMORY_EXEC : WAY_PASSED_EXEC, r);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	start_blind(&p, _i ? WAY_MEMORY_EXEC : WAY_PASSED_EXEC, r);
	if (_i) {
		/* Where it was there is another ring now, with other locks. */
		config.mode = 0666;
		must(shmring_remove(room_path("ring")));
		must(shmring_create(&other, room_path("ring"), &config));
	}
	tell_produce(&p, 200);
	child_await_sleep(&p.child);
	child_kill(&c.child);
	before = stat_lane(r, 0);
	ck_assert_int_eq(kill(p.child.pid, SIGUSR1), 0);
	ck_assert_int_eq(peer_answer(&p), -EINTR);
	some.deadline = shmring_deadline(300 * MS);
	ck_assert_int_eq(peer_call(&p, &some), -ETIMEDOUT);
	ck_assert_uint_eq(stat_lane(r, 0).messages, before.messages);
	ck_assert_int_eq(must(shmring_reap(r)), 1);
	ck_assert_int_eq(produce(&p, 200), 200);
	peer_quit(&p);
	shmring_close(other);
	shmring_close(r);
}
END_TEST

/* What the policy allows after a time needs no proof. */
START_TEST(producer_that_can_prove_nothing_still_evicts)
{
	struct shmring_config config = small_config();
	struct shmring *r;
	struct peer p, c;

	if (geteuid() != 0)
		room_skip("needs root, to become another user");
	config.slow_policy = SHMRING_SLOW_EVICT;
	config.evict_after_ns = 20 * MS;
	r = way_create(WAY_PASSED_EXEC, &config);
	way_start(&c, WAY_PASSED_EXEC, r);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	start_blind(&p, WAY_PASSED_EXEC, r);
	child_kill(&c.child);
	ck_assert_int_eq(produce(&p, 200), 200);
	peer_quit(&p);
	shmring_close(r);
}
END_TEST

/* And somebody who has nothing to do looks after the dead of others. */
START_TEST(idle_consumer_helps_a_producer_that_can_prove_nothing)
{
	struct shmring_config config = small_config();
	struct peer p, c, idle;
	struct shmring *r;

	if (geteuid() != 0)
		room_skip("needs root, to become another user");
	config.max_sleep_ns = 20 * MS;
	r = way_create(WAY_PASSED_EXEC, &config);
	way_start(&c, WAY_PASSED_EXEC, r);
	way_start(&idle, WAY_PASSED_EXEC, r);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	ck_assert_int_eq(peer_consumer(&idle, NULL, 0, 0), 0);
	start_blind(&p, WAY_PASSED_EXEC, r);
	tell_consume(&idle, 200);
	tell_produce(&p, 200);
	child_await_sleep(&p.child);
	child_kill(&c.child);
	ck_assert_int_eq(peer_answer(&p), 200);
	ck_assert_int_eq(peer_answer(&idle), 200);
	audit_must_be(&idle.answer.audit, 200, 0);
	ck_assert_uint_eq(idle.answer.counters.recoveries, 1);
	peer_quit(&idle);
	peer_quit(&p);
	shmring_close(r);
}
END_TEST

static int work_without_proc(int socket, void *arg)
{
	struct shmring *r = arg, *other = NULL;
	struct shmring_config config = small_config();
	struct shmring_producer *p, *q = NULL;
	struct shmring_consumer *c, *d = NULL;
	struct audit audit;

	(void)socket;
	must(shmring_join(r));
	c = consumer_attach(r, NULL, SHMRING_START_NOW, 0);
	p = producer_attach(r);
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", "/proc", "tmpfs", 0, NULL) != 0) {
		step_tell(socket);
		return 0;
	}
	must_fail(ENOENT, shmring_producer_attach(&q, r, NULL));
	must_fail(ENOENT, shmring_consumer_attach(&d, r, NULL));
	must_fail(ENOENT, shmring_create(&other, room_path("other"), &config));
	must_fail(ENOENT, shmring_open(&other, room_path("ring")));
	audit_begin(&audit, false);
	for (uint64_t number = 0; number < 200; number++) {
		publish_numbers(p, SOURCE, number, 1, SIZE);
		consume_audited(c, &audit, 1);
	}
	audit_must_be(&audit, 200, 0);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	return 0;
}

START_TEST(missing_proc_is_told_and_harms_no_attachment)
{
	struct shmring_config config = small_config();
	struct shmring *r = ring_create(&config);
	struct child c;
	char byte;
	ssize_t skipped;

	if (geteuid() != 0)
		room_skip("needs root, to mount something over /proc");
	child_fork(&c, work_without_proc, r);
	skipped = recv(c.socket, &byte, 1, 0);
	child_end(&c);
	ck_assert_int_ne(access(room_path("other"), F_OK), 0);
	shmring_close(r);
	if (skipped == 1)
		room_skip("nothing can be mounted over /proc");
}
END_TEST

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

START_TEST(no_addresses_left_is_told)
{
	struct shmring_config config = small_config();
	struct shmring_producer *p = NULL;
	struct shmring_consumer *c = NULL;
	struct holdings before;
	struct shmring *r, *other = NULL;

	if (room_is_sanitized())
		room_skip("the sanitizer reserves all addresses");
	config.lane_size = (uint64_t)4 << 20;
	r = ring_create(&config);
	shmring_producer_detach(producer_attach(r)); /* whatever is needed once */
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

/* With 0, 1, 2 ... descriptors to be had, a call works or changes nothing. */
START_TEST(few_descriptors_are_enough_or_told)
{
	struct shmring_config config = small_config();
	struct shmring *r = ring_create(&config), *other = NULL;
	struct shmring_producer *p = NULL;
	struct shmring_consumer *c = NULL;
	struct holdings before;
	struct rlimit old;
	int next, worked = 0;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	holdings_take(&before);
	next = dup(0);
	close(next);
	for (int spare = 0; spare < 6; spare++) {
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
 * While the limit is on, nothing but the library may write: who would write
 * beyond it is sent SIGXFSZ.
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
	struct shmring *r = NULL;

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

/* A ring that is too large is not made; in one that is there no file grows. */
START_TEST(limit_on_file_sizes_is_for_creators)
{
	struct shmring_config config = small_config();
	struct shmring *r = ring_create(&config);
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

/* A timer that profiles the program, say. */
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
	struct shmring *r;

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

START_TEST(signals_keep_nobody_from_attaching)
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
	unsigned mask; /* forbidden if any of these bits is set there; 0: anyhow */
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

static void start_in_sandbox(struct peer *p, struct sandbox *s)
{
	start(p, serve_in_sandbox, s);
	ck_assert_int_eq(peer_open(p, room_path("ring")), 0);
}

/* Nobody wakes anybody too late: sleeps last ten seconds if they are not ended. */
static void expect_prompt_wakes(struct peer *p, struct peer *c)
{
	int64_t began = clock_now();

	ck_assert_int_eq(peer_consumer(c, NULL, 0, 0), 0);
	ck_assert_int_eq(peer_producer(p, SOURCE), 0);
	for (int round = 1; round <= 20; round++) {
		tell_consume(c, 200);
		child_await_sleep(&c->child);
		tell_produce(p, 200);
		ck_assert_int_eq(peer_answer(p), 200);
		ck_assert_int_eq(peer_answer(c), 200);
		audit_must_be(&c->answer.audit, 200 * (uint64_t)round, 0);
	}
	tell_produce(p, 200);
	child_await_sleep(&p->child);
	ck_assert_int_eq(peer_consume(c, 200), 200);
	ck_assert_int_eq(peer_answer(p), 200);
	ck_assert_int_lt(clock_now() - began, 9000 * MS);
}

/* Whoever cannot force a barrier looks every few milliseconds; the others sleep. */
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

/* One of the two has no membarrier(2), or both; 2 errors. */
START_TEST(without_membarrier_nobody_oversleeps)
{
	static const int errors[] = { ENOSYS, EPERM };
	struct sandbox without = {
		.number = SYS_membarrier,
		.action = SECCOMP_RET_ERRNO | (unsigned)errors[_i / 3],
	};
	struct shmring_config config = small_config();
	struct shmring *r;
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
	struct shmring *r;
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

/* --- clocks --- */

/* While this is on, the wall clock is anywhere. */
static struct {
	bool jumps;
	uint64_t seed;
	unsigned wall_clock; /* times that it was asked for */
	unsigned others;     /* the same, for clocks that nobody should ask */
} clocks;

/* In place of the C library's, for this program and the libraries that it uses. */
int clock_gettime(clockid_t clock, struct timespec *ret)
{
	int e = (int)syscall(SYS_clock_gettime, clock, ret);

	if (!clocks.jumps)
		return e;
	clocks.others += clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME;
	if (clock == CLOCK_REALTIME) {
		clocks.wall_clock++;
		ret->tv_sec = (time_t)random_below(&clocks.seed, (uint64_t)1 << 33);
	}
	return e;
}

static void expect_deadlines_kept(struct shmring_producer *p, struct shmring_consumer *c)
{
	static const char data[SIZE];
	struct shmring_message m;
	int64_t began = clock_now();

	must_fail(ETIMEDOUT, shmring_peek(c, shmring_deadline(60 * MS), &m));
	ck_assert_int_ge(clock_now() - began, 60 * MS);
	ck_assert_int_lt(clock_now() - began, 5000 * MS);
	publish_until_full(p, SOURCE, 0, SIZE);
	began = clock_now();
	must_fail(ETIMEDOUT, shmring_publish(p, data, SIZE, shmring_deadline(60 * MS)));
	ck_assert_int_ge(clock_now() - began, 60 * MS);
	ck_assert_int_lt(clock_now() - began, 5000 * MS);
}

/* It is written down when a ring is made and a place is taken; nobody goes by it. */
START_TEST(jumping_wall_clock_is_not_looked_at)
{
	struct shmring_config config = small_config();
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct audit audit;
	struct shmring *r;
	unsigned asked;

	config.slow_policy = SHMRING_SLOW_EVICT;
	config.evict_after_ns = 200 * MS;
	clocks.seed = random_seed();
	clocks.jumps = true;
	r = ring_create(&config);
	p = producer_attach(r);
	c = consumer_attach(r, NULL, 0, 0);
	asked = clocks.wall_clock;
	ck_assert_uint_eq(asked, 3);
	expect_deadlines_kept(p, c);
	publish_numbers(p, SOURCE + 1, 0, 10, SIZE); /* evicts */
	audit_begin(&audit, false);
	ck_assert_uint_gt(consume_all(c, &audit), 10);
	ck_assert_uint_gt(audit.lost, 0);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
	clocks.jumps = false;
	ck_assert_uint_eq(clocks.wall_clock, asked);
	ck_assert_uint_eq(clocks.others, 0);
}
END_TEST

/* Nor do sleeps go by it. */
START_TEST(no_sleep_ends_by_the_wall_clock)
{
	struct sandbox deadly = {
		.number = SYS_futex,
		.argument = 1,
		.mask = FUTEX_CLOCK_REALTIME,
		.action = SECCOMP_RET_KILL_PROCESS,
	};
	struct shmring_config config = small_config();
	struct shmring *r = ring_create(&config);
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

/* --- everybody stopped --- */

static void pass_time(int64_t ns)
{
	struct timespec t = { .tv_sec = ns / (1000 * MS), .tv_nsec = ns % (1000 * MS) };

	ck_assert_int_eq(nanosleep(&t, NULL), 0);
}

/*
 * As a freezer does it, or the lid of a notebook: all stop, for some time, and go
 * on in any order. A consumer that was not running has not been slow.
 */
START_TEST(time_in_which_all_were_stopped_evicts_nobody)
{
	static const int quarters[] = { 3, 5, 9 }; /* of the ring's time */
	struct shmring_config config = small_config();
	struct shmring *r;
	struct peer p, c;

	config.slow_policy = SHMRING_SLOW_EVICT;
	config.evict_after_ns = 1000 * MS;
	r = ring_create(&config);
	ring_start(&p);
	ring_start(&c);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	ck_assert_int_eq(produce(&p, 10), 10);
	ck_assert_int_eq(peer_call(&c, &(struct peer_command){ .op = PEER_PEEK, .count = 10 }), 10);
	tell_produce(&p, 200);
	child_await_sleep(&p.child);
	child_stop(&c.child);
	child_stop(&p.child);
	pass_time(quarters[_i] * 250 * MS);
	peer_tell(&c, &(struct peer_command){ .op = PEER_RELEASE });
	child_continue(&p.child);
	pass_time(400 * MS); /* the consumer's turn comes later */
	child_continue(&c.child);
	ck_assert_int_eq(peer_answer(&c), 0);
	ck_assert_int_eq(peer_consume(&c, 200), 200);
	ck_assert_int_eq(peer_answer(&p), 200);
	audit_must_be(&c.answer.audit, 210, 0);
	peer_quit(&p);
	peer_quit(&c);
	shmring_close(r);
}
END_TEST

/* --- names --- */

struct turns {
	_Atomic unsigned rounds;
	_Atomic unsigned arrived;
	_Atomic unsigned winners;
};

static struct turns *share_turns(void)
{
	struct turns *t =
		mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(t, MAP_FAILED);
	return t;
}

static _Noreturn int replace_for_ever(int socket, void *arg)
{
	struct shmring_config config = small_config();
	struct turns *turns = arg;
	struct shmring *r;

	(void)socket;
	for (;;) {
		must(shmring_create(&r, room_path("ring"), &config));
		shmring_close(r);
		turns->rounds++;
		must(shmring_remove(room_path("ring")));
	}
}

/* Whoever opens gets a whole ring or none, and keeps what he has got. */
START_TEST(ring_that_is_replaced_for_ever_is_whole_for_everybody)
{
	struct turns *turns = share_turns();
	unsigned opened = 0;
	struct child c;

	child_fork(&c, replace_for_ever, turns);
	while (opened < 200) {
		struct shmring *r = NULL;
		struct shmring_producer *p;
		struct shmring_consumer *k;
		struct audit audit;
		int e = shmring_open(&r, room_path("ring"));

		if (e < 0) {
			must_fail(ENOENT, e);
			continue;
		}
		opened++;
		/* It may be the same as the last time. */
		k = consumer_attach(r, NULL, SHMRING_START_NOW, 0);
		p = producer_attach(r);
		audit_begin(&audit, false);
		publish_numbers(p, SOURCE, 0, 5, SIZE);
		consume_audited(k, &audit, 5);
		audit_must_be(&audit, 5, 0);
		shmring_producer_detach(p);
		shmring_consumer_detach(k);
		shmring_close(r);
	}
	child_kill(&c);
	ck_assert_uint_ge(turns->rounds, 2);
	if (access(room_path("ring"), F_OK) == 0)
		must(shmring_remove(room_path("ring")));
	munmap(turns, sizeof(*turns));
}
END_TEST

enum { CREATORS = 4, RACES = 200 };

/* All of them come here before anyone goes on. */
static void meet(struct turns *turns, unsigned *met)
{
	unsigned due = ++*met * CREATORS;

	turns->arrived++;
	while (turns->arrived < due)
		sched_yield();
}

static int race_to_create(int socket, void *arg)
{
	struct shmring_config config = small_config();
	struct turns *turns = arg;
	unsigned met = 0;

	(void)socket;
	for (unsigned race = 1; race <= RACES; race++) {
		struct shmring *mine = NULL, *there = NULL;
		int e;

		meet(turns, &met);
		e = shmring_create(&mine, "contested", &config);
		if (e == 0)
			turns->winners++;
		else
			must_fail(EEXIST, e);
		must(shmring_open(&there, "contested"));
		meet(turns, &met);
		ck_assert_uint_eq(turns->winners, race);
		if (e == 0)
			must(shmring_remove("contested"));
		shmring_close(there);
		shmring_close(mine);
	}
	return 0;
}

/* By a bare name: at first there is not even a directory. */
START_TEST(many_creators_race_many_times)
{
	struct turns *turns = share_turns();
	struct child c[CREATORS];

	room_path("shmring");
	for (int i = 0; i < CREATORS; i++)
		child_fork(&c[i], race_to_create, turns);
	for (int i = 0; i < CREATORS; i++)
		child_end(&c[i]);
	ck_assert_uint_eq(turns->winners, RACES);
	munmap(turns, sizeof(*turns));
}
END_TEST

/* --- users and modes --- */

static void become_nobody(void)
{
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
}

static int create_under_umask(int socket, void *arg)
{
	struct shmring_config config = small_config();
	const mode_t *mask = arg;
	struct shmring *r;
	struct stat st;

	(void)socket;
	become_nobody(); /* root may enter what nobody may */
	umask(*mask);
	must(shmring_create(&r, "bare", &config));
	shmring_close(r);
	must(shmring_open(&r, "bare"));
	shmring_close(r);
	ck_assert_int_eq(stat(room_path("shmring"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(stat(room_path("shmring/bare"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	return 0;
}

START_TEST(umask_has_no_say)
{
	static const mode_t masks[] = { 0, 0777, 0700, 0077 };
	mode_t mask = masks[_i];
	struct child c;

	ck_assert_int_eq(chmod(room_directory(), 0777), 0);
	child_fork(&c, create_under_umask, &mask);
	child_end(&c);
	room_path("shmring");
	room_path("shmring/bare");
}
END_TEST

START_TEST(users_prove_the_death_of_each_other)
{
	struct shmring_config config = small_config();
	struct shmring *r;
	struct peer root, nobody[2];

	if (geteuid() != 0)
		room_skip("needs root, to become another user");
	config.mode = 0666;
	r = ring_create(&config);
	for (int i = 0; i < 2; i++) {
		peer_exec(&nobody[i]);
		ck_assert_int_eq(peer_simple(&nobody[i], PEER_NOBODY), 0);
		ck_assert_int_eq(peer_open(&nobody[i], room_path("ring")), 0);
	}
	ring_start(&root);
	ck_assert_int_eq(peer_producer(&root, SOURCE), 0);
	ck_assert_int_eq(peer_consumer(&nobody[0], NULL, 0, 0), 0);
	tell_produce(&root, 200);
	child_await_sleep(&root.child);
	child_kill(&nobody[0].child);
	ck_assert_int_eq(peer_answer(&root), 200);
	ck_assert_int_eq(peer_consumer(&root, NULL, SHMRING_START_NOW, 0), 0);
	ck_assert_int_eq(peer_producer(&nobody[1], SOURCE + 1), 0);
	tell_produce(&nobody[1], 200);
	child_await_sleep(&nobody[1].child);
	child_kill(&root.child);
	ck_assert_int_eq(peer_answer(&nobody[1]), 200);
	peer_quit(&nobody[1]);
	ck_assert_int_eq(must(shmring_reap(r)), 1);
	shmring_close(r);
}
END_TEST

/* Who may read but not write is refused a part in it, whatever his user. */
START_TEST(mode_0644_makes_strangers_observers)
{
	struct shmring_config config = small_config();
	struct shmring_producer *p;
	struct peer stranger;
	struct shmring *r;

	if (geteuid() != 0)
		room_skip("needs root, to become another user");
	config.mode = 0644;
	r = ring_create(&config);
	p = producer_attach(r);
	publish_numbers(p, SOURCE, 0, 20, SIZE);
	peer_exec(&stranger);
	ck_assert_int_eq(peer_simple(&stranger, PEER_NOBODY), 0);
	ck_assert_int_eq(peer_open(&stranger, room_path("ring")), 0);
	ck_assert_int_eq(peer_producer(&stranger, SOURCE), -EACCES);
	ck_assert_int_eq(peer_consumer(&stranger, "name", 0, 0), -EACCES);
	ck_assert_int_eq(peer_consumer(&stranger, NULL, SHMRING_START_OLDEST, SHMRING_OBSERVE), 0);
	ck_assert_int_eq(peer_consume(&stranger, 20), 20);
	audit_must_be(&stranger.answer.audit, 20, 0);
	peer_quit(&stranger);
	ck_assert_int_eq(must(shmring_reap(r)), 0);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

static void add_processes(TCase *tc)
{
	tcase_add_test(tc, peers_may_all_be_process_1);
	tcase_add_test(tc, peers_need_not_agree_on_the_time);
	tcase_add_test(tc, process_without_its_first_thread_is_alive);
	tcase_add_loop_test(tc, dead_child_takes_nothing_of_its_living_parent, 0, 2);
	tcase_add_test(tc, place_lives_as_long_as_the_memory_of_its_owner);
	tcase_add_test(tc, number_of_a_dead_process_may_come_again);
	tcase_add_loop_test(tc, producer_that_can_prove_nothing_overwrites_nothing, 0, 2);
	tcase_add_test(tc, producer_that_can_prove_nothing_still_evicts);
	tcase_add_test(tc, idle_consumer_helps_a_producer_that_can_prove_nothing);
	tcase_add_test(tc, missing_proc_is_told_and_harms_no_attachment);
}

static void add_limits(TCase *tc)
{
	tcase_add_test(tc, no_addresses_left_is_told);
	tcase_add_test(tc, few_descriptors_are_enough_or_told);
	tcase_add_test(tc, limit_on_file_sizes_is_for_creators);
	tcase_add_test(tc, signals_keep_nobody_from_attaching);
	tcase_add_loop_test(tc, without_membarrier_nobody_oversleeps, 0, 6);
	tcase_add_test(tc, fencing_ring_makes_no_membarrier_call);
	tcase_add_test(tc, jumping_wall_clock_is_not_looked_at);
	tcase_add_test(tc, no_sleep_ends_by_the_wall_clock);
	tcase_add_loop_test(tc, time_in_which_all_were_stopped_evicts_nobody, 0, 3);
}

static void add_names(TCase *tc)
{
	tcase_add_test(tc, ring_that_is_replaced_for_ever_is_whole_for_everybody);
	tcase_add_test(tc, many_creators_race_many_times);
	tcase_add_loop_test(tc, umask_has_no_say, 0, 4);
	tcase_add_test(tc, users_prove_the_death_of_each_other);
	tcase_add_test(tc, mode_0644_makes_strangers_observers);
}

int main(void)
{
	Suite *s = suite_create("environ");
	TCase *tc = room_case(s, "environ", 30);

	add_processes(tc);
	add_limits(tc);
	add_names(tc);
	return run_suite(s);
}
