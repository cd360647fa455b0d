/* SPDX-License-Identifier: MIT */
/*
 * The operations of producers.
 *
 * The subject owns the second lane. The reader keeps up with it while it stands
 * still only, so up to a lane of messages it finds room.
 */
#include "sweep.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "must.h"

enum {
	FEW = 5,
	LARGE = 8000,	   /* copied by the library */
	CHUNK = LANE / 16, /* in which room is reserved, four at a time in a small lane */
	BEFORE_RESERVE = 4 * CHUNK / RECORD - 1,
	/* The record that follows FEW lies across the end of the lane. */
	ACROSS = 16 * LANE - FEW * RECORD - RECORD / 2,
};

static const int64_t wait_ns = 4 * MS;

/*
 * The subject's lane has had an owner, which wrote a lap of it and left: memory that was
 * never written is zero, and hides a missing zero word.
 */
static void before_used(struct scene *s)
{
	struct shmring_producer *p;
	char data[LEN];

	must(shmring_producer_attach(&p, s->ring, NULL));
	for (uint64_t i = 0; i < LAP; i++) {
		audit_fill(data, LEN, RIVAL, i);
		must(shmring_publish(p, data, LEN, SHMRING_NOWAIT));
		scene_read(s);
	}
	s->due_from_rivals += LAP;
	shmring_producer_detach(p);
}

static void attach(struct subject *s)
{
	must(subject_attach_producer(s));
}

/* Claim and fill one more message. */
static void claim(struct subject *s)
{
	must(shmring_claim(s->producer, LEN, SHMRING_NOWAIT, &s->claim));
	subject_fill(s, s->claim, LEN);
}

static void stage(struct subject *s, int count)
{
	while (count-- > 0) {
		claim(s);
		must(shmring_stage(s->producer, LEN));
	}
}

static void prepare_few(struct subject *s)
{
	attach(s);
	subject_produce(s, FEW);
}

static void prepare_reserve(struct subject *s)
{
	attach(s);
	subject_produce(s, BEFORE_RESERVE);
}

static int act_claim(void *subject)
{
	struct subject *s = subject;

	return shmring_claim(s->producer, LEN, SHMRING_NOWAIT, &s->claim);
}

static void finish_claim(struct subject *s, int result)
{
	must(result);
	subject_fill(s, s->claim, LEN);
	must(shmring_commit(s->producer, LEN));
	s->board->published++;
}

/* A consumer joins at the oldest message while the subject asks for room. */
static void rival_join(struct scene *s)
{
	must(shmring_consumer_attach(&s->idler, s->ring, NULL));
	audit_begin(&s->idler_read, false);
}

/* The subject may have to wait for the consumer that has just joined. */
static void finish_join(struct subject *s, int result)
{
	if (result == -EAGAIN)
		result = shmring_claim(s->producer, LEN, patience(), &s->claim);
	finish_claim(s, result);
}

static void prepare_commit(struct subject *s)
{
	prepare_few(s);
	claim(s);
	s->board->in_flight = 1;
}

static int act_commit(void *subject)
{
	struct subject *s = subject;

	return shmring_commit(s->producer, LEN);
}

static void finish_flight(struct subject *s, int result)
{
	must(result);
	s->board->published += s->board->in_flight;
	s->board->in_flight = 0;
}

static void prepare_stage(struct subject *s)
{
	prepare_few(s);
	claim(s);
}

static int act_stage(void *subject)
{
	struct subject *s = subject;

	return shmring_stage(s->producer, LEN);
}

static void finish_stage(struct subject *s, int result)
{
	must(result);
	must(shmring_flush(s->producer));
	s->board->published++;
}

static void prepare_batch(struct subject *s)
{
	prepare_few(s);
	stage(s, 3);
	claim(s);
	s->board->in_flight = 4;
}

static void prepare_flush(struct subject *s)
{
	prepare_few(s);
	stage(s, 3);
	s->board->in_flight = 3;
}

static int act_flush(void *subject)
{
	struct subject *s = subject;

	return shmring_flush(s->producer);
}

static int act_abort(void *subject)
{
	struct subject *s = subject;

	shmring_abort(s->producer);
	return 0;
}

static void finish_abort(struct subject *s, int result)
{
	must(result);
	s->number--; /* this message was never published */
}

static void prepare_discard(struct subject *s)
{
	prepare_few(s);
	stage(s, 3);
	claim(s);
}

static int act_discard(void *subject)
{
	struct subject *s = subject;

	shmring_discard(s->producer);
	return 0;
}

