/* SPDX-License-Identifier: MIT */
/*
 * Runs the tests of one program and prints their results as TAP.
 *
 *	PROGRAM			all tests, each in a process of its own
 *	PROGRAM NAME...		these tests only
 *	PROGRAM --no-fork NAME	one test in this process, for a debugger
 *	PROGRAM --list		the names
 */
#ifndef TESTS_SUPPORT_RUNNER_H
#define TESTS_SUPPORT_RUNNER_H

#include <stdbool.h>

#include <check.h>

/*
 * The tests that the command line selects are added, the others are not. The
 * library for tests can select whole cases only.
 */
#undef tcase_add_test
#define tcase_add_test(tc, test) tcase_add_loop_test(tc, test, 0, 1)
#undef tcase_add_loop_test
#define tcase_add_loop_test(tc, test, start, end)                            \
	do {                                                                 \
		if (runner_selects((test)->name))                            \
			_tcase_add_test((tc), (test), 0, 0, (start), (end)); \
	} while (0)

/* Does the command line select the test of this name? Without names it selects all. */
bool runner_selects(const char *name);

/* Run the suite, each test in a process of its own; what main() returns. */
int run_suite(Suite *s);

#endif
