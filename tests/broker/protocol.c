/* SPDX-License-Identifier: MIT */
/*
 * The broker's answers, message by message. It closes the connections of clients that
 * break the protocol, and no other client notices.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include <shmring/producer.h>

#include "must.h"
#include "random.h"
#include "raw.h"
#include "room.h"
#include "runner.h"
#include "server.h"

START_TEST(common_version_is_found_or_the_client_is_refused)
{
	static const struct {
		uint32_t min, max;
		bool met;
	} ranges[] = { { 1, 1, true }, { 0, 7, true }, { 2, 9, false }, { 0, 0, false } };
	struct proto_message m = { .u.hello = { ranges[_i].min, ranges[_i].max, 0 } };
	struct server b;
	int s;

	server_start(&b, NULL);
	s = raw_connect(b.socket);
	if (ranges[_i].met) {
		ck_assert_int_eq(raw_call(s, &m, PROTO_HELLO, PROTO_WELCOME, NULL), 0);
		ck_assert_uint_eq(m.u.welcome.version, 1);
		ck_assert_uint_eq(m.u.welcome.features, 0);
		close(s);
	} else {
		ck_assert_int_eq(raw_call(s, &m, PROTO_HELLO, PROTO_WELCOME, NULL),
				 -EPROTONOSUPPORT);
		ck_assert_ptr_nonnull(strstr(raw_words, "version 1"));
		raw_must_end(s);
	}
	server_stop(&b);
}
END_TEST

START_TEST(rings_are_made_opened_listed_and_removed)
{
	struct proto_entry entry;
	uint64_t a, again, z;
	struct server b;
	int s, t;

	server_start(&b, NULL);
	server_ring("alpha");
	server_ring("zeta");
	s = raw_hello(b.socket);
	t = raw_hello(b.socket);
	ck_assert_int_eq(raw_open(s, "alpha", 0, NULL), -ENOENT);
	ck_assert_int_eq(raw_make(s, "zeta", &z), 0);
	ck_assert_int_eq(raw_make(s, "alpha", &a), 0);
	ck_assert_uint_ne(a, z);
	ck_assert_int_eq(raw_make(t, "alpha", NULL), -EEXIST);
	ck_assert_int_eq(raw_open(s, "alpha", 0, &again), 0);
	ck_assert_uint_eq(a, again);
	ck_assert_int_eq(raw_open(t, "alpha", 0, NULL), 0);

	ck_assert_int_eq(raw_next(t, "", &entry), 0);
	ck_assert_str_eq(entry.name, "alpha");
	ck_assert_uint_eq(entry.owner, geteuid());
	ck_assert_uint_eq(entry.rights, PROTO_RIGHTS);
	ck_assert_uint_eq(entry.flags, 0);
	ck_assert_uint_eq(entry.clients, 2);
	ck_assert_uint_gt(entry.bytes, 65536);
	ck_assert_int_eq(raw_next(t, "alpha", &entry), 0);
	ck_assert_str_eq(entry.name, "zeta");
	ck_assert_uint_eq(entry.clients, 1);
	ck_assert_int_eq(raw_next(t, "zeta", &entry), -ENOENT);

	ck_assert_int_eq(raw_remove(t, "alpha"), 0);
	ck_assert_int_eq(raw_remove(t, "alpha"), -ENOENT);
	ck_assert_int_eq(raw_open(t, "alpha", 0, NULL), -ENOENT);
	ck_assert_int_eq(raw_next(t, "", &entry), 0);
	ck_assert_str_eq(entry.name, "zeta");
	/* A client that has it open goes on with it; the name is free for another ring. */
	ck_assert_int_eq(raw_attach(s, a, PROTO_PRODUCE, NULL, NULL), 0);
	ck_assert_int_eq(raw_make(s, "alpha", &again), 0);
	ck_assert_uint_ne(a, again);
	close(s);
	close(t);
	server_stop(&b);
}
END_TEST

