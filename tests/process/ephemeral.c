/* SPDX-License-Identifier: MIT */
/*
 * Ephemeral rings: what counts as a user, which process removes the name, what becomes of the
 * name when the last user is killed or stopped, and attaching while the last user leaves. The
 * guarantee that the last test audits: two processes that attach under one name at one time,
 * each by opening or making the ring, are in the same ring, and no message is lost.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 7, SIZE = 100, COUNT = 20, ROUNDS = 150, VISITORS = 2 };

/* The time that an attach waits for a remover. */
#define WAIT_NS INT64_C(20000000)

static struct shmring_config ephemeral_config(void)
{
	struct shmring_config config = small_config();

	config.flags = SHMRING_EPHEMERAL;
	config.unread_policy = SHMRING_UNREAD_HOLD;
	return config;
}

static struct shmring_ring *create(void)
{
	struct shmring_config config = ephemeral_config();

	return ring_create(&config);
}

static bool is_there(const char *name)
{
	return access(room_path(name), F_OK) == 0;
}

/* Files in the room whose names begin so. */
static unsigned count_files(const char *prefix)
{
	DIR *d = opendir(room_directory());
	const struct dirent *entry;
	unsigned count = 0;

	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d)) != NULL)
		count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	closedir(d);
	return count;
}

static void expect_gone(void)
{
	struct shmring_ring *r;

	ck_assert(!is_there("ring"));
	ck_assert_uint_eq(count_files(SHMRING_HIDDEN_PREFIX), 0);
	must_fail(ENOENT, shmring_open(&r, room_path("ring")));
}

/* The name is there until the next open. */
static void expect_gone_by_open(void)
{
	struct shmring_ring *r;

	ck_assert(is_there("ring"));
	must_fail(ENOENT, shmring_open(&r, room_path("ring")));
	expect_gone();
}

START_TEST(last_of_two_removes_the_name)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct peer peer;

	shmring_close(r);
	ring_start(&peer);
	ck_assert_int_eq(peer_producer(&peer, SOURCE), 0);
	shmring_producer_detach(p);
	ck_assert(is_there("ring"));
	peer_simple(&peer, PEER_DETACH);
	ck_assert(is_there("ring"));
	shmring_consumer_detach(c);
	expect_gone();
	peer_quit(&peer);
}
END_TEST

START_TEST(last_user_may_be_another_process)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p = producer_attach(r);
	struct peer peer;

	ring_start(&peer);
	ck_assert_int_eq(peer_consumer(&peer, NULL, 0, 0), 0);
	shmring_producer_detach(p);
	ck_assert(is_there("ring"));
	peer_simple(&peer, PEER_DETACH);
	expect_gone();
	peer_quit(&peer);
	shmring_close(r);
}
END_TEST

START_TEST(unread_messages_do_not_keep_the_ring)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p = producer_attach(r);

	publish_numbers(p, SOURCE, 0, 3, SIZE);
	shmring_producer_detach(p);
	expect_gone();
	shmring_close(r);
}
END_TEST

START_TEST(ring_that_was_never_used_is_kept)
{
	struct shmring_ring *r = create();
	struct shmring_consumer *observer;

	shmring_close(r);
	must(shmring_open(&r, room_path("ring")));
	observer = consumer_attach(r, NULL, 0, SHMRING_OBSERVE);
	shmring_consumer_detach(observer);
	must(shmring_reap(r));
	shmring_close(r);
	must(shmring_open(&r, room_path("ring")));
	must_fail(EEXIST, shmring_create(&r, room_path("ring"), NULL));
	shmring_producer_detach(producer_attach(r));
	expect_gone();
	shmring_close(r);
}
END_TEST

