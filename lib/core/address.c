/* SPDX-License-Identifier: MIT */
/*
 * address: see address.h. The directory of plain names is private to its user:
 * predictable names in a directory that all may write to have a history of
 * being squatted and linked elsewhere.
 */
#include "address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <shmring/shmring.h>

#include "explain.h"
#include "sys.h"

#define PATH_SHOWN 400 /* a longer path would leave no room for the reason */

static void append_number(char *text, unsigned long number)
{
	char digits[24];
	char *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do
		*--p = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	strcat(text, p);
}

int shmring_directory(char *ret, size_t size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char path[ADDRESS_SIZE] = "/dev/shm/shmring-";

	if (runtime && runtime[0] == '/') {
		if (strlen(runtime) + sizeof("/shmring") > sizeof(path))
			return explain(-ENAMETOOLONG, "XDG_RUNTIME_DIR is too long");
		strcpy(path, runtime);
		strcat(path, "/shmring");
	} else {
		append_number(path, geteuid());
	}
	if (strlen(path) >= size)
		return explain(-ENAMETOOLONG,
			       "the buffer for the directory of rings needs %u bytes",
			       (uint64_t)strlen(path) + 1);
	strcpy(ret, path);
	return (int)strlen(path);
}

static int open_directory(const char *path)
{
	int fd = shmr_fd_above_standard(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));

	return fd < 0 ? explain(-errno, "cannot open the directory %s: %e", path, -errno) : fd;
}

/* The umask does not apply: it could take the rights of the directory's owner. */
static int make_directory(const char *path)
{
	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 : -1;
	return fchmodat(AT_FDCWD, path, 0700, AT_SYMLINK_NOFOLLOW);
}

static int open_private_directory(bool create)
{
	char path[ADDRESS_SIZE];
	struct stat st;
	int r = shmring_directory(path, sizeof(path));

	if (r < 0)
		return r;
	if (create && make_directory(path) < 0)
		return explain(-errno, "cannot make the directory %s: %e", path, -errno);
	r = shmr_fd_above_standard(open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
	if (r < 0)
		return explain(-errno, "cannot open the directory %s: %e", path, -errno);
	if (fstat(r, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
		close(r);
		return explain(-EPERM,
			       "the directory %s must belong to this user, and no other user may "
			       "write to it; remove it or set XDG_RUNTIME_DIR",
			       path);
	}
	return r;
}

static int open_parent(const char *address, const char *last_slash)
{
	char path[ADDRESS_SIZE];
	size_t length = last_slash == address ? 1 : (size_t)(last_slash - address);

	if (length >= sizeof(path))
		return explain(-ENAMETOOLONG, "the path is too long");
	memcpy(path, address, length);
	path[length] = '\0';
	return open_directory(path);
}

int address_resolve(struct address *ret, const char *address, bool create)
{
	const char *slash = strrchr(address, '/');
	const char *name = slash ? slash + 1 : address;
	int dirfd;

	if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return explain(address[0] == '\0' ? -EINVAL : -EISDIR, "'%s' does not name a file",
			       address);
	if (strlen(name) >= sizeof(ret->name))
		return explain(-ENAMETOOLONG, "the name is longer than 255 bytes");
	dirfd = slash ? open_parent(address, slash) : open_private_directory(create);
	if (dirfd < 0)
		return dirfd;
	ret->dirfd = dirfd;
	strcpy(ret->name, name);
	return 0;
}

/* Where a plain name is looked for. False: the address is a path, or it is too long. */
static bool path_of(char ret[ADDRESS_SIZE], const char *address)
{
	int length = strchr(address, '/') ? -1 : shmring_directory(ret, ADDRESS_SIZE);

	if (length < 0 || (size_t)length + 1 + strlen(address) >= PATH_SHOWN)
		return false;
	strcat(ret, "/");
	strcat(ret, address);
	return true;
}

int explain_address(int error, const char *address)
{
	char about[2 * PATH_SHOWN], path[ADDRESS_SIZE];

	if (!path_of(path, address))
		return shmr_explain_about(error, address);
	strcpy(about, address);
	strcat(about, " (");
	strcat(about, path);
	strcat(about, ")");
	return shmr_explain_about(error, about);
}

int explain_absence(const char *address)
{
	char path[ADDRESS_SIZE];

	if (path_of(path, address))
		return explain(-ENOENT, "no ring '%s' (%s)", address, path);
	return explain(-ENOENT, "no ring '%s'", address);
}
