/* SPDX-License-Identifier: MIT */
/*
 * Helper processes of a test: start, stop, kill, wait.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "must.h"

enum { LIFE_SECONDS = 60, PEER_SOCKET = 3 };

/* Where check's assertions go in this process; -1: nowhere. */
static int assertions = -1;

void child_prepare(void)
{
	struct stat st;

	for (int fd = 3; fd < 64 && assertions < 0; fd++)
		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 0)
			assertions = fd;
}

/* The first thing a helper does: tie its life to the parent's. */
static void tie(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		_exit(125);
	alarm(LIFE_SECONDS);
}

/* The last words of a helper's assertions, to the end of its messages. */
static void last_words(int messages, char *ret, size_t size)
{
	off_t end = lseek(messages, 0, SEEK_END);
	off_t start = end > (off_t)size - 1 ? end - (off_t)size + 1 : 0;
	ssize_t len = pread(messages, ret, size - 1, start), from;

	if (len < 0)
		len = 0;
	ret[len] = '\0';
	for (from = len;
	     from > 0 && ((unsigned char)ret[from - 1] >= ' ' || ret[from - 1] == '\n');)
		from--;
	memmove(ret, ret + from, (size_t)(len - from) + 1);
}

const char *child_words(struct child *c)
{
	static char words[512];

	last_words(c->messages, words, sizeof(words));
	return words;
}

/* Fork with a socket between; returns 0 in the helper. */
static pid_t start(struct child *c, int *ret_socket)
{
	pid_t parent = getpid();
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	c->messages = memfd_create("messages", MFD_CLOEXEC);
	ck_assert_msg(c->messages >= 0, "memfd_create: %s", strerror(errno));
	c->pid = fork();
	ck_assert_msg(c->pid >= 0, "fork: %s", strerror(errno));
	if (c->pid == 0) {
		tie(parent);
		close(ends[0]);
		if (assertions >= 0)
			dup3(c->messages, assertions, O_CLOEXEC);
		close(c->messages);
		*ret_socket = ends[1];
		return 0;
	}
	close(ends[1]);
	c->socket = ends[0];
	c->pidfd = pidfd_open(c->pid, 0);
	ck_assert_msg(c->pidfd >= 0, "pidfd_open: %s", strerror(errno));
	return c->pid;
}

void child_fork(struct child *c, int (*run)(int socket, void *arg), void *arg)
{
	int socket = -1;

	if (start(c, &socket) == 0)
		_exit(run(socket, arg));
}

bool child_is_emulated(void)
{
	return getenv("SHMRING_TEST_EMULATOR") != NULL;
}

void child_become(const char *path, const char *arg1, const char *arg2)
{
	const char *emulator = getenv("SHMRING_TEST_EMULATOR");
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (!path && len > 0) {
		self[len] = '\0';
		path = self;
	}
	if (path && emulator)
		execlp(emulator, emulator, path, arg1, arg2, (char *)NULL);
	else if (path)
		execl(path, path, arg1, arg2, (char *)NULL);
	fprintf(stderr, "%s: %s\n", path ? path : "/proc/self/exe", strerror(errno));
	_exit(126);
}

/* The peer lies where automake built it; by hand, beside the test. */
static void peer_program(char *path, size_t size)
{
	const char *top = getenv("abs_builddir");
	ssize_t len;

	if (top) {
		snprintf(path, size, "%s/tests/process/peer", top);
		return;
	}
	len = readlink("/proc/self/exe", path, size - 1);
	ck_assert_int_gt(len, 0);
	path[len] = '\0';
	snprintf(strrchr(path, '/'), sizeof("/peer"), "/peer");
}

void child_exec(struct child *c)
{
	char path[PATH_MAX];
	int socket = -1;

	peer_program(path, sizeof(path));
	if (start(c, &socket) != 0)
		return;
	if (socket != PEER_SOCKET)
		dup3(socket, PEER_SOCKET, 0);
	else
		fcntl(socket, F_SETFD, 0);
	child_become(path, NULL, NULL);
}

/* Wait for a change of the helper's state, and look at it. */
static void await(struct child *c, int change, siginfo_t *ret)
{
	memset(ret, 0, sizeof(*ret));
	ck_assert_msg(waitid(P_PID, (id_t)c->pid, ret, change) == 0, "waitid: %s", strerror(errno));
}

