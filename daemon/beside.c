/* SPDX-License-Identifier: MIT */
/*
 * beside: see beside.h.
 */
#include "beside.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

static int arrange(posix_spawn_file_actions_t *f, int fd, int as)
{
	return fd >= 0 ? posix_spawn_file_actions_adddup2(f, fd, as)
		       : posix_spawn_file_actions_addopen(f, as, "/dev/null", O_RDWR, 0);
}

static int start(pid_t *ret, const char *program, char *const *argv, posix_spawnattr_t *a,
		 posix_spawn_file_actions_t *f, int in, int out)
{
	sigset_t none;
	int e;

	sigemptyset(&none);
	e = posix_spawnattr_setsigmask(a, &none);
	if (e == 0)
		e = posix_spawnattr_setflags(a, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
	if (e == 0)
		e = arrange(f, in, STDIN_FILENO);
	if (e == 0)
		e = arrange(f, out, STDOUT_FILENO);
	if (e == 0)
		e = posix_spawn_file_actions_adddup2(f, STDOUT_FILENO, STDERR_FILENO);
	if (e == 0)
		e = posix_spawn_file_actions_addclosefrom_np(f, STDERR_FILENO + 1);
	return e != 0 ? e : posix_spawn(ret, program, f, a, argv, environ);
}

pid_t start_beside(const char *program, char *const *argv, int in, int out)
{
	posix_spawn_file_actions_t f;
	posix_spawnattr_t a;
	pid_t pid = -1;
	int e = posix_spawnattr_init(&a);

	if (e != 0)
		return -e;
	e = posix_spawn_file_actions_init(&f);
	if (e == 0) {
		e = start(&pid, program, argv, &a, &f, in, out);
		posix_spawn_file_actions_destroy(&f);
	}
	posix_spawnattr_destroy(&a);
	return e != 0 ? -e : pid;
}
