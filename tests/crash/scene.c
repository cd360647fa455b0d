/* SPDX-License-Identifier: MIT */
/*
 * The stage of a trial.
 */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <check.h>
#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "must.h"
#include "way.h"

enum {
	MS = 1000000,
	WRITER = 1,
	VERIFIER = 800, /* and those that follow */
	END = 999,
	SOURCES = 1000,
	LAP = 65, /* messages of MIDDLE bytes in a lane */
	SENT = 256,
	LANES = 6,
};

/* What the listener tells, and knows, in shared memory. */
struct listening {
	_Atomic(uint64_t) heard; /* messages of the writer; beyond 0: it has attached */
	_Atomic(int64_t) sent[SENT];
	int64_t slowest;
	int64_t last;	 /* when it heard the last one */
	int64_t starved; /* and what starved() said before it waited */
	struct audit audit;
};

struct stage_memory {
	struct listening listening;
	struct notes notes[CAST];
};

enum state { ABSENT, PLAYING, STOPPED, KILLED, PLAYED };

struct seat {
	enum state state;
	struct child child;
	struct actor actor;
	struct part part;
	struct notes *notes;
	uint64_t goal;	 /* how far the writer is to go for it; 0: nothing asked */
	uint32_t served; /* the request that the goal is for */
};

struct scene {
	struct stage_memory *memory;
	struct shmring_ring *ring;
	struct shmring_producer *writer;
	struct shmring_consumer *reader;
	struct shmring_consumer *idle;	  /* never reads, and will be evicted; or NULL */
	struct shmring_consumer *laggard; /* the same, at a limit of its own */
	struct child listener;
	struct seat seats[CAST];
	unsigned count;
	uint64_t written;
	struct audit audit;
	uint64_t got[SOURCES];
	uint32_t *hits;
	int64_t began;
};

struct figures *figures;

static void *share(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("cannot share memory with the tests");
		exit(1);
	}
	return p;
}

void figures_open(void)
{
	figures = share(sizeof(*figures));
}

static void keep_longest(int64_t *longest, int64_t ns)
{
	if (ns > *longest)
		*longest = ns;
}

/* --- survivors ------------------------------------------------------------------------------ */

static uint64_t source_of(const struct shmring_message *m)
{
	struct audit_header h;

	ck_assert_uint_ge(m->len, sizeof(h));
	memcpy(&h, m->data, sizeof(h));
	return h.source;
}

/* The reader takes all there is. */
static void drain(struct scene *s)
{
	struct shmring_message m;
	int r;

	while ((r = shmring_peek(s->reader, SHMRING_NOWAIT, &m)) == 0) {
		ck_assert_msg(audit_peeked(&s->audit, s->reader, &m), "reader: %s",
			      s->audit.first_fault);
		ck_assert_uint_lt(source_of(&m), SOURCES);
		s->got[source_of(&m)]++;
		must(shmring_release(s->reader));
	}
	must_fail(EAGAIN, r);
}

/* How long this process has been ready to run and had no processor, in ns; 0: unknown. */
static int64_t starved(void)
{
	FILE *f = fopen("/proc/self/schedstat", "re");
	int64_t ns = 0;

	if (f && fscanf(f, "%*d %" SCNd64, &ns) != 1)
		ns = 0;
	if (f)
		fclose(f);
	return ns;
}

/* Keep how long it waited for a message; not what the machine took from it. */
static void time_wait(struct listening *l)
{
	int64_t sent = atomic_load(&l->sent[l->heard % SENT]), now = clock_now();

	if (sent > l->last) { /* it was waiting, and not behind */
		int64_t ns = starved();

		keep_longest(&l->slowest, now - sent - (ns - l->starved));
		l->starved = ns;
	}
	l->last = clock_now();
}

