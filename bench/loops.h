/* SPDX-License-Identifier: MIT */
/*
 * The loops that every ring and every peer runs, in terms of four operations.
 * They are inlined into each subject with its operations as constants, so that
 * a subject pays for its own calls only.
 */
#ifndef BENCH_LOOPS_H
#define BENCH_LOOPS_H

#include "bench.h"
#include "work.h"

/* Round trips between two looks at the clock, for subjects that only spin. */
#define TRIPS_PER_SAMPLE 16

/*
 * An operation of a subject. Only so the compiler puts it into the loop: it knows the operations
 * of a constant link_ops, but prefers calls to them. Programs have the path of a message inline,
 * too.
 */
#define OPERATION static inline __attribute__((always_inline))

struct link_ops {
	uint64_t *(*claim)(struct side *side);
	void (*commit)(struct side *side);
	void (*flush)(struct side *side); /* may be NULL */
	const uint64_t *(*peek)(struct side *side, size_t *ret_len);
	void (*release)(struct side *side);
};

static inline __attribute__((always_inline)) void send_message(struct side *side,
							       const struct link_ops *ops,
							       uint64_t sequence)
{
	uint64_t *word = ops->claim(side);

	if (sequence == LAST_MESSAGE)
		word[0] = LAST_MESSAGE;
	else
		work_fill(word, side->message, sequence);
	ops->commit(side);
}

/* Returns false for the last message, which is not counted. */
static inline __attribute__((always_inline)) bool check_message(struct side *side,
								const uint64_t *word, size_t len,
								uint64_t sequence)
{
	if (word[0] == LAST_MESSAGE)
		return false;
	if (word[0] != sequence || len != side->message)
		row_fail(side, "message %llu of %zu bytes came instead of %llu of %zu",
			 (unsigned long long)word[0], len, (unsigned long long)sequence,
			 side->message);
	if (work_sum(word, len) != work_expected(len, sequence))
		row_fail(side, "the content of message %llu is damaged",
			 (unsigned long long)sequence);
	return true;
}

static inline __attribute__((always_inline)) void stream_out(struct side *side,
							     const struct link_ops *ops)
{
	uint64_t sequence;

	for (sequence = 0; phase_of(side) != STOPPING; sequence++)
		send_message(side, ops, sequence);
	send_message(side, ops, LAST_MESSAGE);
	if (ops->flush)
		ops->flush(side);
}

/* Takes the time when it sees the phase change; the harness changes it. */
struct stopwatch {
	enum phase phase;
	int64_t start;
	uint64_t first;
	double rate;
};

static inline __attribute__((always_inline)) void stopwatch_look(struct stopwatch *w,
								 enum phase phase, uint64_t count)
{
	if (__builtin_expect(phase == w->phase, 1))
		return;
	if (phase == MEASURING) {
		w->start = clock_ns();
		w->first = count;
	} else if (w->phase == MEASURING) {
		w->rate = (double)(count - w->first) * 1e9 / (double)(clock_ns() - w->start);
	}
	w->phase = phase;
}

static inline __attribute__((always_inline)) void stream_in(struct side *side,
							    const struct link_ops *ops)
{
	struct stopwatch watch = { .phase = WARMING };
	const uint64_t *word;
	uint64_t sequence;
	size_t len;

	for (sequence = 0;; sequence++) {
		stopwatch_look(&watch, phase_of(side), sequence);
		word = ops->peek(side, &len);
		if (!check_message(side, word, len, sequence))
			break;
		ops->release(side);
	}
	/* the last message may be faster than the phase that caused it */
	stopwatch_look(&watch, STOPPING, sequence);
	side->control->value = watch.rate;
}

static inline __attribute__((always_inline)) void trip_out(struct side *side,
							   const struct link_ops *ops,
							   int per_sample)
{
	struct samples samples = { 0 };
	uint64_t sequence = 0;
	const uint64_t *word;
	enum phase phase;
	int64_t start;
	size_t len;
	int i;

	while ((phase = phase_of(side)) != STOPPING) {
		start = clock_ns();
		for (i = 0; i < per_sample; i++, sequence++) {
			send_message(side, ops, sequence);
			word = ops->peek(side, &len);
			if (!check_message(side, word, len, sequence))
				row_fail(side, "the answer came to an end");
			ops->release(side);
		}
		if (phase == MEASURING)
			samples_add(&samples, (double)(clock_ns() - start) / per_sample);
	}
	send_message(side, ops, LAST_MESSAGE);
	side->control->value = samples_quantile(&samples, 0.5);
	if (per_sample == 1)
		side->control->p99 = samples_quantile(&samples, 0.99);
	samples_free(&samples);
}

static inline __attribute__((always_inline)) void trip_back(struct side *side,
							    const struct link_ops *ops)
{
	const uint64_t *word;
	uint64_t sequence;
	size_t len;

	for (sequence = 0;; sequence++) {
		word = ops->peek(side, &len);
		if (!check_message(side, word, len, sequence))
			break;
		send_message(side, ops, sequence);
		ops->release(side);
	}
}

static inline __attribute__((always_inline)) void run_link(struct side *side,
							   const struct link_ops *ops)
{
	const struct subject *subject = side->out ? side->out->subject : side->in->subject;

	if (side->kind == STREAM && side->role == CONSUMER)
		stream_in(side, ops);
	else if (side->kind == STREAM)
		stream_out(side, ops);
	else if (side->role == CONSUMER)
		trip_back(side, ops);
	else
		trip_out(side, ops, subject->sleeps ? 1 : TRIPS_PER_SAMPLE);
}

#endif
