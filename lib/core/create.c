/* SPDX-License-Identifier: MIT */
/*
 * create: see create.h.
 */
#include "create.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "address.h"
#include "ephemeral.h"
#include "examine.h"
#include "explain.h"
#include "memory.h"
#include "open.h"
#include "options.h"
#include "ring.h"
#include "segment.h"
#include "stamp.h"
#include "sys.h"

#define FLAGS (SHMRING_PERSISTENT | SHMRING_ISOLATED | SHMRING_EPHEMERAL)

static int allocate_controls(int fd, const struct geometry *g)
{
	const struct {
		uint64_t offset, size;
	} hot[] = {
		{ 0, sizeof(struct identity) },
		{ g->registry_offset, sizeof(struct registry) },
		{ g->doorbell_offset, sizeof(struct doorbell) },
		{ g->cursors_offset, LAYOUT_CONSUMERS * LAYOUT_ROW },
	};

	for (unsigned i = 0; i < sizeof(hot) / sizeof(hot[0]); i++) {
		void *p;
		int e = shmr_allocate(fd, hot[i].offset, hot[i].size);

		if (e < 0)
			return e;
		p = mmap(NULL, hot[i].size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 (off_t)hot[i].offset);
		if (p == MAP_FAILED)
			return explain(-errno, "cannot map the new ring: %e", -errno);
		e = shmr_populate(p, hot[i].size, true);
		munmap(p, hot[i].size);
		if (e < 0)
			return e;
	}
	return 0;
}

/* If the process cannot read the boot's id, rings have the id zero. */
static int name_boot(uint8_t ret[16])
{
	int e = shmr_boot_id(ret);

	return e == -ENOENT || e == -EACCES || e == -EPERM ? 0 : e;
}

/* The identity is all that a new ring is not right about when it is zero. */
static int write_identity(int fd, const struct geometry *g, bool named)
{
	struct identity id = { .created_ns = shmr_wall_clock(), .named = named };
	struct lag_limits limits;
	struct stat st;
	int e = shmr_random(id.uuid, sizeof(id.uuid));

	if (e == 0)
		e = name_boot(id.boot_id);
	if (e == 0)
		e = shmr_birth_time(fd, &id.birth_ns);
	if (e == 0 && fstat(fd, &st) < 0)
		e = -errno;
	if (e < 0)
		return explain(e, "cannot identify the new ring: %e", e);
	id.device = st.st_dev;
	id.inode = st.st_ino;
	layout_describe(&id, g);
	if (layout_has_limits(g)) {
		layout_describe_limits(&limits, g);
		e = shmr_write_at(fd, &limits, sizeof(limits), LIMITS_OFFSET);
	}
	if (e == 0)
		e = shmr_write_at(fd, &id, sizeof(id), 0);
	return e < 0 ? explain(e, "cannot write the new ring: %e", e) : 0;
}

/* Beyond the limit ftruncate() would kill the process by SIGXFSZ. */
static int check_size_limit(uint64_t size)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ||
	    size <= limit.rlim_cur)
		return 0;
	return explain(
		-EFBIG,
		"the ring would have %u bytes, RLIMIT_FSIZE is %u; raise it or make fewer or "
		"smaller lanes",
		size, (uint64_t)limit.rlim_cur);
}

static int set_size(int fd, uint64_t size)
{
	int e = check_size_limit(size);
	int r;

	if (e < 0)
		return e;
	do
		r = ftruncate(fd, (off_t)size);
	while (r < 0 && errno == EINTR);
	return r < 0 ? explain(-errno, "cannot size the new ring to %u bytes: %e", size, -errno)
		     : 0;
}

int ring_fill(int fd, const struct geometry *g, bool named)
{
	int e = segment_check_file_system(fd);

	if (e == 0)
		e = set_size(fd, g->file_size);
	if (e == 0)
		e = allocate_controls(fd, g);
	return e == 0 ? write_identity(fd, g, named) : e;
}

/*
 * Make an unnamed, complete ring; the kernel drops it if the process dies before it is linked.
 * The ring is open before it is linked, so that nothing can fail afterwards.
 */
static int build(struct shmring_ring **ret, int dirfd, const struct geometry *g, unsigned mode)
{
	int fd = segment_new_file(dirfd, mode);
	int e;

	if (fd < 0)
		return fd;
	e = ring_fill(fd, g, dirfd >= 0);
	if (e == 0 && dirfd < 0)
		e = segment_seal(fd);
	if (e < 0) {
		close(fd);
		return e;
	}
	return shmr_ring_from_fd(ret, fd, false);
}

/* For the kernel a file that was made without a name never has one. NULL: unknown. */
static char *path_in(const struct address *a)
{
	char *directory = shmr_path_of(a->dirfd), *path = NULL;
	size_t length = directory ? strlen(directory) : 0;

	if (directory)
		path = malloc(length + 1 + strlen(a->name) + 1);
	if (path) {
		memcpy(path, directory, length);
		path[length] = '/';
		strcpy(path + length + 1, a->name);
	}
	free(directory);
	return path;
}

/*
 * The name of an ephemeral ring has to be found again when its last user leaves, wherever
 * the descriptor has been passed to. So it is opened by its name. What fails here only
 * leaves the ring under its name when it is renamed, or when a passed descriptor was the last.
 */
