/* SPDX-License-Identifier: MIT */
/*
 * A consumer that is evicted again and again while it takes its places, or while it reads a
 * batch. The test stands between the modules: when the consumer asks for the oldest boundary
 * of a lane, the test evicts it; when the consumer looks whether it has kept its place, the test
 * says that it has been evicted.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "audit.h"
#include "lane.h"
#include "must.h"
#include "registry.h"
#include "room.h"
#include "runner.h"

enum { PUBLISHED = 200 };

static struct {
	shm_u64 *status;  /* of the consumer */
	unsigned strikes; /* how often it will be evicted */
} intruder;

bool __real_shmr_lane_oldest(const struct lane *lane, uint64_t reach, struct shmring_boundary *ret);
bool __wrap_shmr_lane_oldest(const struct lane *lane, uint64_t reach, struct shmring_boundary *ret);

bool __wrap_shmr_lane_oldest(const struct lane *lane, uint64_t reach, struct shmring_boundary *ret)
{
	if (intruder.strikes > 0) {
		intruder.strikes--;
		store_release(intruder.status,
			      status_next(load_acquire(intruder.status), PLACE_EVICTED));
	}
	return __real_shmr_lane_oldest(lane, reach, ret);
}

static uint64_t evictions; /* since the flag was set */
static bool is_evicted_always;

/* The function that is wrapped runs inside of a call, which a build with checks would refuse. */
#ifdef SHMR_HANDLE_CHECKS
void unchecked_rewind(struct shmring_consumer *c);
#else
#define unchecked_rewind shmring_rewind
#endif

int __real_consumer_keep_place(struct shmring_consumer *c, bool releasing);
int __wrap_consumer_keep_place(struct shmring_consumer *c, bool releasing);

int __wrap_consumer_keep_place(struct shmring_consumer *c, bool releasing)
{
	if (!is_evicted_always)
		return __real_consumer_keep_place(c, releasing);
	evictions++;
	unchecked_rewind(c);
	return -ESTALE;
}

static struct shmring_ring *make_ring(void)
{
	const struct shmring_config config = {
		.size = sizeof(config),
		.lane_size = SHMRING_MIN_LANE_SIZE,
		.lanes = 1,
		.slow_policy = SHMRING_SLOW_EVICT,
		.unread_policy = SHMRING_UNREAD_OVERWRITE,
	};
	struct shmring_ring *r = NULL;

	must(shmring_create(&r, NULL, &config));
	return r;
}

struct story {
	struct shmring_ring *ring;
	struct shmring_producer *p;
	void *registry;
};

/* A ring with messages, and an intruder that waits for its first consumer. */
static struct story begin(unsigned strikes)
{
	struct story s = { .ring = make_ring() };

	must(shmring_producer_attach(&s.p, s.ring, NULL));
	for (int i = 0; i < PUBLISHED; i++)
		must(shmring_publish(s.p, "message", 8, SHMRING_NOWAIT));
	s.registry = mmap(NULL, LAYOUT_GRANULE, PROT_READ | PROT_WRITE, MAP_SHARED,
			  shmring_fd(s.ring), LAYOUT_GRANULE);
	ck_assert_ptr_ne(s.registry, MAP_FAILED);
	intruder.status = place_status(s.registry, PLACE_CONSUMER, 0);
	intruder.strikes = strikes;
	return s;
}

static void end(struct story *s)
{
	intruder.strikes = 0;
	munmap(s->registry, LAYOUT_GRANULE);
	shmring_producer_detach(s->p);
	shmring_close(s->ring);
}

/* As it may happen to one that joins slowly: it begins anew, and has all of it. */
START_TEST(consumer_evicted_while_joining_joins_again)
{
	struct story s = begin(20);
	struct shmring_consumer *c;
	struct shmring_message m;

	must(shmring_consumer_attach(&c, s.ring, NULL));
	ck_assert_uint_eq(intruder.strikes, 0);
	for (uint64_t i = 0; i < PUBLISHED; i++) {
		must(shmring_peek(c, SHMRING_NOWAIT, &m));
		ck_assert_uint_eq(m.seq, i);
		ck_assert_uint_eq(facts_of(c, &m).lost, 0);
		must(shmring_release(c));
	}
	shmring_consumer_detach(c);
	end(&s);
}
END_TEST

/* More evictions in a row than ever happen in use. */
START_TEST(consumer_evicted_for_ever_gives_up)
{
	struct story s = begin(UINT32_MAX);
	struct shmring_consumer *c;

	must_fail(EBADMSG, shmring_consumer_attach(&c, s.ring, NULL));
	intruder.strikes = 0;
	must(shmring_consumer_attach(&c, s.ring, NULL));
	shmring_consumer_detach(c);
	end(&s);
}
END_TEST

/* Behind a sound message lies nonsense, and the consumer is evicted whenever it looks there. */
static struct shmring_consumer *begin_batch(struct story *s)
{
	struct shmring_consumer *c;
	void *data = NULL;

	*s = (struct story){ .ring = make_ring() };
	must(shmring_producer_attach(&s->p, s->ring, NULL));
	must(shmring_consumer_attach(&c, s->ring, NULL));
	must(shmring_publish(s->p, "message", 8, SHMRING_NOWAIT));
	must(shmring_claim(s->p, 8, SHMRING_NOWAIT, &data));
	must(shmring_commit(s->p, 8));
	memset((char *)data - RECORD_HEADER, 0xff, RECORD_HEADER);
	is_evicted_always = true;
	return c;
}

static void end_batch(struct story *s, struct shmring_consumer *c)
{
	is_evicted_always = false;
	shmring_consumer_detach(c);
	shmring_producer_detach(s->p);
	shmring_close(s->ring);
}

START_TEST(batch_of_a_consumer_evicted_for_ever_gives_up)
{
	struct shmring_message batch[8];
	struct story s;
	struct shmring_consumer *c = begin_batch(&s);

	must_fail(ESTALE, shmring_peek_batch(c, SHMRING_NOWAIT, batch, 8));
	ck_assert_uint_gt(evictions, 1);
	must_fail(ESTALE, shmring_peek_batch(c, SHMRING_FOREVER, batch, 8));
	end_batch(&s, c);
}
END_TEST

/* The deadline ends it before the bound of all tries does. */
START_TEST(batch_of_a_consumer_evicted_for_ever_ends_at_its_deadline)
{
	struct shmring_message batch[8];
	struct story s;
	struct shmring_consumer *c = begin_batch(&s);
	uint64_t tries;

	must_fail(ESTALE, shmring_peek_batch(c, SHMRING_FOREVER, batch, 8));
	tries = evictions;
	must_fail(ETIMEDOUT, shmring_peek_batch(c, clock_now(), batch, 8));
	ck_assert_uint_lt(evictions - tries, tries);
	end_batch(&s, c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("evicted");
	TCase *tc = room_case(s, "evicted", 30);

	tcase_add_test(tc, consumer_evicted_while_joining_joins_again);
	tcase_add_test(tc, consumer_evicted_for_ever_gives_up);
	tcase_add_test(tc, batch_of_a_consumer_evicted_for_ever_gives_up);
	tcase_add_test(tc, batch_of_a_consumer_evicted_for_ever_ends_at_its_deadline);
	return run_suite(s);
}
