/* SPDX-License-Identifier: MIT */
/*
 * The scene: a ring of two lanes, the witnesses, and what must hold.
 *
 *  SW1 The witnesses never lose, repeat or see anything torn. What the subject has
 *     published by itself is there; what its operation publishes is there
 *     as a whole or not at all.
 *  SW2 The writer does not wait, unless it waits for the subject, a consumer; and
 *     then it does not sleep if the subject is dead. Whatever it publishes is
 *     there for the reader at once.
 *  SW3 A sleeper at the moment of the kill or stop gets what it sleeps for after the
 *     ring's longest sleep, and a look, at the latest.
 *  SW4 When the subject has gone, others take its lane and go on behind its last
 *     message; its place as a consumer is free; under its name the next holder
 *     gets first what was not released.
 *  SW5 When all have gone, nobody is left in the ring, and no lock on it.
 */
#include "sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "leaks.h"
#include "must.h"
#include "room.h"

enum { FEW = 5, SLACK = 1000 * MS };

static void longest(int64_t *of, int64_t began)
{
	int64_t took = clock_now() - began;

	if (took > *of)
		*of = took;
}

static void count_message(struct scene *s, const struct shmring_message *m)
{
	struct audit_header h;

	expect(m->len >= sizeof(h), "the reader got %zu bytes", m->len);
	memcpy(&h, m->data, sizeof(h));
	s->seen[h.source < RIVAL ? h.source : RIVAL]++;
}

void scene_read(struct scene *s)
{
	struct shmring_message m;
	int r;

	for (;;) {
		int64_t began = clock_now();

		r = shmring_peek(s->reader, SHMRING_NOWAIT, &m);
		longest(&s->reader_delay, began);
		if (r < 0)
			break;
		expect(audit_peeked(&s->read, s->reader, &m), "the reader: %s",
		       s->read.first_fault);
		count_message(s, &m);
		must(shmring_release(s->reader));
	}
	must_fail(EAGAIN, r);
	expect(s->read.lost == 0, "the reader lost %" PRIu64, s->read.lost);
}

uint64_t lost_since_attach(const struct shmring_consumer *c, uint64_t lost)
{
	for (uint32_t i = 0; i < LANES; i++) {
		uint64_t messages, bytes;

		must(shmring_consumer_missed(c, i, &messages, &bytes));
		lost -= messages;
	}
	return lost;
}

/* A consumer that reads on in time is not evicted any more. */
static bool may_be_evicted(const struct scene *s)
{
	return s->evicting && (!s->idler_wakes || s->idler_evicted);
}

/* Has a producer evicted it? */
static bool is_idler_evicted(struct scene *s)
{
	struct shmring_consumer_stat st = { .size = sizeof(st) };

	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++) {
		must(shmring_stat_consumer(s->ring, i, &st));
		if (st.state == SHMRING_EVICTED)
			return true;
	}
	return false;
}

/* The consumer that did not read so far learns exactly what it missed. */
static void read_idler(struct scene *s)
{
	struct audit released = s->idler_read;
	struct shmring_message m;
	int r;

	while ((r = shmring_peek(s->idler, SHMRING_NOWAIT, &m)) == 0) {
		audit_peeked(&s->idler_read, s->idler, &m);
		r = shmring_release(s->idler);
		if (r == -ESTALE && may_be_evicted(s))
			s->idler_read = released;
		else
			must(r);
		released = s->idler_read;
	}
	must_fail(EAGAIN, r);
	expect(audit_faults(&s->idler_read) == 0, "the idler: %s", s->idler_read.first_fault);
	expect(may_be_evicted(s) || lost_since_attach(s->idler, s->idler_read.lost) == 0,
	       "the idler lost %" PRIu64, s->idler_read.lost);
}

