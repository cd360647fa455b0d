/* SPDX-License-Identifier: MIT */
/*
 * Calls of the library that must succeed, or fail in a given way.
 */
#ifndef TESTS_SUPPORT_MUST_H
#define TESTS_SUPPORT_MUST_H

#include <stdint.h>

#include <check.h>

#include <shmring/shmring.h>

/* The call succeeds; gives its result. */
#define must(call) must_succeed(__FILE__, __LINE__, #call, (call))

/* The call fails with -error, and shmring_explain() says something about it. */
#define must_fail(error, call) must_fail_with(__FILE__, __LINE__, #call, (error), (call))

int64_t must_succeed(const char *file, int line, const char *what, int64_t result);
void must_fail_with(const char *file, int line, const char *what, int error, int64_t result);

/* Longer than anything that is not broken takes, shorter than a test's limit. */
int64_t patience(void);

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t clock_now(void);

#endif
