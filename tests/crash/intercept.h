/* SPDX-License-Identifier: MIT */
/*
 * intercept: one system call of another process goes wrong.
 *
 * A helper traced by the test runs a stretch of code between two marks. Every
 * system call of the C library in that stretch is numbered, in the order in
 * which they are made. A plan says what becomes of one of them; all others are
 * made as they are. The same helper, started anew, makes the same calls, so a
 * first run without a plan tells what there is to plan for.
 *
 * A call that is to fail never reaches the kernel: its number is replaced by one
 * that does not exist, and its result by the error. Calls that are not made by
 * the C library belong to a sanitizer and are left alone.
 */
#ifndef TESTS_CRASH_INTERCEPT_H
#define TESTS_CRASH_INTERCEPT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { INTERCEPT_MAX = 1024 };

struct call {
	long number;
	uint64_t args[6];
};

enum fate {
	FATE_NONE,
	FATE_FAIL,	 /* not made; fails with `error` */
	FATE_FAIL_LATE,	 /* made; its result is still `error` */
	FATE_DIE_BEFORE, /* the helper stands in front of it, for the test to kill */
	FATE_DIE_BEHIND, /* it has been made, and nothing else */
};

struct plan {
	enum fate fate;
	unsigned index; /* of the call, from 0 */
	int error;
	/* Called whenever the helper goes to sleep on a futex, unless that is to fail. */
	void (*asleep)(void *arg);
	void *arg;
};

struct calls {
	unsigned count;
	struct call call[INTERCEPT_MAX];
};

/* Can a helper be traced and its calls be replaced here? If not, *ret says why. */
bool intercept_works(const char **ret_why);

/* In the helper: the stretch begins, and ends. */
void intercept_begin(void);
void intercept_end(void);

/*
 * In the test: let the helper run from the first mark to the second, and then
 * let it go; or until it stands where it is to die. True if it stands there.
 * The calls that it made are in *ret.
 */
bool intercept_run(pid_t pid, const struct plan *plan, struct calls *ret);

#endif
