/* SPDX-License-Identifier: MIT */
/*
 * restore: see restore.h.
 */
#include "restore.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <shmring/shmring.h>

#include "broker.h"
#include "isolated.h"
#include "log.h"

/* --- what an earlier broker left --- */

static struct entry *enter(struct broker *b, const char *name, uid_t owner, struct shmring *ring)
{
	struct account *a =
		catalog_find(&b->catalog, name) ? NULL : quota_account(&b->quota, owner);
	struct entry *e = a ? catalog_add(&b->catalog, name, ring, owner, false) : NULL;

	if (e)
		broker_count_ring(b, a, &ring->geometry, owner);
	else if (a)
		quota_settle(&b->quota, a);
	return e;
}

static void take_back(const char *name, uid_t owner, struct shmring *ring, void *arg)
{
	struct broker *b = arg;
	const struct entry *known = catalog_find(&b->catalog, name);

	if (known && memcmp(known->ring->uuid, ring->uuid, sizeof(ring->uuid)) == 0) {
		shmring_close(ring); /* two have kept it */
		return;
	}
	if (enter(b, name, owner, ring)) {
		log_say(LOG_INFO, "ring=%s taken back owner=%u", name, (unsigned)owner);
		return;
	}
	log_say(LOG_WARNING, "ring=%s was kept, but there is a newer one", name);
	isolated_forget(isolated_of(ring));
	shmring_close(ring);
}

/* What systemd or the predecessor handed over. */
static void take_handed(struct broker *b)
{
	struct broker_options *o = &b->options;

	isolated_take_back(&b->keeper, o->kept, o->kept_count, take_back, b);
	free(o->kept);
	o->kept = NULL;
	o->kept_count = 0;
}

/* Together with what was handed over: a ring's lanes may be here and there. */
static void returned(struct keeper *k, const struct kept_file *files, size_t count)
{
	struct broker *b =
		(struct broker *)(void *)((unsigned char *)k - offsetof(struct broker, keeper));
	struct broker_options *o = &b->options;
	struct kept_file *all = reallocarray(o->kept, o->kept_count + count + 1, sizeof(*all));

	if (all) {
		if (count > 0)
			memcpy(all + o->kept_count, files, count * sizeof(*all));
		o->kept = all;
		o->kept_count += count;
		take_handed(b);
	} else {
		isolated_take_back(k, files, count, take_back, b);
	}
	if (b->ready)
		broker_make_wishes(b);
}

/* --- what is to be kept of ours --- */

static void tell_file(int fd, void *arg)
{
	keeper_tell(arg, fd);
}

static void everything(struct keeper *k)
{
	struct broker *b =
		(struct broker *)(void *)((unsigned char *)k - offsetof(struct broker, keeper));

	for (size_t n = 0; n < b->catalog.count; n++) {
		const struct isolated *i = isolated_of(b->catalog.sorted[n]->ring);

		if (i)
			isolated_each_file(i, tell_file, k);
	}
}

static void caught_up(struct keeper *k)
{
	struct broker *b =
		(struct broker *)(void *)((unsigned char *)k - offsetof(struct broker, keeper));
	struct session *s, *next;

	for (s = LIST_FIRST(&b->sessions); s; s = next) {
		next = LIST_NEXT(s, all); /* an answer may end its session, and no other */
		session_go_on(s);
	}
}

static const struct keeper_calls calls = { everything, returned, caught_up };

void restore_rings(struct broker *b)
{
	const struct broker_options *o = &b->options;

	keeper_open(&b->keeper, &b->loop, b->store.directory[0], o->keeper, !o->no_sandbox, &calls);
	if (o->complete)
		take_handed(b);
	keeper_find(&b->keeper, o->complete);
	take_handed(b);
}

/* --- what a successor gets --- */

static void count_file(int fd, void *arg)
{
	(void)fd;
	++*(size_t *)arg;
}

struct kept_file *restore_give_rings(struct broker *b, size_t *ret_count, bool *ret_all)
{
	struct kept_file *files;
	size_t count = 0, given = 0;

	for (size_t n = 0; n < b->catalog.count; n++)
		if (isolated_of(b->catalog.sorted[n]->ring))
			isolated_each_file(isolated_of(b->catalog.sorted[n]->ring), count_file,
					   &count);
	files = calloc(count + 1, sizeof(*files));
	for (size_t n = 0; files && n < b->catalog.count; n++)
		if (isolated_of(b->catalog.sorted[n]->ring))
			given += isolated_give(isolated_of(b->catalog.sorted[n]->ring),
					       files + given);
	if (given < count)
		log_say(LOG_ERR, "%zu files of isolated rings cannot be handed over",
			count - given);
	*ret_count = given;
	*ret_all = given == count;
	return files;
}