START_TEST(other_rings_stay)
{
	struct shmring_config config = small_config();
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct shmring_ring *r = ring_create(&config);

	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.flags, 0);
	shmring_producer_detach(producer_attach(r));
	ck_assert(is_there("ring"));
	shmring_close(r);
	must(shmring_open(&r, room_path("ring")));
	shmring_close(r);
	r = NULL;
	must(shmring_remove(room_path("ring")));
	r = create();
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.flags, SHMRING_EPHEMERAL);
	shmring_close(r);
}
END_TEST

START_TEST(refusals)
{
	struct shmring_config config = ephemeral_config();
	char name[240];
	struct shmring_ring *r;

	must_fail(EINVAL, shmring_create(&r, NULL, &config));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "goes with its last user anyway"));
	must_fail(EINVAL, shmring_create(&r, "broker:ring", &config));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "shmring rm"));
	memset(name, 'n', sizeof(name));
	name[221] = '\0';
	must_fail(ENAMETOOLONG, shmring_create(&r, room_path(name), &config));
	name[220] = '\0';
	must(shmring_create(&r, room_path(name), &config));
	shmring_producer_detach(producer_attach(r));
	ck_assert(!is_there(name));
	shmring_close(r);
}
END_TEST

/* --- the last user is killed --- */

/* A ring with unread messages, whose last user was killed. */
static void leave_dead(void)
{
	struct peer p;

	shmring_close(create());
	ring_start(&p);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	ck_assert_int_eq(peer_produce(&p, 3, SIZE), 3);
	child_kill(&p.child);
	ck_assert(is_there("ring"));
}

START_TEST(open_removes_a_ring_of_dead_users)
{
	leave_dead();
	expect_gone_by_open();
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "no ring"));
}
END_TEST

START_TEST(create_makes_the_ring_anew)
{
	struct shmring_config config = ephemeral_config();
	struct shmring_lane_stat lane = { .size = sizeof(lane) };
	struct shmring_ring *r;

	leave_dead();
	must(shmring_create(&r, room_path("ring"), &config));
	must(shmring_stat_lane(r, 0, &lane));
	ck_assert_uint_eq(lane.tenancy, 0);
	shmring_close(r);
}
END_TEST

START_TEST(removal_of_unused_rings_ignores_unread_messages_of_an_ephemeral_ring)
{
	leave_dead();
	must(shmring_remove_unused(room_path("ring"), 0, 0)); /* in spite of the messages */
	expect_gone();
}
END_TEST

START_TEST(survivor_removes_a_ring_of_dead_users)
{
	struct shmring_ring *r = create();
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct peer p;

	ring_start(&p);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	child_kill(&p.child);
	shmring_consumer_detach(c);
	expect_gone();
	shmring_close(r);
}
END_TEST

static int attach_and_exit(int socket, void *ring)
{
	(void)socket;
	must(shmring_join(ring));
	producer_attach(ring);
	return 0;
}

START_TEST(exit_without_detach_is_noticed_later)
{
	struct shmring_ring *r = create();
	struct child child;

	child_fork(&child, attach_and_exit, r);
	child_end(&child);
	shmring_close(r);
	expect_gone_by_open();
}
END_TEST

START_TEST(stopped_user_is_a_user)
{
	struct shmring_ring *r;
	struct peer p;

	shmring_close(create());
	ring_start(&p);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	child_stop(&p.child);
	must(shmring_open(&r, room_path("ring")));
	shmring_consumer_detach(consumer_attach(r, NULL, 0, 0));
	shmring_close(r);
	ck_assert(is_there("ring"));
	child_continue(&p.child);
	peer_quit(&p);
	expect_gone();
}
END_TEST

/* --- observers and names --- */

START_TEST(observer_does_not_keep_the_ring)
{
	struct shmring_ring *r = create();
	struct shmring_consumer *observer = consumer_attach(r, NULL, 0, SHMRING_OBSERVE);
	struct shmring_producer *p = producer_attach(r);
	struct shmring_message m;

	publish_numbers(p, SOURCE, 0, 1, SIZE);
	shmring_producer_detach(p);
	expect_gone();
	must(shmring_peek(observer, SHMRING_NOWAIT, &m)); /* what is there is read first */
	must(shmring_release(observer));
	must_fail(EIDRM, shmring_peek(observer, SHMRING_FOREVER, &m));
	shmring_consumer_detach(observer);
	shmring_close(r);
}
END_TEST

