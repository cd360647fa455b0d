/* SPDX-License-Identifier: MIT */
/*
 * rings: see rings.h.
 */
#include "rings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "explain.h"
#include "isolated.h"
#include "log.h"
#include "sys.h"

#define SECOND INT64_C(1000000000)

/* What counts for a ring's owner: an isolated ring is many files. */
static struct charge charge_of(const struct geometry *g, uid_t owner)
{
	uint64_t files = layout_is_isolated(g) ? 1 + (uint64_t)g->lanes : 0;

	return (struct charge){ .uid = owner,
				.rings = 1,
				.bytes = layout_bytes(g),
				.descriptors = files,
				.held = files > 0 ? files : 1 };
}

struct charge rings_lane_charge(const struct entry *e, uid_t uid)
{
	return (struct charge){
		.uid = uid, .bytes = e->ring->geometry.lane_file_size, .descriptors = 1, .held = 1
	};
}

static void count(struct rings *r, struct account *a, const struct charge *c)
{
	descriptor_share_count(&r->descriptors, a, c->held);
	quota_count(a, QUOTA_RINGS, c->rings);
	quota_count(a, QUOTA_BYTES, c->bytes);
	quota_count(a, QUOTA_DESCRIPTORS, c->descriptors);
}

void rings_give(struct rings *r, const struct charge *c)
{
	struct account *a = quota_account(&r->quota, c->uid); /* it has one: this is on it */

	descriptor_share_give(&r->descriptors, a, c->held);
	quota_give(a, QUOTA_RINGS, c->rings);
	quota_give(a, QUOTA_BYTES, c->bytes);
	quota_give(a, QUOTA_DESCRIPTORS, c->descriptors);
	quota_settle(&r->quota, a);
}

static void relic_is_gone(const struct charge *charge, void *arg)
{
	rings_give(arg, charge);
}

/* Charge all of it, or nothing. On -EDQUOT, *ret_shortage is the resource that is exhausted. */
static int take(struct rings *r, struct account *a, const struct limits *l, const struct charge *c,
		struct shortage *ret_shortage)
{
	const struct {
		enum resource what;
		uint64_t amount;
	} needs[] = { { QUOTA_RINGS, c->rings },
		      { QUOTA_BYTES, c->bytes },
		      { QUOTA_DESCRIPTORS, c->descriptors } };

	*ret_shortage = (struct shortage){ QUOTA_DESCRIPTOR_SHARE, c->held };
	if (!descriptor_share_take(&r->descriptors, a, r->policy->descriptor_share, c->held))
		return -EDQUOT;
	for (unsigned i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		if (needs[i].amount == 0 || quota_take(a, l, needs[i].what, needs[i].amount) == 0)
			continue;
		*ret_shortage = (struct shortage){ needs[i].what, needs[i].amount };
		while (i-- > 0)
			quota_give(a, needs[i].what, needs[i].amount);
		descriptor_share_give(&r->descriptors, a, c->held);
		return -EDQUOT;
	}
	return 0;
}

int rings_take(struct rings *r, struct account *a, const struct limits *l, const struct charge *c,
	       struct shortage *ret_shortage)
{
	int e = take(r, a, l, c, ret_shortage);

	if (e == 0 || r->relics.count == 0)
		return e;
	/* Files that it counts for may have gone meanwhile; a ring keeps the account. */
	quota_count(a, QUOTA_RINGS, 1);
	relics_sweep(&r->relics, &c->uid, relic_is_gone, r);
	quota_give(a, QUOTA_RINGS, 1);
	return take(r, a, l, c, ret_shortage);
}

void rings_release(struct rings *r, struct entry *e)
{
	const struct charge charge = charge_of(&e->ring->geometry, e->owner);
	struct shmring_ring *ring = shmr_ring_ref(e->ring);

	if (!catalog_release(e))
		shmring_close(ring);
	else if (!relics_keep_ring(&r->relics, ring, &charge))
		rings_give(r, &charge);
}

