/* SPDX-License-Identifier: MIT */
/*
 * shmringd: what it inherits, its surroundings, and the loop. The broker itself is a library
 * (broker.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "arguments.h"
#include "broker.h"
#include "config.h"
#include "harmless.h"
#include "keeper-process.h"
#include "log.h"
#include "sandbox.h"
#include "stop.h"
#include "store.h"
#include "sys.h"
#include "upgrade.h"

_Static_assert(UPGRADE_FIRST == SD_LISTEN_FDS_START, "it is as systemd hands over");

/* --- what a predecessor or systemd hands over --- */

static bool is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* False: it is a socket, but the broker cannot listen at it, or has a socket already. */
static bool inherit_one(struct broker_options *o, int fd, const char *name)
{
	if (!is_socket(fd)) {
		/* isolated.h finds out what it is */
		o->kept[o->kept_count++] = (struct kept_file){ .fd = fd };
		return true;
	}
	if (o->inherited >= 0 || sd_is_socket_unix(fd, SOCK_SEQPACKET, 1, NULL, 0) <= 0)
		return false;
	o->inherited = fd;
	o->inherited_path = name && strcmp(name, UPGRADE_NAME) == 0;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return true;
}

/* Take over the socket and the rings that systemd or the predecessor has kept. */
static int inherit(struct broker_options *o)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);
	bool sound = true;

	o->inherited = -1;
	o->inherited_path = false;
	o->kept_count = 0;
	o->complete = n > 0 && getenv(UPGRADE_COMPLETE);
	unsetenv(UPGRADE_COMPLETE);
	o->kept = calloc(n > 0 ? (size_t)n : 1, sizeof(*o->kept));
	if (!o->kept)
		return -ENOMEM;
	for (int i = 0; i < n; i++)
		sound = inherit_one(o, SD_LISTEN_FDS_START + i, names ? names[i] : NULL) && sound;
	for (char **name = names; name && *name; name++)
		free(*name);
	free(names);
	if (sound)
		return 0;
	free(o->kept);
	log_say(LOG_ERR, "systemd must hand over exactly one socket: a listening Unix socket, with "
			 "ListenSequentialPacket=");
	return -EINVAL;
}

/* --- the environment of the process --- */

static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_SETMASK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN); /* blocking is not enough: a thread of liburcu has it open */
	signal(SIGXFSZ, SIG_IGN); /* a ring that is too large for a limit is refused */
	signal(SIGCHLD, SIG_IGN); /* the broker need not wait for its children (beside.h) */
}

/*
 * The parent waits for one byte, and then leaves the child alone; returns in the child,
 * with the end of the pipe that is to get it, or a negative errno.
 */
