/* SPDX-License-Identifier: MIT */
/*
 * uring: as much of io_uring as a kick needs: wait for one futex word, tick, and
 * signal an eventfd when either has happened.
 *
 * The kernel leaves finished requests alone until the thread enters it (DEFER_TASKRUN).
 * Otherwise each request would interrupt the program's own system call, for example
 * epoll_wait(), with EINTR. Whether something is left to be collected stands in shared
 * memory, so that asking costs no system call.
 */
#ifndef SHMRING_CORE_URING_H
#define SHMRING_CORE_URING_H

#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"

#pragma GCC visibility push(default)

struct io_uring_sqe;
struct io_uring_cqe;

struct uring {
	int fd;
	int event_fd; /* closed by its owner, not here */
	void *rings;
	void *entries;
	uint64_t rings_size;
	uint64_t entries_size;
	shm_u32 *sq_tail, *sq_flags, *cq_head, *cq_tail;
	uint32_t *sq_array;
	uint32_t sq_mask, cq_mask;
	struct io_uring_sqe *sqes;
	const struct io_uring_cqe *cqes;
	uint32_t queued; /* entries that the kernel has not been given yet */
	uint64_t token;	 /* of the last wait */
	bool waiting;	 /* it has not ended */
	bool ticking;
	bool hurrying;	   /* a look is due before the next tick */
	int failure;	   /* of a request, other than those that are to be expected */
	int64_t period_ns; /* of the tick */
};

/*
 * Signals `event_fd` from now on. -EOPNOTSUPP: this kernel cannot wait for a
 * futex so, or a filter forbids it.
 */
int shmr_uring_open(struct uring *u, int event_fd, int64_t period_ns);
void shmr_uring_close(struct uring *u);

/*
 * Wait for *word to differ from `seen`, in the background. 1: it does already.
 * 0: `event_fd` is not readable, and will be when it does or at the next tick, or after
 * `soon_ns` if that is not 0.
 */
int shmr_uring_wait(struct uring *u, const shm_u32 *word, uint32_t seen, int64_t soon_ns);

/* Signal it after that time, in place of a wait. 1: a wait has just ended. */
int shmr_uring_pause(struct uring *u, int64_t ns);

/* Has anything ended since the last call? Costs no system call. */
bool shmr_uring_pending(const struct uring *u);

#pragma GCC visibility pop

#endif