static void hear(struct listening *l, const struct shmring_consumer *c,
		 const struct shmring_message *m, uint64_t *ret_source)
{
	*ret_source = source_of(m);
	ck_assert_msg(audit_peeked(&l->audit, c, m), "listener: %s", l->audit.first_fault);
	if (*ret_source != WRITER)
		return;
	time_wait(l);
	l->heard++;
}

/* The listener: sleeps for each message, until the last one. */
static int listen_to_all(int socket, void *arg)
{
	struct scene *s = arg;
	struct listening *l = &s->memory->listening;
	struct shmring_consumer_options options = { .size = sizeof(options),
						    .flags = SHMRING_PINNED,
						    .spin_ns = -1 };
	struct shmring_consumer *c;
	struct shmring_message m;
	uint64_t source = 0;

	must(shmring_join(s->ring));
	must(shmring_consumer_attach(&c, s->ring, &options));
	l->starved = starved();
	step_tell(socket);
	while (source != END) {
		must(shmring_peek(c, patience(), &m));
		hear(l, c, &m, &source);
		must(shmring_release(c));
	}
	while (shmring_peek(c, SHMRING_NOWAIT, &m) == 0) {
		hear(l, c, &m, &source);
		must(shmring_release(c));
	}
	shmring_consumer_detach(c);
	shmring_close(s->ring);
	return 0;
}

/* It is sent when it is committed, however long it had to wait for room. */
static int write_one(struct scene *s, size_t len, int64_t deadline)
{
	void *data;
	int r = shmring_claim(s->writer, len, deadline, &data);

	if (r < 0)
		return r;
	audit_fill(data, len, WRITER, s->written);
	atomic_store(&s->memory->listening.sent[s->written % SENT], clock_now());
	must(shmring_commit(s->writer, len));
	s->written++;
	return 0;
}

/* The reader reads meanwhile; a consumer that does not is in the way, and is evicted. */
static void write_some(struct scene *s, unsigned count, size_t len)
{
	int64_t limit = patience();

	while (count > 0) {
		int r = write_one(s, len, SHMRING_NOWAIT);

		count -= r == 0;
		drain(s);
		if (r == 0)
			continue;
		must_fail(EAGAIN, r);
		ck_assert_msg(clock_now() < limit, "the writer finds no room");
		sched_yield();
	}
}

/* --- the actors' requests ------------------------------------------------------------------- */

static bool is_evicted(struct scene *s, const struct seat *seat)
{
	struct shmring_consumer_stat st = { .size = sizeof(st) };

	for (unsigned slot = 0; slot < SHMRING_MAX_CONSUMERS; slot++) {
		must(shmring_stat_consumer(s->ring, slot, &st));
		if (st.state == SHMRING_EVICTED && st.pid == seat->child.pid)
			return true;
	}
	return false;
}

/*
 * Bring the writer to `count` messages more than it had when it was first asked;
 * a few at a time, for others must be served, too. True: it is there.
 */
static bool write_on(struct scene *s, struct seat *seat, unsigned count, size_t len)
{
	if (seat->goal == 0)
		seat->goal = s->written + count;
	for (int i = 0; i < 4 && s->written < seat->goal; i++) {
		int r = write_one(s, len, SHMRING_NOWAIT);

		if (r < 0)
			must_fail(EAGAIN, r);
		drain(s);
	}
	if (s->written < seat->goal)
		return false;
	seat->goal = 0;
	return true;
}

