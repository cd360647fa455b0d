/* SPDX-License-Identifier: MIT */
/*
 * Isolated rings while broker, keeper and successor are killed, stopped and replaced, in any
 * order: a ring that was removed does not come back, and one that was made is not lost
 * while one of them has lived on; its messages are there.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "child.h"
#include "must.h"
#include "random.h"
#include "raw.h"
#include "room.h"
#include "runner.h"
#include "server.h"

static const char rules[] = "rules = ( { who = \"*\"; rings = \"*\"; allow = [ \"all\" ]; "
			    "isolated = true; } );\n";

static void begin(struct server *b, bool keeper)
{
	const char *extra[] = { "--config", server_config(rules), keeper ? "--keeper" : NULL,
				NULL };

	room_path("rings/.keeper");
	room_path("rings/.keeper.new");
	server_start(b, extra);
	ck_assert_int_eq(setenv("SHMRING_BROKER", b->socket, 1), 0);
}

/* --- rings --- */

/* Each ring has as many unread messages as its number says. */
static void make(unsigned number)
{
	struct shmring_config config = { .size = sizeof(config),
					 .lanes = 1,
					 .lane_size = 65536,
					 .unread_policy = SHMRING_UNREAD_HOLD };
	struct shmring_producer *p;
	struct shmring_ring *r;
	char name[32];

	snprintf(name, sizeof(name), "broker:ring-%u", number);
	must(shmring_create(&r, name, &config));
	must(shmring_producer_attach(&p, r, NULL));
	for (unsigned i = 0; i <= number % 8; i++)
		must(shmring_publish(p, &number, sizeof(number), SHMRING_NOWAIT));
	shmring_producer_detach(p);
	shmring_close(r);
}

static void remove_one(unsigned number)
{
	char name[32];

	snprintf(name, sizeof(name), "broker:ring-%u", number);
	must(shmring_remove(name));
}

static void audit_one(unsigned number)
{
	const struct shmring_consumer_options from = { .size = sizeof(from),
						       .start = SHMRING_START_OLDEST,
						       .flags = SHMRING_OBSERVE };
	struct shmring_consumer *c;
	struct shmring_ring *r;
	unsigned got = 0;
	char name[32];

	snprintf(name, sizeof(name), "broker:ring-%u", number);
	must(shmring_open(&r, name));
	must(shmring_consumer_attach(&c, r, &from));
	for (unsigned i = 0; i <= number % 8; i++) {
		ck_assert_int_eq(must(shmring_receive(c, &got, sizeof(got), patience())),
				 sizeof(got));
		ck_assert_uint_eq(got, number);
	}
	shmring_consumer_detach(c);
	shmring_close(r);
}

/* Exactly the rings whose bit is set are there, whole. */
static void audit(uint64_t rings)
{
	struct shmring_broker_ring entry = { .size = sizeof(entry) };
	struct shmring_broker *broker;
	uint64_t found = 0;
	unsigned number;

	must(shmring_broker_open(&broker, NULL));
	entry.name[0] = '\0';
	while (must(shmring_broker_next(broker, entry.name[0] ? entry.name : NULL, &entry)) == 1) {
		ck_assert_int_eq(sscanf(entry.name, "ring-%u", &number), 1);
		found |= UINT64_C(1) << number;
	}
	shmring_broker_close(broker);
	ck_assert_msg(found == rings, "rings %#lx instead of %#lx", (unsigned long)found,
		      (unsigned long)rings);
	for (unsigned i = 0; i < 64; i++)
		if (rings >> i & 1)
			audit_one(i);
}

static void remove_all(uint64_t rings)
{
	for (unsigned i = 0; i < 64; i++)
		if (rings >> i & 1)
			remove_one(i);
}

/* --- keepers --- */

static char state_of(pid_t pid)
{
	char path[64], state = '?';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return '-';
	if (fscanf(f, "%*d %*s %c", &state) != 1)
		state = '?';
	fclose(f);
	return state;
}

static void await_state(pid_t pid, const char *states)
{
	int64_t limit = patience();

	while (!strchr(states, state_of(pid))) {
		ck_assert_int_lt(clock_now(), limit);
		poll(NULL, 0, 1);
	}
}

static void stop(pid_t keeper)
{
	ck_assert_int_eq(kill(keeper, SIGSTOP), 0);
	await_state(keeper, "Tt");
}

static void end(pid_t keeper)
{
	ck_assert_int_eq(kill(keeper, SIGKILL), 0);
	await_state(keeper, "-Z");
}

static void go_on(pid_t keeper)
{
	ck_assert_int_eq(kill(keeper, SIGCONT), 0);
}