START_TEST(kept_name_keeps_the_ring)
{
	struct shmring_ring *r = create();
	struct peer p;

	shmring_consumer_detach(consumer_attach(r, "archive", 0, 0));
	shmring_producer_detach(producer_attach(r));
	ck_assert(is_there("ring"));
	ring_start(&p);
	ck_assert_int_eq(peer_consumer(&p, "archive", 0, 0), 0);
	child_kill(&p.child);
	shmring_close(r);
	must(shmring_open(&r, room_path("ring"))); /* a dead holder leaves the name, too */
	ck_assert(is_there("ring"));
	must(shmring_forget(r, "archive"));
	expect_gone();
	shmring_close(r);
}
END_TEST

/* Behind more than a limit of 4 KiB, whatever is published next. */
static void overrun(struct shmring_producer *p)
{
	publish_numbers(p, SOURCE, 0, 2 * SHMRING_MIN_LANE_SIZE / SIZE, SIZE);
}

static struct shmring_ring *create_with_limit(void)
{
	struct shmring_config config = ephemeral_config();

	config.slow_policy = SHMRING_SLOW_EVICT;
	config.evict_lag = SHMRING_MIN_LANE_SIZE / 4;
	config.unread_policy = SHMRING_UNREAD_OVERWRITE;
	return ring_create(&config);
}

/* The holder of the name comes back, and learns its loss. */
static void expect_loss_reported(struct shmring_ring *r)
{
	struct shmring_consumer *c;
	struct shmring_message m;

	ck_assert(is_there("ring"));
	c = consumer_attach(r, "archive", SHMRING_START_RESUME, 0);
	must(shmring_peek(c, patience(), &m));
	ck_assert_uint_eq(m.flags, SHMRING_AFTER_LOSS);
	must(shmring_release(c));
	shmring_consumer_detach(c);
	must(shmring_forget(r, "archive"));
	expect_gone();
	shmring_close(r);
}

START_TEST(lapsed_name_keeps_the_ring)
{
	struct shmring_ring *r = create_with_limit();
	struct shmring_producer *p = producer_attach(r);

	shmring_consumer_detach(consumer_attach(r, "archive", 0, 0));
	overrun(p);
	shmring_producer_detach(p);
	expect_loss_reported(r);
}
END_TEST

/* The same for a holder that was alive when it was evicted, and dies. */
START_TEST(evicted_name_keeps_the_ring)
{
	struct shmring_ring *r = create_with_limit();
	struct shmring_producer *p = producer_attach(r);
	struct peer peer;

	ring_start(&peer);
	ck_assert_int_eq(peer_consumer(&peer, "archive", 0, 0), 0);
	overrun(p);
	child_kill(&peer.child);
	shmring_producer_detach(p);
	expect_loss_reported(r);
}
END_TEST

START_TEST(forget_keeps_the_ring_while_it_has_users)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p = producer_attach(r);

	shmring_consumer_detach(consumer_attach(r, "archive", 0, 0));
	must(shmring_forget(r, "archive"));
	ck_assert(is_there("ring"));
	shmring_producer_detach(p);
	expect_gone();
	shmring_close(r);
}
END_TEST

/* --- a name that has gone, or cannot go --- */

START_TEST(attach_to_a_ring_that_has_gone_is_refused)
{
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct shmring_ring *r = create();

	shmring_producer_detach(producer_attach(r));
	expect_gone();
	must_fail(EIDRM, shmring_producer_attach(&p, r, NULL));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "under its name"));
	must_fail(EIDRM, shmring_consumer_attach(&c, r, NULL));
	shmring_close(create()); /* another ring under the name is not touched */
	must_fail(EIDRM, shmring_producer_attach(&p, r, NULL));
	ck_assert(is_there("ring"));
	shmring_close(r);
}
END_TEST

