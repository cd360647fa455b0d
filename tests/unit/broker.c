/* SPDX-License-Identifier: MIT */
/*
 * The client side of the broker against a broker that does everything right (fake.h),
 * that plays a trick, that dies and comes back; and, without any, what the core does
 * about a fork in the midst of an attach.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>
#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "fake.h"
#include "must.h"
#include "ring.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 9, SECOND = 1000000000 };

static struct fake *fake;
static struct child broker;

static void begin(void)
{
	fake = fake_new();
	fake_start(fake, &broker);
}

static void end(void)
{
	fake_kill(fake, &broker);
	fake_free(fake);
}

static struct shmring_ring *open_ring(void)
{
	struct shmring_ring *r;

	must(shmring_open(&r, "broker:ring"));
	return r;
}

/* One message from a producer to a consumer that comes now. */
static void use(struct shmring_ring *r)
{
	struct shmring_consumer *c = consumer_attach(r, NULL, SHMRING_START_NOW, 0);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_message m;

	must(shmring_publish(p, "hello", 5, SHMRING_NOWAIT));
	must(shmring_peek(c, SHMRING_NOWAIT, &m));
	ck_assert_uint_eq(m.len, 5);
	must(shmring_release(c));
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
}

START_TEST(ring_is_used_like_any_other)
{
	struct shmring_ring *r, *file;
	struct shmring_producer *p;
	struct shmring_consumer *c, *o;
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct audit audit, observed;

	begin();
	r = open_ring();
	p = producer_attach(r);
	c = consumer_attach(r, "kept", SHMRING_START_DEFAULT, 0);
	o = consumer_attach(r, NULL, SHMRING_START_OLDEST, SHMRING_OBSERVE);
	ck_assert_uint_eq(fake->received[PROTO_ATTACH], 3);
	ck_assert_uint_eq(fake->connections, 1);
	publish_numbers(p, SOURCE, 0, 100, 300);
	audit_begin(&audit, true);
	audit_begin(&observed, true);
	ck_assert_uint_eq(consume_all(c, &audit), 100);
	ck_assert_uint_eq(consume_all(o, &observed), 100);
	audit_must_be(&audit, 100, 0);
	audit_must_be(&observed, 100, 0);
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.producers, 1);
	ck_assert_uint_eq(st.consumers, 1);
	must(shmring_open(&file, fake->ring)); /* it is the same one */
	must(shmring_stat(file, &st));
	ck_assert_uint_eq(st.consumers, 1);
	shmring_close(file);
	shmring_consumer_detach(o);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	fake_await(fake, PROTO_DETACH, 3);
	ck_assert_int_eq((int)must(shmring_reap(r)), 0);
	must(shmring_forget(r, "kept"));
	fake_await(fake, PROTO_DETACH, 5);
	shmring_close(r);
	fake_await_open(fake, 0);
	end();
}
END_TEST

/* The broker is to know that it is used. */
START_TEST(conversation_lasts_as_long_as_an_attachment)
{
	struct shmring_ring *r;
	struct shmring_producer *p;

	begin();
	r = open_ring();
	p = producer_attach(r);
	shmring_close(r);
	must(shmring_publish(p, "hello", 5, SHMRING_NOWAIT));
	ck_assert_uint_eq(fake->open, 1);
	shmring_producer_detach(p);
	fake_await_open(fake, 0);
	ck_assert_uint_eq(fake->received[PROTO_DETACH], 1);
	end();
}
END_TEST