/* One message of the writer, which the reader must get at once. */
static int write_one(struct scene *s, int64_t deadline)
{
	int64_t began;
	char data[LEN];
	int r;

	audit_fill(data, LEN, WRITER, s->written);
	began = clock_now();
	r = shmring_publish(s->writer, data, LEN, deadline);
	longest(&s->writer_delay, began);
	if (r < 0)
		return r;
	s->written++;
	scene_read(s);
	if (s->idler && (!s->evicting || s->idler_wakes))
		read_idler(s);
	expect(s->seen[WRITER] == s->written, "the reader got %" PRIu64 " of %" PRIu64,
	       s->seen[WRITER], s->written);
	return 0;
}

void scene_write(struct scene *s, uint64_t count)
{
	while (count-- > 0)
		must(write_one(s, patience()));
}

void scene_write_some(struct scene *s, uint64_t count)
{
	int r = 0;

	while (count-- > 0 && r == 0)
		r = write_one(s, SHMRING_NOWAIT);
	if (r < 0)
		must_fail(EAGAIN, r);
}

/* The onlooker may lose what was overwritten, but knows exactly what. */
static void look_on(struct scene *s)
{
	struct shmring_message m;
	int r;

	while ((r = shmring_peek(s->onlooker, SHMRING_NOWAIT, &m)) == 0)
		expect(audit_peeked(&s->onlooker_saw, s->onlooker, &m), "the onlooker: %s",
		       s->onlooker_saw.first_fault);
	must_fail(EAGAIN, r);
}

static bool may_wait(const struct scene *s)
{
	return s->operation->role == CONSUMER || s->operation->presses;
}

/* SW2 */
static void go_on_for_laps(struct scene *s, bool dead)
{
	struct shmring_counters before = { .size = sizeof(before) },
				after = { .size = sizeof(after) };

	must(shmring_producer_counters(s->writer, &before));
	scene_write(s, FAR);
	must(shmring_producer_counters(s->writer, &after));
	expect(may_wait(s) || after.waits == before.waits, "the writer waited");
	/* Unless it had asked just before, and the answer was: alive. */
	expect(!dead || s->action != KILL || s->operation->evict || s->operation->presses ||
		       after.sleeps == before.sleeps,
	       "the writer slept because of a dead process");
	look_on(s);
}

void scene_allow(struct scene *s, uint64_t seq)
{
	expect(s->start_count < sizeof(s->starts) / sizeof(*s->starts), "too many places");
	s->starts[s->start_count++] = seq;
}

static struct shmring_consumer *join_ring(struct shmring_ring *r, const char *name, uint32_t start,
					  uint32_t flags)
{
	struct shmring_consumer_options options = {
		.size = sizeof(options),
		.name = name,
		.start = start,
		.flags = flags,
	};
	struct shmring_consumer *c = NULL;

	must(shmring_consumer_attach(&c, r, &options));
	return c;
}

void scene_history(struct scene *s, uint64_t count)
{
	struct shmring_consumer *c = join_ring(s->ring, s->operation->name_held, 0, 0);
	struct shmring_message m;

	while (count-- > 0) {
		must(shmring_peek(c, SHMRING_NOWAIT, &m));
		must(shmring_release(c));
	}
	shmring_consumer_detach(c);
}

/* Helpers */

static void stay(int socket)
{
	step_tell(socket);
	for (;;)
		pause();
}

static void helper_produce(struct shmring_producer *p, enum source source, uint64_t number)
{
	char data[LEN];

	audit_fill(data, LEN, source, number);
	must(shmring_publish(p, data, LEN, SHMRING_NOWAIT));
}

static int run_victim_producer(int socket, void *scene)
{
	const struct scene *s = scene;
	struct shmring_producer *p;
	void *data = NULL;

	must(shmring_join(s->ring));
	must(shmring_producer_attach(&p, s->ring, NULL));
	for (uint64_t i = 0; i < FEW; i++)
		helper_produce(p, DEAD, i);
	for (int i = 0; i < 2; i++) {
		must(shmring_claim(p, LEN, SHMRING_NOWAIT, &data));
		audit_fill(data, LEN, DEAD, FEW);
		if (i == 0)
			must(shmring_stage(p, LEN));
	}
	stay(socket);
	return 0;
}

