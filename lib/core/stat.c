/* SPDX-License-Identifier: MIT */
/*
 * stat: the state of a ring, read by somebody who takes no part in it; and the
 * two repairs that need no attachment, reap and forget.
 *
 * All looking is done through the ring's read-only view. Numbers of one lane
 * belong together; numbers of different lanes are from slightly different
 * times.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attachment.h"
#include "doorbell.h"
#include "explain.h"
#include "lane.h"

static enum shmring_state public_state(enum place_kind kind, unsigned slot, uint64_t status, int fd)
{
	if (shmr_place_is_dead(kind, slot, status, fd))
		return SHMRING_DEAD;
	switch (status_state(status)) {
	case PLACE_SETUP:
	case PLACE_JOINING:
		return SHMRING_JOINING;
	case PLACE_ACTIVE:
	case PLACE_SUSPECT:
		return SHMRING_ACTIVE;
	case PLACE_EVICTED:
		return SHMRING_EVICTED;
	case PLACE_DETACHED:
	case PLACE_LAPSED:
		return SHMRING_DETACHED;
	default:
		return status_flags(status) & PLACE_NAMED ? SHMRING_DETACHED : SHMRING_FREE;
	}
}

static bool is_alive(enum shmring_state state)
{
	return state == SHMRING_JOINING || state == SHMRING_ACTIVE || state == SHMRING_EVICTED;
}

/* [PLACE] pairs with shmr_place_take() */
static void count_places(const struct shmring *r, int fd, struct shmring_stat *st)
{
	for (unsigned i = 0; i < LAYOUT_LANES; i++) {
		uint64_t lane = load_acquire(&r->registry->lane_status[i]);
		uint64_t consumer = load_acquire(&r->registry->consumer_status[i]);
		enum shmring_state state = public_state(PLACE_CONSUMER, i, consumer, fd);

		st->producers += is_alive(public_state(PLACE_LANE, i, lane, fd));
		st->consumers += is_alive(state);
		/* A dead holder leaves a named cursor, buried or not. */
		st->detached += state == SHMRING_DETACHED ||
				(state == SHMRING_DEAD && status_flags(consumer) & PLACE_NAMED);
	}
}

static uint64_t resident_bytes(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	uint64_t resident;

	if (p == MAP_FAILED)
		return UINT64_MAX;
	resident = shmr_resident(p, size);
	munmap(p, size);
	return resident;
}

/*
 * The lanes of an isolated ring, as far as we may look at them.
 * [READY] pairs with show_lane().
 */
static void add_files(const struct shmring *r, struct shmring_stat *st)
{
	const struct geometry *g = &r->geometry;
	uint64_t ready = layout_is_apart(g) ? load_acquire(&r->registry->lanes_ready) : 0;

	for (unsigned i = 0; i < g->lanes; i++) {
		const struct lane_wish wish = { .lane = i };
		uint32_t file;
		struct stat s;
		int fd = ready >> i & 1 ? shmr_apart_open(r, &wish, &file) : -1;

		if (fd < 0)
			continue;
		if (fstat(fd, &s) == 0)
			st->allocated += (uint64_t)s.st_blocks * 512;
		if (st->resident != UINT64_MAX)
			st->resident += resident_bytes(fd, g->lane_file_size);
		close(fd);
	}
}

int shmring_stat(struct shmring *r, struct shmring_stat *ret)
{
	const struct geometry *g = &r->geometry;
	struct shmring_stat st = {
		.format = LAYOUT_FORMAT,
		.lanes = g->lanes,
		.lane_size = g->lane_size,
		.max_message = g->max_message,
		.alignment = g->alignment,
		.slow_policy = g->slow_policy,
		.unread_policy = g->unread_policy,
		.wake = g->wake,
		.stamps = g->stamps,
		.evict_after_ns = g->evict_after_ns,
		.max_sleep_ns = g->max_sleep_ns,
		.created_ns = r->created_ns,
		.file_size = layout_bytes(g),
	};
	struct stat file;
	int fd, e = shmr_ring_check(r);

	if (e < 0)
		return e;
	fd = shmr_ring_fd(r);
	if (fd < 0)
		return fd;
	if (fstat(fd, &file) < 0)
		return explain(-errno, "cannot examine the ring: %e", -errno);
	memcpy(st.uuid, r->uuid, sizeof(st.uuid));
	st.allocated = (uint64_t)file.st_blocks * 512;
	if (layout_is_apart(g))
		st.retired = load_relaxed(&r->registry->retired) != 0;
	else
		st.retired = r->named && file.st_nlink == 0;
	st.resident = resident_bytes(fd, g->file_size);
	add_files(r, &st);
	count_places(r, fd, &st);
	*ret = st;
	return 0;
}

