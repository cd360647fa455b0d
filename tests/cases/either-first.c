/* SPDX-License-Identifier: MIT */
/*
 * Programs are started in any order: the reader before the writer has made the ring, or its
 * directory, or the broker; several at one moment, of which each would make the ring.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "child.h"
#include "must.h"
#include "room.h"
#include "runner.h"
#include "shmringd.h"
#include "way.h"

enum { OPENERS = 4, RACES = 40, WAITS = 20, NOBODY = 65534 };

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

/* --- the reader first --- */

static void forbid_inotify(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_inotify_init1, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EMFILE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

struct opener {
	const char *address;
	bool without_inotify;
	int error; /* 0: the ring comes */
};

static int open_and_read(int socket, void *arg)
{
	const struct opener *o = arg;
	struct shmring_consumer *c;
	struct shmring_ring *r;
	char text[8];

	if (o->without_inotify)
		forbid_inotify();
	step_tell(socket);
	if (o->error) {
		must_fail(o->error, shmring_open_wait(&r, o->address, patience()));
		return 0;
	}
	must(shmring_open_wait(&r, o->address, patience()));
	must(shmring_consumer_attach(&c, r, NULL));
	ck_assert_int_eq(must(shmring_receive(c, text, sizeof(text), patience())), 5);
	shmring_consumer_detach(c);
	shmring_close(r);
	return 0;
}

static void start_reader(struct child *c, struct opener *o)
{
	child_fork(c, open_and_read, o);
	step_await(c->socket);
}

static void write_hello(const char *address)
{
	struct shmring_config config = small_config();
	struct shmring_producer *p;
	struct shmring_ring *r;

	ck_assert_int_eq(must(shmring_open_or_create(&r, address, &config)), 1);
	must(shmring_producer_attach(&p, r, NULL));
	must(shmring_publish(p, "hello", 5, SHMRING_NOWAIT));
	shmring_producer_detach(p);
	shmring_close(r);
}

static void remove_ring(const char *address)
{
	must(shmring_remove(address));
}

/* With a look each second all these waits would take as many seconds. */
START_TEST(reader_is_woken_when_the_writer_makes_the_ring)
{
	struct opener o = { .address = room_path("ring") };
	int64_t began = clock_now();
	struct child reader;

	for (int i = 0; i < WAITS; i++) {
		start_reader(&reader, &o);
		write_hello(o.address);
		child_end(&reader);
		remove_ring(o.address);
	}
	ck_assert_int_lt(clock_now() - began, WAITS / 2 * SECOND);
}
END_TEST

START_TEST(reader_without_inotify_finds_the_ring)
{
	struct opener o = { .address = room_path("ring"), .without_inotify = true };
	struct child reader;

	if (child_is_emulated())
		room_skip("system calls cannot be filtered");
	start_reader(&reader, &o);
	write_hello(o.address);
	child_end(&reader);
}
END_TEST

/* Two directories on the way are missing; others come and go beside them. */
START_TEST(reader_waits_for_missing_directories)
{
	struct opener o = { .address = room_path("a/b/ring") };
	struct child reader;

	start_reader(&reader, &o);
	ck_assert_int_eq(mkdir(room_path("b"), 0700), 0);
	ck_assert_int_eq(mkdir(room_path("a"), 0700), 0);
	ck_assert_int_eq(rmdir(room_path("a")), 0);
	ck_assert_int_eq(mkdir(room_path("a"), 0700), 0);
	ck_assert_int_eq(mkdir(room_path("a/b"), 0700), 0);
	write_hello(room_path("a/b/other"));
	ck_assert_int_eq(child_look(&reader), CHILD_RUNS);
	write_hello(o.address);
	child_end(&reader);
}
END_TEST

START_TEST(reader_waits_for_the_directory_of_plain_names)
{
	struct opener o = { .address = "plain" };
	struct child reader;

	room_path("shmring");
	start_reader(&reader, &o);
	write_hello(o.address);
	child_end(&reader);
	remove_ring(o.address);
}
END_TEST

/* What is not the absence of a ring is told at once. */
START_TEST(reader_does_not_wait_for_what_cannot_come)
{
	struct shmring_ring *r;
	int fd;

	ck_assert_int_eq(symlink("nowhere", room_path("link")), 0);
	must_fail(ELOOP, shmring_open_wait(&r, room_path("link"), SHMRING_FOREVER));
	must_fail(EISDIR, shmring_open_wait(&r, room_directory(), SHMRING_FOREVER));
	fd = open(room_path("text"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	must_fail(EBADMSG, shmring_open_wait(&r, room_path("text"), SHMRING_FOREVER));
	must_fail(ENOTDIR, shmring_open_wait(&r, "/dev/null/ring", SHMRING_FOREVER));
	must_fail(EINVAL, shmring_open_wait(&r, "", SHMRING_FOREVER));
	must_fail(EINVAL, shmring_open_wait(&r, "broker:no/name", SHMRING_FOREVER));
}
END_TEST

static int open_as_stranger(int socket, void *arg)
{
	ck_assert_int_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
	return open_and_read(socket, arg);
}

/* A ring that comes without permission for this user is told, too. */
START_TEST(reader_without_permission_is_refused_when_the_ring_comes)
{
	struct opener o = { .address = room_path("ring"), .error = EACCES };
	struct child reader;

	if (geteuid() != 0)
		room_skip("needs root, to become another user");
	child_fork(&reader, open_as_stranger, &o);
	step_await(reader.socket);
	write_hello(o.address);
	child_end(&reader);
}
END_TEST

START_TEST(deadline_of_an_open_is_kept)
{
	const char *const addresses[] = { room_path("ring"), room_path("none/ring"), "plain",
					  "broker:ring" };
	int64_t deadline = shmring_deadline(50 * MS);
	const char *address = addresses[_i];
	struct shmring_ring *r;

	ck_assert_int_eq(setenv("SHMRING_BROKER", room_path("broker"), 1), 0);
	must_fail(ETIMEDOUT, shmring_open_wait(&r, address, deadline));
	ck_assert_int_ge(clock_now(), deadline);
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "did not come before the deadline"));
	must_fail(ETIMEDOUT, shmring_open_wait(&r, address, deadline));
	must_fail(_i == 3 ? ECONNREFUSED : ENOENT, shmring_open_wait(&r, address, SHMRING_NOWAIT));
}
END_TEST

static void do_nothing(int signal)
{
	(void)signal;
}

static int open_until_interrupted(int socket, void *arg)
{
	const struct sigaction sa = { .sa_handler = do_nothing };

	ck_assert_int_eq(sigaction(SIGUSR1, &sa, NULL), 0);
	return open_and_read(socket, arg);
}

/* One signal may come before the sleep, and so does no harm; one of several does not. */
START_TEST(signal_interrupts_an_open)
{
	const char *const addresses[] = { room_path("ring"), "broker:ring" };
	struct opener o = { .address = addresses[_i], .error = EINTR };
	struct child reader;

	ck_assert_int_eq(setenv("SHMRING_BROKER", room_path("broker"), 1), 0);
	child_fork(&reader, open_until_interrupted, &o);
	step_await(reader.socket);
	while (child_look(&reader) == CHILD_RUNS)
		kill(reader.pid, SIGUSR1);
}
END_TEST

/* Return when it waits for an answer of the broker. */
static void await_ppoll(const struct child *c)
{
	int64_t limit = patience();
	long call = -1;

	while (call != SYS_ppoll) {
		char path[64];
		FILE *f;

		ck_assert_int_lt(clock_now(), limit);
		snprintf(path, sizeof(path), "/proc/%d/syscall", (int)c->pid);
		f = fopen(path, "re");
		ck_assert_ptr_nonnull(f);
		if (fscanf(f, "%ld", &call) != 1)
			call = -1;
		fclose(f);
	}
}

/* The broker is stopped: most of the time passes while the call waits for an answer. */
START_TEST(signal_interrupts_an_open_at_a_stopped_broker)
{
	struct opener o = { .address = "broker:ring", .error = EINTR };
	struct child reader, broker;

	shmringd_start(&broker, NULL);
	ck_assert_int_eq(kill(broker.pid, SIGSTOP), 0);
	child_fork(&reader, open_until_interrupted, &o);
	step_await(reader.socket);
	await_ppoll(&reader);
	ck_assert_int_eq(kill(reader.pid, SIGUSR1), 0);
	child_end(&reader);
	child_kill(&broker);
}
END_TEST

/* --- all at one moment --- */

struct race {
	const char *address;
	uint32_t flags;
};

struct finish {
	int result;
	uint8_t uuid[16];
};

static int race_to_the_ring(int socket, void *arg)
{
	const struct race *race = arg;
	struct shmring_config config = small_config();
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct finish finish;
	struct shmring_ring *r;

	config.flags = race->flags;
	step_tell(socket);
	step_await(socket);
	finish.result = (int)must(shmring_open_or_create(&r, race->address, &config));
	must(shmring_stat(r, &st));
	memcpy(finish.uuid, st.uuid, sizeof(finish.uuid));
	ck_assert_int_eq(send(socket, &finish, sizeof(finish), 0), sizeof(finish));
	step_await(socket);
	shmring_close(r);
	return 0;
}

/* One makes the ring, and all are in it. */
static void race_once(struct race *race)
{
	struct finish first, finish;
	struct child c[OPENERS];
	int made = 0;

	for (int i = 0; i < OPENERS; i++) {
		child_fork(&c[i], race_to_the_ring, race);
		step_await(c[i].socket);
	}
	for (int i = 0; i < OPENERS; i++)
		step_tell(c[i].socket);
	for (int i = 0; i < OPENERS; i++) {
		ck_assert_int_eq(recv(c[i].socket, &finish, sizeof(finish), 0), sizeof(finish));
		if (i == 0)
			first = finish;
		ck_assert_mem_eq(finish.uuid, first.uuid, sizeof(first.uuid));
		made += finish.result;
	}
	ck_assert_int_eq(made, 1);
	for (int i = 0; i < OPENERS; i++) {
		step_tell(c[i].socket);
		child_end(&c[i]);
	}
	remove_ring(race->address);
}

START_TEST(one_of_several_makes_the_ring_and_the_others_open_it)
{
	struct race race = { .address = room_path("ring"),
			     .flags = _i == 0 ? 0 : SHMRING_EPHEMERAL };

	for (int i = 0; i < RACES; i++)
		race_once(&race);
}
END_TEST

START_TEST(one_of_several_makes_the_ring_of_the_broker)
{
	struct race race = { .address = "broker:ring" };
	struct child broker;

	shmringd_start(&broker, NULL);
	for (int i = 0; i < RACES / 4; i++)
		race_once(&race);
	shmringd_end(&broker);
}
END_TEST

static int join_and_leave_for_ever(int socket, void *arg)
{
	struct shmring_config config = small_config();

	(void)arg;
	config.flags = SHMRING_EPHEMERAL;
	step_tell(socket);
	for (;;) {
		struct shmring_producer *p;
		struct shmring_ring *r;
		int e = shmring_open_or_create(&r, room_path("ring"), &config);

		ck_assert_msg(e >= 0 || e == -EAGAIN, "%s", shmring_explain());
		if (e < 0)
			continue;
		if (shmring_producer_attach(&p, r, NULL) == 0)
			shmring_producer_detach(p);
		shmring_close(r);
	}
}

/* The ring goes with its last user while others come: they make it anew. */
START_TEST(ring_that_goes_with_each_user_is_made_again)
{
	struct shmring_config config = small_config();
	struct child c;
	int made = 0;

	config.flags = SHMRING_EPHEMERAL;
	child_fork(&c, join_and_leave_for_ever, NULL);
	step_await(c.socket);
	for (int i = 0; i < 200; i++) {
		struct shmring_producer *p;
		struct shmring_ring *r;
		int e;

		made += (int)must(shmring_open_or_create(&r, room_path("ring"), &config));
		e = shmring_producer_attach(&p, r, NULL);
		ck_assert_msg(e == 0 || e == -EIDRM, "%s", shmring_explain());
		if (e == 0)
			shmring_producer_detach(p);
		shmring_close(r);
	}
	child_kill(&c);
	ck_assert_int_gt(made, 0);
}
END_TEST

START_TEST(existing_ring_is_opened_unchanged)
{
	struct shmring_config config = small_config(), other = small_config();
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct shmring_ring *r, *again;

	other.lanes = config.lanes + 1;
	other.flags = SHMRING_EPHEMERAL;
	ck_assert_int_eq(must(shmring_open_or_create(&r, room_path("ring"), &config)), 1);
	ck_assert_int_eq(must(shmring_open_or_create(&again, room_path("ring"), &other)), 0);
	must(shmring_stat(again, &st));
	ck_assert_uint_eq(st.lanes, config.lanes);
	ck_assert_uint_eq(st.flags, 0);
	shmring_close(again);
	ck_assert_int_eq(must(shmring_open_or_create(&again, room_path("ring"), NULL)), 0);
	shmring_close(again);
	shmring_close(r);
}
END_TEST

START_TEST(config_is_checked_even_if_the_ring_exists)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r, *none;

	must(shmring_create(&r, room_path("ring"), &config));
	config.flags = SHMRING_ISOLATED;
	must_fail(EINVAL, shmring_open_or_create(&none, room_path("ring"), &config));
	config.flags = SHMRING_EPHEMERAL;
	must_fail(EINVAL, shmring_open_or_create(&none, "broker:ring", &config));
	config.flags = 0;
	config.lane_size = 12345;
	must_fail(EINVAL, shmring_open_or_create(&none, room_path("ring"), &config));
	must_fail(EINVAL, shmring_open_or_create(&none, NULL, NULL));
	must_fail(EINVAL, shmring_open(&none, NULL));
	must_fail(EINVAL, shmring_open_wait(&none, NULL, SHMRING_FOREVER));
	must_fail(EINVAL, shmring_remove(NULL));
	must_fail(EINVAL, shmring_remove_unused(NULL, 0, 0));
	must_fail(ENOENT, shmring_open_or_create(&none, room_path("none/ring"), NULL));
	shmring_close(r);
}
END_TEST

