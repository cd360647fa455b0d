/* SPDX-License-Identifier: MIT */
/*
 * isolated: see isolated.h.
 */
#include "isolated.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "examine.h"
#include "explain.h"
#include "isolated-files.h"
#include "isolated-lane.h"
#include "label.h"
#include "lane.h"
#include "log.h"
#include "registry.h"
#include "sys.h"

static void label_lane(const struct isolated *i, unsigned lane, uid_t uid, uint32_t number,
		       char ret[LABEL_SIZE])
{
	label_write_lane(i->ring->uuid, lane, uid, number, ret);
}

static bool read_label(int fd, char ret[LABEL_SIZE])
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

/* --- as a source, for this process --- */

static int open_anew(int fd, bool writable)
{
	int anew = shmr_reopen(fd, (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK);

	return anew < 0 ? explain(anew, "the broker cannot open it again: %e", anew) : anew;
}

static int source_open(struct ring_source *s, enum ring_role role, struct ring_grant *ret)
{
	const struct isolated *i = (struct isolated *)s;
	int fd = shmring_fd(i->ring);

	*ret = (struct ring_grant){ 0 };
	return fd < 0 ? fd : open_anew(fd, role != RING_OBSERVE);
}

static void source_leave(struct ring_source *s, const struct ring_grant *grant)
{
	(void)s;
	(void)grant;
}

static void source_join(struct ring_source *s)
{
	(void)s;
}

static void source_free(struct ring_source *s, bool inherited)
{
	struct isolated *i = (struct isolated *)s;

	(void)inherited;
	for (unsigned lane = 0; lane < LAYOUT_LANES; lane++)
		if (i->lane[lane].fd >= 0)
			close(i->lane[lane].fd);
	pthread_mutex_destroy(&i->mutex);
	free(i);
}

static int source_lane(struct ring_source *s, const struct lane_wish *wish, uint32_t *ret_file)
{
	return isolated_describe((struct isolated *)s, wish->lane, wish->write, ret_file);
}

struct isolated *isolated_of(const struct shmring_ring *ring)
{
	return (struct isolated *)ring->source; /* no other ring of the broker has one */
}

/* --- making rings --- */

/* What a ring may need in the descriptor store: one lane more while a lane is passed on. */
static uint64_t descriptors_kept(const struct shmring_ring *ring)
{
	return 2 + (uint64_t)ring->geometry.lanes;
}

/* Takes the ring over. */
static int adopt_ring(struct keeper *keeper, struct shmring_ring *ring)
{
	struct isolated *i = calloc(1, sizeof(*i));

	if (!i) {
		shmring_close(ring);
		return explain(-ENOMEM, "out of memory");
	}
	i->calls = (struct ring_source){ .open = source_open,
					 .leave = source_leave,
					 .join = source_join,
					 .free = source_free,
					 .lane = source_lane };
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
	e = descriptor_store_reserve(&keeper->store, descriptors_kept(*ret), false);
	if (e < 0) {
		shmring_close(*ret);
		return e;
	}
	e = adopt_ring(keeper, *ret);
	if (e == 0)
		keeper_put(keeper, shmring_fd(*ret), label);
	return e;
}

static void remember(const struct isolated *i, int fd, const char *label)
{
	if (i->keeper)
		keeper_put(i->keeper, fd, label);
}

static void forget(const struct isolated *i, int fd)
{
	char label[LABEL_SIZE];

	if (i->keeper && fd >= 0 && read_label(fd, label))
		keeper_drop(i->keeper, fd, label);
}

void isolated_forget(struct isolated *i)
{
	for (unsigned lane = 0; lane < LAYOUT_LANES; lane++)
		forget(i, i->lane[lane].fd);
	forget(i, shmring_fd(i->ring));
	descriptor_store_give(&i->keeper->store, descriptors_kept(i->ring));
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

int isolated_describe(struct isolated *i, unsigned lane, bool writable, uint32_t *ret_number)
{
	const struct lane_file *l = &i->lane[lane];
	int fd;

	pthread_mutex_lock(&i->mutex);
	*ret_number = l->number;
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
		e = isolated_files_raise(i->ring, lane, 0, uid);
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

	label_lane(i, lane, uid, i->lane[lane].number + 1, label);
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
	uint32_t number = l->number + 1;
	char label[LABEL_SIZE];
	int e = write_tenancy(copy, epoch);
	int old = l->fd;

	label_lane(i, lane, uid, number, label);
	if (e == 0) {
		remember(i, copy, label);
		e = isolated_files_raise(i->ring, lane, number, uid);
		if (e < 0)
			forget(i, copy);
	}
	if (e < 0) {
		isolated_cancel_passing(i, lane, copy);
		return e;
	}
	pthread_mutex_lock(&i->mutex);
	*l = (struct lane_file){ .fd = copy, .uid = uid, .number = number };
	pthread_mutex_unlock(&i->mutex);
	forget(i, old);
	*ret_old = old;
	return 0;
}

/* --- taking back what was kept --- */

struct kept {
	int fd; /* -1: a ring has it already */
	uint64_t serial;
	struct stat st;
	char text[LABEL_SIZE];
	struct label label;
};

/* Only this user can have made the file, whatever process kept it. */
static bool read_kept(struct kept *k, const struct kept_file *file)
{
	k->fd = file->fd;
	k->serial = file->serial;
	k->text[0] = '\0';
	fcntl(k->fd, F_SETFD, FD_CLOEXEC);
	return shmr_isolated_check_file(k->fd, geteuid(), &k->st) == 0 &&
	       read_label(k->fd, k->text) && label_parse(k->text, &k->label);
}

static void close_kept(struct kept *k)
{
	close(k->fd);
	k->fd = -1;
}

/* Order the broker's files: the file that was kept last comes first, and each file comes once. */
static int compare_kept(const void *a, const void *b)
{
	const struct kept *one = a, *other = b;

	return (one->serial < other->serial) - (one->serial > other->serial);
}

static size_t read_all(struct kept *kept, const struct kept_file *files, size_t count)
{
	size_t sound = 0;

	for (size_t n = 0; n < count; n++) {
		bool known = false;

		if (!read_kept(&kept[sound], &files[n])) {
			close_kept(&kept[sound]);
			continue;
		}
		for (size_t k = 0; k < sound && !known; k++)
			known = kept[k].st.st_ino == kept[sound].st.st_ino &&
				kept[k].st.st_dev == kept[sound].st.st_dev;
		if (known)
			close_kept(&kept[sound]);
		else
			sound++;
	}
	if (sound > 0)
		qsort(kept, sound, sizeof(*kept), compare_kept);
	return sound;
}

static void drop_kept(struct keeper *keeper, struct kept *k)
{
	if (k->fd < 0)
		return;
	log_say(LOG_NOTICE, "kept file '%s' belongs to no ring and is dropped", k->text);
	keeper_drop(keeper, k->fd, k->text);
	close_kept(k);
}

/* The file of the highest number counts (N4). */
static void take_lane(struct isolated *i, struct kept *k)
{
	struct lane_file *l = &i->lane[k->label.lane];
	int old = l->fd;

	if (k->label.lane >= i->ring->geometry.lanes ||
	    shmr_isolated_check(&i->ring->geometry, k->fd, geteuid()) < 0 ||
	    (old >= 0 && k->label.number <= l->number))
		return;
	*l = (struct lane_file){ .fd = k->fd, .uid = k->label.uid, .number = k->label.number };
	k->fd = -1;
	if (old >= 0) {
		forget(i, old);
		close(old);
	}
}

static void take_lanes(struct isolated *i, struct kept *kept, size_t count)
{
	char uuid[LABEL_UUID_SIZE];

	label_write_uuid(i->ring->uuid, uuid);
	for (size_t n = 0; n < count; n++)
		if (kept[n].fd >= 0 && kept[n].label.of_lane &&
		    strcmp(kept[n].label.uuid, uuid) == 0)
			take_lane(i, &kept[n]);
}

/*
 * A broker that was killed may have raised a number before the file was kept, or the other
 * way round. No edge: a reader that finds another number asks the broker.
 */
static void set_numbers(const struct isolated *i)
{
	for (unsigned lane = 0; lane < i->ring->geometry.lanes; lane++)
		if (load_acquire32(&i->ring->doorbell->room[lane].file) != i->lane[lane].number)
			isolated_files_raise(i->ring, lane, i->lane[lane].number,
					     i->lane[lane].uid);
}

static struct shmring_ring *take_ring(struct keeper *keeper, struct kept *kept, size_t count,
				      struct kept *k)
{
	struct shmring_ring *ring;
	int e = shmr_ring_from_fd(&ring, k->fd, true);

	k->fd = -1;
	if (e < 0 || !layout_is_isolated(&ring->geometry)) {
		log_say(LOG_WARNING, "ring=%s was kept, but is damaged: %s", k->label.name,
			e < 0 ? shmring_explain() : "it is not isolated");
		if (e == 0)
			shmring_close(ring);
		return NULL;
	}
	if (adopt_ring(keeper, ring) < 0)
		return NULL;
	descriptor_store_reserve(&keeper->store, descriptors_kept(ring), true);
	take_lanes(isolated_of(ring), kept, count);
	set_numbers(isolated_of(ring));
	return ring;
}

void isolated_take_back(struct keeper *keeper, const struct kept_file *files, size_t count,
			void (*found)(const char *name, uid_t owner, struct shmring_ring *ring,
				      void *arg),
			void *arg)
{
	struct kept *kept = calloc(count + 1, sizeof(*kept));

	if (!kept) {
		log_say(LOG_ERR, "kept rings are lost: out of memory");
		for (size_t n = 0; n < count; n++)
			close(files[n].fd);
		return;
	}
	count = read_all(kept, files, count);
	for (size_t n = 0; n < count; n++) {
		struct shmring_ring *ring;

		if (kept[n].fd < 0 || kept[n].label.of_lane)
			continue;
		ring = take_ring(keeper, kept, count, &kept[n]);
		if (ring)
			found(kept[n].label.name, kept[n].label.uid, ring, arg);
	}
	for (size_t n = 0; n < count; n++)
		drop_kept(keeper, &kept[n]);
	free(kept);
}
