/* SPDX-License-Identifier: MIT */
/*
 * place: the consumer's place in the registry, with the cursors of all lanes.
 *
 * The status word of the place says whether its cursors count (registry.h has the states). The
 * consumer enters its place in this order:
 *
 *	clear the cursors	unless the word already says that they count
 *	JOINING			from now on each cursor counts as soon as it is stored (J3)
 *	place each cursor	where the consumer begins (join.c); of isolated rings again, as long
 *				as the lanes' files have changed (F3)
 *	write the marks		of a name that begins elsewhere
 *	ACTIVE
 *
 * Each step of the word is a compare-and-swap. Only a producer may be quicker: it suspects the
 * consumer, or evicts it for joining too slowly. Then the consumer learns the new word and begins
 * again, for a bounded time. A consumer that dies on the way loses its cursors: a name is LAPSED
 * then, and its next holder begins at the marks. So no cursor is placed in any other state.
 *
 * The holder of a name that was DETACHED is ACTIVE from its first step, because its cursors hold
 * producers back all the time; it only finds the totals that belong to them.
 *
 * To keep the place, the consumer compares the word with what it was. A producer that evicts
 * changes the word before it overwrites [EVICT]. So a consumer that finds its word unchanged
 * after it has read has read what the producer wrote there. If it is evicted, what is in
 * hand is void: the consumer rewinds, enters its place again, and reports the loss.
 */
#include <errno.h>

#include "consumer.h"
#include "explain.h"

#define FIRST_LANE UINT64_C(1)

static int place_all(struct shmring_consumer *c, enum shmring_start start)
{
	for (unsigned i = 0; i < consumer_geometry(c)->lanes; i++) {
		struct reader *l = &c->readers[i];
		int e = consumer_place_cursor(c, l, start, &l->hot.at);

		if (e < 0)
			return e;
		reader_begin(l, start);
	}
	return 0;
}

static int replace_all(struct shmring_consumer *c)
{
	int e = 0;

	for (unsigned i = 0; e == 0 && i < consumer_geometry(c)->lanes; i++)
		e = consumer_replace_cursor(c, &c->readers[i]);
	return e;
}

/*
 * Write both marks of every lane: nothing has been released from before here. The newer
 * mark goes last. So a consumer that dies in between leaves the position that it had or
 * the new one, and not the position before. [MARK] pairs with last_mark().
 */
static void write_marks(struct shmring_consumer *c)
{
	for (unsigned i = 0; i < consumer_geometry(c)->lanes; i++) {
		consumer_write_mark(&c->readers[i], &c->readers[i].hot.at);
		consumer_write_mark(&c->readers[i], &c->readers[i].hot.at);
	}
}

/* Before the word says that they count. [RELEASE] pairs with read_gate(). */
static void clear_cursors(struct shmring_consumer *c)
{
	for (unsigned i = 0; i < LAYOUT_LANES; i++)
		store_release(&c->readers[0].cursor[i].position, POSITION_NONE);
}

/* [PLACE] pairs with read_gate(): what the consumer wrote before counts with the word. */
static bool move_on(struct shmring_consumer *c, uint64_t from, uint64_t to)
{
	struct attachment *a = &c->attachment;

	if (!compare_and_swap(&a->registry->consumer_status[a->slot], from, to))
		return false;
	a->status = to;
	return true;
}

/* [PLACE] pairs with evict() */
static uint64_t current_status(const struct shmring_consumer *c)
{
	return load_acquire(&c->attachment.registry->consumer_status[c->attachment.slot]);
}

/* The consumer's word has changed. Was it by producers? They never change its epoch. */
static int learn_status(struct shmring_consumer *c)
{
	uint64_t status = current_status(c);

	if (status_epoch(status) != status_epoch(c->attachment.status))
		return explain(-EBADMSG,
			       "the ring is damaged: another consumer has this consumer's place");
	c->attachment.status = status;
	return 0;
}

/*
 * Producers may be waiting for a consumer, each on the bell of its lane. Processes that
 * found no place wait on the bell of the first lane (vacancy.h).
 * [READY] pairs with show_lane().
 */
void consumer_tell_producers(struct shmring_consumer *c)
{
	uint64_t lanes = load_acquire(&c->attachment.registry->lanes_ready);

	shmr_bell_ring_rooms(&c->bell, lanes | FIRST_LANE, &c->counters);
}

