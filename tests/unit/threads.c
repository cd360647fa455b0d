/* SPDX-License-Identifier: MIT */
/*
 * All roles as threads over one mapping, for the thread sanitizer.
 *
 * It follows addresses, and each attachment maps the ring at addresses of its
 * own; so here mapping_lay() is wrapped: the attachment gets its mapping, which
 * keeps its lock, but works on the one that all share. So the sanitizer reports
 * each word that two roles touch without an edge between them. It cannot see the
 * kernel's edge, from the end of a mapping to the proof of a death; wrappers at
 * both ends tell it of this edge.
 *
 * It does not follow fences either, so words that fences order must be atomic, and
 * are, with one exception by design: an observer, or an evicted consumer, may read
 * bytes that the owner is overwriting, and only judges afterwards. Where such take part, the
 * producers write their messages word by word, as atomics; where all are held to,
 * they write them as programs do.
 *
 * Without the sanitizer this is one more test of all roles together.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include <check.h>

#include "../../lib/consumer/consumer.h"
#include "../../lib/producer/producer.h"

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "sys.h"
#include "way.h"

enum { ROUNDS = 12, ROUND = 400, LANES = 4, LONGEST = 6000, MS = 1000000 };

/* The mapping that all share: the control segments, and each lane twice in a row. */
static struct {
	struct geometry geometry;
	unsigned char *control;
	unsigned char *lanes[LANES];
} shared;

static _Atomic(uint64_t) ends; /* of mappings */

int __real_mapping_lay(struct mapping *m, int fd, uint64_t offset, size_t size, bool writable,
		       unsigned copies, size_t alignment, void **ret);
int __wrap_mapping_lay(struct mapping *m, int fd, uint64_t offset, size_t size, bool writable,
		       unsigned copies, size_t alignment, void **ret);
void __real_mapping_drop(struct mapping *m);
void __wrap_mapping_drop(struct mapping *m);
int __real_shmr_probe_byte(int fd, uint64_t offset);
int __wrap_shmr_probe_byte(int fd, uint64_t offset);

int __wrap_mapping_lay(struct mapping *m, int fd, uint64_t offset, size_t size, bool writable,
		       unsigned copies, size_t alignment, void **ret)
{
	const struct geometry *g = &shared.geometry;
	int e = __real_mapping_lay(m, fd, offset, size, writable, copies, alignment, ret);

	if (e == 0 && shared.control)
		*ret = offset < g->data_offset
			       ? shared.control + offset
			       : shared.lanes[(offset - g->data_offset) / g->lane_size];
	return e;
}

void __wrap_mapping_drop(struct mapping *m)
{
	atomic_fetch_add_explicit(&ends, 1, memory_order_release);
	__real_mapping_drop(m);
}

int __wrap_shmr_probe_byte(int fd, uint64_t offset)
{
	int locked = __real_shmr_probe_byte(fd, offset);

	atomic_load_explicit(&ends, memory_order_acquire);
	return locked;
}

static void *map(const struct shmring_ring *r, uint64_t offset, size_t size, int copies)
{
	unsigned char *p = mmap(NULL, copies * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	for (int i = 0; i < copies; i++)
		ck_assert_ptr_ne(mmap(p + i * size, size, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_FIXED, r->fd, (off_t)offset),
				 MAP_FAILED);
	return p;
}

static struct shmring_ring *ring_open_shared(uint32_t slow_policy)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r;

	config.lanes = LANES;
	config.slow_policy = slow_policy;
	config.evict_after_ns = 2 * MS;
	if (slow_policy == SHMRING_SLOW_EVICT)
		config.stamps = SHMRING_STAMP_CLOCK; /* in one of the two */
	r = way_create(WAY_PASSED_EXEC, &config);
	shared.geometry = r->geometry;
	for (unsigned i = 0; i < LANES; i++)
		shared.lanes[i] = map(r, data_offset(&r->geometry, i), r->geometry.lane_size, 2);
	shared.control = map(r, 0, r->geometry.data_offset, 1);
	return r;
}

static void ring_close_shared(struct shmring_ring *r)
{
	munmap(shared.control, shared.geometry.data_offset);
	shared.control = NULL;
	for (unsigned i = 0; i < LANES; i++)
		munmap(shared.lanes[i], 2 * shared.geometry.lane_size);
	shmring_close(r);
}

/* --- the roles ------------------------------------------------------------------------------ */

