/* SPDX-License-Identifier: MIT */
/*
 * isolated-lane: see isolated-lane.h.
 */
#include "isolated-lane.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "explain.h"
#include "ring.h"
#include "segment.h"

int shmr_isolated_check_file(int fd, uid_t owner, struct stat *ret)
{
	const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return explain(-errno, "cannot examine a file of an isolated ring: %e", -errno);
	if (!segment_is_sealed(fd, needed) || !S_ISREG(st.st_mode) || st.st_uid != owner ||
	    (st.st_mode & 0177) != 0)
		return explain(-EPERM,
			       "the descriptor does not lead to a file of an isolated ring: "
			       "owner, mode or seals are wrong");
	*ret = st;
	return 0;
}

int shmr_isolated_check(const struct geometry *g, int fd, uid_t owner)
{
	struct stat st;
	int e = shmr_isolated_check_file(fd, owner, &st);

	if (e < 0)
		return e;
	if ((uint64_t)st.st_size != g->lane_file_size)
		return explain(-EPERM, "the descriptor does not lead to a lane's file: its size is "
				       "wrong");
	return 0;
}

static int check_given(const struct shmring_ring *r, const struct lane_wish *wish, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || (flags & O_ACCMODE) != (wish->write ? O_RDWR : O_RDONLY))
		return explain(-EACCES, "the given descriptor has wrong access rights");
	return shmr_isolated_check(&r->geometry, fd, r->owner);
}

int shmr_isolated_open(const struct shmring_ring *r, const struct lane_wish *wish,
		       uint32_t *ret_file_number)
{
	int fd = r->source->lane(r->source, wish, ret_file_number);
	int e = fd < 0 ? fd : check_given(r, wish, fd);

	if (e < 0 && fd >= 0)
		close(fd);
	return e < 0 ? e : fd;
}

/* [FILE] pairs with isolated_files_set_number() */
uint64_t shmr_isolated_own_lanes(const struct doorbell *d, uint64_t lanes)
{
	uint64_t own = 0;

	for (; lanes != 0; lanes &= lanes - 1)
		if (load_acquire32(&d->room[__builtin_ctzll(lanes)].user) == geteuid() + 1)
			own |= lanes & -lanes;
	return own;
}
