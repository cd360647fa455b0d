/* SPDX-License-Identifier: MIT */
/*
 * Storm and soak: all roles at once on two rings, while the supervisor kills,
 * stops, continues and restarts them at random, and audits every message.
 *
 * One ring is a file whose producers wait for slow consumers, the other one is
 * anonymous and evicts them. Each has producers, unnamed and named consumers,
 * an observer and a visitor; creators make, read and remove rings beside them.
 *
 * The schedule follows from SHMRING_TEST_SEED alone: it counts in steps, each
 * with its delay, its victim and what is done to it. What a victim is doing at
 * that moment does not repeat.
 *
 * It lasts for so many steps, however long they take: a machine with much else to
 * do kills and stops as many workers as a fast one. SHMRING_STORM_SECONDS sets a time
 * instead; `make check-soak SECONDS=3600` is an hour.
 * The report goes to the log.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "child.h"
#include "ledger.h"
#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "worker.h"

enum {
	STEPS = 8000,
	STEPS_SANITIZED = 2700,
	SECONDS = 240,		  /* they take much less */
	STEP_MICROSECONDS = 1000, /* at most between two actions */
	LONGEST_STOP = 360,	  /* steps */
	LONGEST_ABSENCE = 8,
	FAIR_SHARE = 30000, /* milliseconds: a worker that runs gets on within */
};

static const struct role cast[] = {
	{ ROLE_CONSUMER, 0, "first" }, { ROLE_CONSUMER, 0, "second" },
	{ ROLE_CONSUMER, 1, "first" }, { ROLE_CONSUMER, 1, "second" },
	{ ROLE_CONSUMER, 0, NULL },    { ROLE_CONSUMER, 0, NULL },
	{ ROLE_CONSUMER, 1, NULL },    { ROLE_CONSUMER, 1, NULL },
	{ ROLE_OBSERVER, 0, NULL },    { ROLE_OBSERVER, 1, NULL },
	{ ROLE_PRODUCER, 0, NULL },    { ROLE_PRODUCER, 0, NULL },
	{ ROLE_PRODUCER, 0, NULL },    { ROLE_PRODUCER, 1, NULL },
	{ ROLE_PRODUCER, 1, NULL },    { ROLE_PRODUCER, 1, NULL },
	{ ROLE_VISITOR, 0, NULL },     { ROLE_VISITOR, 1, NULL },
	{ ROLE_CREATOR, 0, NULL },     { ROLE_CREATOR, 0, NULL },
};

enum { POSTS = sizeof(cast) / sizeof(cast[0]) };
_Static_assert((int)POSTS <= (int)STORM_WORKERS, "a page for each worker");

enum post_state { ABSENT, RUNNING, STOPPED };

struct post {
	struct worker worker;
	struct child child;
	struct stream stream;
	enum post_state state;
	bool zombie;	/* killed, and not yet waited for */
	uint64_t until; /* step at which it goes on, or comes back */
	uint64_t beats; /* when it was last looked at */
	int64_t beaten;
};

struct storm {
	struct ledger *ledger;
	struct shmring_ring *rings[STORM_RINGS];
	struct post posts[POSTS];
	uint64_t seed;
	uint64_t step;
	uint64_t kills[ROLES];
	uint64_t stops[ROLES];
	uint64_t entries;
};

/* The time that is asked for; 0: none, the steps count. */
static int storm_seconds(void)
{
	const char *text = getenv("SHMRING_STORM_SECONDS");

	return text && atoi(text) > 0 ? atoi(text) : 0;
}

/* Is it over? */
static bool has_passed(const struct storm *s, int64_t began)
{
	int seconds = storm_seconds();

	if (seconds > 0)
		return clock_now() >= began + seconds * INT64_C(1000000000);
	return s->step >= (room_is_sanitized() ? STEPS_SANITIZED : STEPS);
}

static bool reads(const struct role *role)
{
	return role->kind == ROLE_CONSUMER || role->kind == ROLE_OBSERVER;
}

/* Count consumers in the producers' way whose process does not run. */
static void count_holders(struct storm *s)
{
	for (unsigned ring = 0; ring < STORM_RINGS; ring++) {
		uint64_t holders = 0;

		for (unsigned i = 0; i < POSTS; i++) {
			const struct post *p = &s->posts[i];

			if (p->worker.role.kind == ROLE_CONSUMER && p->worker.role.ring == ring)
				holders += p->state == STOPPED ||
					   (p->state == ABSENT && p->worker.role.name != NULL);
		}
		if (holders != ledger_get(&s->ledger->holders[ring])) {
			ledger_put(&s->ledger->holders[ring], holders);
			ledger_put(&s->ledger->holds[ring],
				   ledger_get(&s->ledger->holds[ring]) + 1);
		}
	}
}

