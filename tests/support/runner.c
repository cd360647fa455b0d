/* SPDX-License-Identifier: MIT */
/*
 * Runs the tests of one program and prints their results as TAP.
 *
 * check writes TAP itself, but knows no skipped tests, and lets messages run
 * over several lines; so its lines go to a file first. It runs one test after
 * the other: the n-th result is that of the n-th test that entered its room.
 */
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "room.h"

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

int run_suite(Suite *s)
{
	SRunner *runner = srunner_create(s);
	char path[] = "/tmp/shmring-tap-XXXXXX";
	int fd = mkstemp(path);
	FILE *tap = fd >= 0 ? fdopen(fd, "r") : NULL;
	int failed;

	if (!tap) {
		perror(path);
		return 1;
	}
	rooms_open();
	srunner_set_fork_status(runner, CK_FORK);
	srunner_set_tap(runner, path);
	srunner_run_all(runner, CK_SILENT);
	print_results(tap);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	rooms_close();
	fclose(tap);
	unlink(path);
	return failed ? 1 : 0;
}
