/* SPDX-License-Identifier: MIT */
/*
 * The processes of a storm. Each of them does all that its role can do, in
 * random order, and writes it down in the ledger. A result that the promises do not
 * allow is a failed assertion.
 */
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "audit.h"
#include "must.h"
#include "random.h"

enum { MAX_LEN = 1500, MAX_BATCH = 16 };

/* No process may hold a call up for that long, in nanoseconds. */
#define LONGEST_CALL INT64_C(20000000000)

static bool is_over(const struct worker *w, enum phase phase)
{
	return ledger_get(&w->ledger->phase) >= (uint64_t)phase;
}

static struct worker_page *page(const struct worker *w)
{
	return &w->ledger->workers[w->index];
}

static void beat(const struct worker *w)
{
	page(w)->beats++;
}

/* Leave the processor to others, half of the time. */
static void breathe(struct worker *w)
{
	beat(w);
	if (random_below(&w->seed, 2))
		poll(NULL, 0, (int)random_below(&w->seed, 3));
}

/* A measured call: the ledger says which processes were stopped meanwhile. */
struct watch {
	int64_t start;
	uint64_t stops;
	uint64_t holds;
	bool held;
};

static struct watch watch_begin(const struct worker *w)
{
	const struct ledger *l = w->ledger;

	return (struct watch){
		.holds = ledger_get(&l->holds[w->role.ring]),
		.held = ledger_get(&l->holders[w->role.ring]) != 0,
		.stops = ledger_get(&page(w)->stops),
		.start = clock_now(),
	};
}

/* A call during which this process was stopped says nothing. */
static void watch_end(const struct worker *w, const struct watch *watch, enum delay delay)
{
	int64_t took = clock_now() - watch->start;

	if (delay == DELAY_ROOM &&
	    (watch->held || ledger_get(&w->ledger->holds[w->role.ring]) != watch->holds))
		delay = DELAY_HELD;
	if (ledger_get(&page(w)->stops) == watch->stops)
		histogram_add(&page(w)->delays[delay], took);
}

/* --- producers --- */

struct production {
	struct worker *w;
	struct shmring_producer *p;
	struct source *source;
	uint64_t id;
	uint64_t number; /* of the next message */
	uint64_t waits;
	unsigned char buffer[MAX_LEN];
};

static void producer_open(struct production *x, struct worker *w, struct shmring_ring *r)
{
	x->w = w;
	x->id = 1 + __atomic_fetch_add(&w->ledger->sources_used, 1, __ATOMIC_RELAXED);
	ck_assert_uint_lt(x->id, SOURCES);
	x->source = &w->ledger->sources[x->id];
	x->source->worker = w->index;
	x->source->ring = w->role.ring;
	x->number = x->waits = 0;
	must(shmring_producer_attach(&x->p, r, NULL));
}

static void producer_close(struct production *x)
{
	struct shmring_counters counters = { .size = sizeof(counters) };

	must(shmring_producer_counters(x->p, &counters));
	ck_assert_uint_eq(counters.messages, x->number);
	page(x->w)->recoveries += counters.recoveries;
	shmring_producer_detach(x->p);
}

/* Before publication: from now on it may have happened. */
static void announce(struct production *x, uint64_t count)
{
	struct worker_page *p = page(x->w);
	struct stamp *stamp;

	for (uint64_t n = x->number; n < x->number + count; n++) {
		stamp = &p->stamps[n % STAMPS];
		ledger_put(&stamp->source, 0);
		stamp->number = n;
		stamp->stops = ledger_get(&p->stops);
		stamp->time = clock_now();
		ledger_put(&stamp->source, x->id);
	}
	ledger_put(&x->source->intent, x->number + count);
}

/* After it: now it has happened. */
static void confirm(struct production *x, uint64_t count)
{
	x->number += count;
	ledger_put(&x->source->committed, x->number);
	page(x->w)->messages += count;
	beat(x->w);
}

static size_t some_length(struct worker *w)
{
	return random_size(&w->seed, sizeof(struct audit_header), MAX_LEN);
}

static void account(struct production *x, const struct watch *watch)
{
	struct shmring_counters counters = { .size = sizeof(counters) };

	must(shmring_producer_counters(x->p, &counters));
	watch_end(x->w, watch, counters.waits == x->waits ? DELAY_PUBLISH : DELAY_ROOM);
	x->waits = counters.waits;
}

static void *claim(struct production *x, size_t len)
{
	struct watch watch = watch_begin(x->w);
	void *data = NULL;

	must(shmring_claim(x->p, len, shmring_deadline(LONGEST_CALL), &data));
	account(x, &watch);
	return data;
}

