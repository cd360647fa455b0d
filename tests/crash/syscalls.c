/* SPDX-License-Identifier: MIT */
/*
 * Every system call of every operation fails, in turn, with every error that
 * can happen to it; and the process is killed before it and after it.
 *
 * A helper does the operation under the eyes of intercept.h. The first run makes
 * the list of its calls; then there is one run for each call and each of its
 * faults (errnos.h). After each of them
 *
 *   - the operation has answered with the error, or with one that the manual
 *     names, or has done without the call, as the table says;
 *   - in the helper, the same operation works at the next attempt, and when it
 *     has undone everything nothing is left: no descriptor, no mapping;
 *   - its places in the ring are free or proved dead, no lock and no file stays,
 *     and the test's own producer and consumer, which are attached to the same
 *     ring all the time, go on.
 *
 * One ring serves all runs of an operation, so what a fault breaks is met by the
 * next one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "leaks.h"
#include "must.h"
#include "operations.h"
#include "room.h"
#include "runner.h"

enum { SAMPLE = 7 };

/* --- the helper's clock --- */

/*
 * While it is held it goes on a little whenever it is read, and not otherwise:
 * what the library does by the clock then depends on nothing but itself.
 */
static struct {
	bool held;
	struct timespec now;
} steady;

/* In place of the C library's, for this program and the libraries that it uses. */
int clock_gettime(clockid_t clock, struct timespec *ret)
{
	if (!steady.held || clock != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, clock, ret);
	steady.now.tv_nsec += MS / 50;
	if (steady.now.tv_nsec >= 1000 * MS) {
		steady.now.tv_nsec -= 1000 * MS;
		steady.now.tv_sec++;
	}
	*ret = steady.now;
	return 0;
}

static void hold_clock(void)
{
	clock_gettime(CLOCK_MONOTONIC, &steady.now);
	steady.held = true;
}

/* --- the test's side of the ring --- */

/* Locks that others hold on this range of the file. */
static unsigned count_locks_between(int fd, off_t from, off_t to)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from };
	off_t end;

	if (from >= to)
		return 0;
	lock.l_len = to - from;
	ck_assert_int_eq(fcntl(fd, F_OFD_GETLK, &lock), 0);
	if (lock.l_type == F_UNLCK)
		return 0;
	end = lock.l_len == 0 ? to : lock.l_start + lock.l_len;
	return 1 + count_locks_between(fd, from, lock.l_start) + count_locks_between(fd, end, to);
}

static unsigned count_locks(const struct scene *s)
{
	int fd = open(s->path, O_RDWR | O_CLOEXEC);
	unsigned count;

	ck_assert_int_ge(fd, 0);
	count = count_locks_between(fd, 0, INT64_MAX);
	close(fd);
	return count;
}

static void scene_begin(struct scene *s, const struct operation *o)
{
	struct shmring_config config = small_config();

	s->operation = o;
	config.max_sleep_ns = o->max_sleep_ns ? o->max_sleep_ns : 20 * MS;
	s->path = room_path("ring");
	s->made_path = room_path("made");
	config.lanes = 2; /* the test's, and the helper's */
	s->ring = ring_create(&config);
	must(shmring_create(&s->hidden, NULL, &config));
	s->consumer = consumer_attach(s->ring, NULL, 0, 0);
	s->producer = producer_attach(s->ring);
	/* The next owner of another lane finds that lane in order. */
	shmring_producer_detach(o->fresh ? NULL : producer_attach(s->ring));
	audit_begin(&s->audit, false);
	s->number = 0;
	scene_publish(s, 3);
	s->locks = count_locks(s);
}

static void scene_end(struct scene *s)
{
	shmring_producer_detach(s->producer);
	shmring_consumer_detach(s->consumer);
	shmring_close(s->hidden);
	shmring_close(s->ring);
	must(shmring_remove(room_path("ring")));
}

/*
 * Nothing of the helper is left in the ring. Only a killed helper may still have to
 * be buried; a helper that fails, or is done, leaves by itself.
 */
