/* SPDX-License-Identifier: MIT */
/*
 * ephemeral: see ephemeral.h.
 */
#include "ephemeral.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "explain.h"
#include "registry.h"
#include "sys.h"
#include "unused.h"

#define PATIENCE_NS INT64_C(20000000) /* EP4 */
#define PAUSE_NS INT64_C(1000000)
#define TRIES_AT_LEAST 3 /* however slow the machine is */

static bool is_ephemeral(const struct shmring_ring *r)
{
	return r->geometry.ephemeral && r->named;
}

/* [PLACE] pairs with shmr_place_take() */
static bool was_used(const struct shmring_ring *r)
{
	for (unsigned i = 0; i < LAYOUT_LANES; i++)
		if (load_acquire(&r->registry->lane_status[i]) != 0 ||
		    load_acquire(&r->registry->consumer_status[i]) != 0)
			return true;
	return false;
}

/* Has a ring with a name lost all users but kept names? What is unknown counts as a user. */
static bool is_left(struct shmring_ring *r)
{
	int fd = was_used(r) ? shmr_ring_probe_fd(r) : -1;

	return fd >= 0 && shmr_probe_bytes_from(fd, REGISTRY_BYTES) == 0 &&
	       !shmr_ring_is_removed(r);
}

/* Is another remover at work, or was this one disturbed? */
static bool may_be_tried_again(int e)
{
	return e == -EBUSY || e == -EAGAIN || e == -ENOENT || e == -EINTR;
}

bool shmr_ephemeral_leave(struct shmring_ring *r)
{
	char kept[EXPLAIN_SIZE];
	unsigned tries = 0;
	int64_t deadline;
	int e = -EAGAIN;

	if (!is_ephemeral(r))
		return false;
	shmr_explain_keep(kept);
	deadline = shmr_now() + PATIENCE_NS;
	while (may_be_tried_again(e) && is_left(r)) {
		e = shmr_ring_remove_left(r);
		if (!may_be_tried_again(e) || (++tries >= TRIES_AT_LEAST && shmr_now() >= deadline))
			break;
		shmr_sleep(shmr_now() + PAUSE_NS); /* a signal cuts it short, and does no harm */
	}
	shmr_explain_put_back(kept);
	return shmr_ring_is_removed(r);
}

/* Has a remover hidden it (U3)? */
static bool is_hidden(struct shmring_ring *r)
{
	char *path = shmr_ring_path(r);
	const char *slash = path ? strrchr(path, '/') : NULL;
	bool hidden = slash &&
		      strncmp(slash + 1, SHMRING_HIDDEN_PREFIX, strlen(SHMRING_HIDDEN_PREFIX)) == 0;

	free(path);
	return hidden;
}

/* A new description of the file, which no remover holds locked; negative: there is none. */
static int await_removers(struct shmring_ring *r)
{
	int64_t deadline = shmr_now() + PATIENCE_NS;
	int fd = shmr_ring_probe_fd(r);

	if (fd < 0)
		return -1;
	fd = shmr_reopen(fd, O_RDONLY);
	while (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0) {
		if (shmr_now() >= deadline) {
			close(fd);
			return -1;
		}
		shmr_sleep(shmr_now() + PAUSE_NS);
	}
	return fd;
}

int shmr_ephemeral_settle(struct shmring_ring *r)
{
	bool gone;
	int fd;

	if (!is_ephemeral(r))
		return 0;
	fd = await_removers(r);
	gone = shmr_ring_is_removed(r) || is_hidden(r);
	if (fd >= 0) {
		flock(fd, LOCK_UN); /* a child made by fork meanwhile has the descriptor, too */
		close(fd);
	}
	if (!gone)
		return 0;
	return explain(-EIDRM,
		       "the last user of this ring has left, and its name went with it; open "
		       "or make the ring again under its name");
}