static void read_journals(struct storm *s)
{
	for (unsigned i = 0; i < POSTS; i++) {
		struct stream *stream = &s->posts[i].stream;

		s->entries += stream_follow(stream, &s->ledger->workers[i].journal, s->ledger);
		ck_assert_msg(stream->faults == 0,
			      "ring %u, %s %s (%u), attachment %" PRIu64 ": %s", cast[i].ring,
			      cast[i].kind == ROLE_OBSERVER ? "observer" : "consumer",
			      cast[i].name ? cast[i].name : "", i, stream->attachments,
			      stream->first_fault);
	}
}

/* No worker that may run stands still. */
static void check_beats(struct storm *s)
{
	int64_t now = clock_now();

	for (unsigned i = 0; i < POSTS; i++) {
		struct post *p = &s->posts[i];
		uint64_t beats = ledger_get(&s->ledger->workers[i].beats);

		if (p->state != RUNNING || beats != p->beats) {
			p->beats = beats;
			p->beaten = now;
		}
		ck_assert_msg(now - p->beaten < FAIR_SHARE * INT64_C(1000000),
			      "worker %u has not moved for %d s", i, FAIR_SHARE / 1000);
	}
}

static void attend(struct storm *s)
{
	read_journals(s);
	check_beats(s);
}

/* Let time pass, and keep reading. */
static void pass(struct storm *s, uint64_t microseconds)
{
	int64_t until = clock_now() + (int64_t)microseconds * 1000, rest;

	attend(s);
	while ((rest = until - clock_now()) > 0) {
		struct timespec slice = { .tv_nsec = rest < 500000 ? rest : 500000 };

		ppoll(NULL, 0, &slice, NULL);
		attend(s);
	}
}

static void start(struct storm *s, struct post *p)
{
	if (p->zombie) {
		ck_assert_int_eq(waitpid(p->child.pid, NULL, 0), p->child.pid);
		child_drop(&p->child);
		p->zombie = false;
	}
	p->worker.seed = random_next(&s->seed);
	child_fork(&p->child, worker_run, &p->worker);
	p->state = RUNNING;
	p->beaten = clock_now();
}

static void kill_one(struct storm *s, struct post *p)
{
	p->zombie = random_below(&s->seed, 4) == 0;
	p->until = s->step + 1 + random_below(&s->seed, LONGEST_ABSENCE);
	/* Note the stop first: a call that began earlier may have waited for this process. */
	p->state = ABSENT;
	count_holders(s);
	if (p->zombie)
		child_kill_unreaped(&p->child);
	else
		child_kill(&p->child);
	s->kills[p->worker.role.kind]++;
}

/* Most stops are short; some are longer than every time limit of the rings. */
static void stop_one(struct storm *s, struct post *p)
{
	p->until = s->step + random_size(&s->seed, 1, LONGEST_STOP);
	ledger_put(&s->ledger->workers[p->worker.index].stops,
		   ledger_get(&s->ledger->workers[p->worker.index].stops) + 1);
	p->state = STOPPED;
	count_holders(s);
	child_stop(&p->child);
	s->stops[p->worker.role.kind]++;
}

static void continue_one(struct storm *s, struct post *p)
{
	child_continue(&p->child);
	p->state = RUNNING;
	p->beaten = clock_now();
	count_holders(s);
}

static void return_due(struct storm *s)
{
	for (unsigned i = 0; i < POSTS; i++) {
		struct post *p = &s->posts[i];

		if (p->state == RUNNING || s->step < p->until)
			continue;
		if (p->state == STOPPED)
			continue_one(s, p);
		else
			start(s, p);
		count_holders(s);
	}
}

/* One step of the schedule. It makes every draw, whatever the state of the victim. */
static void take_step(struct storm *s)
{
	struct post *victim = &s->posts[random_below(&s->seed, POSTS)];
	uint64_t action = random_below(&s->seed, 100);

	pass(s, random_below(&s->seed, STEP_MICROSECONDS));
	s->step++;
	return_due(s);
	if (victim->state == ABSENT)
		return;
	if (action < 45 || victim->state == STOPPED)
		kill_one(s, victim);
	else
		stop_one(s, victim);
}

/* --- before and after --- */

static void make_rings(struct storm *s)
{
	struct shmring_config config = { .size = sizeof(config),
					 .lane_size = SHMRING_MIN_LANE_SIZE,
					 .lanes = LANES,
					 .unread_policy = SHMRING_UNREAD_OVERWRITE };

	must(shmring_create(&s->rings[0], room_path("ring"), &config));
	config.slow_policy = SHMRING_SLOW_EVICT;
	config.evict_after_ns = 10000000;
	config.stamps = SHMRING_STAMP_AUTO;
	must(shmring_create(&s->rings[1], NULL, &config));
}