static struct shmring_ring *open_by_name(struct shmring_ring *r, const struct address *a)
{
	const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	int fd = shmr_fd_above_standard(openat(a->dirfd, a->name, flags));
	struct shmring_ring *named;

	if (fd < 0 || !ring_is_file(r, fd)) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	if (shmr_ring_from_fd(&named, fd, false) < 0)
		return r;
	shmring_close(r);
	return named;
}

static int give_name(struct shmring_ring *r, const struct address *a)
{
	int e = segment_link(r->fd, a->dirfd, a->name);

	if (e == -EEXIST)
		return explain(e, "it exists already");
	if (e < 0)
		return explain(e, "cannot give the new ring its name: %e", e);
	free(r->path);
	r->path = path_in(a);
	return 0;
}

/* Check the identity alone; opening the ring shows whether it is sound. */
static bool is_ephemeral(const char *address)
{
	struct identity id;
	int fd = ring_open_file(address, true);
	bool known = fd >= 0 && ring_read_identity(fd, &id) == 0 &&
		     memcmp(id.magic, LAYOUT_MAGIC, sizeof(id.magic)) == 0;

	if (fd >= 0)
		close(fd);
	return known && (id.compatible & FEATURE_EPHEMERAL) != 0;
}

/* Is there a file of that name? Not, if it was an ephemeral ring that its users have left. */
static bool is_taken(const char *address, const struct address *a)
{
	struct shmring_ring *r;
	struct stat st;

	if (fstatat(a->dirfd, a->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (is_ephemeral(address) && shmr_ring_open(&r, address) == 0)
		shmring_close(r);
	return fstatat(a->dirfd, a->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int create_named(struct shmring_ring **ret, const char *address, const struct geometry *g,
			unsigned mode)
{
	struct shmring_ring *r = NULL;
	struct address a;
	int e = address_resolve(&a, address, true);

	if (e < 0)
		return e;
	if (is_taken(address, &a))
		e = explain(-EEXIST, "it exists already");
	else if (g->ephemeral && strlen(a.name) > EPHEMERAL_NAME_MAX)
		e = explain(
			-ENAMETOOLONG,
			"the name of an ephemeral ring has up to %u bytes; choose a shorter one",
			(uint64_t)EPHEMERAL_NAME_MAX);
	else
		e = build(&r, a.dirfd, g, mode);
	if (e == 0)
		e = give_name(r, &a);
	if (e == 0 && g->ephemeral)
		r = open_by_name(r, &a);
	close(a.dirfd);
	if (e < 0) {
		shmring_close(r);
		return e;
	}
	*ret = r;
	return 0;
}

int shmr_ring_config(struct shmring_config *ret, const struct shmring_config *given)
{
	struct shmring_config c;
	struct geometry g;
	int e = shmr_options_read(&c, sizeof(c), given);

	if (e == 0)
		e = layout_plan(&g, &c);
	if (e == 0 && (c.flags & ~FLAGS) != 0)
		e = explain(-EINVAL, "the config has an unknown flag");
	if (e == 0 && c.flags == (SHMRING_PERSISTENT | SHMRING_ISOLATED))
		e = explain(-EINVAL, "an isolated ring lies in memory, so it cannot be persistent");
	if (e == 0)
		*ret = c;
	return e;
}

static int plan(struct geometry *ret, const struct shmring_config *c)
{
	int e = layout_plan(ret, c);

	return e == 0 ? shmr_stamp_plan(ret, c->stamps) : e;
}

/* The shape of a ring at this address, which is not one of the broker. */
static int read_config(struct shmring_config *ret, const char *address,
		       const struct shmring_config *given)
{
	struct shmring_config c;
	int e = shmr_ring_config(&c, given);

	if (e == 0 && (c.flags & SHMRING_PERSISTENT) != 0)
		e = explain(-EINVAL, "SHMRING_PERSISTENT is for rings of the broker; a file on "
				     "disk is persistent by itself");
	if (e == 0 && (c.flags & SHMRING_ISOLATED) != 0)
		e = explain(-EINVAL, "SHMRING_ISOLATED is for rings of the broker");
	if (e == 0 && (c.flags & SHMRING_EPHEMERAL) != 0 && !address)
		e = explain(-EINVAL, "a ring without a name goes with its last user anyway; leave "
				     "SHMRING_EPHEMERAL out");
	if (e == 0)
		*ret = c;
	return e;
}

int shmr_ring_check_config(const char *address, const struct shmring_config *config)
{
	struct shmring_config c;

	return read_config(&c, address, config);
}

int shmr_ring_create(struct shmring_ring **ret, const char *address,
		     const struct shmring_config *config)
{
	struct shmring_config c;
	struct geometry g;
	int e = read_config(&c, address, config);

	if (e == 0)
		e = plan(&g, &c);
	if (e < 0)
		return e;
	if (c.mode == 0)
		c.mode = 0600;
	if (!address)
		return build(ret, -1, &g, c.mode);
	e = create_named(ret, address, &g, c.mode);
	return e < 0 ? explain_address(e, address) : e;
}