/* A process with access to the directory removes a ring, and makes one without the broker. */
START_TEST(added_and_removed_files_are_noticed)
{
	struct shmring_config config = { .size = sizeof(config), .lanes = 1, .lane_size = 65536 };
	struct shmring_ring *r;
	struct server b;
	struct stat st;
	int s;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	must(shmring_create(&r, server_ring("late"), &config));
	shmring_close(r);
	ck_assert_int_eq(raw_open(s, "late", 0, NULL), 0);
	must(shmring_remove(server_ring("late")));
	ck_assert_int_eq(raw_open(s, "late", 0, NULL), -ENOENT);
	ck_assert_int_eq(raw_make(s, "late", NULL), 0);
	ck_assert_int_eq(stat(server_ring("late"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	close(s);
	server_stop(&b);
}
END_TEST

static void access_must_be(int fd, int mode)
{
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, mode);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

/*
 * M3: after GO no other process has the description, so a lock that was taken through
 * it ends with the last descriptor of the test.
 */
static void must_be_alone(int fd, const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	struct flock query = lock;
	int other = open(path, O_RDWR | O_CLOEXEC);

	ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
	ck_assert_int_eq(fcntl(other, F_OFD_GETLK, &query), 0);
	ck_assert_int_eq(query.l_type, F_WRLCK);
	close(fd);
	query = lock;
	ck_assert_int_eq(fcntl(other, F_OFD_GETLK, &query), 0);
	ck_assert_int_eq(query.l_type, F_UNLCK);
	close(other);
}

START_TEST(an_attachment_gets_a_description_of_its_own)
{
	struct proto_message m = { 0 };
	uint64_t ring, grant, other;
	struct server b;
	int s, fd;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "ring", &ring), 0);
	memcpy(m.u.open.name, "ring", 4);
	ck_assert_int_eq(raw_call(s, &m, PROTO_OPEN, PROTO_RING, &fd), 0);
	access_must_be(fd, O_RDONLY);
	ck_assert_int_eq(raw_attach(s, ring, PROTO_OBSERVE, NULL, &fd), 0);
	access_must_be(fd, O_RDONLY);
	ck_assert_int_eq(raw_attach(s, ring, PROTO_CONSUME, &other, &fd), 0);
	access_must_be(fd, O_RDWR);
	ck_assert_int_eq(raw_attach(s, ring, PROTO_PRODUCE, &grant, &fd), 0);
	ck_assert_uint_ne(grant, other);
	must_be_alone(fd, server_ring("ring"));
	raw_detach(s, grant);
	ck_assert_int_eq(raw_attach(s, 4711, PROTO_PRODUCE, NULL, NULL), -EBADF);
	raw_detach(s, other);
	raw_detach(s, other); /* the second one is an error */
	raw_must_end(s);
	ck_assert(server_said(&b, "detached from an attachment that it does not have"));
	server_stop(&b);
}
END_TEST

START_TEST(configurations_are_checked_and_kept)
{
	struct proto_message m = { .u.open = { .name = "ring", .flags = PROTO_MAKE } };
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct server b;
	struct shmring_ring *r;
	int s;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	m.u.open.config.lane_size = 1000;
	ck_assert_int_eq(raw_call(s, &m, PROTO_OPEN, PROTO_RING, NULL), -EINVAL);
	m = (struct proto_message){ .u.open = { .name = "ring", .flags = PROTO_MAKE } };
	m.u.open.config.mode = 0666;
	ck_assert_int_eq(raw_call(s, &m, PROTO_OPEN, PROTO_RING, NULL), -EINVAL);
	ck_assert_ptr_nonnull(strstr(raw_words, "no mode"));
	m = (struct proto_message){ .u.open = { .name = "ring", .flags = PROTO_MAKE } };
	m.u.open.flags |= PROTO_PERSISTENT;
	ck_assert_int_eq(raw_call(s, &m, PROTO_OPEN, PROTO_RING, NULL), -EOPNOTSUPP);
	m = (struct proto_message){ .u.open = { .name = "ring",
						.flags = PROTO_MAKE,
						.config = {
							.lane_size = 131072,
							.evict_after_ns = 7000000,
							.max_sleep_ns = 9000000,
							.lanes = 3,
							.alignment = 64,
							.slow_policy = SHMRING_SLOW_EVICT,
							.unread_policy = 1, /* hold */
							.wake = SHMRING_WAKE_FENCE,
						} } };
	ck_assert_int_eq(raw_call(s, &m, PROTO_OPEN, PROTO_RING, NULL), 0);
	must(shmring_open(&r, server_ring("ring")));
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.lane_size, 131072);
	ck_assert_uint_eq(st.evict_after_ns, 7000000);
	ck_assert_uint_eq(st.max_sleep_ns, 9000000);
	ck_assert_uint_eq(st.lanes, 3);
	ck_assert_uint_eq(st.alignment, 64);
	ck_assert_uint_eq(st.slow_policy, SHMRING_SLOW_EVICT);
	ck_assert_uint_eq(st.unread_policy, SHMRING_UNREAD_HOLD);
	ck_assert_uint_eq(st.wake, SHMRING_WAKE_FENCE);
	shmring_close(r);
	close(s);
	server_stop(&b);
}
END_TEST

