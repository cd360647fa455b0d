/* SPDX-License-Identifier: MIT */
/*
 * What the public headers share and programs do not use: assertions about the binary
 * interface, and the types that the inline halves of both roles have. <shmring/shmring.h>
 * includes it.
 */
#ifndef SHMRING_ABI_INLINE_H
#define SHMRING_ABI_INLINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the binary interface fixes, noticed by every compiler that reads these headers. */
#ifdef __cplusplus
#define SHMRING_ASSERT(condition) static_assert(condition, #condition)
#else
#define SHMRING_ASSERT(condition) __extension__ _Static_assert(condition, #condition)
#endif
#define SHMRING_ASSERT_OFFSET(type, member, offset) \
	SHMRING_ASSERT(offsetof(struct type, member) == (offset))
#define SHMRING_ASSERT_SIZE(type, size) SHMRING_ASSERT(sizeof(struct type) == (size))

/* Conversions without a warning in C and C++: of a pointer, and of a number. */
#ifdef __cplusplus
#define SHMRING_POINTER(type, value) reinterpret_cast<type *>(value)
#define SHMRING_NUMBER(type, value) static_cast<type>(value)
#else
#define SHMRING_POINTER(type, value) ((type *)(value))
#define SHMRING_NUMBER(type, value) ((type)(value))
#endif

/* A boundary between the records of a lane, and the totals before it; not for programs. */
struct shmring_boundary {
	uint64_t position;
	uint64_t seq;
	uint64_t bytes;
};

SHMRING_ASSERT_OFFSET(shmring_boundary, position, 0);
SHMRING_ASSERT_OFFSET(shmring_boundary, seq, 8);
SHMRING_ASSERT_OFFSET(shmring_boundary, bytes, 16);
SHMRING_ASSERT_SIZE(shmring_boundary, 24);

/* Two words that are loaded and stored together; not for programs. */
typedef uint64_t shmring_pair __attribute__((__vector_size__(16), __aligned__(8), __may_alias__));

/*
 * The processor's counter, not read before what precedes; 0: this processor has none. For the
 * stamps of rings, not for programs. A macro, because other inline functions use it.
 */
#if defined(__x86_64__)
#define SHMRING_COUNTER()                                                                       \
	__extension__({                                                                         \
		uint64_t low_, high_;                                                           \
		__asm__ __volatile__("lfence\n\trdtsc" : "=a"(low_), "=d"(high_) : : "memory"); \
		high_ << 32 | low_;                                                             \
	})
#elif defined(__aarch64__)
#define SHMRING_COUNTER()                                                                        \
	__extension__({                                                                          \
		uint64_t counter_;                                                               \
		__asm__ __volatile__("isb\n\tmrs %0, cntvct_el0" : "=r"(counter_) : : "memory"); \
		counter_;                                                                        \
	})
#else
#define SHMRING_COUNTER() UINT64_C(0)
#endif

#ifdef __cplusplus
}
#endif

#endif
