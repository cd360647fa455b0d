/* SPDX-License-Identifier: MIT */
/*
 * errnos: see errnos.h. The errors are those that the manual pages of the calls
 * name and that can happen to a call whose arguments are sound.
 */
#include "errnos.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

enum { MAX_ERRORS = 7 };

/* What the operation does with each error. */
static const struct {
	const char *name;
	int fails[MAX_ERRORS];	/* it answers with it */
	int passes[MAX_ERRORS]; /* the operation goes on without the call, or makes it again */
	struct {
		int error, answer;
	} gives[2];
} kinds[CALL_KINDS] = {
	[CALL_OPEN] = { "open", .fails = { EMFILE, ENFILE, ENOMEM, EACCES, EINTR, EBADMSG } },
	/* The kernel closes the descriptor even if the call fails. */
	[CALL_CLOSE] = { "close", .passes = { EINTR, EIO } },
	[CALL_STAT] = { "stat", .fails = { ENOMEM, EACCES } },
	[CALL_FSTAT] = { "fstat", .fails = { ENOMEM } },
	[CALL_STATX] = { "statx", .fails = { ENOMEM, EPERM }, .passes = { ENOSYS } },
	[CALL_FSTATFS] = { "fstatfs", .fails = { ENOMEM, ENOSYS, EINTR } },
	/* For holes, which it looks for only to pass over them. */
	[CALL_SEEK] = { "lseek", .passes = { EINVAL, ENXIO } },
	[CALL_READLINK] = { "readlink", .passes = { ENOMEM, EACCES, ENOENT } },
	[CALL_PREAD] = { "pread", .fails = { EIO }, .passes = { EINTR } },
	[CALL_PWRITE] = { "pwrite", .fails = { EIO, ENOSPC }, .passes = { EINTR } },
	[CALL_TRUNCATE] = { "ftruncate", .fails = { EIO, EFBIG, ENOSPC, EPERM },
			    .passes = { EINTR } },
	/* Where a file system knows no fallocate(), the C library writes. */
	[CALL_ALLOCATE] = { "fallocate", .fails = { ENOSPC, EIO, ENOSYS },
			    .passes = { EINTR, EOPNOTSUPP } },
	[CALL_CHMOD] = { "fchmod", .fails = { EPERM, EIO, EROFS } },
	[CALL_MKDIR] = { "mkdir", .fails = { EACCES, ENOSPC, EMLINK, EROFS },
			 .gives = { { EEXIST, ENOENT } } },
	[CALL_LINK] = { "linkat", .fails = { EEXIST, ENOENT, ENOSPC, EPERM, EXDEV } },
	[CALL_UNLINK] = { "unlinkat", .fails = { EACCES, EPERM, EBUSY, EROFS } },
	[CALL_RENAME] = { "renameat2", .fails = { EACCES, EPERM, EROFS, ENOSPC, EEXIST } },
	[CALL_FLOCK] = { "flock", .fails = { ENOLCK, EINTR }, .gives = { { EWOULDBLOCK, EBUSY } } },
	[CALL_MEMFD] = { "memfd_create", .fails = { EMFILE, ENFILE, ENOMEM },
			 .passes = { EINVAL } },
	[CALL_DUP] = { "dup", .fails = { EMFILE, EBADF } },
	[CALL_FLAGS] = { "F_GETFL", .fails = { EPERM } },
	[CALL_ADD_SEALS] = { "F_ADD_SEALS", .fails = { EPERM, EINVAL } },
	[CALL_GET_SEALS] = { "F_GET_SEALS", .gives = { { EINVAL, EPERM } } },
	/* Locked by a process that is not attached. */
	[CALL_LOCK] = { "F_OFD_SETLK", .fails = { ENOLCK, EINTR },
			.gives = { { EAGAIN, EBUSY }, { EACCES, EBUSY } } },
	/* The call asks about other processes, which count as alive if it fails. */
	[CALL_PROBE] = { "F_OFD_GETLK", .passes = { ENOLCK, EINTR, EACCES } },
	[CALL_MMAP] = { "mmap", .fails = { ENOMEM, EAGAIN, EPERM, ENFILE } },
	[CALL_MUNMAP] = { "munmap", .passes = { ENOMEM } },
	[CALL_DONTFORK] = { "MADV_DONTFORK", .fails = { ENOMEM, EINVAL } },
	[CALL_DONTDUMP] = { "MADV_DONTDUMP", .passes = { ENOMEM, EINVAL } },
	[CALL_WIPEONFORK] = { "MADV_WIPEONFORK", .fails = { ENOMEM },
			      .gives = { { EINVAL, ENOMEM } } },
	[CALL_HUGE] = { "MADV_HUGEPAGE", .passes = { EINVAL, ENOMEM, EAGAIN } },
	/* Before Linux 5.14 there was no such advice. */
	[CALL_POPULATE] = { "MADV_POPULATE", .fails = { ENOMEM, EHWPOISON }, .passes = { EINVAL },
			    .gives = { { EFAULT, ENOSPC } } },
	[CALL_MLOCK] = { "mlock", .passes = { ENOMEM, EAGAIN, EPERM } },
	[CALL_MINCORE] = { "mincore", .passes = { ENOMEM, EAGAIN } },
	[CALL_RLIMIT] = { "getrlimit", .passes = { EPERM } },
	[CALL_SLEEP] = { "FUTEX_WAIT", .fails = { EINTR }, .passes = { EAGAIN, ETIMEDOUT } },
	[CALL_WAKE] = { "FUTEX_WAKE", .passes = { EFAULT, ENOSYS } },
	[CALL_BARRIER] = { "membarrier", .passes = { ENOSYS, EPERM, EINVAL, ENOMEM } },
	[CALL_RANDOM] = { "getrandom", .fails = { ENOSYS }, .passes = { EINTR } },
	[CALL_HARMLESS] = { "a call that cannot fail", .fails = { 0 } },
};

