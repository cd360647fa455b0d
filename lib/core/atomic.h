/* SPDX-License-Identifier: MIT */
/*
 * atomic: the only spelling of atomic access to shared words.
 *
 * Every ordering edge of the ring carries a label at both of its ends, as in
 * "[PUBLISH] pairs with shmring_peek()"; `grep -rn '\[PUBLISH\]' lib include` shows
 * an edge whole. The labels are listed in docs/layout.md.
 *
 * Only lock-free words of 4 and 8 bytes are used, so that the same word means
 * the same to two processes whatever compiler built them.
 */
#ifndef SHMRING_CORE_ATOMIC_H
#define SHMRING_CORE_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fault.h"

typedef _Atomic(uint64_t) shm_u64;
typedef _Atomic(uint32_t) shm_u32;

_Static_assert(sizeof(shm_u64) == 8 && sizeof(shm_u32) == 4, "atomics carry no lock");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "atomics are lock-free");

/* For the inline functions of the public headers, which use builtins. */
static inline uint64_t *plain_words(shm_u64 *word)
{
	return (uint64_t *)(uintptr_t)word;
}

static inline uint64_t load_relaxed(const shm_u64 *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static inline uint64_t load_acquire(const shm_u64 *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

static inline void store_relaxed(shm_u64 *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

static inline void store_release(shm_u64 *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

/* Sequentially consistent: the operations that decide who owns what. */
static inline bool compare_and_swap(shm_u64 *word, uint64_t expected, uint64_t value)
{
	return atomic_compare_exchange_strong(word, &expected, value);
}

static inline uint64_t exchange(shm_u64 *word, uint64_t value)
{
	return atomic_exchange(word, value);
}

static inline uint64_t fetch_or(shm_u64 *word, uint64_t bits)
{
	return atomic_fetch_or(word, bits);
}

static inline uint64_t fetch_and(shm_u64 *word, uint64_t bits)
{
	return atomic_fetch_and(word, bits);
}

static inline uint32_t load_acquire32(const shm_u32 *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

static inline void store_release32(shm_u32 *word, uint32_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

static inline uint32_t fetch_add32(shm_u32 *word, uint32_t value)
{
	return atomic_fetch_add(word, value);
}

static inline bool compare_and_swap32(shm_u32 *word, uint32_t expected, uint32_t value)
{
	return atomic_compare_exchange_strong(word, &expected, value);
}

static inline void fence_full(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

static inline void fence_acquire(void)
{
	atomic_thread_fence(memory_order_acquire);
}

static inline void fence_release(void)
{
	atomic_thread_fence(memory_order_release);
}

/*
 * Keeps the compiler from moving a store behind a later load; the processor is
 * kept from it by the barrier that membarrier(2) forces on it when the other
 * side goes to sleep (doorbell.h).
 */
static inline void fence_compiler(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/*
 * Keeps the compiler to the order in which a signal handler of this thread is to find
 * stores; it sees them in program order on every processor.
 */
static inline void fence_signal(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/* A pause for the sibling and the memory system while spinning. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__("isb");
#endif
}

/*
 * Under --enable-fault-points each of these is a place where a test can stop us;
 * the builtin is how the inline functions of the public headers store.
 */
#ifdef SHMR_FAULT_POINTS
#define store_relaxed(word, value) FAULT_AROUND_VOID(store_relaxed(word, value))
#define store_release(word, value) FAULT_AROUND_VOID(store_release(word, value))
#define compare_and_swap(word, old, new) FAULT_AROUND(compare_and_swap(word, old, new))
#define compare_and_swap32(word, old, new) FAULT_AROUND(compare_and_swap32(word, old, new))
#define exchange(word, value) FAULT_AROUND(exchange(word, value))
#define fetch_or(word, bits) FAULT_AROUND(fetch_or(word, bits))
#define fetch_and(word, bits) FAULT_AROUND(fetch_and(word, bits))
#define fetch_add32(word, value) FAULT_AROUND(fetch_add32(word, value))
#define __atomic_store_n(word, value, order) FAULT_AROUND_VOID(__atomic_store_n(word, value, order))
#endif

#endif
