/* SPDX-License-Identifier: MIT */
/*
 * registry: which processes are attached, and the kernel's proof that one has gone.
 *
 * Every place (a lane, a consumer's slot) has one status word: an epoch, which
 * counts tenants; a generation, which changes whenever a tenant's state does,
 * so that the same word does not come again soon (2^24 changes); flags; and a state.
 * Words change by CAS only.
 *
 * A tenant of epoch e holds the write lock on the byte (place, e) of the ring
 * file, through an open file description that its own mapping of the ring
 * keeps alive. The lock goes exactly when no process is left that could store
 * through that mapping, however the tenant ended.
 *
 *  R1 Only a process that won epoch e by CAS (or holds the name of the cursor
 *     that is DETACHED(e - 1)) ever locks byte (place, e), and it holds the lock
 *     before it makes the word PROTECTED(e) (SETUP and later).
 *  R2 So: word PROTECTED(e), then byte (place, e) free => the tenant is gone
 *     for good. The CAS that buries it names the whole word; if the word has
 *     changed, another process has acted, and nothing is done.
 *  R3 CLAIMED is not protected. A place in that state holds no producer back, and its
 *     owner writes nothing. So any process may claim it again; the next CAS of the
 *     slower process fails.
 *  R4 Nothing but attaching takes a byte, and each byte is taken once. A helper
 *     that is stopped at any point cannot make a dead peer look alive.
 *  R5 Time never proves anything; an error of any kind means "alive".
 *
 * Lanes go FREE -> CLAIMED -> SETUP -> ACTIVE -> FREE. Consumers:
 *
 *	FREE -> CLAIMED -> SETUP -> JOINING -> ACTIVE <-> SUSPECT -> EVICTED
 *	EVICTED -> JOINING (it comes back);  any, of a dead consumer without a name -> FREE
 *	JOINING -> EVICTED (slow to join)
 *	named: ACTIVE -> DETACHED -> ACTIVE(e + 1);  DETACHED -> LAPSED (evicted)
 *	LAPSED -> SETUP(e + 1);  DETACHED, LAPSED -> FREE(e + 1) (forgotten: the
 *	holder of the name may just be going for byte e + 1)
 *
 * SUSPECT is the first half of an eviction. A producer that the consumer has held up
 * sets it; a release that finds it takes it away. If word and cursor still stand
 * unchanged after the ring's time, the same CAS chain evicts. So a producer that was
 * stopped meanwhile cannot evict a consumer that has moved on. A producer that evicts
 * for lag goes the same way without waiting: it looks at the lag after it has set SUSPECT.
 */
#ifndef SHMRING_CORE_REGISTRY_H
#define SHMRING_CORE_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

#pragma GCC visibility push(default)

enum place_state {
	PLACE_FREE = 0,
	PLACE_CLAIMED = 1,
	PLACE_SETUP = 2,
	PLACE_JOINING = 3,
	PLACE_ACTIVE = 4,
	PLACE_SUSPECT = 5,
	PLACE_EVICTED = 6,
	PLACE_DETACHED = 7,
	PLACE_LAPSED = 8,
};

#define PLACE_NAMED 1u	   /* flag: its cursor outlives it */
#define PLACE_EVICTABLE 2u /* flag: the ring's policy applies */
#define PLACE_LIMITED 4u   /* flag: it has limits of its own, in its struct holder */

/* Status word: epoch 63..32, generation 31..8, flags 7..4, state 3..0. */
static inline uint64_t status_make(uint32_t epoch, uint32_t generation, unsigned flags,
				   enum place_state state)
{
	return (uint64_t)epoch << 32 | (uint64_t)(generation & 0xffffff) << 8 | (flags & 15u) << 4 |
	       (unsigned)state;
}

static inline enum place_state status_state(uint64_t status)
{
	return (enum place_state)(status & 15);
}

static inline unsigned status_flags(uint64_t status)
{
	return status >> 4 & 15;
}

static inline uint32_t status_epoch(uint64_t status)
{
	return (uint32_t)(status >> 32);
}

/* The same tenant with other flags. */
static inline uint64_t status_with_flags(uint64_t status, unsigned flags)
{
	return (status & ~UINT64_C(0xf0)) | (flags & 15u) << 4;
}

/* The same tenant in its next state. */
static inline uint64_t status_next(uint64_t status, enum place_state state)
{
	return status_make(status_epoch(status), (uint32_t)(status >> 8) + 1, status_flags(status),
			   state);
}

/* Held by a living process, unless the byte says otherwise (R2). */
static inline bool status_protected(uint64_t status)
{
	return status_state(status) >= PLACE_SETUP && status_state(status) <= PLACE_EVICTED;
}

