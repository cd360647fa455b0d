/* SPDX-License-Identifier: MIT */
/*
 * attach: become the owner of a lane, new or left by another process, and leave it.
 *
 *  1. Begin: a description of the ring's file, the mappings of registry and doorbell
 *     (attachment.h).
 *  2. Bury the owners that are proved dead, then take the place of a lane: CLAIMED, the lock,
 *     SETUP (R1 in registry.h).
 *  3. Map the consumers' cursors, the lane's control block and its data.
 *  4. The first owner gives the lane all of its memory (I7 in lane.h), and tells so [READY].
 *  5. Find the end of what the last owner published (I5).
 *  6. Apply the memory options.
 *  7. Finish: close the descriptor, and go ACTIVE. The mapping keeps the description, and with it
 *     the lock.
 *
 * A lane that contradicts itself is damaged: the attach tries another one. A hostile owner can
 * leave so many records behind that step 5 takes long: then other lanes are tried first.
 *
 * Nothing is granted to the new owner yet, because the last one may have died after it had
 * announced room and before it asked the cursors. So `granted` begins at the end.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "explain.h"
#include "memory.h"
#include "options.h"
#include "producer.h"
#include "sys.h"
#include "vacancy.h"

/* How often the broker of an isolated ring may go away in the midst of an attach. */
enum { RESETS = 3 };

/* How long the walk to a lane's end may take while there are other lanes. */
#define SHORT_WALK_NS INT64_C(50000000)

/* What the tries of one attach have found so far. */
struct tried {
	uint64_t avoid; /* lanes that were found damaged, or to take long: not again */
	uint64_t slow; /* those of them whose walk to the end was given up, because it takes long */
	bool walk_fully; /* no other lane is left: walk to the end even if it takes long */
	bool last;	 /* this is the last try: signals wait for all of it */
};

/*
 * Take one of `lanes` whose place is in `state`; -EUSERS: there is none.
 * [PLACE] pairs with shmr_place_leave(): what the last owner wrote is there.
 */
static int take_lane(struct attachment *a, uint64_t lanes, enum place_state state)
{
	for (; lanes != 0; lanes &= lanes - 1) {
		unsigned slot = (unsigned)__builtin_ctzll(lanes);
		uint64_t status = load_acquire(&a->registry->lane_status[slot]);
		int e;

		if (status_state(status) != state)
			continue;
		e = shmr_place_take(a->registry, PLACE_LANE, slot, status, a->fd, &a->status);
		a->kind = PLACE_LANE;
		a->slot = slot;
		return e;
	}
	return -EUSERS;
}

/*
 * Lanes that have memory first, and claimed ones only if nothing else is left; those of
 * an isolated ring that would have to be copied after those without memory.
 * [READY] pairs with furnish_lane().
 */
static int take_any_lane(struct attachment *a, uint64_t avoid)
{
	unsigned count = a->ring->geometry.lanes;
	uint64_t all = (count == 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1) & ~avoid;
	uint64_t ready = load_acquire(&a->registry->lanes_ready) & all;
	uint64_t own = layout_is_isolated(&a->ring->geometry)
			       ? shmr_isolated_own_lanes(a->doorbell, ready)
			       : ready;
	int e;

	e = take_lane(a, own, PLACE_FREE);
	if (e == -EUSERS)
		e = take_lane(a, all & ~ready, PLACE_FREE);
	if (e == -EUSERS)
		e = take_lane(a, ready & ~own, PLACE_FREE);
	if (e == -EUSERS)
		e = take_lane(a, all, PLACE_CLAIMED);
	return e;
}

static int find_lane(struct attachment *a, uint64_t avoid, struct shmring_counters *counters)
{
	struct tries tries = { 0 };
	int e;

	counters->recoveries += shmr_place_bury_all(a->registry, PLACE_LANE, shmr_ring_fd(a->ring));
	do
		e = take_any_lane(a, avoid);
	while (e == -EAGAIN && shmr_try_again(&tries)); /* another one was quicker */
	if (e == -EAGAIN)
		return shmr_place_restless();
	if (e == -EUSERS && avoid != 0)
		return explain(e, "all lanes have live producers or are damaged; make a new ring");
	if (e == -EUSERS) {
		char holders[400];

		shmr_vacancy_holders(a->registry, PLACE_LANE, holders, sizeof(holders));
		return explain(
			e,
			"all %u lanes have live producers: %s; wait for one to leave (with a "
			"deadline to attach), or make the ring with more lanes",
			(uint64_t)a->ring->geometry.lanes, holders);
	}
	return e;
}

