/* SPDX-License-Identifier: MIT */
/*
 * isolated: see isolated.h.
 */
#include "isolated.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "explain.h"
#include "isolated-files.h"
#include "label.h"
#include "lane.h"
#include "registry.h"
#include "sys.h"

static void label_lane(const struct isolated *i, unsigned lane, uid_t uid, uint32_t file_number,
		       char ret[LABEL_SIZE])
{
	label_write_lane(i->ring->uuid, lane, uid, file_number, ret);
}

/* --- as a source, for this process --- */

static int open_anew(int fd, bool writable)
{
	int anew = shmr_reopen(fd, (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK);

	return anew < 0 ? explain(anew, "the broker cannot open it again: %e", anew) : anew;
}

static int local_describe(struct ring_source *s, enum ring_role role, struct ring_grant *ret)
{
	const struct isolated *i = (struct isolated *)s;
	int fd = shmring_fd(i->ring);

	*ret = (struct ring_grant){ 0 };
	return fd < 0 ? fd : open_anew(fd, role != RING_OBSERVE);
}

static void local_leave(struct ring_source *s, const struct ring_grant *grant)
{
	(void)s;
	(void)grant;
}

static void local_join(struct ring_source *s)
{
	(void)s;
}

static void local_free(struct ring_source *s, bool inherited)
{
	struct isolated *i = (struct isolated *)s;

	(void)inherited;
	for (unsigned lane = 0; lane < LAYOUT_LANES; lane++)
		if (i->lane[lane].fd >= 0)
			close(i->lane[lane].fd);
	pthread_mutex_destroy(&i->mutex);
	free(i);
}

static int local_lane(struct ring_source *s, const struct lane_wish *wish,
		      uint32_t *ret_file_number)
{
	return isolated_describe((struct isolated *)s, wish->lane, wish->write, ret_file_number);
}

struct isolated *isolated_of(const struct shmring_ring *ring)
{
	return (struct isolated *)ring->source; /* no other ring of the broker has one */
}

/* --- making rings --- */

uint64_t isolated_descriptors(const struct shmring_ring *ring)
{
	return 2 + (uint64_t)ring->geometry.lanes;
}

int isolated_adopt(struct keeper *keeper, struct shmring_ring *ring)
{
	struct isolated *i = calloc(1, sizeof(*i));

	if (!i) {
		shmring_close(ring);
		return explain(-ENOMEM, "out of memory");
	}
	i->calls = (struct ring_source){ .open = local_describe,
					 .leave = local_leave,
					 .join = local_join,
					 .free = local_free,
					 .lane = local_lane };
	pthread_mutex_init(&i->mutex, NULL);
	for (unsigned lane = 0; lane < LAYOUT_LANES; lane++)
		i->lane[lane].fd = -1;
	i->keeper = keeper;
	i->ring = ring;
	ring->source = &i->calls;
	return 0;
}

int isolated_create(struct keeper *keeper, const char *name, uid_t owner,
		    const struct shmring_config *config, struct shmring_ring **ret)
{
	char label[LABEL_SIZE];
	int e;

	label_write_ring(name, owner, label);
	e = isolated_files_new_ring(ret, label, config);
	if (e < 0)
		return e;
	e = descriptor_store_reserve(&keeper->store, isolated_descriptors(*ret), false);
	if (e < 0) {
		shmring_close(*ret);
		return e;
	}
	e = isolated_adopt(keeper, *ret);
	if (e == 0)
		keeper_put(keeper, shmring_fd(*ret), label);
	return e;
}

static void remember(const struct isolated *i, int fd, const char *label)
{
	if (i->keeper)
		keeper_put(i->keeper, fd, label);
}

void isolated_forget_file(const struct isolated *i, int fd)
{
	char label[LABEL_SIZE];

	if (i->keeper && fd >= 0 && isolated_files_label(fd, label))
		keeper_drop(i->keeper, fd, label);
}

void isolated_forget(struct isolated *i)
{
	for (unsigned lane = 0; lane < LAYOUT_LANES; lane++)
		isolated_forget_file(i, i->lane[lane].fd);
	isolated_forget_file(i, shmring_fd(i->ring));
	descriptor_store_give(&i->keeper->store, isolated_descriptors(i->ring));
	i->keeper = NULL;
	isolated_files_retire(i->ring);
}

void isolated_each_file(const struct isolated *i, void (*see)(int fd, void *arg), void *arg)
{
	int fd = shmring_fd(i->ring);

	if (fd >= 0)
		see(fd, arg);
	for (unsigned lane = 0; lane < LAYOUT_LANES; lane++)
		if (i->lane[lane].fd >= 0)
			see(i->lane[lane].fd, arg);
}

/* A copy of a lane might lack a descriptor, so no lane is copied. */
size_t isolated_give(struct isolated *i, struct kept_file *ret)
{
	int fd = shmring_fd(i->ring);
	size_t count = 0;

	fd = fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return 0;
	ret[count++] = (struct kept_file){ .fd = fd };
	pthread_mutex_lock(&i->mutex);
	for (unsigned lane = 0; lane < LAYOUT_LANES; lane++)
		if (i->lane[lane].fd >= 0) {
			ret[count++] = (struct kept_file){ .fd = i->lane[lane].fd };
			i->lane[lane].fd = -1;
		}
	pthread_mutex_unlock(&i->mutex);
	return count;
}

uint64_t isolated_allocated(struct isolated *i)
{
	uint64_t blocks = 0;
	struct stat st;

	if (fstat(shmring_fd(i->ring), &st) == 0)
		blocks = (uint64_t)st.st_blocks;
	for (unsigned lane = 0; lane < LAYOUT_LANES; lane++)
		if (i->lane[lane].fd >= 0 && fstat(i->lane[lane].fd, &st) == 0)
			blocks += (uint64_t)st.st_blocks;
	return blocks * 512;
}

/* --- giving lanes --- */

int isolated_describe(struct isolated *i, unsigned lane, bool writable, uint32_t *ret_file_number)
{
	const struct lane_file *l = &i->lane[lane];
	int fd;

	pthread_mutex_lock(&i->mutex);
	*ret_file_number = l->file_number;
	fd = l->fd < 0 ? explain(-ENOENT, "no producer has had this lane yet")
		       : open_anew(l->fd, writable);
	pthread_mutex_unlock(&i->mutex);
	return fd;
}

/* The epoch of the owner that got the file last; 0: none. No edge: the broker wrote it. */
static int read_tenancy(int fd, uint64_t *ret)
{
	return pread(fd, ret, sizeof(*ret), offsetof(struct lane_control, tenancy)) == sizeof(*ret)
		       ? 0
		       : explain(-EIO, "a lane's file cannot be read");
}

static int write_tenancy(int fd, uint64_t epoch)
{
	int e = shmr_write_at(fd, &epoch, sizeof(epoch), offsetof(struct lane_control, tenancy));

	return e < 0 ? explain(e, "a lane's file cannot be written: %e", e) : 0;
}

/* An error of any kind means "alive" (R5). */
static bool is_locked(const struct isolated *i, unsigned lane, uint32_t epoch)
{
	return shmr_probe_byte(shmring_fd(i->ring), shmr_place_byte(PLACE_LANE, lane, epoch)) != 0;
}

static int make_first_file(struct isolated *i, unsigned lane, uint32_t epoch, uid_t uid)
{
	char label[LABEL_SIZE];
	int fd, e;

	label_lane(i, lane, uid, 0, label);
	fd = isolated_files_new_lane(&i->ring->geometry, label);
	e = fd < 0 ? fd : write_tenancy(fd, epoch);
	if (e == 0)
		e = isolated_files_set_number(i->ring, lane, 0, uid);
	if (e < 0) {
		if (fd >= 0)
			close(fd);
		return e;
	}
	remember(i, fd, label);
	pthread_mutex_lock(&i->mutex);
	i->lane[lane] = (struct lane_file){ .fd = fd, .uid = uid };
	pthread_mutex_unlock(&i->mutex);
	return 0;
}

int isolated_claim(struct isolated *i, unsigned lane, uint32_t epoch, uid_t uid)
{
	struct lane_file *l = &i->lane[lane];
	uint64_t tenancy;
	int e;

	if (!is_locked(i, lane, epoch)) /* N3 */
		return explain(-ESTALE,
			       "the owner of this lane does not hold the lock of its place");
	if (l->fd < 0)
		return make_first_file(i, lane, epoch, uid);
	if (l->passing)
		return explain(-EBUSY, "this lane is being given to another user; try again");
	e = read_tenancy(l->fd, &tenancy);
	if (e < 0)
		return e;
	if (tenancy != 0 && is_locked(i, lane, (uint32_t)tenancy)) /* N2 */
		return explain(-EBUSY, "this lane has a living owner");
	return l->uid == uid ? write_tenancy(l->fd, epoch) : 1;
}

/* --- passing lanes on (N4) --- */

int isolated_begin_passing(struct isolated *i, unsigned lane, uid_t uid)
{
	char label[LABEL_SIZE];
	int fd;

	label_lane(i, lane, uid, i->lane[lane].file_number + 1, label);
	fd = isolated_files_new_lane(&i->ring->geometry, label);
	i->lane[lane].passing = fd >= 0;
	return fd;
}

void isolated_cancel_passing(struct isolated *i, unsigned lane, int copy)
{
	i->lane[lane].passing = false;
	close(copy);
}

int isolated_end_passing(struct isolated *i, unsigned lane, uint32_t epoch, uid_t uid, int copy,
			 int *ret_old)
{
	struct lane_file *l = &i->lane[lane];
	uint32_t file_number = l->file_number + 1;
	char label[LABEL_SIZE];
	int e = write_tenancy(copy, epoch);
	int old = l->fd;

	label_lane(i, lane, uid, file_number, label);
	if (e == 0) {
		remember(i, copy, label);
		e = isolated_files_set_number(i->ring, lane, file_number, uid);
		if (e < 0)
			isolated_forget_file(i, copy);
	}
	if (e < 0) {
		isolated_cancel_passing(i, lane, copy);
		return e;
	}
	pthread_mutex_lock(&i->mutex);
	*l = (struct lane_file){ .fd = copy, .uid = uid, .file_number = file_number };
	pthread_mutex_unlock(&i->mutex);
	isolated_forget_file(i, old);
	*ret_old = old;
	return 0;
}
