/* SPDX-License-Identifier: MIT */
/*
 * Permission to take part: users, modes, and the umask of the creator. Observers
 * with read permission alone have their program, observe.c.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 231, SIZE = 1000, NOBODY = 65534 };

static void become_nobody(void)
{
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
}

static int create_under_umask(int socket, void *arg)
{
	struct shmring_config config = small_config();
	const mode_t *mask = arg;
	struct shmring_ring *r;
	struct stat st;

	(void)socket;
	become_nobody(); /* root may enter directories that the user nobody may not */
	umask(*mask);
	must(shmring_create(&r, "bare", &config));
	shmring_close(r);
	must(shmring_open(&r, "bare"));
	shmring_close(r);
	ck_assert_int_eq(stat(room_path("shmring"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(stat(room_path("shmring/bare"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	return 0;
}

START_TEST(umask_does_not_change_the_mode)
{
	static const mode_t masks[] = { 0, 0777, 0700, 0077 };
	mode_t mask = masks[_i];
	struct child c;

	ck_assert_int_eq(chmod(room_directory(), 0777), 0);
	child_fork(&c, create_under_umask, &mask);
	child_end(&c);
	room_path("shmring");
	room_path("shmring/bare");
}
END_TEST

START_TEST(users_prove_the_death_of_each_other)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r;
	struct peer root, nobody[2];

	if (geteuid() != 0)
		room_skip("needs root, to become another user");
	config.mode = 0666;
	r = ring_create(&config);
	for (int i = 0; i < 2; i++) {
		peer_exec(&nobody[i]);
		ck_assert_int_eq(peer_simple(&nobody[i], PEER_NOBODY), 0);
		ck_assert_int_eq(peer_open(&nobody[i], room_path("ring")), 0);
	}
	ring_start(&root);
	ck_assert_int_eq(peer_producer(&root, SOURCE), 0);
	ck_assert_int_eq(peer_consumer(&nobody[0], NULL, 0, 0), 0);
	peer_tell_fill(&root, 200, SIZE);
	child_await_sleep(&root.child);
	child_kill(&nobody[0].child);
	ck_assert_int_eq(peer_answer(&root), 200);
	ck_assert_int_eq(peer_consumer(&root, NULL, SHMRING_START_NOW, 0), 0);
	ck_assert_int_eq(peer_producer(&nobody[1], SOURCE + 1), 0);
	peer_tell_fill(&nobody[1], 200, SIZE);
	child_await_sleep(&nobody[1].child);
	child_kill(&root.child);
	ck_assert_int_eq(peer_answer(&nobody[1]), 200);
	peer_quit(&nobody[1]);
	ck_assert_int_eq(must(shmring_reap(r)), 1);
	shmring_close(r);
}
END_TEST

/* A process that may read but not write can neither produce nor consume. */
START_TEST(mode_0644_makes_other_users_observers)
{
	struct shmring_config config = small_config();
	struct shmring_producer *p;
	struct peer stranger;
	struct shmring_ring *r;

	if (geteuid() != 0)
		room_skip("needs root, to become another user");
	config.mode = 0644;
	r = ring_create(&config);
	p = producer_attach(r);
	publish_numbers(p, SOURCE, 0, 20, SIZE);
	peer_exec(&stranger);
	ck_assert_int_eq(peer_simple(&stranger, PEER_NOBODY), 0);
	ck_assert_int_eq(peer_open(&stranger, room_path("ring")), 0);
	ck_assert_int_eq(peer_producer(&stranger, SOURCE), -EACCES);
	ck_assert_int_eq(peer_consumer(&stranger, "name", 0, 0), -EACCES);
	ck_assert_int_eq(peer_consumer(&stranger, NULL, SHMRING_START_OLDEST, SHMRING_OBSERVE), 0);
	ck_assert_int_eq(peer_consume(&stranger, 20), 20);
	audit_must_be(&stranger.answer.audit, 20, 0);
	peer_quit(&stranger);
	ck_assert_int_eq(must(shmring_reap(r)), 0);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rights");
	TCase *tc = room_case(s, "rights", 30);

	tcase_add_loop_test(tc, umask_does_not_change_the_mode, 0, 4);
	tcase_add_test(tc, users_prove_the_death_of_each_other);
	tcase_add_test(tc, mode_0644_makes_other_users_observers);
	return run_suite(s);
}
