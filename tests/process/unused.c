/* SPDX-License-Identifier: MIT */
/*
 * Removing rings that no process uses: what counts as use, what is kept because it would be lost,
 * what a killed remover leaves, and attaching during a removal. The guarantee that the
 * last one audits: a process that is attached and finds the ring under its name never sees
 * the ring removed, and finds it under that name again when the remover is done.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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

enum { SOURCE = 7, SIZE = 100, ROUNDS = 500, LOOKS = 40 };

#define HOUR_NS INT64_C(3600000000000)

static struct shmring_ring *create(void)
{
	struct shmring_config config = small_config();

	return ring_create(&config);
}

static int remove_it(int64_t older_ns, uint32_t flags)
{
	return shmring_remove_unused(room_path("ring"), older_ns, flags);
}

static bool is_there(const char *name)
{
	return access(room_path(name), F_OK) == 0;
}

static void expect_gone(void)
{
	must(remove_it(0, 0));
	ck_assert(!is_there("ring"));
	must_fail(ENOENT, remove_it(0, 0));
}

START_TEST(ring_without_users_is_removed)
{
	shmring_close(create());
	must(remove_it(0, SHMRING_REMOVE_DRY_RUN));
	ck_assert(is_there("ring"));
	expect_gone();
}
END_TEST

START_TEST(ring_of_dead_processes_is_removed)
{
	struct peer p, c;

	shmring_close(create());
	ring_start(&c);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	ring_start(&p);
	ck_assert_int_eq(peer_producer(&p, SOURCE), 0);
	ck_assert_int_eq(peer_produce(&p, 3, SIZE), 3);
	must_fail(EBUSY, remove_it(0, SHMRING_REMOVE_FORCE));
	child_stop(&c.child);
	child_kill(&p.child);
	must_fail(EBUSY, remove_it(0, SHMRING_REMOVE_FORCE)); /* stopped is alive */
	child_kill(&c.child);
	expect_gone();
}
END_TEST

START_TEST(ring_in_use_is_kept)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p = producer_attach(r);

	must_fail(EBUSY, remove_it(0, 0));
	must_fail(EBUSY, remove_it(0, SHMRING_REMOVE_DRY_RUN));
	shmring_close(r); /* an attachment alone counts as use */
	must_fail(EBUSY, remove_it(0, 0));
	ck_assert(is_there("ring"));
	shmring_producer_detach(p);
	expect_gone();
}
END_TEST

START_TEST(kept_name_is_kept)
{
	struct shmring_ring *r = create();
	struct shmring_consumer *c = consumer_attach(r, "archive", 0, 0);
	struct peer peer;

	must_fail(EBUSY, remove_it(0, 0));
	shmring_consumer_detach(c);
	must_fail(ENOTEMPTY, remove_it(0, 0));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "'archive'"));
	must(shmring_forget(r, "archive"));
	ring_start(&peer);
	ck_assert_int_eq(peer_consumer(&peer, "other", 0, 0), 0);
	child_kill(&peer.child);
	must_fail(ENOTEMPTY, remove_it(0, 0));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "'other'"));
	must(remove_it(0, SHMRING_REMOVE_FORCE));
	ck_assert(!is_there("ring"));
	shmring_close(r);
}
END_TEST

START_TEST(messages_without_any_consumer_are_kept)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p = producer_attach(r);

	publish_numbers(p, SOURCE, 0, 3, SIZE);
	shmring_producer_detach(p);
	must_fail(ENOTEMPTY, remove_it(0, 0));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "3 messages"));
	shmring_consumer_detach(consumer_attach(r, NULL, 0, 0));
	expect_gone();
	shmring_close(r);
}
END_TEST

START_TEST(young_ring_is_kept)
{
	const struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	struct shmring_ring *r = create();

	must_fail(EAGAIN, remove_it(HOUR_NS, SHMRING_REMOVE_FORCE));
	/* The time of its creation counts, whatever times the file has. */
	ck_assert_int_eq(utimensat(AT_FDCWD, room_path("ring"), old, 0), 0);
	must_fail(EAGAIN, remove_it(HOUR_NS, 0));
	for (int64_t later = clock_now() + 2000000; clock_now() < later;)
		;
	must(remove_it(1000000, SHMRING_REMOVE_DRY_RUN));
	shmring_producer_detach(producer_attach(r));
	must_fail(EAGAIN, remove_it(HOUR_NS, 0));
	must(remove_it(0, 0));
	shmring_close(r);
}
END_TEST

static void scribble(const void *bytes, size_t size, off_t offset)
{
	int fd = open(room_path("ring"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, bytes, size, offset), (ssize_t)size);
	close(fd);
}

