/* SPDX-License-Identifier: MIT */
/*
 * Placement: how far apart are the two processors right now? A hypervisor moves
 * virtual processors while one measures, and figures from different placements
 * differ by factors, so every row is probed before and after.
 *
 * Classes:
 *	near	two cores that exchange a line fast, as those do that share their last cache
 *	far	two cores that do not
 *	farther	two cores that take longer still, such as those of two sockets
 *	siblings two threads of one core
 *
 * The time that a line takes there and back tells the first three apart. It cannot tell
 * siblings, nor can a bandwidth: on some processors two cores are as fast at it as two threads
 * are on others. Siblings are told by what they share: two cores compute as fast together as
 * each of them alone; two threads take up to twice as long. The same comparison with a chase
 * through more memory than a first cache holds says whether they share the second one; it is
 * reported, and decides nothing.
 */
#include <errno.h>
#include <stdlib.h>

#include "bench.h"
#include "work.h"

#define PROBE_SIZE ((size_t)256 << 10)
#define BLOCKS 8
#define TRIPS 128
#define PASSES 6
#define FAR_NS 190.0
#define FARTHER_NS 600.0
#define SIBLINGS_RATIO 1.4
#define BURNS 20000				 /* additions in eight chains, a block */
#define CHASE_LINES (((size_t)700 << 10) / LINE) /* more than a first cache, less than a second */

/* Lines in random order, each with the number of the next. */
struct chase {
	struct {
		_Alignas(LINE) uint32_t next;
	} line[CHASE_LINES];
};

struct probe {
	_Alignas(LINE) _Atomic uint64_t line;
	_Alignas(LINE) _Atomic uint64_t turn;
	_Alignas(LINE) double read_gbps;
	_Alignas(LINE) uint64_t data[PROBE_SIZE / 8];
	sem_t together; /* the consumer sleeps until then: an idle thread takes nothing */
	struct chase chase[2];
};

/* One circle through all lines (Sattolo). */
static void chase_init(struct chase *c)
{
	uint64_t state = 88172645463325252;

	for (uint32_t i = 0; i < CHASE_LINES; i++)
		c->line[i].next = i;
	for (uint32_t i = CHASE_LINES - 1; i > 0; i--) {
		uint32_t kept = c->line[i].next, other;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		other = (uint32_t)(state % i);
		c->line[i].next = c->line[other].next;
		c->line[other].next = kept;
	}
}

struct probe *placement_new(void)
{
	struct probe *p = row_shared(sizeof(struct probe));

	chase_init(&p->chase[PRODUCER]);
	chase_init(&p->chase[CONSUMER]);
	return p;
}

void placement_reset(struct probe *p)
{
	atomic_store(&p->line, 0);
	atomic_store(&p->turn, 0);
	if (sem_init(&p->together, 1, 0))
		abort();
}

static void wait_for(_Atomic uint64_t *word, uint64_t value)
{
	while (atomic_load_explicit(word, memory_order_acquire) != value)
		cpu_pause();
}