static void publish_copied(struct production *x)
{
	size_t len = some_length(x->w), first = random_below(&x->w->seed, len);
	struct iovec pieces[2] = { { x->buffer, first }, { x->buffer + first, len - first } };
	int64_t deadline = shmring_deadline(LONGEST_CALL);
	struct watch watch;

	audit_fill(x->buffer, len, x->id, x->number);
	announce(x, 1);
	watch = watch_begin(x->w);
	if (len % 2)
		must(shmring_publish(x->p, x->buffer, len, deadline));
	else
		must(shmring_publishv(x->p, pieces, 2, deadline));
	account(x, &watch);
	confirm(x, 1);
}

static void publish_claimed(struct production *x)
{
	size_t len = some_length(x->w);
	void *data = claim(x, len + random_below(&x->w->seed, 100));

	audit_fill(data, len, x->id, x->number);
	announce(x, 1);
	must(shmring_commit(x->p, len));
	confirm(x, 1);
}

static void publish_batch(struct production *x)
{
	uint64_t count = 2 + random_below(&x->w->seed, MAX_BATCH - 1);

	for (uint64_t i = 0; i < count; i++) {
		size_t len = some_length(x->w);
		void *data = claim(x, len);

		audit_fill(data, len, x->id, x->number + i);
		if (i + 1 == count)
			announce(x, count);
		must(i + 1 < count ? shmring_stage(x->p, len) : shmring_commit(x->p, len));
	}
	confirm(x, count);
}

/* Write bytes that no process must ever see. */
static void publish_nothing(struct production *x)
{
	memset(claim(x, MAX_LEN), 0xff, MAX_LEN);
	if (random_below(&x->w->seed, 2)) {
		must(shmring_stage(x->p, MAX_LEN));
		memset(claim(x, MAX_LEN), 0xff, MAX_LEN);
		shmring_discard(x->p);
	} else {
		shmring_abort(x->p);
	}
}

static void publish_some(struct production *x, uint64_t calls)
{
	while (calls-- > 0) {
		switch (random_below(&x->w->seed, 8)) {
		case 0:
			publish_nothing(x);
			break;
		case 1:
			publish_batch(x);
			break;
		case 2:
		case 3:
			publish_claimed(x);
			break;
		default:
			publish_copied(x);
		}
	}
}

static void produce(struct worker *w, struct shmring_ring *r)
{
	static struct production x;

	while (!is_over(w, PHASE_FINISH)) {
		uint64_t bursts = 1 + random_below(&w->seed, 100);

		producer_open(&x, w, r);
		while (bursts-- > 0 && !is_over(w, PHASE_FINISH)) {
			publish_some(&x, random_below(&w->seed, 200));
			breathe(w);
		}
		producer_close(&x);
	}
}

/* --- consumers --- */

struct consumption {
	struct worker *w;
	struct shmring_consumer *c;
	uint64_t recoveries;
};

static void note(const struct consumption *x, enum entry_kind kind)
{
	const struct entry e = { .kind = (uint8_t)kind };

	journal_add(&page(x->w)->journal, &e);
}

/* Nothing that is published from now on may be missing. */
static void note_lanes(const struct consumption *x, struct shmring_ring *r)
{
	struct entry e = { .kind = ENTRY_JOINED };
	struct shmring_lane_stat st = { .size = sizeof(st) };
	uint64_t bytes;
	int result;

	for (uint8_t lane = 0; lane < LANES; lane++) {
		result = shmring_stat_lane(r, lane, &st);
		if (result == -EAGAIN)
			continue;
		must(result);
		e.lane = lane;
		e.seq = st.messages;
		must(shmring_consumer_missed(x->c, lane, &e.lost, &bytes));
		journal_add(&page(x->w)->journal, &e);
	}
}

static void consumer_open(struct consumption *x, struct worker *w, struct shmring_ring *r)
{
	bool named = w->role.name != NULL;
	struct shmring_consumer_options options = {
		.size = sizeof(options),
		.name = w->role.name,
		.start = named ? SHMRING_START_DEFAULT
			       : (uint32_t)(SHMRING_START_OLDEST + random_below(&w->seed, 2)),
		.flags = w->role.kind == ROLE_OBSERVER ? SHMRING_OBSERVE : 0,
		.spin_ns = random_below(&w->seed, 2) ? -1 : 0,
	};

	x->w = w;
	x->recoveries = 0;
	must(shmring_consumer_attach(&x->c, r, &options));
	note(x, ENTRY_ATTACHED);
	if (!named)
		note_lanes(x, r);
}