START_TEST(ring_that_replaced_an_ephemeral_ring_is_not_touched)
{
	struct shmring_ring *r = create(), *other;
	struct shmring_producer *p = producer_attach(r);
	struct stat before, after;

	must(shmring_remove(room_path("ring")));
	other = create();
	ck_assert_int_eq(stat(room_path("ring"), &before), 0);
	shmring_producer_detach(p);
	ck_assert_int_eq(stat(room_path("ring"), &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
	shmring_close(other);
	shmring_close(r);
}
END_TEST

START_TEST(renamed_ring_goes_under_its_new_name)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p = producer_attach(r);

	ck_assert_int_eq(rename(room_path("ring"), room_path("moved")), 0);
	shmring_producer_detach(p);
	ck_assert(!is_there("moved"));
	shmring_close(r);
}
END_TEST

static int use_as_nobody(int socket, void *arg)
{
	struct shmring_producer *p;
	struct shmring_ring *r;
	char told[512];

	(void)arg;
	(void)socket;
	if (geteuid() == 0)
		ck_assert(setgid(65534) == 0 && setuid(65534) == 0);
	must(shmring_open(&r, room_path("closed/ring")));
	p = producer_attach(r);
	must_fail(ERANGE, shmring_stat_lane(r, 64,
					    &(struct shmring_lane_stat){
						    .size = sizeof(struct shmring_lane_stat) }));
	snprintf(told, sizeof(told), "%s", shmring_explain());
	shmring_producer_detach(p);
	ck_assert_str_eq(told, shmring_explain()); /* a detach has no errors */
	must(shmring_producer_attach(&p, r, NULL));
	shmring_producer_detach(p);
	shmring_close(r);
	return 0;
}

START_TEST(ring_in_a_directory_without_write_permission_stays)
{
	struct shmring_config config = ephemeral_config();
	struct child child;
	struct shmring_ring *r;

	config.mode = 0666;
	ck_assert_int_eq(chmod(room_directory(), 0755), 0);
	ck_assert_int_eq(mkdir(room_path("closed"), 0755), 0);
	must(shmring_create(&r, room_path("closed/ring"), &config));
	ck_assert_int_eq(chmod(room_path("closed/ring"), 0666), 0);
	shmring_close(r);
	ck_assert_int_eq(chmod(room_path("closed"), 0555), 0);
	child_fork(&child, use_as_nobody, NULL);
	child_end(&child);
	ck_assert(is_there("closed/ring"));
	ck_assert_int_eq(chmod(room_path("closed"), 0755), 0);
	must_fail(ENOENT, shmring_open(&r, room_path("closed/ring")));
	ck_assert_int_eq(rmdir(room_path("closed")), 0);
}
END_TEST

START_TEST(failed_attach_reports_its_own_reason)
{
	struct shmring_producer_options o = { .size = sizeof(o) };
	struct shmring_producer *p;
	struct shmring_ring *r = create();

	shmring_producer_detach(producer_attach(r));
	o.memory.lock = 99;
	must_fail(EINVAL, shmring_producer_attach(&p, r, &o));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "unknown lock"));
	shmring_close(r);
}
END_TEST

/* --- forks --- */

static int join_and_hold(int socket, void *ring)
{
	struct shmring_consumer *c;

	must(shmring_join(ring));
	c = consumer_attach(ring, NULL, 0, 0);
	step_tell(socket);
	step_await(socket);
	shmring_consumer_detach(c);
	shmring_close(ring);
	return 0;
}

START_TEST(child_that_joined_is_a_user)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p = producer_attach(r);
	struct child child;

	child_fork(&child, join_and_hold, r);
	step_await(child.socket);
	shmring_producer_detach(p);
	ck_assert(is_there("ring"));
	step_tell(child.socket);
	child_end(&child);
	expect_gone();
	shmring_close(r);
}
END_TEST

