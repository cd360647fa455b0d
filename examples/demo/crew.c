/* SPDX-License-Identifier: MIT */
/*
 * The processes of the demo: start, watch, kill, wait. Each of them dies with
 * the parent, and the parent does not leave before it has waited for all. A
 * child that fails ends the demo at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "demo.h"

/* Signals are read from a descriptor, so that waiting is one poll(). */
int crew_open(struct crew *crew, struct demo *demo)
{
	int pipe_fds[2];
	sigset_t set;

	sigprocmask(SIG_SETMASK, NULL, &crew->mask);
	if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return system_error("shmring-demo", "pipe");
	crew->events = pipe_fds[0];
	demo->events = pipe_fds[1];

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	crew->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (crew->signals < 0)
		return system_error("shmring-demo", "signalfd");
	return 0;
}

/* In the child. If the parent died before prctl(), no signal would ever come. */
static _Noreturn void live(const struct crew *crew, const struct demo *demo,
			   const struct child *child, pid_t parent)
{
	int r;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(EXIT_FAILURE);
	sigprocmask(SIG_SETMASK, &crew->mask, NULL);
	close(crew->events);
	close(crew->signals);
	r = child->work(demo, child->index, child->life);
	exit(r == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

int crew_start(struct crew *crew, const struct demo *demo, struct child *child)
{
	pid_t parent = getpid();

	fflush(NULL); /* or the child would write it a second time */
	child->pid = fork();
	if (child->pid == 0)
		live(crew, demo, child, parent);
	if (child->pid > 0)
		return 0;
	child->pid = 0;
	return system_error("shmring-demo", "fork");
}

/* Has this child ended? 0 if not, or if it has and all is well. */
static int look_after(struct child *child)
{
	int status;

	if (child->pid == 0 || waitpid(child->pid, &status, WNOHANG) == 0)
		return 0;
	child->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS)
		return 0;
	if (WIFSIGNALED(status))
		fprintf(stderr, "shmring-demo: %s died of signal %d\n", child->name,
			WTERMSIG(status));
	else
		fprintf(stderr, "shmring-demo: %s failed\n", child->name);
	return -ECHILD;
}

static int take_signal(struct crew *crew)
{
	struct signalfd_siginfo info;
	int r = 0;

	if (read(crew->signals, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo != SIGCHLD) {
		fprintf(stderr, "shmring-demo: ended by signal %u\n", info.ssi_signo);
		return -EINTR;
	}
	for (int i = 0; i < PRODUCERS && r == 0; i++)
		r = look_after(&crew->producer[i]);
	for (int i = 0; i < CONSUMERS && r == 0; i++)
		r = look_after(&crew->consumer[i]);
	return r;
}

/* Sleep until there is an event or a signal, and take the signal. */
static int crew_wait(struct crew *crew)
{
	struct pollfd fds[] = {
		{ .fd = crew->signals, .events = POLLIN },
		{ .fd = crew->events, .events = POLLIN },
	};

	if (poll(fds, 2, -1) < 0)
		return system_error("shmring-demo", "poll");
	return fds[0].revents ? take_signal(crew) : 0;
}

static int alive(const struct crew *crew)
{
	int count = 0;

	for (int i = 0; i < PRODUCERS; i++)
		count += crew->producer[i].pid > 0;
	for (int i = 0; i < CONSUMERS; i++)
		count += crew->consumer[i].pid > 0;
	return count;
}

int crew_await_events(struct crew *crew, enum event event, int count)
{
	char byte;
	int r = 0;

	while (r == 0) {
		while (read(crew->events, &byte, 1) == 1)
			count -= byte == (char)event;
		if (count <= 0)
			return 0;
		if (alive(crew) == 0) {
			fprintf(stderr, "shmring-demo: all helpers have ended too early\n");
			return -ECHILD;
		}
		r = crew_wait(crew);
	}
	return r;
}

int crew_await_end(struct crew *crew)
{
	char byte;
	int r = 0;

	while (r == 0 && alive(crew) > 0) {
		while (read(crew->events, &byte, 1) == 1)
			; /* the second life is ready: no process waits for that */
		r = crew_wait(crew);
	}
	return r;
}

/* Kill a child that must be at work. */
int crew_kill(struct child *child)
{
	int status;

	if (child->pid == 0 || kill(child->pid, SIGKILL) < 0 ||
	    waitpid(child->pid, &status, 0) != child->pid)
		return system_error("shmring-demo", "kill");
	child->pid = 0;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return 0;
	fprintf(stderr, "shmring-demo: %s ended before it was killed\n", child->name);
	return -ECHILD;
}

static void end(struct child *child)
{
	if (child->pid > 0 && kill(child->pid, SIGKILL) == 0)
		waitpid(child->pid, NULL, 0);
	child->pid = 0;
}

/* The demo has failed: end all processes that are still there. */
void crew_end(struct crew *crew)
{
	for (int i = 0; i < PRODUCERS; i++)
		end(&crew->producer[i]);
	for (int i = 0; i < CONSUMERS; i++)
		end(&crew->consumer[i]);
}

/* A signal that came meanwhile acts now. */
void crew_close(struct crew *crew, struct demo *demo)
{
	close(crew->events);
	close(crew->signals);
	close(demo->events);
	sigprocmask(SIG_SETMASK, &crew->mask, NULL);
}