/*
 * The end of a lane and the oldest boundary in reach. Nobody holds the lane
 * still for us, so look again if it was overwritten under our eyes.
 */
static int survey(const struct lane *lane, const struct geometry *g,
		  struct shmring_boundary *oldest, struct shmring_boundary *end)
{
	for (int tries = 0; tries < 100; tries++) {
		struct shmring_boundary from;
		int e;

		if (!shmr_lane_newest(lane, end) || !shmr_lane_oldest(lane, g->lane_size, oldest))
			continue;
		from = *end;
		e = shmr_lane_walk(lane, g, end, POSITION_NONE);
		fence_acquire(); /* [OVERRUN] pairs with announce() */
		if (!lane_holds(lane->mask, load_relaxed(&lane->control->reserved), from.position))
			continue;
		return e;
	}
	return explain(-EAGAIN, "the lane is written too fast to be examined");
}

/* One view of a lane's data is enough: headers do not wrap around. */
struct view {
	struct lane lane;
	void *base;
	size_t size;
};

static int view_part_of_ring(struct view *v, const struct shmring *r, unsigned index, int fd)
{
	const struct geometry *g = &r->geometry;

	v->size = g->lane_size;
	v->base = mmap(NULL, v->size, PROT_READ, MAP_SHARED, fd, (off_t)data_offset(g, index));
	v->lane.data = v->base;
	v->lane.control = ring_control(r, index);
	return v->base == MAP_FAILED ? explain(-errno, "cannot map a lane: %e", -errno) : 0;
}