static void man_post(struct storm *s, unsigned i)
{
	struct post *p = &s->posts[i];
	static const char *const names[MADE_RINGS] = { "made-0", "made-1", "made-2" };

	p->worker = (struct worker){
		.role = cast[i],
		.index = i,
		.ledger = s->ledger,
		.rings = { s->rings[0], s->rings[1] },
		.path = room_path("ring"),
	};
	for (unsigned k = 0; k < MADE_RINGS; k++)
		p->worker.made[k] = room_path(names[k]);
	stream_begin(&p->stream, cast[i].name != NULL,
		     cast[i].ring == 1 && cast[i].kind == ROLE_CONSUMER);
	start(s, p);
}

/* Names are there before the first message, so they get all of them. */
static void begin(struct storm *s)
{
	s->seed = random_seed();
	s->ledger = ledger_new();
	make_rings(s);
	for (unsigned i = 0; i < POSTS; i++) {
		man_post(s, i);
		while (cast[i].name && s->posts[i].stream.attachments == 0)
			pass(s, 1000);
	}
	count_holders(s);
}

static void await_leaving(struct storm *s, bool readers)
{
	for (unsigned i = 0; i < POSTS; i++) {
		struct post *p = &s->posts[i];
		struct pollfd end = { .fd = p->child.pidfd, .events = POLLIN };

		if (reads(&cast[i]) != readers)
			continue;
		while (poll(&end, 1, 0) == 0)
			pass(s, 1000);
		child_end(&p->child);
		ck_assert_uint_eq(s->ledger->workers[i].left, 1);
		p->state = ABSENT;
	}
	attend(s);
}

/* All workers come back and leave in order; consumers leave last. */
static void finish(struct storm *s)
{
	s->step = UINT64_MAX;
	return_due(s);
	ledger_put(&s->ledger->phase, PHASE_FINISH);
	await_leaving(s, false);
	ledger_put(&s->ledger->phase, PHASE_DRAIN);
	await_leaving(s, true);
}

/* Every message that exists was published, and every consumer that had to has read it. */
static void audit_ring(struct storm *s, unsigned ring)
{
	uint64_t there = 0, least = 0, most = 0;
	struct shmring_lane_stat st = { .size = sizeof(st) };

	for (unsigned lane = 0; lane < LANES; lane++) {
		must(shmring_stat_lane(s->rings[ring], lane, &st));
		there += st.messages;
		for (unsigned i = 0; i < POSTS; i++)
			if (reads(&cast[i]) && cast[i].ring == ring)
				stream_end(&s->posts[i].stream, lane, st.messages, s->ledger);
	}
	for (uint64_t i = 1; i <= s->ledger->sources_used; i++) {
		const struct source *from = &s->ledger->sources[i];

		if (from->ring != ring)
			continue;
		/* No consumer saw its end: it has no message, or all consumers lost it. */
		least += from->final ? from->final - 1 : ring == 0 ? 0 : from->committed;
		most += from->final ? from->final - 1 : ring == 0 ? 0 : from->intent;
		ck_assert(from->final != 0 || ring != 0 || from->committed == 0);
	}
	read_journals(s);
	ck_assert_uint_ge(there, least);
	ck_assert_uint_le(there, most);
	ck_assert_uint_gt(there, 0);
}

/*
 * Through the ring's own description, whose mark is the one lock that may be there. Each
 * attachment has a description of its own.
 */
static void expect_no_lock(struct shmring_ring *r)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	ck_assert_int_eq(fcntl((int)must(shmring_fd(r)), F_OFD_GETLK, &lock), 0);
	ck_assert_msg(lock.l_type == F_UNLCK, "byte %lld is locked", (long long)lock.l_start);
}

/* All places can be taken, so no place has leaked. */
static void expect_all_places(struct shmring_ring *r)
{
	struct shmring_producer *p[LANES + 1];
	struct shmring_consumer *c[SHMRING_MAX_CONSUMERS + 1];

	for (unsigned i = 0; i < LANES; i++)
		must(shmring_producer_attach(&p[i], r, NULL));
	must_fail(EUSERS, shmring_producer_attach(&p[LANES], r, NULL));
	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++)
		must(shmring_consumer_attach(&c[i], r, NULL));
	must_fail(EUSERS, shmring_consumer_attach(&c[SHMRING_MAX_CONSUMERS], r, NULL));
	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++)
		shmring_consumer_detach(c[i]);
	for (unsigned i = 0; i < LANES; i++)
		shmring_producer_detach(p[i]);
}

static void expect_nothing_left(struct shmring_ring *r)
{
	struct shmring_ring_stat st = { .size = sizeof(st) };

	must(shmring_reap(r));
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.producers, 0);
	ck_assert_uint_eq(st.consumers, 0);
	ck_assert_uint_eq(st.detached, 2);
	expect_no_lock(r);
	must(shmring_forget(r, "first"));
	must(shmring_forget(r, "second"));
	expect_all_places(r);
	expect_no_lock(r);
}

