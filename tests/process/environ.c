/* SPDX-License-Identifier: MIT */
/*
 * What a process lives in: namespaces, numbers that come again, a process that has
 * lost its first thread, its descriptors, or /proc. What cannot be made on a
 * machine is skipped there.
 *
 * Others of the kind have their programs: limits and sandboxes limits.c, clocks
 * clocks.c, users rights.c, full file systems space.c, zombies death.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 201, SIZE = 1000 };

#define MS INT64_C(1000000)

/* A peer that does something before it serves. */
static void start(struct peer *p, int (*run)(int socket, void *arg), void *arg)
{
	memset(p, 0, sizeof(*p));
	child_fork(&p->child, run, arg);
}

static struct shmring_consumer_stat stat_consumer(struct shmring_ring *r, unsigned index)
{
	struct shmring_consumer_stat st = { .size = sizeof(st) };

	must(shmring_stat_consumer(r, index, &st));
	return st;
}

static struct shmring_lane_stat stat_lane(struct shmring_ring *r, unsigned index)
{
	struct shmring_lane_stat st = { .size = sizeof(st) };

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
	struct shmring_ring *r = ring_create(&config);
	struct peer p, c, d;
	pid_t writer = start_in_space(&p, &own), reader = start_in_space(&c, &own), other;

	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	ck_assert_int_eq(stat_lane(r, 0).pid, 1);
	ck_assert_int_eq(stat_consumer(r, 0).pid, 1);
	/* A dead process 1 does not look alive because of a living one, */
	peer_tell_fill(&p, 200, SIZE);
	kill_in_space(&c, reader);
	ck_assert_int_eq(peer_answer(&p), 200);
	/* and a living process is not dead because a dead one had its number. */
	other = start_in_space(&d, &own);
	ck_assert_int_eq(peer_consumer(&d, NULL, SHMRING_START_NOW, 0), 0);
	ck_assert_int_eq(peer_fill(&p, 20, SIZE), 20);
	kill_in_space(&p, writer);
	ck_assert_int_eq(must(shmring_reap(r)), 1);
	ck_assert_uint_eq(stat_consumer(r, 0).state, SHMRING_ACTIVE);
	ck_assert_int_eq(peer_consume(&d, 20), 20);
	kill_in_space(&d, other);
	ck_assert_int_eq(must(shmring_reap(r)), 1);
	shmring_close(r);
}
END_TEST

