/* SPDX-License-Identifier: MIT */
/*
 * Unrelated processes meet through the broker. Broker and peers are started by exec. The
 * broker is killed under load, and no audited stream shows it.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "shmringd.h"
#include "way.h"

enum { SOURCE = 90, PEERS = 2, KILLS = 20, PER_ROUND = 60000 };

static const char ring[] = "broker:ring";

static struct shmring_ring *create(const char *address)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r;

	must(shmring_create(&r, address, &config));
	return r;
}

static struct shmring_ring *open_ring(const char *address)
{
	struct shmring_ring *r;

	must(shmring_open(&r, address));
	return r;
}

/* Two producers and two consumers, all unrelated processes. */
struct crew {
	struct peer producers[PEERS], consumers[PEERS];
};

static void crew_start(struct crew *crew)
{
	for (int i = 0; i < PEERS; i++) {
		peer_exec(&crew->consumers[i]);
		peer_exec(&crew->producers[i]);
		must(peer_open(&crew->consumers[i], ring));
		must(peer_open(&crew->producers[i], ring));
		must(peer_consumer(&crew->consumers[i], i ? "kept" : NULL, SHMRING_START_DEFAULT,
				   0));
		must(peer_producer(&crew->producers[i], SOURCE + (uint64_t)i));
	}
}

/* All peers work; the answers come later. */
static void crew_tell(struct crew *crew, uint32_t count)
{
	for (int i = 0; i < PEERS; i++) {
		peer_tell_produce(&crew->producers[i], count, 1000);
		peer_tell_consume(&crew->consumers[i], count * PEERS);
	}
}

static void crew_await(struct crew *crew)
{
	for (int i = 0; i < PEERS; i++) {
		must(peer_answer(&crew->producers[i]));
		must(peer_answer(&crew->consumers[i]));
	}
}

static void crew_end(struct crew *crew, uint64_t messages)
{
	for (int i = 0; i < PEERS; i++) {
		audit_must_be(&crew->consumers[i].answer.audit, messages, 0);
		peer_quit(&crew->producers[i]);
		peer_quit(&crew->consumers[i]);
	}
}

START_TEST(unrelated_processes_meet)
{
	struct child broker;
	struct crew crew;
	struct shmring_ring *r;

	shmringd_start(&broker, NULL);
	r = create(ring);
	crew_start(&crew);
	crew_tell(&crew, 20000);
	crew_await(&crew);
	crew_end(&crew, 20000 * PEERS);
	must(shmring_forget(r, "kept"));
	must(shmring_remove(ring));
	shmring_close(r);
	shmringd_end(&broker);
}
END_TEST

START_TEST(names_are_taken_once_and_free_after_removal)
{
	struct child broker;
	struct shmring_ring *r, *none;
	struct shmring_ring_stat st = { .size = sizeof(st) };

	shmringd_start(&broker, NULL);
	must_fail(ENOENT, shmring_open(&none, ring));
	must_fail(ENOENT, shmring_remove(ring));
	r = create(ring);
	must_fail(EEXIST, shmring_create(&none, ring, NULL));
	must(shmring_remove(ring));
	must_fail(ENOENT, shmring_open(&none, ring));
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.retired, 1);
	shmring_close(r);
	shmringd_end(&broker);
}
END_TEST

START_TEST(persistent_ring_lies_on_disk)
{
	struct shmring_config config = small_config();
	struct child broker;
	struct shmring_ring *r;

	shmringd_start(&broker, NULL);
	config.flags = SHMRING_PERSISTENT;
	must(shmring_create(&r, ring, &config));
	ck_assert_int_eq(access(room_disk_path("state/ring"), F_OK), 0);
	shmring_close(r);
	must(shmring_remove(ring));
	ck_assert_int_ne(access(room_disk_path("state/ring"), F_OK), 0);
	shmringd_end(&broker);
}
END_TEST