static void expect_places_free(struct scene *s, bool killed)
{
	struct shmring_consumer_stat consumer = { .size = sizeof(consumer) };
	struct shmring_lane_stat lane = { .size = sizeof(lane) };
	struct shmring_ring_stat st = { .size = sizeof(st) };

	if (!killed && !s->operation->dead)
		ck_assert_int_eq(must(shmring_reap(s->ring)), 0);
	must(shmring_reap(s->ring));
	must(shmring_stat(s->ring, &st));
	ck_assert_uint_eq(st.producers, 1);
	ck_assert_uint_eq(st.consumers, 1);
	ck_assert_uint_eq(st.detached, 0);
	for (unsigned i = 1; i < st.lanes; i++) {
		must(shmring_stat_lane(s->ring, i, &lane));
		ck_assert_uint_eq(lane.state, SHMRING_FREE);
	}
	for (unsigned i = 1; i < SHMRING_MAX_CONSUMERS; i++) {
		must(shmring_stat_consumer(s->ring, i, &consumer));
		ck_assert_uint_eq(consumer.state, SHMRING_FREE);
	}
	ck_assert_uint_eq(count_locks(s), s->locks);
}

/* The test's own attachments work, and the lanes of the others are sound. */
static void expect_peers_unharmed(struct scene *s)
{
	uint64_t before;

	consume_all(s->consumer, &s->audit);
	before = s->audit.messages;
	scene_publish(s, 2);
	consume_audited(s->consumer, &s->audit, 2);
	ck_assert_msg(audit_faults(&s->audit) == 0, "%s", s->audit.first_fault);
	ck_assert_uint_eq(s->audit.lost, 0);
	ck_assert_uint_ge(s->audit.messages, before + 2);
}

