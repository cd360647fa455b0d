/* SPDX-License-Identifier: MIT */
/*
 * attach: attach to a ring, and leave it.
 *
 * An attach does these steps in this order, and on an error takes back what it has done:
 *
 *	options			checked against each other and the ring
 *	begin			open the ring for this role, map registry and doorbell
 *	a place			find-place.c; an observer gets a buffer for its copy instead
 *	map			its row of cursors, the lanes, for reading (lanes.c)
 *	finish			keep the mapping from children, close the descriptor
 *	the peers		count producers from here, before the cursors stand
 *	the cursors		place.c: from here on the consumer holds producers back
 *	the end			of a consumer that reads up to now (until.c)
 *
 * If there is no place, the whole attempt is repeated until the deadline (vacancy.h). A thread that
 * is cancelled is cancelled between attempts only.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "consumer.h"
#include "explain.h"
#include "memory.h"
#include "options.h"
#include "sys.h"
#include "vacancy.h"

#define MAX_LAG_NS UINT64_C(86400000000000)

static bool has_wish(const struct shmring_consumer_options *o)
{
	return o->max_lag != 0 || o->max_lag_ns != 0;
}

static int check_attach_options(const struct shmring_consumer_options *o)
{
	if (o->start > SHMRING_START_RESUME ||
	    (o->flags &
	     ~(SHMRING_OBSERVE | SHMRING_PINNED | SHMRING_UNTIL_NOW | SHMRING_UNTIL_END)) != 0)
		return explain(-EINVAL, "consumer options: unknown start or flag");
	if (o->name && (o->flags & SHMRING_OBSERVE))
		return explain(-EINVAL, "an observer has no cursor and so takes no name");
	if (has_wish(o) && (o->flags & SHMRING_OBSERVE))
		return explain(-EINVAL, "an observer holds no producer back, so it takes no limit");
	if (o->max_lag_ns > MAX_LAG_NS)
		return explain(-EINVAL, "max_lag_ns must be at most one day");
	if (o->start == SHMRING_START_RESUME && !o->name)
		return explain(-EINVAL, "to resume, a consumer needs the name it had");
	if (o->name && shmr_name_check(o->name) < 0)
		return -EINVAL;
	return shmr_memory_check(&o->memory);
}

/* Only the consumer's own row is writable, as far as the page size allows. */
static int map_row(struct shmring_consumer *c)
{
	struct attachment *a = &c->attachment;
	uint64_t offset = consumer_geometry(c)->cursors_offset + a->slot * LAYOUT_ROW;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t start = offset & ~(page - 1);
	size_t size = page > LAYOUT_ROW ? page : LAYOUT_ROW;
	struct cursor_row *row;
	void *p;
	int e = shmr_attach_lay(a, start, size, true, 1, LAYOUT_GRANULE, &p);

	if (e < 0)
		return e;
	row = (struct cursor_row *)(void *)((unsigned char *)p + (offset - start));
	for (unsigned i = 0; i < LAYOUT_LANES; i++) {
		c->readers[i].cursor = &row->lane[i];
		c->readers[i].hot.cursor = plain_words(&row->lane[i].position);
	}
	shmr_memory_apply(&a->memory, &c->memory, row, sizeof(*row), true, true);
	return 0;
}