void child_drop(struct child *c)
{
	close(c->pidfd);
	close(c->socket);
	close(c->messages);
	c->pidfd = c->socket = c->messages = -1;
}

/* The test fails unless the helper's end is this one. */
static void expect_end(struct child *c, const siginfo_t *info, int code, int status)
{
	if (info->si_code == code && info->si_status == status)
		return;
	ck_abort_msg("helper %s %d: %s",
		     info->si_code == CLD_EXITED ? "exited with" : "ended by signal",
		     info->si_status, child_words(c));
}

void child_kill(struct child *c)
{
	siginfo_t info;

	ck_assert_int_eq(kill(c->pid, SIGKILL), 0);
	await(c, WEXITED, &info);
	expect_end(c, &info, CLD_KILLED, SIGKILL);
	child_drop(c);
}

void child_kill_unreaped(struct child *c)
{
	siginfo_t info;

	ck_assert_int_eq(kill(c->pid, SIGKILL), 0);
	await(c, WEXITED | WNOWAIT, &info);
}

void child_stop(struct child *c)
{
	siginfo_t info;

	ck_assert_int_eq(kill(c->pid, SIGSTOP), 0);
	await(c, WSTOPPED | WEXITED, &info);
	ck_assert_int_eq(info.si_code, CLD_STOPPED);
}

void child_continue(struct child *c)
{
	siginfo_t info;

	ck_assert_int_eq(kill(c->pid, SIGCONT), 0);
	await(c, WCONTINUED | WEXITED, &info);
	ck_assert_int_eq(info.si_code, CLD_CONTINUED);
}

/* One word or several; the kernel's numbers, and an emulator runs on x86-64. */
static bool is_futex(long call)
{
	return call == (child_is_emulated() ? 202 : SYS_futex) || call == SYS_futex_waitv;
}

/* The number of the system call it sleeps in, or -1: it runs. */
static long sleeping_in(pid_t pid)
{
	char path[64];
	long call = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
	f = fopen(path, "re");
	ck_assert_msg(f != NULL, "%s: %s", path, strerror(errno));
	if (fscanf(f, "%ld", &call) != 1)
		call = -1;
	fclose(f);
	return call;
}

bool child_sleeps(const struct child *c)
{
	return is_futex(sleeping_in(c->pid));
}

enum child_state child_look(struct child *c)
{
	siginfo_t info;
	bool killed;

	await(c, WEXITED | WSTOPPED | WNOHANG, &info);
	if (info.si_pid == 0)
		return CHILD_RUNS;
	if (info.si_code == CLD_STOPPED)
		return CHILD_STOPPED;
	killed = info.si_code == CLD_KILLED && info.si_status == SIGKILL;
	if (!killed)
		expect_end(c, &info, CLD_EXITED, 0);
	child_drop(c);
	return killed ? CHILD_KILLED : CHILD_ENDED;
}

void child_await_sleep(struct child *c)
{
	struct pollfd ended = { .fd = c->pidfd, .events = POLLIN };
	int64_t limit = patience();
	long call;

	while (!is_futex(call = sleeping_in(c->pid))) {
		ck_assert_msg(clock_now() < limit, "helper does not sleep (system call %ld)", call);
		ck_assert_msg(poll(&ended, 1, 1) == 0, "helper has ended");
	}
}

void child_end(struct child *c)
{
	struct pollfd ended = { .fd = c->pidfd, .events = POLLIN };
	siginfo_t info;

	ck_assert_msg(poll(&ended, 1, 20000) == 1, "helper does not end");
	await(c, WEXITED, &info);
	expect_end(c, &info, CLD_EXITED, 0);
	child_drop(c);
}

void step_tell(int socket)
{
	ck_assert_int_eq(send(socket, "", 1, MSG_NOSIGNAL), 1);
}

void step_await(int socket)
{
	struct pollfd input = { .fd = socket, .events = POLLIN };
	char bytes[8];
	ssize_t len;

	ck_assert_msg(poll(&input, 1, 20000) == 1, "the other process does not answer");
	len = recv(socket, bytes, sizeof(bytes), 0);
	ck_assert_msg(len == 1, "the other process has ended, or is out of step");
}
