/* SPDX-License-Identifier: MIT */
/*
 * kick: see kick.h.
 *
 * The thread sleeps on the bell in the program's stead. The program says what to wait for
 * under a mutex of this process, and the thread does one wait for each arming. The bell
 * must stay mapped meanwhile, so closing waits for the thread.
 */
#include "kick.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <shmring/shmring.h>

#include "doorbell.h"
#include "explain.h"
#include "sys.h"
#include "uring.h"

#define SLICE_NS INT64_C(20000000) /* how long closing may take */
#define STACK_SIZE ((size_t)1 << 18)
#define GUARD_SIZE ((size_t)1 << 16)

struct kick {
	int fd;
	int64_t id; /* of the eventfd, see is_ours() */
	bool threaded;
	struct uring uring;
	int64_t period_ns;

	char *stack; /* made here, so that closing gives all of it back */
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool waiting;
	bool stopping;
	const shm_u32 *bell;
	uint32_t seen;
	bool deaf;
	int64_t soon_ns; /* a look is due then already; 0: it is not */
};

/* Until when may the thread sleep, at most? 0: it must stop. */
static int64_t sleep_limit(struct kick *k, int64_t since)
{
	int64_t period = k->period_ns;
	bool stop;

	pthread_mutex_lock(&k->lock);
	stop = k->stopping;
	if (k->soon_ns != 0 && k->soon_ns < period)
		period = k->soon_ns;
	pthread_mutex_unlock(&k->lock);
	return stop ? 0 : since + period;
}

/* [SLEEP] pairs with shmr_bell_ring_data(), shmr_bell_ring_room(). */
static void wait_in_slices(struct kick *k)
{
	const int64_t since = shmr_now();
	int64_t now, until;

	if (k->deaf)
		shmr_sleep(shmr_now() + BELL_DEAF_NS);

	while (!k->deaf && (now = shmr_now()) < (until = sleep_limit(k, since)) &&
	       load_acquire32(k->bell) == k->seen)
		shmr_futex_wait(k->bell, k->seen, now + SLICE_NS < until ? now + SLICE_NS : until);
}

static void *run(void *argument)
{
	const uint64_t one = 1;
	struct kick *k = argument;

	pthread_mutex_lock(&k->lock);
	while (!k->stopping) {
		if (!k->waiting) {
			pthread_cond_wait(&k->changed, &k->lock);
			continue;
		}
		pthread_mutex_unlock(&k->lock);
		wait_in_slices(k);
		pthread_mutex_lock(&k->lock);
		k->waiting = false;
		if (write(k->fd, &one, sizeof(one)) < 0)
			break; /* it cannot be full: one signal for each arming */
	}
	pthread_mutex_unlock(&k->lock);
	return NULL;
}

/* The program's signals are for its own threads. */
static int create_thread(struct kick *k)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int e;

	pthread_attr_init(&attributes);
	pthread_attr_setstack(&attributes, k->stack + GUARD_SIZE, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	e = pthread_create(&k->thread, &attributes, run, k);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -e;
}

static int start_thread(struct kick *k)
{
	int e;

	k->stack = mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (k->stack == MAP_FAILED)
		return -ENOMEM;
	mprotect(k->stack, GUARD_SIZE, PROT_NONE);
	pthread_mutex_init(&k->lock, NULL);
	pthread_cond_init(&k->changed, NULL);
	e = create_thread(k);
	k->threaded = e == 0;
	if (e < 0)
		munmap(k->stack, GUARD_SIZE + STACK_SIZE);
	return e;
}

static void stop_thread(struct kick *k)
{
	pthread_mutex_lock(&k->lock);
	k->stopping = true;
	pthread_cond_signal(&k->changed);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
	munmap(k->stack, GUARD_SIZE + STACK_SIZE);
	pthread_cond_destroy(&k->changed);
	pthread_mutex_destroy(&k->lock);
}

