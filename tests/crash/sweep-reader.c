/* SPDX-License-Identifier: MIT */
/*
 * The operations of consumers and observers.
 *
 * The writer's lane has MANY messages when the subject comes; it takes FEW of
 * them before its operation. A ring whose subject is stopped evicts it, in
 * the action HOLD it waits for it.
 */
#include "sweep.h"

#include <errno.h>
#include <string.h>

#include "must.h"

enum { FEW = 5, MANY = 20, WRAPPED = LAP + MANY, BATCH = 8 };

/* It begins within half of it, which is enough for the messages that it needs. */
enum { OWN_LAG = LANE - LANE / 16 };

static const int64_t wait_ns = 4 * MS;

static void before_many(struct scene *s)
{
	scene_write(s, MANY);
}

/* The first messages are gone: the oldest is a boundary of the index. */
static void before_wrapped(struct scene *s)
{
	scene_write(s, WRAPPED);
}

static void prepare_attached(struct subject *s)
{
	must(subject_attach_consumer(s, SHMRING_START_OLDEST, 0));
}

static void prepare_few(struct subject *s)
{
	prepare_attached(s);
	subject_consume(s, FEW);
}

static int act_peek(void *subject)
{
	struct subject *s = subject;

	return shmring_peek(s->consumer, SHMRING_NOWAIT, &s->messages[0]);
}

/* Audit what peek gave, if it gave something, and release it. */
static void finish_peek(struct subject *s, int result)
{
	if (result == -ESTALE && s->scene->evicting)
		return;
	must(result);
	audit_peeked(&s->audit, s->consumer, &s->messages[0]);
	subject_released(s, shmring_release(s->consumer));
}

static int act_peek_batch(void *subject)
{
	struct subject *s = subject;

	return shmring_peek_batch(s->consumer, SHMRING_NOWAIT, s->messages, BATCH);
}

static void finish_peek_batch(struct subject *s, int result)
{
	if (result == -ESTALE && s->scene->evicting)
		return;
	must(result);
	for (int i = 0; i < result; i++)
		audit_peeked(&s->audit, s->consumer, &s->messages[i]);
	subject_released(s, shmring_release(s->consumer));
}

static void prepare_release(struct subject *s)
{
	prepare_few(s);
	subject_peek(s, 3);
	s->board->in_hand[0] = 3;
}

static int act_release(void *subject)
{
	struct subject *s = subject;

	return shmring_release(s->consumer);
}

static void finish_release(struct subject *s, int result)
{
	subject_released(s, result);
	memset(s->board->in_hand, 0, sizeof(s->board->in_hand));
}

/* A second lane with messages of a producer that has left. */
static void before_two(struct scene *s)
{
	before_many(s);
	scene_victim_producer(s);
	scene_victim_dies(s);
}

static void prepare_release_two(struct subject *s)
{
	prepare_few(s);
	/* One batch is from one lane: to the end of the first, and on. */
	for (unsigned lane = 0; lane < LANES; lane++) {
		subject_peek(s, MANY);
		s->board->in_hand[lane] = (uint64_t)s->count;
	}
	expect(s->board->in_hand[1] > 0, "the second lane is empty");
}

/* The state after the first of the messages in hand are released. */
static struct audit first_released;

static uint64_t count_in_hand(const struct subject *s)
{
	uint64_t count = 0;

	for (unsigned lane = 0; lane < LANES; lane++)
		count += s->board->in_hand[lane];
	return count;
}

static void prepare_release_first(struct subject *s)
{
	prepare_few(s);
	subject_peek(s, 3);
	s->board->in_hand[0] = (uint64_t)s->count;
	first_released = s->audit;
	subject_peek(s, 2);
}

/* All of the first lane, and some of the second. */
static void prepare_release_first_of_two(struct subject *s)
{
	prepare_few(s);
	subject_peek(s, MANY);
	s->board->in_hand[0] = (uint64_t)s->count;
	subject_peek(s, 3);
	s->board->in_hand[1] = (uint64_t)s->count;
	expect(s->board->in_hand[1] > 0, "the second lane is empty");
	first_released = s->audit;
	subject_peek(s, MANY);
}

static int act_release_first(void *subject)
{
	struct subject *s = subject;

	return shmring_release_first(s->consumer, count_in_hand(s));
}