/*
 * Of an isolated ring: map the lane's own file, which the broker gives to no other process
 * as long as the producer's place is locked. Fork is kept out meanwhile, so this does not wait for
 * a broker that is away; the attach tries all of it again.
 */
static int map_own_file(struct shmring_producer *p, const struct tried *t, int *ret_fd)
{
	struct attachment *a = &p->attachment;
	const struct lane_wish wish = { .lane = a->slot,
					.epoch = status_epoch(a->status),
					.write = true };
	uint64_t forks = 0;
	uint32_t file_number;
	int fd;

	if (!t->last)
		forks = shmr_attach_let_signals_in(a);
	fd = shmr_isolated_open(a->ring, &wish, &file_number);
	if (!t->last && !shmr_attach_keep_signals_out(forks) && fd >= 0) {
		close(fd);
		fd = explain(-ECONNRESET, "a signal handler forked during the attach");
	}
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	shmr_attach_reserve_lane(a, &p->lane);
	return shmr_attach_map_lane(a, fd, true, &p->lane);
}

static int map_part_of_ring(struct shmring_producer *p)
{
	struct attachment *a = &p->attachment;
	const struct geometry *g = &a->ring->geometry;
	void *control, *data;
	int e = shmr_attach_lay(a, control_offset(g, a->slot), LAYOUT_GRANULE, true, 1,
				LAYOUT_GRANULE, &control);

	if (e == 0)
		e = shmr_attach_lay(a, data_offset(g, a->slot), g->lane_size, true, 2,
				    lane_alignment(g), &data);
	if (e < 0)
		return e;
	p->lane = (struct lane){ .data = data, .mask = g->lane_size - 1, .control = control };
	return 0;
}

/* `ret_fd`: the lane's own file, to be closed also after an error; -1 if it has none. */
static int map_lane(struct shmring_producer *p, const struct tried *t, int *ret_fd)
{
	struct attachment *a = &p->attachment;
	const struct geometry *g = &a->ring->geometry;
	void *rows;
	int e;

	*ret_fd = -1;
	e = shmr_attach_lay(a, g->cursors_offset, LAYOUT_CONSUMERS * LAYOUT_ROW, false, 1,
			    LAYOUT_GRANULE, &rows);

	if (e < 0)
		return e;
	p->rows = rows;
	return layout_is_isolated(g) ? map_own_file(p, t, ret_fd) : map_part_of_ring(p);
}

/*
 * Has it memory, all of it? Others may forge the ring's bit, so an isolated lane says
 * it itself. [READY] pairs with furnish_lane().
 */
static bool is_furnished(const struct shmring_producer *p)
{
	const struct attachment *a = &p->attachment;

	if (layout_is_isolated(&a->ring->geometry))
		return load_acquire(&p->lane.control->ready) != 0;
	return load_acquire(&a->registry->lanes_ready) >> a->slot & 1;
}

/* I7: all memory of the lane, in file `fd`, before any process may touch it, or none. */
static int furnish_lane(struct shmring_producer *p, int fd)
{
	struct attachment *a = &p->attachment;
	const struct geometry *g = &a->ring->geometry;
	uint64_t control_size = sizeof(struct lane_control);
	int e;

	e = shmr_allocate(fd, control_offset(g, a->slot), control_size);
	if (e == 0)
		e = shmr_allocate(fd, data_offset(g, a->slot), g->lane_size);
	if (e == 0)
		e = shmr_populate(p->lane.control, control_size, true);
	if (e == 0)
		e = shmr_populate(p->lane.data, g->lane_size, true);
	if (e < 0) {
		shmr_deallocate(fd, control_offset(g, a->slot), LAYOUT_GRANULE);
		shmr_deallocate(fd, data_offset(g, a->slot), g->lane_size);
		return e;
	}
	shmr_lane_begin(&p->lane, g);
	if (layout_is_isolated(g)) /* [READY] pairs with is_furnished() */
		store_release(&p->lane.control->ready, 1);
	return 0;
}

/*
 * An owner of an isolated lane may have died between finishing it and saying so. [READY]
 * pairs with consumer_new_lanes(), [JOIN] pairs with hold_empty(): reserve after
 * this, and ask the cursors.
 */
static void show_lane(struct shmring_producer *p)
{
	struct attachment *a = &p->attachment;
	uint64_t bit = UINT64_C(1) << a->slot;

	if (!(load_acquire(&a->registry->lanes_ready) & bit))
		fetch_or(&a->registry->lanes_ready, bit);
}