START_TEST(persistent_rings_lie_in_the_state_directory)
{
	const char *extra[] = { "--state-directory", room_disk_path("state"), NULL };
	struct proto_message m = { .u.open = { .name = "kept",
					       .flags = PROTO_MAKE | PROTO_PERSISTENT,
					       .config = { .lanes = 1, .lane_size = 65536 } } };
	struct proto_entry entry;
	struct server b;
	struct stat st;
	int s;

	room_disk_path("state/.kept");
	server_start(&b, extra);
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_call(s, &m, PROTO_OPEN, PROTO_RING, NULL), 0);
	ck_assert_uint_eq(m.u.ring.flags, PROTO_IS_PERSISTENT);
	ck_assert_int_eq(raw_make(s, "kept", NULL), -EEXIST);
	ck_assert_int_eq(raw_next(s, "", &entry), 0);
	ck_assert_uint_eq(entry.flags, PROTO_IS_PERSISTENT);
	ck_assert_int_eq(stat(room_disk_path("state/kept"), &st), 0);
	close(s);
	server_stop(&b);
	server_start(&b, extra);
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_open(s, "kept", 0, NULL), 0);
	close(s);
	server_stop(&b);
}
END_TEST

/* --- clients that break the protocol --- */

/* A good OPEN, to be spoilt. */
static size_t good_open(struct proto_message *m)
{
	*m = (struct proto_message){
		.head = { .magic = PROTO_MAGIC, .type = PROTO_OPEN, .version = PROTO_VERSION },
		.u.open.name = "ring"
	};
	m->head.size = sizeof(m->head) + sizeof(m->u.open);
	return m->head.size;
}

enum spoilt {
	SPOILT_NOT,
	SPOILT_HALF,
	SPOILT_HEAD,
	SPOILT_BYTE,
	SPOILT_LONG,
	SPOILT_HUGE,
	SPOILT_MAGIC,
	SPOILT_TYPE,
	SPOILT_ANSWER,
	SPOILT_VERSION,
	SPOILT_SIZE,
	SPOILT_NAME,
	SPOILT_PATH,
	SPOILT_ENDLESS,
	SPOILT_FLAGS,
	SPOILT_RESERVED,
	SPOILT_DESCRIPTOR,
	SPOILT_HELLO,
	SPOILTS
};

