/* SPDX-License-Identifier: MIT */
/*
 * upgrade: see upgrade.h.
 */
#include "upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "beside.h"
#include "broker.h"
#include "log.h"
#include "succession.h"
#include "sys.h"

#define LIMIT_NS INT64_C(5000000000)

/* --- the check (UP1) --- */

static void end_output(struct broker *b)
{
	int fd = b->upgrade.output.fd;

	loop_remove(&b->loop, &b->upgrade.output);
	if (fd >= 0)
		close(fd);
}

static void end_check(struct broker *b)
{
	struct upgrade *u = &b->upgrade;

	end_output(b);
	loop_remove(&b->loop, &u->process);
	if (u->pidfd >= 0)
		close(u->pidfd);
	u->pidfd = -1;
	u->deadline = 0;
}

static void refuse(struct broker *b, const char *why)
{
	end_check(b);
	log_say(LOG_ERR, "no upgrade: %s; this program goes on", why);
	sd_notifyf(0, "STATUS=No upgrade: %s", why);
}

/* The last line that the program wrote. */
static const char *last_line(struct upgrade *u)
{
	static const char prefix[] = "shmringd: ";
	char *line;

	while (u->length > 0 && u->text[u->length - 1] == '\n')
		u->length--;
	u->text[u->length] = '\0';
	line = strrchr(u->text, '\n');
	line = line ? line + 1 : u->text;
	return strncmp(line, prefix, sizeof(prefix) - 1) == 0 ? line + sizeof(prefix) - 1 : line;
}

static void judge(struct broker *b)
{
	struct upgrade *u = &b->upgrade;
	const size_t size = sizeof(UPGRADE_READY) - 1;
	char why[1200];

	if (u->late) {
		refuse(b, "the new program did not say within five seconds whether it can start");
		return;
	}
	if (u->length >= size && memcmp(u->text + u->length - size, UPGRADE_READY, size) == 0) {
		end_check(b);
		sd_notify(0, "STATUS=");
		b->end = BROKER_UPGRADE;
		return;
	}
	snprintf(why, sizeof(why), "%s cannot start: %s", b->options.program,
		 u->length > 0 ? last_line(u) : "it ended without a message");
	refuse(b, why);
}

static void process_ended(struct watch *watch, uint32_t events)
{
	(void)events;
	judge(watch_owner(watch, struct broker, upgrade.process));
}

/* The program has written everything. It has to end before the broker believes it. */
static void await_end(struct broker *b)
{
	struct upgrade *u = &b->upgrade;

	end_output(b);
	if (u->pidfd < 0 || loop_add(&b->loop, &u->process, u->pidfd, EPOLLIN, process_ended) < 0)
		judge(b);
}

/* If the program writes much, the end of the text counts. */
static void output_ready(struct watch *watch, uint32_t events)
{
	struct broker *b = watch_owner(watch, struct broker, upgrade.output);
	struct upgrade *u = &b->upgrade;
	ssize_t n;

	(void)events;
	if (u->length > sizeof(u->text) / 2) {
		memmove(u->text, u->text + u->length - sizeof(u->text) / 2, sizeof(u->text) / 2);
		u->length = sizeof(u->text) / 2;
	}
	n = read(watch->fd, u->text + u->length, sizeof(u->text) - 1 - u->length);
	if (n > 0)
		u->length += (size_t)n;
	else if (n == 0 || errno != EAGAIN)
		await_end(b);
}

static int start_check(struct broker *b, int out)
{
	static char option[] = "--check-start";
	char **argv = b->options.argv, **checked;
	size_t count = 0;
	pid_t pid;

	while (argv[count])
		count++;
	checked = calloc(count + 2, sizeof(*checked));
	if (!checked)
		return -ENOMEM;
	checked[0] = argv[0];
	checked[1] = option;
	memcpy(checked + 2, argv + 1, count * sizeof(*checked));
	pid = start_beside(b->options.program, checked, -1, out);
	free(checked);
	if (pid >= 0)
		b->upgrade.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return pid < 0 ? (int)pid : 0;
}

