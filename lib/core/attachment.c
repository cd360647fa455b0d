/* SPDX-License-Identifier: MIT */
/*
 * attachment: see attachment.h.
 */
#include "attachment.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "ephemeral.h"
#include "explain.h"
#include "in-use.h"
#include "sys.h"

enum { OPEN_TRIES = 3 };

/*
 * Held while attaching and by fork(): the two exclude each other. A signal handler that
 * forks would wait for the call that it has interrupted, so signals are blocked as well.
 * The signal of a fault cannot be blocked: `guarding` lets the fork of a crash reporter pass.
 * The child of such a fork may have a copy of what was half attached, until it ends.
 */
static pthread_mutex_t fork_guard = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_guard_once = PTHREAD_ONCE_INIT;
static uint64_t forks; /* so far; under the guard */
static _Thread_local bool guarding __attribute__((tls_model("initial-exec")));

static void before_fork(void)
{
	if (!guarding)
		pthread_mutex_lock(&fork_guard);
	forks++;
}

static void after_fork(void)
{
	if (!guarding)
		pthread_mutex_unlock(&fork_guard);
}

/*
 * In the child of a crash reporter the handle of the interrupted attach is empty, so nothing
 * would give the guard back.
 */
static void after_fork_in_child(void)
{
	if (guarding)
		fork_guard = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
	else
		pthread_mutex_unlock(&fork_guard);
	guarding = false;
	shmr_use_forked();
}

static void install_fork_guard(void)
{
	pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

static void block_signals(sigset_t *ret_before)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT };
	sigset_t all;

	sigfillset(&all);
	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&all, faults[i]);
	pthread_sigmask(SIG_BLOCK, &all, ret_before);
}

static void keep_fork_out(struct attachment *a)
{
	block_signals(&a->signals);
	guarding = true; /* before it is so: a fault may come in between */
	pthread_mutex_lock(&fork_guard);
	a->guarded = true;
}

static void let_fork_in(struct attachment *a)
{
	if (!a->guarded)
		return;
	a->guarded = false;
	pthread_mutex_unlock(&fork_guard);
	guarding = false;
	pthread_sigmask(SIG_SETMASK, &a->signals, NULL);
}

uint64_t shmr_attach_let_signals_in(const struct attachment *a)
{
	uint64_t before = forks;

	pthread_sigmask(SIG_SETMASK, &a->signals, NULL);
	return before;
}

bool shmr_attach_keep_signals_out(uint64_t before)
{
	sigset_t now;

	block_signals(&now);
	return forks == before;
}

static void drop_description(struct attachment *a)
{
	close(a->fd);
	a->fd = -1;
	let_fork_in(a);
	shmr_ring_leave(a->ring, &a->grant);
}

/* Open while forks are possible; false: there was a fork, and nothing is open. */
static bool open_freely(struct attachment *a, enum ring_role role)
{
	uint64_t before;

	keep_fork_out(a);
	before = forks;
	let_fork_in(a);
	a->fd = shmr_ring_reopen(a->ring, role, &a->grant);
	keep_fork_out(a);
	if (a->fd < 0 || forks == before)
		return true;
	drop_description(a);
	return false;
}

/* Returns with fork kept out. A program that forks all the time waits for the attach in the end. */
static int open_description(struct attachment *a, enum ring_role role)
{
	bool done = false;

	for (unsigned i = 0; a->ring->source && !done && i < OPEN_TRIES; i++)
		done = open_freely(a, role);
	if (!done) {
		keep_fork_out(a);
		a->fd = shmr_ring_reopen(a->ring, role, &a->grant);
	}
	return a->fd < 0 ? a->fd : 0;
}

int shmr_attach_begin(struct attachment *a, struct shmring_ring *r, size_t size, unsigned segments,
		      enum ring_role role)
{
	const struct geometry *g = &r->geometry;
	bool writable = role != RING_OBSERVE;
	void *p;
	int e = shmr_ring_check(r);

