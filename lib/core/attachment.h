/* SPDX-License-Identifier: MIT */
/*
 * attachment: a process's own side of a ring while it is a producer, consumer or observer.
 *
 *  1. shmr_attach_begin() opens a file description that no other process has, and maps registry
 *     and doorbell through it.
 *  2. The role takes its place, which locks a byte through the same description (registry.h), and
 *     maps the segments that it needs.
 *  3. shmr_attach_finish() closes the descriptor and proves that the lock is still there. From now
 *     on the mapping alone keeps the lock, and no stray close() can drop it.
 *
 * A child that inherited a half-made attachment would keep the lock. So a lock keeps fork() out
 * from the first step to the last; signals wait meanwhile, because a handler may fork. A
 * description that comes from elsewhere (ring_source) may take long, so it is got before that. If
 * there was a fork meanwhile, a child may have a copy of it, and the attach asks for another one.
 * Calls that attach or detach are made with shmr_cancel_off().
 */
#ifndef SHMRING_CORE_ATTACHMENT_H
#define SHMRING_CORE_ATTACHMENT_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "isolated-lane.h"
#include "lane.h"
#include "registry.h"
#include "ring.h"
#include "segment.h"

#pragma GCC visibility push(default)

struct attachment {
	struct shmring_ring *ring;
	struct mapping mapping;
	int fd; /* own description, only while attaching */
	struct ring_grant grant;
	bool guarded;	  /* fork() is kept out, and signals */
	sigset_t signals; /* the thread's mask before */
	enum place_kind kind;
	unsigned slot;
	uint64_t status;	   /* the status word of its place, as last seen; 0: no place */
	struct registry *registry; /* writable, except for observers */
	struct doorbell *doorbell;
	struct shmring_memory_report memory;
};

/*
 * Begin: open, keep fork out, reserve addresses for `size` bytes in `segments`
 * segments besides registry and doorbell, map those two. Must be followed by
 * shmr_attach_finish() or shmr_detach(), also after an error.
 */
int shmr_attach_begin(struct attachment *a, struct shmring_ring *r, size_t size, unsigned segments,
		      enum ring_role role);

/* Map a further segment of the role. */
int shmr_attach_lay(struct attachment *a, uint64_t offset, size_t size, bool writable,
		    unsigned copies, size_t alignment, void **ret);

/*
 * A lane of an isolated ring: reserve its addresses, and map its file there (also when
 * another one is mapped there), now or after shmr_attach_finish(). When that fails,
 * nothing may be read there any more.
 */
void shmr_attach_reserve_lane(struct attachment *a, struct lane *ret);
int shmr_attach_map_lane(struct attachment *a, int fd, bool writable, const struct lane *at);

/* How lane data are aligned: to huge pages if they fill some. */
static inline size_t lane_alignment(const struct geometry *g)
{
	return g->lane_size < LAYOUT_HUGE ? LAYOUT_GRANULE : LAYOUT_HUGE;
}

/*
 * Close the description, and prove that the lock stays (-EOPNOTSUPP if the
 * file system does not keep it). The place is then ready to go ACTIVE. -EIDRM: the ring
 * is ephemeral, and its name has gone.
 */
int shmr_attach_finish(struct attachment *a);

/*
 * Unmap everything, which drops the lock, and let go of the ring. The last user of an
 * ephemeral ring removes its name here. The status word is the role's business, before. Fine on a
 * zeroed attachment.
 */
void shmr_detach(struct attachment *a);

/*
 * Around a wait for others between begin and finish, so that signals do not wait as
 * long. False: a signal handler has forked, and its child may have a copy of what is
 * attached so far; all of it has to be tried again.
 */
uint64_t shmr_attach_let_signals_in(const struct attachment *a);
bool shmr_attach_keep_signals_out(uint64_t before);

#pragma GCC visibility pop

#endif
