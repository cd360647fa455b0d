/* SPDX-License-Identifier: MIT */
/*
 * Self: shmring, through its public interface, as a user would call it.
 *
 *	shmring		claim, fill in place, commit; peek, release; waits spin for
 *			a while and then sleep (the default)
 *	-publish	shmring_publish() from a private buffer
 *	-batch32	32 messages staged and committed together, peeked and
 *			released together
 *	-poll		waits never sleep
 *	-sleep		waits sleep at once
 *	-line		records aligned to cache lines, not to 8 bytes
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>
#include <shmring/shmring.h>

#include "loops.h"

#define BATCH 32
#define REPEAT 9

struct self {
	struct shmring_ring *ring;
	struct shmring_producer *producer;
	struct shmring_consumer *consumer;
	struct shmring_producer *idle[SHMRING_MAX_LANES];
	uint64_t *buffer; /* -publish */
	struct shmring_message batch[BATCH];
	int at, count; /* in the batch that was peeked */
	int staged;
};

OPERATION struct self *out_of(struct side *side)
{
	return side->out->state;
}

OPERATION struct self *in_of(struct side *side)
{
	return side->in->state;
}

static void self_close(struct channel *ch)
{
	struct self *self = ch->state;
	int i;

	for (i = 0; i < SHMRING_MAX_LANES; i++)
		shmring_producer_detach(self->idle[i]);
	shmring_close(self->ring);
	free(self->buffer);
	free(self);
}

static int self_open(struct channel *ch)
{
	struct shmring_config config = {
		.size = sizeof(config),
		.lane_size = ch->capacity,
		.lanes = ch->subject->idle > 1 ? SHMRING_MAX_LANES : 0,
		.alignment = ch->subject->alignment,
		.unread_policy = SHMRING_UNREAD_OVERWRITE,
	};
	struct self *self = calloc(1, sizeof(*self));
	int i, ret;

	if (!self)
		return -1;
	ch->state = self;
	self->buffer = aligned_alloc(LINE, (ch->message + LINE) / LINE * LINE);
	ret = self->buffer ? shmring_create(&self->ring, NULL, &config) : -1;
	for (i = 0; i < ch->subject->idle && ret == 0; i++)
		ret = shmring_producer_attach(&self->idle[i], self->ring, NULL);
	if (ret == 0)
		return 0;
	fprintf(stderr, "\nshmring-bench: %s\n", shmring_explain());
	self_close(ch);
	return -1;
}

OPERATION void check(struct side *side, int64_t ret)
{
	if (__builtin_expect(ret < 0, 0))
		row_fail(side, "%s (%s)", shmring_explain(), strerror((int)-ret));
}

static void self_join(struct side *side)
{
	struct shmring_producer_options producer = { .size = sizeof(producer) };
	struct shmring_consumer_options consumer = { .size = sizeof(consumer) };
	struct self *self;

	if (side->out) {
		self = out_of(side);
		producer.spin_ns = side->out->subject->spin_ns;
		check(side, shmring_join(self->ring));
		check(side, shmring_producer_attach(&self->producer, self->ring, &producer));
	}
	if (side->in) {
		self = in_of(side);
		consumer.spin_ns = side->in->subject->spin_ns;
		check(side, shmring_join(self->ring));
		check(side, shmring_consumer_attach(&self->consumer, self->ring, &consumer));
	}
}

static double calls_per_message(const struct shmring_counters *c)
{
	return c->messages ? (double)c->system_calls / (double)c->messages : 0;
}

static void self_leave(struct side *side)
{
	double *calls = &side->control->system_calls[side->role];
	struct shmring_counters counters = { .size = sizeof(counters) };

	if (side->out) {
		check(side, shmring_producer_counters(out_of(side)->producer, &counters));
		*calls += calls_per_message(&counters);
		shmring_producer_detach(out_of(side)->producer);
	}
	if (side->in) {
		check(side, shmring_consumer_counters(in_of(side)->consumer, &counters));
		*calls += calls_per_message(&counters);
		shmring_consumer_detach(in_of(side)->consumer);
	}
}

OPERATION uint64_t *self_claim(struct side *side)
{
	void *data;

	check(side, shmring_claim(out_of(side)->producer, side->message, SHMRING_FOREVER, &data));
	return data;
}

OPERATION void self_commit(struct side *side)
{
	check(side, shmring_commit(out_of(side)->producer, side->message));
}

OPERATION const uint64_t *self_peek(struct side *side, size_t *ret_len)
{
	struct shmring_message m;

	check(side, shmring_peek(in_of(side)->consumer, SHMRING_FOREVER, &m));
	*ret_len = m.len;
	return m.data;
}

OPERATION void self_release(struct side *side)
{
	check(side, shmring_release(in_of(side)->consumer));
}

OPERATION uint64_t *publish_claim(struct side *side)
{
	return out_of(side)->buffer;
}