START_TEST(shape_of_a_new_ring_is_sent)
{
	struct shmring_config config = {
		.size = sizeof(config),
		.lane_size = 1 << 20,
		.lanes = 3,
		.alignment = 64,
		.slow_policy = 1,
		.unread_policy = SHMRING_UNREAD_HOLD,
		.evict_after_ns = 2 * SECOND,
		.max_sleep_ns = 5000000,
		.wake = 1,
		.mode = 0640,
		.first_position = 1 << 30,
		.flags = SHMRING_PERSISTENT,
	};
	const struct proto_config *said;
	struct shmring_ring *r;

	begin();
	said = &fake->config;
	must(shmring_create(&r, "broker:ring", &config));
	shmring_close(r);
	ck_assert_uint_eq(fake->flags, PROTO_MAKE | PROTO_PERSISTENT);
	ck_assert_uint_eq(said->lane_size, config.lane_size);
	ck_assert_uint_eq(said->lanes, 3);
	ck_assert_uint_eq(said->alignment, 64);
	ck_assert_uint_eq(said->slow_policy, 1);
	ck_assert_uint_eq(said->unread_policy, 1);
	ck_assert_uint_eq(said->evict_after_ns, config.evict_after_ns);
	ck_assert_uint_eq(said->max_sleep_ns, config.max_sleep_ns);
	ck_assert_uint_eq(said->wake, 1);
	ck_assert_uint_eq(said->mode, 0640);
	ck_assert_uint_eq(said->first_position, config.first_position);
	must(shmring_create(&r, "broker:ring", NULL));
	shmring_close(r);
	ck_assert_uint_eq(fake->flags, PROTO_MAKE);
	ck_assert_uint_eq(said->lanes, 0);
	config.lanes = 65;
	must_fail(EINVAL, shmring_create(&r, "broker:ring", &config));
	config.lanes = 1;
	config.flags = 4;
	must_fail(EINVAL, shmring_create(&r, "broker:ring", &config));
	config.flags = SHMRING_PERSISTENT; /* is for the broker only */
	must_fail(EINVAL, shmring_create(&r, room_path("file"), &config));
	ck_assert_uint_eq(fake->received[PROTO_OPEN], 2);
	must(shmring_remove("broker:ring"));
	fake_await(fake, PROTO_REMOVE, 1);
	end();
}
END_TEST

START_TEST(refusal_says_what_is_allowed)
{
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct shmring_ring *r;

	fake = fake_new();
	fake->rights = PROTO_OBSERVE | PROTO_CONSUME;
	fake_start(fake, &broker);
	r = open_ring();
	must_fail(EACCES, shmring_producer_attach(&p, r, NULL));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "rule 7 says no"));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "may consume observe"));
	must(shmring_reap(r));
	shmring_consumer_detach(consumer_attach(r, NULL, SHMRING_START_NOW, 0));
	shmring_close(r);
	fake->rights = PROTO_PRODUCE;
	r = open_ring();
	must_fail(EACCES, shmring_consumer_attach(&c, r, NULL));
	must(shmring_reap(r));
	shmring_producer_detach(producer_attach(r));
	shmring_close(r);
	fake->rights = 0;
	r = open_ring();
	must_fail(EACCES, shmring_reap(r));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "nothing"));
	shmring_close(r);
	end();
}
END_TEST

/* The results of the calls for each trick; each time the client frees everything. */
static const struct {
	enum trick trick;
	enum proto_type at;
	int error;
} tricks[] = {
	{ TRICK_LAST_WORDS, PROTO_HELLO, EDQUOT },    { TRICK_REFUSE, PROTO_HELLO, EACCES },
	{ TRICK_WRONG_SERIAL, PROTO_HELLO, EPROTO },  { TRICK_WRONG_TYPE, PROTO_HELLO, EPROTO },
	{ TRICK_GARBAGE, PROTO_HELLO, EPROTO },	      { TRICK_WRONG_VERSION, PROTO_HELLO, EPROTO },
	{ TRICK_FEATURES, PROTO_HELLO, EPROTO },      { TRICK_REFUSE, PROTO_OPEN, EACCES },
	{ TRICK_LAST_WORDS, PROTO_OPEN, EDQUOT },     { TRICK_MUTE_REFUSAL, PROTO_OPEN, EDQUOT },
	{ TRICK_WRONG_SERIAL, PROTO_OPEN, EPROTO },   { TRICK_WRONG_TYPE, PROTO_OPEN, EPROTO },
	{ TRICK_GARBAGE, PROTO_OPEN, EPROTO },	      { TRICK_NO_RING, PROTO_OPEN, EINVAL },
	{ TRICK_OTHER_RING, PROTO_OPEN, EPROTO },     { TRICK_OTHER_UUID, PROTO_OPEN, EPROTO },
	{ TRICK_REFUSE, PROTO_ATTACH, EACCES },	      { TRICK_WRONG_SERIAL, PROTO_ATTACH, EPROTO },
	{ TRICK_WRONG_TYPE, PROTO_ATTACH, EPROTO },   { TRICK_GARBAGE, PROTO_ATTACH, EPROTO },
	{ TRICK_LAST_WORDS, PROTO_ATTACH, EDQUOT },   { TRICK_WRONG_GO, PROTO_ATTACH, EPROTO },
	{ TRICK_NO_RING, PROTO_ATTACH, ESTALE },      { TRICK_OTHER_RING, PROTO_ATTACH, ESTALE },
	{ TRICK_READ_ONLY, PROTO_ATTACH, EACCES },    { TRICK_REFUSE, PROTO_NEXT, EACCES },
	{ TRICK_WRONG_SERIAL, PROTO_NEXT, EPROTO },   { TRICK_GARBAGE, PROTO_NEXT, EPROTO },
	{ TRICK_HANG_UP, PROTO_NEXT, ECONNRESET },    { TRICK_REFUSE, PROTO_METRICS, EACCES },
	{ TRICK_WRONG_TYPE, PROTO_METRICS, EPROTO },  { TRICK_UNSEALED, PROTO_METRICS, EPROTO },
	{ TRICK_SHORT_TEXT, PROTO_METRICS, EPROTO },  { TRICK_REFUSE, PROTO_REMOVE, EACCES },
	{ TRICK_WRONG_SERIAL, PROTO_REMOVE, EPROTO }, { TRICK_HANG_UP, PROTO_REMOVE, ECONNRESET },
	{ TRICK_LAST_WORDS, PROTO_REMOVE, EDQUOT },
};