static void spoil_field(struct proto_message *m, enum spoilt how)
{
	switch (how) {
	case SPOILT_MAGIC:
		m->head.magic++;
		break;
	case SPOILT_TYPE:
		m->head.type = PROTO_TYPES;
		break;
	case SPOILT_ANSWER:
		m->head.type = PROTO_RING;
		break;
	case SPOILT_VERSION:
		m->head.version++;
		break;
	case SPOILT_SIZE:
		m->head.size++;
		break;
	case SPOILT_NAME:
		memset(m->u.open.name, 0, sizeof(m->u.open.name));
		break;
	case SPOILT_PATH:
		memcpy(m->u.open.name, "../x", 4);
		break;
	case SPOILT_ENDLESS:
		memset(m->u.open.name, 'x', sizeof(m->u.open.name));
		break;
	case SPOILT_FLAGS:
		m->u.open.flags = 8;
		break;
	case SPOILT_RESERVED:
		m->u.open.reserved = 1;
		break;
	default:
		break;
	}
}

static void send_spoilt(int s, enum spoilt how)
{
	static char huge[100000];
	struct proto_message m;
	size_t size = good_open(&m);
	int fd = -1;

	spoil_field(&m, how);
	if (how == SPOILT_HALF)
		size /= 2;
	if (how == SPOILT_HEAD)
		size = sizeof(m.head);
	if (how == SPOILT_BYTE)
		size = 1;
	if (how == SPOILT_LONG)
		size++;
	if (how == SPOILT_HUGE) {
		raw_send_bytes(s, huge, sizeof(huge), -1);
		return;
	}
	if (how == SPOILT_DESCRIPTOR)
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (how == SPOILT_HELLO) {
		m.u.hello = (struct proto_hello){ 1, 1, 0 };
		raw_send(s, &m, PROTO_HELLO);
		return;
	}
	raw_send_bytes(s, &m, size, fd);
	if (fd >= 0)
		close(fd);
}

START_TEST(client_that_breaks_the_protocol_is_disconnected)
{
	struct proto_message m;
	struct server b;
	int s, good;

	server_start(&b, NULL);
	good = raw_hello(b.socket);
	s = raw_hello(b.socket);
	send_spoilt(s, (enum spoilt)_i);
	if (_i == SPOILT_NOT) {
		ck_assert_int_eq(raw_receive(s, &m, PROTO_RING, NULL), -ENOENT);
		close(s);
	} else {
		raw_must_end(s);
		ck_assert(server_said(&b, "disconnected: it"));
	}
	ck_assert_int_eq(raw_open(good, "ring", 0, NULL), -ENOENT);
	close(good);
	server_stop(&b);
}
END_TEST

START_TEST(client_without_greeting_is_disconnected)
{
	struct proto_message m;
	struct server b;
	int s;

	server_start(&b, NULL);
	s = raw_connect(b.socket);
	raw_send_bytes(s, &m, good_open(&m), -1);
	raw_must_end(s);
	server_stop(&b);
}
END_TEST

static unsigned descriptors_of(const struct server *b)
{
	char path[64];
	unsigned count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)b->child.pid);
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* The last client hears its end before the broker is through with closing. */
static void await_descriptors(const struct server *b, unsigned most)
{
	int64_t limit = patience();

	while (descriptors_of(b) > most) {
		ck_assert_msg(clock_now() < limit, "the broker has %u descriptors, not %u",
			      descriptors_of(b), most);
		sched_yield();
	}
}

START_TEST(descriptors_of_clients_are_not_kept)
{
	struct server b;
	unsigned before;

	server_start(&b, NULL);
	close(raw_hello(b.socket));
	before = descriptors_of(&b);
	for (int i = 0; i < 100; i++) {
		int s = raw_hello(b.socket);

		send_spoilt(s, SPOILT_DESCRIPTOR);
		raw_must_end(s);
	}
	await_descriptors(&b, before);
	server_stop(&b);
}
END_TEST

