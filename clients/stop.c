/* SPDX-License-Identifier: MIT */
/*
 * Ending on a signal without leaving anything half done.
 *
 * A signal can arrive between a look at the flag and the system call that then
 * blocks. The handler therefore starts an alarm, which repeats until the end:
 * the blocked call is interrupted a second later, at the worst.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <shmring/shmring.h>

#include "cli.h"
#include "progress.h"
#include "stop.h"

#define UNREAD_LOOK_US 100000

static atomic_int stop_signal;
static atomic_bool stop_again;
static bool sigpipe_ignored;
static bool unread;

static void on_signal(int number)
{
	int none = 0;

	if (number == SIGALRM || !atomic_compare_exchange_strong(&stop_signal, &none, number))
		atomic_store(&stop_again, true);
	alarm(1);
}

static struct sigaction set_action(int number, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler }, old;

	sigemptyset(&action.sa_mask);
	if (sigaction(number, &action, &old) != 0)
		exit(system_failed(errno, "sigaction"));
	return old;
}

/* What is ignored on entry (nohup, a background job) stays ignored. */
static void catch_unless_ignored(int number)
{
	if (set_action(number, on_signal).sa_handler == SIG_IGN)
		set_action(number, SIG_IGN);
}

void stop_install(void)
{
	catch_unless_ignored(SIGINT);
	catch_unless_ignored(SIGTERM);
	catch_unless_ignored(SIGHUP);
	set_action(SIGALRM, on_signal);
	/* write() reports EPIPE; stop_finish() then ends as by SIGPIPE */
	sigpipe_ignored = set_action(SIGPIPE, SIG_IGN).sa_handler == SIG_IGN;
}

bool stop_requested(void)
{
	return atomic_load(&stop_signal) != 0 || unread;
}

bool stop_unread(void)
{
	return unread;
}

/* A terminal that hangs up sends SIGHUP, and a file has no reader. */
static bool stdout_has_reader(void)
{
	struct stat st;

	return fstat(STDOUT_FILENO, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

bool stop_look(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO };

	if (!unread && stdout_has_reader() && poll(&p, 1, 0) == 1)
		unread = (p.revents & (POLLERR | POLLHUP)) != 0;
	return stop_requested();
}

bool stop_forced(void)
{
	return atomic_load(&stop_again);
}

/* A handler's: nothing but system calls that a handler may make. */
static void end_if_unread(int number)
{
	static const char sentence[] = "shmring: no process reads standard output any more\n";
	struct pollfd p = { .fd = STDOUT_FILENO };
	int saved = errno;

	(void)number;
	if (poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP)) != 0) {
		if (!sigpipe_ignored)
			kill(getpid(), SIGPIPE);
		else if (write(STDERR_FILENO, sentence, sizeof(sentence) - 1) >= 0)
			_exit(STATUS_FAILED);
		_exit(STATUS_FAILED);
	}
	errno = saved;
}

void stop_when_unread(void)
{
	const struct itimerval often = { { 0, UNREAD_LOOK_US }, { 0, UNREAD_LOOK_US } };
	struct sigaction look = { .sa_handler = end_if_unread, .sa_flags = SA_RESTART }, old;

	if (!stdout_has_reader())
		return;
	sigpipe_ignored = sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_IGN;
	sigemptyset(&look.sa_mask);
	if (sigaction(SIGALRM, &look, NULL) == 0)
		setitimer(ITIMER_REAL, &often, NULL);
}

static void die_of(int number)
{
	sigset_t set;

	set_action(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(number);
}

int stop_finish(int status, bool broken_pipe)
{
	progress_hide();
	alarm(0);
	broken_pipe |= unread;
	if (atomic_load(&stop_signal))
		die_of(atomic_load(&stop_signal));
	if (broken_pipe && !sigpipe_ignored)
		die_of(SIGPIPE);
	if (broken_pipe)
		say("no process reads standard output any more");
	return broken_pipe ? STATUS_FAILED : status;
}

int64_t stop_slice(int64_t deadline, int64_t slice_ns)
{
	int64_t slice = shmring_deadline(slice_ns);

	return deadline < slice ? deadline : slice;
}
