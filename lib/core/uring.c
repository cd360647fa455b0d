/* SPDX-License-Identifier: MIT */
/*
 * uring: see uring.h. The numbers of what came with Linux 6.4 and 6.7 are given
 * here, for older headers.
 */
#include "uring.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys.h"

#define OP_FUTEX_WAIT 51	     /* IORING_OP_FUTEX_WAIT */
#define SIZE_U32 2		     /* FUTEX2_SIZE_U32; not FUTEX2_PRIVATE: shared */
#define MATCH_ANY UINT32_MAX	     /* FUTEX_BITSET_MATCH_ANY */
#define MULTISHOT (UINT32_C(1) << 6) /* IORING_TIMEOUT_MULTISHOT */
#define SETUP (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG)
#define ENTRIES 4
#define TICK UINT64_C(0) /* the tick's user_data; waits count from 1 */
#define HURRY UINT64_MAX /* of a look that is due before the tick */
#define SECOND INT64_C(1000000000)

static int enter(struct uring *u)
{
	long n = syscall(SYS_io_uring_enter, u->fd, u->queued, 0, IORING_ENTER_GETEVENTS, NULL, 0);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	u->queued -= (uint32_t)n;
	return 0;
}

static bool can_wait(int fd)
{
	union {
		struct io_uring_probe head;
		char room[sizeof(struct io_uring_probe) + 64 * sizeof(struct io_uring_probe_op)];
	} p;

	memset(&p, 0, sizeof(p));
	return syscall(SYS_io_uring_register, fd, IORING_REGISTER_PROBE, &p, 64) == 0 &&
	       p.head.last_op >= OP_FUTEX_WAIT &&
	       (p.head.ops[OP_FUTEX_WAIT].flags & IO_URING_OP_SUPPORTED) != 0;
}

static void *map(int fd, uint64_t size, off_t what)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, size, MADV_DONTFORK);
	return p;
}

static int map_rings(struct uring *u, const struct io_uring_params *p)
{
	uint64_t sq_size = p->sq_off.array + p->sq_entries * sizeof(uint32_t);
	uint64_t cq_size = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	char *at;

	u->rings_size = sq_size > cq_size ? sq_size : cq_size;
	u->entries_size = p->sq_entries * sizeof(struct io_uring_sqe);
	u->rings = at = map(u->fd, u->rings_size, IORING_OFF_SQ_RING);
	u->entries = map(u->fd, u->entries_size, IORING_OFF_SQES);
	if (!u->rings || !u->entries)
		return -ENOMEM;
	u->sq_tail = (void *)(at + p->sq_off.tail);
	u->sq_flags = (void *)(at + p->sq_off.flags);
	u->sq_array = (void *)(at + p->sq_off.array);
	u->sq_mask = p->sq_entries - 1;
	u->cq_head = (void *)(at + p->cq_off.head);
	u->cq_tail = (void *)(at + p->cq_off.tail);
	u->cq_mask = p->cq_entries - 1;
	u->cqes = (void *)(at + p->cq_off.cqes);
	u->sqes = u->entries;
	return 0;
}

int shmr_uring_open(struct uring *u, int event_fd, int64_t period_ns)
{
	struct io_uring_params p = { .flags = SETUP };
	int e;

	*u = (struct uring){ .event_fd = event_fd, .period_ns = period_ns };
	u->fd = shmr_fd_above_standard((int)syscall(SYS_io_uring_setup, ENTRIES, &p));
	if (u->fd < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : -EOPNOTSUPP;
	e = can_wait(u->fd) && (p.features & IORING_FEAT_SINGLE_MMAP) ? map_rings(u, &p)
								      : -EOPNOTSUPP;
	if (e == 0 &&
	    syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_EVENTFD, &event_fd, 1) < 0)
		e = -errno;
	if (e < 0)
		shmr_uring_close(u);
	return e;
}

/*
 * The program may have closed the number, and it may lead to another file by now. A second
 * view of this io_uring shows what is written to the first one, and no other file's does.
 * The number of an entry that is not queued is free to be written; closing queues nothing more.
 */
static bool is_ours(const struct uring *u)
{
	const uint64_t at = (uint64_t)((char *)u->sq_array - (char *)u->rings);
	bool same = true;
	char *view;

	if (!shmr_fd_leads_to(u->fd, "anon_inode:[io_uring]"))
		return false;
	view = mmap(NULL, u->rings_size, PROT_READ, MAP_SHARED, u->fd, IORING_OFF_SQ_RING);
	if (view == MAP_FAILED)
		return errno == ENOMEM; /* it may be the library's: a leak would be for ever */
	for (uint32_t mark = 1; mark <= 2; mark++) {
		store_release32((shm_u32 *)u->sq_array, mark);
		same = same && load_acquire32((const shm_u32 *)(view + at)) == mark;
	}
	munmap(view, u->rings_size);
	return same;
}