/* Do what the actor asks for. True: the reader must not read now. */
static bool serve(struct scene *s, struct seat *seat)
{
	uint32_t request = atomic_load(&seat->notes->request);

	/* Another actor's messages may have ended an earlier request before its goal. */
	if (request != seat->served) {
		seat->served = request;
		seat->goal = 0;
	}
	switch (request % REQUESTS) {
	case REQUEST_FEED:
		if (!write_on(s, seat, 5, SMALL))
			return false;
		break;
	case REQUEST_SLEEPER:
		if (!child_sleeps(&s->listener))
			return false;
		break;
	case REQUEST_WAKE:
		if (!child_sleeps(&seat->child) || !write_on(s, seat, 1, SMALL))
			return false;
		break;
	case REQUEST_HOLD:
		if (!child_sleeps(&seat->child))
			return true;
		break;
	case REQUEST_EVICT:
		if (!is_evicted(s, seat)) {
			write_on(s, seat, 4, MIDDLE);
			return false;
		}
		seat->goal = 0;
		figures->evictions++;
		break;
	case REQUEST_LAPSE:
		if (!write_on(s, seat, 3 * LAP, MIDDLE))
			return false;
		break;
	default:
		return false;
	}
	/* The actor may want another step by now. */
	atomic_compare_exchange_strong(&seat->notes->request, &request, 0);
	return false;
}

/* Note how an actor has ended; it must be the end that its part asks for. */
static void look_at(struct seat *seat)
{
	switch (child_look(&seat->child)) {
	case CHILD_RUNS:
		return;
	case CHILD_STOPPED:
		ck_assert_int_eq(seat->part.action, FAULT_STOP);
		seat->state = STOPPED;
		break;
	case CHILD_KILLED:
		ck_assert_msg((seat->part.action == FAULT_KILL || seat->part.then) &&
				      seat->notes->reached,
			      "an actor was killed by somebody else");
		seat->state = KILLED;
		break;
	case CHILD_ENDED:
		seat->state = PLAYED;
		break;
	}
}

/* One round: the survivors do what the actors ask for. */
static void go_round(struct scene *s)
{
	bool hold = false;

	for (unsigned i = 0; i < s->count; i++) {
		struct seat *seat = &s->seats[i];

		if (seat->state == PLAYING)
			look_at(seat);
		if (seat->state == PLAYING && serve(s, seat))
			hold = true;
	}
	if (!hold)
		drain(s);
	sched_yield();
}

/* Until it is at rest, or, unless this is to the end, is held up at its place. */
static void settle(struct scene *s, struct seat *seat, bool to_the_end)
{
	int64_t limit = patience();

	while (seat->state == PLAYING &&
	       (to_the_end || seat->part.action != FAULT_DELAY || !seat->notes->reached)) {
		go_round(s);
		ck_assert_msg(clock_now() < limit, "the %s does not come on, request %u",
			      role_name(seat->part.role),
			      (unsigned)seat->notes->request % REQUESTS);
	}
}

/* --- the trial ------------------------------------------------------------------------------ */

static bool has_role(const struct part *parts, unsigned count, enum role role)
{
	for (unsigned i = 0; i < count; i++)
		if (parts[i].role == role)
			return true;
	return false;
}

/*
 * Messages have stamps, so that the stores of those are met, too: the prober's of the clock, and
 * other producers' of the counter, where there is one.
 */
static uint32_t stamps_for(const struct part *parts, unsigned count)
{
	if (has_role(parts, count, ROLE_PROBER))
		return SHMRING_STAMP_CLOCK;
	return has_role(parts, count, ROLE_PRODUCER) ? SHMRING_STAMP_AUTO : SHMRING_STAMP_NONE;
}

static void open_ring(struct scene *s, uint32_t stamps)
{
	struct shmring_config config = {
		.size = sizeof(config),
		.lane_size = SHMRING_MIN_LANE_SIZE,
		.lanes = LANES,
		.unread_policy = SHMRING_UNREAD_OVERWRITE,
		.slow_policy = SHMRING_SLOW_EVICT,
		.evict_after_ns = 3 * MS,
		.max_sleep_ns = 10 * MS,
		.stamps = stamps,
	};

	must(shmring_create(&s->ring, NULL, &config));
	s->reader = consumer_attach(s->ring, NULL, SHMRING_START_OLDEST, SHMRING_PINNED);
	s->writer = producer_attach(s->ring);
	audit_begin(&s->audit, true);
	audit_begin(&s->memory->listening.audit, true);
	child_fork(&s->listener, listen_to_all, s);
	step_await(s->listener.socket);
}