/* I5: the lane ends where its last owner's last record does, staged ones apart. */
static int find_end(struct shmring_producer *p, struct tried *t)
{
	const struct geometry *g = &p->attachment.ring->geometry;
	/* [ENTRY] pairs with announce(), by an owner that is gone. */
	uint64_t reserved = load_acquire(&p->lane.control->reserved);
	struct shmring_boundary end;
	int e = -EBADMSG;

	if (shmr_lane_newest(&p->lane, &end)) {
		p->reserve.noted_chunk = end.position / g->chunk;
		e = shmr_lane_walk_until(&p->lane, g, &end, POSITION_NONE,
					 t->walk_fully ? INT64_MAX : shmr_now() + SHORT_WALK_NS);
	}
	if (e == -EAGAIN) {
		t->slow |= UINT64_C(1) << p->attachment.slot;
		return e;
	}
	if (e < 0 || reserved - end.position > g->lane_size)
		return explain(-EBADMSG, "lane %u is damaged", (uint64_t)p->attachment.slot);
	p->hot.position = p->reserve.granted = p->reserve.next_note = p->copy.taken = end.position;
	p->hot.seq = end.seq;
	p->hot.bytes = end.bytes;
	p->hot.max_message = g->max_message;
	p->begin = end;
	p->reserve.reserved = reserved;
	p->reserve.floor = reserved - g->first_position <= g->lane_size ? g->first_position
									: reserved - g->lane_size;
	producer_set_limit(p);
	store_relaxed(&p->lane.control->room_wanted, POSITION_NONE);
	return 0;
}

static int apply_memory(struct shmring_producer *p, const struct shmring_memory *want)
{
	struct attachment *a = &p->attachment;
	const struct geometry *g = &a->ring->geometry;
	int e;

	shmr_memory_apply(&a->memory, want, a->registry, sizeof(struct registry), true, true);
	shmr_memory_apply(&a->memory, want, a->doorbell, sizeof(struct doorbell), true, true);
	shmr_memory_apply(&a->memory, want, p->lane.control, sizeof(struct lane_control), true,
			  true);
	e = shmr_memory_apply(&a->memory, want, p->lane.data, g->lane_size, false, true);
	return e < 0 ? e : shmr_memory_judge(&a->memory, want);
}

/* Everything between an empty handle and a lane in state SETUP. */
static int set_up(struct shmring_producer *p, struct shmring_ring *r,
		  const struct shmring_producer_options *o, struct tried *t)
{
	const struct geometry *g = &r->geometry;
	struct attachment *a = &p->attachment;
	int own_fd = -1;
	int e;

	e = shmr_attach_begin(a, r,
			      LAYOUT_CONSUMERS * LAYOUT_ROW + LAYOUT_GRANULE + 2 * g->lane_size, 3,
			      RING_PRODUCE);
	if (e == 0)
		e = find_lane(a, t->avoid, &p->counters);
	if (e == 0)
		e = map_lane(p, t, &own_fd);
	if (e == 0 && !is_furnished(p))
		e = furnish_lane(p, own_fd >= 0 ? own_fd : a->fd);
	if (e == 0)
		show_lane(p);
	if (own_fd >= 0)
		close(own_fd);
	if (e == 0)
		e = find_end(p, t);
	if (e == 0)
		e = apply_memory(p, &o->memory);
	return e < 0 ? e : shmr_attach_finish(a);
}

/*
 * The counter is read inline. The clock is not: a call in the middle of the inline commit would
 * cost commits without stamps the registers that it saves.
 */
static uint32_t single_commit(const struct geometry *g)
{
	if (g->stamps == SHMRING_STAMP_NONE)
		return 0;
	return g->stamps == SHMRING_STAMP_TSC ? SHMRING_COMMIT_COUNTER : SHMRING_COMMIT_SLOW;
}

