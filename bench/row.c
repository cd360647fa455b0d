/* SPDX-License-Identifier: MIT */
/*
 * One row: fork its processes, pin them, let them probe the placement, run the
 * subject for its window, probe again, collect. The harness itself sleeps
 * meanwhile; nothing of a row is left when it returns.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PATIENCE_S 20

/* Shared with all children; exits when there is no memory for it. */
void *row_shared(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED) {
		fprintf(stderr, "shmring-bench: no %zu bytes of shared memory: %s\n", size,
			strerror(errno));
		exit(EXIT_FAILURE);
	}
	return p;
}

/* Ends this process and with it the row. */
void row_fail(struct side *side, const char *format, ...)
{
	struct control *control = side->control;
	va_list args;

	if (!atomic_exchange(&control->failed, 1)) {
		va_start(args, format);
		vsnprintf(control->error, sizeof(control->error), format, args);
		va_end(args);
	}
	sem_post(&control->ready);
	sem_post(&control->done);
	_exit(EXIT_FAILURE);
}

static void control_reset(struct control *control)
{
	memset(control, 0, sizeof(*control));
	if (sem_init(&control->ready, 1, 0) || sem_init(&control->go, 1, 0) ||
	    sem_init(&control->done, 1, 0)) {
		perror("shmring-bench: sem_init");
		exit(EXIT_FAILURE);
	}
}

static void pin(struct side *side, int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		row_fail(side, "cannot run on processor %d: %s", cpu, strerror(errno));
}

static void wait_go(struct side *side)
{
	sem_post(&side->control->ready);
	while (sem_wait(&side->control->go))
		if (errno != EINTR)
			row_fail(side, "sem_wait: %s", strerror(errno));
}

static _Noreturn void live(struct side *side, struct probe *probe, int cpu, pid_t parent)
{
	const struct subject *subject = side->out ? side->out->subject : side->in->subject;
	bool probes = side->kind != SOLO && side->role <= CONSUMER;
	struct control *control = side->control;
	struct placement placement;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(EXIT_FAILURE);
	pin(side, cpu);
	if (subject->join)
		subject->join(side);
	placement = (struct placement){ 0 };
	if (probes)
		placement = placement_probe(probe, side->role, 1);
	if (side->role == PRODUCER)
		control->before = placement;
	wait_go(side);
	subject->run(side);
	if (subject->leave)
		subject->leave(side);
	if (probes)
		placement = placement_probe(probe, side->role, 2);
	if (side->role == PRODUCER)
		control->after = placement;
	sem_post(&control->done);
	_exit(EXIT_SUCCESS);
}

static int count_processes(const struct cell *cell)
{
	const struct subject *s = cell->subject;

	if (cell->kind == SOLO)
		return 1;
	return 2 + (s->processes == 2) + (s->consumers > 1 ? s->consumers - 1 : 0);
}

/* One producer and one consumer, then those that the subject has besides. */
static enum role role_of(const struct cell *cell, int process)
{
	if (process <= CONSUMER)
		return (enum role)process;
	return cell->subject->processes == 2 ? SECOND_PRODUCER : FURTHER_CONSUMER;
}

static bool consumes(enum role role)
{
	return role == CONSUMER || role == FURTHER_CONSUMER;
}

/* Wait for `count` posts; false: a process failed or nothing happened. */
static bool gather(struct control *control, sem_t *sem, int count)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	while (count > 0) {
		if (sem_timedwait(sem, &until) == 0)
			count--;
		else if (errno != EINTR)
			return false;
		if (atomic_load(&control->failed))
			return false;
	}
	return true;
}

