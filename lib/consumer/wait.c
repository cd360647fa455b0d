/* SPDX-License-Identifier: MIT */
/*
 * wait: what a consumer does while there is no message.
 *
 * It looks at the lanes in turn, pauses, and looks again; when the budget is
 * spent it sleeps (doorbell.h). Looking has a price for others: each look takes
 * the line that a producer is about to write. A consumer that finds something
 * at almost every look is chasing a producer that streams, so it grows its
 * pauses and lets the producer get ahead by a few lines, or by more than the
 * caches hold if the lane is that large; one whose waits are long (somebody is
 * talking to it and listening for the answer) looks without pausing.
 */
#include <errno.h>

#include "consumer.h"
#include "explain.h"
#include "sys.h"

#define BURST 256 /* messages of one lane before the next lane's turn */
#define MAX_PAUSES 64
#define FAR_PAUSES 1024 /* the same in a lane larger than the caches */
#define FAR_LANE ((uint64_t)2 << 20)
#define DENSE_BYTES 100 /* a pause: about 4 GB/s, a producer that does nothing else */
#define CHASES 8	/* short waits in a row before the pauses grow */
#define SHORT_WAIT 2	/* looks: shorter than any answer takes to come */

/* New lanes: their memory exists before their bit does. [READY] */
void consumer_adopt_lanes(struct shmring_consumer *c)
{
	uint64_t ready = load_acquire(&c->attachment.registry->lanes_ready);
	unsigned lanes = consumer_geometry(c)->lanes;
	uint64_t valid = lanes == 64 ? UINT64_MAX : (UINT64_C(1) << lanes) - 1;
	uint64_t new = ready &valid & ~c->lanes;

	for (; new != 0; new &= new - 1) {
		struct reader *l = &c->readers[__builtin_ctzll(new)];

		c->lanes |= new & -new;
		shmr_memory_apply(&c->attachment, &c->memory, l->lane.control,
				  sizeof(struct lane_control), true, false);
		shmr_memory_apply(&c->attachment, &c->memory, l->lane.data, l->lane.mask + 1, false,
				  false);
	}
}

static bool has_message(const struct reader *l)
{
	return load_relaxed(lane_word(l->lane.data, l->lane.mask, l->hot.at.position)) != 0;
}

static struct reader *first_with_message(struct shmring_consumer *c, uint64_t lanes)
{
	for (; lanes != 0; lanes &= lanes - 1) {
		struct reader *l = &c->readers[__builtin_ctzll(lanes)];

		if (has_message(l))
			return l;
	}
	return NULL;
}

bool consumer_look(struct shmring_consumer *c)
{
	unsigned first = c->hot.lane ? c->hot.lane->index + 1 : 0;
	uint64_t later;
	struct reader *l;

	consumer_adopt_lanes(c);
	/* Those behind the current lane first, then from the beginning. */
	later = first < 64 ? c->lanes >> first << first : 0;
	l = first_with_message(c, later);
	if (!l)
		l = first_with_message(c, c->lanes & ~later);
	if (!l)
		return false;
	if (c->hot.lane)
		c->handed_out += BURST - c->hot.burst;
	c->hot.lane = &l->hot;
	c->hot.burst = BURST;
	return true;
}

/*
 * Before a wait: did the last back-off pay? It did if a pause brought several
 * messages on average; a partner in conversation sends one and waits.
 */
static void judge_backoff(struct shmring_consumer *c)
{
	uint64_t taken = c->handed_out + (c->hot.lane ? BURST - c->hot.burst : 0);
	uint64_t bytes = c->hot.lane ? c->hot.lane->at.bytes : 0;

	c->dense = c->hot.lane == c->waited_lane &&
		   bytes - c->waited_bytes >= c->pauses * (uint64_t)DENSE_BYTES;
	c->waited_lane = c->hot.lane;
	c->waited_bytes = bytes;
	if (c->pauses > 1 && taken < 2 + c->pauses / 8 && !c->dense) {
		c->pauses = 1;
		c->chases = 0;
	} else if (c->pauses > MAX_PAUSES && !c->dense) {
		c->pauses = MAX_PAUSES;
	}
	c->handed_out = 0;
	if (c->hot.lane)
		c->hot.burst = BURST;
}

/*
 * In a lane larger than the caches it pays to fall behind: what the producer has
 * just written is in its own cache, and to read it there slows both down.
 */
static uint32_t most_pauses(const struct shmring_consumer *c)
{
	return c->dense && consumer_geometry(c)->lane_size >= FAR_LANE ? FAR_PAUSES : MAX_PAUSES;
}