static int go_to_background(void)
{
	int ends[2];
	char ready;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		close(ends[1]);
		exit(read(ends[0], &ready, 1) == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	close(ends[0]);
	setsid();
	return ends[1];
}

static void tell_parent(int pipe)
{
	int null;

	if (pipe < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		close(null);
	}
	if (write(pipe, "", 1) != 1)
		log_say(LOG_WARNING, "the process that started this one has ended");
	close(pipe);
}

/* --- the loop --- */

static enum broker_end run(struct broker *b)
{
	uint64_t watchdog_us = 0;
	enum broker_end end;
	int64_t next = 0;
	int timeout;

	timeout = sd_watchdog_enabled(0, &watchdog_us) > 0 ? (int)(watchdog_us / 2000) : -1;
	do {
		if (timeout >= 0 && shmr_now() >= next) {
			sd_notify(0, "WATCHDOG=1");
			next = shmr_now() + timeout * INT64_C(500000);
		}
		end = broker_round(b, timeout >= 0 ? timeout / 2 : -1);
	} while (end == BROKER_RUNS);
	return end;
}

/* Run until the broker ends, or another program replaces it. Returns the exit status. */
static int run_broker(struct arguments *a, char **argv, const char *program, int pipe)
{
	struct broker b;
	char error[512];
	enum broker_end end;
	struct legacy l = { .socket = -1 };

	if (broker_start(&b, &a->broker, error, sizeof(error)) < 0) {
		log_say(LOG_ERR, "%s", error);
		return EXIT_FAILURE;
	}
	log_say(LOG_NOTICE, "ready socket=%s directory=%s rings=%zu config=%s", a->broker.socket,
		a->broker.directory, b.rings.catalog.count,
		a->broker.config ? a->broker.config : "none");
	sd_notify(0, "READY=1");
	tell_parent(pipe);
	end = run(&b);
	sd_notify(0, end == BROKER_UPGRADE ? "RELOADING=1" : "STOPPING=1");
	if (end == BROKER_UPGRADE)
		upgrade_prepare(&b, &l);
	broker_stop(&b);
	log_say(LOG_NOTICE, end == BROKER_UPGRADE ? "ends for its successor" : "ended");
	if (end != BROKER_UPGRADE)
		return EXIT_SUCCESS;
	upgrade_go(&l, program, argv);
	return inherit(&a->broker) < 0 ? EXIT_FAILURE : -1;
}

static int broker_main(struct arguments *a, char **argv, const char *program)
{
	/* After an upgrade the broker is in the background already, in the process that others
	 * know. */
	int pipe = a->daemon && !a->broker.inherited_path ? go_to_background() : -1;
	int e = a->broker.no_sandbox ? 0 : sandbox_enter();
	int status;

	if (e < 0)
		log_say(LOG_WARNING, "goes on without a filter of system calls: %s", strerror(-e));
	a->broker.program = program;
	a->broker.argv = argv;
	while ((status = run_broker(a, argv, program, pipe)) < 0)
		pipe = -1; /* UP2 */
	return status;
}

/* UP1: what broker_start() needs, without a change to anything that a living broker has. */
static int check_start(const struct broker_options *o)
{
	struct policy *p = NULL;
	char error[512];

	if (o->config && config_load(&p, o->config, geteuid(), error, sizeof(error)) < 0) {
		log_say(LOG_ERR, "%s", error);
		return EXIT_FAILURE;
	}
	if (p)
		policy_free(p);
	if (store_check(o->directory, o->state_directory, error, sizeof(error)) < 0) {
		log_say(LOG_ERR, "%s", error);
		return EXIT_FAILURE;
	}
	fputs(UPGRADE_READY, stdout);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int check_config(const char *file)
{
	struct policy *p;
	char error[512];

	if (config_load(&p, file, geteuid(), error, sizeof(error)) < 0) {
		text_harmless(error, sizeof(error), error);
		fprintf(stderr, "%s\n", error);
		return EXIT_FAILURE;
	}
	text_harmless(error, sizeof(error), file);
	printf("%s: rules=%zu limits=%zu rings=%zu\n", error, p->rule_count, p->limit_count,
	       p->ring_count);
	policy_free(p);
	return EXIT_SUCCESS;
}

/*
 * A program that was started with closed standard descriptors would get their numbers
 * for files of its own, and then print into them. "/" opened as a mere path takes their
 * places: to read or to write it fails with EBADF, just as if they were still closed, so
 * output that goes nowhere is reported and not taken for success.
 */
static bool fill_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH | O_DIRECTORY) != fd)
			return false;
	return true;
}

int main(int argc, char **argv)
{
	struct arguments a = { .level = LOG_INFO };
	char program[PATH_MAX] = "";
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	error_t err;

	if (!fill_standard_descriptors())
		return EXIT_FAILURE;
	if (argc > 0 && keeper_process_is_it(argv[0]))
		return keeper_process_run(argc, argv);
	err = arguments_parse(argc, argv, &a);
	if (err != 0) {
		fprintf(stderr, "shmringd: %s\n", strerror(err));
		return EXIT_FAILURE;
	}
	if (a.check)
		return check_config(a.check);
	log_begin(a.level);
	if (a.stop)
		return arguments_choose_socket(&a.broker) ? stop_broker(a.broker.socket)
							  : EXIT_FAILURE;
	if (a.check_start)
		return arguments_choose_paths(&a.broker) ? check_start(&a.broker) : EXIT_FAILURE;
	block_signals();
	raise_descriptors();
	if (n < 0 || !arguments_choose_paths(&a.broker) || inherit(&a.broker) < 0)
		return EXIT_FAILURE;
	return broker_main(&a, argv, program);
}
