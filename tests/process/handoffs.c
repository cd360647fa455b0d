/* SPDX-License-Identifier: MIT */
/*
 * Hand-offs between two sleepers: each message finds its reader asleep, or about to
 * fall asleep. Two processes on two processors answer each other through two
 * rings; each waits for a random moment before it answers, from nothing to three
 * times what going to sleep takes, so that every instant of that is met. The
 * rings' sleepers look again only after ten seconds, so a wake-up that is lost
 * shows as a wait of that length. A message's stamp says how long it took.
 *
 * make check does some of them for two seconds of each kind; make check-handoffs
 * COUNT=10000000 does so many.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <check.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum kind { FUTEX, DESCRIPTOR, KINDS };
enum { SHORT_NS = 2000000000, LIMIT_MS = 8000, LEN = 40, LAST = 48, AT_ONCE = 100000 };

static const char *const kind_names[KINDS] = { "futex", "descriptor" };

/* The sums of all tests of a kind; in shared memory. */
static struct figures {
	uint64_t handoffs;
	uint64_t sleeps; /* waits that went to sleep in the kernel */
	uint64_t wakes;	 /* publications that found a sleeper */
	uint64_t longest_ns;
	double total_ns;
} * figures;

/* One of the two players. */
struct player {
	enum kind kind;
	unsigned index;
	uint64_t count; /* of rounds; 0: for some time */
	uint64_t seed;
	struct shmring_ring *rings[2]; /* it writes to its own ring, and reads the other player's */
	struct shmring_producer *producer;
	struct shmring_consumer *consumer;
	int fd;
	struct audit audit;
	struct figures *figures;
};