static void count_recoveries(struct consumption *x)
{
	struct shmring_counters counters = { .size = sizeof(counters) };

	must(shmring_consumer_counters(x->c, &counters));
	page(x->w)->recoveries += counters.recoveries - x->recoveries;
	x->recoveries = counters.recoveries;
}

static void consumer_close(struct consumption *x)
{
	count_recoveries(x);
	if (x->w->role.kind != ROLE_OBSERVER)
		note(x, ENTRY_DROPPED);
	shmring_consumer_detach(x->c);
}

/* From before its publication, or from the call that asks for it if that was later. */
static void measure_arrival(const struct consumption *x, const struct watch *watch,
			    const struct audit_header *h)
{
	const struct source *from = &x->w->ledger->sources[h->source];
	const struct worker_page *theirs = &x->w->ledger->workers[from->worker];
	const struct stamp *s = &theirs->stamps[h->number % STAMPS];
	struct watch since = *watch;
	uint64_t stops;

	if (ledger_get(&s->source) != h->source || s->number != h->number)
		return;
	if (s->time > since.start)
		since.start = s->time;
	stops = s->stops;
	/* Rewritten meanwhile, or its producer was stopped between stamp and store. */
	if (ledger_get(&s->source) == h->source && stops == ledger_get(&theirs->stops))
		watch_end(x->w, &since, DELAY_ARRIVAL);
}

static void note_message(const struct consumption *x, const struct shmring_message *m,
			 struct audit_header *h)
{
	const struct facts t = facts_of(x->c, m);
	struct entry e = {
		.kind = ENTRY_MESSAGE,
		.lane = (uint8_t)m->producer,
		.tenancy = t.tenancy,
		.seq = m->seq,
		.lost = t.lost,
	};

	ck_assert_uint_lt(m->producer, LANES);
	/* In a ring that evicts it counts only once it is released. */
	if (!audit_read(m->data, m->len, h) || h->source >= SOURCES)
		h->source = 0;
	e.source = h->source;
	e.number = h->number;
	journal_add(&page(x->w)->journal, &e);
	page(x->w)->messages++;
}

/* -ESTALE: what was handed out does not count. */
static void evicted(const struct consumption *x)
{
	note(x, ENTRY_DROPPED);
	page(x->w)->evictions++;
}

static void release(const struct consumption *x)
{
	int r;

	note(x, ENTRY_RELEASING);
	r = shmring_release(x->c);
	if (r == -ESTALE) {
		evicted(x);
		return;
	}
	must(r);
	note(x, ENTRY_RELEASED);
}

/* Get some messages; false: no message came until the deadline. */
static bool take(struct consumption *x, int64_t deadline)
{
	struct shmring_message messages[MAX_BATCH];
	int count = (int)random_below(&x->w->seed, MAX_BATCH);
	struct watch watch = watch_begin(x->w);
	struct audit_header h = { 0 };
	int n = count > 1 ? shmring_peek_batch(x->c, deadline, messages, count)
			  : shmring_peek(x->c, deadline, messages);

	beat(x->w);
	if (n == -ESTALE) {
		evicted(x);
		return true;
	}
	if (n == -ETIMEDOUT || n == -EAGAIN)
		return false;
	must(n);
	n = count > 1 ? n : 1;
	for (int i = 0; i < n; i++) {
		note_message(x, &messages[i], &h);
		if (i == 0 && h.source != 0)
			measure_arrival(x, &watch, &h);
	}
	return true;
}

/* Mostly short; sometimes so long that only a message can end the wait in time. */
static int64_t some_deadline(struct worker *w)
{
	uint64_t ms = random_below(&w->seed, 8) ? random_below(&w->seed, 100) : LONG_WAIT_MS;

	return shmring_deadline((int64_t)ms * 1000000);
}

static void consume_some(struct consumption *x, uint64_t calls)
{
	bool observer = x->w->role.kind == ROLE_OBSERVER;

	while (calls-- > 0 && !is_over(x->w, PHASE_DRAIN)) {
		take(x, some_deadline(x->w));
		if (observer)
			continue;
		switch (random_below(&x->w->seed, 8)) {
		case 0:
			break;
		case 1:
			shmring_rewind(x->c);
			note(x, ENTRY_DROPPED);
			break;
		default:
			release(x);
		}
	}
	count_recoveries(x);
}

static void drain(struct consumption *x)
{
	if (x->w->role.kind != ROLE_OBSERVER)
		release(x);
	while (take(x, SHMRING_NOWAIT))
		if (x->w->role.kind != ROLE_OBSERVER)
			release(x);
	note(x, ENTRY_DRAINED);
}

