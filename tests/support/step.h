/* SPDX-License-Identifier: MIT */
/*
 * A helper process, one instruction at a time.
 *
 * The helper passes a function to step_run(). The test, its parent, catches it
 * at the first instruction of that function and moves it on as it likes; while
 * it does not, the helper stands still. The test may kill it at any time
 * (child_kill()), or let it go on by itself.
 *
 * Reading a clock counts as one instruction, the call: how many the kernel's code
 * for it takes depends on the moment.
 *
 * What is executed is the program as it was built: nothing is compiled in. The
 * kernel executes each instruction and tells (ptrace(2)). Both processes come
 * from one fork, so an address means the same in both.
 */
#ifndef TESTS_SUPPORT_STEP_H
#define TESTS_SUPPORT_STEP_H

#include <stdbool.h>
#include <stdint.h>

#include "child.h"

struct step {
	struct child *child;
	uint64_t taken;	   /* instructions since the first, one by one */
	uintptr_t address; /* of the next instruction */
	bool over;	   /* the function has returned */
};

/* Why this machine cannot do it, or NULL. */
const char *step_obstacle(void);

/*
 * In the helper: run act(arg), with the parent as its master until that returns;
 * gives what it returned. Once per helper.
 */
int step_run(int (*act)(void *), void *arg);

/* In the test: wait until the helper stands before the first instruction of act(). */
void step_catch(struct step *s, struct child *child, int (*act)(void *));

/* Execute one instruction; false: that was the last one, or it was over before. */
bool step_on(struct step *s);

/*
 * Run until it comes to this address for the n-th time, from 1 on, where it stands
 * included; false: it was over before. Each time costs about as much as an
 * instruction that step_on() executes. An instruction that repeats itself (rep)
 * is many steps at one address, but comes there once.
 */
bool step_to(struct step *s, uintptr_t address, uint64_t nth);

/* An undisturbed run: where it stood before each instruction. */
struct step_path {
	const uintptr_t *address;
	uint32_t *nth; /* so many times it had come there; 0: it repeats itself there */
	uint64_t length;
};

/* Fill in nth, which has room for length elements, from the rest. */
void step_count(struct step_path *p);

/*
 * Bring a helper that stands before the first instruction to where k of them have
 * been executed, with few stops on the way. False: it came to its end before.
 * Where the path depends on the time it may stand elsewhere.
 */
bool step_along(struct step *s, const struct step_path *p, uint64_t k);

/* Will the next instruction call the kernel? */
bool step_before_call(const struct step *s);

/* Let it go on by itself; or stop it by SIGSTOP, until child_continue(). */
void step_release(struct step *s);
void step_release_stopped(struct step *s);

#endif
