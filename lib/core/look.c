/* SPDX-License-Identifier: MIT */
/*
 * look: see look.h. Numbers of one lane belong together; numbers of different lanes are
 * from slightly different times.
 */
#include "look.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attachment.h"
#include "explain.h"
#include "lane.h"
#include "memory.h"
#include "sys.h"

/*
 * A deadline passes also while this process does not run. So a lane up to this size is
 * walked over whole, which takes at most some milliseconds, and a lane that is overwritten
 * meanwhile is looked at that many times.
 */
#define SMALL_LANE (UINT64_C(1) << 20)
enum { LEAST_TRIES = 16, MOST_TRIES = 100 };

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
static void count_places(const struct shmring_ring *r, int fd, struct shmring_ring_stat *st)
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

/* How many of the bytes from `at` on, which are no hole, are in memory. */
static uint64_t resident_part(int fd, uint64_t at, uint64_t size, int64_t deadline)
{
	void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, (off_t)at);
	uint64_t resident;

	if (p == MAP_FAILED) {
		explain(0, "cannot map the ring: %e; allow this process more address space", errno);
		return UINT64_MAX;
	}
	resident = shmr_resident_until(p, size, deadline);
	if (resident == UINT64_MAX)
		explain(0, "the kernel does not report which pages are in memory: %e", errno);
	munmap(p, size);
	return resident;
}

/* Holes are passed over: most of a large ring may never have been used. */
static uint64_t resident_bytes(int fd, uint64_t size, int64_t deadline)
{
	uint64_t resident = 0, page = (uint64_t)sysconf(_SC_PAGESIZE);
	off_t at = 0, end = 0;

	while ((uint64_t)end < size && (at = lseek(fd, end, SEEK_DATA)) >= 0) {
		uint64_t part;

		at &= ~(off_t)(page - 1);
		end = lseek(fd, at, SEEK_HOLE);
		if (end < 0 || (uint64_t)end > size)
			end = (off_t)size;
		if (end <= at)
			break; /* it was cut off meanwhile */
		part = resident_part(fd, (uint64_t)at, (uint64_t)(end - at), deadline);
		if (part == UINT64_MAX)
			return part;
		if (shmr_now() >= deadline) {
			explain(0,
				"counting the pages takes longer than 50 ms; try again when the "
				"machine is less busy, or use the memory in use as an upper bound");
			return UINT64_MAX;
		}
		resident += part;
	}
	return resident;
}

static void add_resident(uint64_t *sum, uint64_t part)
{
	*sum = *sum == UINT64_MAX || part == UINT64_MAX ? UINT64_MAX : *sum + part;
}

/*
 * The lanes of an isolated ring, as far as this process may look at them.
 * [READY] pairs with show_lane().
 */
static void add_files(const struct shmring_ring *r, int64_t deadline, struct shmring_ring_stat *st)
{
	const struct geometry *g = &r->geometry;
	uint64_t ready = layout_is_isolated(g) ? load_acquire(&r->registry->lanes_ready) : 0;

	for (unsigned i = 0; i < g->lanes; i++) {
		const struct lane_wish wish = { .lane = i };
		uint32_t file_number;
		struct stat s;
		int fd = ready >> i & 1 ? shmr_isolated_open(r, &wish, &file_number) : -1;

		if (fd < 0)
			continue;
		if (fstat(fd, &s) == 0)
			st->allocated += (uint64_t)s.st_blocks * 512;
		add_resident(&st->resident, resident_bytes(fd, g->lane_file_size, deadline));
		close(fd);
	}
}

