/* SPDX-License-Identifier: MIT */
/*
 * errnos: how each kind of system call may fail, and what then becomes of the
 * operation that made it.
 */
#ifndef TESTS_CRASH_ERRNOS_H
#define TESTS_CRASH_ERRNOS_H

#include <stdbool.h>

#include "intercept.h"

enum kind {
	CALL_OPEN,
	CALL_CLOSE,
	CALL_STAT, /* of a path */
	CALL_FSTAT,
	CALL_STATX,
	CALL_FSTATFS,
	CALL_SEEK,
	CALL_READLINK,
	CALL_PREAD,
	CALL_PWRITE,
	CALL_TRUNCATE,
	CALL_ALLOCATE,
	CALL_CHMOD,
	CALL_MKDIR,
	CALL_LINK,
	CALL_UNLINK,
	CALL_RENAME,
	CALL_FLOCK,
	CALL_MEMFD,
	CALL_DUP,
	CALL_FLAGS,
	CALL_ADD_SEALS,
	CALL_GET_SEALS,
	CALL_LOCK,
	CALL_PROBE,
	CALL_MMAP,
	CALL_MUNMAP,
	CALL_DONTFORK,
	CALL_DONTDUMP,
	CALL_WIPEONFORK,
	CALL_HUGE,
	CALL_POPULATE,
	CALL_MLOCK,
	CALL_MINCORE,
	CALL_RLIMIT,
	CALL_SLEEP,
	CALL_WAKE,
	CALL_BARRIER,
	CALL_RANDOM,
	CALL_HARMLESS, /* cannot fail */
	CALL_KINDS,
	CALL_UNKNOWN = CALL_KINDS
};

/* What an operation may answer when one of its calls fails; or another errno. */
enum {
	SAME = -1, /* that error */
	DONE = -2, /* success */
};

enum { MAX_ANSWERS = 3, MAX_FAULTS = 14 };

struct fault {
	int error;
	int answers[MAX_ANSWERS]; /* up to the first 0 */
};

/* Instead of the usual answers: `kind` fails with `error` (0: any). */
struct exception {
	enum kind kind;
	struct fault fault;
};

enum kind fault_kind(const struct call *c);

const char *fault_name(enum kind kind);

/* How it may fail, and the usual answers; returns how many there are. */
unsigned fault_list(enum kind kind, struct fault ret[MAX_FAULTS]);

/* The call is made before it fails, so the kernel has executed it. */
bool fault_is_late(enum kind kind);

#endif