void shmr_uring_close(struct uring *u)
{
	const bool ours = !u->rings || !u->entries || is_ours(u);

	if (u->entries)
		munmap(u->entries, u->entries_size);
	if (u->rings)
		munmap(u->rings, u->rings_size);
	if (ours)
		close(u->fd); /* ends what is still waiting */
}

static void queue(struct uring *u, const struct io_uring_sqe *sqe)
{
	uint32_t tail = load_acquire32(u->sq_tail);
	uint32_t slot = tail & u->sq_mask;

	u->sqes[slot] = *sqe;
	u->sq_array[slot] = slot;
	/* The entry first, then its number: the kernel loads that with acquire. */
	store_release32(u->sq_tail, tail + 1);
	u->queued++;
}

static void queue_wait(struct uring *u, const shm_u32 *word, uint32_t seen)
{
	const struct io_uring_sqe sqe = {
		.opcode = OP_FUTEX_WAIT,
		.fd = SIZE_U32,
		.addr = (uint64_t)(uintptr_t)word,
		.addr2 = seen,
		.addr3 = MATCH_ANY,
		.user_data = ++u->token,
	};

	queue(u, &sqe);
	u->waiting = true;
}

/* Once, or again and again. */
static void queue_timeout(struct uring *u, const struct __kernel_timespec *time, uint32_t flags,
			  uint64_t token)
{
	const struct io_uring_sqe sqe = {
		.opcode = IORING_OP_TIMEOUT,
		.fd = -1,
		.addr = (uint64_t)(uintptr_t)time,
		.len = 1,
		.timeout_flags = flags,
		.user_data = token,
	};

	queue(u, &sqe);
}

static struct __kernel_timespec as_time(int64_t ns)
{
	return (struct __kernel_timespec){ .tv_sec = ns / SECOND, .tv_nsec = ns % SECOND };
}

/* The kernel stores the tail with release, and loads the head with acquire. */
static void collect(struct uring *u)
{
	uint32_t head = load_acquire32(u->cq_head);

	for (; head != load_acquire32(u->cq_tail); head++) {
		const struct io_uring_cqe *c = &u->cqes[head & u->cq_mask];

		if (c->user_data == u->token)
			u->waiting = false;
		else if (c->user_data == TICK && !(c->flags & IORING_CQE_F_MORE))
			u->ticking = false;
		else if (c->user_data == HURRY)
			u->hurrying = false;
		if (c->res < 0 && c->res != -EAGAIN && c->res != -ETIME && c->res != -EINTR)
			u->failure = c->res;
	}
	store_release32(u->cq_head, head);
}

bool shmr_uring_pending(const struct uring *u)
{
	return load_acquire32(u->cq_head) != load_acquire32(u->cq_tail) ||
	       (load_acquire32(u->sq_flags) & IORING_SQ_TASKRUN) != 0;
}

/*
 * The eventfd is signalled when the first request ends, and again only when all
 * requests that had ended are collected. So collect them, and then take the signal
 * back. If another request has ended between the two, do both again.
 */
static int settle(struct uring *u)
{
	uint64_t signals;

	do {
		int e = enter(u);

		if (e < 0)
			return e;
		collect(u);
		if (read(u->event_fd, &signals, sizeof(signals)) < 0 && errno != EAGAIN)
			return -errno;
		fence_full();
	} while (shmr_uring_pending(u));
	return 0;
}

/* Hand over what is queued. 1: the wait has ended. */
static int submit(struct uring *u)
{
	int e = settle(u);

	if (e == 0)
		e = u->failure;
	u->failure = 0; /* reported once: the next call asks the kernel anew */
	return e < 0 ? e : !u->waiting;
}

int shmr_uring_wait(struct uring *u, const shm_u32 *word, uint32_t seen, int64_t soon_ns)
{
	const struct __kernel_timespec period = as_time(u->period_ns), soon = as_time(soon_ns);
	int e;

	if (!u->ticking)
		queue_timeout(u, &period, MULTISHOT, TICK);
	u->ticking = true;
	if (soon_ns != 0 && !u->hurrying) {
		queue_timeout(u, &soon, 0, HURRY);
		u->hurrying = true;
	}
	if (!u->waiting)
		queue_wait(u, word, seen);
	e = submit(u);
	return e != 0 ? e : load_acquire32(word) != seen;
}

int shmr_uring_pause(struct uring *u, int64_t ns)
{
	const struct __kernel_timespec time = as_time(ns);

	if (!u->waiting)
		queue_timeout(u, &time, 0, ++u->token);
	u->waiting = true;
	return submit(u);
}