/* Any bytes in a packet of any size: the broker ends the connection, and goes on. */
START_TEST(noise_harms_no_other_client)
{
	uint64_t seed = random_seed();
	unsigned char bytes[700];
	struct proto_message m;
	struct server b;

	server_start(&b, NULL);
	for (int i = 0; i < 2000; i++) {
		int s = raw_connect(b.socket);
		size_t size = random_size(&seed, 1, sizeof(bytes));

		for (size_t at = 0; at < size; at++)
			bytes[at] = (unsigned char)random_next(&seed);
		if (random_below(&seed, 2)) { /* a head that is nearly valid */
			m.head = (struct proto_head){ .magic = PROTO_MAGIC,
						      .type = (uint16_t)random_below(&seed, 18),
						      .version = (uint16_t)random_below(&seed, 2),
						      .size = (uint32_t)size };
			memcpy(bytes, &m.head, size < sizeof(m.head) ? size : sizeof(m.head));
		}
		raw_send_bytes(s, bytes, size, -1);
		close(s);
	}
	close(raw_hello(b.socket));
	server_stop(&b);
}
END_TEST

/*
 * A client that asks and asks and does not take the answers: it is not read from any
 * more, so its own queue fills up; others are served; in the end it is dropped.
 */
START_TEST(client_that_takes_no_answers_is_disconnected)
{
	struct proto_message m = { .u.open.name = "ring" };
	int64_t begun = clock_now();
	struct pollfd hung_up = { .events = POLLRDHUP };
	int s, good, sent = 0;
	struct server b;

	server_start(&b, NULL);
	server_ring("ring");
	good = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(good, "ring", NULL), 0);
	s = raw_hello(b.socket);
	while (proto_send(s, &m, PROTO_OPEN, -1) == 0)
		ck_assert_int_lt(++sent, 100000);
	ck_assert_int_eq(raw_open(good, "ring", 0, NULL), 0);
	hung_up.fd = s;
	ck_assert_int_eq(poll(&hung_up, 1, 30000), 1);
	ck_assert_int_gt(clock_now() - begun, INT64_C(4000000000));
	ck_assert(server_said(&b, "disconnected: it reads no answers"));
	ck_assert_int_eq(raw_open(good, "ring", 0, NULL), 0);
	close(s);
	close(good);
	server_stop(&b);
}
END_TEST

/* Slow is not dead: a client that takes its answers late gets all of them, in order. */
START_TEST(answers_wait_for_a_slow_client)
{
	struct proto_message m;
	struct server b;
	int s, sent = 0;

	server_start(&b, NULL);
	server_ring("ring");
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "ring", NULL), 0);
	for (;; sent++) {
		m = (struct proto_message){ .head.serial = (uint32_t)sent, .u.open.name = "ring" };
		if (proto_send(s, &m, PROTO_OPEN, -1) != 0)
			break;
	}
	ck_assert_int_gt(sent, 10);
	for (int i = 0; i < sent; i++) {
		ck_assert_int_eq(raw_receive(s, &m, PROTO_RING, NULL), 0);
		ck_assert_uint_eq(m.head.serial, (uint32_t)i);
	}
	raw_must_be_quiet(s);
	close(s);
	server_stop(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("protocol");
	TCase *tc = room_case(s, "protocol", 60);

	tcase_add_loop_test(tc, common_version_is_found_or_the_client_is_refused, 0, 4);
	tcase_add_test(tc, rings_are_made_opened_listed_and_removed);
	tcase_add_test(tc, added_and_removed_files_are_noticed);
	tcase_add_test(tc, an_attachment_gets_a_description_of_its_own);
	tcase_add_test(tc, configurations_are_checked_and_kept);
	tcase_add_test(tc, persistent_rings_lie_in_the_state_directory);
	tcase_add_loop_test(tc, client_that_breaks_the_protocol_is_disconnected, 0, SPOILTS);
	tcase_add_test(tc, client_without_greeting_is_disconnected);
	tcase_add_test(tc, descriptors_of_clients_are_not_kept);
	tcase_add_test(tc, noise_harms_no_other_client);
	tcase_add_test(tc, client_that_takes_no_answers_is_disconnected);
	tcase_add_test(tc, answers_wait_for_a_slow_client);
	return run_suite(s);
}