static int look_and_exit(int socket, void *ring)
{
	(void)socket;
	shmring_close(ring);
	return 0;
}

START_TEST(child_that_did_not_join_is_no_user)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p = producer_attach(r);
	struct child child;

	child_fork(&child, look_and_exit, r);
	child_end(&child);
	ck_assert(is_there("ring"));
	shmring_producer_detach(p);
	expect_gone();
	shmring_close(r);
}
END_TEST

/* --- while the last one leaves --- */

/* What to do when the remover looks whether the hidden name leads to its file. */
static void (*meanwhile)(void);

/* In place of the C library's, for this program and the libraries that it uses. */
int fstatat(int dirfd, const char *path, struct stat *ret, int flags)
{
	void (*act)(void) = meanwhile;

	if (act && strncmp(path, SHMRING_HIDDEN_PREFIX, strlen(SHMRING_HIDDEN_PREFIX)) == 0) {
		meanwhile = NULL;
		ck_assert(!is_there("ring"));
		act();
	}
	return (int)syscall(SYS_newfstatat, dirfd, path, ret, flags);
}

static struct shmring_ring *shared;
static struct peer coming;

static bool has_answered(void)
{
	struct pollfd answered = { .fd = coming.child.socket, .events = POLLIN };

	return poll(&answered, 1, 0) > 0;
}

/*
 * It had the ring open before, and takes its place between the two looks. There it waits
 * for the remover, and is refused if that takes too long; then it tries again.
 */
static void let_one_come(void)
{
	const struct peer_command attach = { .op = PEER_PRODUCER, .source = SOURCE };
	int64_t limit = patience();
	struct shmring_ring_stat st = { .size = sizeof(st) };

	peer_tell(&coming, &attach);
	do {
		if (has_answered()) {
			ck_assert_int_eq(peer_answer(&coming), -EIDRM);
			peer_tell(&coming, &attach);
		}
		must(shmring_stat(shared, &st));
		ck_assert_int_lt(clock_now(), limit);
	} while (st.producers == 0);
}

START_TEST(process_that_comes_between_the_looks_keeps_the_ring)
{
	struct shmring_consumer *c;
	struct audit audit = { 0 };
	int64_t answer;

	shared = create();
	ring_start(&coming);
	meanwhile = let_one_come;
	shmring_producer_detach(producer_attach(shared));
	ck_assert(meanwhile == NULL);
	answer = peer_answer(&coming);
	ck_assert(answer == 0 || answer == -EIDRM);
	ck_assert_int_eq(is_there("ring"), answer == 0);
	if (answer != 0) { /* the machine was slow */
		peer_quit(&coming);
		expect_gone();
		shmring_close(shared);
		return;
	}
	ck_assert_int_eq(peer_produce(&coming, COUNT, SIZE), COUNT);
	c = consumer_attach(shared, NULL, SHMRING_START_OLDEST, 0);
	ck_assert_uint_eq(consume_all(c, &audit), COUNT);
	audit_must_be(&audit, COUNT, 0);
	peer_quit(&coming);
	shmring_consumer_detach(c);
	expect_gone();
	shmring_close(shared);
}
END_TEST

static void let_one_come_and_go(void)
{
	let_one_come();
	child_kill(&coming.child);
}

START_TEST(process_that_comes_and_goes_between_the_looks_does_not_keep_the_ring)
{
	shared = create();
	ring_start(&coming);
	meanwhile = let_one_come_and_go;
	shmring_producer_detach(producer_attach(shared));
	ck_assert(meanwhile == NULL);
	expect_gone();
	shmring_close(shared);
}
END_TEST

static int leavers_socket;

static void pause_here(void)
{
	step_tell(leavers_socket);
	step_await(leavers_socket);
}