static void leave_a_corpse(struct scene *s)
{
	struct child corpse;
	enum child_state state;

	child_fork(&corpse, actor_corpse, s->ring);
	while ((state = child_look(&corpse)) == CHILD_RUNS)
		sched_yield();
	ck_assert_int_eq(state, CHILD_KILLED);
}

/* Consumers for a producer to evict: one is in its way, one lags too far. */
static void leave_victims(struct scene *s)
{
	struct shmring_consumer_options options = {
		.size = sizeof(options),
		.start = SHMRING_START_OLDEST,
		.max_lag = SHMRING_MIN_LANE_SIZE / 2,
	};

	s->idle = consumer_attach(s->ring, NULL, SHMRING_START_OLDEST, 0);
	must(shmring_consumer_attach(&s->laggard, s->ring, &options));
}

static void set_scene(struct scene *s, const struct part *parts, unsigned count)
{
	open_ring(s, stamps_for(parts, count));
	write_some(s, LAP + 10, MIDDLE);
	if (has_role(parts, count, ROLE_PRODUCER))
		leave_victims(s);
	if (has_role(parts, count, ROLE_PROBER))
		leave_a_corpse(s);
}

static void enter(struct scene *s, unsigned i, const struct part *part)
{
	struct seat *seat = &s->seats[i];

	seat->part = *part;
	seat->notes = &s->memory->notes[i];
	snprintf(seat->notes->name, sizeof(seat->notes->name), "actor-%u", i);
	seat->actor = (struct actor){
		.ring = s->ring,
		.notes = seat->notes,
		.source = NOTE_SOURCES * (i + 1),
		.part = &seat->part,
		.hits = s->hits,
	};
	s->count = i + 1;
	child_fork(&seat->child, actor_play, &seat->actor);
	seat->state = PLAYING;
	settle(s, seat, false);
}

/* Is it the ring's policy that producers wait for this one, for as long as it likes? */
static bool holds_for_ever(const struct seat *seat)
{
	return seat->part.role == ROLE_PINNED && seat->state == STOPPED;
}

static bool is_consumer(enum role role)
{
	return role == ROLE_CONSUMER || role == ROLE_PINNED || role == ROLE_NAMED ||
	       role == ROLE_JOINER;
}

/* May the writer have to wait for one of these? */
static bool may_hold(const struct scene *s)
{
	if (s->idle)
		return true;
	for (unsigned i = 0; i < s->count; i++)
		if (is_consumer(s->seats[i].part.role) || s->seats[i].part.role == ROLE_PROBER)
			return true;
	return false;
}

static void await_listener(struct scene *s)
{
	int64_t limit = patience();

	while (s->memory->listening.heard < s->written) {
		ck_assert_msg(child_look(&s->listener) == CHILD_RUNS, "the listener has ended");
		ck_assert_msg(clock_now() < limit, "the listener does not hear");
		sched_yield();
	}
}

/* Three laps of the survivors; no other process may hold them up. */
static void go_three_laps(struct scene *s)
{
	int64_t *longest = may_hold(s) ? &figures->held_writer_ns : &figures->writer_ns;
	int64_t before;

	for (unsigned i = 0; i < 3 * LAP; i++) {
		drain(s);
		before = clock_now();
		must(write_one(s, MIDDLE, patience()));
		keep_longest(longest, clock_now() - before);
		if (i % 16 == 15)
			await_listener(s);
	}
	drain(s);
}

/* A pinned consumer that is stopped: the writer is refused, and that is all. */
static void go_until_full(struct scene *s)
{
	unsigned count = 0;
	int r = 0;

	while (count < 3 * LAP && r == 0) {
		r = write_one(s, MIDDLE, SHMRING_NOWAIT);
		drain(s);
		count += r == 0;
	}
	if (r < 0)
		must_fail(EAGAIN, r);
	else
		ck_assert_uint_eq(count, 3 * LAP); /* it was stopped with no place to hold */
}