/* Any moment is right, so the test waits for none. */
static void let_time_pass(uint64_t *seed, uint64_t most_ns)
{
	const struct timespec t = { .tv_nsec = (long)random_below(seed, most_ns) };

	clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

/* A process that comes after the restart finds the same ring, and can use it. */
static void come_and_go(const uint8_t uuid[16])
{
	struct shmring_ring *r = open_ring(ring);
	struct shmring_consumer *c = consumer_attach(r, NULL, SHMRING_START_NOW, SHMRING_OBSERVE);
	struct shmring_ring_stat st = { .size = sizeof(st) };

	must(shmring_stat(r, &st));
	ck_assert_mem_eq(st.uuid, uuid, 16);
	ck_assert_uint_eq(st.producers, PEERS);
	ck_assert_uint_eq(st.consumers, PEERS);
	shmring_consumer_detach(c);
	shmring_close(r);
}

START_TEST(stream_does_not_notice_that_the_broker_is_killed)
{
	uint64_t seed = random_seed();
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct child broker;
	struct shmring_ring *r;
	struct crew crew;

	shmringd_start(&broker, NULL);
	r = create(ring);
	must(shmring_stat(r, &st));
	crew_start(&crew);
	for (int i = 0; i < KILLS; i++) {
		crew_tell(&crew, PER_ROUND);
		let_time_pass(&seed, 10000000);
		child_kill(&broker);
		let_time_pass(&seed, 5000000);
		shmringd_restart(&broker);
		come_and_go(st.uuid);
		must(shmring_reap(r)); /* a handle from before finds it again, too */
		crew_await(&crew);
	}
	crew_end(&crew, (uint64_t)KILLS * PER_ROUND * PEERS);
	must(shmring_forget(r, "kept"));
	must(shmring_remove(ring));
	shmring_close(r);
	shmringd_end(&broker);
}
END_TEST

START_TEST(old_and_new_clients_meet_after_a_restart)
{
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct shmring_ring *old, *young;
	struct child broker;
	struct audit audit;

	shmringd_start(&broker, NULL);
	old = create(ring);
	c = consumer_attach(old, NULL, SHMRING_START_DEFAULT, 0);
	child_kill(&broker);
	shmringd_restart(&broker);
	young = open_ring(ring);
	p = producer_attach(young);
	publish_numbers(p, SOURCE, 0, 10, 100);
	shmring_producer_detach(p);
	p = producer_attach(old);
	publish_numbers(p, SOURCE + 1, 0, 10, 100);
	shmring_producer_detach(p);
	audit_begin(&audit, true);
	ck_assert_uint_eq(consume_all(c, &audit), 20);
	audit_must_be(&audit, 20, 0);
	shmring_consumer_detach(c);
	must(shmring_remove(ring));
	shmring_close(young);
	shmring_close(old);
	shmringd_end(&broker);
}
END_TEST

/* Whether the broker remembers the ring or not, no process gets into another ring. */
START_TEST(name_that_was_given_anew_is_another_ring)
{
	struct shmring_producer *p;
	struct shmring_ring *old, *young;
	struct child broker;

	shmringd_start(&broker, NULL);
	old = create(ring);
	must(shmring_remove(ring));
	young = create(ring);
	child_kill(&broker);
	shmringd_restart(&broker);
	must_fail(ESTALE, shmring_producer_attach(&p, old, NULL));
	p = producer_attach(young);
	shmring_producer_detach(p);
	must(shmring_remove(ring));
	shmring_close(young);
	shmring_close(old);
	shmringd_end(&broker);
}
END_TEST

START_TEST(child_joins)
{
	struct shmring_consumer *c;
	struct child broker;
	struct shmring_ring *r;
	struct audit audit;
	struct peer p;

	shmringd_start(&broker, NULL);
	r = create(ring);
	c = consumer_attach(r, NULL, SHMRING_START_DEFAULT, 0);
	peer_fork(&p, r);
	must_fail(ECHILD, peer_producer(&p, SOURCE));
	must(peer_join(&p));
	must(peer_producer(&p, SOURCE));
	must(peer_fill(&p, 50, 100));
	audit_begin(&audit, true);
	ck_assert_uint_eq(consume_all(c, &audit), 50);
	audit_must_be(&audit, 50, 0);
	peer_quit(&p);
	shmring_consumer_detach(c);
	must(shmring_remove(ring));
	shmring_close(r);
	shmringd_end(&broker);
}
END_TEST

/* The broker notices the client's end by the end of its conversation, although no process waits for
 * it. */
START_TEST(dead_client_is_buried_by_the_broker)
{
	int64_t deadline = patience();
	struct shmring_lane_stat lane = { .size = sizeof(lane) };
	struct child broker;
	struct shmring_ring *r;
	struct peer p;

	shmringd_start(&broker, NULL);
	r = create(ring);
	peer_exec(&p);
	must(peer_open(&p, ring));
	must(peer_producer(&p, SOURCE));
	child_kill(&p.child);
	do {
		ck_assert_int_lt(clock_now(), deadline);
		must(shmring_stat_lane(r, 0, &lane));
	} while (lane.state != SHMRING_FREE);
	must(shmring_remove(ring));
	shmring_close(r);
	shmringd_end(&broker);
}
END_TEST

/* A call that must fail in the peer, and its sentence. */
static void must_refuse(struct peer *p, int64_t result, const char *words)
{
	ck_assert_int_eq(result, -EACCES);
	ck_assert_msg(strstr(p->answer.explain, words), "'%s' is not in: %s", words,
		      p->answer.explain);
}

START_TEST(another_user_may_do_what_the_rules_allow)
{
	static const char rules[] =
		"rules = ( { who = \"65534\"; rings = \"board\"; allow = [ \"observe\" ]; },\n"
		"          { who = \"65534\"; rings = \"box\"; allow = [ \"produce\" ]; } );\n";
	struct child broker;
	struct shmring_ring *board, *box, *secret;
	struct shmring_consumer *c;
	struct audit audit;
	struct peer p;

	if (geteuid() != 0)
		room_skip("only root can become another user");
	shmringd_start(&broker, rules);
	board = create("broker:board");
	box = create("broker:box");
	secret = create("broker:secret");
	peer_exec(&p);
	must(peer_simple(&p, PEER_NOBODY));
	must_refuse(&p, peer_open(&p, "broker:secret"), "broker:secret");
	must(peer_open(&p, "broker:board"));
	must_refuse(&p, peer_producer(&p, SOURCE), "you may observe");
	must_refuse(&p, peer_consumer(&p, NULL, SHMRING_START_NOW, 0), "you may observe");
	must(peer_consumer(&p, NULL, SHMRING_START_NOW, SHMRING_OBSERVE));
	peer_quit(&p);
	peer_exec(&p);
	must(peer_simple(&p, PEER_NOBODY));
	must(peer_open(&p, "broker:box"));
	must_refuse(&p, peer_consumer(&p, NULL, SHMRING_START_NOW, 0), "you may produce");
	must(peer_producer(&p, SOURCE));
	must(peer_fill(&p, 20, 100));
	peer_quit(&p);
	c = consumer_attach(box, NULL, SHMRING_START_OLDEST, 0);
	audit_begin(&audit, true);
	ck_assert_uint_eq(consume_all(c, &audit), 20);
	audit_must_be(&audit, 20, 0);
	shmring_consumer_detach(c);
	must(shmring_remove("broker:board"));
	must(shmring_remove("broker:box"));
	must(shmring_remove("broker:secret"));
	shmring_close(board);
	shmring_close(box);
	shmring_close(secret);
	shmringd_end(&broker);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("brokered");
	TCase *tc = room_case(s, "brokered", 50);

	tcase_add_test(tc, unrelated_processes_meet);
	tcase_add_test(tc, names_are_taken_once_and_free_after_removal);
	tcase_add_test(tc, persistent_ring_lies_on_disk);
	tcase_add_test(tc, stream_does_not_notice_that_the_broker_is_killed);
	tcase_add_test(tc, old_and_new_clients_meet_after_a_restart);
	tcase_add_test(tc, name_that_was_given_anew_is_another_ring);
	tcase_add_test(tc, child_joins);
	tcase_add_test(tc, dead_client_is_buried_by_the_broker);
	tcase_add_test(tc, another_user_may_do_what_the_rules_allow);
	return run_suite(s);
}