/* A process that leaves, and pauses where the ring is hidden until the test lets it go on. */
static int leave_and_pause(int socket, void *ring)
{
	struct shmring_producer *p;

	must(shmring_join(ring));
	p = producer_attach(ring);
	publish_numbers(p, SOURCE, 0, 3, SIZE);
	leavers_socket = socket;
	meanwhile = pause_here;
	shmring_producer_detach(p);
	shmring_close(ring);
	return 0;
}

/* Other processes make a ring and use it, and the old handle reports that its ring has gone. */
static void go_on_without(struct shmring_ring *old)
{
	struct shmring_consumer *c;
	struct shmring_producer *p;
	struct audit audit = { 0 };
	struct shmring_ring *r;

	must_fail(ENOENT, shmring_open(&r, room_path("ring")));
	must_fail(EIDRM, shmring_producer_attach(&p, old, NULL));
	r = create();
	c = consumer_attach(r, NULL, 0, 0);
	p = producer_attach(r);
	publish_numbers(p, SOURCE, 0, COUNT, SIZE);
	ck_assert_uint_eq(consume_all(c, &audit), COUNT);
	audit_must_be(&audit, COUNT, 0);
	shmring_producer_detach(p);
	ck_assert(is_there("ring"));
	shmring_consumer_detach(c);
	ck_assert(!is_there("ring"));
	shmring_close(r);
}

START_TEST(last_user_is_stopped_while_the_ring_is_hidden)
{
	struct shmring_ring *r = create(), *other;
	struct child child;

	child_fork(&child, leave_and_pause, r);
	step_await(child.socket);
	go_on_without(r);
	other = create();
	step_tell(child.socket);
	child_end(&child);
	ck_assert(is_there("ring")); /* the other one */
	ck_assert_uint_eq(count_files(SHMRING_HIDDEN_PREFIX), 0);
	shmring_close(other);
	shmring_close(r);
}
END_TEST

static const char *hidden_path(void)
{
	static char name[300];
	DIR *d = opendir(room_directory());
	const struct dirent *entry;

	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d)) != NULL)
		if (strncmp(entry->d_name, SHMRING_HIDDEN_PREFIX, strlen(SHMRING_HIDDEN_PREFIX)) ==
		    0)
			snprintf(name, sizeof(name), "%s", entry->d_name);
	closedir(d);
	return room_path(name);
}

/* What visitors that were killed in the midst of a removal have left. */
static void finish_hidden(void)
{
	struct shmring_ring *r;

	while (count_files(SHMRING_HIDDEN_PREFIX) > 0)
		must_fail(ENOENT, shmring_open(&r, hidden_path()));
}

/* _i: by which call the next one finishes it. */
START_TEST(last_user_is_killed_while_the_ring_is_hidden)
{
	struct shmring_ring *r = create(), *other;
	struct shmring_producer *p;
	struct child child;

	child_fork(&child, leave_and_pause, r);
	step_await(child.socket);
	child_kill(&child);
	if (_i == 0)
		must(shmring_remove_unused(hidden_path(), 0, 0));
	else if (_i == 1)
		must_fail(ENOENT, shmring_open(&other, hidden_path()));
	else
		must_fail(EIDRM, shmring_producer_attach(&p, r, NULL));
	expect_gone();
	shmring_close(r);
}
END_TEST

/* A process that may read the file can hold that lock for ever, or be stopped with it. */
START_TEST(held_lock_delays_no_process_for_long)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p;
	int64_t began = clock_now();
	int fd = open(room_path("ring"), O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	p = producer_attach(r);
	shmring_producer_detach(p);
	shmring_close(r);
	must(shmring_open(&r, room_path("ring")));
	shmring_close(r);
	ck_assert(is_there("ring"));
	ck_assert_int_lt(clock_now() - began, INT64_C(1000000000));
	close(fd);
	expect_gone_by_open();
}
END_TEST

