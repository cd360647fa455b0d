/* SPDX-License-Identifier: MIT */
/*
 * wait: what a consumer does while there is no message.
 *
 * The consumer looks at the lanes, pauses, and looks again; when the budget is spent it
 * sleeps (doorbell.h). A consumer with a watermark sleeps at once: a watermark is for
 * throughput, not for a quick answer.
 *
 * Looking has a price for others: each look takes the line that a producer is
 * about to write. A consumer at the heels of a producer that streams slows both
 * down, so it backs off: it pauses for long enough that the producer gets some
 * way ahead, then reads all that at once. But a peer that sends a request and waits for
 * the answer must not wait for that. The consumer tells the two apart by trial.
 * After some short waits in a row a back-off is tried. If it brings several
 * messages it goes on and grows, as far as the lane is long; if it brings one,
 * or none, it was a conversation, and the next trial comes after twice as many
 * waits.
 */
#include <errno.h>

#include "consumer.h"
#include "explain.h"
#include "sys.h"

#define FIRST_PATIENCE 8  /* short waits in a row before a back-off is tried */
#define LOOKS_PER_ROUND 4 /* looks at the current lane for one at others */
#define FIRST_PAUSES 64	  /* of a back-off: one or two microseconds */
#define MAX_PAUSES 1024	  /* of a back-off in a lane of a megabyte or more */
#define DENSE_BYTES 25	  /* in a pause: about 1 GB/s, a producer that does little else */
#define MAX_CHASES 1024	  /* the most of these */
#define SEVERAL_COUNT 8	  /* those that brought several messages count more */
#define SHORT_LOOKS 2	  /* a wait is short: so many looks, */
#define SHORT_PAUSES 512  /* or so many pauses */

void consumer_reset_backoff(struct shmring_consumer *c)
{
	c->wait.pauses = 1;
	c->wait.patience = FIRST_PATIENCE;
}

/* Before a wait: did the last back-off pay? */
static void judge_backoff(struct shmring_consumer *c)
{
	uint64_t taken = consumer_take_handed_out(c);
	uint64_t bytes = c->hot.lane ? c->hot.lane->at.bytes : 0;

	c->wait.dense = c->hot.lane == c->wait.lane &&
			bytes - c->wait.bytes >= c->wait.paused * (uint64_t)DENSE_BYTES;
	c->wait.lane = c->hot.lane;
	c->wait.bytes = bytes;
	c->bell.spin.messages += taken;
	if (c->wait.paused == 1) {
		c->wait.chases += taken > 1 ? SEVERAL_COUNT : 0;
	} else if (taken >= 2 + c->wait.paused / 8 || (c->wait.dense && taken > 1)) {
		c->wait.patience = FIRST_PATIENCE;
		if (!c->wait.dense)
			c->wait.pauses = FIRST_PAUSES;
	} else {
		c->wait.chases = 0;
		c->wait.pauses = c->wait.paused > FIRST_PAUSES ? c->wait.paused / 2 : 1;
		c->wait.patience =
			c->wait.patience < MAX_CHASES ? 2 * c->wait.patience : MAX_CHASES;
	}
}

/* So many pauses that the producer does not fill a quarter of its lane meanwhile. */
static uint32_t most_pauses(const struct shmring_consumer *c)
{
	uint64_t most = consumer_geometry(c)->lane_size >> 10;

	if (!c->wait.dense || most < FIRST_PAUSES)
		return FIRST_PAUSES;
	return most < MAX_PAUSES ? (uint32_t)most : MAX_PAUSES;
}

/* After a wait: a short wait is a sign of chasing, a long wait of the contrary. */
static void grow_backoff(struct shmring_consumer *c, unsigned looks)
{
	if (looks > SHORT_LOOKS && looks * c->wait.pauses > SHORT_PAUSES) {
		c->wait.pauses = 1;
		c->wait.chases /= 2;
	} else if (++c->wait.chases >= c->wait.patience && c->wait.pauses < most_pauses(c)) {
		c->wait.pauses = c->wait.pauses == 1 ? FIRST_PAUSES : 2 * c->wait.pauses;
	}
}

static bool current_has_message(const struct shmring_consumer *c)
{
	return c->hot.lane && reader_has_message(c, current_reader(c));
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

	c->wait.paused = c->wait.pauses;
	do {
		if (looks > SHORT_LOOKS)
			c->wait.pauses = 1; /* it has stopped streaming */
		for (uint32_t i = 1; i < c->wait.pauses; i++)
			cpu_relax();
		if (c->wait.pauses == 1)
			fetch_early(c);
		looks++;
		if (current_has_message(c) ||
		    (looks % LOOKS_PER_ROUND == 0 && consumer_look_around(c))) {
			grow_backoff(c, looks);
			return true;
		}
	} while (shmr_spin(spin, &c->bell.spin, deadline, &c->counters));
	grow_backoff(c, looks);
	return false;
}

static int spin_until_message(struct shmring_consumer *c, int64_t deadline)
{
	struct spin spin = { 0 };
	int e;

	do {
		if (spin_for_message(c, &spin, deadline))
			return 0;
		e = consumer_keep_place(c, false);
		if (e == 0)
			e = shmr_bell_check_cancel(&c->bell);
		if (e == 0 && !spin.over)
			e = consumer_check_end(c, true);
	} while (e == 0 && !spin.over);
	if (e > 0)
		return 0;
	return e < 0 ? e : -EAGAIN;
}

/* Spin, then sleep; the handle says so meanwhile, to other threads and signal handlers. */
static int spin_then_sleep(struct shmring_consumer *c, int64_t deadline)
{
	int e = use_begin_sleep(&c->use);

	if (e < 0)
		return e;
	e = consumer_has_watermark(c) ? -EAGAIN : spin_until_message(c, deadline);
	if (e == -EAGAIN)
		e = consumer_sleep(c, deadline);
	use_end_sleep(&c->use);
	return e;
}

int consumer_wait(struct shmring_consumer *c, int64_t deadline)
{
	int e = consumer_keep_place(c, false);

	if (e < 0)
		return e;
	if (c->bounded) {
		e = consumer_look_again(c);
		return e == 0 ? consumer_is_at_end() : e > 0 ? 0 : e;
	}
	/* The consumer has not looked at all lanes, and its return may have brought messages. */
	if ((deadline <= SHMRING_NOWAIT || c->limits.evictable) && consumer_look(c))
		return 0;
	e = consumer_check_end(c, false);
	if (e != 0)
		return e > 0 ? 0 : e;
	if (deadline <= SHMRING_NOWAIT)
		return explain(-EAGAIN, "there is no message");
	c->counters.waits++;
	consumer_show_counts(c);
	judge_backoff(c);
	/*
	 * What this thread has just published may still be in the store buffer, and would
	 * leave it later for the loads and pauses that follow: a third of the
	 * round trip of a bare cache line, lost in the noise for a message. No
	 * edge: nothing depends on it.
	 */
	fence_full();
	e = shmr_bell_check_cancel(&c->bell);
	if (e < 0)
		return e;
	e = spin_then_sleep(c, deadline);
	if (e == -ETIMEDOUT)
		return explain(e, "no message came until the deadline");
	if (e == -EINTR)
		return explain(e, "a signal interrupted the wait for messages");
	return e;
}

int shmring_consumer_spin(struct shmring_consumer *c, int64_t spin_ns)
{
	int e = consumer_wiped(c);

	if (e == 0)
		shmr_spin_set_budget(&c->bell.spin, spin_ns, true);
	return e;
}