START_TEST(ring_that_cannot_be_opened_is_refused)
{
	must_fail(EOPNOTSUPP, shmring_remove_unused("broker:ring", 0, 0));
	must_fail(EINVAL, shmring_remove_unused(room_path("ring"), 0, 1u << 31));
	must_fail(ENOENT, remove_it(0, 0));
	scribble("text", 4, 0);
	must_fail(EBADMSG, remove_it(0, SHMRING_REMOVE_FORCE));
	ck_assert_int_eq(unlink(room_path("ring")), 0);
	ck_assert_int_eq(mkdir(room_path("ring"), 0700), 0);
	must_fail(EISDIR, remove_it(0, SHMRING_REMOVE_FORCE));
	ck_assert_int_eq(rmdir(room_path("ring")), 0);
	ck_assert_int_eq(symlink("other", room_path("ring")), 0);
	must_fail(EINVAL, remove_it(0, SHMRING_REMOVE_FORCE));
	ck_assert_int_eq(unlink(room_path("ring")), 0);
}
END_TEST

START_TEST(damaged_ring_is_removed_by_force_unless_it_is_used)
{
	struct shmring_ring *r = create();
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);

	scribble("damage", 6, 128);
	must_fail(ENOTEMPTY, remove_it(0, 0));
	must_fail(EBUSY, remove_it(0, SHMRING_REMOVE_FORCE));
	shmring_consumer_detach(c);
	must(remove_it(0, SHMRING_REMOVE_FORCE));
	ck_assert(!is_there("ring"));
	shmring_close(r);
}
END_TEST

/* No process can open a copy, so no process uses it. */
START_TEST(copy_is_removed)
{
	char command[600];

	shmring_close(create());
	snprintf(command, sizeof(command), "cp --sparse=always %s %s", room_path("ring"),
		 room_path("copy"));
	ck_assert_int_eq(system(command), 0);
	must(shmring_remove_unused(room_path("copy"), 0, 0));
	ck_assert(!is_there("copy") && is_there("ring"));
	must(remove_it(0, 0));
}
END_TEST

START_TEST(one_remover_at_a_time)
{
	struct shmring_ring *r = create();
	int fd = open(room_path("ring"), O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(flock(fd, LOCK_EX), 0);
	must_fail(EBUSY, remove_it(0, 0));
	close(fd);
	expect_gone();
	shmring_close(r);
}
END_TEST

static void hide(void)
{
	ck_assert_int_eq(rename(room_path("ring"), room_path(SHMRING_HIDDEN_PREFIX "1-ring")), 0);
}

static int finish_hidden(uint32_t flags)
{
	return shmring_remove_unused(room_path(SHMRING_HIDDEN_PREFIX "1-ring"), 0, flags);
}

/* Hide the ring as if its remover had been killed. */
START_TEST(hidden_ring_is_finished)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p = producer_attach(r);

	hide();
	must_fail(EBUSY, finish_hidden(SHMRING_REMOVE_DRY_RUN));
	ck_assert(!is_there("ring"));
	must_fail(EBUSY, finish_hidden(0));
	ck_assert(is_there("ring") && !is_there(SHMRING_HIDDEN_PREFIX "1-ring"));
	publish_numbers(p, SOURCE, 0, 1, SIZE);
	shmring_producer_detach(p);
	hide();
	must_fail(ENOTEMPTY, finish_hidden(0));
	ck_assert(is_there("ring"));
	hide();
	must(finish_hidden(SHMRING_REMOVE_FORCE));
	ck_assert(!is_there("ring") && !is_there(SHMRING_HIDDEN_PREFIX "1-ring"));
	shmring_close(r);
}
END_TEST

/* Another ring was made meanwhile, so the hidden ring cannot get its name back. */
START_TEST(hidden_ring_whose_name_is_taken)
{
	struct shmring_ring *old = create(), *r;
	struct shmring_producer *p = producer_attach(old);
	struct stat st;

	publish_numbers(p, SOURCE, 0, 1, SIZE);
	shmring_producer_detach(p);
	hide();
	r = create();
	must_fail(ENOTEMPTY, finish_hidden(0)); /* something would be lost */
	ck_assert(is_there(SHMRING_HIDDEN_PREFIX "1-ring"));
	p = producer_attach(old);
	must_fail(EBUSY, finish_hidden(0));
	ck_assert_int_eq(fstat((int)must(shmring_fd(old)), &st), 0);
	ck_assert_uint_eq(st.st_nlink, 0);
	ck_assert(is_there("ring"));
	shmring_producer_detach(p);
	shmring_close(old);
	must(remove_it(0, 0));
	shmring_close(r);
}
END_TEST

/* --- between the two looks --- */

/* What to do when the remover looks whether the hidden name leads to its file. */
static void (*meanwhile)(struct shmring_ring *r);
static struct shmring_ring *seen_ring;

/* In place of the C library's, for this program and the libraries that it uses. */
int fstatat(int dirfd, const char *path, struct stat *ret, int flags)
{
	void (*act)(struct shmring_ring * r) = meanwhile;

	if (act && strncmp(path, SHMRING_HIDDEN_PREFIX, strlen(SHMRING_HIDDEN_PREFIX)) == 0) {
		meanwhile = NULL;
		ck_assert(!is_there("ring"));
		act(seen_ring);
	}
	return (int)syscall(SYS_newfstatat, dirfd, path, ret, flags);
}