static void set(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

/* So the compiler does not leave out what nothing uses. */
static void keep(uint64_t result)
{
	__asm__("" : : "r"(result) : "memory");
}

/* The fastest of a few blocks: the least disturbed one. */
static double probe_round_trip(struct probe *p, enum role role, uint64_t base)
{
	double best = 1e9, trip;
	int64_t start;
	int block, i;

	for (block = 0; block < BLOCKS; block++) {
		start = clock_ns();
		for (i = 0; i < TRIPS; i++, base += 2) {
			if (role == PRODUCER) {
				set(&p->line, base + 1);
				wait_for(&p->line, base + 2);
			} else {
				wait_for(&p->line, base + 1);
				set(&p->line, base + 2);
			}
		}
		trip = (double)(clock_ns() - start) / TRIPS;
		if (trip < best)
			best = trip;
	}
	return best;
}

static double probe_write(struct probe *p, uint64_t base)
{
	double best = 0, gbps;
	int64_t start;
	int i;

	for (i = 0; i < PASSES; i++, base += 2) {
		start = clock_ns();
		work_fill(p->data, PROBE_SIZE, base);
		gbps = (double)PROBE_SIZE / (double)(clock_ns() - start);
		if (i > 0 && gbps > best)
			best = gbps;
		set(&p->turn, base + 1);
		wait_for(&p->turn, base + 2);
	}
	return best;
}

static void probe_read(struct probe *p, uint64_t base)
{
	double best = 0, gbps;
	int64_t start;
	int i;

	for (i = 0; i < PASSES; i++, base += 2) {
		wait_for(&p->turn, base + 1);
		start = clock_ns();
		keep(work_sum(p->data, PROBE_SIZE));
		gbps = (double)PROBE_SIZE / (double)(clock_ns() - start);
		if (i > 0 && gbps > best)
			best = gbps;
		p->read_gbps = best;
		set(&p->turn, base + 2);
	}
}

/* Eight independent chains of additions: as many as a core does at once, or more. */
static uint64_t burn(void)
{
	uint64_t a[8] = { 0 };

	for (int i = 0; i < BURNS; i++) {
		for (int k = 0; k < 8; k++) {
			a[k] += 1;
			__asm__("" : "+r"(a[k])); /* one addition each, in a register */
		}
	}
	return a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7];
}

static uint64_t chase(const struct chase *c)
{
	uint32_t at = 0;

	for (size_t i = 0; i < CHASE_LINES; i++)
		at = c->line[at].next;
	return at;
}

struct load {
	double compute_ns, chase_ns; /* the fastest block of each */
};

static double shorter(double best, int64_t start)
{
	double took = (double)(clock_ns() - start);

	return best == 0 || took < best ? took : best;
}

static struct load work(struct probe *p, enum role role)
{
	struct load best = { 0 };
	int64_t start;

	for (int i = 0; i < PASSES; i++) {
		start = clock_ns();
		keep(burn());
		best.compute_ns = shorter(best.compute_ns, start);
		start = clock_ns();
		keep(chase(&p->chase[role]));
		best.chase_ns = shorter(best.chase_ns, start);
	}
	return best;
}

/* The producer alone, then both; the consumer sleeps first. */
static void probe_sharing(struct probe *p, enum role role, uint64_t base, struct placement *ret)
{
	struct load alone, both;

	if (role == CONSUMER) {
		while (sem_wait(&p->together) && errno == EINTR)
			;
		set(&p->turn, base + 1);
		while (atomic_load_explicit(&p->turn, memory_order_acquire) != base + 2)
			work(p, role);
		return;
	}
	alone = work(p, role);
	sem_post(&p->together);
	wait_for(&p->turn, base + 1);
	both = work(p, role);
	set(&p->turn, base + 2);
	ret->compute_ratio = both.compute_ns / alone.compute_ns;
	ret->chase_ratio = both.chase_ns / alone.chase_ns;
}

static enum class class_of(const struct placement *p) {
	if (p->compute_ratio > SIBLINGS_RATIO) return CLASS_SIBLINGS;
	if (p->round_trip_ns > FARTHER_NS) return CLASS_FARTHER;
	return p->round_trip_ns > FAR_NS ? CLASS_FAR : CLASS_NEAR;
}

/* Both call it at about the same time, with turn 1, 2, ...; it ends together. */
struct placement placement_probe(struct probe *p, enum role role, int turn)
{
	uint64_t base = (uint64_t)turn << 32;
	struct placement ret = { 0 };

	ret.round_trip_ns = probe_round_trip(p, role, base);
	if (role == PRODUCER)
		ret.overwrite_gbps = probe_write(p, base);
	else
		probe_read(p, base);
	ret.read_gbps = p->read_gbps;
	probe_sharing(p, role, base + (UINT32_MAX >> 1), &ret);
	ret.class = class_of(&ret);
	return ret;
}

const char *placement_name(enum class class)
{
	static const char *const names[CLASSES] = { "near", "far", "farther", "siblings" };

	return names[class];
}