static void do_everything(enum proto_type at, int error)
{
	struct shmring_broker_ring entry = { .size = sizeof(entry) };
	struct shmring_broker *b = NULL;
	struct shmring_producer *p;
	struct shmring_ring *r;
	int fd;

	switch (at) {
	case PROTO_HELLO:
	case PROTO_OPEN:
		must_fail(error, shmring_open(&r, "broker:ring"));
		break;
	case PROTO_ATTACH:
		r = open_ring();
		must_fail(error, shmring_producer_attach(&p, r, NULL));
		fake->trick = TRICK_NONE;
		use(r); /* it goes on, if need be with another conversation */
		shmring_close(r);
		break;
	case PROTO_REMOVE:
		must_fail(error, shmring_remove("broker:ring"));
		break;
	default:
		must(shmring_broker_open(&b, NULL));
		if (at == PROTO_NEXT)
			must_fail(error, shmring_broker_next(b, "", &entry));
		else
			must_fail(error, shmring_broker_metrics(b, &fd));
		shmring_broker_close(b);
	}
}

START_TEST(tricks_of_a_broker_are_noticed)
{
	begin();
	fake->trick = tricks[_i].trick;
	fake->at = tricks[_i].at;
	do_everything(tricks[_i].at, tricks[_i].error);
	fake_await_open(fake, 0);
	end();
}
END_TEST

/* The broker dies in the middle of an answer, and is back at once. */
START_TEST(interrupted_question_is_asked_again)
{
	static const struct {
		enum trick trick;
		enum proto_type at;
	} ends[] = { { TRICK_HANG_UP, PROTO_HELLO },
		     { TRICK_HANG_UP, PROTO_OPEN },
		     { TRICK_HANG_UP, PROTO_ATTACH },
		     { TRICK_NO_GO, PROTO_ATTACH } };
	struct shmring_ring *r;

	begin();
	fake->times = 2;
	fake->at = ends[_i].at;
	fake->trick = ends[_i].trick;
	r = open_ring();
	use(r);
	ck_assert_uint_eq(fake->connections, 3);
	shmring_close(r);
	end();
}
END_TEST

START_TEST(broker_that_always_hangs_up_is_given_up)
{
	int64_t start = clock_now();
	struct shmring_ring *r;

	begin();
	fake->at = PROTO_ATTACH;
	fake->trick = TRICK_HANG_UP;
	r = open_ring();
	must_fail(ECONNRESET, shmring_reap(r));
	ck_assert_int_ge(clock_now() - start, SECOND);
	shmring_close(r);
	end();
}
END_TEST

/* Five seconds, and a new conversation for the next question. */
START_TEST(silent_broker_is_waited_for_within_a_limit)
{
	int64_t start = clock_now();
	struct shmring_ring *r;

	begin();
	r = open_ring();
	fake->times = 1;
	fake->at = PROTO_ATTACH;
	fake->trick = _i ? TRICK_SILENT_GO : TRICK_SILENCE;
	must_fail(ETIMEDOUT, shmring_reap(r));
	ck_assert_int_ge(clock_now() - start, (int64_t)4 * SECOND);
	use(r);
	ck_assert_uint_eq(fake->connections, 2);
	shmring_close(r);
	end();
}
END_TEST