static int view_own_file(struct view *v, const struct shmring *r, unsigned index)
{
	const struct geometry *g = &r->geometry;
	const struct lane_wish wish = { .lane = index };
	uint32_t file;
	int fd = shmr_apart_open(r, &wish, &file);

	if (fd < 0)
		return fd;
	v->size = g->lane_file_size;
	v->base = mmap(NULL, v->size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (v->base == MAP_FAILED)
		return explain(-errno, "cannot map a lane: %e", -errno);
	v->lane.data = (unsigned char *)v->base + g->data_offset;
	v->lane.control = v->base;
	return 0;
}

static int survey_lane(const struct shmring *r, unsigned index, int fd,
		       struct shmring_boundary *oldest, struct shmring_boundary *end,
		       uint32_t *ret_waiting)
{
	struct view v = { .lane.mask = r->geometry.lane_size - 1 };
	int e = layout_is_apart(&r->geometry) ? view_own_file(&v, r, index)
					      : view_part_of_ring(&v, r, index, fd);

	if (e < 0)
		return e;
	e = survey(&v.lane, &r->geometry, oldest, end);
	*ret_waiting = load_relaxed(&v.lane.control->room_wanted) != POSITION_NONE;
	munmap(v.base, v.size);
	return e;
}

/* [PLACE] pairs with shmr_place_take(), [READY] pairs with show_lane(). */
int shmring_stat_lane(struct shmring *r, unsigned index, struct shmring_lane_stat *ret)
{
	struct shmring_lane_stat st = { 0 };
	struct shmring_boundary oldest, end;
	uint64_t status;
	int fd, e = shmr_ring_check(r);

	if (e < 0)
		return e;
	if (index >= r->geometry.lanes)
		return explain(-ERANGE, "the ring has %u lanes", (uint64_t)r->geometry.lanes);
	fd = shmr_ring_fd(r);
	if (fd < 0)
		return fd;
	status = load_acquire(&r->registry->lane_status[index]);
	st.state = public_state(PLACE_LANE, index, status, fd);
	st.tenancy = status_epoch(status);
	st.pid = (int32_t)load_relaxed(&r->registry->lane_holder[index].pid);
	st.attached_ns = load_relaxed(&r->registry->lane_holder[index].attached_ns);
	st.allocated = load_acquire(&r->registry->lanes_ready) >> index & 1;
	if (st.allocated) {
		e = survey_lane(r, index, fd, &oldest, &end, &st.waiting);
		if (e < 0)
			return e;
		st.messages = end.seq;
		st.bytes = end.bytes;
		st.position = end.position;
		st.readable = end.position - oldest.position;
	}
	*ret = st;
	return 0;
}

/*
 * How far a gating consumer is behind the ends of all lanes.
 * [READY] pairs with show_lane(), [RELEASE] pairs with release_lane().
 */
static void add_lag(const struct shmring *r, unsigned index, int fd,
		    struct shmring_consumer_stat *st)
{
	uint64_t ready = load_acquire(&r->registry->lanes_ready);

	for (unsigned i = 0; i < r->geometry.lanes; i++) {
		uint64_t position = load_acquire(&r->rows[index].lane[i].position);
		struct shmring_boundary oldest, end;
		uint64_t lag;
		uint32_t waiting;

		if (!(ready >> i & 1) || position == POSITION_NONE ||
		    survey_lane(r, i, fd, &oldest, &end, &waiting) < 0)
			continue;
		lag = end.position - position;
		if (lag > r->geometry.lane_size)
			continue; /* moved on meanwhile */
		st->lag += lag;
		if (lag > st->max_lag)
			st->max_lag = lag;
	}
}

/* [PLACE] pairs with move_on() */
int shmring_stat_consumer(struct shmring *r, unsigned index, struct shmring_consumer_stat *ret)
{
	struct shmring_consumer_stat st = { 0 };
	uint64_t status;
	int fd, e = shmr_ring_check(r);

	if (e < 0)
		return e;
	if (index >= LAYOUT_CONSUMERS)
		return explain(-ERANGE, "a ring has %u places for consumers",
			       (uint64_t)LAYOUT_CONSUMERS);
	fd = shmr_ring_fd(r);
	if (fd < 0)
		return fd;
	status = load_acquire(&r->registry->consumer_status[index]);
	st.state = public_state(PLACE_CONSUMER, index, status, fd);
	if (st.state != SHMRING_FREE) {
		const struct holder *holder = &r->registry->consumer_holder[index];

		st.pid = (int32_t)load_relaxed(&holder->pid);
		st.attached_ns = load_relaxed(&holder->attached_ns);
		st.evictable = (status_flags(status) & PLACE_EVICTABLE) != 0;
		shmr_name_read(holder, st.name);
		if (status_gates(status))
			add_lag(r, index, fd, &st);
	}
	*ret = st;
	return 0;
}

/* A writable view of registry and doorbell, for the time of one repair. */
static int begin_repair(struct attachment *a, struct shmring *r)
{
	int e = shmr_attach_begin(a, r, 0, 0, RING_REPAIR);

	return e < 0 ? e : shmr_attach_finish(a);
}

/* Producers may have been waiting for those who are gone. [READY] pairs with show_lane(). */
static void tell_producers(struct attachment *a)
{
	struct shmring_counters counters = { 0 };
	struct bell bell = { .shared = a->doorbell };

	shmr_bell_ring_rooms(&bell, load_acquire(&a->registry->lanes_ready), &counters);
}

int shmring_reap(struct shmring *r)
{
	struct attachment a = { 0 };
	int buried = 0;
	int e = begin_repair(&a, r);

	if (e == 0) {
		int fd = shmr_ring_fd(r);

		buried = (int)shmr_place_bury_all(a.registry, PLACE_LANE, fd);
		buried += (int)shmr_place_bury_all(a.registry, PLACE_CONSUMER, fd);
		if (buried > 0)
			tell_producers(&a);
	}
	shmr_detach(&a);
	return e < 0 ? e : buried;
}

/* [PLACE] pairs with take_detached(): one of the two is late. */
static int forget(struct attachment *a, const char *name)
{
	unsigned slot, tries = 0;
	uint64_t status;

	while (shmr_name_find(a->registry, name, &slot, &status) == 0) {
		enum place_state state = status_state(status);
		bool held =
			state != PLACE_DETACHED && state != PLACE_LAPSED && state != PLACE_CLAIMED;

		if (tries++ == PLACE_TRIES)
			return shmr_place_restless();
		if (held &&
		    !shmr_place_bury(a->registry, PLACE_CONSUMER, slot, status,
				     shmr_ring_fd(a->ring)) &&
		    load_acquire(&a->registry->consumer_status[slot]) == status)
			return explain(-EBUSY, "a live process consumes under the name '%s'", name);
		if (!held &&
		    compare_and_swap(&a->registry->consumer_status[slot], status,
				     status_make(status_epoch(status) + 1, 0, 0, PLACE_FREE))) {
			tell_producers(a);
			return 0;
		}
	}
	return explain(-ENOENT, "the ring has no consumer named '%s'", name);
}

int shmring_forget(struct shmring *r, const char *name)
{
	struct attachment a = { 0 };
	int e = shmr_name_check(name);

	if (e < 0)
		return e;
	e = begin_repair(&a, r);
	if (e == 0)
		e = forget(&a, name);
	shmr_detach(&a);
	return e;
}