struct victim {
	const struct scene *scene;
	const char *name;
};

static int run_victim_consumer(int socket, void *victim)
{
	const struct victim *v = victim;

	must(shmring_join(v->scene->ring));
	join_ring(v->scene->ring, v->name, 0, 0);
	stay(socket);
	return 0;
}

void scene_victim_producer(struct scene *s)
{
	child_fork(&s->helper, run_victim_producer, s);
	s->helping = VICTIM;
	step_await(s->helper.socket);
}

void scene_victim_consumer(struct scene *s, const char *name)
{
	struct victim v = { .scene = s, .name = name };

	child_fork(&s->helper, run_victim_consumer, &v);
	s->helping = VICTIM;
	step_await(s->helper.socket);
}

void scene_victim_dies(struct scene *s)
{
	child_kill(&s->helper);
	s->helping = NOBODY;
}

/* It gets one message, says when, and leaves. */
static int run_sleeper(int socket, void *scene)
{
	const struct scene *s = scene;
	struct shmring_message m;
	struct shmring_consumer *c;
	struct audit audit;

	must(shmring_join(s->ring));
	c = join_ring(s->ring, NULL, SHMRING_START_NOW, SHMRING_PINNED);
	if (s->patient)
		must(shmring_consumer_watermark(c, 2, 0, 0));
	audit_begin(&audit, false);
	step_tell(socket);
	must(shmring_peek(c, patience(), &m));
	s->board->served_at = clock_now();
	audit_peeked(&audit, c, &m);
	must(shmring_release(c));
	expect(audit_faults(&audit) == 0 && audit.lost == 0, "sleeper: %s", audit.first_fault);
	shmring_consumer_detach(c);
	return 0;
}

void scene_patient_sleeper(struct scene *s)
{
	s->patient = true;
	scene_sleeper(s);
}

void scene_sleeper(struct scene *s)
{
	scene_read(s);
	child_fork(&s->helper, run_sleeper, s);
	s->helping = SLEEPER;
	step_await(s->helper.socket);
	child_await_sleep(&s->helper);
}

/* It fills its lane, waits for room for one more message, says when, and leaves. */
static int run_waiter(int socket, void *scene)
{
	const struct scene *s = scene;
	struct shmring_producer *p;
	uint64_t number = 0;
	char data[LEN];
	int r;

	must(shmring_join(s->ring));
	must(shmring_producer_attach(&p, s->ring, NULL));
	do {
		audit_fill(data, LEN, WAITER, number);
		r = shmring_publish(p, data, LEN, SHMRING_NOWAIT);
		number += r == 0;
	} while (r == 0);
	must_fail(EAGAIN, r);
	step_tell(socket);
	step_await(socket);
	must(shmring_publish(p, data, LEN, patience()));
	s->board->served_at = clock_now();
	shmring_producer_detach(p);
	return 0;
}

void scene_waiter(struct scene *s)
{
	child_fork(&s->helper, run_waiter, s);
	step_await(s->helper.socket);
}

void scene_waiter_sleeps(struct scene *s)
{
	scene_read(s);
	step_tell(s->helper.socket);
	child_await_sleep(&s->helper);
	s->helping = WAITING;
}

void scene_struck(struct scene *s)
{
	s->struck_at = clock_now();
	s->idler_evicted = s->idler && is_idler_evicted(s);
}

/* SW3 */
static void serve_helper(struct scene *s)
{
	int64_t since = s->struck_at;

	if (s->helping != SLEEPER && s->helping != WAITING)
		return;
	if (s->helping == SLEEPER && s->seen[SUBJECT] == s->board->published) {
		since = clock_now();
		scene_write(s, 1);
	}
	child_end(&s->helper);
	s->helping = NOBODY;
	since = s->board->served_at - since;
	if (since > s->helper_delay)
		s->helper_delay = since;
	expect(since <= (int64_t)s->max_sleep_ns + SLACK, "a sleeper slept on for %" PRId64 " ms",
	       since / MS);
}