/* Does the cursor of such a consumer hold producers back? */
static inline bool status_gates(uint64_t status)
{
	return (status_state(status) >= PLACE_JOINING && status_state(status) <= PLACE_SUSPECT) ||
	       status_state(status) == PLACE_DETACHED;
}

/* The smaller one of two limits, of which 0 is none. */
static inline uint64_t smaller_limit(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

/* How far behind such a consumer may be: the ring's limits and its own. 0: any lag. */
static inline void registry_limits(const struct geometry *g, const struct holder *holder,
				   uint64_t status, uint64_t *ret_bytes, uint64_t *ret_ns)
{
	bool policy = (status_flags(status) & PLACE_EVICTABLE) != 0;

	*ret_bytes = policy ? g->evict_lag : 0;
	*ret_ns = policy ? g->evict_lag_ns : 0;
	if (status_flags(status) & PLACE_LIMITED) {
		*ret_bytes = smaller_limit(*ret_bytes, load_relaxed(&holder->max_lag));
		*ret_ns = smaller_limit(*ret_ns, load_relaxed(&holder->max_lag_ns));
	}
}

enum place_kind {
	PLACE_LANE = 0,
	PLACE_CONSUMER = 1,
};

static inline shm_u64 *place_status(struct registry *r, enum place_kind kind, unsigned slot)
{
	return kind == PLACE_LANE ? &r->lane_status[slot] : &r->consumer_status[slot];
}

static inline struct holder *place_holder(struct registry *r, enum place_kind kind, unsigned slot)
{
	return kind == PLACE_LANE ? &r->lane_holder[slot] : &r->consumer_holder[slot];
}

/*
 * Tries at what other processes may change at the same moment. Each try that fails means
 * that another process has got on, so a few are enough. A participant that writes what it
 * must not can make all of them fail: they end after a tenth of a second, on any machine.
 * Begins zeroed.
 */
struct tries {
	unsigned count;
	int64_t until;
};
bool shmr_try_again(struct tries *t);

/* -EBUSY, for a place that was tried so in vain. */
int shmr_place_restless(void);

/* All bytes that are ever locked lie from here on. */
#define REGISTRY_BYTES (UINT64_C(1) << 61)

/* The byte (place, epoch), and the byte whose lock holds a consumer's name. */
uint64_t shmr_place_byte(enum place_kind kind, unsigned slot, uint32_t epoch);
uint64_t shmr_name_byte(const char *name);

/* The byte by which a ring's handle knows its own description; from a random number. */
uint64_t shmr_mark_of(uint64_t random);

/*
 * Win the next epoch of a place whose status was read as `seen`, lock its byte
 * through `fd` and enter SETUP. Returns 0 and the new status; -EAGAIN if
 * another process was quicker or the place is taken; -EBUSY or another error of
 * the lock, explained.
 */
int shmr_place_take(struct registry *r, enum place_kind kind, unsigned slot, uint64_t seen, int fd,
		    uint64_t *ret_status);

/*
 * Is the tenant that `seen` names proved dead? Never takes a lock. `fd` is any
 * descriptor of the ring file.
 */
bool shmr_place_is_dead(enum place_kind kind, unsigned slot, uint64_t seen, int fd);

/*
 * Bury the tenant if it is proved dead: one CAS to the state that a dead tenant leaves.
 * True if this call did it.
 */
bool shmr_place_bury(struct registry *r, enum place_kind kind, unsigned slot, uint64_t seen,
		     int fd);

/*
 * Leave the place that the caller held when its word was `ours`, in the same state as if
 * the caller had died. The caller wakes the processes that wait.
 */
void shmr_place_leave(struct registry *r, enum place_kind kind, unsigned slot, uint64_t ours);

/* Bury all dead tenants of one kind; returns how many. */
unsigned shmr_place_bury_all(struct registry *r, enum place_kind kind, int fd);

/*
 * Find the slot of a named cursor. Returns 0 with the slot and its status, or
 * -ENOENT.
 */
int shmr_name_find(struct registry *r, const char *name, unsigned *ret_slot, uint64_t *ret_status);

/* 0, or -EINVAL with an explanation. */
int shmr_name_check(const char *name);

/* Read a name that its owner may be rewriting: the caller checks the status afterwards. */
void shmr_name_read(const struct holder *holder, char ret[SHMRING_NAME_SIZE]);

/* Write this process and its name; `name` may be NULL, and changes in state SETUP only. */
void shmr_holder_write(struct holder *holder, const char *name);

#pragma GCC visibility pop

#endif
