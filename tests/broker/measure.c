/* SPDX-License-Identifier: MIT */
/*
 * No test: how many attachments a broker grants per second with one and with a
 * thousand rings, how long a client takes from nothing to its first ring, and what a
 * ring and a client cost the broker in memory.
 *
 *	tests/broker/measure DIRECTORY [SHMRINGD]
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "proto.h"
#include "raw.h"

enum { RINGS = 1000, CLIENTS = 1000, SECONDS = 2 };

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static pid_t start(const char *program, const char *directory, const char *socket,
		   const char *config)
{
	pid_t pid;
	int ready[2];
	char byte;

	if (pipe(ready) < 0)
		exit(1);
	pid = fork();
	if (pid == 0) {
		char rings[256];

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(rings, sizeof(rings), "%s/rings", directory);
		close(ready[0]);
		dup2(ready[1], STDERR_FILENO); /* its first word is that it is ready */
		execl(program, program, "-s", socket, "-d", rings, "-c", config, (char *)NULL);
		exit(126);
	}
	close(ready[1]);
	if (pid < 0 || read(ready[0], &byte, 1) != 1)
		exit(1);
	return pid;
}

static double kib(pid_t pid, const char *what)
{
	char path[64], line[256];
	double value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, what, strlen(what)) == 0)
			value = atof(line + strlen(what));
	if (f)
		fclose(f);
	return value;
}

struct memory {
	double anonymous, shared;
};

static struct memory memory_of(pid_t pid)
{
	return (struct memory){ kib(pid, "RssAnon:"), kib(pid, "RssShmem:") };
}

static void say_memory(const char *what, struct memory a, struct memory b, int count)
{
	printf("per %s: %.2f KiB of its own, %.2f KiB of shared pages seen\n", what,
	       (b.anonymous - a.anonymous) / count, (b.shared - a.shared) / count);
}

static void attach_rate(int s, uint64_t ring, int rings)
{
	double begun = now(), end = begun + SECONDS;
	unsigned count = 0;
	uint64_t grant;
	int fd;

	for (; now() < end; count++) {
		if (raw_attach(s, ring, PROTO_PRODUCE, &grant, &fd) < 0)
			exit(1);
		close(fd);
		raw_detach(s, grant);
	}
	printf("%d rings: %.0f attachments/s granted and given back\n", rings,
	       count / (now() - begun));
}

static void open_rate(const char *socket, int rings)
{
	double begun = now(), end = begun + SECONDS;
	unsigned count = 0;
	char name[32];
	uint64_t ring;
	int fd;

	for (; now() < end; count++) {
		int s = raw_hello(socket);

		snprintf(name, sizeof(name), "ring-%u", count % (unsigned)rings);
		if (raw_open(s, name, 0, &ring) < 0 ||
		    raw_attach(s, ring, PROTO_PRODUCE, NULL, &fd) < 0)
			exit(1);
		close(fd);
		close(s);
	}
	printf("%d rings: %.0f clients/s connected, greeted, opened, attached and gone\n", rings,
	       count / (now() - begun));
}

static char **arguments;

/* The raw client asserts, so this is a test to check. */
START_TEST(measure)
{
	static const char limits[] = "limits = ( { who = \"*\"; connections = 100000; rings = "
				     "100000; bytes = \"100 TiB\"; attachments = 100000; "
				     "descriptors = 100000; } );\n";
	char socket[256], config[256], name[32];
	const char *program = arguments[2] ? arguments[2] : "daemon/shmringd";
	struct memory before;
	uint64_t ring;
	FILE *f;
	pid_t pid;
	int s;

	snprintf(socket, sizeof(socket), "%s/socket", arguments[1]);
	snprintf(config, sizeof(config), "%s/conf", arguments[1]);
	f = fopen(config, "we");
	ck_assert(f && fputs(limits, f) >= 0 && fclose(f) == 0);
	pid = start(program, arguments[1], socket, config);
	s = raw_hello(socket);
	raw_make(s, "ring-0", &ring);
	attach_rate(s, ring, 1);
	open_rate(socket, 1);
	before = memory_of(pid);
	for (int i = 1; i < RINGS; i++) {
		int t = raw_hello(socket);

		snprintf(name, sizeof(name), "ring-%d", i);
		ck_assert_int_eq(raw_make(t, name, NULL), 0);
		close(t);
	}
	close(raw_hello(socket));
	say_memory("ring", before, memory_of(pid), RINGS - 1);
	attach_rate(s, ring, RINGS);
	open_rate(socket, RINGS);
	before = memory_of(pid);
	for (int i = 0; i < CLIENTS; i++)
		raw_hello(socket);
	say_memory("client", before, memory_of(pid), CLIENTS);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *s = suite_create("measure");
	TCase *tc = tcase_create("measure");
	SRunner *runner = srunner_create(s);
	int failed;

	if (argc < 2)
		return 2;
	arguments = argv;
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, measure);
	suite_add_tcase(s, tc);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_MINIMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
