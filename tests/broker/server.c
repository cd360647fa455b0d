/* SPDX-License-Identifier: MIT */
/*
 * A broker of the test's own; see server.h. Its log goes to a memory file.
 */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "room.h"

enum { PATIENCE_MS = 20000, MAX_SERVERS = 8 };

/* The logs, by the notify descriptor's number: tests look at them long after. */
static struct log {
	int notify, fd;
} logs[MAX_SERVERS];
static unsigned log_count;

struct start {
	const char *const *argv;
	const char *notify;
	int log, handed;
};

static const char *other_program;

void server_program(const char *path)
{
	other_program = path;
}

static int bind_notify(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_uint_lt(strlen(path), sizeof(address.sun_path));
	strcpy(address.sun_path, path);
	unlink(path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int become(int socket, void *arg)
{
	const struct start *start = arg;
	char program[PATH_MAX], pid[16];
	const char *top = getenv("abs_builddir");
	char *argv[SERVER_ARGUMENTS + 8];
	unsigned n = 0;

	(void)socket;
	if (other_program)
		snprintf(program, sizeof(program), "%s", other_program);
	else
		snprintf(program, sizeof(program), "%s/daemon/shmringd", top ? top : ".");
	argv[n++] = program;
	for (; start->argv[n - 1]; n++)
		argv[n] = strdup(start->argv[n - 1]);
	argv[n] = NULL;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("NOTIFY_SOCKET", start->notify, 1);
	dup2(start->log, STDOUT_FILENO);
	dup2(start->log, STDERR_FILENO);
	if (start->handed >= 0) {
		dup2(start->handed, 3);
		fcntl(3, F_SETFD, 0);
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", "1", 1);
	}
	execv(program, argv);
	fprintf(stderr, "%s: %s\n", program, strerror(errno));
	return 126;
}

void server_begin(struct server *s, const char *const *extra, int handed)
{
	const char *argv[SERVER_ARGUMENTS + 6];
	struct start start = { .argv = argv, .handed = handed };
	char name[32];
	unsigned n = 0;

	s->socket = room_path("broker");
	room_path("broker.lock");
	s->directory = room_path("rings");
	argv[n++] = "--socket";
	argv[n++] = s->socket;
	argv[n++] = "--directory";
	argv[n++] = s->directory;
	if (room_is_sanitized())
		argv[n++] = "--no-sandbox";
	while (extra && *extra)
		argv[n++] = *extra++;
	argv[n] = NULL;
	ck_assert_uint_lt(log_count, MAX_SERVERS);
	snprintf(name, sizeof(name), "notify-%u", log_count);
	start.notify = room_path(name);
	s->notify = bind_notify(start.notify);
	start.log = memfd_create("log", MFD_CLOEXEC);
	ck_assert_int_ge(start.log, 0);
	ck_assert_int_eq(fcntl(start.log, F_SETFL, O_APPEND), 0);
	logs[log_count++] = (struct log){ s->notify, start.log };
	child_fork(&s->child, become, &start);
}

static int log_of(const struct server *s)
{
	for (unsigned i = 0; i < log_count; i++)
		if (logs[i].notify == s->notify)
			return logs[i].fd;
	ck_abort_msg("this server has no log");
}

/* The last of it. */
static void read_log(const struct server *s, char *ret, size_t size)
{
	off_t length = lseek(log_of(s), 0, SEEK_END);
	off_t at = length < (off_t)size ? 0 : length - (off_t)size + 1;
	ssize_t n = pread(log_of(s), ret, size - 1, at);

	ck_assert_int_ge(n, 0);
	ret[n] = '\0';
}

bool server_said(const struct server *s, const char *words)
{
	size_t size = (size_t)lseek(log_of(s), 0, SEEK_END) + 1;
	char *text = malloc(size);
	bool said;

	ck_assert_ptr_nonnull(text);
	read_log(s, text, size);
	said = strstr(text, words) != NULL;
	free(text);
	return said;
}

void server_await_words(const struct server *s, const char *words)
{
	struct pollfd ended = { .fd = s->child.pidfd, .events = POLLIN };
	int64_t limit = patience();
	char text[2048];

	while (!server_said(s, words)) {
		read_log(s, text, sizeof(text));
		ck_assert_msg(clock_now() < limit, "the broker does not say '%s' but: %s", words,
			      text);
		poll(&ended, 1, 1);
	}
}

void server_await(struct server *s, const char *line)
{
	struct pollfd what[2] = { { .fd = s->notify, .events = POLLIN },
				  { .fd = s->child.pidfd, .events = POLLIN } };
	char text[512], log[4096];
	ssize_t n;

	do {
		ck_assert_int_ge(poll(what, 2, PATIENCE_MS), 1);
		read_log(s, log, sizeof(log));
		ck_assert_msg(what[0].revents & POLLIN, "no %s, the broker has ended: %s", line,
			      log);
		n = recv(s->notify, text, sizeof(text) - 1, 0);
		ck_assert_int_gt(n, 0);
		text[n] = '\0';
	} while (!strstr(text, line));
}

void server_start(struct server *s, const char *const *extra)
{
	server_begin(s, extra, -1);
	server_await(s, "READY=1");
}

/* The first child of that name; 0: there is none. */
static pid_t find_child(pid_t parent, const char *wanted)
{
	char path[64], name[32];
	FILE *list, *comm;
	pid_t found = 0;
	int pid;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	list = fopen(path, "re");
	ck_assert_ptr_nonnull(list);
	while (found == 0 && fscanf(list, "%d", &pid) == 1) {
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		comm = fopen(path, "re");
		if (comm && fgets(name, sizeof(name), comm) && strcmp(name, wanted) == 0)
			found = pid;
		if (comm)
			fclose(comm);
	}
	fclose(list);
	return found;
}

bool server_has_keeper(const struct server *s)
{
	return find_child(s->child.pid, "shmring-keeper\n") != 0;
}

pid_t server_keeper(const struct server *s)
{
	struct pollfd ended = { .fd = s->child.pidfd, .events = POLLIN };
	int64_t limit = patience();
	pid_t pid;

	while ((pid = find_child(s->child.pid, "shmring-keeper\n")) == 0) {
		ck_assert_msg(clock_now() < limit, "the broker has no keeper");
		poll(&ended, 1, 1);
	}
	return pid;
}

void server_signal(struct server *s, int number)
{
	ck_assert_int_eq(kill(s->child.pid, number), 0);
}

static void forget(struct server *s)
{
	for (unsigned i = 0; i < log_count; i++)
		if (logs[i].notify == s->notify) {
			close(logs[i].fd);
			logs[i] = logs[--log_count];
			break;
		}
	close(s->notify);
}

static void await_end(struct server *s, int code, int status)
{
	struct pollfd ended = { .fd = s->child.pidfd, .events = POLLIN };
	char log[8192];
	siginfo_t info;

	ck_assert_msg(poll(&ended, 1, PATIENCE_MS) == 1, "the broker does not end");
	ck_assert_int_eq(waitid(P_PID, (id_t)s->child.pid, &info, WEXITED), 0);
	read_log(s, log, sizeof(log));
	ck_assert_msg(info.si_code == code && info.si_status == status,
		      "the broker ended with code %d, status %d: %s", info.si_code, info.si_status,
		      log);
	child_drop(&s->child);
}

void server_stop(struct server *s)
{
	server_signal(s, SIGTERM);
	await_end(s, CLD_EXITED, 0);
	forget(s);
}

void server_must_fail(struct server *s, int status)
{
	await_end(s, CLD_EXITED, status);
	forget(s);
}

void server_kill(struct server *s)
{
	server_signal(s, SIGKILL);
	await_end(s, CLD_KILLED, SIGKILL);
	forget(s);
}

const char *server_config(const char *text)
{
	const char *path = room_path("shmringd.conf");
	FILE *f = fopen(path, "we");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	return path;
}

const char *server_ring(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "rings/.%s", name);
	room_path(path);
	snprintf(path, sizeof(path), "rings/%s", name);
	return room_path(path);
}
