/* SPDX-License-Identifier: MIT */
/*
 * fork with a ring in the hand: the child's copies of the handles answer
 * -ECHILD, the parent notices nothing, and the child can join.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

/* The ways that fork, in a loop. */
enum { FIRST = WAY_FILE_FORK, BEHIND = WAY_PASSED_EXEC, SOURCE = 55 };

/* What a process has when it forks. */
struct handles {
	struct shmring_ring *ring;
	struct shmring_producer *producer;
	struct shmring_consumer *consumer;
	struct shmring_consumer *observer;
	struct audit audit;
	uint64_t number;
};

static void begin(struct handles *h, enum way way)
{
	struct shmring_config config = small_config();

	h->ring = way_create(way, &config);
	h->consumer = consumer_attach(h->ring, NULL, 0, 0);
	h->observer = consumer_attach(h->ring, NULL, 0, SHMRING_OBSERVE);
	h->producer = producer_attach(h->ring);
	h->number = 0;
	audit_begin(&h->audit, true);
}

/* The parent's handles still work. */
static void expect_working(struct handles *h)
{
	for (int i = 0; i < 300; i++, h->number++) {
		publish_numbers(h->producer, SOURCE, h->number, 1, 1000);
		consume_audited(h->consumer, &h->audit, 1);
	}
	audit_must_be(&h->audit, h->number, 0);
}

static void end(struct handles *h)
{
	ck_assert_uint_eq(audit_faults(&h->audit), 0);
	shmring_producer_detach(h->producer);
	shmring_consumer_detach(h->consumer);
	shmring_consumer_detach(h->observer);
	shmring_close(h->ring);
}

static void expect_ring_refuses(struct handles *h)
{
	struct shmring_consumer_stat consumer_stat = { .size = sizeof(consumer_stat) };
	struct shmring_lane_stat lane_stat = { .size = sizeof(lane_stat) };
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct shmring_ring_stat st = { .size = sizeof(st) };

	must_fail(ECHILD, shmring_fd(h->ring));
	must_fail(ECHILD, shmring_stat(h->ring, &st));
	must_fail(ECHILD, shmring_stat_lane(h->ring, 0, &lane_stat));
	must_fail(ECHILD, shmring_stat_consumer(h->ring, 0, &consumer_stat));
	must_fail(ECHILD, shmring_reap(h->ring));
	must_fail(ECHILD, shmring_forget(h->ring, "name"));
	must_fail(ECHILD, shmring_producer_attach(&p, h->ring, NULL));
	must_fail(ECHILD, shmring_consumer_attach(&c, h->ring, NULL));
}

static void expect_producer_refuses(struct shmring_producer *p)
{
	struct shmring_memory_report report = { .size = sizeof(report) };
	struct shmring_counters counters = { .size = sizeof(counters) };
	void *data;

	must_fail(ECHILD, shmring_claim(p, 8, SHMRING_NOWAIT, &data));
	must_fail(ECHILD, shmring_claim(p, 8, SHMRING_FOREVER, &data));
	must_fail(ECHILD, shmring_commit(p, 0));
	must_fail(ECHILD, shmring_stage(p, 0));
	must_fail(ECHILD, shmring_flush(p));
	must_fail(ECHILD, shmring_publish(p, "", 1, SHMRING_NOWAIT));
	must_fail(ECHILD, shmring_publishv(p, NULL, 0, SHMRING_NOWAIT));
	must_fail(ECHILD, shmring_producer_lane(p));
	must_fail(ECHILD, shmring_producer_counters(p, &counters));
	must_fail(ECHILD, shmring_producer_memory(p, &report));
	shmring_abort(p);
	shmring_discard(p);
	shmring_producer_max_message(p);
}

static void expect_consumer_refuses(struct shmring_consumer *c)
{
	struct shmring_memory_report report = { .size = sizeof(report) };
	struct shmring_counters counters = { .size = sizeof(counters) };
	struct shmring_message m = { 0 };
	uint64_t number, bytes;
	uint32_t tenancy;
	char buffer[8];

	must_fail(ECHILD, shmring_peek(c, SHMRING_NOWAIT, &m));
	must_fail(ECHILD, shmring_peek(c, SHMRING_FOREVER, &m));
	must_fail(ECHILD, shmring_peek_batch(c, SHMRING_NOWAIT, &m, 1));
	must_fail(ECHILD, shmring_release(c));
	must_fail(ECHILD, shmring_receive(c, buffer, sizeof(buffer), SHMRING_NOWAIT));
	must_fail(ECHILD, shmring_message_lost(c, &m, &number, &bytes));
	must_fail(ECHILD, shmring_message_tenancy(c, &m, &tenancy));
	must_fail(ECHILD, shmring_message_stamp(c, &m, &number));
	must_fail(ECHILD, shmring_consumer_counters(c, &counters));
	must_fail(ECHILD, shmring_consumer_memory(c, &report));
	shmring_rewind(c);
}

