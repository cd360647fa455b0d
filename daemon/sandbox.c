/* SPDX-License-Identifier: MIT */
/*
 * sandbox: see sandbox.h.
 */
#include "sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>

static const char *const allowed[] = {
	/* descriptors and files; rings */
	"read",
	"write",
	"readv",
	"writev",
	"pread64",
	"pwrite64",
	"close",
	"close_range",
	"lseek",
	"open",
	"openat",
	"fcntl",
	"flock",
	"dup",
	"dup2",
	"dup3",
	"pipe2",
	"fstat",
	"stat",
	"lstat",
	"newfstatat",
	"statx",
	"fstatfs",
	"statfs",
	"access",
	"faccessat",
	"faccessat2",
	"readlink",
	"readlinkat",
	"getcwd",
	"getdents64",
	"ftruncate",
	"fallocate",
	"fchmod",
	"fchmodat",
	"chmod",
	"mkdir",
	"mkdirat",
	"linkat",
	"rename",
	"renameat",
	"renameat2",
	"symlinkat",
	"unlink",
	"unlinkat",
	"umask",
	"ioctl",
	"memfd_create",
	/* memory */
	"mmap",
	"munmap",
	"mremap",
	"mprotect",
	"madvise",
	"mincore",
	"brk",
	"membarrier",
	/* clients, signals, waiting */
	"accept4",
	"bind",
	"listen",
	"connect",
	"getsockname",
	"getsockopt",
	"setsockopt",
	"recvmsg",
	"recvfrom",
	"sendmsg",
	"sendto",
	"shutdown",
	"epoll_create1",
	"epoll_ctl",
	"epoll_wait",
	"epoll_pwait",
	"poll",
	"ppoll",
	"eventfd2",
	"signalfd4",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"rt_sigpending",
	"sigaltstack",
	"clock_gettime",
	"clock_getres",
	"clock_nanosleep",
	"nanosleep",
	"gettimeofday",
	"time",
	/* threads and the process; the start of the next program */
	"futex",
	"sched_yield",
	"sched_getaffinity",
	"getcpu",
	"set_robust_list",
	"rseq",
	"set_tid_address",
	"gettid",
	"getpid",
	"getppid",
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"getgroups",
	"getrandom",
	"getrlimit",
	"setrlimit",
	"prlimit64",
	"sysinfo",
	"uname",
	"prctl",
	"arch_prctl",
	"seccomp",
	"tgkill",
	"kill",
	"restart_syscall",
	"exit",
	"exit_group",
	"setsid",
	"chdir",
	"execve",
	"pidfd_open",
	"pidfd_send_signal",
};

static int allow(scmp_filter_ctx filter, const char *name)
{
	int number = seccomp_syscall_resolve_name(name);

	if (number == __NR_SCMP_ERROR || number < 0)
		return 0; /* this machine has none of that name */
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
}

static int fill(scmp_filter_ctx filter)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		e = allow(filter, allowed[i]);
	if (e == 0)
		e = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				     SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	/* A process only as posix_spawn() makes it: to become another program. */
	if (e == 0)
		e = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				     SCMP_A0(SCMP_CMP_EQ, CLONE_VM | CLONE_VFORK | SIGCHLD, 0));
	/* The filter cannot see the arguments of clone3(); without it libc uses clone(). */
	if (e == 0)
		e = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (e == 0)
		e = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
	if (e == 0)
		e = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
				     SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
	return e;
}

int sandbox_enter(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int e;

	if (!filter)
		return -ENOMEM;
	e = fill(filter);
	if (e == 0)
		e = seccomp_load(filter); /* sets no_new_privs, too */
	seccomp_release(filter);
	return e;
}