/* After it: a short wait is a sign of chasing, a long one of the contrary. */
static void grow_backoff(struct shmring_consumer *c, unsigned looks)
{
	if (looks > SHORT_WAIT) {
		c->pauses = 1;
		c->chases = 0;
	} else if (++c->chases >= CHASES && c->pauses < most_pauses(c)) {
		c->pauses *= 2;
	}
}

static bool current_has_message(const struct shmring_consumer *c)
{
	return c->hot.lane && has_message(current_reader(c));
}

/*
 * Most messages end in the line behind their header's. Asked for together with
 * the header, it arrives together with it: a tenth of a round trip less, a
 * quarter between distant cores.
 */
static void fetch_early(const struct shmring_consumer *c)
{
	const struct shmring_reader_hot *l = c->hot.lane;

	if (l)
		__builtin_prefetch(lane_word(l->data, l->mask, l->at.position + 64));
}

static bool spin_for_message(struct shmring_consumer *c, struct spin *spin, int64_t deadline)
{
	unsigned looks = 0;

	do {
		if (looks > SHORT_WAIT)
			c->pauses = 1; /* it has stopped streaming */
		for (uint32_t i = 1; i < c->pauses; i++)
			cpu_relax();
		if (c->pauses == 1)
			fetch_early(c);
		looks++;
		if (current_has_message(c) || consumer_look(c)) {
			grow_backoff(c, looks);
			return true;
		}
	} while (shmr_spin(spin, &c->bell, deadline));
	grow_backoff(c, looks);
	return false;
}

/* Nothing came during a whole sleep: see whether one of the owners has died. */
static void probe_one_owner(struct shmring_consumer *c)
{
	struct registry *registry = c->attachment.registry;
	unsigned slot = c->next_probe++ % consumer_geometry(c)->lanes;
	uint64_t status = load_acquire(&registry->lane_status[slot]);

	if (!status_protected(status))
		return;
	c->counters.system_calls += 2;
	c->counters.recoveries += shmr_place_bury(registry, PLACE_LANE, slot, status,
						  shmr_ring_probe_fd(c->attachment.ring));
}

/*
 * [SLEEP] pairs with [WAKE] in lib/producer/producer.c. The bell is read before
 * the bit is looked at: if a producer takes the bit from now on, the bell moves
 * and the sleep ends at once. A bit that still stands was seen, or will be, by
 * everybody who published since the barrier that followed it.
 */
static int sleep_for_message(struct shmring_consumer *c, int64_t deadline)
{
	struct doorbell *shared = c->bell.shared;
	uint64_t bit = UINT64_C(1) << c->attachment.slot;
	uint32_t seen = load_acquire32(&shared->data_bell);
	int e = 0;

	if (!(load_relaxed(&shared->sleepers) & bit)) {
		fetch_or(&shared->sleepers, bit);
		shmr_bell_barrier(&c->bell, &c->counters);
	}
	if (!consumer_look(c))
		e = shmr_bell_sleep(&c->bell, &shared->data_bell, seen, deadline, &c->counters);
	return e;
}

static void take_back_bit(struct shmring_consumer *c)
{
	uint64_t bit = UINT64_C(1) << c->attachment.slot;

	if (load_relaxed(&c->bell.shared->sleepers) & bit)
		fetch_and(&c->bell.shared->sleepers, ~bit);
}

static int sleep_until_message(struct shmring_consumer *c, int64_t deadline)
{
	int e;

	do {
		e = sleep_for_message(c, deadline);
		if (e == 0 && consumer_look(c))
			break;
		if (e == 0)
			probe_one_owner(c);
		if (e == 0)
			e = consumer_keep_place(c, false);
		if (e == 0 && shmr_now() >= deadline)
			e = -ETIMEDOUT;
	} while (e == 0);
	take_back_bit(c);
	return e;
}

int consumer_wait(struct shmring_consumer *c, int64_t deadline)
{
	struct spin spin = { 0 };
	int e = consumer_keep_place(c, false);

	if (e < 0)
		return e;
	if (consumer_look(c)) /* coming back may have brought messages */
		return 0;
	if (deadline <= SHMRING_NOWAIT)
		return explain(-EAGAIN, "there is no message");
	c->counters.waits++;
	judge_backoff(c);
	/*
	 * What we have just published may still be in our store buffer, and would
	 * leave it later for the loads and pauses that follow: a third of the
	 * round trip of a bare cache line, lost in the noise for a message.
	 */
	fence_full();
	do {
		if (spin_for_message(c, &spin, deadline))
			return 0;
		e = consumer_keep_place(c, false);
	} while (e == 0 && !spin.over);
	if (e == 0)
		e = shmr_now() >= deadline ? -ETIMEDOUT : sleep_until_message(c, deadline);
	if (e == -ETIMEDOUT)
		return explain(e, "no message came until the deadline");
	if (e == -EINTR)
		return explain(e, "a signal interrupted the wait for messages");
	return e;
}
