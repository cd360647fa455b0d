/* SPDX-License-Identifier: MIT */
/*
 * Placement: how far apart are the two processors right now? A hypervisor moves
 * virtual processors while one measures, and figures from different placements
 * differ by factors, so every row is probed before and after.
 *
 * The classes, named after what they are on the machines where they were seen:
 *	ccx	two cores that share their last cache
 *	far	two cores that do not
 *	smt	two threads of one core
 */
#include "bench.h"
#include "work.h"

#define PROBE_SIZE ((size_t)256 << 10)
#define BLOCKS 8
#define TRIPS 128
#define PASSES 6
#define FAR_NS 190.0
#define SMT_GBPS 25.0

struct probe {
	_Alignas(LINE) _Atomic uint64_t line;
	_Alignas(LINE) _Atomic uint64_t turn;
	_Alignas(LINE) double read_gbps;
	uint64_t sum; /* so that the reading is not optimised away */
	_Alignas(LINE) uint64_t data[PROBE_SIZE / 8];
};

struct probe *placement_new(void)
{
	return row_shared(sizeof(struct probe));
}

void placement_reset(struct probe *p)
{
	atomic_store(&p->line, 0);
	atomic_store(&p->turn, 0);
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
		p->sum += work_sum(p->data, PROBE_SIZE);
		gbps = (double)PROBE_SIZE / (double)(clock_ns() - start);
		if (i > 0 && gbps > best)
			best = gbps;
		p->read_gbps = best;
		set(&p->turn, base + 2);
	}
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
	if (ret.round_trip_ns > FAR_NS)
		ret.class = CLASS_FAR;
	else if (ret.overwrite_gbps > SMT_GBPS)
		ret.class = CLASS_SMT;
	else
		ret.class = CLASS_CCX;
	return ret;
}

const char *placement_name(enum class class)
{
	static const char *const names[CLASSES] = { "ccx", "far", "smt" };

	return names[class];
}