static int continue_later(int socket, void *arg)
{
	const struct timespec later = { .tv_nsec = 300000000 };

	(void)socket;
	clock_nanosleep(CLOCK_MONOTONIC, 0, &later, NULL);
	return kill(*(pid_t *)arg, SIGCONT);
}

/* A stopped broker accepts no connections, and at some time the kernel accepts none, either. */
START_TEST(full_queue_is_waited_for)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int waiting[FAKE_CLIENTS], count = 0;
	struct shmring_ring *r;
	struct child c;

	begin();
	strcpy(a.sun_path, fake->socket);
	child_stop(&broker);
	do {
		ck_assert_int_lt(count, FAKE_CLIENTS - 1);
		waiting[count] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	} while (connect(waiting[count++], (struct sockaddr *)&a, sizeof(a)) == 0);
	ck_assert_int_eq(errno, EAGAIN);
	child_fork(&c, continue_later, &broker.pid);
	r = open_ring();
	child_end(&c);
	while (count > 0)
		close(waiting[--count]);
	shmring_close(r);
	end();
}
END_TEST

static void ignore(int number)
{
	(void)number;
}

START_TEST(signals_do_not_interrupt_the_wait)
{
	struct sigaction act = { .sa_handler = ignore }, old;
	struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = { 0 };
	struct shmring_ring *r;

	begin();
	r = open_ring();
	fake->at = PROTO_ATTACH;
	fake->trick = TRICK_SLOWLY;
	ck_assert_int_eq(sigaction(SIGALRM, &act, &old), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	must(shmring_reap(r));
	fake->trick = TRICK_NO_GO; /* nor the pause before the next try */
	fake->times = 3;
	must(shmring_reap(r));
	ck_assert_uint_eq(fake->connections, 4);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	ck_assert_int_eq(sigaction(SIGALRM, &old, NULL), 0);
	shmring_close(r);
	end();
}
END_TEST

START_TEST(attached_roles_do_not_notice_that_the_broker_is_killed)
{
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct audit audit;
	struct shmring_ring *r;

	begin();
	r = open_ring();
	p = producer_attach(r);
	c = consumer_attach(r, NULL, SHMRING_START_DEFAULT, 0);
	audit_begin(&audit, true);
	for (unsigned i = 0; i < 5; i++) {
		publish_numbers(p, SOURCE, i * 100, 50, 300);
		fake_kill(fake, &broker);
		publish_numbers(p, SOURCE, i * 100 + 50, 50, 300);
		ck_assert_uint_eq(consume_all(c, &audit), 100);
		fake_start(fake, &broker);
		use(r); /* comes back under the same name */
		ck_assert_uint_eq(consume_all(c, &audit), 1);
		audit.faults[AUDIT_CORRUPT] = 0; /* "hello" is no message of the auditor */
	}
	audit.first_fault[0] = '\0';
	audit_must_be(&audit, 505, 0);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
	end();
}
END_TEST

START_TEST(successor_is_waited_for)
{
	struct shmring_ring *r, *again;

	begin();
	r = open_ring();
	fake_kill(fake, &broker);
	fake->delay_ns = 300000000;
	fake_start(fake, &broker);
	must(shmring_reap(r));
	fake_kill(fake, &broker);
	fake_start(fake, &broker);
	must(shmring_open(&again, "broker:ring"));
	shmring_close(again);
	shmring_close(r);
	end();
}
END_TEST

START_TEST(successor_that_does_not_come)
{
	struct shmring_ring *r, *again;

	begin();
	r = open_ring();
	fake_kill(fake, &broker);
	must_fail(ECONNREFUSED, shmring_reap(r));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "start shmringd"));
	ck_assert_int_eq(unlink(fake->socket), 0); /* no broker was ever there */
	must_fail(ECONNREFUSED, shmring_open(&again, "broker:ring"));
	fake_start(fake, &broker);
	must(shmring_reap(r));
	shmring_close(r);
	end();
}
END_TEST

