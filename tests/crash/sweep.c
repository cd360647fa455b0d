/* SPDX-License-Identifier: MIT */
/*
 * sweep: every instruction of every operation.
 *
 * For each operation, in a ring that blocks and in one that evicts, there is one
 * run to the end, which records the address of every instruction that the subject
 * executes, in the library and in libc. Then, for each action, the same scene is set up
 * anew for each instruction that was chosen, the subject is brought before it,
 * and struck.
 *
 *  - Of a short operation every instruction is chosen, as often as it is executed.
 *  - Of a long and rare one, every address when it is executed for the first time,
 *    and both sides of every system call.
 *  - The quick form takes a share of them if there are many: which ones, the seed
 *    decides.
 *
 * To get there fast, the subject runs at full speed to a landmark, an address
 * that it has come to seldom before; only the rest is stepped.
 * Where the path depends on the time (a sleep that ends) it may be another one
 * this time; wherever the subject is then, it is struck there. If it is at the
 * end already, the step counts as missed.
 *
 *	sweep [--full] [--operation NAME] [--action kill|stop|hold|late] [--step K]
 */
#include "sweep.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <unistd.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"

enum {
	QUICK_SHORT = 360, /* steps of a short operation, at most, in the quick form */
	QUICK_LONG = 60,
	SANITIZED_SHARE = 16, /* of those, where everything takes much longer */
	LATE_STEPS = 600,     /* that it may get on before it is killed after all */
	MOST_TESTS = 1024,
	MOST = 1 << 20,	     /* instructions of an operation */
	QUICK_SECONDS = 120, /* of one operation and action */
	SECONDS = 1800,
};

static const char *const action_names[ACTIONS] = { "kill", "stop", "hold", "late" };

static struct {
	bool full;
	const char *operation;
	const char *action;
	int64_t step; /* -1: all */
} wanted = { .step = -1 };

/* The path of one run, and which of its steps are to be struck at. */
struct path {
	struct step_path steps;
	const bool *call; /* the instruction calls the kernel */
	uint64_t *chosen;
	uint64_t count;
};

/* Figures of one operation and action; those of all are shared with the parent. */
struct tally {
	uint64_t instructions;
	uint64_t struck;
	uint64_t missed;
	int64_t writer_delay, reader_delay, helper_delay;
};

/* The step in progress, for the report of a failure. */
struct progress {
	uint64_t step;
	bool under_way;
};

/* An undisturbed run: the addresses that it executed, and which of them call the kernel. */
struct recording {
	const struct operation *operation;
	uint64_t length;
	uintptr_t address[MOST];
	bool call[MOST];
};

static struct shared {
	struct recording recordings[2]; /* the last ones: in a ring that blocks, and that evicts */
	struct board board;
	struct tally total;
	struct progress progress[MOST_TESTS];
} * shared;

/* The test that this process runs. */
static struct {
	unsigned index;
	const struct operation *operation;
	enum action action;
} now;

static bool quick(void)
{
	return !wanted.full && wanted.step < 0;
}

static uint64_t max_sleep(void)
{
	return (wanted.full ? 100 : 10) * (uint64_t)MS;
}

static void enter(struct scene *s, bool recorded, uint64_t step)
{
	shared->progress[now.index] = (struct progress){ .step = step, .under_way = true };
	scene_open(s, now.operation, now.action, recorded, &shared->board, max_sleep());
}

static void leave(struct scene *s)
{
	scene_close(s);
	shared->progress[now.index].under_way = false;
}

static void *room_for(size_t size)
{
	void *p = calloc(MOST, size);

	ck_assert_ptr_nonnull(p);
	return p;
}

/* Record the path of an undisturbed run. */
static void record(struct recording *r)
{
	struct scene s;

	r->operation = NULL; /* until it is complete */
	r->length = 0;
	enter(&s, true, 0);
	do {
		expect(r->length < MOST, "%s has no end", now.operation->name);
		r->address[r->length] = s.step.address;
		r->call[r->length++] = step_before_call(&s.step);
	} while (step_on(&s.step));
	scene_struck(&s);
	step_release(&s.step);
	scene_goes_on(&s);
	leave(&s);
	r->operation = now.operation;
}