static int open_kick(struct kick *k, bool may_thread)
{
	int e;

	k->fd = shmr_fd_above_standard(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	if (k->fd < 0)
		return explain(-errno, "cannot get a descriptor to wait with: %e", -errno);
	k->id = shmr_eventfd_id(k->fd);
	e = shmr_uring_open(&k->uring, k->fd, k->period_ns);
	if (e == -EOPNOTSUPP && !may_thread)
		e = explain(e,
			    "the kernel, or a filter of system calls, does not let io_uring wait "
			    "for a futex; use SHMRING_FD_THREAD, which waits with a thread");
	else if (e == -EOPNOTSUPP)
		e = start_thread(k);
	if (e < 0 && e != -EOPNOTSUPP)
		explain(e, "cannot get the resources to wait by descriptor: %e", e);
	if (e < 0)
		close(k->fd);
	return e;
}

int shmr_kick_open(struct kick **ret, uint32_t flags, int64_t period_ns)
{
	struct kick *k;
	int e;

	if (flags & ~SHMRING_FD_THREAD)
		return explain(-EINVAL, "unknown flags for a descriptor: only SHMRING_FD_THREAD");
	k = calloc(1, sizeof(*k));
	if (!k)
		return explain(-ENOMEM, "cannot get memory to wait by descriptor");
	k->period_ns = period_ns;
	e = open_kick(k, (flags & SHMRING_FD_THREAD) != 0);
	if (e < 0)
		free(k);
	else
		*ret = k;
	return e;
}

/*
 * The program may have closed the number, and it may lead to another file by now. The
 * kernel numbers eventfds, and gives no number twice while a reference exists. The io_uring
 * has a reference, so with it the number is proof. With a thread only this descriptor has a
 * reference: if it was closed, another eventfd of any process may have both numbers. Where
 * the number cannot be read, as without a free descriptor, an eventfd is taken for the library's.
 */
static bool is_ours(const struct kick *k)
{
	int64_t id = shmr_eventfd_id(k->fd);

	return shmr_fd_leads_to(k->fd, "anon_inode:[eventfd]") &&
	       (id < 0 || k->id < 0 || id == k->id);
}

void shmr_kick_close(struct kick *k)
{
	bool ours;

	if (!k)
		return;
	ours = is_ours(k); /* while the io_uring refers to it */
	if (k->threaded)
		stop_thread(k);
	else
		shmr_uring_close(&k->uring);
	if (ours)
		close(k->fd);
	free(k);
}

int shmr_kick_fd(const struct kick *k)
{
	return k->fd;
}

/*
 * A wait that goes on is as good as a new one: a waker wakes all that wait on a bell.
 * [SLEEP] pairs with shmr_bell_ring_data(), shmr_bell_ring_room().
 */
static int arm_thread(struct kick *k, const shm_u32 *bell, uint32_t seen, bool deaf,
		      int64_t soon_ns)
{
	int cancel = shmr_cancel_off(); /* read() is where a thread is cancelled */
	uint64_t signals;
	int e = 0;

	pthread_mutex_lock(&k->lock);
	if (!k->waiting && read(k->fd, &signals, sizeof(signals)) < 0 && errno != EAGAIN)
		e = -errno;
	k->soon_ns = soon_ns;
	if (e == 0 && !k->waiting) {
		k->bell = bell;
		k->seen = seen;
		k->deaf = deaf;
		k->waiting = true;
		pthread_cond_signal(&k->changed);
	}
	pthread_mutex_unlock(&k->lock);
	shmr_cancel_on(cancel);
	return e < 0 ? e : !deaf && load_acquire32(bell) != seen;
}

int shmr_kick_arm(struct kick *k, const shm_u32 *bell, uint32_t seen, bool deaf, int64_t soon_ns)
{
	int e = k->threaded ? arm_thread(k, bell, seen, deaf, soon_ns)
		: deaf	    ? shmr_uring_pause(&k->uring, BELL_DEAF_NS)
			    : shmr_uring_wait(&k->uring, bell, seen, soon_ns);

	if (e == -EEXIST)
		return explain(-EBUSY, "only the thread that asked for the descriptor may arm it");
	return e < 0 ? explain(e, "cannot wait by descriptor: %e", e) : e;
}