START_TEST(name_of_another_ring_is_noticed)
{
	struct shmring_ring *r;

	begin();
	r = open_ring();
	fake_kill(fake, &broker);
	ck_assert_int_eq(rename(fake->other, fake->ring), 0);
	fake_start(fake, &broker);
	must_fail(ESTALE, shmring_reap(r));
	must_fail(ESTALE, shmring_reap(r));
	ck_assert_int_eq(unlink(fake->ring), 0);
	must_fail(ENOENT, shmring_reap(r));
	shmring_close(r);
	end();
}
END_TEST

static int join_and_use(int socket, void *arg)
{
	struct shmring_producer *p;
	struct shmring_ring *r = arg;

	must_fail(ECHILD, shmring_producer_attach(&p, r, NULL));
	must(shmring_join(r));
	use(r);
	step_tell(socket);
	step_await(socket);
	shmring_close(r);
	return 0;
}

static int close_inherited(int socket, void *arg)
{
	(void)socket;
	shmring_close(arg);
	return 0;
}

START_TEST(child_has_a_conversation_of_its_own)
{
	struct child c;
	struct shmring_ring *r;

	begin();
	r = open_ring();
	child_fork(&c, close_inherited, r);
	child_end(&c);
	use(r);
	ck_assert_uint_eq(fake->connections, 1);
	child_fork(&c, join_and_use, r);
	step_await(c.socket);
	ck_assert_uint_eq(fake->open, 2);
	step_tell(c.socket);
	child_end(&c);
	fake_await_open(fake, 1);
	use(r);
	ck_assert_uint_eq(fake->connections, 2);
	shmring_close(r);
	end();
}
END_TEST

static int wait_to_end(int socket, void *arg)
{
	(void)arg;
	step_await(socket);
	return 0;
}

/* A child that does nothing with it keeps the descriptor, but not the conversation. */
START_TEST(close_ends_the_conversation_although_a_child_has_a_copy)
{
	struct child c;
	struct shmring_ring *r;

	begin();
	r = open_ring();
	child_fork(&c, wait_to_end, NULL);
	shmring_close(r);
	fake_await_open(fake, 0);
	step_tell(c.socket);
	child_end(&c);
	end();
}
END_TEST

static int our_socket(void)
{
	struct stat st;

	for (int fd = 3; fd < 256; fd++)
		if (fd != broker.socket && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
			return fd;
	ck_abort_msg("there is no socket");
}

/* Programs close descriptors that they do not know, and get their numbers. */
START_TEST(foreign_descriptor_is_left_alone)
{
	int ends[2], fd;
	struct shmring_ring *r;
	char byte;

	begin();
	r = open_ring();
	fd = our_socket();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(dup3(ends[0], fd, O_CLOEXEC), fd);
	use(r);
	ck_assert_uint_eq(fake->connections, 2);
	ck_assert_int_eq(recv(ends[1], &byte, 1, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EAGAIN);
	shmring_close(r);
	ck_assert_int_eq(send(fd, "x", 1, 0), 1);
	ck_assert_int_eq(recv(ends[1], &byte, 1, MSG_DONTWAIT), 1);
	close(fd);
	close(ends[0]);
	close(ends[1]);
	end();
}
END_TEST

enum { THREADS = 4, ROUNDS = 50 };

static void *attach_often(void *arg)
{
	struct shmring_ring *r = arg;

	/* Its return value: the ring itself, if all went well. */
	for (int i = 0; i < ROUNDS; i++) {
		struct shmring_producer *p;
		struct shmring_consumer *c;

		if (shmring_producer_attach(&p, r, NULL) < 0)
			return NULL;
		if (shmring_consumer_attach(&c, r, NULL) < 0)
			return NULL;
		shmring_producer_detach(p);
		shmring_consumer_detach(c);
	}
	return arg;
}

/* In a process of its own: the stacks of threads stay mapped. */
static int attach_in_threads(int socket, void *arg)
{
	struct shmring_ring *r = open_ring();
	pthread_t threads[THREADS];
	void *result;

	(void)socket;
	(void)arg;
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, attach_often, r), 0);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &result), 0);
		ck_assert_ptr_eq(result, r);
	}
	shmring_close(r);
	return 0;
}

START_TEST(threads_attach_at_the_same_time)
{
	struct child c;

	begin();
	child_fork(&c, attach_in_threads, NULL);
	child_end(&c);
	ck_assert_uint_eq(fake->received[PROTO_ATTACH], 2 * THREADS * ROUNDS);
	fake_await(fake, PROTO_DETACH, 2 * THREADS * ROUNDS);
	ck_assert_uint_eq(fake->connections, 1);
	end();
}
END_TEST