/* SW1: the subject's messages. */
static void check_published(struct scene *s)
{
	const struct board *b = s->board;
	uint64_t seen;

	scene_read(s);
	seen = s->seen[SUBJECT];
	expect(seen == b->published || seen == b->published + b->in_flight,
	       "the reader got %" PRIu64 " messages of the subject, which published %" PRIu64
	       " and %" PRIu64 " at once",
	       seen, b->published, b->in_flight);
}

/* A new owner of a lane, and so many messages, or fewer if it is full; false: no lane. */
static bool rival_produces(struct scene *s, uint64_t count)
{
	struct shmring_producer *p;
	int r = shmring_producer_attach(&p, s->ring, NULL);
	uint64_t source = s->next_rival++;
	char data[LEN];

	if (r < 0) {
		must_fail(EUSERS, r);
		return false;
	}
	for (uint64_t i = 0; i < count && r == 0; i++) {
		audit_fill(data, LEN, source, i);
		r = shmring_publish(p, data, LEN, SHMRING_NOWAIT);
		s->due_from_rivals += r == 0;
	}
	if (r < 0)
		must_fail(EAGAIN, r);
	shmring_producer_detach(p);
	scene_read(s);
	expect(s->seen[RIVAL] == s->due_from_rivals, "a new producer's messages are missing");
	return true;
}

/* Other processes may try to take the same place, and must not disturb. */
static void rival_tries(struct scene *s)
{
	const char *name = s->operation->name_held;
	struct shmring_consumer_options options = { .size = sizeof(options), .name = name };
	struct shmring_consumer *c;
	int r;

	rival_produces(s, FEW);
	if (s->operation->rival)
		s->operation->rival(s);
	if (!name || s->operation->role != CONSUMER)
		return;
	r = shmring_consumer_attach(&c, s->ring, &options);
	if (r == 0)
		shmring_consumer_detach(c);
	else
		must_fail(EBUSY, r);
}

static bool may_begin_at(const struct scene *s, unsigned lane, uint64_t seq)
{
	const struct audit_lane *had = &s->board->audit.lanes[lane];
	uint64_t in_hand = s->board->in_hand[lane];

	if (s->anywhere || (!had->seen && in_hand == 0))
		return true;
	if (seq == had->next_seq || seq == had->next_seq + in_hand)
		return true;
	for (unsigned i = 0; lane == 0 && i < s->start_count; i++)
		if (seq == s->starts[i])
			return true;
	return false;
}

/* Has a producer evicted a consumer? It counts that in its lane at once. */
static bool has_evicted(struct scene *s)
{
	struct shmring_lane_stat lane = { .size = sizeof(lane) };
	uint64_t count = 0;

	for (unsigned i = 0; i < LANES; i++) {
		must(shmring_stat_lane(s->ring, i, &lane));
		count += lane.evictions;
	}
	return count > 0;
}

/* SW4: the next holder of the name, or the first. */
static void check_successor(struct scene *s)
{
	/* A dead consumer with a limit may be evicted for its lag before it is found dead. */
	bool evicted = s->operation->max_lag != 0 && has_evicted(s);
	struct shmring_consumer *c = join_ring(s->ring, s->operation->name_held, 0, 0);
	struct shmring_message m;
	uint64_t missed, bytes;
	struct audit audit;
	int r;

	audit_begin(&audit, false);
	while ((r = shmring_peek(c, SHMRING_NOWAIT, &m)) == 0) {
		const struct facts t = facts_of(c, &m);

		must(shmring_consumer_missed(c, m.producer, &missed, &bytes));
		if (!audit.lanes[m.producer].seen)
			expect(may_begin_at(s, m.producer, m.seq - (t.lost - missed)),
			       "the next holder of the name begins lane %" PRIu32 " at %" PRIu64
			       " and lost %" PRIu64 "; the last one had released up to %" PRIu64
			       ", and %" PRIu64 " at once",
			       m.producer, m.seq, t.lost,
			       s->board->audit.lanes[m.producer].next_seq,
			       s->board->in_hand[m.producer]);
		expect(audit_message(&audit, &t), "the next holder of the name: %s",
		       audit.first_fault);
		must(shmring_release(c));
	}
	must_fail(EAGAIN, r);
	expect(s->evicting || s->operation->gives_up || evicted ||
		       lost_since_attach(c, audit.lost) == 0,
	       "the next holder of the name lost %" PRIu64, audit.lost);
	expect(audit.lanes[0].next_seq == s->written,
	       "the next holder of the name read up to %" PRIu64 " of %" PRIu64,
	       audit.lanes[0].next_seq, s->written);
	shmring_consumer_detach(c);
	must(shmring_forget(s->ring, s->operation->name_held));
}

