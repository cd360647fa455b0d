/* SPDX-License-Identifier: MIT */
/*
 * The broker as it is installed, see shmringd.h.
 */
#include "shmringd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <check.h>
#include <shmring/shmring.h>

#include "must.h"
#include "room.h"

static char program[PATH_MAX];

static void find_program(void)
{
	const char *given = getenv("SHMRINGD"), *top = getenv("abs_builddir");

	if (given && *given)
		snprintf(program, sizeof(program), "%s", given);
	else
		snprintf(program, sizeof(program), "%s/daemon/shmringd", top ? top : ".");
	if (access(program, X_OK) != 0)
		room_skip("there is no broker to run: %s", program);
}

static void write_rules(const char *rules)
{
	FILE *f = fopen(room_path("rules"), "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(rules ? rules : "", f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static int run(int socket, void *arg)
{
	const char *argv[] = { program,
			       "--quiet",
			       "--socket",
			       room_path("broker"),
			       "--directory",
			       room_path("rings"),
			       "--state-directory",
			       room_disk_path("state"),
			       "--config",
			       room_path("rules"),
			       room_is_sanitized() ? "--no-sandbox" : NULL,
			       NULL };

	(void)socket;
	(void)arg;
	execv(program, (char *const *)(uintptr_t)argv);
	fprintf(stderr, "%s: %s\n", program, strerror(errno));
	return 126;
}

/* Wait until the broker accepts a connection. */
static void await(void)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	int64_t deadline = patience();
	struct shmring_broker *b;

	while (shmring_broker_open(&b, NULL) < 0) {
		ck_assert_msg(clock_now() < deadline, "the broker does not come: %s",
			      shmring_explain());
		clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
	}
	shmring_broker_close(b);
}

void shmringd_restart(struct child *c)
{
	child_fork(c, run, NULL);
	await();
}

void shmringd_start(struct child *c, const char *rules)
{
	/* The broker's files may stay in the room. */
	static const char *const left[] = { "rings", "rings/.lock", "broker.lock",
					    "rings/.broker" };

	find_program();
	for (unsigned i = 0; i < sizeof(left) / sizeof(left[0]); i++)
		room_path(left[i]);
	room_disk_path("state");
	room_disk_path("state/.lock");
	write_rules(rules);
	ck_assert_int_eq(setenv("SHMRING_BROKER", room_path("broker"), 1), 0);
	shmringd_restart(c);
}

void shmringd_end(struct child *c)
{
	ck_assert_int_eq(kill(c->pid, SIGTERM), 0);
	child_end(c);
}