static void finish_discard(struct subject *s, int result)
{
	must(result);
	s->number -= 4;
}

/* One message ready in the buffer, which the operation is to publish. */
static void prepare_message(struct subject *s, size_t len)
{
	subject_fill(s, s->buffer, len);
	s->board->in_flight = 1;
}

static void prepare_publish(struct subject *s)
{
	prepare_few(s);
	prepare_message(s, LEN);
}

static int act_publish(void *subject)
{
	struct subject *s = subject;

	return shmring_publish(s->producer, s->buffer, LEN, SHMRING_NOWAIT);
}

static void prepare_publish_large(struct subject *s)
{
	prepare_few(s);
	prepare_message(s, LARGE);
}

static int act_publish_large(void *subject)
{
	struct subject *s = subject;

	return shmring_publish(s->producer, s->buffer, LARGE, SHMRING_NOWAIT);
}

static int act_publishv(void *subject)
{
	struct subject *s = subject;
	struct iovec pieces[3] = {
		{ .iov_base = s->buffer, .iov_len = 100 },
		{ .iov_base = s->buffer + 100, .iov_len = 500 },
		{ .iov_base = s->buffer + 600, .iov_len = LEN - 600 },
	};

	return shmring_publishv(s->producer, pieces, 3, SHMRING_NOWAIT);
}

/* Fill the lane, and have one more message that does not fit. */
static void prepare_full(struct subject *s)
{
	int r;

	attach(s);
	do {
		prepare_message(s, LEN);
		r = shmring_publish(s->producer, s->buffer, LEN, SHMRING_NOWAIT);
		s->board->published += r == 0;
	} while (r == 0);
	must_fail(EAGAIN, r);
}

static int act_wait(void *subject)
{
	struct subject *s = subject;

	return shmring_publish(s->producer, s->buffer, LEN, shmring_deadline(wait_ns));
}

/* Wait until the consumer in the way is evicted or buried. */
static int act_press(void *subject)
{
	struct subject *s = subject;

	return shmring_publish(s->producer, s->buffer, LEN, patience());
}

/* If the room did not come in time, it comes now. */
static void finish_wait(struct subject *s, int result)
{
	if (result == -ETIMEDOUT)
		result = shmring_publish(s->producer, s->buffer, LEN, patience());
	finish_flight(s, result);
}

/* The consumer that holds the subject back dies while it comes to its operation. */
static void before_bury(struct scene *s)
{
	before_used(s);
	scene_victim_consumer(s, NULL);
}

static void begin_bury(struct scene *s)
{
	scene_victim_dies(s);
	scene_read(s);
}

/* The consumer that holds it back is alive and does not read. */
static void before_evict(struct scene *s)
{
	struct shmring_consumer_options options = { .size = sizeof(options),
						    .start = SHMRING_START_NOW };

	before_used(s);
	must(shmring_consumer_attach(&s->idler, s->ring, &options));
	audit_begin(&s->idler_read, false);
}

/* The idler reads on when the subject, which was about to evict it, is stopped or dead. */
static void before_suspect(struct scene *s)
{
	before_evict(s);
	s->idler_wakes = true;
}

static void begin_read(struct scene *s)
{
	scene_read(s);
}

/* The last owner of its lane died, with an open claim and a batch. */
static void before_takeover(struct scene *s)
{
	before_used(s);
	scene_victim_producer(s);
	scene_victim_dies(s);
}

static int act_attach(void *subject)
{
	return subject_attach_producer(subject);
}

static void prepare_detach(struct subject *s)
{
	prepare_few(s);
	stage(s, 2);
}

static int act_detach(void *subject)
{
	struct subject *s = subject;

	shmring_producer_detach(s->producer);
	s->producer = NULL;
	return 0;
}

/* Its lane is free now. */
static void finish_detach(struct subject *s, int result)
{
	must(result);
	s->number -= 2;
}