/* The broker has ended, and no file is kept: all keepers end by themselves. */
static void await_keepers(void)
{
	while (waitpid(-1, NULL, 0) > 0)
		;
	ck_assert_int_eq(errno, ECHILD);
}

enum { MANY = 400 };

static void make_and_remove_many(void)
{
	for (unsigned i = 0; i < MANY; i++) {
		make(i % 60);
		remove_one(i % 60);
	}
}

/* More words than fit into its queue: another keeper takes its place, with everything. */
START_TEST(a_stopped_keeper_is_replaced)
{
	struct server b;
	pid_t keeper;

	begin(&b, true);
	keeper = server_keeper(&b);
	make(60);
	make(61);
	stop(keeper);
	make_and_remove_many();
	remove_one(60);
	make(62);
	server_await_words(&b, "a new keeper replaces it");
	audit(UINT64_C(6) << 60);
	server_kill(&b);
	begin(&b, true);
	audit(UINT64_C(6) << 60);
	go_on(keeper);
	await_state(keeper, "-Z"); /* nobody can find it */
	audit(UINT64_C(6) << 60);
	remove_all(UINT64_C(6) << 60);
	server_stop(&b);
	await_keepers();
}
END_TEST

static void upgrade(struct server *b)
{
	server_signal(b, SIGUSR2);
	server_await(b, "RELOADING=1");
	server_await(b, "READY=1");
}

/*
 * Nothing is started, so the words wait, or the successor has to say them; what the broker
 * cannot promise it says.
 */
START_TEST(messages_queue_while_the_keeper_cannot_be_replaced)
{
	struct server b;
	pid_t keeper;

	begin(&b, true);
	keeper = server_keeper(&b);
	make(60);
	server_kill(&b);
	begin(&b, false);
	stop(keeper);
	make_and_remove_many();
	server_await_words(&b, "changes of isolated rings may be lost with this broker");
	remove_one(60);
	make(62);
	if (_i == 1)
		upgrade(&b);
	go_on(keeper);
	if (_i == 0)
		server_await_words(&b, "the keeper of isolated rings goes on");
	server_kill(&b);
	begin(&b, false);
	audit(UINT64_C(4) << 60);
	remove_one(62);
	server_stop(&b);
	await_keepers();
}
END_TEST

START_TEST(queued_messages_are_sent_before_the_end)
{
	struct server b;
	pid_t keeper;

	begin(&b, true);
	keeper = server_keeper(&b);
	make(60);
	stop(keeper);
	make_and_remove_many();
	remove_one(60);
	make(62);
	server_stop(&b);
	begin(&b, true);
	audit(UINT64_C(4) << 60);
	remove_one(62);
	go_on(keeper);
	server_stop(&b);
	await_keepers();
}
END_TEST

START_TEST(a_killed_keeper_is_replaced)
{
	struct server b;
	pid_t keeper;

	begin(&b, true);
	make(60);
	for (unsigned i = 0; i < 2; i++) {
		keeper = server_keeper(&b);
		end(keeper);
		while (server_keeper(&b) == keeper)
			;
		make(61 + i);
	}
	server_kill(&b);
	begin(&b, true);
	audit(UINT64_C(7) << 60);
	remove_all(UINT64_C(7) << 60);
	server_stop(&b);
	await_keepers();
}
END_TEST

/* The next broker gets everything from its predecessor, whatever the keeper does. */
START_TEST(an_upgrade_needs_no_keeper)
{
	struct server b;
	pid_t keeper;
	int64_t start;

	begin(&b, true);
	keeper = server_keeper(&b);
	make(60);
	if (_i == 0)
		end(keeper);
	else
		stop(keeper);
	remove_one(60);
	make(61);
	make(62);
	start = clock_now();
	upgrade(&b);
	ck_assert_int_lt(clock_now() - start, INT64_C(4000000000));
	audit(UINT64_C(6) << 60);
	if (_i == 1)
		go_on(keeper);
	/* The keeper learns from the successor what it has not learned from the predecessor. */
	remove_one(61);
	make(63);
	server_kill(&b);
	begin(&b, true);
	audit(UINT64_C(12) << 60);
	remove_all(UINT64_C(12) << 60);
	server_stop(&b);
	await_keepers();
}
END_TEST