static int make_copy_buffer(struct shmring_consumer *c)
{
	c->observed.copy = mmap(NULL, c->max_message + c->hot.payload, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (c->observed.copy != MAP_FAILED)
		return 0;
	c->observed.copy = NULL;
	return explain(-ENOMEM, "cannot get memory for the observer's copies");
}

static int set_up_consumer(struct shmring_consumer *c, struct shmring_ring *r,
			   const struct shmring_consumer_options *o)
{
	const struct geometry *g = &r->geometry;
	struct attachment *a = &c->attachment;
	size_t size = g->lanes * (LAYOUT_GRANULE + 2 * g->lane_size) + 2 * LAYOUT_GRANULE;
	unsigned segments = layout_is_isolated(g) ? 2 * g->lanes + 1 : g->lanes + 2;
	int e = shmr_attach_begin(a, r, size, segments, c->observer ? RING_OBSERVE : RING_CONSUME);

	if (e < 0)
		return e;
	c->hot.align = record_align(g);
	c->hot.payload = record_payload(g);
	c->hot.round = record_round(g);
	c->max_message = g->max_message;
	shmr_memory_apply(&a->memory, &o->memory, a->registry, sizeof(struct registry), true,
			  false);
	shmr_memory_apply(&a->memory, &o->memory, a->doorbell, sizeof(struct doorbell), true,
			  false);
	if (!c->observer) {
		e = consumer_find_place(c, o);
		if (e == 0)
			e = map_row(c);
	} else {
		e = make_copy_buffer(c);
	}
	if (e == 0)
		e = consumer_map_lanes(c);
	if (e == 0)
		e = shmr_attach_finish(a);
	return e;
}

/*
 * The cursors stand where the program wants to begin: from now on it gets every message, and it
 * counts as attached. [ARRIVE] pairs with has_arrived().
 */
static void arrive(struct shmring_consumer *c)
{
	struct attachment *a = &c->attachment;

	store_release(&a->registry->consumer_counts[a->slot].arrived, status_epoch(a->status));
	shmr_bell_ring_arrival(a->doorbell);
}

/* Place the cursors; from here on the consumer holds producers back. */
static int place_cursors(struct shmring_consumer *c, const struct shmring_consumer_options *o)
{
	struct attachment *a = &c->attachment;
	bool elsewhere = o->start == SHMRING_START_OLDEST || o->start == SHMRING_START_NOW;
	int e;

	consumer_clear_announcement(c);
	shmr_holder_write(&a->registry->consumer_holder[a->slot], o->name);
	consumer_write_limits(a, o); /* the flag PLACE_LIMITED says that they count */
	if (status_state(a->status) == PLACE_ACTIVE)
		e = consumer_resume(c);
	else if (status_flags(a->status) & PLACE_NAMED)
		e = consumer_revive(c);
	else
		return consumer_join(c, o->start);
	return e == 0 && elsewhere ? consumer_restart(c, o->start) : e;
}

static int begin_reading(struct shmring_consumer *c, const struct shmring_consumer_options *o)
{
	int e;

	shmr_bell_init(&c->bell, c->attachment.doorbell, consumer_geometry(c));
	shmr_spin_set_budget(&c->bell.spin, o->spin_ns, true);
	c->bell.soft = c->observer;
	c->hot.fence = c->bell.fence_to_wake;
	c->hot.plain = !c->named && !c->limits.evictable;
	consumer_reset_backoff(c);
	/* Before the cursors stand: a producer that attaches in between counts. */
	shmr_peers_begin(&c->end.producers, &c->attachment, PLACE_LANE,
			 (o->flags & SHMRING_UNTIL_END) != 0, o->start == SHMRING_START_NOW);
	e = c->observer ? observer_begin(c, o->start) : place_cursors(c, o);
	if (e == 0 && !c->observer)
		arrive(c);
	if (e == 0 && (o->flags & SHMRING_UNTIL_NOW) != 0)
		e = consumer_set_bounds(c, o->start == SHMRING_START_NOW);
	consumer_begin_count(c);
	return e;
}

static void leave_ring(struct shmring_consumer *c)
{
	struct attachment *a = &c->attachment;
	int cancel = shmr_cancel_off();

	if (a->status != 0) {
		shmr_place_leave(a->registry, PLACE_CONSUMER, a->slot, a->status);
		if (c->bell.shared)
			consumer_tell_producers(c);
	}
	shmr_kick_close(c->fd.kick);
	window_close(c);
	if (c->observed.copy)
		munmap(c->observed.copy, c->max_message + c->hot.payload);
	shmr_detach(a);
	shmr_handle_free(c, sizeof(*c));
	shmr_cancel_on(cancel);
}

/* May the consumer be evicted, by the ring's policy or its own, and how far may it fall behind? */
static void set_limits(struct shmring_consumer *c, const struct geometry *g,
		       const struct shmring_consumer_options *o)
{
	if (c->observer)
		return;
	c->limits.lag = o->max_lag;
	c->limits.timed = o->max_lag_ns != 0;
	if (has_wish(o))
		c->limits.flags |= PLACE_LIMITED;
	if (g->slow_policy == SHMRING_SLOW_EVICT && !(o->flags & SHMRING_PINNED)) {
		c->limits.flags |= PLACE_EVICTABLE;
		c->limits.lag = smaller_limit(c->limits.lag, g->evict_lag);
		c->limits.timed = c->limits.timed || g->evict_lag_ns != 0;
	}
	if (c->limits.lag >= g->lane_size)
		c->limits.lag = 0; /* no lane gets further ahead than that */
	c->limits.evictable = c->limits.flags != 0;
}

/* As create refuses evict_lag. */
static int check_limit(const struct shmring_ring *r, const struct shmring_consumer_options *o)
{
	if (o->max_lag <= r->geometry.lane_size)
		return 0;
	return explain(-EINVAL,
		       "max_lag is %u bytes, and a lane of this ring has %u; give at most "
		       "that",
		       o->max_lag, r->geometry.lane_size);
}

/* One attempt to attach. */
static int try_consumer_attach(struct shmring_consumer **ret, struct shmring_ring *r,
			       const struct shmring_consumer_options *o)
{
	struct shmring_consumer *c = shmr_handle_new(sizeof(*c));
	int e;

	if (!c)
		return explain(-ENOMEM, "cannot get memory for the consumer");
	c->observer = (o->flags & SHMRING_OBSERVE) != 0;
	c->named = o->name != NULL;
	c->memory = o->memory;
	set_limits(c, &r->geometry, o);
	e = set_up_consumer(c, r, o);
	if (e == 0) {
		consumer_adopt_lanes(c);
		e = shmr_memory_judge(&c->attachment.memory, &o->memory);
	}
	if (e == 0)
		e = begin_reading(c, o);
	if (e < 0) {
		leave_ring(c);
		return e;
	}
	c->counters.system_calls = 0; /* those of the attach do not count */
	*ret = c;
	return 0;
}

int shmring_slow1_consumer_attach(struct shmring_consumer **ret, struct shmring_ring *r,
				  const struct shmring_consumer_options *options)
{
	struct shmring_consumer_options o;
	struct vacancy v;
	int e = shmr_options_read(&o, sizeof(o), options);

	if (e == 0)
		e = check_attach_options(&o);
	if (e == 0)
		e = check_limit(r, &o);
	if (e < 0)
		return e;
	shmr_vacancy_begin(&v, r, PLACE_CONSUMER, o.name, o.deadline);
	do {
		int cancel = shmr_cancel_off();

		e = try_consumer_attach(ret, r, &o);
		shmr_cancel_on(cancel);
	} while (e < 0 && (e = shmr_vacancy_await(&v, e)) == 1);
	return e;
}

void shmring_consumer_detach(struct shmring_consumer *c)
{
	if (c && c->attachment.ring)
		leave_ring(c);
	else if (c)
		shmr_handle_free(c, sizeof(*c));
}
