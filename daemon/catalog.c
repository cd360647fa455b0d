/* SPDX-License-Identifier: MIT */
/*
 * catalog: see catalog.h.
 */
#include "catalog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sys.h"

enum { BUCKETS = 64 };

int catalog_open(struct catalog *r)
{
	*r = (struct catalog){ 0 };
	if (shmr_random(&r->seed, sizeof(r->seed)) < 0)
		return -EIO;
	r->table = cds_lfht_new(BUCKETS, BUCKETS, 0, CDS_LFHT_AUTO_RESIZE, NULL);
	get_default_call_rcu_data(); /* its thread must start now: later the broker may not start
					threads */
	return r->table ? 0 : -ENOMEM;
}

void catalog_enter_thread(void)
{
	rcu_register_thread();
}

void catalog_leave_thread(void)
{
	rcu_unregister_thread();
}

/* FNV-1a from a secret start, so that no client knows which names collide. */
static unsigned long hash_name(const struct catalog *r, const char *name)
{
	uint64_t h = r->seed;

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

static struct entry *entry_of(struct cds_lfht_node *node)
{
	return node ? (void *)((unsigned char *)node - offsetof(struct entry, node)) : NULL;
}

/* All entries, one after the other, inside of a read-side section. */
static struct entry *first(struct catalog *r, struct cds_lfht_iter *iter)
{
	cds_lfht_first(r->table, iter);
	return entry_of(cds_lfht_iter_get_node(iter));
}

static struct entry *next(struct catalog *r, struct cds_lfht_iter *iter)
{
	cds_lfht_next(r->table, iter);
	return entry_of(cds_lfht_iter_get_node(iter));
}

static int has_name(struct cds_lfht_node *node, const void *name)
{
	return strcmp(entry_of(node)->name, name) == 0;
}

/* Inside of a read-side section, or by the loop (C1). */
static struct entry *look_up(struct catalog *r, const char *name)
{
	struct cds_lfht_iter iter;

	cds_lfht_lookup(r->table, hash_name(r, name), has_name, name, &iter);
	return entry_of(cds_lfht_iter_get_node(&iter));
}

struct entry *catalog_find(struct catalog *r, const char *name)
{
	struct entry *e;

	rcu_read_lock();
	e = look_up(r, name);
	rcu_read_unlock();
	return e; /* C1 */
}

bool catalog_has(struct catalog *r, const char *name)
{
	bool found;

	rcu_read_lock();
	found = look_up(r, name) != NULL;
	rcu_read_unlock();
	return found;
}

/* No edge: a count. */
void catalog_note_recoveries(struct catalog *r, const char *name, uint32_t count)
{
	struct entry *e;

	rcu_read_lock();
	e = look_up(r, name);
	if (e)
		fetch_add32(&e->recoveries, count);
	rcu_read_unlock();
}

/* How many names are not behind `name`. */
static size_t place_of(const struct catalog *r, const char *name)
{
	size_t low = 0, high = r->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(r->sorted[middle]->name, name) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct entry *catalog_after(const struct catalog *r, const char *name)
{
	size_t at = place_of(r, name);

	return at < r->count ? r->sorted[at] : NULL;
}

static bool make_room(struct catalog *r)
{
	size_t room = r->room == 0 ? BUCKETS : 2 * r->room;
	struct entry **sorted;

	if (r->count < r->room)
		return true;
	sorted = reallocarray(r->sorted, room, sizeof(struct entry *));
	if (!sorted)
		return false;
	r->sorted = sorted;
	r->room = room;
	return true;
}

struct entry *catalog_add(struct catalog *r, const char *name, struct shmring_ring *ring,
			  uid_t owner, bool persistent)
{
	struct entry *e = calloc(1, sizeof(*e));
	size_t at = place_of(r, name);

	if (!e || !make_room(r)) {
		free(e);
		return NULL;
	}
	strcpy(e->name, name);
	e->ring = ring;
	e->owner = owner;
	e->persistent = persistent;
	e->bytes = layout_bytes(&ring->geometry);
	e->holds = 1;
	memmove(r->sorted + at + 1, r->sorted + at, (r->count - at) * sizeof(struct entry *));
	r->sorted[at] = e;
	r->count++;
	rcu_read_lock();
	cds_lfht_add(r->table, hash_name(r, name), &e->node);
	rcu_read_unlock();
	return e;
}

void catalog_remove(struct catalog *r, struct entry *e)
{
	size_t at = place_of(r, e->name) - 1;

	memmove(r->sorted + at, r->sorted + at + 1, (r->count - at - 1) * sizeof(struct entry *));
	r->count--;
	rcu_read_lock();
	cds_lfht_del(r->table, &e->node);
	rcu_read_unlock();
}

static void free_entry(struct rcu_head *head)
{
	struct entry *e = (void *)((unsigned char *)head - offsetof(struct entry, rcu));

	shmring_close(e->ring);
	free(e);
}

void catalog_hold(struct entry *e)
{
	e->holds++;
}

bool catalog_release(struct entry *e)
{
	if (--e->holds > 0)
		return false;
	call_rcu(&e->rcu, free_entry); /* C3 */
	return true;
}

void catalog_close(struct catalog *r)
{
	while (r->count > 0) {
		struct entry *e = r->sorted[r->count - 1];

		catalog_remove(r, e);
		catalog_release(e);
	}
	rcu_barrier(); /* C5 */
	cds_lfht_destroy(r->table, NULL);
	free(r->sorted);
}

/* No edge: counts (C3). */
static void look_at(struct seen *s, const struct entry *e)
{
	s->ring = shmr_ring_ref(e->ring);
	memcpy(s->name, e->name, sizeof(s->name));
	s->owner = e->owner;
	s->persistent = e->persistent;
	s->clients = load_acquire32(&e->clients);
	s->recoveries = load_acquire32(&e->recoveries);
}

/* How many are there, about? */
static size_t estimate(struct catalog *r)
{
	struct cds_lfht_iter iter;
	size_t count = 0;

	rcu_read_lock();
	for (const struct entry *e = first(r, &iter); e; e = next(r, &iter))
		count++;
	rcu_read_unlock();
	return count;
}

int catalog_collect(struct catalog *r, bool (*wanted)(struct entry *e), struct seen **ret,
		    size_t *ret_count)
{
	size_t room = estimate(r) + BUCKETS, count = 0;
	struct seen *list = calloc(room, sizeof(*list));
	struct cds_lfht_iter iter;

	if (!list)
		return -ENOMEM;
	rcu_read_lock();
	for (struct entry *e = first(r, &iter); e; e = next(r, &iter))
		if (count < room && wanted(e))
			look_at(&list[count++], e);
	rcu_read_unlock();
	*ret = list;
	*ret_count = count;
	return 0;
}
