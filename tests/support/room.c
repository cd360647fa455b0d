/* SPDX-License-Identifier: MIT */
/*
 * The room a test runs in.
 *
 * Before the first test rooms_open() makes two directories; each test makes its
 * own in them, and rooms_close() removes whatever failed tests have left.
 * Skipped tests leave their reason in a page that the runner shares with them.
 */
#include "room.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "child.h"
#include "leaks.h"

enum { MAX_TESTS = 512, MAX_PATHS = 256 };

struct skips {
	unsigned begun; /* tests that have entered their room */
	char reasons[MAX_TESTS][120];
};

static struct {
	char memory[PATH_MAX];
	char disk[PATH_MAX];
	struct skips *skips;
} house;

static struct {
	char memory[PATH_MAX];
	char disk[PATH_MAX];
	char *paths[MAX_PATHS]; /* that may stay */
	unsigned path_count;
	struct holdings before;
} room;

static void make_base(char *ret, size_t size, const char *parent)
{
	snprintf(ret, size, "%s/shmring-test-XXXXXX", parent);
	if (!mkdtemp(ret) || chmod(ret, 0755) != 0) {
		fprintf(stderr, "cannot make %s: %s\n", ret, strerror(errno));
		exit(1);
	}
}

void rooms_open(void)
{
	const char *disk = getenv("TMPDIR");

	make_base(house.memory, sizeof(house.memory), "/dev/shm");
	make_base(house.disk, sizeof(house.disk), disk && *disk ? disk : "/tmp");
	house.skips = mmap(NULL, sizeof(*house.skips), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (house.skips == MAP_FAILED) {
		perror("cannot share memory with the tests");
		exit(1);
	}
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

void rooms_close(void)
{
	nftw(house.memory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	nftw(house.disk, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	munmap(house.skips, sizeof(*house.skips));
}

const char *rooms_skipped(unsigned index)
{
	return index < MAX_TESTS ? house.skips->reasons[index] : "";
}

static void make_room(char *ret, size_t size, const char *base)
{
	int len = snprintf(ret, size, "%s/%d", base, (int)getpid());

	ck_assert_msg(len > 0 && (size_t)len < size, "%s: too long", base);
	ck_assert_msg(mkdir(ret, 0755) == 0, "mkdir %s: %s", ret, strerror(errno));
}

static void room_enter(void)
{
	house.skips->begun++;
	child_prepare();
	ck_assert_uint_le(house.skips->begun, MAX_TESTS);
	ck_assert_int_eq(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
	ck_assert(child_is_emulated() || prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	make_room(room.memory, sizeof(room.memory), house.memory);
	make_room(room.disk, sizeof(room.disk), house.disk);
	ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", room.memory, 1), 0);
	holdings_take(&room.before);
}

/* The path in the list of those that may stay, or NULL. */
static const char *find_path(const char *path)
{
	for (unsigned i = 0; i < room.path_count; i++)
		if (strcmp(room.paths[i], path) == 0)
			return room.paths[i];
	return NULL;
}

/* Prove that no process holds a lock on the files that are there, and remove them. */
static void clear_directory(const char *directory, struct report *r)
{
	DIR *dir = opendir(directory);
	char path[PATH_MAX + 256];
	struct dirent *entry;
	struct stat st;

	ck_assert_msg(dir != NULL, "%s: %s", directory, strerror(errno));
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		if (!find_path(path))
			report_add(r, "leaked file %s\n", path);
		ck_assert_int_eq(lstat(path, &st), 0);
		if (S_ISREG(st.st_mode))
			leaks_locks(path, r);
		if (S_ISDIR(st.st_mode))
			clear_directory(path, r);
		else
			ck_assert_int_eq(unlink(path), 0);
	}
	closedir(dir);
	ck_assert_int_eq(rmdir(directory), 0);
}

static void room_leave(void)
{
	struct report r = { 0 };
	struct holdings after;

	leaks_children(&r);
	holdings_take(&after);
	holdings_compare(&room.before, &after, &r);
	clear_directory(room.memory, &r);
	clear_directory(room.disk, &r);
	holdings_drop(&after);
	holdings_drop(&room.before);
	while (room.path_count > 0)
		free(room.paths[--room.path_count]);
	ck_assert_msg(r.used == 0, "%s", r.text);
}

TCase *room_case(Suite *s, const char *name, int seconds)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, seconds);
	tcase_add_checked_fixture(tc, room_enter, room_leave);
	suite_add_tcase(s, tc);
	return tc;
}

static const char *keep_path(const char *directory, const char *name)
{
	const char *known;
	char *path;

	ck_assert_int_gt(asprintf(&path, "%s/%s", directory, name), 0);
	known = find_path(path);
	if (known) {
		free(path);
		return known;
	}
	ck_assert_uint_lt(room.path_count, MAX_PATHS);
	room.paths[room.path_count++] = path;
	return path;
}

const char *room_path(const char *name)
{
	return keep_path(room.memory, name);
}

const char *room_disk_path(const char *name)
{
	return keep_path(room.disk, name);
}

const char *room_directory(void)
{
	return room.memory;
}

bool room_is_sanitized(void)
{
	const char *with = getenv("SHMRING_SANITIZED");

	return with && *with;
}

void room_skip(const char *format, ...)
{
	char *reason = house.skips->reasons[house.skips->begun - 1];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(house.skips->reasons[0]), format, args);
	va_end(args);
	room_leave();
	exit(0);
}