	a->fd = -1;
	if (e < 0)
		return e;
	if (writable && !r->writable && !r->source)
		return explain(-EACCES,
			       "this user may only read the ring; attach with SHMRING_OBSERVE");
	pthread_once(&fork_guard_once, install_fork_guard);
	a->ring = shmr_ring_ref(r);
	e = open_description(a, role);
	if (e < 0)
		return e;
	e = mapping_reserve(&a->mapping, size + 2 * LAYOUT_GRANULE, segments + 2);
	if (e == 0)
		e = shmr_attach_lay(a, g->registry_offset, LAYOUT_GRANULE, writable, 1,
				    LAYOUT_GRANULE, &p);
	if (e < 0)
		return e;
	a->registry = p;
	e = shmr_attach_lay(a, g->doorbell_offset, LAYOUT_GRANULE, writable, 1, LAYOUT_GRANULE, &p);
	if (e < 0)
		return e;
	a->doorbell = p;
	return 0;
}

int shmr_attach_lay(struct attachment *a, uint64_t offset, size_t size, bool writable,
		    unsigned copies, size_t alignment, void **ret)
{
	int e = mapping_lay(&a->mapping, a->fd, offset, size, writable, copies, alignment, ret);

	if (e == 0)
		a->memory.mapped += size;
	return e;
}

void shmr_attach_reserve_lane(struct attachment *a, struct lane *ret)
{
	const struct geometry *g = &a->ring->geometry;

	ret->control = mapping_place(&a->mapping, LAYOUT_GRANULE, 1, LAYOUT_GRANULE);
	ret->data = mapping_place(&a->mapping, g->lane_size, 2, lane_alignment(g));
	ret->mask = g->lane_size - 1;
	a->memory.mapped += LAYOUT_GRANULE + g->lane_size;
}

int shmr_attach_map_lane(struct attachment *a, int fd, bool writable, const struct lane *at)
{
	const struct geometry *g = &a->ring->geometry;
	int e = mapping_lay_at(at->control, fd, g->controls_offset, LAYOUT_GRANULE, writable, 1);

	if (e == 0)
		e = mapping_lay_at(at->data, fd, g->data_offset, g->lane_size, writable, 2);
	if (e == 0)
		e = mapping_keep_from_children(at->control, LAYOUT_GRANULE);
	return e == 0 ? mapping_keep_from_children(at->data, 2 * g->lane_size) : e;
}

static int prove_pin(const struct attachment *a)
{
	int fd = shmr_ring_fd(a->ring);
	int locked;

	if (a->status == 0)
		return 0; /* observers hold no place */
	locked = fd < 0 ? fd
			: shmr_probe_byte(
				  fd, shmr_place_byte(a->kind, a->slot, status_epoch(a->status)));
	if (locked == 0)
		return explain(
			-EOPNOTSUPP,
			"this file system drops a lock although the file is still mapped; put the "
			"ring into /dev/shm");
	return locked < 0 ? explain(locked, "cannot prove the liveness lock: %e", locked) : 0;
}

int shmr_attach_finish(struct attachment *a)
{
	int e = mapping_keep_private(&a->mapping);

	close(a->fd);
	a->fd = -1;
	if (e == 0)
		e = prove_pin(a);
	if (e < 0)
		return e; /* shmr_detach() does the rest, with nothing mapped */
	let_fork_in(a);
	return a->status != 0 ? shmr_ephemeral_settle(a->ring) : 0;
}

void shmr_detach(struct attachment *a)
{
	if (a->ring && a->fd >= 0)
		close(a->fd);
	mapping_drop(&a->mapping);
	let_fork_in(a);
	if (a->ring && a->status != 0) /* the place was left, and its lock has gone */
		shmr_ephemeral_leave(a->ring);
	if (a->ring)
		shmr_ring_leave(a->ring, &a->grant);
	shmring_close(a->ring);
	memset(a, 0, sizeof(*a));
	a->fd = -1;
}