OPERATION void publish_commit(struct side *side)
{
	struct self *self = out_of(side);

	check(side, shmring_publish(self->producer, self->buffer, side->message, SHMRING_FOREVER));
}

/* A batch may take half a lane, so large messages go in smaller batches. */
OPERATION void batch_commit(struct side *side)
{
	struct self *self = out_of(side);
	size_t record = side->message + 8;

	self->staged++;
	if (self->staged == BATCH || (size_t)(self->staged + 1) * record > side->capacity / 2) {
		check(side, shmring_commit(self->producer, side->message));
		self->staged = 0;
	} else {
		check(side, shmring_stage(self->producer, side->message));
	}
}

static void batch_flush(struct side *side)
{
	check(side, shmring_flush(out_of(side)->producer));
}

OPERATION const uint64_t *batch_peek(struct side *side, size_t *ret_len)
{
	struct self *self = in_of(side);

	if (self->at == self->count) {
		self->count =
			shmring_peek_batch(self->consumer, SHMRING_FOREVER, self->batch, BATCH);
		check(side, self->count);
		self->at = 0;
	}
	*ret_len = self->batch[self->at].len;
	return self->batch[self->at].data;
}

OPERATION void batch_release(struct side *side)
{
	struct self *self = in_of(side);

	if (++self->at == self->count)
		check(side, shmring_release(self->consumer));
}

static void run_claim(struct side *side)
{
	static const struct link_ops ops = { .claim = self_claim,
					     .commit = self_commit,
					     .peek = self_peek,
					     .release = self_release };

	run_link(side, &ops);
}

static void run_publish(struct side *side)
{
	static const struct link_ops ops = { .claim = publish_claim,
					     .commit = publish_commit,
					     .peek = self_peek,
					     .release = self_release };

	run_link(side, &ops);
}

static void run_batch(struct side *side)
{
	static const struct link_ops ops = { .claim = self_claim,
					     .commit = batch_commit,
					     .flush = batch_flush,
					     .peek = batch_peek,
					     .release = batch_release };

	run_link(side, &ops);
}

/* The consumer of several producers: each lane counts for itself. */
static void consume_lanes(struct side *side)
{
	int producers = side->in->subject->processes;
	struct shmring_consumer *c = in_of(side)->consumer;
	uint64_t next[SHMRING_MAX_LANES] = { 0 };
	struct stopwatch watch = { .phase = WARMING };
	struct shmring_message m;
	uint64_t count = 0;

	while (producers > 0) {
		stopwatch_look(&watch, phase_of(side), count);
		check(side, shmring_peek(c, SHMRING_FOREVER, &m));
		if (check_message(side, m.data, m.len, next[m.producer]))
			count++;
		else
			producers--;
		next[m.producer]++;
		check(side, shmring_release(c));
	}
	stopwatch_look(&watch, STOPPING, count);
	side->control->value = watch.rate;
}

static void run_lanes(struct side *side)
{
	if (side->role == CONSUMER)
		consume_lanes(side);
	else
		run_claim(side);
}

/* Messages between two looks at the clock of a consumer that shares its processor. */
#define STALL_GRAIN 64

/*
 * Consumers that share a processor: each gets every message. The rate and the stalls are the first
 * one's; a stall is what so many messages take when the clock is looked at, which is rare enough
 * to cost nothing.
 */
static void consume_shared(struct side *side)
{
	struct shmring_consumer *c = in_of(side)->consumer;
	struct stopwatch watch = { .phase = WARMING };
	struct samples stalls = { 0 };
	int64_t before = clock_ns();
	struct shmring_message m;
	uint64_t count;

	for (count = 0;; count++) {
		if (count % STALL_GRAIN == 0) {
			int64_t now = clock_ns();

			if (watch.phase == MEASURING)
				samples_add(&stalls, (double)(now - before));
			before = now;
		}
		stopwatch_look(&watch, phase_of(side), count);
		check(side, shmring_peek(c, SHMRING_FOREVER, &m));
		if (!check_message(side, m.data, m.len, count))
			break;
		check(side, shmring_release(c));
	}
	stopwatch_look(&watch, STOPPING, count);
	if (side->role == CONSUMER) {
		side->control->value = watch.rate;
		side->control->p99 = samples_quantile(&stalls, 0.99);
	}
	samples_free(&stalls);
}

static void run_consumers(struct side *side)
{
	if (side->in)
		consume_shared(side);
	else
		run_claim(side);
}

/* ---- costs, in one process ---- */

static double milliseconds(int64_t start)
{
	return (double)(clock_ns() - start) / 1e6;
}

/* The median of some repetitions of `once`, which returns milliseconds. */
static void run_repeatedly(struct side *side, double (*once)(struct side *side))
{
	struct samples samples = { 0 };
	int i;

	for (i = 0; i < REPEAT; i++)
		samples_add(&samples, once(side));
	side->control->value = samples_quantile(&samples, 0.5);
	samples_free(&samples);
}

