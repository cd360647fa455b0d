/* SPDX-License-Identifier: MIT */
/*
 * Runs the tests of one program and prints their results as TAP.
 *
 * check writes TAP itself, but knows no skipped tests, and lets messages run
 * over several lines; so its lines go to a file first. It runs one test after
 * the other: the n-th result is that of the n-th test that entered its room.
 */
#include "runner.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "room.h"

enum { MAX_NAMES = 64 };

static struct {
	char **names; /* the tests to run; none: all */
	int count;
	uint64_t found; /* bit i: a test has the i-th name */
	bool list;
	bool no_fork;
} selection;

/*
 * The arguments, before main() adds the tests. A program that has options of its own
 * (the sweep, the fault product) reads them itself.
 */
static void __attribute__((constructor)) read_arguments(int argc, char **argv)
{
	int i = 1;

	for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
		if (strcmp(argv[i], "--list") == 0)
			selection.list = true;
		else if (strcmp(argv[i], "--no-fork") == 0)
			selection.no_fork = true;
		else
			return;
	}
	selection.names = argv + i;
	selection.count = argc - i < MAX_NAMES ? argc - i : MAX_NAMES;
}

bool runner_selects(const char *name)
{
	if (selection.list)
		puts(name);
	if (selection.count == 0)
		return true;
	for (int i = 0; i < selection.count; i++) {
		if (strcmp(selection.names[i], name) == 0) {
			selection.found |= UINT64_C(1) << i;
			return true;
		}
	}
	return false;
}

/* A misspelt name runs nothing, which must not look like success. */
static bool selection_is_sound(void)
{
	bool sound = true;

	for (int i = 0; i < selection.count; i++) {
		if ((selection.found >> i & 1) != 0)
			continue;
		fprintf(stderr, "no test has the name '%s'; --list shows the names\n",
			selection.names[i]);
		sound = false;
	}
	return sound;
}

static void print_result(const char *line, unsigned index)
{
	const char *reason = rooms_skipped(index);

	if (strncmp(line, "ok ", 3) == 0 && *reason)
		printf("%s # SKIP %s\n", line, reason);
	else
		puts(line);
}

static void print_results(FILE *tap)
{
	char *line = NULL;
	size_t size = 0;
	unsigned index = 0;

	while (getline(&line, &size, tap) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "ok ", 3) == 0 || strncmp(line, "not ok ", 7) == 0)
			print_result(line, index++);
		else if (strncmp(line, "1..", 3) == 0)
			puts(line);
		else
			printf("# %s\n", line);
	}
	free(line);
}

static int run(SRunner *runner)
{
	char path[] = "/tmp/shmring-tap-XXXXXX";
	int fd = mkstemp(path);
	FILE *tap = fd >= 0 ? fdopen(fd, "r") : NULL;
	int failed;

	if (!tap) {
		perror(path);
		return 1;
	}
	rooms_open();
	srunner_set_fork_status(runner, selection.no_fork ? CK_NOFORK : CK_FORK);
	srunner_set_tap(runner, path);
	srunner_run_all(runner, CK_SILENT);
	print_results(tap);
	failed = srunner_ntests_failed(runner);
	rooms_close();
	fclose(tap);
	unlink(path);
	return failed ? 1 : 0;
}

int run_suite(Suite *s)
{
	SRunner *runner = srunner_create(s);
	int status = 0;

	if (!selection.list)
		status = selection_is_sound() ? run(runner) : 2;
	srunner_free(runner);
	return status;
}
