/* SPDX-License-Identifier: MIT */
/*
 * repair: what any process that may write a ring can mend in it without a place of its own. Reap
 * buries the dead, forget gives the place of a kept name back.
 *
 * Both map registry and doorbell for writing for the time of the call, and change status words by
 * the same CAS as participants do (registry.h), so they may run at any time. Processes that may
 * have waited for what was changed are woken afterwards.
 */
#include <errno.h>

#include "attachment.h"
#include "doorbell.h"
#include "ephemeral.h"
#include "explain.h"
#include "registry.h"
#include "ring.h"
#include "sys.h"

/* A writable view of registry and doorbell, for the time of one repair. */
static int begin_repair(struct attachment *a, struct shmring_ring *r)
{
	int e = shmr_attach_begin(a, r, 0, 0, RING_REPAIR);

	return e < 0 ? e : shmr_attach_finish(a);
}

/*
 * Producers may have been waiting for consumers that are gone, consumers for the end, and
 * other processes for a place (vacancy.h). [READY] pairs with show_lane().
 */
static void wake_waiters(struct attachment *a)
{
	struct shmring_counters counters = { 0 };
	struct bell bell = { .shared = a->doorbell };

	shmr_bell_ring_rooms(&bell, load_acquire(&a->registry->lanes_ready) | 1, &counters);
	shmr_bell_ring_leaving(&bell, &counters);
}

int shmring_reap(struct shmring_ring *r)
{
	int cancel = shmr_cancel_off();
	struct attachment a = { 0 };
	int buried = 0;
	int e = begin_repair(&a, r);

	if (e == 0) {
		int fd = shmr_ring_fd(r);

		buried = (int)shmr_place_bury_all(a.registry, PLACE_LANE, fd);
		buried += (int)shmr_place_bury_all(a.registry, PLACE_CONSUMER, fd);
		if (buried > 0)
			wake_waiters(&a);
	}
	shmr_detach(&a);
	shmr_cancel_on(cancel);
	return e < 0 ? e : buried;
}

/* [PLACE] pairs with take_detached(): one of the two is late. */
static int forget(struct attachment *a, const char *name)
{
	struct tries tries = { 0 };
	unsigned slot;
	uint64_t status;

	while (shmr_name_find(a->registry, name, &slot, &status) == 0) {
		enum place_state state = status_state(status);
		bool held =
			state != PLACE_DETACHED && state != PLACE_LAPSED && state != PLACE_CLAIMED;

		if (!shmr_try_again(&tries))
			return shmr_place_restless();
		if (held &&
		    !shmr_place_bury(a->registry, PLACE_CONSUMER, slot, status,
				     shmr_ring_fd(a->ring)) &&
		    load_acquire(&a->registry->consumer_status[slot]) == status)
			return explain(-EBUSY, "a live process consumes under the name '%s'", name);
		if (!held &&
		    compare_and_swap(&a->registry->consumer_status[slot], status,
				     status_make(status_epoch(status) + 1, 0, 0, PLACE_FREE))) {
			wake_waiters(a);
			return 0;
		}
	}
	return explain(-ENOENT, "the ring has no consumer named '%s'", name);
}

int shmring_forget(struct shmring_ring *r, const char *name)
{
	struct attachment a = { 0 };
	int e = shmr_name_check(name);
	int cancel;

	if (e < 0)
		return e;
	cancel = shmr_cancel_off();
	e = begin_repair(&a, r);
	if (e == 0)
		e = forget(&a, name);
	shmr_detach(&a);
	if (e == 0)
		shmr_ephemeral_leave(r); /* a kept name is a user */
	shmr_cancel_on(cancel);
	return e;
}