static void pin(unsigned index)
{
	cpu_set_t allowed, one;

	ck_assert_int_eq(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	CPU_ZERO(&one);
	for (int cpu = 0, n = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && n++ == (int)index)
			CPU_SET(cpu, &one);
	if (CPU_COUNT(&one) == 1)
		sched_setaffinity(0, sizeof(one), &one);
}

static void take_seat(struct player *p)
{
	struct shmring_consumer_options options = { .size = sizeof(options), .spin_ns = -1 };

	for (int i = 0; i < 2; i++)
		must(shmring_join(p->rings[i]));
	pin(p->index);
	p->producer = producer_attach(p->rings[p->index]);
	must(shmring_consumer_attach(&p->consumer, p->rings[!p->index], &options));
	if (p->kind == DESCRIPTOR)
		p->fd = (int)must(shmring_consumer_fd(p->consumer, SHMRING_FD_THREAD));
	audit_begin(&p->audit, true);
}

static void leave_seat(struct player *p)
{
	struct shmring_counters read = { .size = sizeof(read) },
				written = { .size = sizeof(written) };
	struct figures *f = &p->figures[p->kind];

	must(shmring_consumer_counters(p->consumer, &read));
	must(shmring_producer_counters(p->producer, &written));
	__atomic_add_fetch(&f->sleeps, read.sleeps, __ATOMIC_RELAXED);
	__atomic_add_fetch(&f->wakes, written.wakes, __ATOMIC_RELAXED);
	ck_assert_msg(audit_faults(&p->audit) == 0, "%s", p->audit.first_fault);
	ck_assert_uint_eq(p->audit.lost, 0);
	shmring_consumer_detach(p->consumer);
	shmring_producer_detach(p->producer);
}

/* Nothing, up to 15 us, or now and then much more. */
static void wait_a_moment(uint64_t *seed)
{
	uint64_t kind = random_below(seed, 1000);
	int64_t until = clock_now();

	if (kind >= 300)
		until += kind == 999 ? 300000 : (int64_t)random_below(seed, 15000);
	while (clock_now() < until)
		;
}

static void throw(struct player * p, uint64_t number, bool last)
{
	unsigned char data[LAST];
	size_t len = last ? LAST : LEN;

	audit_fill(data, len, p->index, number);
	wait_a_moment(&p->seed);
	must(shmring_publish(p->producer, data, len, SHMRING_NOWAIT));
}

/* Asleep in a loop's poll(), as the manual says. */
static int await_by_descriptor(struct player *p, struct shmring_message *m)
{
	for (;;) {
		struct pollfd poll_fd = { .fd = p->fd, .events = POLLIN };
		int r = shmring_peek(p->consumer, SHMRING_NOWAIT, m);

		if (r != -EAGAIN)
			return r;
		if (must(shmring_consumer_arm(p->consumer)) == 0 &&
		    poll(&poll_fd, 1, LIMIT_MS) == 0)
			return -ETIMEDOUT;
	}
}

/* Returns whether this is the last one. */
static bool catch (struct player *p)
{
	struct figures *f = &p->figures[p->kind];
	struct shmring_message m;
	uint64_t took;
	bool last;

	must(p->kind == FUTEX
		     ? shmring_peek(p->consumer, shmring_deadline(LIMIT_MS * 1000000LL), &m)
		     : await_by_descriptor(p, &m));
	took = shmring_stamp_now(p->rings[0]);
	took -= facts_of(p->consumer, &m).stamp_ns;
	last = m.len == LAST;
	audit_peeked(&p->audit, p->consumer, &m);
	must(shmring_release(p->consumer));
	f->total_ns += (double)took; /* only one player is awake */
	f->handoffs++;
	if (took > f->longest_ns)
		f->longest_ns = took;
	return last;
}

static int answer(int socket, void *arg)
{
	struct player *p = arg;
	bool last = false;

	p->index = 1;
	p->seed ^= 1;
	take_seat(p);
	step_tell(socket);
	for (uint64_t number = 0; !last; number++) {
		last = catch (p);
		throw(p, number, last);
	}
	leave_seat(p);
	for (int i = 0; i < 2; i++)
		shmring_close(p->rings[i]);
	return 0;
}

static void play(struct player *p)
{
	int64_t until = clock_now() + SHORT_NS;
	bool last = false;

	for (uint64_t number = 0; !last; number++) {
		throw(p, number, p->count ? number + 1 == p->count : clock_now() >= until);
		last = catch (p);
	}
}

static uint64_t wanted(void)
{
	const char *wish = getenv("SHMRING_HANDOFFS");

	return wish ? strtoull(wish, NULL, 10) : 0;
}

START_TEST(no_handoff_is_lost)
{
	struct shmring_config config = small_config();
	struct player p = {
		.kind = (enum kind)(_i % KINDS),
		.count = wanted() ? AT_ONCE / 2 : 0,
		.seed = random_seed() + (uint64_t)_i * 2,
		.figures = figures,
	};
	struct child other;

	config.max_sleep_ns = 10000000000;
	config.stamps = SHMRING_STAMP_CLOCK;
	for (int i = 0; i < 2; i++)
		must(shmring_create(&p.rings[i], NULL, &config));
	child_fork(&other, answer, &p);
	step_await(other.socket);
	take_seat(&p);
	play(&p);
	ck_assert_uint_gt(p.audit.messages, 0);
	leave_seat(&p);
	child_end(&other);
	for (int i = 0; i < 2; i++)
		shmring_close(p.rings[i]);
	ck_assert_uint_lt(figures[p.kind].longest_ns, LIMIT_MS * 1000000ull);
	ck_assert_uint_gt(figures[p.kind].wakes, 0);
}
END_TEST

static void print_figures(void)
{
	for (int kind = 0; kind < KINDS; kind++) {
		const struct figures *f = &figures[kind];

		printf("# by %s: %" PRIu64 " hand-offs, %" PRIu64 " sleeps, %" PRIu64
		       " found a sleeper; mean %.1f us, longest %.3f ms\n",
		       kind_names[kind], f->handoffs, f->sleeps, f->wakes,
		       f->handoffs ? f->total_ns / 1e3 / (double)f->handoffs : 0,
		       (double)f->longest_ns / 1e6);
	}
}

int main(void)
{
	int rounds = wanted() ? (int)((wanted() + AT_ONCE - 1) / AT_ONCE) : 1;
	Suite *s = suite_create("handoffs");
	TCase *tc = room_case(s, "handoffs", 55);
	int result;

	figures = mmap(NULL, KINDS * sizeof(*figures), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (figures == MAP_FAILED)
		return EXIT_FAILURE;
	tcase_add_loop_test(tc, no_handoff_is_lost, 0, rounds * KINDS);
	result = run_suite(s);
	print_figures();
	return result;
}