static void consume(struct worker *w, struct shmring_ring *r)
{
	struct consumption x;

	for (;;) {
		uint64_t bursts = 1 + random_below(&w->seed, 100);
		bool over = false;

		consumer_open(&x, w, r);
		while (bursts-- > 0 && !over) {
			consume_some(&x, random_below(&w->seed, 100));
			breathe(w);
			over = is_over(w, PHASE_DRAIN);
		}
		if (over)
			drain(&x);
		consumer_close(&x);
		if (over)
			return;
	}
}

/* --- the others --- */

/* Examine the ring, and bury the dead before another process needs their places. */
static void visit(struct worker *w, struct shmring_ring *r)
{
	struct shmring_consumer_stat consumer = { .size = sizeof(consumer) };
	struct shmring_lane_stat lane = { .size = sizeof(lane) };
	struct shmring_ring_stat st = { .size = sizeof(st) };
	int result;

	while (!is_over(w, PHASE_FINISH)) {
		must(shmring_stat(r, &st));
		ck_assert_uint_le(st.producers, LANES);
		result = shmring_stat_lane(r, (unsigned)random_below(&w->seed, LANES), &lane);
		if (result != -EAGAIN)
			must(result);
		must(shmring_stat_consumer(r, (unsigned)random_below(&w->seed, 16), &consumer));
		if (random_below(&w->seed, 4) == 0)
			page(w)->recoveries += (uint64_t)must(shmring_reap(r));
		breathe(w);
	}
}

/* Rings of other workers are whole, and hold their messages. */
static void read_made(const char *path)
{
	struct shmring_consumer_options options = { .size = sizeof(options),
						    .start = SHMRING_START_OLDEST };
	struct shmring_consumer *c;
	struct shmring_message m;
	struct audit_header h;
	struct shmring_ring *r;
	int result = shmring_open(&r, path);

	if (result == -ENOENT)
		return;
	must(result);
	must(shmring_consumer_attach(&c, r, &options));
	while ((result = shmring_peek(c, SHMRING_NOWAIT, &m)) == 0) {
		ck_assert(audit_read(m.data, m.len, &h));
		must(shmring_release(c));
	}
	must_fail(EAGAIN, result);
	shmring_consumer_detach(c);
	shmring_close(r);
}

static void make(struct worker *w, const char *path)
{
	struct shmring_config config = { .size = sizeof(config),
					 .lane_size = SHMRING_MIN_LANE_SIZE,
					 .lanes = 2,
					 .unread_policy = SHMRING_UNREAD_OVERWRITE };
	unsigned char buffer[200];
	struct shmring_producer *p;
	struct shmring_ring *r;
	int result = shmring_create(&r, path, &config);

	if (result == -EEXIST)
		return;
	must(result);
	must(shmring_producer_attach(&p, r, NULL));
	for (uint64_t n = 0; n < 10; n++) {
		audit_fill(buffer, sizeof(buffer), w->index, n);
		must(shmring_publish(p, buffer, sizeof(buffer), SHMRING_NOWAIT));
		page(w)->messages++;
	}
	shmring_producer_detach(p);
	shmring_close(r);
}

static void unmake(const char *path)
{
	int result = shmring_remove(path);

	if (result != -ENOENT && result != -EAGAIN)
		must(result);
}

static void create(struct worker *w)
{
	while (!is_over(w, PHASE_FINISH)) {
		const char *path = w->made[random_below(&w->seed, MADE_RINGS)];

		switch (random_below(&w->seed, 3)) {
		case 0:
			make(w, path);
			break;
		case 1:
			read_made(path);
			break;
		default:
			unmake(path);
		}
		breathe(w);
	}
}

/* One ring is found by its name, the other one is inherited. */
static struct shmring_ring *reach_ring(const struct worker *w)
{
	struct shmring_ring *r = w->rings[w->role.ring];

	if (w->role.ring == 0)
		must(shmring_open(&r, w->path));
	else
		must(shmring_join(r));
	return r;
}

int worker_run(int socket, void *arg)
{
	struct worker *w = arg;
	struct shmring_ring *r;

	(void)socket;
	alarm(0); /* the supervisor ends this process, and its end ends this process, too */
	r = reach_ring(w);
	switch (w->role.kind) {
	case ROLE_PRODUCER:
		produce(w, r);
		break;
	case ROLE_VISITOR:
		visit(w, r);
		break;
	case ROLE_CREATOR:
		create(w);
		break;
	default:
		consume(w, r);
	}
	shmring_close(r);
	ledger_put(&page(w)->left, 1);
	return 0;
}