/*
 * A remover has found nobody, and has not hidden the ring yet, when a process attaches, and
 * another one makes a ring under the name. True: all was so quick that the process was
 * bound to wait.
 */
static bool attach_beside_remover(struct peer *p)
{
	const struct peer_command attach = { .op = PEER_PRODUCER, .source = SOURCE };
	int64_t began, ended, limit = patience();
	struct shmring_ring *r = create();
	struct shmring_ring_stat st = { .size = sizeof(st) };
	int fd = open(room_path("ring"), O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(peer_open(p, room_path("ring")), 0);
	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	began = clock_now();
	peer_tell(p, &attach);
	do {
		must(shmring_stat(r, &st));
		ck_assert_int_lt(clock_now(), limit);
	} while (st.producers == 0 && clock_now() - began < WAIT_NS);
	ck_assert_int_eq(unlink(room_path("ring")), 0);
	ended = clock_now();
	shmring_close(r);
	shmring_close(create());
	close(fd);
	if (peer_answer(p) != 0) {
		ck_assert_int_eq(p->answer.result, -EIDRM);
		ck_assert_ptr_nonnull(strstr(p->answer.explain, "under its name"));
	} else {
		ck_assert_msg(ended - began >= WAIT_NS,
			      "attached in a ring that was being removed");
		peer_simple(p, PEER_DETACH);
	}
	ck_assert(is_there("ring"));
	must(shmring_remove(room_path("ring")));
	return ended - began < WAIT_NS;
}

START_TEST(attach_waits_for_a_remover)
{
	int64_t limit = patience();

	for (bool quick = false; !quick;) {
		struct peer p;

		peer_exec(&p);
		quick = attach_beside_remover(&p);
		peer_quit(&p);
		ck_assert_int_lt(clock_now(), limit);
	}
}
END_TEST

/* --- two processes meet under a name, again and again, while others come and go --- */

static struct shmring_ring *open_or_make(void)
{
	struct shmring_config config = ephemeral_config();
	struct shmring_ring *r;
	int e;

	do {
		e = shmring_open(&r, room_path("ring"));
		if (e == -ENOENT)
			e = shmring_create(&r, room_path("ring"), &config);
		ck_assert_msg(e == 0 || e == -EEXIST || e == -ENOENT, "%s", shmring_explain());
	} while (e < 0);
	return r;
}

static struct shmring_producer *come_as_producer(void)
{
	struct shmring_producer *p;
	int e;

	do {
		struct shmring_ring *r = open_or_make();

		e = shmring_producer_attach(&p, r, NULL);
		ck_assert_msg(e == 0 || e == -EIDRM, "%s", shmring_explain());
		shmring_close(r);
	} while (e < 0);
	return p;
}

static struct shmring_consumer *come_as_consumer(void)
{
	const struct shmring_consumer_options o = { .size = sizeof(o),
						    .start = SHMRING_START_OLDEST };
	struct shmring_consumer *c;
	int e;

	do {
		struct shmring_ring *r = open_or_make();

		e = shmring_consumer_attach(&c, r, &o);
		ck_assert_msg(e == 0 || e == -EIDRM, "%s", shmring_explain());
		shmring_close(r);
	} while (e < 0);
	return c;
}

static int visit_for_ever(int socket, void *arg)
{
	(void)arg;
	while (socket >= 0) {
		shmring_consumer_detach(come_as_consumer());
		shmring_producer_detach(come_as_producer());
	}
	return 0;
}

/* Publishes once attached, with or without the reader, and leaves when the reader has read all. */
static int write_in_rounds(int socket, void *arg)
{
	(void)arg;
	for (uint64_t round = 0; round < ROUNDS; round++) {
		struct shmring_producer *p = come_as_producer();

		publish_numbers(p, SOURCE + round, 0, COUNT, SIZE);
		step_await(socket);
		shmring_producer_detach(p);
	}
	return 0;
}

/* All of this round; a ring that visitors have kept has those of earlier rounds, too. */
static void read_round(struct shmring_consumer *c, uint64_t round)
{
	struct audit audit;
	struct audit_header header;
	struct shmring_message m;
	uint64_t count = 0;

	audit_begin(&audit, false);
	while (count < COUNT) {
		int e = shmring_peek(c, patience(), &m);

		ck_assert_msg(e == 0, "round %u: %s", (unsigned)round, shmring_explain());
		ck_assert(audit_read(m.data, m.len, &header) && header.source <= SOURCE + round);
		ck_assert_msg(audit_peeked(&audit, c, &m), "%s", audit.first_fault);
		ck_assert(header.source < SOURCE + round || header.number == count);
		count += header.source == SOURCE + round;
		must(shmring_release(c));
	}
}

START_TEST(processes_meet_in_one_ring_while_others_leave)
{
	struct child writer, visitors[VISITORS];

	for (unsigned i = 0; i < VISITORS; i++)
		child_fork(&visitors[i], visit_for_ever, NULL);
	child_fork(&writer, write_in_rounds, NULL);
	for (uint64_t round = 0; round < ROUNDS; round++) {
		struct shmring_consumer *c = come_as_consumer();

		read_round(c, round);
		step_tell(writer.socket);
		shmring_consumer_detach(c);
	}
	child_end(&writer);
	for (unsigned i = 0; i < VISITORS; i++)
		child_kill(&visitors[i]);
	finish_hidden();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ephemeral");
	TCase *tc = room_case(s, "ephemeral", 60);

	tcase_add_test(tc, last_of_two_removes_the_name);
	tcase_add_test(tc, last_user_may_be_another_process);
	tcase_add_test(tc, unread_messages_do_not_keep_the_ring);
	tcase_add_test(tc, ring_that_was_never_used_is_kept);
	tcase_add_test(tc, other_rings_stay);
	tcase_add_test(tc, refusals);
	tcase_add_test(tc, open_removes_a_ring_of_dead_users);
	tcase_add_test(tc, create_makes_the_ring_anew);
	tcase_add_test(tc, removal_of_unused_rings_ignores_unread_messages_of_an_ephemeral_ring);
	tcase_add_test(tc, survivor_removes_a_ring_of_dead_users);
	tcase_add_test(tc, exit_without_detach_is_noticed_later);
	tcase_add_test(tc, stopped_user_is_a_user);
	tcase_add_test(tc, observer_does_not_keep_the_ring);
	tcase_add_test(tc, kept_name_keeps_the_ring);
	tcase_add_test(tc, lapsed_name_keeps_the_ring);
	tcase_add_test(tc, evicted_name_keeps_the_ring);
	tcase_add_test(tc, forget_keeps_the_ring_while_it_has_users);
	tcase_add_test(tc, attach_to_a_ring_that_has_gone_is_refused);
	tcase_add_test(tc, ring_that_replaced_an_ephemeral_ring_is_not_touched);
	tcase_add_test(tc, renamed_ring_goes_under_its_new_name);
	tcase_add_test(tc, ring_in_a_directory_without_write_permission_stays);
	tcase_add_test(tc, failed_attach_reports_its_own_reason);
	tcase_add_test(tc, child_that_joined_is_a_user);
	tcase_add_test(tc, child_that_did_not_join_is_no_user);
	tcase_add_test(tc, process_that_comes_between_the_looks_keeps_the_ring);
	tcase_add_test(tc, process_that_comes_and_goes_between_the_looks_does_not_keep_the_ring);
	tcase_add_test(tc, last_user_is_stopped_while_the_ring_is_hidden);
	tcase_add_loop_test(tc, last_user_is_killed_while_the_ring_is_hidden, 0, 3);
	tcase_add_test(tc, attach_waits_for_a_remover);
	tcase_add_test(tc, held_lock_delays_no_process_for_long);
	tcase_add_test(tc, processes_meet_in_one_ring_while_others_leave);
	return run_suite(s);
}
