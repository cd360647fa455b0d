/* SPDX-License-Identifier: MIT */
/*
 * apart: see apart.h.
 */
#include "apart.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "explain.h"
#include "ring.h"
#include "segment.h"

int shmr_apart_check(const struct geometry *g, int fd, uid_t owner)
{
	struct stat st;
	int e = segment_check_seals(fd);

	if (e < 0)
		return e;
	if (fstat(fd, &st) < 0)
		return explain(-errno, "cannot examine a lane's file: %e", -errno);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != g->lane_file_size ||
	    st.st_uid != owner || (st.st_mode & 0177) != 0)
		return explain(-EPERM,
			       "the descriptor is not one of a lane's file: its owner, mode "
			       "or size is another one");
	return 0;
}

static int check_given(const struct shmring *r, const struct lane_wish *wish, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || (flags & O_ACCMODE) != (wish->write ? O_RDWR : O_RDONLY))
		return explain(-EACCES, "the descriptor that was given has other rights");
	return shmr_apart_check(&r->geometry, fd, r->owner);
}

int shmr_apart_open(const struct shmring *r, const struct lane_wish *wish, uint32_t *ret_file)
{
	int fd = r->source->lane(r->source, wish, ret_file);
	int e = fd < 0 ? fd : check_given(r, wish, fd);

	if (e < 0 && fd >= 0)
		close(fd);
	return e < 0 ? e : fd;
}

int shmr_apart_new_lane(const struct geometry *g, const char *label)
{
	int fd = segment_new_memory(label, 0600);
	int e;

	if (fd < 0)
		return fd;
	e = ftruncate(fd, (off_t)g->lane_file_size) < 0
		    ? explain(-errno, "cannot size a lane's file to %u bytes: %e",
			      g->lane_file_size, -errno)
		    : segment_seal(fd);
	if (e == 0)
		return fd;
	close(fd);
	return e;
}

/* The words of the ring, to write, for munmap(); NULL: errno. */
static unsigned char *map_words(const struct shmring *r)
{
	unsigned char *p =
		mmap(NULL, r->geometry.view_size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

/*
 * [FILE] pairs with outdated_lanes(), consumer_follow_files(), consumer_settle_files(),
 * shmr_apart_own_lanes()
 */
int shmr_apart_raise(const struct shmring *r, unsigned lane, uint32_t number, uid_t user)
{
	const struct geometry *g = &r->geometry;
	unsigned char *p = map_words(r);
	struct registry *registry;
	struct doorbell *doorbell;

	if (!p)
		return -errno;
	registry = (struct registry *)(void *)(p + g->registry_offset);
	doorbell = (struct doorbell *)(void *)(p + g->doorbell_offset);
	store_release32(&doorbell->room[lane].user, user + 1);
	store_release32(&doorbell->room[lane].file, number);
	/* Nothing counts but that it moves; members may write there, too (A3). */
	exchange(&registry->files, load_acquire(&registry->files) + 1);
	munmap(p, g->view_size);
	return 0;
}

int shmr_apart_retire(const struct shmring *r)
{
	unsigned char *p = map_words(r);

	if (!p)
		return -errno;
	store_relaxed(&((struct registry *)(void *)(p + r->geometry.registry_offset))->retired, 1);
	munmap(p, r->geometry.view_size);
	return 0;
}

/* [FILE] pairs with shmr_apart_raise() */
uint64_t shmr_apart_own_lanes(const struct doorbell *d, uint64_t lanes)
{
	uint64_t own = 0;

	for (; lanes != 0; lanes &= lanes - 1)
		if (load_acquire32(&d->room[__builtin_ctzll(lanes)].user) == geteuid() + 1)
			own |= lanes & -lanes;
	return own;
}