/* A call, or those of its commands that one bit or value of an argument names. */
static const struct {
	long number;
	enum kind kind;
	int argument; /* -1: whatever they are */
	unsigned long mask;
	unsigned long value;
} numbers[] = {
	{ SYS_openat, CALL_OPEN, -1, 0, 0 },
	{ SYS_close, CALL_CLOSE, -1, 0, 0 },
	{ SYS_newfstatat, CALL_FSTAT, 3, AT_EMPTY_PATH, AT_EMPTY_PATH },
	{ SYS_newfstatat, CALL_STAT, 3, AT_EMPTY_PATH, 0 },
	{ SYS_fstat, CALL_FSTAT, -1, 0, 0 },
	{ SYS_statx, CALL_STATX, -1, 0, 0 },
	{ SYS_fstatfs, CALL_FSTATFS, -1, 0, 0 },
	{ SYS_lseek, CALL_SEEK, -1, 0, 0 },
#ifdef SYS_readlink
	{ SYS_readlink, CALL_READLINK, -1, 0, 0 },
	{ SYS_mkdir, CALL_MKDIR, -1, 0, 0 },
#endif
	{ SYS_readlinkat, CALL_READLINK, -1, 0, 0 },
	{ SYS_mkdirat, CALL_MKDIR, -1, 0, 0 },
	{ SYS_pread64, CALL_PREAD, -1, 0, 0 },
	{ SYS_pwrite64, CALL_PWRITE, -1, 0, 0 },
	{ SYS_ftruncate, CALL_TRUNCATE, -1, 0, 0 },
	{ SYS_fallocate, CALL_ALLOCATE, -1, 0, 0 },
	{ SYS_fchmod, CALL_CHMOD, -1, 0, 0 },
#ifdef SYS_chmod
	{ SYS_chmod, CALL_CHMOD, -1, 0, 0 },
#endif
	{ SYS_fchmodat, CALL_CHMOD, -1, 0, 0 },
#ifdef SYS_fchmodat2
	{ SYS_fchmodat2, CALL_CHMOD, -1, 0, 0 },
#endif
	{ SYS_linkat, CALL_LINK, -1, 0, 0 },
	{ SYS_unlinkat, CALL_UNLINK, -1, 0, 0 },
	{ SYS_renameat2, CALL_RENAME, -1, 0, 0 },
	{ SYS_flock, CALL_FLOCK, -1, 0, 0 },
	{ SYS_memfd_create, CALL_MEMFD, -1, 0, 0 },
	{ SYS_fcntl, CALL_DUP, 1, ~0UL, F_DUPFD_CLOEXEC },
	{ SYS_fcntl, CALL_FLAGS, 1, ~0UL, F_GETFL },
	{ SYS_fcntl, CALL_ADD_SEALS, 1, ~0UL, F_ADD_SEALS },
	{ SYS_fcntl, CALL_GET_SEALS, 1, ~0UL, F_GET_SEALS },
	{ SYS_fcntl, CALL_LOCK, 1, ~0UL, F_OFD_SETLK },
	{ SYS_fcntl, CALL_PROBE, 1, ~0UL, F_OFD_GETLK },
	{ SYS_mmap, CALL_MMAP, -1, 0, 0 },
	{ SYS_munmap, CALL_MUNMAP, -1, 0, 0 },
	{ SYS_madvise, CALL_DONTFORK, 2, ~0UL, MADV_DONTFORK },
	{ SYS_madvise, CALL_DONTDUMP, 2, ~0UL, MADV_DONTDUMP },
	{ SYS_madvise, CALL_WIPEONFORK, 2, ~0UL, MADV_WIPEONFORK },
	{ SYS_madvise, CALL_HUGE, 2, ~0UL, MADV_HUGEPAGE },
	{ SYS_madvise, CALL_HUGE, 2, ~0UL, MADV_COLLAPSE },
	{ SYS_madvise, CALL_POPULATE, 2, ~0UL, MADV_POPULATE_READ },
	{ SYS_madvise, CALL_POPULATE, 2, ~0UL, MADV_POPULATE_WRITE },
	{ SYS_mlock, CALL_MLOCK, -1, 0, 0 },
	{ SYS_mincore, CALL_MINCORE, -1, 0, 0 },
	{ SYS_prlimit64, CALL_RLIMIT, -1, 0, 0 },
	{ SYS_futex, CALL_SLEEP, 1, FUTEX_CMD_MASK, FUTEX_WAIT_BITSET },
	{ SYS_futex, CALL_WAKE, 1, FUTEX_CMD_MASK, FUTEX_WAKE },
	{ SYS_membarrier, CALL_BARRIER, -1, 0, 0 },
	{ SYS_getrandom, CALL_RANDOM, -1, 0, 0 },
	{ SYS_getpid, CALL_HARMLESS, -1, 0, 0 },
	{ SYS_gettid, CALL_HARMLESS, -1, 0, 0 },
	{ SYS_geteuid, CALL_HARMLESS, -1, 0, 0 },
	{ SYS_sched_yield, CALL_HARMLESS, -1, 0, 0 },
	{ SYS_rt_sigprocmask, CALL_HARMLESS, -1, 0, 0 },
	{ SYS_clock_gettime, CALL_HARMLESS, -1, 0, 0 },
	{ SYS_brk, CALL_HARMLESS, -1, 0, 0 }, /* the C library's; it has other ways */
};

enum kind fault_kind(const struct call *c)
{
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (c->number == numbers[i].number &&
		    (numbers[i].argument < 0 ||
		     (c->args[numbers[i].argument] & numbers[i].mask) == numbers[i].value))
			return numbers[i].kind;
	return CALL_UNKNOWN;
}

const char *fault_name(enum kind kind)
{
	return kinds[kind].name;
}

unsigned fault_list(enum kind kind, struct fault ret[MAX_FAULTS])
{
	unsigned count = 0;

	for (unsigned i = 0; i < MAX_ERRORS && kinds[kind].fails[i] != 0; i++)
		ret[count++] = (struct fault){ kinds[kind].fails[i], { SAME } };
	for (unsigned i = 0; i < MAX_ERRORS && kinds[kind].passes[i] != 0; i++)
		ret[count++] = (struct fault){ kinds[kind].passes[i], { DONE } };
	for (unsigned i = 0; i < 2 && kinds[kind].gives[i].error != 0; i++)
		ret[count++] = (struct fault){ kinds[kind].gives[i].error,
					       { kinds[kind].gives[i].answer } };
	return count;
}

bool fault_is_late(enum kind kind)
{
	return kind == CALL_CLOSE;
}