/* How a consumer gets its places. */
enum entrance {
	FIRST,	 /* it has no history */
	RETURN,	 /* it had places, and lost them */
	RESTART, /* it has places, and wants others */
};

/* Place all cursors; of an isolated ring, with the lanes' files as behind the last fence. */
static int choose_places(struct shmring_consumer *c, enum shmring_start start,
			 enum entrance entrance)
{
	int e;

	do {
		e = entrance == RETURN ? replace_all(c) : place_all(c, start);
		if (e == 0)
			e = consumer_settle_files(c);
	} while (e > 0);
	return e;
}

/* Go to ACTIVE by way of JOINING. */
static int enter_place(struct shmring_consumer *c, enum shmring_start start, enum entrance entrance)
{
	unsigned flags = (c->named ? PLACE_NAMED : 0) | c->limits.flags;
	/* A name is established only when its cursor is. */
	unsigned joining = entrance == FIRST ? flags & ~PLACE_NAMED : flags;
	struct tries returns = { 0 };
	uint64_t status;
	int e = 0;

	do {
		if (!shmr_try_again(&returns)) /* evicted while it was coming back */
			return explain(-EBADMSG, "the ring is damaged: this consumer is evicted "
						 "again and again");
		status = c->attachment.status;
		if (!status_gates(status))
			clear_cursors(c);
		if (!move_on(c, status,
			     status_with_flags(status_next(status, PLACE_JOINING), joining))) {
			e = learn_status(c);
			continue;
		}
		e = choose_places(c, start, entrance);
		if (e == 0 && entrance != RETURN && c->named)
			write_marks(c);
		status = c->attachment.status;
		if (e < 0)
			move_on(c, status, status_next(status, PLACE_EVICTED));
		else if (!move_on(c, status,
				  status_with_flags(status_next(status, PLACE_ACTIVE), flags)))
			e = learn_status(c);
	} while (e == 0 && status_state(c->attachment.status) != PLACE_ACTIVE);
	if (e == 0)
		consumer_tell_producers(c);
	return e;
}

int consumer_join(struct shmring_consumer *c, enum shmring_start start)
{
	return enter_place(c, start, FIRST);
}

int consumer_revive(struct shmring_consumer *c)
{
	for (unsigned i = 0; i < consumer_geometry(c)->lanes; i++)
		consumer_recall(c, &c->readers[i], POSITION_NONE);
	return enter_place(c, SHMRING_START_OLDEST, RETURN);
}

int consumer_resume(struct shmring_consumer *c)
{
	int e;

	do {
		e = 0;
		for (unsigned i = 0; e == 0 && i < consumer_geometry(c)->lanes; i++)
			e = consumer_resume_cursor(c, &c->readers[i]);
		if (e == 0)
			e = consumer_settle_files(c);
	} while (e > 0);
	return e;
}

int consumer_restart(struct shmring_consumer *c, enum shmring_start start)
{
	int e = learn_status(c);

	return e < 0 ? e : enter_place(c, start, RESTART);
}

int consumer_keep_place(struct shmring_consumer *c, bool releasing)
{
	uint64_t status;
	bool in_hand;
	int e;

	if (!c->limits.evictable)
		return 0;
	fence_acquire(); /* [EVICT] pairs with evict() */
	status = current_status(c);
	if (status == c->attachment.status)
		return 0;
	if (status_state(status) == PLACE_SUSPECT) {
		if (!releasing && consumer_in_hand(c) != 0)
			return 0; /* only a release clears the suspicion */
		if (move_on(c, status, status_next(status, PLACE_ACTIVE)))
			return 0;
	}
	if (status_state(status) == PLACE_EVICTED)
		shmr_tally(&c->attachment.registry->consumer_counts[c->attachment.slot].evictions,
			   1);
	in_hand = consumer_in_hand(c) != 0;
	shmring_rewind(c);
	consumer_count(c);
	e = learn_status(c);
	if (e == 0)
		e = enter_place(c, SHMRING_START_OLDEST, RETURN);
	consumer_begin_count(c);
	if (e < 0)
		consumer_break(c);
	if (e < 0 || !in_hand)
		return e; /* with nothing in hand, the next message tells what it lost */
	return explain(-ESTALE,
		       "evicted: this consumer held producers back for too long; discard what was "
		       "read since the last release");
}