START_TEST(addresses)
{
	static const char *const bad[] = { "broker:",	  "broker:.hidden", "broker:a/b",
					   "broker:/a/b", "broker:a b",	    "broker:broker:a" };
	char nowhere[200];
	struct shmring_ring *r;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		must_fail(EINVAL, shmring_open(&r, bad[i]));
		must_fail(EINVAL, shmring_create(&r, bad[i], NULL));
		must_fail(EINVAL, shmring_remove(bad[i]));
	}
	memset(nowhere, 'x', sizeof(nowhere));
	nowhere[sizeof(nowhere) - 1] = '\0';
	ck_assert_int_eq(setenv("SHMRING_BROKER", nowhere, 1), 0);
	must_fail(ENAMETOOLONG, shmring_open(&r, "broker:ring"));
	ck_assert_int_eq(setenv("SHMRING_BROKER", room_path("nothing"), 1), 0);
	must_fail(ECONNREFUSED, shmring_open(&r, "broker:ring"));
	must_fail(ECONNREFUSED, shmring_create(&r, "broker:ring", NULL));
	must_fail(ECONNREFUSED, shmring_remove("broker:ring"));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "broker:ring"));
	/* A file may have such a name. */
	ck_assert_int_eq(chdir(room_directory()), 0);
	must(shmring_create(&r, "./broker:file", NULL));
	shmring_close(r);
	must(shmring_remove("./broker:file"));
}
END_TEST

START_TEST(broker_is_found)
{
	struct shmring_broker *b;

	begin();
	ck_assert_int_eq(mkdir(room_path("shmring"), 0700), 0);
	ck_assert_int_eq(rename(fake->socket, room_path("shmring/broker")), 0);
	must_fail(ECONNREFUSED, shmring_broker_open(&b, NULL));
	ck_assert_int_eq(unsetenv("SHMRING_BROKER"), 0);
	must(shmring_broker_open(&b, NULL));
	shmring_broker_close(b);
	ck_assert_int_eq(setenv("SHMRING_BROKER", "/nowhere", 1), 0);
	must(shmring_broker_open(&b, room_path("shmring/broker")));
	shmring_broker_close(b);
	shmring_broker_close(NULL);
	end();
}
END_TEST

START_TEST(rings_are_listed)
{
	struct shmring_broker_ring ring = { .size = sizeof(ring) };
	struct shmring_broker *b;

	begin();
	must(shmring_broker_open(&b, NULL));
	ck_assert_int_eq((int)must(shmring_broker_next(b, NULL, &ring)), 1);
	ck_assert_str_eq(ring.name, "alpha");
	ck_assert_uint_eq(ring.flags, SHMRING_PERSISTENT);
	ck_assert_uint_eq(ring.owner, 1000);
	ck_assert_uint_eq(ring.rights, SHMRING_MAY_OBSERVE);
	ck_assert_int_eq((int)must(shmring_broker_next(b, ring.name, &ring)), 1);
	ck_assert_str_eq(ring.name, "beta");
	ck_assert_int_eq((int)must(shmring_broker_next(b, ring.name, &ring)), 1);
	ck_assert_str_eq(ring.name, "ring");
	ck_assert_uint_eq(ring.clients, 2);
	ck_assert_int_eq((int)must(shmring_broker_next(b, ring.name, &ring)), 0);
	ck_assert_str_eq(ring.name, "ring");
	must_fail(EINVAL, shmring_broker_next(b, "a/b", &ring));
	ring.size -= sizeof(uint64_t);
	must_fail(EINVAL, shmring_broker_next(b, "", &ring));
	ck_assert_str_eq(ring.name, "ring");
	ring.size = sizeof(ring);
	ck_assert_int_eq((int)must(shmring_broker_next(b, "", &ring)), 1);
	ck_assert_uint_eq(fake->connections, 1);
	shmring_broker_close(b);
	end();
}
END_TEST

static int use_inherited(int socket, void *arg)
{
	struct shmring_broker_ring ring = { .size = sizeof(ring) };
	int fd;

	(void)socket;
	must_fail(ECHILD, shmring_broker_next(arg, "", &ring));
	must_fail(ECHILD, shmring_broker_metrics(arg, &fd));
	shmring_broker_close(arg);
	return 0;
}

