/* SPDX-License-Identifier: MIT */
/*
 * A helper process, one instruction at a time.
 *
 * Addresses are reached at full speed by a breakpoint: the first byte of the
 * instruction there is replaced in the helper's private copy of the program, and
 * put back when it traps. Where the processor has breakpoints of its own, they
 * are for the addresses that the helper passes several times: such a breakpoint
 * stays where it is. The end of what is stepped through is the address of
 * step_end(), which step_run() calls next.
 */
#include "step.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#if defined(__x86_64__)
#define PROGRAM_COUNTER ((void *)offsetof(struct user_regs_struct, rip))
#define DEBUG_REGISTER(n) ((void *)offsetof(struct user, u_debugreg[n]))
#define BREAKPOINT 0xccu
static const unsigned char system_call[] = { 0x0f, 0x05 };
#endif

static const uintptr_t *sorted_address;

/* By address, and by time. */
static int compare_steps(const void *a, const void *b)
{
	uint64_t i = *(const uint64_t *)a, j = *(const uint64_t *)b;

	if (sorted_address[i] != sorted_address[j])
		return sorted_address[i] < sorted_address[j] ? -1 : 1;
	return i < j ? -1 : 1;
}

void step_count(struct step_path *p)
{
	uint64_t *order = calloc(p->length, sizeof(*order));
	uint32_t nth = 0;

	ck_assert_ptr_nonnull(order);
	for (uint64_t k = 0; k < p->length; k++)
		order[k] = k;
	sorted_address = p->address;
	qsort(order, p->length, sizeof(*order), compare_steps);
	for (uint64_t i = 0; i < p->length; i++) {
		uint64_t k = order[i];
		bool first = i == 0 || p->address[k] != p->address[order[i - 1]];

		if (first)
			nth = 0;
		p->nth[k] = first || order[i - 1] != k - 1 ? ++nth : 0;
	}
	free(order);
}

/* The step to run to on the way to step k: fewest stops there, and steps from there. */
static uint64_t landmark_of(const struct step_path *p, uint64_t k)
{
	uint64_t last = k < p->length ? k : p->length - 1;
	uint64_t best = 0, cost = UINT64_MAX;

	for (uint64_t i = last; last - i < cost; i--) {
		uint64_t stops = p->nth[i] + (last - i);

		if (p->nth[i] != 0 && stops < cost) {
			cost = stops;
			best = i;
		}
		if (i == 0)
			break;
	}
	return best;
}

bool step_along(struct step *s, const struct step_path *p, uint64_t k)
{
	uint64_t landmark = landmark_of(p, k);

	if (!step_to(s, p->address[landmark], p->nth[landmark]))
		return false;
	while (landmark < k && step_on(s))
		landmark++;
	return !s->over || k == p->length;
}

/* Where the helper is when the function has returned. */
__attribute__((noinline)) static void step_end(void)
{
	__asm__ volatile("" ::: "memory");
}

int step_run(int (*act)(void *), void *arg)
{
	int result;

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0)
		_exit(124);
	result = act(arg);
	step_end();
	return result;
}

#ifdef PROGRAM_COUNTER

/*
 * Wait until it stops because of `signal`. The assertions of check write to a file
 * also if they hold, and there are millions of steps.
 */
static void await_stop(struct step *s, int signal)
{
	pid_t pid = s->child->pid;
	int status;

	if (waitpid(pid, &status, __WALL) != pid)
		ck_abort_msg("waitpid: %s", strerror(errno));
	if (WIFSTOPPED(status) && WSTOPSIG(status) == signal)
		return;
	ck_abort_msg("after %ju instructions the helper %s %d: %s", (uintmax_t)s->taken,
		     WIFSTOPPED(status) ? "got signal" : "ended with status",
		     WIFSTOPPED(status) ? WSTOPSIG(status) : status, child_words(s->child));
}

static long ask(const struct step *s, enum __ptrace_request request, void *address, void *data)
{
	long r;

	errno = 0;
	r = ptrace(request, s->child->pid, address, data);
	if (r == -1 && errno != 0)
		ck_abort_msg("ptrace %d: %s", (int)request, strerror(errno));
	return r;
}

/* Let the helper run in this way until it traps. */
static void execute(struct step *s, enum __ptrace_request way)
{
	ask(s, way, NULL, NULL);
	await_stop(s, SIGTRAP);
	s->address = (uintptr_t)ask(s, PTRACE_PEEKUSER, PROGRAM_COUNTER, NULL);
}

/* Is this in the page of code that the kernel maps into every process? */
static bool in_vdso(uintptr_t address)
{
	static uintptr_t begin, end;
	char line[256];
	FILE *maps;

	if (end == 0) {
		maps = fopen("/proc/self/maps", "re");
		ck_assert_msg(maps != NULL, "/proc/self/maps: %s", strerror(errno));
		while (fgets(line, sizeof(line), maps))
			if (strstr(line, "[vdso]"))
				sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &begin, &end);
		fclose(maps);
		end = end ? end : 1; /* there is none */
	}
	return address >= begin && address < end;
}