static struct shmring_ring *new_ring(struct side *side)
{
	struct shmring_config config = { .size = sizeof(config),
					 .lane_size = side->capacity,
					 .unread_policy = SHMRING_UNREAD_OVERWRITE };
	struct shmring_ring *ring;

	check(side, shmring_create(&ring, NULL, &config));
	return ring;
}

static double create_once(struct side *side)
{
	int64_t start = clock_ns();
	struct shmring_ring *ring = new_ring(side);
	double took = milliseconds(start);

	shmring_close(ring);
	return took;
}

static void run_create(struct side *side)
{
	run_repeatedly(side, create_once);
}

/* Producer attach; `again`: to a lane that has its memory already. */
static double attach_producer_once(struct side *side, bool again)
{
	struct shmring_ring *ring = new_ring(side);
	struct shmring_producer *p;
	int64_t start;
	double took;

	if (again) {
		check(side, shmring_producer_attach(&p, ring, NULL));
		shmring_producer_detach(p);
	}
	start = clock_ns();
	check(side, shmring_producer_attach(&p, ring, NULL));
	took = milliseconds(start);
	shmring_producer_detach(p);
	shmring_close(ring);
	return took;
}

static double attach_first_once(struct side *side)
{
	return attach_producer_once(side, false);
}

static double attach_again_once(struct side *side)
{
	return attach_producer_once(side, true);
}

static double attach_consumer_once(struct side *side)
{
	struct shmring_ring *ring = new_ring(side);
	struct shmring_producer *p;
	struct shmring_consumer *c;
	int64_t start;
	double took;

	check(side, shmring_producer_attach(&p, ring, NULL));
	start = clock_ns();
	check(side, shmring_consumer_attach(&c, ring, NULL));
	took = milliseconds(start);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(ring);
	return took;
}

static void run_attach_first(struct side *side)
{
	run_repeatedly(side, attach_first_once);
}

static void run_attach_again(struct side *side)
{
	run_repeatedly(side, attach_again_once);
}

static void run_attach_consumer(struct side *side)
{
	run_repeatedly(side, attach_consumer_once);
}

static double cpu_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

/* Share of a processor that a consumer takes while nothing comes, for 20 windows. */
static void run_idle(struct side *side)
{
	int64_t length = 20 * side->window_ns;
	struct shmring_consumer *c;
	struct shmring_message m;
	double before;
	int ret;

	check(side, shmring_join(out_of(side)->ring));
	check(side, shmring_consumer_attach(&c, out_of(side)->ring, NULL));
	before = cpu_ms();
	ret = shmring_peek(c, shmring_deadline(length), &m);
	if (ret == 0)
		row_fail(side, "a message came that nobody sent");
	side->control->value = (cpu_ms() - before) / ((double)length / 1e6) * 100;
	shmring_consumer_detach(c);
}

#define SELF .open = self_open, .join = self_join, .leave = self_leave, .close = self_close

const struct subject self_streams[] = { { "shmring", SELF, .run = run_claim },
					{ "shmring-poll", SELF, .run = run_claim,
					  .spin_ns = SHMRING_FOREVER },
					{ "shmring-sleep", SELF, .run = run_claim, .spin_ns = -1 },
					{ "shmring-publish", SELF, .run = run_publish },
					{ "shmring-batch32", SELF, .run = run_batch },
					{ 0 } };

const struct subject self_lanes[] = {
	{ "one-producer", SELF, .run = run_lanes, .processes = 1 },
	{ "two-producers", SELF, .run = run_lanes, .processes = 2 },
	{ "idle-lanes-63", SELF, .run = run_lanes, .processes = 1, .idle = 63 },
	{ "one-consumer", SELF, .run = run_consumers, .consumers = 1 },
	{ "two-consumers", SELF, .run = run_consumers, .consumers = 2 },
	{ "four-consumers", SELF, .run = run_consumers, .consumers = 4 },
	{ "eight-consumers", SELF, .run = run_consumers, .consumers = 8 },
	{ 0 }
};

const struct subject self_trips[] = {
	{ "shmring-poll", SELF, .run = run_claim, .spin_ns = SHMRING_FOREVER },
	{ "shmring", SELF, .run = run_claim },
	{ "shmring-sleep", SELF, .run = run_claim, .spin_ns = -1, .sleeps = true },
	{ "shmring-poll-line", SELF, .run = run_claim, .spin_ns = SHMRING_FOREVER,
	  .alignment = LINE },
	{ "shmring-line", SELF, .run = run_claim, .alignment = LINE },
	{ 0 }
};

const struct subject self_costs[] = { { "create", "ms", .run = run_create },
				      { "attach-first", "ms", .run = run_attach_first },
				      { "attach-again", "ms", .run = run_attach_again },
				      { "attach-consumer", "ms", .run = run_attach_consumer },
				      { "idle-consumer", "% of a cpu", .open = self_open,
					.run = run_idle, .close = self_close, .idle = 1 },
				      { 0 } };