int shmr_look_at_ring(struct shmring_ring *r, int64_t deadline, struct shmring_ring_stat *ret)
{
	const struct geometry *g = &r->geometry;
	struct shmring_ring_stat st = {
		.format = LAYOUT_FORMAT,
		.lanes = g->lanes,
		.lane_size = g->lane_size,
		.max_message = g->max_message,
		.alignment = g->alignment,
		.slow_policy = g->slow_policy,
		.unread_policy = g->unread_policy,
		.wake = g->wake,
		.flags = g->ephemeral ? SHMRING_EPHEMERAL : 0,
		.stamps = g->stamps,
		.evict_after_ns = g->evict_after_ns,
		.evict_lag = g->evict_lag,
		.evict_lag_ns = g->evict_lag_ns,
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
	if (layout_is_isolated(g))
		st.retired = load_relaxed(&r->registry->retired) != 0;
	else
		st.retired = r->named && file.st_nlink == 0;
	st.resident = resident_bytes(fd, g->file_size, deadline);
	add_files(r, deadline, &st);
	count_places(r, fd, &st);
	*ret = st;
	return 0;
}

/* Where to count from: what was counted before, if it still stands, or a newer boundary. */
static bool begin_count(const struct lane *lane, struct look *look)
{
	uint64_t reserved = load_relaxed(&lane->control->reserved); /* survey() looks again */
	struct shmring_boundary newest;

	if (!shmr_lane_newest(lane, &newest))
		return false;
	if (look->begun && lane_holds(lane->mask, reserved, look->at.position) &&
	    (int64_t)(look->at.position - newest.position) >= 0)
		return true;
	*look = (struct look){ .begun = true, .start = newest.position, .at = newest };
	return true;
}

/*
 * Find the end of a lane (in look->at) and the oldest boundary in reach. Nothing holds the
 * lane still, so look again if it was overwritten meanwhile. 0, 1 (the deadline passed: the
 * end is further on), or a negative errno.
 */
static int survey(const struct lane *lane, const struct geometry *g, struct look *look,
		  int64_t deadline, struct shmring_boundary *oldest)
{
	const int64_t walk_until = g->lane_size <= SMALL_LANE ? INT64_MAX : deadline;

	for (unsigned tries = 0; tries < MOST_TRIES; tries++) {
		uint64_t from;
		int e;

		if (!begin_count(lane, look) || !shmr_lane_oldest(lane, g->lane_size, oldest))
			continue;
		from = look->at.position;
		e = shmr_lane_walk_until(lane, g, &look->at, POSITION_NONE, walk_until);
		fence_acquire(); /* [OVERRUN] pairs with announce() */
		if (lane_holds(lane->mask, load_relaxed(&lane->control->reserved), from)) {
			if (look->at.position - look->start > g->lane_size)
				return explain(-EBADMSG, "the lane is damaged: it has no end");
			return e == -EAGAIN ? 1 : e;
		}
		look->begun = false;
		if (tries >= LEAST_TRIES && shmr_now() >= deadline)
			break;
	}
	return explain(-EAGAIN, "the lane is written too fast to be examined");
}

/* One view of a lane's data is enough: headers do not wrap around. */
struct view {
	struct lane lane;
	void *base;
	size_t size;
};

static int view_part_of_ring(struct view *v, const struct shmring_ring *r, unsigned index, int fd)
{
	const struct geometry *g = &r->geometry;

	v->size = g->lane_size;
	v->base = mmap(NULL, v->size, PROT_READ, MAP_SHARED, fd, (off_t)data_offset(g, index));
	v->lane.data = v->base;
	v->lane.control = ring_control(r, index);
	return v->base == MAP_FAILED ? explain(-errno, "cannot map a lane: %e", -errno) : 0;
}

static int view_own_file(struct view *v, const struct shmring_ring *r, unsigned index)
{
	const struct geometry *g = &r->geometry;
	const struct lane_wish wish = { .lane = index };
	uint32_t file_number;
	int fd = shmr_isolated_open(r, &wish, &file_number);

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

static void read_lane_counts(const struct lane_counts *counts, struct shmring_lane_stat *st)
{
	st->full_waits = load_relaxed(&counts->full_waits);
	st->full_wait_ns = load_relaxed(&counts->full_wait_ns);
	st->sleeps = load_relaxed(&counts->sleeps);
	st->wakes = load_relaxed(&counts->wakes);
	st->evictions = load_relaxed(&counts->evictions);
}

static void read_consumer_counts(const struct consumer_counts *counts,
				 struct shmring_consumer_stat *st)
{
	st->waits = load_relaxed(&counts->waits);
	st->sleeps = load_relaxed(&counts->sleeps);
	st->lost = load_relaxed(&counts->lost);
	st->lost_bytes = load_relaxed(&counts->lost_bytes);
	st->evictions = load_relaxed(&counts->evictions);
}

static int survey_lane(const struct shmring_ring *r, unsigned index, int fd, struct look *look,
		       int64_t deadline, struct shmring_lane_stat *st)
{
	struct view v = { .lane.mask = r->geometry.lane_size - 1 };
	struct shmring_boundary oldest;
	int e = layout_is_isolated(&r->geometry) ? view_own_file(&v, r, index)
						 : view_part_of_ring(&v, r, index, fd);

	if (e < 0)
		return e;
	e = survey(&v.lane, &r->geometry, look, deadline, &oldest);
	st->waiting = load_relaxed(&v.lane.control->room_wanted) != POSITION_NONE;
	read_lane_counts(&v.lane.control->counts, st);
	munmap(v.base, v.size);
	if (e < 0)
		return e;
	st->partial = e > 0;
	st->messages = look->at.seq;
	st->bytes = look->at.bytes;
	st->position = look->at.position;
	st->readable = look->at.position - oldest.position;
	return 0;
}

/* [PLACE] pairs with shmr_place_take(), [READY] pairs with show_lane(). */
int shmr_look_at_lane(struct shmring_ring *r, unsigned index, struct look *look, int64_t deadline,
		      struct shmring_lane_stat *ret)
{
	struct shmring_lane_stat st = { 0 };
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
		e = survey_lane(r, index, fd, look, deadline, &st);
		if (e < 0)
			return e;
	}
	*ret = st;
	return 0;
}

/*
 * How far a gating consumer is behind these ends.
 * [READY] pairs with show_lane(), [RELEASE] pairs with consumer_release_lane().
 */
static void add_lag(const struct shmring_ring *r, unsigned index, const struct lane_ends *ends,
		    struct shmring_consumer_stat *st)
{
	uint64_t ready = load_acquire(&r->registry->lanes_ready);

	for (unsigned i = 0; i < r->geometry.lanes; i++) {
		uint64_t position = load_acquire(&r->rows[index].lane[i].position);
		uint64_t lag = ends->position[i] - position;

		if (!(ready >> i & 1) || position == POSITION_NONE)
			continue;
		if (!(ends->known >> i & 1) || ends->partial >> i & 1)
			st->partial = 1;
		if (!(ends->known >> i & 1) || lag > r->geometry.lane_size)
			continue; /* or it has moved on meanwhile */
		st->lag += lag;
		if (lag > st->max_lag)
			st->max_lag = lag;
	}
}

/* [PLACE] pairs with move_on() */
int shmr_look_at_consumer(struct shmring_ring *r, unsigned index, const struct lane_ends *ends,
			  struct shmring_consumer_stat *ret)
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
	st.tenancy = status_epoch(status);
	read_consumer_counts(&r->registry->consumer_counts[index], &st);
	if (st.state != SHMRING_FREE) {
		const struct holder *holder = &r->registry->consumer_holder[index];

		st.pid = (int32_t)load_relaxed(&holder->pid);
		st.attached_ns = load_relaxed(&holder->attached_ns);
		st.evictable = (status_flags(status) & (PLACE_EVICTABLE | PLACE_LIMITED)) != 0;
		registry_limits(&r->geometry, holder, status, &st.limit, &st.limit_ns);
		shmr_name_read(holder, st.name);
		if (status_gates(status))
			add_lag(r, index, ends, &st);
	}
	*ret = st;
	return 0;
}