static unsigned count_files(const char *directory)
{
	DIR *dir = opendir(directory);
	unsigned count = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* --- one run --- */

static struct calls calls, again; /* of the first run, and of the last */
static struct scene scene;
static unsigned runs;

/* The results that the operation may have after the fault of this run. */
static const int *answers(const struct scene *s)
{
	const struct exception *e = s->operation->exceptions;

	for (; e && e->fault.answers[0] != 0; e++)
		if (e->kind == s->kind && (e->fault.error == 0 || e->fault.error == s->fault.error))
			return e->fault.answers;
	return s->fault.answers;
}

static void expect_answer(const struct scene *s, int result)
{
	const int *due;

	if (result < 0)
		ck_assert_str_ne(shmring_explain(), "");
	if (s->kind == CALL_UNKNOWN) {
		must(result);
		return;
	}
	due = answers(s);
	for (int i = 0; i < MAX_ANSWERS && due[i] != 0; i++)
		if (result == (due[i] == SAME ? -s->fault.error : due[i] == DONE ? 0 : -due[i]))
			return;
	ck_abort_msg("%s of %s (call %u): the operation answers %s%s (%s)",
		     strerrorname_np(s->fault.error), fault_name(s->kind), s->index,
		     result < 0 ? "-" : "", result < 0 ? strerrorname_np(-result) : "success",
		     shmring_explain());
}

static void leave(struct scene *s)
{
	shmring_producer_detach(s->p);
	shmring_consumer_detach(s->c);
	shmring_close(s->mine);
}

/* The helper holds the same as before, except where munmap() failed. */
static void expect_nothing_kept(struct holdings *before, bool may_keep)
{
	struct report kept = { 0 };
	struct holdings after;

	holdings_take(&after);
	if (!may_keep)
		holdings_compare(before, &after, &kept);
	holdings_compare(&after, before, &kept); /* no file of another owner was closed */
	ck_assert_msg(kept.used == 0, "%s", kept.text);
	holdings_drop(&after);
	holdings_drop(before);
}

static int help(int socket, void *arg)
{
	struct scene *s = arg;
	const struct operation *o = s->operation;
	bool may_keep = s->kind == CALL_MUNMAP;
	static struct scene was;
	struct holdings before;
	int result;

	holdings_take(&before);
	s->source = SOURCE + s->run;
	if (o->enter)
		o->enter(s);
	step_tell(socket);
	step_await(socket);
	was = *s;
	hold_clock();
	intercept_begin();
	result = o->run(s);
	intercept_end();
	steady.held = false;
	expect_answer(s, result);
	/* A call that fails returns no handle. */
	ck_assert(result == 0 || (s->made == was.made && s->p == was.p && s->c == was.c));
	s->done = result == 0;
	if (s->done && o->undo)
		o->undo(s);
	s->kind = CALL_UNKNOWN;
	if (result < 0 || !o->once) {
		must(o->run(s));
		if (o->undo)
			o->undo(s);
	}
	leave(s);
	expect_nothing_kept(&before, may_keep);
	return 0;
}

/* To find the cause of a failure. */
static void tell(const struct scene *s, const struct plan *plan)
{
	static const char *const fates[] = { "nothing", "failure", "late failure", "death before",
					     "death behind" };

	if (!getenv("SHMRING_TEST_TRACE"))
		return;
	printf("# %s: %s of call %u (%s %s)\n", s->operation->name, fates[plan->fate], plan->index,
	       plan->fate == FATE_NONE ? "" : fault_name(fault_kind(&calls.call[plan->index])),
	       plan->error ? strerrorname_np(plan->error) : "");
	fflush(stdout);
}

/* One helper, and what the plan has for it; its calls are in *ret. */
static void run(struct scene *s, struct plan *plan, struct calls *ret)
{
	const struct operation *o = s->operation;
	unsigned files = count_files(room_directory());
	struct child c;
	bool killed;

	tell(s, plan);
	if (o->fresh)
		scene_begin(s, o);
	s->run++;
	s->slept = false;
	plan->asleep = o->asleep;
	plan->arg = s;
	if (o->prepare)
		o->prepare(s);
	child_fork(&c, help, s);
	step_await(c.socket);
	if (o->halfway)
		o->halfway(s);
	step_tell(c.socket);
	killed = intercept_run(c.pid, plan, ret);
	if (killed)
		child_kill(&c);
	expect_peers_unharmed(s);
	if (!killed)
		child_end(&c);
	if (o->clean)
		o->clean(s);
	expect_peers_unharmed(s);
	expect_places_free(s, killed);
	if (o->fresh)
		scene_end(s);
	ck_assert_uint_eq(count_files(room_directory()), files);
}

/* The helper has done what it did the first time, as far as that call. */
static void expect_same_calls(const struct calls *first, const struct calls *now, unsigned index)
{
	ck_assert_uint_gt(now->count, index);
	for (unsigned i = 0; i <= index; i++)
		ck_assert_int_eq(fault_kind(&first->call[i]), fault_kind(&now->call[i]));
}

/* --- all runs of an operation --- */

static void begin(int index)
{
	const char *why;
	struct plan none = { .fate = FATE_NONE };

	if (!intercept_works(&why))
		room_skip("%s", why);
	scene = (struct scene){ .operation = &operations[index], .kind = CALL_UNKNOWN };
	runs = 0;
	if (!scene.operation->fresh)
		scene_begin(&scene, scene.operation);
	run(&scene, &none, &calls);
	ck_assert_uint_gt(calls.count, 0);
}

static void end(const char *what)
{
	if (!scene.operation->fresh)
		scene_end(&scene);
	printf("# %s: %u system calls, %u %s\n", scene.operation->name, calls.count, runs, what);
	fflush(stdout);
}

/* Sanitized helpers are slow: they take a sample. */
static bool is_sampled(void)
{
	static unsigned candidates;

	return !room_is_sanitized() || candidates++ % SAMPLE == 0;
}

static void run_with(unsigned index, enum kind kind, const struct fault *fault)
{
	struct plan plan = {
		.fate = fault_is_late(kind) ? FATE_FAIL_LATE : FATE_FAIL,
		.index = index,
		.error = fault->error,
	};

	scene.index = index;
	scene.kind = kind;
	scene.fault = *fault;
	run(&scene, &plan, &again);
	expect_same_calls(&calls, &again, index);
	runs++;
}

START_TEST(every_system_call_may_fail)
{
	struct fault faults[MAX_FAULTS];
	unsigned count;

	begin(_i);
	for (unsigned index = 0; index < calls.count; index++) {
		enum kind kind = fault_kind(&calls.call[index]);

		ck_assert_msg(kind != CALL_UNKNOWN, "nothing is known of system call %ld",
			      calls.call[index].number);
		count = fault_list(kind, faults);
		for (unsigned i = 0; i < count; i++)
			if (is_sampled())
				run_with(index, kind, &faults[i]);
	}
	end("faults");
}
END_TEST

START_TEST(every_system_call_may_be_the_last)
{
	begin(_i);
	for (unsigned index = 0; index < calls.count; index++) {
		for (enum fate fate = FATE_DIE_BEFORE; fate <= FATE_DIE_BEHIND; fate++) {
			struct plan plan = { .fate = fate, .index = index };

			if (!is_sampled())
				continue;
			run(&scene, &plan, &again);
			expect_same_calls(&calls, &again, index);
			runs++;
		}
	}
	end("deaths");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("syscalls");
	TCase *tc = room_case(s, "syscalls", 60);

	tcase_add_loop_test(tc, every_system_call_may_fail, 0, (int)operation_count);
	tcase_add_loop_test(tc, every_system_call_may_be_the_last, 0, (int)operation_count);
	return run_suite(s);
}
