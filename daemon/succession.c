/* SPDX-License-Identifier: MIT */
/*
 * succession: see succession.h.
 */
#include "succession.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <shmring/shmring.h>

#include "isolated-kept.h"
#include "isolated.h"
#include "log.h"
#include "rings.h"

/* --- what an earlier broker left --- */

static struct entry *enter(struct rings *r, const char *name, uid_t owner,
			   struct shmring_ring *ring)
{
	struct account *a =
		catalog_find(&r->catalog, name) ? NULL : quota_account(&r->quota, owner);
	struct entry *e = a ? catalog_add(&r->catalog, name, ring, owner, false) : NULL;

	if (e)
		rings_count(r, a, &ring->geometry, owner);
	else if (a)
		quota_settle(&r->quota, a);
	return e;
}

static void take_back(const char *name, uid_t owner, struct shmring_ring *ring, void *arg)
{
	struct rings *r = arg;
	const struct entry *known = catalog_find(&r->catalog, name);

	if (known && memcmp(known->ring->uuid, ring->uuid, sizeof(ring->uuid)) == 0) {
		shmring_close(ring); /* two have kept it */
		return;
	}
	if (enter(r, name, owner, ring)) {
		log_say(LOG_INFO, "ring=%s taken back owner=%u", name, (unsigned)owner);
		return;
	}
	log_say(LOG_WARNING, "ring=%s was kept, but a newer ring has its name", name);
	isolated_forget(isolated_of(ring));
	shmring_close(ring);
}

static struct rings *rings_of(struct keeper *k)
{
	return (struct rings *)(void *)((unsigned char *)k - offsetof(struct rings, keeper));
}

/* What systemd or the predecessor handed over. */
static void take_handed(struct rings *r)
{
	isolated_take_back(&r->keeper, r->kept, r->kept_count, take_back, r);
	rings_drop_kept(r);
}

/* Also what was handed over: some lanes of a ring may be here, others there. */
static void returned(struct keeper *k, const struct kept_file *files, size_t count)
{
	struct rings *r = rings_of(k);
	struct kept_file *all = reallocarray(r->kept, r->kept_count + count + 1, sizeof(*all));

	if (all) {
		if (count > 0)
			memcpy(all + r->kept_count, files, count * sizeof(*all));
		r->kept = all;
		r->kept_count += count;
		take_handed(r);
	} else {
		isolated_take_back(k, files, count, take_back, r);
	}
	if (r->ready)
		rings_make_wishes(r);
}

/* --- what the keeper keeps of this broker's rings --- */

static void tell_file(int fd, void *arg)
{
	keeper_tell(arg, fd);
}

static void everything(struct keeper *k)
{
	struct rings *r = rings_of(k);

	for (size_t n = 0; n < r->catalog.count; n++) {
		const struct isolated *i = isolated_of(r->catalog.sorted[n]->ring);

		if (i)
			isolated_each_file(i, tell_file, k);
	}
}

static void caught_up(struct keeper *k)
{
	struct rings *r = rings_of(k);

	r->caught_up(r);
}

static const struct keeper_calls calls = { everything, returned, caught_up };

void succession_take_rings(struct rings *r, struct loop *loop, bool wanted, bool sandboxed,
			   bool complete)
{
	keeper_open(&r->keeper, loop, r->store.directory[0], wanted, sandboxed, &calls);
	if (complete)
		take_handed(r);
	keeper_find(&r->keeper, complete);
	take_handed(r);
}

/* --- what a successor gets --- */

static void count_file(int fd, void *arg)
{
	(void)fd;
	++*(size_t *)arg;
}

struct kept_file *succession_give_rings(struct rings *r, size_t *ret_count, bool *ret_all)
{
	struct kept_file *files;
	size_t count = 0, given = 0;

	for (size_t n = 0; n < r->catalog.count; n++)
		if (isolated_of(r->catalog.sorted[n]->ring))
			isolated_each_file(isolated_of(r->catalog.sorted[n]->ring), count_file,
					   &count);
	files = calloc(count + 1, sizeof(*files));
	for (size_t n = 0; files && n < r->catalog.count; n++)
		if (isolated_of(r->catalog.sorted[n]->ring))
			given += isolated_give(isolated_of(r->catalog.sorted[n]->ring),
					       files + given);
	if (given < count)
		log_say(LOG_ERR, "%zu files of isolated rings cannot be handed over",
			count - given);
	*ret_count = given;
	*ret_all = given == count;
	return files;
}