/* Others can come and go. */
static void come_and_go(struct scene *s)
{
	static const uint32_t starts[] = { SHMRING_START_OLDEST, SHMRING_START_NOW };
	struct shmring_producer *p;

	for (unsigned i = 0; i < 2; i++)
		shmring_consumer_detach(consumer_attach(s->ring, NULL, starts[i], 0));
	p = producer_attach(s->ring);
	publish_numbers(p, VERIFIER, 0, 1, SMALL);
	shmring_producer_detach(p);
	drain(s);
}

static void go_on_without_them(struct scene *s)
{
	bool held = false;

	for (unsigned i = 0; i < s->count; i++) {
		if (s->seats[i].part.action == FAULT_DELAY)
			settle(s, &s->seats[i], true);
		held |= holds_for_ever(&s->seats[i]);
	}
	if (held) {
		go_until_full(s);
		return;
	}
	go_three_laps(s);
	come_and_go(s);
}

static void let_go_on(struct seat *seat)
{
	if (seat->state != STOPPED)
		return;
	ck_assert_int_eq(kill(seat->child.pid, SIGCONT), 0);
	seat->state = PLAYING;
}

static void let_them_go_on(struct scene *s)
{
	for (unsigned i = 0; i < s->count; i++) {
		struct seat *seat = &s->seats[i];

		let_go_on(seat);
		settle(s, seat, true);
		figures->came[seat->part.action] += seat->notes->reached;
		figures->missed += seat->part.action != FAULT_NONE && !seat->notes->reached;
	}
}

/* --- the account ---------------------------------------------------------------------------- */

/* All that it had published is there, and nothing it had not begun to. */
static void account_for_messages(struct scene *s, const struct seat *seat)
{
	const struct notes *n = seat->notes;
	uint64_t got = s->got[seat->actor.source];

	if (seat->state == PLAYED)
		ck_assert_uint_eq(n->done, n->begun);
	ck_assert_msg(got == n->done || got == n->begun,
		      "%" PRIu64 " messages of the %s, it published %" PRIu64 " to %" PRIu64, got,
		      role_name(seat->part.role), n->done, n->begun);
}

/* The number of the oldest message that is still in the lane. */
static uint64_t oldest_in(struct scene *s, uint32_t lane)
{
	struct shmring_consumer *c =
		consumer_attach(s->ring, NULL, SHMRING_START_OLDEST, SHMRING_OBSERVE);
	struct shmring_message m = { .producer = UINT32_MAX };

	while (m.producer != lane)
		must(shmring_peek(c, SHMRING_NOWAIT, &m));
	shmring_consumer_detach(c);
	return m.seq;
}

/*
 * The first message of a lane that a successor gets is the one that was not
 * released. It may report a loss only if that message is not there any more.
 */
static void check_first(struct scene *s, const struct notes *n, const struct facts *m)
{
	const struct audit_lane *released = &n->released.lanes[m->producer];
	const struct audit_lane *pending = &n->pending.lanes[m->producer];
	uint64_t first = m->seq - m->lost;

	if (m->lost > 0)
		ck_assert_uint_gt(oldest_in(s, m->producer), first);
	if (n->elsewhere || !released->seen)
		return;
	ck_assert_msg(first == released->next_seq || (n->releasing && first == pending->next_seq),
		      "lane %" PRIu32 ": the successor begins at %" PRIu64
		      ", its predecessor had released up to %" PRIu64,
		      m->producer, first, released->next_seq);
}

