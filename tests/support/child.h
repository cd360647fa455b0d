/* SPDX-License-Identifier: MIT */
/*
 * Helper processes of a test: start, stop, kill, wait.
 *
 * A helper dies with its parent and after a minute at the latest. Parent and
 * helper talk over a socket that keeps messages apart; nothing here sleeps to
 * wait for the other.
 */
#ifndef TESTS_SUPPORT_CHILD_H
#define TESTS_SUPPORT_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct child {
	pid_t pid;
	int pidfd;
	int socket;   /* to the helper */
	int messages; /* of its assertions */
};

/*
 * Once per test, before anything else is open. check has a file that assertions
 * write to, the ones that hold, too; helpers must not share it: one that is
 * killed in the midst of it would leave it damaged.
 */
void child_prepare(void);

/*
 * Start a helper by fork. It calls run() with its end of the socket and exits
 * with what that returns. Assertions of check work in it, too.
 */
void child_fork(struct child *c, int (*run)(int socket, void *arg), void *arg);

/*
 * Become another program; NULL: this one, anew. Test programs that were built for
 * another processor (tests/aarch64.sh) name in SHMRING_TEST_EMULATOR what runs
 * them. It differs from a kernel here and there.
 */
void child_become(const char *path, const char *arg1, const char *arg2) __attribute__((noreturn));
bool child_is_emulated(void);

/* Start tests/process/peer by exec, with its end of the socket as descriptor 3. */
void child_exec(struct child *c);

/* Send SIGKILL and wait for the end. The test fails if it had ended before. */
void child_kill(struct child *c);

/* Send SIGKILL and wait for the end, but leave the zombie. */
void child_kill_unreaped(struct child *c);

/* The last words of its assertions; valid until the next call. */
const char *child_words(struct child *c);

/* Free what belongs to a helper that has been waited for elsewhere. */
void child_drop(struct child *c);

/* Stop it, until child_continue(); returns when it has stopped. */
void child_stop(struct child *c);
void child_continue(struct child *c);

/* Return when it sleeps in a futex, as a process that waits on a ring does. */
void child_await_sleep(struct child *c);

/* Does it sleep so at this moment? */
bool child_sleeps(const struct child *c);

/*
 * What has become of it meanwhile. Once it has ended, it is let go of; the test
 * fails if that was in another way than these.
 */
enum child_state { CHILD_RUNS, CHILD_STOPPED, CHILD_KILLED, CHILD_ENDED };
enum child_state child_look(struct child *c);

/* Wait until it ends by itself; the test fails unless it exits with 0. */
void child_end(struct child *c);

/* One byte over the socket, to keep step; works for both ends. */
void step_tell(int socket);
void step_await(int socket);

#endif