/* Their clocks for waiting differ by a day: no time of these clocks is in the ring. */
START_TEST(peers_need_not_agree_on_the_time)
{
	static const struct space ahead = { .flags = CLONE_NEWTIME,
					    .offsets = "monotonic 86400 0\n" };
	struct shmring_config config = small_config();
	struct shmring_ring *r;
	struct peer p, c;

	config.slow_policy = SHMRING_SLOW_EVICT;
	config.evict_after_ns = 10000 * MS;
	r = ring_create(&config);
	start_in_space(&p, &ahead);
	ring_start(&c);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	for (int round = 1; round <= 3; round++) {
		peer_tell_take(&c, 500); /* sleeps, and is woken */
		child_await_sleep(&c.child);
		peer_tell_fill(&p, 500, SIZE); /* is held back again and again */
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
	struct shmring_ring *r = arg;
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
	struct shmring_ring *r = ring_create(&config);
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
	struct shmring_ring *r = arg;

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
	struct shmring_ring *r = way_create(_i ? WAY_ANONYMOUS_FORK : WAY_FILE_FORK, &config);
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

/* Two processes share one memory: the process that is left may still store. */
static _Noreturn int share_memory(int socket, void *arg)
{
	enum { STACK = 65536 };
	struct shmring_ring *r = arg;
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
	struct shmring_ring *r = ring_create(&config);
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

/* A process with the number of a process that has ended; its end of the socket is 3. */
static pid_t start_as(pid_t number, struct shmring_ring *r, int ends[2])
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
	struct shmring_ring *r = ring_create(&config);
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
	/* The dead process is dead although another process has its number, */
	ck_assert_uint_eq(stat_consumer(r, 0).state, SHMRING_DEAD);
	publish_numbers(p, SOURCE, 0, 200, SIZE);
	ck_assert_int_eq(must(shmring_reap(r)), 1);
	/* and the living process is alive although the owner of its number has died. */
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

/* A peer that can no longer prove a death. */
static void start_blind(struct peer *p, enum way way, struct shmring_ring *r)
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
START_TEST(producer_that_cannot_prove_death_overwrites_nothing)
{
	struct peer_command some = {
		.op = PEER_PRODUCE,
		.count = 200,
		.min = SIZE,
		.max = SIZE,
	};
	struct shmring_config config = small_config();
	struct shmring_ring *r = way_create(_i ? WAY_MEMORY_EXEC : WAY_PASSED_EXEC, &config);
	struct shmring_ring *other = NULL;
	struct shmring_lane_stat before = { .size = sizeof(before) };
	struct peer p, c;

	way_start(&c, _i ? WAY_MEMORY_EXEC : WAY_PASSED_EXEC, r);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	start_blind(&p, _i ? WAY_MEMORY_EXEC : WAY_PASSED_EXEC, r);
	if (_i) {
		/* Another ring has its path now, with other locks. */
		config.mode = 0666;
		must(shmring_remove(room_path("ring")));
		must(shmring_create(&other, room_path("ring"), &config));
	}
	peer_tell_fill(&p, 200, SIZE);
	child_await_sleep(&p.child);
	child_kill(&c.child);
	before = stat_lane(r, 0);
	ck_assert_int_eq(kill(p.child.pid, SIGUSR1), 0);
	ck_assert_int_eq(peer_answer(&p), -EINTR);
	some.deadline = shmring_deadline(300 * MS);
	ck_assert_int_eq(peer_call(&p, &some), -ETIMEDOUT);
	ck_assert_uint_eq(stat_lane(r, 0).messages, before.messages);
	ck_assert_int_eq(must(shmring_reap(r)), 1);
	ck_assert_int_eq(peer_fill(&p, 200, SIZE), 200);
	peer_quit(&p);
	shmring_close(other);
	shmring_close(r);
}
END_TEST

/* An eviction after the ring's time needs no proof of death. */
START_TEST(producer_that_cannot_prove_death_still_evicts)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r;
	struct peer p, c;

	config.slow_policy = SHMRING_SLOW_EVICT;
	config.evict_after_ns = 20 * MS;
	r = way_create(WAY_PASSED_EXEC, &config);
	way_start(&c, WAY_PASSED_EXEC, r);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	start_blind(&p, WAY_PASSED_EXEC, r);
	child_kill(&c.child);
	ck_assert_int_eq(peer_fill(&p, 200, SIZE), 200);
	peer_quit(&p);
	shmring_close(r);
}
END_TEST

/* And an idle consumer finds dead consumers that hold the producer back. */
START_TEST(idle_consumer_helps_a_producer_that_cannot_prove_death)
{
	struct shmring_config config = small_config();
	struct peer p, c, idle;
	struct shmring_ring *r;

	config.max_sleep_ns = 20 * MS;
	r = way_create(WAY_PASSED_EXEC, &config);
	way_start(&c, WAY_PASSED_EXEC, r);
	way_start(&idle, WAY_PASSED_EXEC, r);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	ck_assert_int_eq(peer_consumer(&idle, NULL, 0, 0), 0);
	start_blind(&p, WAY_PASSED_EXEC, r);
	peer_tell_take(&idle, 200);
	peer_tell_fill(&p, 200, SIZE);
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
	struct shmring_ring *r = arg, *other = NULL;
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
	must_fail(EOPNOTSUPP, shmring_open(&other, room_path("ring")));
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

START_TEST(missing_proc_is_reported_and_harms_no_attachment)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r;
	struct child c;
	char byte;
	ssize_t skipped;

	if (geteuid() != 0)
		room_skip("needs root, to mount something over /proc");
	r = ring_create(&config);
	child_fork(&c, work_without_proc, r);
	skipped = recv(c.socket, &byte, 1, 0);
	child_end(&c);
	ck_assert_int_ne(access(room_path("other"), F_OK), 0);
	shmring_close(r);
	if (skipped == 1)
		room_skip("nothing can be mounted over /proc");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("environ");
	TCase *tc = room_case(s, "environ", 30);

	tcase_add_test(tc, peers_may_all_be_process_1);
	tcase_add_test(tc, peers_need_not_agree_on_the_time);
	tcase_add_test(tc, process_without_its_first_thread_is_alive);
	tcase_add_loop_test(tc, dead_child_takes_nothing_of_its_living_parent, 0, 2);
	tcase_add_test(tc, place_lives_as_long_as_the_memory_of_its_owner);
	tcase_add_test(tc, number_of_a_dead_process_may_come_again);
	tcase_add_loop_test(tc, producer_that_cannot_prove_death_overwrites_nothing, 0, 2);
	tcase_add_test(tc, producer_that_cannot_prove_death_still_evicts);
	tcase_add_test(tc, idle_consumer_helps_a_producer_that_cannot_prove_death);
	tcase_add_test(tc, missing_proc_is_reported_and_harms_no_attachment);
	return run_suite(s);
}
