/* SPDX-License-Identifier: MIT */
/*
 * sleep: sleep until there is a message, or until there is as much as the watermark says.
 *
 * One sleep is: read the bell, announce the consumer (announce.c), look once more, ask whether a
 * message may still come (end.c), and sleep on the bell, for the ring's longest sleep at most.
 * After a sleep that brought nothing the consumer looks after the dead and after its own place, and
 * sleeps again until the deadline.
 *
 * With a watermark the consumer wakes up at the end of a time, too, and takes what is there,
 * however little. That time begins with the first message, so the consumer first sleeps until that
 * message has come. If the program gave no time, the time is the longest sleep of the ring, and
 * begins with the sleep.
 *
 * Looking after the dead: a process that sleeps may be the only one that notices that another one
 * was killed. So each vain sleep asks the kernel about the tenant of one more place, of a lane or
 * of a consumer, in rotation.
 */
#include <errno.h>

#include "consumer.h"
#include "sys.h"

/* See whether the tenant of a place has died; false: it has none, or is this consumer's place. */
static bool probe_place(struct shmring_consumer *c, enum place_kind kind, unsigned slot)
{
	struct registry *registry = c->attachment.registry;
	/* [PLACE] pairs with shmr_place_take() */
	uint64_t status = load_acquire(place_status(registry, kind, slot));

	if (!status_protected(status) || (kind == PLACE_CONSUMER && slot == c->attachment.slot))
		return false;
	c->counters.system_calls += 2;
	if (shmr_place_bury(registry, kind, slot, status, shmr_ring_probe_fd(c->attachment.ring))) {
		c->counters.recoveries++;
		if (kind == PLACE_CONSUMER)
			consumer_tell_producers(c);
	}
	return true;
}

/*
 * Nothing came during a whole sleep. Perhaps the owner of a lane has died; or a consumer
 * has died for which a producer waits that cannot prove it. Looks at one place each time.
 */
void consumer_probe_one_peer(struct shmring_consumer *c)
{
	unsigned lanes = consumer_geometry(c)->lanes;

	for (unsigned i = 0; i < lanes + LAYOUT_CONSUMERS; i++) {
		unsigned place = c->sleep.next_probe++ % (lanes + LAYOUT_CONSUMERS);

		if (place < lanes ? probe_place(c, PLACE_LANE, place)
				  : probe_place(c, PLACE_CONSUMER, place - lanes))
			return;
	}
}

/*
 * The bell is read before the bit is looked at: if a producer takes the bit from
 * now on, or leaves, the bell moves and the sleep ends at once. [SLEEP] pairs with
 * shmr_bell_ring_data(), shmr_bell_ring_leaving().
 */
static int sleep_for_message(struct shmring_consumer *c, int64_t deadline)
{
	const struct doorbell *shared = c->bell.shared;
	uint32_t seen = load_acquire32(&shared->data_bell);
	int64_t now = shmr_now();
	int e;

	consumer_announce(c);
	if (consumer_look(c))
		return 0;
	e = consumer_check_end(c, true);
	if (e != 0)
		return e > 0 ? 0 : e;
	if (c->announce.quiet && deadline - now > consumer_longest_sleep(c))
		deadline = now + consumer_longest_sleep(c);
	e = shmr_bell_sleep(&c->bell, &shared->data_bell, seen, deadline, &c->counters);
	consumer_show_counts(c);
	return e;
}

/* After a sleep that brought nothing: 0, or why not to sleep again. */
static int check_after_sleep(struct shmring_consumer *c, int64_t deadline)
{
	int e;

	consumer_probe_one_peer(c);
	e = consumer_keep_place(c, false);
	if (e == 0 && shmr_now() >= deadline)
		e = -ETIMEDOUT;
	return e;
}

static int sleep_until_message(struct shmring_consumer *c, int64_t deadline)
{
	int e;

	shmr_bell_begin_wait(&c->bell);
	consumer_drop_watermarks(c);
	do {
		e = sleep_for_message(c, deadline);
		if (e == 0 && consumer_look(c))
			break;
		if (e == 0)
			e = check_after_sleep(c, deadline);
	} while (e == 0);
	consumer_take_back(c);
	return e;
}

/* [SLEEP] pairs with shmr_bell_ring_data(), shmr_bell_ring_leaving(). */
static int sleep_until_due(struct shmring_consumer *c, int64_t until)
{
	const struct doorbell *shared = c->bell.shared;
	uint64_t raised = 0; /* in these lanes */
	int e = 0;

	while (e == 0 && shmr_now() < until) {
		uint32_t seen = load_acquire32(&shared->data_bell);

		consumer_adopt_lanes(c); /* a new one may have rung */
		if (raised != c->lanes.adopted)
			consumer_raise_watermarks(c);
		raised = c->lanes.adopted;
		consumer_announce(c);
		if (consumer_is_due(c))
			break;
		e = consumer_check_end(c, true);
		if (e != 0)
			break; /* there will not be more than there is */
		e = shmr_bell_sleep(&c->bell, &shared->data_bell, seen, until, &c->counters);
		consumer_show_counts(c);
	}
	consumer_drop_watermarks(c);
	return e;
}

static int wait_for_watermark(struct shmring_consumer *c, int64_t deadline)
{
	int64_t until = shmr_now();
	int e;

	until = deadline - until > consumer_longest_sleep(c) ? until + consumer_longest_sleep(c)
							     : deadline;
	shmr_bell_begin_wait(&c->bell);
	e = sleep_until_due(c, until);
	if (e == -ECANCELED || e == -ESTALE)
		return e;			  /* it is reported once, and that is now */
	return e > 0 || consumer_look(c) ? 0 : e; /* a message is worth more than a signal */
}

/* The watermark's time, if it has one, begins with the first message. */
static int sleep_until_watermark(struct shmring_consumer *c, int64_t deadline)
{
	int e = 0;

	if (c->announce.within_ns > 0)
		e = sleep_until_message(c, deadline);
	while (e == 0) {
		e = wait_for_watermark(c, deadline);
		if (e == 0 && consumer_look(c))
			break;
		if (e == 0)
			e = check_after_sleep(c, deadline);
	}
	return e;
}

int consumer_sleep(struct shmring_consumer *c, int64_t deadline)
{
	if (shmr_now() >= deadline)
		return -ETIMEDOUT;
	return consumer_has_watermark(c) ? sleep_until_watermark(c, deadline)
					 : sleep_until_message(c, deadline);
}
