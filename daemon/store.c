/* SPDX-License-Identifier: MIT */
/*
 * store: see store.h.
 */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "create.h"
#include "explain.h"
#include "open.h"
#include "remove.h"
#include "ring.h"

enum { NOTE_SIZE = PROTO_NAME_SIZE + 1 };

/* --- the directories --- */

/* Make it with this mode from its first moment; the umask does not apply. No thread runs yet. */
static int make_directory(const char *path, mode_t mode)
{
	mode_t mask = umask(0);
	int e = mkdir(path, mode) < 0 && errno != EEXIST ? -errno : 0;

	umask(mask);
	return e;
}

/* Make all of the path. All users may enter what root makes on the way, but not its last part. */
static int make_directories(const char *path)
{
	char part[PATH_MAX];
	int e;

	if (strlen(path) >= sizeof(part))
		return -ENAMETOOLONG;
	for (size_t i = 1; path[i - 1] != '\0'; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		e = make_directory(part, path[i] == '\0' || geteuid() != 0 ? 0700 : 0755);
		if (e < 0)
			return e;
	}
	return 0;
}

static int open_own_directory(const char *path, char *error, size_t size)
{
	struct stat st;
	int e = make_directories(path);
	int fd = e < 0 ? e : open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (e == 0 && fd < 0)
		e = -errno;
	if (e < 0) {
		snprintf(error, size, "%s: cannot use the directory: %s", path, strerror(-e));
		return e;
	}
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
		snprintf(error, size,
			 "%s: the directory of rings must be private to this user: chown it, and "
			 "'chmod 700' it",
			 path);
		close(fd);
		return -EPERM;
	}
	return fd;
}