static int use_everything(int socket, void *arg)
{
	struct handles *h = arg;

	(void)socket;
	expect_ring_refuses(h);
	expect_producer_refuses(h->producer);
	expect_consumer_refuses(h->consumer);
	expect_consumer_refuses(h->observer);
	return 0;
}

START_TEST(every_call_on_an_inherited_handle_is_refused)
{
	struct handles h;
	struct child c;
	void *data;

	begin(&h, (enum way)_i);
	expect_working(&h);
	must(shmring_claim(h.producer, 40, SHMRING_NOWAIT, &data));
	child_fork(&c, use_everything, &h);
	child_end(&c);
	shmring_abort(h.producer);
	expect_working(&h);
	end(&h);
}
END_TEST

/* A fork past pthread_atfork(). */
START_TEST(raw_fork_is_noticed_too)
{
	struct handles h;
	int status;
	pid_t pid;

	begin(&h, (enum way)_i);
	pid = _Fork();
	if (pid == 0)
		_exit(use_everything(-1, &h));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	expect_working(&h);
	end(&h);
}
END_TEST

static int drop_everything(int socket, void *arg)
{
	struct handles *h = arg;

	(void)socket;
	shmring_producer_detach(h->producer);
	shmring_consumer_detach(h->consumer);
	shmring_consumer_detach(h->observer);
	shmring_close(h->ring);
	return 0;
}

START_TEST(child_may_drop_inherited_handles)
{
	struct handles h;
	struct child c;

	begin(&h, (enum way)_i);
	expect_working(&h);
	child_fork(&c, drop_everything, &h);
	child_end(&c);
	expect_working(&h);
	ck_assert_int_eq(must(shmring_reap(h.ring)), 0);
	end(&h);
}
END_TEST

/* exit(), not _exit(): the handlers of the library at exit must do nothing in the child. */
static int exit_with_everything(int socket, void *arg)
{
	(void)socket;
	(void)arg;
	exit(0);
}

START_TEST(exit_of_a_child_ends_no_attachment_of_its_parent)
{
	struct handles h;
	struct child c;

	begin(&h, (enum way)_i);
	expect_working(&h);
	child_fork(&c, exit_with_everything, &h);
	child_end(&c);
	ck_assert_int_eq(must(shmring_reap(h.ring)), 0);
	expect_working(&h);
	end(&h);
}
END_TEST

static int join_and_stream(int socket, void *arg)
{
	struct handles *h = arg;
	struct shmring_consumer *c;
	struct shmring_producer *p;
	struct audit audit;

	must(shmring_join(h->ring));
	must(shmring_join(h->ring));
	c = consumer_attach(h->ring, NULL, SHMRING_START_NOW, 0);
	p = producer_attach(h->ring);
	ck_assert_int_ne(must(shmring_producer_lane(p)), 0);
	audit_begin(&audit, false);
	publish_numbers(p, SOURCE + 1, 0, 40, 500);
	consume_audited(c, &audit, 40);
	expect_producer_refuses(h->producer);
	expect_consumer_refuses(h->consumer);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(h->ring);
	step_tell(socket);
	return 0;
}

START_TEST(child_can_join)
{
	struct handles h;
	struct child c;

	begin(&h, (enum way)_i);
	publish_numbers(h.producer, SOURCE, 0, 10, 500);
	child_fork(&c, join_and_stream, &h);
	step_await(c.socket);
	child_end(&c);
	consume_audited(h.consumer, &h.audit, 50);
	audit_must_be(&h.audit, 50, 0);
	end(&h);
}
END_TEST

static int join_grandchild(int socket, void *arg)
{
	struct handles *h = arg;
	struct child c;

	(void)socket;
	child_fork(&c, join_and_stream, h);
	step_await(c.socket);
	child_end(&c);
	return 0;
}

START_TEST(grandchild_can_join)
{
	struct handles h;
	struct child c;

	begin(&h, (enum way)_i);
	publish_numbers(h.producer, SOURCE, 0, 10, 500);
	child_fork(&c, join_grandchild, &h);
	child_end(&c);
	consume_audited(h.consumer, &h.audit, 50);
	audit_must_be(&h.audit, 50, 0);
	end(&h);
}
END_TEST

static int join_without_descriptors(int socket, void *arg)
{
	struct handles *h = arg;

	(void)socket;
	closefrom(3);
	ck_assert_int_eq(shmring_join(h->ring), -EBADF);
	ck_assert_int_eq(shmring_fd(h->ring), -ECHILD);
	return 0;
}

START_TEST(join_without_the_descriptor_fails)
{
	struct handles h;
	struct child c;

	begin(&h, (enum way)_i);
	child_fork(&c, join_without_descriptors, &h);
	child_end(&c);
	expect_working(&h);
	end(&h);
}
END_TEST