static void drop(struct rings *r, struct entry *e)
{
	catalog_remove(&r->catalog, e);
	rings_release(r, e);
}

/* A process that may write to the directory can remove the file without the broker. */
static bool is_retired(const struct entry *e)
{
	int fd = shmring_fd(e->ring);
	struct stat st;

	if (isolated_of(e->ring))
		return false;
	return fd < 0 || fstat(fd, &st) < 0 || st.st_nlink == 0;
}

void rings_count(struct rings *r, struct account *a, const struct geometry *g, uid_t owner)
{
	const struct charge charge = charge_of(g, owner);

	count(r, a, &charge);
}

static struct entry *adopt(struct rings *r, const char *name, int *ret_error)
{
	struct shmring_ring *ring;
	struct account *a;
	struct entry *e = NULL;
	bool persistent;
	uid_t owner;

	*ret_error = store_adopt(&r->store, name, &ring, &owner, &persistent);
	if (*ret_error < 0)
		return NULL;
	a = quota_account(&r->quota, owner);
	if (a)
		e = catalog_add(&r->catalog, name, ring, owner, persistent);
	if (!e) {
		shmring_close(ring);
		if (a)
			quota_settle(&r->quota, a);
		*ret_error = explain(-ENOMEM, "out of memory");
		return NULL;
	}
	rings_count(r, a, &ring->geometry, owner);
	return e;
}

static const char waits[] = "the ring may be one of the isolated rings that the keeper (process "
			    "shmring-keeper) has not given back, because the keeper does not "
			    "answer: continue the keeper, or kill it, which loses its rings";

struct entry *rings_find(struct rings *r, const char *name, int *ret_error)
{
	struct entry *e = catalog_find(&r->catalog, name);

	if (e && is_retired(e)) {
		drop(r, e);
		e = NULL;
	}
	e = e ? e : adopt(r, name, ret_error);
	if (!e && *ret_error == -ENOENT && r->keeper.takes_back) /* KE5 */
		*ret_error = explain(-EBUSY, "%s", waits);
	return e;
}

static int create(struct rings *r, const char *name, bool persistent, uid_t owner,
		  const struct shmring_config *config, struct entry **ret)
{
	bool isolated = (config->flags & SHMRING_ISOLATED) != 0;
	struct shmring_ring *ring;
	int e = isolated ? isolated_create(&r->keeper, name, owner, config, &ring)
			 : store_create(&r->store, name, persistent, owner, config, &ring);

	if (e < 0)
		return e;
	*ret = catalog_add(&r->catalog, name, ring, owner, persistent);
	if (*ret)
		return 0;
	if (isolated)
		isolated_forget(isolated_of(ring));
	else
		store_remove(&r->store, name, ring);
	shmring_close(ring);
	return explain(-ENOMEM, "out of memory");
}

int rings_make(struct rings *r, const char *name, bool persistent, uid_t owner,
	       const struct limits *limits, const struct shmring_config *config, struct entry **ret,
	       struct shortage *ret_shortage)
{
	struct account *a = quota_account(&r->quota, owner);
	struct charge charge;
	struct geometry g = { 0 };
	int e = layout_plan(&g, config);

	if (!a)
		return explain(-ENOMEM, "out of memory");
	if (config->flags & SHMRING_ISOLATED)
		layout_set_isolated(&g);
	charge = charge_of(&g, owner);
	if (e == 0 && limits)
		e = rings_take(r, a, limits, &charge, ret_shortage);
	else if (e == 0)
		count(r, a, &charge);
	if (e < 0) {
		quota_settle(&r->quota, a);
		return e;
	}
	e = create(r, name, persistent, owner, config, ret);
	if (e < 0) {
		rings_give(r, &charge);
		return e;
	}
	if (account_may_say(&r->quota, a))
		log_say(LOG_INFO, "ring=%s created owner=%u bytes=%" PRIu64 "%s%s", name,
			(unsigned)owner, (*ret)->bytes, persistent ? " persistent" : "",
			layout_is_isolated(&g) ? " isolated" : "");
	if (layout_is_isolated(&g) && !keeper_is_there(&r->keeper) && account_may_say(&r->quota, a))
		log_say(LOG_NOTICE, "ring=%s ends with this broker, because there is no keeper",
			name);
	quota_settle(&r->quota, a);
	return e;
}