/* The rings cannot be reached, but are not lost, and no other ring gets their names. */
START_TEST(a_stopped_keeper_is_waited_for)
{
	struct shmring_config config = { .size = sizeof(config), .lanes = 1 };
	struct shmring_ring *r;
	struct server b;
	pid_t keeper;

	begin(&b, true);
	keeper = server_keeper(&b);
	make(60);
	server_kill(&b);
	stop(keeper);
	begin(&b, true);
	ck_assert(server_said(&b, "does not answer"));
	must_fail(EBUSY, shmring_open(&r, "broker:ring-60"));
	must_fail(EBUSY, shmring_create(&r, "broker:ring-60", &config));
	must_fail(EBUSY, shmring_remove("broker:ring-60"));
	if (_i == 0) {
		go_on(keeper);
		server_await_words(&b, "has given its rings back");
		audit(UINT64_C(1) << 60);
		remove_one(60);
		make(60);
	} else {
		end(keeper);
		server_await_words(&b, "the keeper of isolated rings has ended");
		server_keeper(&b); /* another one */
		make(60);
	}
	server_kill(&b);
	begin(&b, true);
	audit(UINT64_C(1) << 60);
	remove_one(60);
	server_stop(&b);
	await_keepers();
}
END_TEST

/* Otherwise the keeper would stay for ever, with its files. */
START_TEST(keeper_whose_socket_was_removed_ends)
{
	struct server b;
	pid_t keeper;

	begin(&b, true);
	keeper = server_keeper(&b);
	make(60);
	server_kill(&b);
	poll(NULL, 0, 100); /* it waits for a broker by then; if not, it notices earlier */
	ck_assert_int_eq(unlink(room_path("rings/.keeper")), 0);
	await_state(keeper, "-Z");
	await_keepers();
}
END_TEST

/* --- answers stay true --- */

enum step { NOTHING, MAKING, MADE, REMOVING, REMOVED };
enum { STEPS = 2000, ROUNDS = 8 };

/* It goes on until the broker dies; each step is noted before it is asked for, and after. */
static int make_and_note(int socket, void *arg)
{
	uint8_t *steps = arg;
	struct shmring_config config = { .size = sizeof(config), .lanes = 1, .lane_size = 65536 };
	struct shmring_ring *r;
	char name[32];

	step_tell(socket);
	for (unsigned i = 0; i < STEPS; i++) {
		snprintf(name, sizeof(name), "broker:ring-%u", i);
		steps[i] = MAKING;
		if (shmring_create(&r, name, &config) < 0)
			return 0;
		steps[i] = MADE;
		shmring_close(r);
		if (i % 3 == 0)
			continue;
		steps[i] = REMOVING;
		if (shmring_remove(name) < 0)
			return 0;
		steps[i] = REMOVED;
	}
	return 0;
}

static bool is_there(unsigned number)
{
	struct shmring_ring *r;
	char name[32];

	snprintf(name, sizeof(name), "broker:ring-%u", number);
	if (shmring_open(&r, name) < 0)
		return false;
	shmring_close(r);
	return true;
}

static void audit_and_remove(const uint8_t *steps)
{
	for (unsigned i = 0; i < STEPS; i++) {
		bool there = steps[i] != NOTHING && is_there(i);

		ck_assert_msg(steps[i] != MADE || there, "ring %u was made, and is lost", i);
		ck_assert_msg(steps[i] != REMOVED || !there, "ring %u was removed, and is back", i);
		if (there)
			remove_one(i);
	}
}

/*
 * The keeper is stopped and soon has no room for further words; the broker is killed before,
 * while or after a client waits for that reason.
 */
START_TEST(answers_hold_although_the_broker_is_killed)
{
	uint8_t *steps =
		mmap(NULL, STEPS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t seed = 1;

	ck_assert_ptr_ne(steps, MAP_FAILED);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct child client;
		struct server b;
		pid_t keeper;

		memset(steps, NOTHING, STEPS);
		begin(&b, true);
		keeper = server_keeper(&b);
		stop(keeper);
		child_fork(&client, make_and_note, steps);
		step_await(client.socket);
		poll(NULL, 0, (int)random_below(&seed, 900)); /* any moment will do */
		server_kill(&b);
		child_end(&client);
		go_on(keeper);
		begin(&b, true);
		audit_and_remove(steps);
		server_stop(&b);
		await_keepers();
	}
	munmap(steps, STEPS);
}
END_TEST

/* --- systemd --- */

static void metrics_must_have(const char *line)
{
	int s = raw_hello(getenv("SHMRING_BROKER"));
	char *text;

	ck_assert_int_eq(raw_metrics(s, &text), 0);
	ck_assert_msg(strstr(text, line) != NULL, "%s is not in the metrics", line);
	free(text);
	close(s);
}

