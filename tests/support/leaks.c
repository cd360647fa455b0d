/* SPDX-License-Identifier: MIT */
/*
 * What a process holds: descriptors, shared mappings and reserved addresses,
 * children, and locks on files.
 */
#include "leaks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "room.h"

void report_add(struct report *r, const char *format, ...)
{
	size_t room = sizeof(r->text) - r->used;
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(r->text + r->used, room, format, args);
	va_end(args);
	if (len > 0 && (size_t)len < room)
		r->used += (size_t)len;
	else
		r->text[r->used] = '\0';
}

__attribute__((format(printf, 2, 3))) static void holdings_add(struct holdings *h,
							       const char *format, ...)
{
	va_list args;

	h->lines = realloc(h->lines, (h->count + 1) * sizeof(*h->lines));
	ck_assert_ptr_nonnull(h->lines);
	va_start(args, format);
	ck_assert_int_ge(vasprintf(&h->lines[h->count++], format, args), 0);
	va_end(args);
}

/* Without fork, the library for tests keeps its messages in this process. */
static bool is_of_check(const char *target)
{
	return strncmp(target, "/tmp/check_", strlen("/tmp/check_")) == 0;
}

static void take_descriptors(struct holdings *h)
{
	DIR *dir = opendir("/proc/self/fd");
	char target[PATH_MAX];
	struct dirent *entry;
	ssize_t len;

	ck_assert_msg(dir != NULL, "/proc/self/fd: %s", strerror(errno));
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(dir))
			continue;
		len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		target[len > 0 ? len : 0] = '\0';
		if (is_of_check(target))
			continue;
		holdings_add(h, "descriptor %s: %s", entry->d_name, target);
	}
	closedir(dir);
}

/*
 * Shared mappings, and anonymous addresses without access: a ring's guards. A
 * private mapping with a file behind it is a library of the process.
 */
static bool is_ring_mapping(const char *permissions, const char *path)
{
	bool guard = strncmp(permissions, "---", 3) == 0 && path[0] == '\0';

	return permissions[3] == 's' || (guard && !room_is_sanitized());
}

static void take_mappings(struct holdings *h)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char *line = NULL, permissions[8], path[8];
	size_t size = 0;

	ck_assert_msg(maps != NULL, "/proc/self/maps: %s", strerror(errno));
	while (getline(&line, &size, maps) > 0) {
		path[0] = '\0';
		if (sscanf(line, "%*s %7s %*s %*s %*s %7s", permissions, path) < 1 ||
		    !is_ring_mapping(permissions, path))
			continue;
		line[strcspn(line, "\n")] = '\0';
		holdings_add(h, "mapping %s", line);
	}
	free(line);
	fclose(maps);
}

void holdings_take(struct holdings *h)
{
	memset(h, 0, sizeof(*h));
	take_descriptors(h);
	take_mappings(h);
}

void holdings_drop(struct holdings *h)
{
	for (size_t i = 0; i < h->count; i++)
		free(h->lines[i]);
	free(h->lines);
	memset(h, 0, sizeof(*h));
}

void holdings_compare(const struct holdings *before, const struct holdings *after, struct report *r)
{
	size_t j;

	for (size_t i = 0; i < after->count; i++) {
		for (j = 0; j < before->count; j++)
			if (strcmp(after->lines[i], before->lines[j]) == 0)
				break;
		if (j == before->count)
			report_add(r, "leaked %s\n", after->lines[i]);
	}
}

/* A living child of this process, or 0. */
static pid_t find_child(void)
{
	FILE *list = fopen("/proc/thread-self/children", "re");
	int pid = 0;

	if (!list)
		return 0;
	if (fscanf(list, "%d", &pid) != 1)
		pid = 0;
	fclose(list);
	return pid;
}

static void name_of(pid_t pid, char *name, size_t size)
{
	char path[64];
	FILE *comm;

	snprintf(name, size, "?");
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	comm = fopen(path, "re");
	if (!comm)
		return;
	if (!fgets(name, (int)size, comm))
		snprintf(name, size, "?");
	name[strcspn(name, "\n")] = '\0';
	fclose(comm);
}

void leaks_children(struct report *r)
{
	siginfo_t info = { 0 };
	char name[32];
	pid_t pid;

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
		pid = info.si_pid ? info.si_pid : find_child();
		ck_assert_msg(pid > 0, "a child is left that cannot be found");
		name_of(pid, name, sizeof(name));
		report_add(r, "leaked process %d (%s), %s\n", pid, name,
			   info.si_pid ? "ended, not waited for" : "alive");
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
		info.si_pid = 0;
	}
	ck_assert_int_eq(errno, ECHILD);
}

void leaks_locks(const char *path, struct report *r)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0) {
		report_add(r, "cannot look for locks on %s: %s\n", path, strerror(errno));
		return;
	}
	if (fcntl(fd, F_OFD_GETLK, &lock) != 0)
		report_add(r, "cannot look for locks on %s: %s\n", path, strerror(errno));
	else if (lock.l_type != F_UNLCK)
		report_add(r, "leaked lock on %s, byte %lld\n", path, (long long)lock.l_start);
	close(fd);
}