/* In the end the observer has got or counted every message. */
static void dismiss_idler(struct scene *s)
{
	scene_read(s);
	read_idler(s);
	for (unsigned i = 0; i < LANES; i++)
		expect(s->idler_read.lanes[i].next_seq == s->read.lanes[i].next_seq,
		       "the idler read up to %" PRIu64 " of %" PRIu64 " in lane %u",
		       s->idler_read.lanes[i].next_seq, s->read.lanes[i].next_seq, i);
	shmring_consumer_detach(s->idler);
}

/* SW5: only the witnesses are left. */
static void check_places(struct scene *s)
{
	struct shmring_consumer_stat consumer = { .size = sizeof(consumer) };
	struct shmring_ring_stat st = { .size = sizeof(st) };
	unsigned taken = 0;

	must(shmring_reap(s->ring));
	must(shmring_stat(s->ring, &st));
	expect(st.producers == 1 && st.consumers == 1 && st.detached == 0,
	       "%" PRIu32 " producers, %" PRIu32 " consumers, %" PRIu32 " names are left",
	       st.producers, st.consumers, st.detached);
	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++) {
		must(shmring_stat_consumer(s->ring, i, &consumer));
		taken += consumer.state != SHMRING_FREE;
	}
	expect(taken == 1, "%u consumers' places are taken", taken);
}

/* SW4, after the subject has left or died. */
static void check_remains(struct scene *s, bool killed)
{
	if (s->operation->verify)
		s->operation->verify(s, killed);
	if (s->idler && !s->evicting)
		rival_produces(s, LAP); /* as far as the idler allows */
	if (s->operation->name_held)
		scene_write_some(s, FAR); /* its cursor may hold the writer back */
	else
		go_on_for_laps(s, killed);
	expect(rival_produces(s, FEW), "the subject's lane is not free");
	if (s->operation->name_held) {
		check_successor(s);
		go_on_for_laps(s, false);
	}
	if (s->idler)
		dismiss_idler(s);
	check_places(s);
}

void scene_killed(struct scene *s)
{
	check_published(s);
	serve_helper(s);
	check_remains(s, true);
}

/* Where the subject's cursor in the writer's lane is at the least. */
static uint64_t lowest_cursor(const struct scene *s)
{
	uint64_t lowest = s->board->audit.lanes[0].next_seq;

	for (unsigned i = 0; i < s->start_count; i++)
		if (s->starts[i] < lowest)
			lowest = s->starts[i];
	return lowest;
}

/* A ring that waits for the subject: no further than promised, and others go on. */
static void check_held(struct scene *s)
{
	bool known = s->board->audit.lanes[0].seen;
	uint64_t due = s->written + FAR;
	struct shmring_consumer *c;

	scene_write_some(s, FAR);
	expect(!known || s->written == due || s->written >= lowest_cursor(s) + LAP - 1,
	       "the writer has come to %" PRIu64 " and no further, the subject is at %" PRIu64,
	       s->written, lowest_cursor(s));
	c = join_ring(s->ring, NULL, SHMRING_START_NOW, 0);
	shmring_consumer_detach(c);
	look_on(s);
}

void scene_stopped(struct scene *s)
{
	check_published(s);
	if (s->action == HOLD) {
		check_held(s);
	} else {
		serve_helper(s);
		go_on_for_laps(s, false);
	}
	rival_tries(s);
}