static int open_output(struct broker *b, int ends[2])
{
	int e;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	e = loop_add(&b->loop, &b->upgrade.output, ends[0], EPOLLIN, output_ready);
	if (e < 0) {
		close(ends[0]);
		close(ends[1]);
	}
	return e;
}

void upgrade_check(struct broker *b)
{
	struct upgrade *u = &b->upgrade;
	char why[1200];
	int ends[2], e;

	if (u->deadline != 0)
		return;
	u->length = 0;
	u->pidfd = -1;
	u->late = false;
	u->deadline = shmr_now() + LIMIT_NS;
	e = open_output(b, ends);
	if (e == 0) {
		e = start_check(b, ends[1]);
		close(ends[1]);
	}
	if (e == 0)
		return;
	snprintf(why, sizeof(why), "%s cannot be started: %s", b->options.program, strerror(-e));
	refuse(b, why);
}

int64_t upgrade_deadline(const struct broker *b)
{
	return b->upgrade.deadline;
}

void upgrade_tick(struct broker *b)
{
	struct upgrade *u = &b->upgrade;

	if (u->deadline == 0 || shmr_now() < u->deadline)
		return;
	if (u->late || u->pidfd < 0) { /* even SIGKILL does not end it */
		u->late = true;
		judge(b);
		return;
	}
	syscall(SYS_pidfd_send_signal, u->pidfd, SIGKILL, NULL, 0);
	u->late = true;
	u->deadline = shmr_now() + LIMIT_NS;
	loop_remove(&b->loop, &u->process);
	await_end(b);
}

void upgrade_close(struct broker *b)
{
	if (b->upgrade.deadline != 0)
		end_check(b);
}

/* --- the handing over (UP3) --- */

void upgrade_prepare(struct broker *b, struct legacy *ret)
{
	bool all;

	ret->ours = b->options.inherited < 0 || b->options.inherited_path;
	ret->rings = succession_give_rings(&b->rings, &ret->ring_count, &all);
	ret->complete = all && !b->rings.keeper.takes_back;
	ret->socket = listener_give(&b->listener);
}

/*
 * Move each descriptor to its number. What has that number meanwhile gets another
 * one, so a single free descriptor is enough, however many there are.
 */
static void arrange(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int number = UPGRADE_FIRST + (int)i;

		if (fds[i] == number) {
			fcntl(number, F_SETFD, 0);
			continue;
		}
		for (size_t k = i + 1; k < count; k++)
			if (fds[k] == number)
				fds[k] = fcntl(number, F_DUPFD_CLOEXEC, UPGRADE_FIRST);
		dup2(fds[i], number);
		close(fds[i]);
		fds[i] = number;
	}
}

/* Hand the descriptors over as systemd would. */
static int hand_over(const struct legacy *l)
{
	const char *name = l->ours ? UPGRADE_NAME : "systemd";
	size_t count = l->ring_count + 1;
	char *names = malloc(strlen(name) + 2 * l->ring_count + 1), number[16], *end;
	int *fds = calloc(count, sizeof(*fds));

	if (!names || !fds) {
		free(names);
		free(fds);
		return -ENOMEM;
	}
	fds[0] = l->socket;
	end = stpcpy(names, name);
	for (size_t i = 0; i < l->ring_count; i++) {
		fds[i + 1] = l->rings[i].fd;
		end = stpcpy(end, ":r");
	}
	arrange(fds, count);
	snprintf(number, sizeof(number), "%d", (int)getpid());
	setenv("LISTEN_PID", number, 1);
	snprintf(number, sizeof(number), "%zu", count);
	setenv("LISTEN_FDS", number, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	if (l->complete)
		setenv(UPGRADE_COMPLETE, "1", 1);
	free(names);
	free(fds);
	return 0;
}

void upgrade_go(struct legacy *l, const char *program, char **argv)
{
	int e = hand_over(l);

	free(l->rings);
	if (e == 0) {
		execv(program, argv);
		e = -errno;
	}
	log_say(LOG_ERR, "%s: the new program cannot replace this one: %s; this one starts again",
		program, strerror(-e));
}
