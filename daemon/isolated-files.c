/* SPDX-License-Identifier: MIT */
/*
 * isolated-files: see isolated-files.h.
 */
#include "isolated-files.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "atomic.h"
#include "create.h"
#include "examine.h"
#include "explain.h"
#include "ring.h"
#include "segment.h"
#include "stamp.h"
#include "sys.h"

static int build(struct shmring_ring **ret, const char *label, const struct geometry *g)
{
	int fd = segment_new_memory(label, 0600);
	int e;

	if (fd < 0)
		return fd;
	e = ring_fill(fd, g, false);
	if (e == 0)
		e = segment_seal(fd);
	if (e < 0) {
		close(fd);
		return e;
	}
	return shmr_ring_from_fd(ret, fd, true);
}

int isolated_files_new_ring(struct shmring_ring **ret, const char *label,
			    const struct shmring_config *config)
{
	struct shmring_config c;
	struct geometry g;
	int e = shmr_ring_config(&c, config);

	if (e == 0)
		e = layout_plan(&g, &c);
	if (e == 0)
		e = shmr_stamp_plan(&g, c.stamps);
	if (e < 0)
		return e;
	layout_set_isolated(&g);
	return build(ret, label, &g);
}

int isolated_files_new_lane(const struct geometry *g, const char *label)
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
static unsigned char *map_words(const struct shmring_ring *r)
{
	unsigned char *p =
		mmap(NULL, r->geometry.view_size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

/*
 * [FILE] pairs with outdated_lanes(), follow_files(), consumer_settle_files(),
 * shmr_isolated_own_lanes()
 */
int isolated_files_set_number(const struct shmring_ring *r, unsigned lane, uint32_t file_number,
			      uid_t user)
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
	store_release32(&doorbell->room[lane].file_number, file_number);
	/* Only its change matters, not its value; members may write it, too (A3). */
	exchange(&registry->files, load_acquire(&registry->files) + 1);
	munmap(p, g->view_size);
	return 0;
}

int isolated_files_retire(const struct shmring_ring *r)
{
	unsigned char *p = map_words(r);

	if (!p)
		return -errno;
	store_relaxed(&((struct registry *)(void *)(p + r->geometry.registry_offset))->retired, 1);
	munmap(p, r->geometry.view_size);
	return 0;
}

bool isolated_files_label(int fd, char ret[LABEL_SIZE])
{
	char path[32], target[LABEL_SIZE + 32];
	size_t most = sizeof(target) - 1;
	ssize_t n;

	shmr_fd_path(path, fd);
	n = readlink(path, target, most);
	if (n < 0 || (size_t)n == most)
		return false;
	target[n] = '\0';
	return label_from_link(target, ret);
}