/* --- the report --- */

static uint64_t sum_roles(const uint64_t *counts)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ROLES; i++)
		sum += counts[i];
	return sum;
}

static void report_delays(const struct storm *s)
{
	static const char *const what[DELAYS] = {
		[DELAY_PUBLISH] = "publication, there is room",
		[DELAY_ROOM] = "publication, waited for room, all consumers run",
		[DELAY_HELD] = "publication, waited for room, a consumer is stopped or absent",
		[DELAY_ARRIVAL] = "arrival at a consumer",
	};

	printf("# delays          <10us    <100us      <1ms     <10ms    <100ms    <200ms"
	       "       <1s      more   longest\n");
	for (unsigned d = 0; d < DELAYS; d++) {
		struct histogram sum = { 0 };

		for (unsigned i = 0; i < POSTS; i++)
			histogram_sum(&sum, &s->ledger->workers[i].delays[d]);
		printf("#        ");
		for (unsigned i = 0; i < BUCKETS; i++)
			printf("%10" PRIu64, sum.counts[i]);
		printf(" %6.1f ms  %s\n", (double)sum.longest / 1e6, what[d]);
	}
}

static void report(const struct storm *s, uint64_t steps, double seconds)
{
	uint64_t published = 0, received = 0, again = 0, lost = 0, recoveries = 0, evictions = 0;

	for (unsigned i = 0; i < POSTS; i++) {
		const struct worker_page *p = &s->ledger->workers[i];

		published += cast[i].kind == ROLE_PRODUCER ? p->messages : 0;
		received += s->posts[i].stream.messages;
		again += s->posts[i].stream.again;
		lost += s->posts[i].stream.lost;
		recoveries += p->recoveries;
		evictions += p->evictions;
	}
	printf("# storm of %" PRIu64 " steps in %.1f s, seed %" PRIu64 ": %" PRIu64
	       " kills (%" PRIu64 " producers, %" PRIu64 " consumers, %" PRIu64
	       " observers, %" PRIu64 " creators, %" PRIu64 " visitors), %" PRIu64 " stops\n",
	       steps, seconds, random_seed(), sum_roles(s->kills), s->kills[ROLE_PRODUCER],
	       s->kills[ROLE_CONSUMER], s->kills[ROLE_OBSERVER], s->kills[ROLE_CREATOR],
	       s->kills[ROLE_VISITOR], sum_roles(s->stops));
	printf("# %" PRIu64 " messages by %" PRIu64 " attachments, %" PRIu64
	       " received and audited, %" PRIu64 " of them again after a death, %" PRIu64
	       " lost and told so\n",
	       published, s->ledger->sources_used, received, again, lost);
	printf("# %" PRIu64 " recoveries noted by survivors, %" PRIu64 " evictions\n", recoveries,
	       evictions);
	report_delays(s);
	fflush(stdout);
}

/* No wake-up was lost, and no death or stop of a worker held other workers up. */
static void expect_no_stall(const struct storm *s)
{
	for (unsigned i = 0; i < POSTS; i++) {
		const struct histogram *h = &s->ledger->workers[i].delays[DELAY_ARRIVAL];

		ck_assert_msg(h->longest < LONGEST_ARRIVAL_MS * INT64_C(1000000),
			      "worker %u got a message %.1f s late", i, (double)h->longest / 1e9);
	}
}

START_TEST(storm_of_kills_and_stops_harms_no_other_process)
{
	static struct storm s;
	uint64_t steps;
	int64_t began;

	begin(&s);
	began = clock_now();
	while (!has_passed(&s, began))
		take_step(&s);
	steps = s.step;
	began = clock_now() - began;
	finish(&s);
	report(&s, steps, (double)began / 1e9);
	expect_no_stall(&s);
	for (unsigned ring = 0; ring < STORM_RINGS; ring++)
		audit_ring(&s, ring);
	for (unsigned ring = 0; ring < STORM_RINGS; ring++)
		expect_nothing_left(s.rings[ring]);
	for (unsigned k = 0; k < MADE_RINGS; k++)
		if (access(s.posts[0].worker.made[k], F_OK) == 0)
			must(shmring_remove(s.posts[0].worker.made[k]));
	for (unsigned ring = 0; ring < STORM_RINGS; ring++)
		shmring_close(s.rings[ring]);
	ledger_free(s.ledger);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("storm");
	TCase *tc = room_case(s, "storm", storm_seconds() + SECONDS);

	tcase_add_test(tc, storm_of_kills_and_stops_harms_no_other_process);
	return run_suite(s);
}