/* The other messages come again. */
static void finish_release_first(struct subject *s, int result)
{
	if (result == 0) {
		s->audit = first_released;
		shmring_rewind(s->consumer);
	}
	finish_release(s, result);
}

/* A release that others wait for. */
static void prepare_release_wake(struct subject *s)
{
	prepare_attached(s);
	subject_consume(s, MANY);
	subject_peek(s, LAP);
	s->board->in_hand[1] = (uint64_t)s->count;
}

static void before_waiter(struct scene *s)
{
	before_many(s);
	scene_waiter(s);
}

/* The writer comes to the limit, and suspects the one that holds it back. */
static void begin_suspect(struct scene *s)
{
	scene_write_some(s, FAR);
}

static int act_receive(void *subject)
{
	struct subject *s = subject;

	return (int)shmring_receive(s->consumer, s->buffer, sizeof(s->buffer), SHMRING_NOWAIT);
}

/* The call does not report a loss; the next message does. */
static void finish_receive(struct subject *s, int result)
{
	struct facts m = { .data = s->buffer, .len = LEN, .tenancy = 1 };
	struct audit_header h;

	s->board->in_hand[0] = 0;
	if (result == -ESTALE && s->scene->evicting)
		return;
	expect((int)must(result) == LEN, "received %d bytes", result);
	memcpy(&h, s->buffer, sizeof(h));
	m.seq = h.number;
	m.lost = h.number - s->audit.lanes[0].next_seq;
	audit_message(&s->audit, &m);
	s->board->audit = s->audit;
}

static void prepare_receive(struct subject *s)
{
	prepare_few(s);
	s->board->in_hand[0] = 1;
}

static void prepare_rewind(struct subject *s)
{
	prepare_few(s);
	subject_peek(s, 3);
}

static int act_rewind(void *subject)
{
	struct subject *s = subject;

	shmring_rewind(s->consumer);
	return 0;
}

static void finish_rewind(struct subject *s, int result)
{
	must(result);
	s->audit = s->board->audit;
}

/* Nothing is there; the owner of the other lane is dead, which it finds out. */
static void prepare_wait(struct subject *s)
{
	prepare_attached(s);
	subject_consume(s, MANY + FEW);
}

/* The same, but one message is not enough to wake it. */
static void prepare_watermark(struct subject *s)
{
	prepare_wait(s);
	must(shmring_consumer_watermark(s->consumer, 2, 0, 0));
}

static int act_wait(void *subject)
{
	struct subject *s = subject;

	return shmring_peek(s->consumer, shmring_deadline(wait_ns), &s->messages[0]);
}

static void finish_wait(struct subject *s, int result)
{
	if (result != -ETIMEDOUT)
		finish_peek(s, result);
}

/* The messages in hand are void. */
static void finish_come_back(struct subject *s, int result)
{
	expect(result == -ESTALE, "an evicted consumer's release gave %d", result);
	finish_release(s, result);
}

/* It loses its place while it looks at the messages in hand. */
static void begin_evicted(struct scene *s)
{
	scene_write(s, FAR);
}

static int act_attach_oldest(void *subject)
{
	return subject_attach_consumer(subject, SHMRING_START_OLDEST, 0);
}

static int act_attach_now(void *subject)
{
	return subject_attach_consumer(subject, SHMRING_START_NOW, 0);
}

static int act_attach_default(void *subject)
{
	return subject_attach_consumer(subject, SHMRING_START_DEFAULT, 0);
}

/* A name with a history: its last holder took FEW messages. */
static void before_history(struct scene *s)
{
	before_many(s);
	scene_history(s, FEW);
}

/* The same, and the cursor was evicted since. */
static void before_lapsed(struct scene *s)
{
	before_history(s);
	scene_write(s, FAR);
}

/* It begins anew: at the end, or where its last holder stopped if it fails. */
static void before_restart_now(struct scene *s)
{
	before_history(s);
	scene_allow(s, s->written);
}

/* The end has moved on. */
static void rival_now(struct scene *s)
{
	scene_allow(s, s->written);
}

/* The whole past of the lane is still there. */
static void before_restart_oldest(struct scene *s)
{
	before_history(s);
	scene_allow(s, 0);
}

/* It has moved on, and only the index knows where the oldest message is now. */
static void rival_oldest(struct scene *s)
{
	s->anywhere = s->evicting;
}

