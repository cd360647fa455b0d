/* SPDX-License-Identifier: MIT */
/*
 * intercept: see intercept.h. The marks are a stop at the beginning and a call
 * that means nothing at the end, or a signal that does for those that are stepped.
 */
#include "intercept.h"

#include <elf.h>
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "child.h"

#define END_MARK 0x656e642121UL /* no process has this number */
#define CALL_STOP (SIGTRAP | 0x80)

/* Where the C library's code lies; in helpers made by fork it is the same. */
static struct {
	uint64_t start, end;
} library;

static void find_library(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], *name;
	unsigned long start, end;

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps)) {
		name = strrchr(line, '/');
		if (name && strncmp(name, "/libc", 5) == 0 && strchr(".-", name[5]) &&
		    strstr(line, " r-xp ") && sscanf(line, "%lx-%lx", &start, &end) == 2) {
			library.start = start;
			library.end = end;
		}
	}
	fclose(maps);
	ck_assert_msg(library.end != 0, "there is no C library");
}

#if defined __x86_64__

static void replace_number(pid_t pid)
{
	ck_assert_int_eq(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), -1L),
			 0);
}

static void replace_result(pid_t pid, long result)
{
	ck_assert_int_eq(ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), result), 0);
}

enum { KNOWN_MACHINE = true };

#elif defined __aarch64__

static void replace_number(pid_t pid)
{
	int none = -1;
	struct iovec v = { &none, sizeof(none) };

	ck_assert_int_eq(ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &v), 0);
}

static void replace_result(pid_t pid, long result)
{
	struct user_regs_struct regs;
	struct iovec v = { &regs, sizeof(regs) };

	ck_assert_int_eq(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v), 0);
	regs.regs[0] = (unsigned long long)result;
	ck_assert_int_eq(ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &v), 0);
}

enum { KNOWN_MACHINE = true };

#else

static void replace_number(pid_t pid)
{
	(void)pid;
}

static void replace_result(pid_t pid, long result)
{
	(void)pid;
	(void)result;
}

enum { KNOWN_MACHINE = false };

#endif

void intercept_begin(void)
{
	ck_assert_msg(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0, "ptrace: %s", strerror(errno));
	syscall(SYS_kill, getpid(), SIGSTOP); /* and nothing behind it, as raise() has */
}

void intercept_end(void)
{
	int error = errno;

	syscall(SYS_getpgid, END_MARK);
	errno = error;
}

/* Let it go on to its next stop; returns which, or 0: it has ended. */
static int advance(pid_t pid, int signal)
{
	int status;

	ck_assert_msg(ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)signal) == 0, "ptrace: %s",
		      strerror(errno));
	ck_assert_int_eq(waitpid(pid, &status, __WALL | WUNTRACED), pid);
	return WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
}

static void look(pid_t pid, struct __ptrace_syscall_info *ret)
{
	ck_assert_int_gt(ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(*ret), ret), 0);
}

static bool is_sleep(const struct call *c)
{
	int command = (int)c->args[1] & FUTEX_CMD_MASK;

	return c->number == SYS_futex && (command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET);
}

/* The call that it stands in front of, as the next of the list. */
static struct call *record(struct calls *calls, const struct __ptrace_syscall_info *info)
{
	struct call *c = &calls->call[calls->count];

	ck_assert_uint_lt(calls->count, INTERCEPT_MAX);
	c->number = (long)info->entry.nr;
	memcpy(c->args, info->entry.args, sizeof(c->args));
	calls->count++;
	return c;
}

/* Make the call, or not, and go to the stop behind it. False: it has ended. */
static bool carry_out(pid_t pid, const struct call *c, const struct plan *plan, enum fate fate)
{
	int status;

	if (fate == FATE_FAIL)
		replace_number(pid);
	ck_assert_int_eq(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
	if (fate != FATE_FAIL && plan->asleep && is_sleep(c))
		plan->asleep(plan->arg);
	ck_assert_int_eq(waitpid(pid, &status, __WALL), pid);
	if (!WIFSTOPPED(status))
		return false;
	ck_assert_int_eq(WSTOPSIG(status), CALL_STOP);
	if (fate == FATE_FAIL || fate == FATE_FAIL_LATE)
		replace_result(pid, -(long)plan->error);
	return true;
}

/* One stop in front of a call. True: here it is to die. */
static bool pass(pid_t pid, const struct plan *plan, const struct __ptrace_syscall_info *info,
		 struct calls *calls)
{
	bool ours = info->instruction_pointer >= library.start &&
		    info->instruction_pointer < library.end;
	enum fate fate = ours && calls->count == plan->index ? plan->fate : FATE_NONE;
	struct call other = { .number = -1 }, *c = ours ? record(calls, info) : &other;

	if (fate == FATE_DIE_BEFORE)
		return true;
	ck_assert_msg(carry_out(pid, c, plan, fate), "the helper has ended in a system call");
	return fate == FATE_DIE_BEHIND;
}

static void await_begin(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, __WALL | WUNTRACED), pid);
	ck_assert_msg(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP,
		      "the helper does not come to its first mark");
	ck_assert_int_eq(
		ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL), 0);
}

bool intercept_run(pid_t pid, const struct plan *plan, struct calls *ret)
{
	struct __ptrace_syscall_info info;
	int stop = 0;

	if (library.end == 0)
		find_library();
	ret->count = 0;
	await_begin(pid);
	for (;;) {
		stop = advance(pid, stop == CALL_STOP || stop == SIGSTOP ? 0 : stop);
		ck_assert_msg(stop != 0, "the helper has ended before its second mark");
		if (stop != CALL_STOP)
			continue; /* a signal, which it gets */
		look(pid, &info);
		ck_assert_int_eq(info.op, PTRACE_SYSCALL_INFO_ENTRY);
		if (info.entry.nr == SYS_getpgid && info.entry.args[0] == END_MARK)
			break;
		if (pass(pid, plan, &info, ret))
			return true;
	}
	ck_assert_int_eq(ptrace(PTRACE_DETACH, pid, NULL, NULL), 0);
	return false;
}

static int make_a_call(int socket, void *arg)
{
	long result;

	(void)socket;
	(void)arg;
	intercept_begin();
	result = syscall(SYS_getppid);
	intercept_end();
	return result == -1 && errno == ENOTUNIQ ? 0 : 1;
}

/* Tried rather than guessed: emulators and sandboxes promise more than they do. */
static int try_it(int socket, void *arg)
{
	const struct plan plan = { .fate = FATE_FAIL, .error = ENOTUNIQ };
	static struct calls calls;
	struct child c;

	(void)socket;
	(void)arg;
	child_fork(&c, make_a_call, NULL);
	intercept_run(c.pid, &plan, &calls);
	child_end(&c);
	return 0;
}

bool intercept_works(const char **ret_why)
{
	struct child c;
	int status = 0;

	*ret_why = "system calls are not known how to be replaced on this machine";
	if (!KNOWN_MACHINE)
		return false;
	*ret_why = "no process can be traced here";
	child_fork(&c, try_it, NULL);
	ck_assert_int_eq(waitpid(c.pid, &status, 0), c.pid);
	child_drop(&c);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