static void succeed(struct scene *s, const struct notes *n)
{
	struct shmring_consumer_options options = { .size = sizeof(options),
						    .name = n->name,
						    .start = SHMRING_START_RESUME };
	struct shmring_consumer *c;
	struct shmring_message m;
	struct audit audit;
	int r = shmring_consumer_attach(&c, s->ring, &options);

	if (!n->established && r == -ENOENT)
		return;
	must(r);
	audit_begin(&audit, false);
	while ((r = shmring_peek(c, SHMRING_NOWAIT, &m)) == 0) {
		const struct facts t = facts_of(c, &m);

		if (!audit.lanes[m.producer].seen)
			check_first(s, n, &t);
		ck_assert_msg(audit_message(&audit, &t), "successor: %s", audit.first_fault);
		must(shmring_release(c));
	}
	must_fail(EAGAIN, r);
	shmring_consumer_detach(c);
	must(shmring_forget(s->ring, n->name));
}

/* Every lane that was in use, and one more, takes a new owner. */
static void take_all_lanes(struct scene *s)
{
	struct shmring_producer *p[LANES];
	struct shmring_lane_stat st = { .size = sizeof(st) };
	unsigned ready = 0;

	for (unsigned lane = 0; lane < LANES; lane++) {
		must(shmring_stat_lane(s->ring, lane, &st));
		ready += st.allocated;
	}
	if (ready == LANES)
		ready--;
	for (unsigned i = 0; i < ready; i++) { /* one of them is the writer's */
		p[i] = producer_attach(s->ring);
		publish_numbers(p[i], VERIFIER + 1 + i, 0, 1, SMALL);
	}
	drain(s);
	for (unsigned i = 0; i < ready; i++)
		shmring_producer_detach(p[i]);
}

static void end_survivors(struct scene *s)
{
	const struct listening *l = &s->memory->listening;
	unsigned char data[SMALL];

	audit_fill(data, sizeof(data), END, 0);
	shmring_producer_detach(s->writer);
	s->writer = producer_attach(s->ring);
	must(shmring_publish(s->writer, data, sizeof(data), patience()));
	drain(s);
	child_end(&s->listener);
	drain(s);
	audit_must_be(&l->audit, s->audit.messages, 0);
	ck_assert_uint_eq(l->heard, s->written);
	ck_assert_uint_eq(s->got[WRITER], s->written);
	if (l->slowest > figures->listener_ns)
		memcpy(figures->slowest, figures->title, sizeof(figures->title));
	keep_longest(&figures->listener_ns, l->slowest);
}

/* No process is attached that should not be. */
static void check_places(struct scene *s)
{
	struct shmring_ring_stat st = { .size = sizeof(st) };

	figures->recoveries += (uint64_t)must(shmring_reap(s->ring));
	ck_assert_int_eq(must(shmring_reap(s->ring)), 0);
	must(shmring_stat(s->ring, &st));
	ck_assert_uint_eq(st.producers, 1);
	ck_assert_uint_eq(st.consumers, 2 + 2 * (s->idle != NULL));
	ck_assert_uint_eq(st.detached, 0);
}

static void check_locks(struct scene *s)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	ck_assert_int_eq(fcntl(shmring_fd(s->ring), F_OFD_GETLK, &lock), 0);
	ck_assert_msg(lock.l_type == F_UNLCK, "byte %llx is locked by nobody",
		      (unsigned long long)lock.l_start);
}

static void close_scene(struct scene *s)
{
	int r;

	for (unsigned i = 0; i < s->count; i++)
		succeed(s, s->seats[i].notes);
	r = shmring_forget(s->ring, CORPSE_NAME);
	if (r != -ENOENT)
		must(r);
	check_places(s);
	take_all_lanes(s);
	end_survivors(s);
	for (unsigned i = 0; i < s->count; i++)
		account_for_messages(s, &s->seats[i]);
	shmring_consumer_detach(s->idle);
	shmring_consumer_detach(s->laggard);
	shmring_consumer_detach(s->reader);
	shmring_producer_detach(s->writer);
	check_locks(s);
	shmring_close(s->ring);
}

