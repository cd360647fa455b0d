/* SPDX-License-Identifier: MIT */
/*
 * Limits: what the machine can do at all between two processes. Nothing that
 * moves messages through shared memory can be faster.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"
#include "work.h"

#define HANDOFF 4096
/* A reader close behind the writer slows both, so it lets the writer get ahead. */
#define BACK_OFF 256
#define TRIPS_PER_SAMPLE 16
#define LAST UINT32_MAX

struct arena {
	_Alignas(LINE) _Atomic uint32_t ping;
	_Alignas(LINE) _Atomic uint32_t pong;
	_Alignas(LINE) _Atomic uint64_t written;
	_Alignas(LINE) _Atomic uint64_t read;
	uint64_t sum;
	_Alignas(LINE) uint64_t data[];
};

static size_t arena_size(const struct channel *ch)
{
	return sizeof(struct arena) + ch->capacity;
}

static int arena_open(struct channel *ch)
{
	ch->state = row_shared(arena_size(ch));
	return 0;
}

static void arena_close(struct channel *ch)
{
	munmap(ch->state, arena_size(ch));
}

static struct arena *arena_of(struct side *side)
{
	return side->role == CONSUMER ? side->in->state : side->out->state;
}

/* ---- ping-pong on one line, on two, and through futexes ---- */

typedef void wait_fn(_Atomic uint32_t *word, uint32_t value);
typedef void post_fn(_Atomic uint32_t *word, uint32_t value);

static void spin_wait(_Atomic uint32_t *word, uint32_t value)
{
	uint32_t seen;

	while ((seen = atomic_load_explicit(word, memory_order_acquire)) != value && seen != LAST)
		cpu_pause(); /* looking less often is faster: it leaves the line to its writer */
}

