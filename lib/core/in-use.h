/* SPDX-License-Identifier: MIT */
/*
 * in-use: a handle that a second thread, or a signal handler, enters during a call.
 *
 * Each handle has a word that says which thread is in a call on it.
 *
 * In every build the calls that sleep set this word, and the calls that are not on the
 * path of every message look at it. It costs nothing there.
 *
 * In a build with --enable-handle-checks (SHMR_HANDLE_CHECKS) every public call takes the
 * word before it does anything else: lib/producer/checked.c, lib/consumer/checked.c. The
 * functions that programs inline then leave everything to their slow halves.
 */
#ifndef SHMRING_CORE_IN_USE_H
#define SHMRING_CORE_IN_USE_H

#include "atomic.h"

#ifdef SHMR_HANDLE_CHECKS
#define HANDLE_CHECKS true
#else
#define HANDLE_CHECKS false
#endif

/*
 * Part of a handle, so that a child of fork finds it zeroed. In a build with checks an open
 * claim keeps the word between the calls: another thread is refused without taking it. If it
 * took it for that moment, the commit of the thread that has the claim would be refused.
 */
struct in_use {
	shm_u32 user; /* the thread that is in a call, or claim_of() the claimer; 0: none */
	uint32_t
		claimer; /* the thread that has opened the claim, in a build with checks; 0: none */
};

/* `user` between the calls of a thread that has opened a claim. Threads' numbers are smaller. */
static inline uint32_t claim_of(uint32_t thread)
{
	return thread | 0x80000000;
}

#pragma GCC visibility push(default)

/* -EBUSY: `user` is in a call on this handle, or has opened a claim. */
int shmr_use_refused(uint32_t user);

/* The number of this thread. In a build without checks the same for all. */
uint32_t shmr_use_thread(void);

/* In a child of fork: the thread has another number there. */
void shmr_use_forked(void);

#pragma GCC visibility pop

/* Is no thread in a call on the handle? 0 or -EBUSY. [USE] pairs with use_end(). */
static inline int use_check(const struct in_use *u)
{
	uint32_t user = load_acquire32(&u->user);

	return __builtin_expect(user != 0, 0) ? shmr_use_refused(user) : 0;
}

/*
 * Enter a call: 0 or -EBUSY. Without checks two threads that come at the same moment
 * both enter. [USE] pairs with use_end().
 */
static inline int use_begin(struct in_use *u)
{
#ifdef SHMR_HANDLE_CHECKS
	uint32_t self = shmr_use_thread();

	if (compare_and_swap32(&u->user, 0, self) ||
	    compare_and_swap32(&u->user, claim_of(self), self))
		return 0;
	return shmr_use_refused(load_acquire32(&u->user));
#else
	int e = use_check(u);

	if (e == 0)
		store_release32(&u->user, shmr_use_thread());
	return e;
#endif
}

#ifdef SHMR_HANDLE_CHECKS
/*
 * Enter the call that ends the handle, which a claim of another thread does not hinder.
 * [USE] pairs with use_end().
 */
static inline int use_begin_last(struct in_use *u)
{
	uint32_t user = load_acquire32(&u->user);

	if (user == claim_of(user) && compare_and_swap32(&u->user, user, shmr_use_thread()))
		return 0;
	return use_begin(u);
}
#endif

/* [USE] pairs with use_begin(), use_check() */
static inline void use_end(struct in_use *u)
{
	store_release32(&u->user, u->claimer != 0 ? claim_of(u->claimer) : 0);
}

/*
 * The same for the inner functions of a library. In a build with checks they have nothing
 * to do: the call that they are part of holds the word.
 */
static inline int use_check_unless_checked(const struct in_use *u)
{
	return HANDLE_CHECKS ? 0 : use_check(u);
}

static inline int use_begin_sleep(struct in_use *u)
{
	return HANDLE_CHECKS ? 0 : use_begin(u);
}

static inline void use_end_sleep(struct in_use *u)
{
	if (!HANDLE_CHECKS)
		use_end(u);
}

#endif
