/* SPDX-License-Identifier: MIT */
/*
 * The subject: what it does before its operation, and how it goes on.
 *
 * It keeps the board up to date before the operation, so that a test that kills
 * it knows what has been promised by then; and it judges what the operation
 * gave it, and everything it gets afterwards, itself.
 */
#include "sweep.h"

#include <errno.h>
#include <string.h>

#include "must.h"

/* The subject never spins: the time of a spin, and so the path, would depend on the clock. */
enum { NO_SPIN = -1, GO_ON = 5 };

int subject_attach_producer(struct subject *s)
{
	struct shmring_producer_options options = { .size = sizeof(options), .spin_ns = NO_SPIN };

	return shmring_producer_attach(&s->producer, s->ring, &options);
}

int subject_attach_consumer(struct subject *s, uint32_t start, uint32_t flags)
{
	struct shmring_consumer_options options = {
		.size = sizeof(options),
		.name = s->scene->operation->name_held,
		.start = start,
		.flags = flags,
		.spin_ns = NO_SPIN,
		.max_lag = s->scene->operation->max_lag,
	};

	return shmring_consumer_attach(&s->consumer, s->ring, &options);
}

void subject_fill(struct subject *s, void *data, size_t len)
{
	audit_fill(data, len, SUBJECT, s->number++);
}

/* There is room, or consumers are about to read. */
void subject_produce(struct subject *s, uint64_t count)
{
	while (count-- > 0) {
		subject_fill(s, s->buffer, LEN);
		must(shmring_publish(s->producer, s->buffer, LEN, patience()));
		s->board->published++;
	}
}

/* Hand out up to `count`, to be released. */
void subject_peek(struct subject *s, int count)
{
	s->count = (int)must(shmring_peek_batch(s->consumer, SHMRING_NOWAIT, s->messages, count));
	for (int i = 0; i < s->count; i++)
		audit_peeked(&s->audit, s->consumer, &s->messages[i]);
}

/* Messages count once they are released. */
void subject_released(struct subject *s, int result)
{
	if (result == -ESTALE && s->scene->evicting) {
		s->audit = s->board->audit;
		return;
	}
	must(result);
	s->board->audit = s->audit;
}

/* Take and release `count` messages, one by one. */
void subject_consume(struct subject *s, uint64_t count)
{
	while (count-- > 0) {
		subject_peek(s, 1);
		subject_released(s, shmring_release(s->consumer));
	}
}

/* Read to the end: no producer publishes now. */
static void consume_to_the_end(struct subject *s)
{
	struct shmring_message m;
	int64_t limit = patience();
	int r;

	while ((r = shmring_peek(s->consumer, SHMRING_NOWAIT, &m)) != -EAGAIN) {
		expect(clock_now() < limit, "subject: no end of messages");
		if (r == -ESTALE && s->scene->evicting) {
			s->audit = s->board->audit;
			continue;
		}
		must(r);
		audit_peeked(&s->audit, s->consumer, &m);
		subject_released(s, shmring_release(s->consumer));
	}
	s->board->at_the_end = true;
	expect(audit_faults(&s->audit) == 0, "subject: %s", s->audit.first_fault);
	expect(s->scene->evicting || s->scene->operation->role == OBSERVER ||
		       lost_since_attach(s->consumer, s->audit.lost) == 0,
	       "subject: lost %ju", (uintmax_t)s->audit.lost);
}

static void go_on(struct subject *s)
{
	if (s->producer)
		subject_produce(s, GO_ON);
	if (s->consumer)
		consume_to_the_end(s);
}

int subject_run(int socket, void *arg)
{
	static struct subject s;
	const struct operation *o;
	int result;

	s.scene = arg;
	s.board = s.scene->board;
	s.ring = s.scene->ring;
	o = s.scene->operation;
	must(shmring_join(s.ring));
	audit_begin(&s.audit, false);
	s.board->audit = s.audit;
	if (o->prepare)
		o->prepare(&s);
	result = step_run(o->act, &s);
	if (o->finish)
		o->finish(&s, result);
	else
		must(result);
	go_on(&s);
	step_tell(socket);
	step_await(socket); /* meanwhile the writer publishes something new */
	go_on(&s);
	shmring_producer_detach(s.producer);
	shmring_consumer_detach(s.consumer);
	return 0;
}
