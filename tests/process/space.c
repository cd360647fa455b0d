/* SPDX-License-Identifier: MIT */
/*
 * File systems that are full, or that a ring cannot live on.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 91 };

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		room_skip("%s: %s", path, strerror(errno));
	close(fd);
}

/* A mount namespace of this test's own, as root there if not here. */
static void own_namespace(void)
{
	char map[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (unshare(uid == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0)
		room_skip("no mount namespace: %s", strerror(errno));
	if (uid != 0) {
		write_file("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "0 %u 1", uid);
		write_file("/proc/self/uid_map", map);
		snprintf(map, sizeof(map), "0 %u 1", gid);
		write_file("/proc/self/gid_map", map);
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		room_skip("no private mounts: %s", strerror(errno));
}

/* Mount something in the room; returns where. */
static const char *mount_here(const char *type, const char *options)
{
	const char *where = room_path("mount");

	own_namespace();
	ck_assert_int_eq(mkdir(where, 0700), 0);
	if (mount("none", where, type, 0, options) != 0)
		room_skip("cannot mount %s: %s", type, strerror(errno));
	return where;
}

static void unmount(void)
{
	ck_assert_int_eq(umount2(room_path("mount"), 0), 0);
}

static uint64_t free_bytes(const char *where)
{
	struct statvfs fs;

	ck_assert_int_eq(statvfs(where, &fs), 0);
	return fs.f_bfree * fs.f_bsize;
}

START_TEST(create_on_a_full_file_system_leaves_nothing)
{
	const char *where = mount_here("tmpfs", "size=16k"), *path = room_path("mount/ring");
	uint64_t before = free_bytes(where);
	struct shmring_config config = small_config();
	struct shmring_ring *r;

	must_fail(ENOSPC, shmring_create(&r, path, &config));
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert_uint_eq(free_bytes(where), before);
	ck_assert_int_eq(rmdir(path), -1);
	unmount();
}
END_TEST

/* Lanes are allocated by their first owners: the ring fits, a lane does not. */
START_TEST(lane_that_does_not_fit_is_refused_and_the_ring_goes_on)
{
	const char *where = mount_here("tmpfs", "size=4m"), *path = room_path("mount/ring");
	struct shmring_config config = small_config();
	struct shmring_producer *p, *q;
	struct shmring_consumer *c;
	struct shmring_ring *r;
	uint64_t before;
	struct audit audit;

	config.lane_size = (uint64_t)2 << 20;
	must(shmring_create(&r, path, &config));
	p = producer_attach(r);
	c = consumer_attach(r, NULL, 0, 0);
	before = free_bytes(where);
	for (int i = 0; i < 3; i++)
		must_fail(ENOSPC, shmring_producer_attach(&q, r, NULL));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "smaller lane size"));
	ck_assert_uint_ge(free_bytes(where) + 65536, before);
	audit_begin(&audit, true);
	for (uint64_t number = 0; number < 3000; number++) {
		publish_numbers(p, SOURCE, number, 1, 3000);
		consume_audited(c, &audit, 1);
	}
	audit_must_be(&audit, 3000, 0);
	ck_assert_int_eq(mount(NULL, where, NULL, MS_REMOUNT, "size=8m"), 0);
	q = producer_attach(r);
	publish_numbers(q, SOURCE + 1, 0, 10, 3000);
	consume_audited(c, &audit, 10);
	audit_must_be(&audit, 3010, 0);
	shmring_producer_detach(q);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
	unmount();
}
END_TEST

/* The memory of a lane is there for good: a file system that fills up later
 * takes nothing away, and no store dies of it. */
START_TEST(file_system_that_fills_up_harms_no_attached_lane)
{
	const char *where = mount_here("tmpfs", "size=4m"), *path = room_path("mount/ring");
	int fd = open(where, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct shmring_config config = small_config();
	static char block[65536];
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct audit audit;
	struct shmring_ring *r;

	config.lane_size = (uint64_t)1 << 20;
	must(shmring_create(&r, path, &config));
	p = producer_attach(r);
	memset(block, 1, sizeof(block));
	while (write(fd, block, sizeof(block)) > 0)
		;
	ck_assert_int_eq(errno, ENOSPC);
	c = consumer_attach(r, NULL, 0, 0);
	audit_begin(&audit, true);
	for (uint64_t number = 0; number < 3000; number++) {
		publish_numbers(p, SOURCE, number, 1, 3000);
		consume_audited(c, &audit, 1);
	}
	audit_must_be(&audit, 3000, 0);
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(r);
	close(fd);
	unmount();
}
END_TEST

START_TEST(shortage_of_inodes_is_reported)
{
	const char *path;
	struct shmring_config config = small_config();
	struct shmring_ring *r;

	mount_here("tmpfs", "size=4m,nr_inodes=1");
	path = room_path("mount/ring");
	must_fail(ENOSPC, shmring_create(&r, path, &config));
	unmount();
}
END_TEST

START_TEST(other_file_systems_are_refused)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r;

	mount_here("ramfs", NULL);
	must_fail(EOPNOTSUPP, shmring_create(&r, room_path("mount/ring"), &config));
	ck_assert_int_ne(access(room_path("mount/ring"), F_OK), 0);
	unmount();
}
END_TEST

/* This file system does not keep the lock of an attachment. */
START_TEST(stacked_file_system_is_refused)
{
	struct shmring_config config = small_config();
	char options[4096];
	struct shmring_ring *r;

	shmring_close(ring_create(&config));
	ck_assert_int_eq(mkdir(room_path("lower"), 0700), 0);
	ck_assert_int_eq(mkdir(room_path("upper"), 0700), 0);
	ck_assert_int_eq(mkdir(room_path("work"), 0700), 0);
	room_path("work/work"); /* the kernel's */
	room_path("upper/ring");
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s,userxattr",
		 room_directory(), room_path("upper"), room_path("work"));
	mount_here("overlay", options);
	must_fail(EOPNOTSUPP, shmring_create(&r, room_path("mount/new"), &config));
	must_fail(EOPNOTSUPP, shmring_open(&r, room_path("mount/ring")));
	unmount();
}
END_TEST

START_TEST(readonly_mount_serves_observers)
{
	struct shmring_config config = small_config();
	const char *where = mount_here("tmpfs", "size=4m"), *path = room_path("mount/ring");
	struct shmring_consumer *c, *o;
	struct shmring_ring *r;

	must(shmring_create(&r, path, &config));
	shmring_close(r);
	ck_assert_int_eq(mount(NULL, where, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	must(shmring_open(&r, path));
	must_fail(EACCES, shmring_consumer_attach(&c, r, NULL));
	o = consumer_attach(r, NULL, 0, SHMRING_OBSERVE);
	shmring_consumer_detach(o);
	shmring_close(r);
	must_fail(EROFS, shmring_create(&r, room_path("mount/other"), &config));
	must_fail(EROFS, shmring_remove(path));
	unmount();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("space");
	TCase *tc = room_case(s, "space", 20);

	tcase_add_test(tc, create_on_a_full_file_system_leaves_nothing);
	tcase_add_test(tc, lane_that_does_not_fit_is_refused_and_the_ring_goes_on);
	tcase_add_test(tc, file_system_that_fills_up_harms_no_attached_lane);
	tcase_add_test(tc, shortage_of_inodes_is_reported);
	tcase_add_test(tc, other_file_systems_are_refused);
	tcase_add_test(tc, stacked_file_system_is_refused);
	tcase_add_test(tc, readonly_mount_serves_observers);
	return run_suite(s);
}