static void pass(int64_t ns)
{
	struct timespec t = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* Lead the processes through the phases; false if one of them went wrong. */
static bool conduct(struct control *control, int processes, const struct cell *cell, int64_t window)
{
	int i;

	if (!gather(control, &control->ready, processes))
		return false;
	for (i = 0; i < processes; i++)
		sem_post(&control->go);
	if (cell->kind != SOLO) {
		pass(window / 4);
		atomic_store(&control->phase, MEASURING);
		pass(window);
		atomic_store(&control->phase, STOPPING);
	}
	return gather(control, &control->done, processes);
}

/* Returns false when one had to be killed or ended badly. */
static bool bury(struct control *control, const pid_t *pid, int processes, bool well)
{
	int i, status;

	for (i = 0; i < processes; i++) {
		if (!well)
			kill(pid[i], SIGKILL);
		while (waitpid(pid[i], &status, 0) < 0 && errno == EINTR)
			;
		if (!well && !control->error[0] && WIFSIGNALED(status) &&
		    WTERMSIG(status) != SIGKILL)
			snprintf(control->error, sizeof(control->error),
				 "a process died of signal %d", WTERMSIG(status));
		well = well && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	}
	if (!well && !control->error[0])
		snprintf(control->error, sizeof(control->error), "it hangs");
	return well;
}

static bool run_processes(const struct plan *plan, const struct cell *cell, struct control *control,
			  struct probe *probe, struct channel ch[2])
{
	int i, processes = count_processes(cell);
	pid_t pid[MAX_PROCESSES], self = getpid();
	bool trip = cell->kind == ROUND_TRIP;
	bool well;

	for (i = 0; i < processes; i++) {
		enum role role = role_of(cell, i);
		struct side side = {
			.control = control,
			.kind = cell->kind,
			.role = role,
			.message = cell->message,
			.capacity = cell->capacity,
			.window_ns = plan->window_ns,
			.out = consumes(role) ? (trip ? &ch[1] : NULL) : &ch[0],
			.in = consumes(role) ? &ch[0] : (trip ? &ch[1] : NULL),
		};

		pid[i] = fork();
		if (pid[i] < 0) {
			perror("shmring-bench: fork");
			exit(EXIT_FAILURE);
		}
		if (pid[i] == 0)
			live(&side, probe, plan->cpu[consumes(role)], self);
	}
	well = conduct(control, processes, cell, plan->window_ns);
	return bury(control, pid, processes, well);
}

static void keep(struct plan *plan, struct cell *cell, const struct control *control, int round)
{
	struct row *row = &cell->row[cell->rows++];
	int role;

	row->value = control->value;
	row->p99 = control->p99;
	for (role = 0; role < MAX_ROLES; role++)
		row->system_calls += control->system_calls[role];
	row->before = control->before;
	row->after = control->after;
	row->round = round;
	/* no value: the consumer was off its processor for the whole window */
	row->kept = row->before.class == row->after.class && (row->value > 0 || cell->kind == SOLO);
	if (!row->kept)
		plan->dropped++;
	else if (cell->kind != SOLO)
		plan->count[row->before.class]++;
}

/* A row that went wrong is counted and its cell is left alone from then on. */
void row_measure(struct plan *plan, struct cell *cell, struct control *control, struct probe *probe,
		 int round)
{
	int count = cell->kind == ROUND_TRIP ? 2 : 1;
	struct channel ch[2] = { { 0 } };
	int opened, ret = 0;
	char name[128];

	placement_reset(probe);
	control_reset(control);
	for (opened = 0; opened < count && ret == 0; opened += ret == 0) {
		ch[opened] = (struct channel){ .subject = cell->subject,
					       .message = cell->message,
					       .capacity = cell->capacity };
		if (cell->subject->open)
			ret = cell->subject->open(&ch[opened]);
	}
	if (ret == 0 && !run_processes(plan, cell, control, probe, ch))
		ret = -1;
	if (ret == 0)
		keep(plan, cell, control, round);
	else
		cell->missing = true; /* once is enough, it may have hung */
	if (ret < 0) {
		plan_name(cell, name, sizeof(name));
		fprintf(stderr, "\nshmring-bench: %s: %s\n", name,
			control->error[0] ? control->error : "cannot be set up");
		plan->failed++;
	}
	while (opened-- > 0)
		if (cell->subject->close)
			cell->subject->close(&ch[opened]);
}