/* Another action in the same kind of ring has recorded it already, or this one does. */
static void find_path(struct path *path)
{
	struct recording *r = &shared->recordings[scene_evicts(now.operation, now.action)];

	if (r->operation != now.operation)
		record(r);
	path->steps.length = r->length;
	path->steps.address = r->address;
	path->call = r->call;
}

/* Step k: when k instructions have been executed; the last one is the end. */
static void choose(struct path *path)
{
	const struct operation *o = now.operation;
	uint64_t limit = o->setup ? QUICK_LONG : QUICK_SHORT, kept = 0;
	uint64_t seed = random_seed();

	step_count(&path->steps);
	path->count = 0;
	for (uint64_t k = 0; k <= path->steps.length; k++)
		if (!o->setup || k == path->steps.length || path->steps.nth[k] == 1 ||
		    path->call[k] || (k > 0 && path->call[k - 1]))
			path->chosen[path->count++] = k;
	if (room_is_sanitized())
		limit /= SANITIZED_SHARE;
	else if (o->thorough && now.action == KILL)
		return;
	if (!quick() || path->count <= limit)
		return;
	/* One of each of `limit` stretches of the same length. */
	for (uint64_t i = 0; i < limit; i++) {
		uint64_t begin = i * path->count / limit, end = (i + 1) * path->count / limit;

		path->chosen[kept++] = path->chosen[begin + random_below(&seed, end - begin)];
	}
	path->count = kept;
}

/* Stop it, and let it go on; for the action LATE kill it somewhat later. */
static void strike_gently(struct scene *s, uint64_t k)
{
	uint64_t seed = random_seed() + k;
	uint64_t more = 1 + random_below(&seed, LATE_STEPS);

	if (s->action == LATE) {
		scene_stopped(s);
		while (more-- > 0 && step_on(&s->step))
			;
		s->struck_at = clock_now();
		child_kill(&s->subject);
		scene_killed(s);
		return;
	}
	step_release_stopped(&s->step);
	scene_stopped(s);
	ck_assert_int_eq(kill(s->subject.pid, SIGCONT), 0);
	scene_goes_on(s);
}

static void strike(struct tally *t, const struct path *path, uint64_t k)
{
	struct scene s;

	enter(&s, false, k);
	if (step_along(&s.step, &path->steps, k))
		t->struck++;
	else
		t->missed++;
	scene_struck(&s);
	if (now.action == KILL) {
		child_kill(&s.subject);
		scene_killed(&s);
	} else {
		strike_gently(&s, k);
	}
	leave(&s);
	if (s.writer_delay > t->writer_delay)
		t->writer_delay = s.writer_delay;
	if (s.reader_delay > t->reader_delay)
		t->reader_delay = s.reader_delay;
	if (s.helper_delay > t->helper_delay)
		t->helper_delay = s.helper_delay;
}

static double in_ms(int64_t ns)
{
	return (double)ns / MS;
}