const struct operation writer_operations[] = {
	{ .name = "claim",
	  .before = before_used,
	  .prepare = prepare_few,
	  .act = act_claim,
	  .finish = finish_claim },
	{ .name = "claim-reserve",
	  .before = before_used,
	  .prepare = prepare_reserve,
	  .act = act_claim,
	  .finish = finish_claim },
	{ .name = "claim-while-joined",
	  .before = before_used,
	  .prepare = prepare_reserve,
	  .act = act_claim,
	  .finish = finish_join,
	  .rival = rival_join },
	{ .name = "commit",
	  .before = before_used,
	  .first = ACROSS,
	  .prepare = prepare_commit,
	  .act = act_commit,
	  .finish = finish_flight },
	{ .name = "commit-wake",
	  .before = before_used,
	  .prepare = prepare_commit,
	  .begin = scene_sleeper,
	  .act = act_commit,
	  .finish = finish_flight },
	{ .name = "commit-watermark",
	  .before = before_used,
	  .prepare = prepare_commit,
	  .begin = scene_patient_sleeper,
	  .act = act_commit,
	  .finish = finish_flight },
	{ .name = "stage",
	  .before = before_used,
	  .first = ACROSS,
	  .prepare = prepare_stage,
	  .act = act_stage,
	  .finish = finish_stage },
	{ .name = "commit-batch",
	  .before = before_used,
	  .first = ACROSS,
	  .prepare = prepare_batch,
	  .act = act_commit,
	  .finish = finish_flight },
	{ .name = "flush",
	  .before = before_used,
	  .first = ACROSS,
	  .prepare = prepare_flush,
	  .act = act_flush,
	  .finish = finish_flight },
	{ .name = "abort",
	  .before = before_used,
	  .prepare = prepare_stage,
	  .act = act_abort,
	  .finish = finish_abort },
	{ .name = "discard",
	  .before = before_used,
	  .first = ACROSS,
	  .prepare = prepare_discard,
	  .act = act_discard,
	  .finish = finish_discard },
	{ .name = "publish",
	  .before = before_used,
	  .first = ACROSS,
	  .prepare = prepare_publish,
	  .act = act_publish,
	  .finish = finish_flight },
	{ .name = "publish-stamped",
	  .stamps = SHMRING_STAMP_CLOCK,
	  .before = before_used,
	  .first = ACROSS,
	  .prepare = prepare_publish,
	  .act = act_publish,
	  .finish = finish_flight },
	/* The counter, where there is one: by the inline halves. */
	{ .name = "publish-counter",
	  .stamps = SHMRING_STAMP_AUTO,
	  .before = before_used,
	  .first = ACROSS,
	  .prepare = prepare_publish,
	  .act = act_publish,
	  .finish = finish_flight },
	{ .name = "flush-stamped",
	  .stamps = SHMRING_STAMP_AUTO,
	  .before = before_used,
	  .prepare = prepare_flush,
	  .act = act_flush,
	  .finish = finish_flight },
	{ .name = "publish-large",
	  .before = before_used,
	  .first = ACROSS,
	  .prepare = prepare_publish_large,
	  .act = act_publish_large,
	  .finish = finish_flight },
	{ .name = "publishv",
	  .before = before_used,
	  .first = ACROSS,
	  .prepare = prepare_publish,
	  .act = act_publishv,
	  .finish = finish_flight },
	{ .name = "wait-for-room",
	  .before = before_used,
	  .setup = true,
	  .sleep = MS,
	  .prepare = prepare_full,
	  .act = act_wait,
	  .finish = finish_wait },
	{ .name = "bury-consumer",
	  .setup = true,
	  .presses = true,
	  .sleep = MS,
	  .before = before_bury,
	  .prepare = prepare_full,
	  .begin = begin_bury,
	  .act = act_press,
	  .finish = finish_flight },
	{ .name = "evict-consumer",
	  .setup = true,
	  .evict_after = 5 * MS,
	  .evict = true,
	  .presses = true,
	  .sleep = 400 * MS, /* a stall is timed anew if nobody looks for twice as long */
	  .before = before_evict,
	  .prepare = prepare_full,
	  .begin = begin_read,
	  .act = act_press,
	  .finish = finish_flight },
	{ .name = "evict-reader",
	  .setup = true,
	  .evict_after = 5 * MS,
	  .evict = true,
	  .presses = true,
	  .sleep = 400 * MS, /* a stall is timed anew if nobody looks for twice as long */
	  .before = before_suspect,
	  .prepare = prepare_full,
	  .begin = begin_read,
	  .act = act_press,
	  .finish = finish_flight },
	{ .name = "producer-attach", .setup = true, .act = act_attach },
	{ .name = "producer-attach-again",
	  .setup = true,
	  .before = before_used,
	  .act = act_attach },
	{ .name = "takeover",
	  .setup = true,
	  .first = ACROSS,
	  .before = before_takeover,
	  .act = act_attach },
	{ .name = "producer-detach",
	  .before = before_used,
	  .setup = true,
	  .prepare = prepare_detach,
	  .act = act_detach,
	  .finish = finish_detach },
};
const unsigned writer_operation_count = sizeof(writer_operations) / sizeof(*writer_operations);