/* Wait until the subject is in step. If it has ended, its status says why. */
static void await_subject(struct scene *s)
{
	struct pollfd input = { .fd = s->subject.socket, .events = POLLIN };
	char byte;

	expect(poll(&input, 1, 20000) == 1, "the subject does not go on");
	if (recv(s->subject.socket, &byte, 1, 0) != 1)
		child_end(&s->subject);
}

void scene_goes_on(struct scene *s)
{
	const struct audit_lane *read = &s->board->audit.lanes[0];

	scene_read(s);
	if (s->idler)
		read_idler(s);
	await_subject(s);
	check_published(s);
	scene_write_some(s, FEW);
	step_tell(s->subject.socket);
	child_end(&s->subject);
	check_published(s);
	expect(s->seen[SUBJECT] == s->board->published, "a message of the subject is missing");
	expect(!s->board->at_the_end || (read->seen && read->next_seq == s->written),
	       "the subject read up to %" PRIu64 " of %" PRIu64, read->next_seq, s->written);
	serve_helper(s);
	check_remains(s, false);
}

/* Single steps are slow, but must evict no consumer, unless an eviction is what is recorded. */
static uint64_t evict_after(const struct scene *s)
{
	if (s->recorded && !s->operation->evict)
		return 10000 * (uint64_t)MS;
	return s->operation->evict_after ? s->operation->evict_after : MS;
}

static void open_ring(struct scene *s)
{
	struct shmring_config config = {
		.size = sizeof(config),
		.lane_size = LANE,
		.lanes = LANES,
		.slow_policy = s->evicting && s->operation->max_lag == 0 ? SHMRING_SLOW_EVICT
									 : SHMRING_SLOW_BLOCK,
		.evict_after_ns = evict_after(s),
		.max_sleep_ns = s->max_sleep_ns,
		.first_position = s->operation->first,
		.stamps = s->operation->stamps,
	};

	s->path = room_path("ring");
	s->other_path = room_path("other");
	must(shmring_create(&s->ring, s->path, &config));
	must(shmring_producer_attach(&s->writer, s->ring, NULL));
	s->reader = join_ring(s->ring, NULL, 0, SHMRING_PINNED);
	s->onlooker = join_ring(s->ring, NULL, 0, SHMRING_OBSERVE);
	audit_begin(&s->read, true);
	audit_begin(&s->onlooker_saw, true);
}

bool scene_evicts(const struct operation *o, enum action action)
{
	return o->evict || (o->role == CONSUMER && (action == STOP || action == LATE));
}

void scene_open(struct scene *s, const struct operation *o, enum action action, bool recorded,
		struct board *board, uint64_t max_sleep_ns)
{
	*s = (struct scene){
		.operation = o, .action = action, .recorded = recorded, .board = board
	};
	memset(board, 0, sizeof(*board));
	s->evicting = scene_evicts(o, action);
	s->max_sleep_ns = o->sleep ? o->sleep : max_sleep_ns;
	s->next_rival = RIVAL + 1;
	open_ring(s);
	if (o->before)
		o->before(s);
	child_fork(&s->subject, subject_run, s);
	step_catch(&s->step, &s->subject, o->act);
	if (o->begin)
		o->begin(s);
}

void scene_close(struct scene *s)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct shmring_ring_stat st = { .size = sizeof(st) };

	shmring_producer_detach(s->writer);
	shmring_consumer_detach(s->reader);
	shmring_consumer_detach(s->onlooker);
	must(shmring_stat(s->ring, &st));
	expect(st.producers == 0 && st.consumers == 0 && st.detached == 0, "somebody is left");
	/* Through the ring's own description, whose mark is the one lock that may be there. */
	must(fcntl((int)must(shmring_fd(s->ring)), F_OFD_GETLK, &lock));
	expect(lock.l_type == F_UNLCK, "byte %lld is locked", (long long)lock.l_start);
	shmring_close(s->ring);
	must(shmring_remove(s->path));
}