static void give_title(const struct part *parts, unsigned count)
{
	static const char *const actions[] = { "plays", "killed at", "stopped at", "exits at",
					       "delayed at" };
	size_t used = 0;

	if (figures->title[0] && figures->failures < FAILURES) /* the actor never reached its end */
		memcpy(figures->failed[figures->failures++], figures->title,
		       sizeof(figures->title));
	for (unsigned i = 0; i < count; i++)
		used += (size_t)snprintf(figures->title + used, sizeof(figures->title) - used,
					 "%s%s %s %s:%u", i ? ", " : "", role_name(parts[i].role),
					 actions[parts[i].action], parts[i].place, parts[i].hit);
}

/* Without laps: a stopped actor goes on while the others are still stopped. */
static void play_on(struct scene *s, bool at_once)
{
	if (!at_once)
		go_on_without_them(s);
	let_them_go_on(s);
}

static void begin_trial(struct scene *s, const struct part *parts, unsigned count, uint32_t *hits)
{
	memset(s, 0, sizeof(*s));
	give_title(parts, count);
	s->began = clock_now();
	s->memory = share(sizeof(*s->memory));
	s->hits = hits;
	set_scene(s, parts, count);
	for (unsigned i = 0; i < count; i++)
		enter(s, i, &parts[i]);
}

static void end_trial(struct scene *s)
{
	close_scene(s);
	munmap(s->memory, sizeof(*s->memory));
	figures->trials[s->count - 1]++;
	figures->ns[s->count - 1] += clock_now() - s->began;
	figures->title[0] = '\0';
}

static struct scene scene;

void trial(const struct part *parts, unsigned count, bool at_once, uint32_t *hits)
{
	begin_trial(&scene, parts, count, hits);
	play_on(&scene, at_once);
	end_trial(&scene);
}

/* The stopped actor goes on until it is killed, or sleeps. */
static void go_on_to_die(struct scene *s, struct seat *seat)
{
	let_go_on(seat);
	while (seat->state == PLAYING && !child_sleeps(&seat->child))
		go_round(s);
}

bool trial_of_succession(const struct part parts[2], uint32_t *hits)
{
	struct scene *s = &scene;
	struct shmring_producer *p;

	begin_trial(s, parts, 2, hits);
	go_on_to_die(s, &s->seats[0]);
	p = producer_attach(s->ring);
	publish_until_full(p, VERIFIER, 0, MIDDLE);
	shmring_producer_detach(p);
	let_go_on(&s->seats[1]); /* the first may be waiting for it */
	play_on(s, true);
	end_trial(s);
	return s->seats[0].state == KILLED;
}

void figures_print(void)
{
	const struct figures *f = figures;

	for (unsigned i = 0; i < CAST; i++)
		printf("# %" PRIu64 " trials with %u actors, in %.1f s\n", f->trials[i], i + 1,
		       (double)f->ns[i] / 1e9);
	printf("# %" PRIu64 " killed, %" PRIu64 " stopped, %" PRIu64 " delayed, %" PRIu64
	       " did not come to their place\n",
	       f->came[FAULT_KILL], f->came[FAULT_STOP], f->came[FAULT_DELAY], f->missed);
	printf("# %" PRIu64 " buried at the end, %" PRIu64 " evicted and back\n", f->recoveries,
	       f->evictions);
	printf("# longest wait: writer %.3f ms, writer held by consumers %.3f ms, listener "
	       "%.3f ms\n",
	       (double)f->writer_ns / MS, (double)f->held_writer_ns / MS,
	       (double)f->listener_ns / MS);
	printf("# the listener's was in: %s\n", f->slowest);
	for (unsigned i = 0; i < f->failures; i++)
		printf("# failed: %s\n", f->failed[i]);
	if (f->title[0])
		printf("# failed: %s\n", f->title);
}