int rings_remove(struct rings *r, const char *name)
{
	struct entry *e = catalog_find(&r->catalog, name);
	int error;

	if (e && isolated_of(e->ring)) {
		isolated_forget(isolated_of(e->ring));
		drop(r, e);
		return 0;
	}
	error = store_remove(&r->store, name, e ? e->ring : NULL);
	if (error == -ENOENT && r->keeper.takes_back) /* KE5 */
		error = explain(-EBUSY, "%s", waits);
	if (e && (error == 0 || is_retired(e)))
		drop(r, e);
	return error;
}

static void take_in(const char *name, void *arg)
{
	struct rings *r = arg;
	int error;

	if (catalog_find(&r->catalog, name) || adopt(r, name, &error))
		return;
	/*
	 * A ring that an earlier boot left in shared memory cannot be used any more. Anything else
	 * stays where it is, so that a person can look at it.
	 */
	if (error == -ESTALE && store_sweep_stale(&r->store, name))
		log_say(LOG_NOTICE, "ring=%s swept: it was made before the last boot", name);
	else
		log_say(LOG_WARNING, "ring=%s left alone: %s", name, shmring_explain());
}

void rings_make_wishes(struct rings *r)
{
	if (r->keeper.takes_back) /* KE5 */
		return;
	for (size_t i = 0; i < r->policy->ring_count; i++) {
		const struct ring_wish *w = &r->policy->rings[i];
		struct shortage shortage;
		struct entry *made;
		int e;

		if (rings_find(r, w->name, &e))
			continue;
		if (e == -ENOENT)
			e = rings_make(r, w->name, w->persistent, w->owner, NULL, &w->config, &made,
				       &shortage);
		if (e < 0)
			log_say(LOG_ERR, "ring=%s of %s:%u cannot be made: %s", w->name,
				r->policy->file, w->line, shmring_explain());
	}
}

static void say_left_out(const struct account *a, unsigned left_out)
{
	log_say(LOG_NOTICE, "uid=%u %u further lines about this user were left out",
		(unsigned)a->uid, left_out);
}

bool rings_are_to_sweep(const struct rings *r)
{
	return r->quota.to_sweep || r->relics.count > 0;
}

void rings_sweep(struct rings *r)
{
	int64_t now = shmr_now();

	if (!rings_are_to_sweep(r) || now - r->swept_ns < SECOND)
		return;
	r->swept_ns = now;
	relics_sweep(&r->relics, NULL, relic_is_gone, r);
	quota_sweep(&r->quota, now, say_left_out);
}

void rings_init(struct rings *r, void (*caught_up)(struct rings *r))
{
	*r = (struct rings){ .store = { .directory = { -1, -1 } },
			     .keeper = { .watch.fd = -1 },
			     .caught_up = caught_up };
	descriptor_share_open(&r->descriptors);
	relics_open(&r->relics);
}

int rings_open(struct rings *r, const char *directory, const char *state_directory, char *error,
	       size_t size)
{
	int e = store_open(&r->store, directory, state_directory, error, size);

	if (e == 0)
		store_sweep(&r->store);
	return e;
}

int rings_take_in(struct rings *r)
{
	return store_each(&r->store, take_in, r);
}

void rings_drop_kept(struct rings *r)
{
	free(r->kept);
	r->kept = NULL;
	r->kept_count = 0;
}

void rings_close(struct rings *r, bool successor)
{
	keeper_close(&r->keeper, successor);
	relics_close(&r->relics);
	catalog_close(&r->catalog);
	store_close(&r->store);
	quota_close(&r->quota);
	rings_drop_kept(r);
}