static struct shmring_consumer *attached;

static void attach(struct shmring_ring *r)
{
	attached = consumer_attach(r, NULL, 0, 0);
}

static void come_and_go(struct shmring_ring *r)
{
	shmring_producer_detach(producer_attach(r));
}

static void attach_and_make_anew(struct shmring_ring *r)
{
	attach(r);
	shmring_close(create());
}

static int remove_while(struct shmring_ring *r, void (*act)(struct shmring_ring *r))
{
	int e;

	seen_ring = r;
	meanwhile = act;
	e = remove_it(0, 0);
	ck_assert(meanwhile == NULL);
	return e;
}

START_TEST(second_look_finds_a_process_that_has_just_attached)
{
	struct shmring_ring *r = create();
	struct shmring_producer *p;

	must_fail(EBUSY, remove_while(r, attach));
	ck_assert(is_there("ring"));
	p = producer_attach(r);
	publish_numbers(p, SOURCE, 0, 3, SIZE);
	shmring_producer_detach(p);
	shmring_consumer_detach(attached);
	must_fail(EBUSY, remove_while(r, come_and_go));
	ck_assert(is_there("ring"));
	expect_gone();
	shmring_close(r);
}
END_TEST

/* For processes in the old ring it was removed; the new ring is not touched. */
START_TEST(second_look_leaves_a_new_ring_alone)
{
	struct shmring_ring *r = create();
	struct stat st;

	must_fail(EBUSY, remove_while(r, attach_and_make_anew));
	ck_assert_int_eq(fstat((int)must(shmring_fd(r)), &st), 0);
	ck_assert_uint_eq(st.st_nlink, 0);
	shmring_consumer_detach(attached);
	shmring_close(r);
	expect_gone();
}
END_TEST

/* --- attaching during a removal --- */

static int remove_for_ever(int socket, void *arg)
{
	(void)socket;
	(void)arg;
	for (;;) {
		int e = remove_it(0, 0);

		ck_assert_msg(e == 0 || e == -EBUSY || e == -EAGAIN || e == -ENOENT, "%d: %s", e,
			      shmring_explain());
	}
}

static bool is_under_its_name(int fd)
{
	struct stat opened, named;

	return fstat(fd, &opened) == 0 && stat(room_path("ring"), &named) == 0 &&
	       opened.st_ino == named.st_ino;
}

static bool is_removed(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return st.st_nlink == 0;
}

/* The ring has its name, or is gone for ever; between these states it is hidden. */
static bool await_name(int fd)
{
	int64_t limit = patience();

	while (!is_under_its_name(fd)) {
		if (is_removed(fd))
			return false;
		ck_assert_int_lt(clock_now(), limit);
	}
	return true;
}

/* One life of a ring. True: this process made it. */
static bool attach_and_watch(unsigned round)
{
	struct shmring_ring *r = create();
	int fd = (int)must(shmring_fd(r));
	struct shmring_producer *p = NULL;
	struct shmring_consumer *c = NULL;
	bool ours;

	if (round % 2 == 0)
		p = producer_attach(r);
	else
		c = consumer_attach(r, NULL, 0, 0);
	ours = await_name(fd);
	for (int i = 0; ours && i < LOOKS; i++)
		ck_assert_msg(!is_removed(fd), "a ring in use was removed");
	if (ours)
		ck_assert_msg(await_name(fd), "the name of a ring in use is gone");
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	for (int64_t limit = patience(); !is_removed(fd);)
		ck_assert_int_lt(clock_now(), limit);
	shmring_close(r);
	return ours;
}

START_TEST(attached_process_never_loses_its_ring)
{
	unsigned kept = 0;
	struct child remover;

	child_fork(&remover, remove_for_ever, NULL);
	for (unsigned round = 0; round < ROUNDS; round++)
		kept += attach_and_watch(round);
	child_kill(&remover);
	ck_assert_uint_gt(kept, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("unused");
	TCase *tc = room_case(s, "unused", 60);

	tcase_add_test(tc, ring_without_users_is_removed);
	tcase_add_test(tc, ring_of_dead_processes_is_removed);
	tcase_add_test(tc, ring_in_use_is_kept);
	tcase_add_test(tc, kept_name_is_kept);
	tcase_add_test(tc, messages_without_any_consumer_are_kept);
	tcase_add_test(tc, young_ring_is_kept);
	tcase_add_test(tc, ring_that_cannot_be_opened_is_refused);
	tcase_add_test(tc, damaged_ring_is_removed_by_force_unless_it_is_used);
	tcase_add_test(tc, copy_is_removed);
	tcase_add_test(tc, one_remover_at_a_time);
	tcase_add_test(tc, hidden_ring_is_finished);
	tcase_add_test(tc, hidden_ring_whose_name_is_taken);
	tcase_add_test(tc, second_look_finds_a_process_that_has_just_attached);
	tcase_add_test(tc, second_look_leaves_a_new_ring_alone);
	tcase_add_test(tc, attached_process_never_loses_its_ring);
	return run_suite(s);
}