/* The number of the ring's descriptor belongs to another file by now. */
static int join_with_another_descriptor(int socket, void *arg)
{
	struct handles *h = arg;

	(void)socket;
	closefrom(3);
	for (int i = 0; i < 20; i++)
		ck_assert_int_ge(dup(0), 0);
	ck_assert_int_eq(shmring_join(h->ring), -EBADF);
	return 0;
}

START_TEST(join_with_a_reused_descriptor_fails)
{
	struct handles h;
	struct child c;

	begin(&h, (enum way)_i);
	child_fork(&c, join_with_another_descriptor, &h);
	child_end(&c);
	expect_working(&h);
	end(&h);
}
END_TEST

/* Attach, leave a child that does nothing behind, and wait to be killed. */
static int attach_and_fork(int socket, void *arg)
{
	struct handles *h = arg;

	pid_t pid;

	must(shmring_join(h->ring));
	consumer_attach(h->ring, "parent", 0, 0);
	producer_attach(h->ring);
	pid = fork();
	if (pid != 0)
		ck_assert_int_eq(send(socket, &pid, sizeof(pid), 0), sizeof(pid));
	for (;;)
		pause();
}

START_TEST(living_child_keeps_nothing_of_its_dead_parent)
{
	struct shmring_config config = small_config();
	struct handles h = { .ring = way_create((enum way)_i, &config) };
	struct child c;
	pid_t orphan;

	child_fork(&c, attach_and_fork, &h);
	ck_assert_int_eq(recv(c.socket, &orphan, sizeof(orphan), 0), sizeof(orphan));
	child_kill(&c);
	ck_assert_int_eq(must(shmring_reap(h.ring)), 2);
	shmring_consumer_detach(consumer_attach(h.ring, "parent", SHMRING_START_RESUME, 0));
	ck_assert_int_eq(kill(orphan, SIGKILL), 0);
	ck_assert_int_eq(waitpid(orphan, NULL, 0), orphan);
	shmring_close(h.ring);
}
END_TEST

START_TEST(closefrom_ends_no_attachment)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = way_create((enum way)_i, &config);
	struct shmring_consumer_options options = { .size = sizeof(options), .name = "steady" };
	struct shmring_consumer *c;
	struct peer peer;

	way_start(&peer, (enum way)_i, r);
	ck_assert_int_eq(peer_consumer(&peer, "steady", 0, 0), 0);
	ck_assert_int_eq(peer_producer(&peer, SOURCE), 0);
	ck_assert_int_eq(peer_simple(&peer, PEER_CLOSEFROM), 0);
	for (int i = 1; i < 10; i++) {
		ck_assert_int_eq(peer_produce(&peer, 40, 1000), 40);
		ck_assert_int_eq(peer_consume(&peer, 40), 40);
		audit_must_be(&peer.answer.audit, 40 * (uint64_t)i, 0);
	}
	ck_assert_int_eq(must(shmring_reap(r)), 0);
	must_fail(EBUSY, shmring_consumer_attach(&c, r, &options));
	child_kill(&peer.child);
	ck_assert_int_eq(must(shmring_reap(r)), 2);
	shmring_close(r);
}
END_TEST

/* Without a descriptor the process cannot prove deaths, but other processes can, and wake it. */
START_TEST(after_closefrom_other_processes_prove_deaths)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = way_create((enum way)_i, &config);
	struct peer p, c;

	way_start(&p, (enum way)_i, r);
	way_start(&c, (enum way)_i, r);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	ck_assert_int_eq(peer_simple(&p, PEER_CLOSEFROM), 0);
	peer_tell_produce(&p, 2000, 1000);
	child_await_sleep(&p.child);
	child_kill(&c.child);
	ck_assert_int_eq(must(shmring_reap(r)), 1);
	ck_assert_int_eq(peer_answer(&p), 2000);
	peer_quit(&p);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("forked");
	TCase *tc = room_case(s, "forked", 20);

	tcase_add_loop_test(tc, every_call_on_an_inherited_handle_is_refused, FIRST, BEHIND);
	tcase_add_loop_test(tc, raw_fork_is_noticed_too, FIRST, BEHIND);
	tcase_add_loop_test(tc, child_may_drop_inherited_handles, FIRST, BEHIND);
	tcase_add_loop_test(tc, exit_of_a_child_ends_no_attachment_of_its_parent, FIRST, BEHIND);
	tcase_add_loop_test(tc, child_can_join, FIRST, BEHIND);
	tcase_add_loop_test(tc, grandchild_can_join, FIRST, BEHIND);
	tcase_add_loop_test(tc, join_without_the_descriptor_fails, FIRST, BEHIND);
	tcase_add_loop_test(tc, join_with_a_reused_descriptor_fails, FIRST, BEHIND);
	tcase_add_loop_test(tc, living_child_keeps_nothing_of_its_dead_parent, FIRST, BEHIND);
	tcase_add_loop_test(tc, closefrom_ends_no_attachment, 0, WAYS);
	tcase_add_loop_test(tc, after_closefrom_other_processes_prove_deaths, 0, WAYS);
	return run_suite(s);
}