/* The position where the name stopped and is resumed. */
static void prepare_history(struct subject *s)
{
	s->audit.lanes[0] = (struct audit_lane){ .next_seq = FEW,
						 .source = WRITER,
						 .next_number = FEW,
						 .tenancy = 1,
						 .seen = true,
						 .known = true };
	s->board->audit = s->audit;
}

/* It begins elsewhere, and loses no message from there on. */
static void finish_restart(struct subject *s, int result)
{
	must(result);
	audit_begin(&s->audit, false);
	s->board->audit = s->audit;
}

static int act_detach(void *subject)
{
	struct subject *s = subject;

	shmring_consumer_detach(s->consumer);
	s->consumer = NULL;
	return 0;
}

static void prepare_observer(struct subject *s)
{
	must(subject_attach_consumer(s, 0, SHMRING_OBSERVE));
	subject_consume(s, FEW);
}

static void prepare_observer_wait(struct subject *s)
{
	must(subject_attach_consumer(s, 0, SHMRING_OBSERVE));
	subject_consume(s, MANY);
}

static int act_observe(void *subject)
{
	return subject_attach_consumer(subject, SHMRING_START_DEFAULT, SHMRING_OBSERVE);
}

static int act_observe_now(void *subject)
{
	return subject_attach_consumer(subject, SHMRING_START_NOW, SHMRING_OBSERVE);
}

#define NAME "logger"