static void spin_post(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	uint32_t seen;

	while ((seen = atomic_load(word)) != value && seen != LAST)
		syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void futex_post(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store(word, value);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static inline __attribute__((always_inline)) void ping(struct side *side, _Atomic uint32_t *there,
						       _Atomic uint32_t *back, wait_fn *wait,
						       post_fn *post, int per_sample)
{
	struct samples samples = { 0 };
	uint32_t value = 0;
	enum phase phase;
	int64_t start;
	int i;

	while ((phase = phase_of(side)) != STOPPING) {
		start = clock_ns();
		for (i = 0; i < per_sample; i++, value += 2) {
			post(there, value + 1);
			wait(back, value + 2);
		}
		if (phase == MEASURING)
			samples_add(&samples, (double)(clock_ns() - start) / per_sample);
	}
	post(there, LAST);
	side->control->value = samples_quantile(&samples, 0.5);
	if (per_sample == 1)
		side->control->p99 = samples_quantile(&samples, 0.99);
	samples_free(&samples);
}

static inline __attribute__((always_inline)) void pong(_Atomic uint32_t *there,
						       _Atomic uint32_t *back, wait_fn *wait,
						       post_fn *post)
{
	uint32_t value;

	for (value = 0;; value += 2) {
		wait(there, value + 1);
		if (atomic_load(there) == LAST)
			break;
		post(back, value + 2);
	}
}

static void run_one_line(struct side *side)
{
	struct arena *a = arena_of(side);

	if (side->role == CONSUMER)
		pong(&a->ping, &a->ping, spin_wait, spin_post);
	else
		ping(side, &a->ping, &a->ping, spin_wait, spin_post, TRIPS_PER_SAMPLE);
}

static void run_two_lines(struct side *side)
{
	struct arena *a = arena_of(side);

	if (side->role == CONSUMER)
		pong(&a->ping, &a->pong, spin_wait, spin_post);
	else
		ping(side, &a->ping, &a->pong, spin_wait, spin_post, TRIPS_PER_SAMPLE);
}

static void run_futex(struct side *side)
{
	struct arena *a = arena_of(side);

	if (side->role == CONSUMER)
		pong(&a->ping, &a->pong, futex_wait, futex_post);
	else
		ping(side, &a->ping, &a->pong, futex_wait, futex_post, 1);
}

/* ---- bandwidth ---- */

static void await(_Atomic uint64_t *word, uint64_t value, int pauses)
{
	int i;

	while (atomic_load_explicit(word, memory_order_acquire) < value)
		for (i = 0; i < pauses; i++)
			cpu_pause();
}

/* The producer overwrites what the consumer has just read, all of it. */
static void run_overwrite(struct side *side)
{
	struct arena *a = arena_of(side);
	struct samples samples = { 0 };
	uint64_t turn = 0;
	enum phase phase;
	int64_t start;

	for (phase = WARMING; phase != STOPPING; turn++) {
		if (side->role == CONSUMER) {
			await(&a->written, turn + 1, 1);
			a->sum += work_sum(a->data, side->capacity);
			phase = a->data[0] == LAST_MESSAGE ? STOPPING : WARMING;
			atomic_store_explicit(&a->read, turn + 1, memory_order_release);
			continue;
		}
		phase = phase_of(side);
		start = clock_ns();
		work_fill(a->data, side->capacity, turn);
		if (phase == MEASURING)
			samples_add(&samples,
				    (double)side->capacity / (double)(clock_ns() - start));
		if (phase == STOPPING)
			a->data[0] = LAST_MESSAGE;
		atomic_store_explicit(&a->written, turn + 1, memory_order_release);
		await(&a->read, turn + 1, 1);
	}
	if (side->role == PRODUCER)
		side->control->value = samples_quantile(&samples, 0.5);
	samples_free(&samples);
}

static inline __attribute__((always_inline)) void produce_bytes(struct side *side, bool copy)
{
	_Alignas(LINE) uint64_t buffer[HANDOFF / 8];
	uint64_t chunk, chunks = side->capacity / HANDOFF;
	struct arena *a = arena_of(side);
	uint64_t *place;

	for (chunk = 0; phase_of(side) != STOPPING; chunk++) {
		if (chunk >= chunks)
			await(&a->read, chunk + 1 - chunks, 1);
		place = a->data + chunk % chunks * (HANDOFF / 8);
		work_fill(copy ? buffer : place, HANDOFF, chunk);
		if (copy)
			memcpy(place, buffer, HANDOFF);
		atomic_store_explicit(&a->written, chunk + 1, memory_order_release);
	}
	atomic_store_explicit(&a->written, LAST_MESSAGE, memory_order_release);
}

static inline __attribute__((always_inline)) void consume_bytes(struct side *side, bool copy)
{
	_Alignas(LINE) uint64_t buffer[HANDOFF / 8];
	uint64_t chunk, first = 0, chunks = side->capacity / HANDOFF;
	enum phase phase, was = WARMING;
	struct arena *a = arena_of(side);
	const uint64_t *place;
	int64_t start = 0;

	for (chunk = 0; was != STOPPING; chunk++) {
		phase = phase_of(side);
		if (phase != was && phase == MEASURING) {
			start = clock_ns();
			first = chunk;
		}
		was = phase;
		await(&a->written, chunk + 1, BACK_OFF);
		place = a->data + chunk % chunks * (HANDOFF / 8);
		if (copy)
			memcpy(buffer, place, HANDOFF);
		a->sum += work_sum(copy ? buffer : place, HANDOFF);
		atomic_store_explicit(&a->read, chunk + 1, memory_order_release);
	}
	side->control->value = (double)(chunk - first) * HANDOFF / (double)(clock_ns() - start);
	/* the producer may be waiting for room that will not be used */
	atomic_store_explicit(&a->read, LAST_MESSAGE, memory_order_release);
}

static void run_fill(struct side *side)
{
	if (side->role == CONSUMER)
		consume_bytes(side, false);
	else
		produce_bytes(side, false);
}

static void run_copy(struct side *side)
{
	if (side->role == CONSUMER)
		consume_bytes(side, true);
	else
		produce_bytes(side, true);
}

/* ---- memory that did not exist before ---- */

static void populate(struct side *side, int fd, bool advise)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), at;
	int64_t start;
	char *p;

	if (fd < 0 || ftruncate(fd, (off_t)side->capacity))
		row_fail(side, "cannot make a memory file: %s", strerror(errno));
	p = mmap(NULL, side->capacity, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		row_fail(side, "cannot map a memory file: %s", strerror(errno));
	start = clock_ns();
	if (!advise)
		for (at = 0; at < side->capacity; at += page)
			p[at] = 1;
	else if (madvise(p, side->capacity, MADV_POPULATE_WRITE))
		row_fail(side, "cannot populate memory: %s", strerror(errno));
	side->control->value = (double)(clock_ns() - start) / 1e6;
	munmap(p, side->capacity);
	close(fd);
}

static void run_touch_memfd(struct side *side)
{
	populate(side, memfd_create("shmring-bench", MFD_CLOEXEC), false);
}

static void run_populate_memfd(struct side *side)
{
	populate(side, memfd_create("shmring-bench", MFD_CLOEXEC), true);
}

static void run_touch_tmpfs(struct side *side)
{
	populate(side, open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), false);
}

static void run_populate_tmpfs(struct side *side)
{
	populate(side, open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), true);
}

const struct subject limit_trips[] = {
	{ "one-line", "ns", .open = arena_open, .close = arena_close, .run = run_one_line },
	{ "two-lines", "ns", .open = arena_open, .close = arena_close, .run = run_two_lines },
	{ "futex", "ns", .open = arena_open, .close = arena_close, .run = run_futex },
	{ 0 }
};

const struct subject limit_overwrites[] = { { "overwrite", "GB/s", .open = arena_open,
					      .close = arena_close, .run = run_overwrite },
					    { 0 } };

const struct subject limit_streams[] = {
	{ "fill", "GB/s", .open = arena_open, .close = arena_close, .run = run_fill },
	{ "memcpy", "GB/s", .open = arena_open, .close = arena_close, .run = run_copy },
	{ 0 }
};

const struct subject limit_costs[] = { { "touch-memfd", "ms", .run = run_touch_memfd },
				       { "populate-memfd", "ms", .run = run_populate_memfd },
				       { "touch-tmpfs", "ms", .run = run_touch_tmpfs },
				       { "populate-tmpfs", "ms", .run = run_populate_tmpfs },
				       { 0 } };