bool step_on(struct step *s)
{
	if (s->over)
		return false;
	do
		execute(s, PTRACE_SINGLESTEP);
	while (in_vdso(s->address));
	s->taken++;
	s->over = s->address == (uintptr_t)step_end;
	return !s->over;
}

/* Put a breakpoint there; returns what it replaces. */
static long plant(struct step *s, uintptr_t address)
{
	long code = ask(s, PTRACE_PEEKTEXT, (void *)address, NULL);

	ask(s, PTRACE_POKETEXT, (void *)address, (void *)((code & ~0xffL) | BREAKPOINT));
	return code;
}

/* Run to the next time that it comes to this address, or to its end. */
static void run_to(struct step *s, uintptr_t address)
{
	long code = plant(s, address);

	execute(s, PTRACE_CONT);
	s->address -= 1; /* the breakpoint itself was executed */
	ask(s, PTRACE_POKEUSER, PROGRAM_COUNTER, (void *)s->address);
	ask(s, PTRACE_POKETEXT, (void *)address, (void *)code);
}

/* Set the processor's first breakpoint; false: it has none. */
static bool set_breakpoint(const struct step *s, uintptr_t address)
{
	const pid_t pid = s->child->pid;

	return ptrace(PTRACE_POKEUSER, pid, DEBUG_REGISTER(0), (void *)address) == 0 &&
	       ptrace(PTRACE_POKEUSER, pid, DEBUG_REGISTER(7), (void *)1) == 0;
}

/*
 * The n-th time from now on, by the processor's breakpoint. It traps before the
 * instruction, and where the helper stands at first, too. The trap at the end
 * executes the breakpoint there, as above.
 */
static void run_often(struct step *s, uintptr_t address, uint64_t nth)
{
	while (nth-- > 0) {
		execute(s, PTRACE_CONT);
		if (s->address == address)
			continue;
		s->address -= 1;
		ask(s, PTRACE_POKEUSER, PROGRAM_COUNTER, (void *)s->address);
		break;
	}
	ask(s, PTRACE_POKEUSER, DEBUG_REGISTER(7), NULL);
}

/* The same without: step off the address, and run to it again, where it does not stand there. */
static void run_and_step(struct step *s, uintptr_t address, uint64_t nth)
{
	if (s->address == address && nth-- == 1)
		return;
	for (;;) {
		while (s->address == address)
			execute(s, PTRACE_SINGLESTEP);
		if (s->address != (uintptr_t)step_end)
			run_to(s, address);
		if (s->address == (uintptr_t)step_end || --nth == 0)
			return;
	}
}

bool step_to(struct step *s, uintptr_t address, uint64_t nth)
{
	const uintptr_t end = (uintptr_t)step_end;
	long last;

	if (s->over)
		return false;
	last = plant(s, end);
	if (nth > 1 && set_breakpoint(s, address))
		run_often(s, address, nth);
	else
		run_and_step(s, address, nth);
	ask(s, PTRACE_POKETEXT, (void *)end, (void *)last);
	s->over = s->address == end;
	return !s->over;
}

bool step_before_call(const struct step *s)
{
	return memcmp((const void *)s->address, system_call, sizeof(system_call)) == 0;
}

void step_catch(struct step *s, struct child *child, int (*act)(void *))
{
	*s = (struct step){ .child = child };
	await_stop(s, SIGSTOP);
	ask(s, PTRACE_SETOPTIONS, NULL, (void *)PTRACE_O_EXITKILL);
	step_to(s, (uintptr_t)act, 1);
}

void step_release(struct step *s)
{
	ask(s, PTRACE_DETACH, NULL, NULL);
}

void step_release_stopped(struct step *s)
{
	siginfo_t info;

	ask(s, PTRACE_DETACH, NULL, (void *)SIGSTOP);
	ck_assert_int_eq(waitid(P_PID, (id_t)s->child->pid, &info, WSTOPPED | WEXITED), 0);
	ck_assert_int_eq(info.si_code, CLD_STOPPED);
}

/* May a child be traced here? A container or a policy may forbid it. */
const char *step_obstacle(void)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		return "ptrace(2) is refused here";
	return NULL;
}

#else

/* Elsewhere a step may end in the midst of an exclusive access, which then never succeeds. */
const char *step_obstacle(void)
{
	return "stepping is for x86-64";
}

void step_catch(struct step *s, struct child *child, int (*act)(void *))
{
	(void)act;
	*s = (struct step){ .child = child };
	ck_abort_msg("%s", step_obstacle());
}

bool step_on(struct step *s)
{
	return !s->over;
}

bool step_to(struct step *s, uintptr_t address, uint64_t nth)
{
	return nth == 1 && s->address == address;
}

bool step_before_call(const struct step *s)
{
	return s->over;
}

void step_release(struct step *s)
{
	(void)s;
}

void step_release_stopped(struct step *s)
{
	(void)s;
}

#endif