struct thread {
	pthread_t id;
	void (*play)(struct thread *t);
	struct shmring_ring *ring;
	uint64_t source;
	uint64_t seed;
	atomic_bool *over;
	bool by_words;
};

static bool is_over(const struct thread *t)
{
	return atomic_load(t->over);
}

/* As if the process had been killed: its lock goes, and nothing else happens. */
static void die_as_producer(struct shmring_producer *p)
{
	shmr_detach(&p->attachment);
	shmr_handle_free(p, sizeof(*p));
}

static void die_as_consumer(struct shmring_consumer *c)
{
	shmr_detach(&c->attachment);
	shmr_handle_free(c, sizeof(*c));
}

static void leave_or_die(struct thread *t, struct shmring_consumer *c)
{
	if (random_below(&t->seed, 2))
		die_as_consumer(c);
	else
		shmring_consumer_detach(c);
}

/* Into a claim, as if by many small stores that others may see in any order. */
static void store_words(void *to, const void *from, size_t len)
{
	for (size_t i = 0; i < len; i += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, (const char *)from + i, sizeof(word));
		store_relaxed((shm_u64 *)to + i / sizeof(word), word);
	}
}

static void publish_any(struct thread *t, struct shmring_producer *p, uint64_t number)
{
	size_t len = random_size(&t->seed, sizeof(struct audit_header), LONGEST);
	unsigned char data[LONGEST + sizeof(uint64_t)];
	void *to = NULL;

	audit_fill(data, len, t->source, number);
	if (!t->by_words && random_below(&t->seed, 2)) {
		must(shmring_publish(p, data, len, patience()));
		return;
	}
	must(shmring_claim(p, len, patience(), &to));
	if (t->by_words)
		store_words(to, data, len);
	else
		memcpy(to, data, len);
	must(shmring_commit(p, len));
}

/* Half of them die with a claim that is filled, and never published. */
static void play_producer(struct thread *t)
{
	static const unsigned char junk[LONGEST] = { 0xee };
	struct shmring_producer *p;
	void *to = NULL;

	for (unsigned round = 0; round < ROUNDS; round++, t->source++) {
		must(shmring_producer_attach(&p, t->ring, NULL));
		for (uint64_t number = 0; number < ROUND; number++)
			publish_any(t, p, number);
		if (round % 2 == 0) {
			shmring_producer_detach(p);
			continue;
		}
		must(shmring_claim(p, LONGEST, patience(), &to));
		store_words(to, junk, LONGEST);
		die_as_producer(p);
	}
}

/* Take up to `count` messages, audited. */
static void take(struct shmring_consumer *c, struct audit *a, uint64_t count)
{
	struct shmring_message m;
	struct audit before;
	int r;

	while (count-- > 0 && (r = shmring_peek(c, shmring_deadline(MS), &m)) != -ETIMEDOUT) {
		must(r);
		before = *a;
		audit_peeked(a, c, &m);
		r = shmring_release(c);
		ck_assert(r == 0 || r == -ESTALE);
		if (r == -ESTALE)
			*a = before;
	}
	ck_assert_msg(audit_faults(a) == 0, "%s", a->first_fault);
}

static void play_joiner(struct thread *t)
{
	static const uint32_t starts[] = { SHMRING_START_OLDEST, SHMRING_START_NOW };
	struct audit audit;

	for (unsigned i = 0; !is_over(t); i++) {
		struct shmring_consumer *c =
			consumer_attach(t->ring, NULL, starts[i % 2], SHMRING_PINNED);

		audit_begin(&audit, false);
		take(c, &audit, 50);
		leave_or_die(t, c);
	}
}

/* Released messages do not come again, and none is missing, life after life. */
static void play_named(struct thread *t)
{
	struct audit audit;

	audit_begin(&audit, false);
	while (!is_over(t)) {
		struct shmring_consumer *c =
			consumer_attach(t->ring, "named", SHMRING_START_DEFAULT, SHMRING_PINNED);

		take(c, &audit, 300);
		leave_or_die(t, c);
	}
	must(shmring_reap(t->ring));
	must(shmring_forget(t->ring, "named"));
}

static void play_observer(struct thread *t)
{
	struct audit audit;

	while (!is_over(t)) {
		struct shmring_consumer *c =
			consumer_attach(t->ring, NULL, SHMRING_START_OLDEST, SHMRING_OBSERVE);

		audit_begin(&audit, false);
		take(c, &audit, 200);
		shmring_consumer_detach(c);
	}
}