/* The test plays systemd. It has room for two rings of one lane, and not for a third one. */
START_TEST(full_descriptor_store_is_reported)
{
	const char *extra[] = { "--config", server_config(rules), NULL };
	struct shmring_config config = { .size = sizeof(config), .lanes = 1 };
	struct shmring_ring *r;
	struct server b;

	ck_assert_int_eq(setenv("FDSTORE", "6", 1), 0);
	server_start(&b, extra);
	ck_assert_int_eq(setenv("SHMRING_BROKER", b.socket, 1), 0);
	make(1);
	ck_assert(!server_said(&b, "FileDescriptorStoreMax"));
	make(2);
	server_await(&b, "STATUS=Isolated rings need 6 of the 6 descriptors");
	metrics_must_have("shmringd_descriptor_store_reserved 6\n");
	metrics_must_have("shmringd_descriptor_store_size 6\n");
	metrics_must_have("shmringd_keeper 1\n");
	ck_assert(server_said(&b, "isolated rings need 6 of the 6 descriptors that systemd keeps"));
	must_fail(ENOSPC, shmring_create(&r, "broker:ring-3", &config));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "FileDescriptorStoreMax"));
	audit(6);
	/* A removed ring makes room. */
	remove_one(1);
	server_await(&b, "STATUS=Isolated rings need 3 of the 6 descriptors");
	make(3);
	config.lanes = 64;
	must_fail(ENOSPC, shmring_create(&r, "broker:ring-4", &config));
	audit(12);
	remove_all(12);
	server_stop(&b);
}
END_TEST

/* --- every order --- */

enum event { KILL_KEEPER, STOP_KEEPER, CONTINUE_KEEPER, KILL_BROKER, UPGRADE, EVENTS };

struct play {
	struct server b;
	pid_t keepers[8]; /* that there have been */
	unsigned keeper_count;
	bool stopped; /* the one that is there */
	uint64_t rings;
	unsigned made;
};

static pid_t current(struct play *p)
{
	pid_t keeper =
		server_has_keeper(&p->b) ? server_keeper(&p->b) : p->keepers[p->keeper_count - 1];

	for (unsigned i = 0; i < p->keeper_count; i++)
		if (p->keepers[i] == keeper)
			return keeper;
	p->keepers[p->keeper_count++] = keeper;
	return keeper;
}

static void change(struct play *p)
{
	make(p->made);
	p->rings |= UINT64_C(1) << p->made++;
	if (p->made > 1) {
		remove_one(p->made - 2);
		p->rings &= ~(UINT64_C(1) << (p->made - 2));
	}
	make(p->made);
	p->rings |= UINT64_C(1) << p->made++;
}

static void happen(struct play *p, enum event e)
{
	pid_t keeper = current(p);

	switch (e) {
	case KILL_KEEPER:
		end(keeper);
		p->stopped = false;
		while (server_keeper(&p->b) == keeper)
			; /* the broker starts another one */
		current(p);
		break;
	case STOP_KEEPER:
		stop(keeper);
		p->stopped = true;
		break;
	case CONTINUE_KEEPER:
		go_on(keeper);
		p->stopped = false;
		break;
	case UPGRADE:
		upgrade(&p->b);
		break;
	default:
		server_kill(&p->b);
		if (p->stopped) /* the successor would wait for it */
			go_on(keeper);
		p->stopped = false;
		begin(&p->b, true);
		break;
	}
}

/* Any three events one after the other, and changes of rings before, between and after. */
START_TEST(every_order_of_deaths_and_stops)
{
	for (unsigned n = 0; n < EVENTS * EVENTS; n++) {
		struct play p = { 0 };

		begin(&p.b, true);
		p.keepers[p.keeper_count++] = server_keeper(&p.b);
		change(&p);
		happen(&p, (enum event)_i);
		change(&p);
		happen(&p, (enum event)(n % EVENTS));
		change(&p);
		happen(&p, (enum event)(n / EVENTS));
		change(&p);
		happen(&p, KILL_BROKER);
		audit(p.rings);
		remove_all(p.rings);
		server_stop(&p.b);
		await_keepers();
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("keeper");
	TCase *tc = room_case(s, "keeper", 60);

	tcase_add_test(tc, a_stopped_keeper_is_replaced);
	tcase_add_loop_test(tc, messages_queue_while_the_keeper_cannot_be_replaced, 0, 2);
	tcase_add_test(tc, queued_messages_are_sent_before_the_end);
	tcase_add_test(tc, a_killed_keeper_is_replaced);
	tcase_add_loop_test(tc, an_upgrade_needs_no_keeper, 0, 2);
	tcase_add_loop_test(tc, a_stopped_keeper_is_waited_for, 0, 2);
	tcase_add_test(tc, keeper_whose_socket_was_removed_ends);
	tcase_add_test(tc, answers_hold_although_the_broker_is_killed);
	tcase_add_test(tc, full_descriptor_store_is_reported);
	tc = room_case(s, "orders", 120);
	tcase_add_loop_test(tc, every_order_of_deaths_and_stops, 0, EVENTS);
	return run_suite(s);
}