START_TEST(metrics_are_read)
{
	struct shmring_broker *b;
	struct child c;
	char text[64];
	int fd;

	begin();
	must(shmring_broker_open(&b, NULL));
	must(shmring_broker_metrics(b, &fd));
	ck_assert_int_eq(read(fd, text, sizeof(text)), 13);
	ck_assert_mem_eq(text, "shmring_up 1\n", 13);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	child_fork(&c, use_inherited, b);
	child_end(&c);
	must(shmring_broker_metrics(b, &fd)); /* the parent's goes on */
	close(fd);
	shmring_broker_close(b);
	end();
}
END_TEST

/* A source that forks while it is asked, so many times. */
struct forking {
	struct ring_source calls;
	const char *path;
	unsigned forks, opened, left, freed;
};

static int forking_open(struct ring_source *s, enum ring_role role, struct ring_grant *ret)
{
	struct forking *f = (struct forking *)s;

	ck_assert_int_eq(role, RING_PRODUCE);
	if (f->opened++ < f->forks) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	}
	*ret = (struct ring_grant){ 1, f->opened };
	return open(f->path, O_RDWR | O_CLOEXEC);
}

static void forking_leave(struct ring_source *s, const struct ring_grant *grant)
{
	struct forking *f = (struct forking *)s;

	ck_assert_uint_eq(grant->number, ++f->left);
}

static void forking_free(struct ring_source *s, bool inherited)
{
	ck_assert(!inherited);
	((struct forking *)s)->freed++;
}

/* A child may have a copy of what came before the fork: it must not be locked. */
START_TEST(description_is_not_shared_with_a_child)
{
	struct forking f = {
		.calls = { .open = forking_open, .leave = forking_leave, .free = forking_free },
		.path = room_path("ring"),
		.forks = (unsigned)_i,
	};
	struct shmring_producer *p;
	struct shmring_ring *r;

	must(shmring_create(&r, f.path, NULL));
	p = producer_attach(r); /* the fork handler is there from the first attach on */
	shmring_producer_detach(p);
	r->source = &f.calls;
	p = producer_attach(r);
	ck_assert_uint_eq(f.opened, (unsigned)_i + 1);
	ck_assert_uint_eq(f.left, (unsigned)_i);
	shmring_producer_detach(p);
	ck_assert_uint_eq(f.left, (unsigned)_i + 1);
	shmring_close(r);
	ck_assert_uint_eq(f.freed, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("broker");
	TCase *tc = room_case(s, "broker", 30);

	tcase_add_test(tc, ring_is_used_like_any_other);
	tcase_add_test(tc, conversation_lasts_as_long_as_an_attachment);
	tcase_add_test(tc, shape_of_a_new_ring_is_sent);
	tcase_add_test(tc, refusal_says_what_is_allowed);
	tcase_add_loop_test(tc, tricks_of_a_broker_are_noticed, 0,
			    (int)(sizeof(tricks) / sizeof(tricks[0])));
	tcase_add_loop_test(tc, interrupted_question_is_asked_again, 0, 4);
	tcase_add_test(tc, broker_that_always_hangs_up_is_given_up);
	tcase_add_loop_test(tc, silent_broker_is_waited_for_within_a_limit, 0, 2);
	tcase_add_test(tc, full_queue_is_waited_for);
	tcase_add_test(tc, signals_do_not_interrupt_the_wait);
	tcase_add_test(tc, attached_roles_do_not_notice_that_the_broker_is_killed);
	tcase_add_test(tc, successor_is_waited_for);
	tcase_add_test(tc, successor_that_does_not_come);
	tcase_add_test(tc, name_of_another_ring_is_noticed);
	tcase_add_test(tc, child_has_a_conversation_of_its_own);
	tcase_add_test(tc, close_ends_the_conversation_although_a_child_has_a_copy);
	tcase_add_test(tc, foreign_descriptor_is_left_alone);
	tcase_add_test(tc, threads_attach_at_the_same_time);
	tcase_add_test(tc, addresses);
	tcase_add_test(tc, broker_is_found);
	tcase_add_test(tc, rings_are_listed);
	tcase_add_test(tc, metrics_are_read);
	tcase_add_loop_test(tc, description_is_not_shared_with_a_child, 0, 4);
	return run_suite(s);
}