/* Lock the directory itself: a file made for the lock could be taken for a ring's. */
static int lock_directory(const char *path, int directory, char *error, size_t size)
{
	if (flock(directory, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK) {
		snprintf(error, size,
			 "%s: another broker keeps its rings there; stop it with 'shmringd "
			 "--stop', or name another directory",
			 path);
		return -EBUSY;
	}
	snprintf(error, size, "%s: cannot lock it: %s", path, strerror(errno));
	return -EOPNOTSUPP;
}

static int open_one(struct store *s, unsigned which, const char *path, char *error, size_t size)
{
	int fd = open_own_directory(path, error, size), e;

	if (fd < 0)
		return fd;
	s->directory[which] = fd;
	e = lock_directory(path, fd, error, size);
	if (e < 0)
		return e;
	s->path[which] = strdup(path);
	if (!s->path[which]) {
		snprintf(error, size, "out of memory");
		return -ENOMEM;
	}
	return 0;
}

int store_open(struct store *s, const char *directory, const char *state_directory, char *error,
	       size_t size)
{
	int e;

	*s = (struct store){ .directory = { -1, -1 } };
	e = open_one(s, 0, directory, error, size);
	if (e == 0 && state_directory)
		e = open_one(s, 1, state_directory, error, size);
	if (e < 0)
		store_close(s);
	return e;
}

int store_check(const char *directory, const char *state_directory, char *error, size_t size)
{
	const char *const paths[] = { directory, state_directory };

	for (unsigned i = 0; i < 2; i++) {
		int fd = paths[i] ? open_own_directory(paths[i], error, size) : -1;

		if (paths[i] && fd < 0)
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return 0;
}

void store_close(struct store *s)
{
	for (unsigned i = 0; i < 2; i++) {
		free(s->path[i]);
		if (s->directory[i] >= 0)
			close(s->directory[i]);
	}
	*s = (struct store){ .directory = { -1, -1 } };
}

/* --- owners --- */

static void note_name(char ret[NOTE_SIZE], const char *name)
{
	snprintf(ret, NOTE_SIZE, ".%s", name);
}

static int write_owner(const struct store *s, unsigned which, const char *name, uid_t owner)
{
	char note[NOTE_SIZE], number[16];

	note_name(note, name);
	snprintf(number, sizeof(number), "%u", (unsigned)owner);
	unlinkat(s->directory[which], note, 0); /* of a ring that is gone */
	return symlinkat(number, s->directory[which], note) < 0 ? -errno : 0;
}

static uid_t read_owner(const struct store *s, unsigned which, const char *name)
{
	char note[NOTE_SIZE], number[16], *end;
	unsigned long owner;
	ssize_t n;

	note_name(note, name);
	n = readlinkat(s->directory[which], note, number, sizeof(number) - 1);
	if (n <= 0)
		return geteuid();
	number[n] = '\0';
	owner = strtoul(number, &end, 10);
	return *end != '\0' || owner >= UINT32_MAX ? geteuid() : (uid_t)owner;
}

static void drop_owner(const struct store *s, unsigned which, const char *name)
{
	char note[NOTE_SIZE];

	note_name(note, name);
	unlinkat(s->directory[which], note, 0);
}

/* --- rings --- */

static void path_of(const struct store *s, unsigned which, const char *name, char ret[PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%s/%s", s->path[which], name);
}

static bool is_there(const struct store *s, unsigned which, const char *name)
{
	struct stat st;

	return s->path[which] && fstatat(s->directory[which], name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int store_create(struct store *s, const char *name, bool persistent, uid_t owner,
		 const struct shmring_config *config, struct shmring_ring **ret)
{
	struct shmring_config c = *config;
	char path[PATH_MAX];
	int e;

	if (!s->path[persistent])
		return explain(-EOPNOTSUPP,
			       "the broker was started without --state-directory, so it has no "
			       "persistent rings");
	if (is_there(s, !persistent, name) || is_there(s, persistent, name))
		return explain(-EEXIST, "it exists already");
	path_of(s, persistent, name, path);
	c.mode = 0600;
	e = write_owner(s, persistent, name, owner);
	if (e < 0)
		return explain(e, "%s: cannot note its owner: %e", path, e);
	e = shmr_ring_create(ret, path, &c);
	if (e < 0)
		drop_owner(s, persistent, name);
	return e;
}

/* A file of another user, or a file that other users may open, is not the broker's. */
static int check_owner(struct shmring_ring *r)
{
	int fd = shmring_fd(r);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return explain(-errno, "cannot examine it: %e", -errno);
	if (st.st_uid != geteuid() || (st.st_mode & 077) != 0 || st.st_nlink != 1)
		return explain(-EPERM, "the file is not private to the broker: its owner, mode or "
				       "number of links is wrong");
	return 0;
}

static int adopt_from(struct store *s, unsigned which, const char *name, struct shmring_ring **ret)
{
	struct shmring_ring *r;
	char path[PATH_MAX];
	int e;

	path_of(s, which, name, path);
	e = shmr_ring_open(&r, path);
	if (e < 0)
		return e;
	e = check_owner(r);
	if (e < 0) {
		shmring_close(r);
		return e;
	}
	*ret = r;
	return 0;
}

int store_adopt(struct store *s, const char *name, struct shmring_ring **ret, uid_t *ret_owner,
		bool *ret_persistent)
{
	for (unsigned which = 0; which < 2; which++) {
		int e;

		if (!is_there(s, which, name))
			continue;
		e = adopt_from(s, which, name, ret);
		if (e < 0)
			return e;
		*ret_owner = read_owner(s, which, name);
		*ret_persistent = which == 1;
		return 0;
	}
	return explain(-ENOENT, "there is no ring of that name");
}

/* Does the name still lead to the ring's file? */
static bool is_file_of(const struct store *s, unsigned which, const char *name,
		       const struct shmring_ring *ring)
{
	struct stat st;

	return ring && fstatat(s->directory[which], name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_dev == ring->device && st.st_ino == ring->inode;
}

static int remove_from(struct store *s, unsigned which, const char *name,
		       const struct shmring_ring *ring)
{
	char path[PATH_MAX];

	path_of(s, which, name, path);
	if (!is_file_of(s, which, name, ring))
		return shmr_ring_remove(path);
	if (unlinkat(s->directory[which], name, 0) < 0)
		return explain(-errno, "%s: cannot remove it: %e", path, -errno);
	return 0;
}

int store_remove(struct store *s, const char *name, struct shmring_ring *ring)
{
	for (unsigned which = 0; which < 2; which++) {
		int e;

		if (!is_there(s, which, name))
			continue;
		e = remove_from(s, which, name, ring);
		if (e == 0)
			drop_owner(s, which, name);
		return e;
	}
	return explain(-ENOENT, "there is no ring of that name");
}

bool store_sweep_stale(struct store *s, const char *name)
{
	struct stat st;

	return fstatat(s->directory[0], name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink == 1 &&
	       store_remove(s, name, NULL) == 0;
}

static int list(int directory, void (*see)(int directory, const char *name, void *arg), void *arg)
{
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		int e = -errno;

		if (fd >= 0)
			close(fd);
		return e;
	}
	while ((entry = readdir(dir)))
		see(directory, entry->d_name, arg);
	closedir(dir);
	return 0;
}

struct visit {
	void (*see)(const char *name, void *arg);
	void *arg;
};

static void visit(int directory, const char *name, void *arg)
{
	const struct visit *v = arg;

	(void)directory;
	if (proto_is_name(name))
		v->see(name, v->arg);
}

int store_each(struct store *s, void (*see)(const char *name, void *arg), void *arg)
{
	struct visit v = { see, arg };
	int e = list(s->directory[0], visit, &v);

	if (e == 0 && s->path[1])
		e = list(s->directory[1], visit, &v);
	return e;
}

static void sweep(int directory, const char *name, void *arg)
{
	struct stat st;

	(void)arg;
	if (name[0] == '.' && proto_is_name(name + 1) &&
	    fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode) &&
	    fstatat(directory, name + 1, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		unlinkat(directory, name, 0);
}

void store_sweep(struct store *s)
{
	for (unsigned which = 0; which < 2; which++)
		if (s->path[which])
			list(s->directory[which], sweep, NULL);
}
