/* SPDX-License-Identifier: MIT */
/*
 * isolated-kept: see isolated-kept.h.
 */
#include "isolated-kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "examine.h"
#include "explain.h"
#include "isolated-files.h"
#include "isolated-lane.h"
#include "isolated.h"
#include "keeper.h"
#include "label.h"
#include "log.h"

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
	       isolated_files_label(k->fd, k->text) && label_parse(k->text, &k->label);
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
	    (old >= 0 && k->label.file_number <= l->file_number))
		return;
	*l = (struct lane_file){ .fd = k->fd,
				 .uid = k->label.uid,
				 .file_number = k->label.file_number };
	k->fd = -1;
	if (old >= 0) {
		isolated_forget_file(i, old);
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
		if (load_acquire32(&i->ring->doorbell->room[lane].file_number) !=
		    i->lane[lane].file_number)
			isolated_files_set_number(i->ring, lane, i->lane[lane].file_number,
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
	if (isolated_adopt(keeper, ring) < 0)
		return NULL;
	descriptor_store_reserve(&keeper->store, isolated_descriptors(ring), true);
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