static void print_tally(const char *what, const char *action, const struct tally *t)
{
	printf("# %s %s: %" PRIu64 " instructions, struck at %" PRIu64 ", missed %" PRIu64
	       "; longest call of the writer %.3f ms, of the reader %.3f ms, sleep %.1f ms\n",
	       what, action, t->instructions, t->struck, t->missed, in_ms(t->writer_delay),
	       in_ms(t->reader_delay), in_ms(t->helper_delay));
	fflush(stdout);
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void add_to_total(const struct tally *t)
{
	struct tally *total = &shared->total;

	total->instructions += t->instructions;
	total->struck += t->struck;
	total->missed += t->missed;
	total->writer_delay = larger(total->writer_delay, t->writer_delay);
	total->reader_delay = larger(total->reader_delay, t->reader_delay);
	total->helper_delay = larger(total->helper_delay, t->helper_delay);
}

static void sweep(void)
{
	struct path path = { .steps.nth = room_for(sizeof(*path.steps.nth)),
			     .chosen = room_for(sizeof(*path.chosen)) };
	struct tally tally = { 0 };

	find_path(&path);
	choose(&path);
	tally.instructions = path.steps.length;
	if (wanted.step >= 0)
		strike(&tally, &path, (uint64_t)wanted.step);
	for (uint64_t i = 0; wanted.step < 0 && i < path.count; i++)
		strike(&tally, &path, path.chosen[i]);
	print_tally(now.operation->name, action_names[now.action], &tally);
	/* A sweep that comes too late all the time is none; once in a few steps says nothing. */
	ck_assert(tally.struck > 0);
	ck_assert(tally.missed <= 1 || tally.struck >= 4 * tally.missed);
	add_to_total(&tally);
	free(path.steps.nth);
	free(path.chosen);
}

static const struct operation *operation_at(unsigned i)
{
	if (i < writer_operation_count)
		return &writer_operations[i];
	i -= writer_operation_count;
	if (i < reader_operation_count)
		return &reader_operations[i];
	return &ring_operations[i - reader_operation_count];
}

START_TEST(killed_or_stopped_process_harms_no_other)
{
	const char *obstacle = step_obstacle();

	if (obstacle)
		room_skip("%s", obstacle);
	now.index = (unsigned)_i;
	now.operation = operation_at(now.index / ACTIONS);
	now.action = (enum action)(now.index % ACTIONS);
	sweep();
}
END_TEST

/* Does this make sense, and is it wanted? */
static bool is_due(const struct operation *o, enum action action)
{
	/* Only a living lossless consumer ever holds others back, by the ring's policy. */
	if (action == HOLD && (o->role != CONSUMER || o->evict || o->max_lag != 0))
		return false;
	if (wanted.operation && strcmp(wanted.operation, o->name) != 0)
		return false;
	if (wanted.action)
		return strcmp(wanted.action, action_names[action]) == 0;
	return wanted.full || action != LATE || o->setup;
}

/* Returns how many. */
static unsigned add_tests(Suite *s)
{
	static char names[MOST_TESTS][64]; /* check keeps pointers */
	unsigned count = writer_operation_count + reader_operation_count + ring_operation_count;
	unsigned due = 0;

	for (unsigned i = 0; i < count; i++)
		for (unsigned action = 0; action < ACTIONS; action++) {
			char *name = names[i * ACTIONS + action];

			if (!is_due(operation_at(i), (enum action)action))
				continue;
			snprintf(name, sizeof(names[0]), "%s-%s", operation_at(i)->name,
				 action_names[action]);
			tcase_add_loop_test(room_case(s, name, quick() ? QUICK_SECONDS : SECONDS),
					    killed_or_stopped_process_harms_no_other,
					    (int)(i * ACTIONS + action),
					    (int)(i * ACTIONS + action + 1));
			due++;
		}
	return due;
}

static void tell_failures(void)
{
	for (unsigned i = 0; i < MOST_TESTS; i++)
		if (shared->progress[i].under_way)
			printf("# failed at: sweep%s --operation %s --action %s --step %" PRIu64
			       "\n",
			       wanted.full ? " --full" : "", operation_at(i / ACTIONS)->name,
			       action_names[i % ACTIONS], shared->progress[i].step);
}

static int usage(void)
{
	fputs("usage: sweep [--full] [--operation NAME] [--action kill|stop|hold|late] "
	      "[--step K]\n",
	      stderr);
	return 2;
}

static bool parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "full", no_argument, NULL, 'f' },
		{ "operation", required_argument, NULL, 'o' },
		{ "action", required_argument, NULL, 'a' },
		{ "step", required_argument, NULL, 's' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'f':
			wanted.full = true;
			break;
		case 'o':
			wanted.operation = optarg;
			break;
		case 'a':
			wanted.action = optarg;
			break;
		case 's':
			wanted.step = strtoll(optarg, NULL, 10);
			break;
		default:
			return false;
		}
	return optind == argc && (wanted.step < 0 || (wanted.operation && wanted.action));
}

/*
 * Once more, so that a step is the same instruction in every run: with every symbol
 * resolved before anything begins, and everything at its usual address.
 */
static void start_anew(char **argv)
{
	if (getenv("LD_BIND_NOW"))
		return;
	setenv("LD_BIND_NOW", "1", 1);
	personality(ADDR_NO_RANDOMIZE); /* it helps, and may be refused */
	execv("/proc/self/exe", argv);
	perror("execv");
}

int main(int argc, char **argv)
{
	Suite *s = suite_create("sweep");
	int result;

	start_anew(argv);
	if (!parse(argc, argv))
		return usage();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	if (add_tests(s) == 0)
		return usage();
	result = run_suite(s);
	tell_failures();
	print_tally("all", "actions", &shared->total);
	return result;
}