static void play_prober(struct thread *t)
{
	struct shmring_consumer_stat consumer = { .size = sizeof(consumer) };
	struct shmring_lane_stat lane = { .size = sizeof(lane) };

	for (unsigned i = 0; !is_over(t); i++) {
		int r = shmring_stat_lane(t->ring, i % LANES, &lane);

		ck_assert(r == 0 || r == -EAGAIN);
		must(shmring_stat_consumer(t->ring, i % SHMRING_MAX_CONSUMERS, &consumer));
		must(shmring_reap(t->ring));
	}
}

/* Is now and then so slow that it is evicted, and knows what it has lost. */
static void play_slow(struct thread *t)
{
	struct shmring_consumer *c = consumer_attach(t->ring, NULL, SHMRING_START_OLDEST, 0);
	uint64_t due[LANES] = { 0 }, lost = 0;
	struct shmring_message m;

	while (!is_over(t)) {
		int r = shmring_peek(c, shmring_deadline(MS), &m);
		uint64_t gap;

		if (r < 0)
			continue;
		gap = facts_of(c, &m).lost;
		for (int64_t until = clock_now() + (random_below(&t->seed, 50) ? 0 : 10 * MS);
		     clock_now() < until;)
			;
		if (shmring_release(c) < 0)
			continue;
		if (due[m.producer])
			ck_assert_uint_eq(m.seq, due[m.producer] + gap);
		due[m.producer] = m.seq + 1;
		lost += gap;
	}
	ck_assert_uint_gt(lost, 0);
	shmring_consumer_detach(c);
}

static void *play(void *arg)
{
	struct thread *t = arg;

	t->play(t);
	return NULL;
}

/* --- the tests ------------------------------------------------------------------------------ */

/* Guards and arenas that stay with the C library would look like leaks. */
static void start(struct thread *t)
{
	pthread_attr_t attr;

	mallopt(M_ARENA_MAX, 1);
	ck_assert_int_eq(pthread_attr_init(&attr), 0);
	ck_assert_int_eq(pthread_attr_setguardsize(&attr, 0), 0);
	ck_assert_int_eq(pthread_create(&t->id, &attr, play, t), 0);
	pthread_attr_destroy(&attr);
}

/* Two producers, and the other roles; the main thread reads everything. */
static void play_all(uint32_t slow_policy, void (*const *others)(struct thread *), unsigned count)
{
	struct shmring_ring *r = ring_open_shared(slow_policy);
	struct shmring_consumer *c = consumer_attach(r, NULL, SHMRING_START_OLDEST, SHMRING_PINNED);
	struct thread threads[8] = { 0 };
	atomic_bool over = false;
	struct audit audit;

	audit_begin(&audit, true);
	for (unsigned i = 0; i < count + 2; i++) {
		threads[i].play = i < 2 ? play_producer : others[i - 2];
		threads[i].ring = r;
		threads[i].source = 1000 * (i + 1);
		threads[i].seed = random_seed() + i;
		threads[i].over = &over;
		threads[i].by_words = slow_policy == SHMRING_SLOW_EVICT;
		start(&threads[i]);
	}
	consume_audited(c, &audit, 2 * ROUNDS * ROUND);
	atomic_store(&over, true);
	for (unsigned i = 0; i < count + 2; i++)
		ck_assert_int_eq(pthread_join(threads[i].id, NULL), 0);
	audit_must_be(&audit, 2 * ROUNDS * ROUND, 0);
	shmring_consumer_detach(c);
	must(shmring_reap(r));
	ring_close_shared(r);
}

START_TEST(all_roles_run_without_eviction)
{
	static void (*const others[])(struct thread *) = { play_joiner, play_named, play_prober };

	play_all(SHMRING_SLOW_BLOCK, others, sizeof(others) / sizeof(*others));
}
END_TEST

START_TEST(all_roles_run_while_slow_consumers_are_evicted)
{
	static void (*const others[])(struct thread *) = { play_joiner, play_slow, play_slow,
							   play_observer };

	play_all(SHMRING_SLOW_EVICT, others, sizeof(others) / sizeof(*others));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("threads");
	TCase *tc = room_case(s, "threads", 60);

	tcase_add_test(tc, all_roles_run_without_eviction);
	tcase_add_test(tc, all_roles_run_while_slow_consumers_are_evicted);
	return run_suite(s);
}
