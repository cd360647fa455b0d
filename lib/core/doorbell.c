/* SPDX-License-Identifier: MIT */
/*
 * doorbell: the slow halves of waiting and waking; see doorbell.h for the
 * protocol and its proof.
 */
#include "doorbell.h"

#include <errno.h>

#include "explain.h"
#include "sys.h"

/*
 * The first sleep where no barrier can be forced, in ns: a store reaches other processes well
 * within this time. Each further one is twice as long, up to BELL_UNANNOUNCED_NS.
 */
#define SOFT_SLEEP_MIN INT64_C(50000)

void shmr_bell_init(struct bell *bell, struct doorbell *shared, const struct geometry *g)
{
	bell->shared = shared;
	bell->fence_to_sleep = g->wake == SHMRING_WAKE_FENCE;
	bell->fence_to_wake = bell->fence_to_sleep || !shmr_barrier_register();
	bell->max_sleep_ns = g->max_sleep_ns;
	shmr_bell_begin_wait(bell);
}

void shmr_bell_begin_wait(struct bell *bell)
{
	bell->rung = 0;
	bell->soft_sleep_ns = SOFT_SLEEP_MIN;
}

/* [WAKE] pairs with consumer_announce(), consumer_take_back() */
void shmr_bell_ring_data(struct bell *bell, uint64_t consumers, struct shmring_counters *counters)
{
	if ((fetch_and(&bell->shared->sleepers, ~consumers) & consumers) == 0)
		return; /* another producer is at it */
	fetch_add32(&bell->shared->data_bell, 1);
	shmr_futex_wake(&bell->shared->data_bell);
	counters->wakes++;
	counters->system_calls++;
}

/* [WAKE] pairs with sleep_for_message(), sleep_until_free() */
void shmr_bell_ring_leaving(struct bell *bell, struct shmring_counters *counters)
{
	fetch_add32(&bell->shared->data_bell, 1);
	shmr_futex_wake(&bell->shared->data_bell);
	counters->wakes++;
	counters->system_calls++;
}

/* [WAKE] pairs with wait_for() */
void shmr_bell_ring_arrival(struct doorbell *shared)
{
	fetch_add32(&shared->arrivals, 1);
	shmr_futex_wake(&shared->arrivals);
}

/* [WAKE] pairs with sleep_for_room() */
void shmr_bell_ring_room(struct bell *bell, unsigned lane, struct shmring_counters *counters)
{
	shm_u32 *word = &bell->shared->room[lane].bell;

	fetch_add32(word, 1);
	shmr_futex_wake(word);
	counters->wakes++;
	counters->system_calls++;
}

void shmr_bell_ring_rooms(struct bell *bell, uint64_t lanes, struct shmring_counters *counters)
{
	for (unsigned lane = 0; lanes != 0; lane++, lanes >>= 1)
		if (lanes & 1)
			shmr_bell_ring_room(bell, lane, counters);
}

/* [SLEEP] pairs with bell_order() */
void shmr_bell_barrier(struct bell *bell, struct shmring_counters *counters)
{
	if (bell->fence_to_sleep) {
		fence_full();
		return;
	}
	counters->system_calls++;
	bell->soft = !shmr_barrier();
	if (bell->soft)
		fence_full();
}

static int64_t sleep_bound(struct bell *bell)
{
	int64_t bound = (int64_t)bell->max_sleep_ns;

	if (!bell->soft)
		return bound;
	if (bell->soft_sleep_ns < bound)
		bound = bell->soft_sleep_ns;
	bell->soft_sleep_ns *= 2;
	if (bell->soft_sleep_ns > BELL_UNANNOUNCED_NS)
		bell->soft_sleep_ns = BELL_UNANNOUNCED_NS;
	return bound;
}

/* [CANCEL] pairs with shmr_bell_check_cancel(). A signal handler finds errno as it was. */
void shmr_bell_cancel(struct bell *bell, shm_u32 *word)
{
	int before = errno;

	store_release32(&bell->cancelled, 1);
	if (word) {
		fetch_add32(word, 1);
		shmr_futex_wake(word);
	}
	errno = before;
}

/*
 * A sleeper has read the bell before: if the word is not set here, the bell moves after
 * that, and the sleep ends at once. [CANCEL] pairs with shmr_bell_cancel().
 */
int shmr_bell_check_cancel(struct bell *bell)
{
	if (load_acquire32(&bell->cancelled) == 0 || !compare_and_swap32(&bell->cancelled, 1, 0))
		return 0;
	return explain(-ECANCELED, "the wait was cancelled");
}

/* [SLEEP] pairs with shmr_bell_ring_data(), shmr_bell_ring_room(). */
int shmr_bell_sleep(struct bell *bell, const shm_u32 *word, uint32_t seen, int64_t deadline,
		    struct shmring_counters *counters)
{
	bool deaf = bell->rung >= BELL_RINGS_IN_VAIN;
	int64_t until = shmr_now() + (deaf ? BELL_DEAF_NS : sleep_bound(bell));
	int r = shmr_bell_check_cancel(bell);

	if (r < 0)
		return r;
	if (until > deadline)
		until = deadline;
	counters->sleeps++;
	counters->system_calls++;
	r = deaf ? shmr_sleep(until) : shmr_futex_wait(word, seen, until);
	if (load_acquire32(word) != seen)
		bell->rung++;
	else if (bell->rung > 0)
		bell->rung--; /* listen again, on probation */
	return r == -EINTR ? r : 0;
}

bool shmr_bell_is_deaf(struct bell *bell, uint32_t seen, bool got_something)
{
	if (got_something)
		bell->rung = 0;
	else if (seen != bell->armed)
		bell->rung++;
	else if (bell->rung > 0)
		bell->rung--; /* listen again, on probation */
	bell->armed = seen;
	return bell->rung >= BELL_RINGS_IN_VAIN;
}