static void go_active(struct shmring_producer *p, const struct shmring_producer_options *o)
{
	struct attachment *a = &p->attachment;
	const struct geometry *g = &a->ring->geometry;
	uint64_t active = status_next(a->status, PLACE_ACTIVE);

	shmr_bell_init(&p->bell, a->doorbell, g);
	shmr_spin_set_budget(&p->bell.spin, o->spin_ns, false);
	p->hot.fence = p->bell.fence_to_wake;
	p->hot.sleepers = plain_words(&a->doorbell->sleepers);
	p->hot.data = p->lane.data;
	p->hot.payloads = p->lane.data + record_payload(g);
	p->hot.stamp = record_word(g, PREFIX_STAMP);
	p->single = single_commit(g);
	p->stamped = g->stamps != SHMRING_STAMP_NONE;
	producer_set_slow(p, false);
	producer_unmark(p);
	p->hot.mask = p->lane.mask;
	p->hot.align = record_align(g);
	p->hot.round = record_round(g);
	p->hot.header_bits = header_make(0, status_epoch(a->status));
	shmr_peers_begin(&p->wait.consumers, a, PLACE_CONSUMER,
			 (o->flags & SHMRING_WHILE_READ) != 0, true);
	shmr_holder_write(&a->registry->lane_holder[a->slot], NULL);
	/*
	 * No other process changes the word of a living owner: its lock is held.
	 * [PLACE] pairs with probe_place().
	 */
	compare_and_swap(&a->registry->lane_status[a->slot], a->status, active);
	a->status = active;
	shmr_bell_ring_arrival(a->doorbell);
}

static void leave(struct shmring_producer *p)
{
	struct attachment *a = &p->attachment;
	int cancel = shmr_cancel_off();

	producer_mark(p, 1); /* a handler that publishes now is refused */
	if (p->hot.data && producer_is_quiet(p))
		shmring_producer_wake(p);
	if (a->status != 0) {
		struct bell bell = { .shared = a->doorbell };

		shmr_place_leave(a->registry, PLACE_LANE, a->slot, a->status);
		shmr_bell_ring_leaving(&bell, &p->counters);
	}
	shmr_kick_close(p->fd.kick);
	shmr_detach(a);
	shmr_handle_free(p, sizeof(*p));
	shmr_cancel_on(cancel);
}

/*
 * Did the attach fail because of this lane? The lane is damaged; or, in an isolated ring,
 * its status word says that it is free, and the broker knows better.
 */
static bool lane_is_at_fault(const struct shmring_producer *p, int e)
{
	const struct attachment *a = &p->attachment;

	return a->status != 0 &&
	       (e == -EBADMSG || (e == -EBUSY && layout_is_isolated(&a->ring->geometry)));
}

static void remember(struct tried *t, const struct shmring_producer *p, int e)
{
	uint64_t lane = UINT64_C(1) << p->attachment.slot;

	if (lane_is_at_fault(p, e) || (t->slow & lane) != 0)
		t->avoid |= lane;
}

/* Are there lanes left that take long? Then it is their turn. */
static bool allow_slow_lanes(struct tried *t, int e)
{
	if (e != -EUSERS || t->slow == 0)
		return false;
	t->avoid &= ~t->slow;
	t->slow = 0;
	t->walk_fully = true;
	return true;
}

/* One try; a lane at fault is added to those that were tried. */
static int try_attach(struct shmring_producer **ret, struct shmring_ring *r,
		      const struct shmring_producer_options *o, struct tried *tried)
{
	struct shmring_producer *p = shmr_handle_new(sizeof(*p));
	int e;

	if (!p)
		return explain(-ENOMEM, "cannot get memory for the producer");
	e = set_up(p, r, o, tried);
	if (e == 0) {
		go_active(p, o);
		*ret = p;
		return 0;
	}
	remember(tried, p, e);
	leave(p);
	return e;
}

int shmring_slow1_producer_attach(struct shmring_producer **ret, struct shmring_ring *r,
				  const struct shmring_producer_options *options)
{
	struct shmring_producer_options o;
	struct tried tried = { 0 };
	struct vacancy v;
	uint64_t avoided;
	unsigned resets = 0;
	bool again;
	int e = shmr_options_read(&o, sizeof(o), options);

	if (e == 0 && (o.flags & ~SHMRING_WHILE_READ) != 0)
		e = explain(-EINVAL, "producer options: unknown flag");
	if (e == 0)
		e = shmr_memory_check(&o.memory);
	if (e < 0)
		return e;
	shmr_vacancy_begin(&v, r, PLACE_LANE, NULL, o.deadline);
	do {
		int cancel = shmr_cancel_off();

		avoided = tried.avoid;
		tried.last = resets + 1 == RESETS;
		e = try_attach(ret, r, &o, &tried);
		shmr_cancel_on(cancel);
		again = tried.avoid != avoided || allow_slow_lanes(&tried, e) ||
			(e == -ECONNRESET && ++resets < RESETS);
		v.avoid = tried.avoid;
	} while (again || (e < 0 && (e = shmr_vacancy_await(&v, e)) == 1));
	return e;
}

void shmring_producer_detach(struct shmring_producer *p)
{
	if (p && p->hot.data)
		leave(p);
	else if (p)
		shmr_handle_free(p, sizeof(*p));
}