/* --- the broker comes last --- */

START_TEST(reader_waits_for_broker_and_ring)
{
	struct opener o = { .address = "broker:ring" };
	struct child reader, broker;

	ck_assert_int_eq(setenv("SHMRING_BROKER", room_path("broker"), 1), 0);
	start_reader(&reader, &o);
	shmringd_start(&broker, NULL);
	ck_assert_int_eq(child_look(&reader), CHILD_RUNS);
	child_kill(&broker);
	shmringd_restart(&broker);
	write_hello(o.address);
	child_end(&reader);
	remove_ring(o.address);
	shmringd_end(&broker);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("either-first");
	TCase *tc = room_case(s, "either-first", 60);

	tcase_add_test(tc, reader_is_woken_when_the_writer_makes_the_ring);
	tcase_add_test(tc, reader_without_inotify_finds_the_ring);
	tcase_add_test(tc, reader_waits_for_missing_directories);
	tcase_add_test(tc, reader_waits_for_the_directory_of_plain_names);
	tcase_add_test(tc, reader_does_not_wait_for_what_cannot_come);
	tcase_add_test(tc, reader_without_permission_is_refused_when_the_ring_comes);
	tcase_add_loop_test(tc, deadline_of_an_open_is_kept, 0, 4);
	tcase_add_loop_test(tc, signal_interrupts_an_open, 0, 2);
	tcase_add_test(tc, signal_interrupts_an_open_at_a_stopped_broker);
	tcase_add_loop_test(tc, one_of_several_makes_the_ring_and_the_others_open_it, 0, 2);
	tcase_add_test(tc, one_of_several_makes_the_ring_of_the_broker);
	tcase_add_test(tc, ring_that_goes_with_each_user_is_made_again);
	tcase_add_test(tc, existing_ring_is_opened_unchanged);
	tcase_add_test(tc, config_is_checked_even_if_the_ring_exists);
	tcase_add_test(tc, reader_waits_for_broker_and_ring);
	return run_suite(s);
}
