/* SPDX-License-Identifier: MIT */
/*
 * Runs the tests of one program and prints their results as TAP.
 */
#ifndef TESTS_SUPPORT_RUNNER_H
#define TESTS_SUPPORT_RUNNER_H

#include <check.h>

/* Run the suite, each test in a process of its own; what main() returns. */
int run_suite(Suite *s);

#endif