const struct operation reader_operations[] = {
	{ .name = "peek",
	  .role = CONSUMER,
	  .before = before_many,
	  .prepare = prepare_few,
	  .act = act_peek,
	  .finish = finish_peek },
	{ .name = "peek-first",
	  .role = CONSUMER,
	  .before = before_many,
	  .prepare = prepare_attached,
	  .act = act_peek,
	  .finish = finish_peek },
	{ .name = "peek-batch",
	  .role = CONSUMER,
	  .before = before_many,
	  .prepare = prepare_few,
	  .act = act_peek_batch,
	  .finish = finish_peek_batch },
	{ .name = "release",
	  .role = CONSUMER,
	  .before = before_many,
	  .prepare = prepare_release,
	  .act = act_release,
	  .finish = finish_release },
	{ .name = "release-named",
	  .role = CONSUMER,
	  .name_held = NAME,
	  .before = before_many,
	  .prepare = prepare_release,
	  .act = act_release,
	  .finish = finish_release },
	{ .name = "peek-limited",
	  .role = CONSUMER,
	  .max_lag = OWN_LAG,
	  .before = before_many,
	  .prepare = prepare_few,
	  .act = act_peek,
	  .finish = finish_peek },
	{ .name = "release-limited",
	  .role = CONSUMER,
	  .max_lag = OWN_LAG,
	  .name_held = NAME,
	  .before = before_many,
	  .prepare = prepare_release,
	  .act = act_release,
	  .finish = finish_release },
	{ .name = "peek-stamped",
	  .role = CONSUMER,
	  .stamps = SHMRING_STAMP_AUTO,
	  .before = before_many,
	  .prepare = prepare_few,
	  .act = act_peek,
	  .finish = finish_peek },
	{ .name = "release-stamped",
	  .role = CONSUMER,
	  .stamps = SHMRING_STAMP_AUTO,
	  .name_held = NAME,
	  .before = before_many,
	  .prepare = prepare_release,
	  .act = act_release,
	  .finish = finish_release },
	{ .name = "release-two-lanes",
	  .role = CONSUMER,
	  .name_held = NAME,
	  .before = before_two,
	  .prepare = prepare_release_two,
	  .act = act_release,
	  .finish = finish_release },
	{ .name = "release-first",
	  .role = CONSUMER,
	  .name_held = NAME,
	  .before = before_many,
	  .prepare = prepare_release_first,
	  .act = act_release_first,
	  .finish = finish_release_first },
	{ .name = "release-first-of-two-lanes",
	  .role = CONSUMER,
	  .name_held = NAME,
	  .before = before_two,
	  .prepare = prepare_release_first_of_two,
	  .act = act_release_first,
	  .finish = finish_release_first },
	{ .name = "release-suspected",
	  .role = CONSUMER,
	  .evict = true,
	  .before = before_many,
	  .prepare = prepare_release,
	  .begin = begin_suspect,
	  .act = act_release,
	  .finish = finish_release },
	{ .name = "release-wake",
	  .role = CONSUMER,
	  .evict_after = 30 * MS, /* the waiter is not to evict it at once */
	  .before = before_waiter,
	  .prepare = prepare_release_wake,
	  .begin = scene_waiter_sleeps,
	  .act = act_release,
	  .finish = finish_release },
	{ .name = "receive",
	  .role = CONSUMER,
	  .name_held = NAME,
	  .before = before_many,
	  .prepare = prepare_receive,
	  .act = act_receive,
	  .finish = finish_receive },
	{ .name = "rewind",
	  .role = CONSUMER,
	  .before = before_many,
	  .prepare = prepare_rewind,
	  .act = act_rewind,
	  .finish = finish_rewind },
	{ .name = "wait-for-message",
	  .role = CONSUMER,
	  .setup = true,
	  .sleep = MS,
	  .before = before_two,
	  .prepare = prepare_wait,
	  .act = act_wait,
	  .finish = finish_wait },
	{ .name = "wait-for-watermark",
	  .role = CONSUMER,
	  .setup = true,
	  .sleep = MS,
	  .before = before_two,
	  .prepare = prepare_watermark,
	  .act = act_wait,
	  .finish = finish_wait },
	{ .name = "come-back",
	  .role = CONSUMER,
	  .setup = true,
	  .evict = true,
	  .before = before_many,
	  .prepare = prepare_release,
	  .begin = begin_evicted,
	  .act = act_release,
	  .finish = finish_come_back },
	{ .name = "attach-oldest",
	  .role = CONSUMER,
	  .setup = true,
	  .before = before_wrapped,
	  .act = act_attach_oldest },
	{ .name = "attach-now",
	  .role = CONSUMER,
	  .setup = true,
	  .before = before_wrapped,
	  .act = act_attach_now },
	{ .name = "attach-name",
	  .role = CONSUMER,
	  .setup = true,
	  .name_held = NAME,
	  .before = before_wrapped,
	  .act = act_attach_default },
	{ .name = "resume-name",
	  .role = CONSUMER,
	  .setup = true,
	  .name_held = NAME,
	  .before = before_history,
	  .prepare = prepare_history,
	  .act = act_attach_default },
	{ .name = "revive-name",
	  .role = CONSUMER,
	  .setup = true,
	  .evict = true,
	  .name_held = NAME,
	  .before = before_lapsed,
	  .prepare = prepare_history,
	  .act = act_attach_default },
	{ .name = "restart-now",
	  .role = CONSUMER,
	  .setup = true,
	  .gives_up = true,
	  .name_held = NAME,
	  .before = before_restart_now,
	  .prepare = prepare_history,
	  .act = act_attach_now,
	  .finish = finish_restart,
	  .rival = rival_now },
	{ .name = "restart-oldest",
	  .role = CONSUMER,
	  .setup = true,
	  .thorough = true,
	  .gives_up = true,
	  .name_held = NAME,
	  .before = before_restart_oldest,
	  .prepare = prepare_history,
	  .act = act_attach_oldest,
	  .finish = finish_restart,
	  .rival = rival_oldest },
	{ .name = "consumer-detach",
	  .role = CONSUMER,
	  .setup = true,
	  .before = before_many,
	  .prepare = prepare_few,
	  .act = act_detach },
	{ .name = "detach-name",
	  .role = CONSUMER,
	  .setup = true,
	  .name_held = NAME,
	  .before = before_many,
	  .prepare = prepare_few,
	  .act = act_detach },
	{ .name = "observe",
	  .role = OBSERVER,
	  .setup = true,
	  .before = before_wrapped,
	  .act = act_observe },
	{ .name = "observe-now",
	  .role = OBSERVER,
	  .setup = true,
	  .before = before_wrapped,
	  .act = act_observe_now },
	{ .name = "observer-peek",
	  .role = OBSERVER,
	  .before = before_many,
	  .prepare = prepare_observer,
	  .act = act_peek,
	  .finish = finish_peek },
	{ .name = "observer-wait",
	  .role = OBSERVER,
	  .setup = true,
	  .sleep = MS,
	  .before = before_many,
	  .prepare = prepare_observer_wait,
	  .act = act_wait,
	  .finish = finish_wait },
	{ .name = "observer-detach",
	  .role = OBSERVER,
	  .setup = true,
	  .before = before_many,
	  .prepare = prepare_observer,
	  .act = act_detach },
};
const unsigned reader_operation_count = sizeof(reader_operations) / sizeof(*reader_operations);
