/* SPDX-License-Identifier: MIT */
/*
 * Segments: files that appear whole, mappings that come twice and have guards,
 * seals that are looked at.
 */
#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "layout.h"
#include "must.h"
#include "room.h"
#include "runner.h"
#include "sys.h"

enum { SIZE = 65536 };

static int memory_file(uint64_t size)
{
	int fd = (int)must(segment_new_file(-1, 0600));

	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	return fd;
}

START_TEST(second_view_shows_the_first)
{
	int fd = memory_file(4 * SIZE);
	struct mapping m = { 0 };
	char *a, *b;
	void *p;

	must(mapping_reserve(&m, 6 * SIZE, 2));
	must(mapping_lay(&m, fd, SIZE, 2 * SIZE, true, 2, SIZE, &p));
	a = p;
	must(mapping_lay(&m, fd, 3 * SIZE, SIZE, true, 1, SIZE, &p));
	b = p;
	strcpy(a + 2 * SIZE - 3, "across the end");
	ck_assert_str_eq(a + 2 * SIZE, "oss the end");
	ck_assert_str_eq(a, "oss the end");
	b[0] = 'b';
	ck_assert_int_eq(a[0], 'o');
	mapping_drop(&m);
	mapping_drop(&m);
	close(fd);
}
END_TEST

/* Does a store to this address end the process? */
static bool store_kills(char *address)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		*(_Atomic char *)address = 1;
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV;
}

START_TEST(guards_stand_on_both_sides)
{
	int fd = memory_file(4 * SIZE);
	struct mapping m = { 0 };
	void *one, *two;

	must(mapping_reserve(&m, 3 * SIZE, 2));
	must(mapping_lay(&m, fd, 0, SIZE, true, 1, SIZE, &one));
	must(mapping_lay(&m, fd, SIZE, SIZE, true, 2, SIZE, &two));
	ck_assert(store_kills((char *)one - 1));
	ck_assert(!store_kills(one));
	ck_assert(!store_kills((char *)one + SIZE - 1));
	ck_assert(store_kills((char *)one + SIZE));
	ck_assert(store_kills((char *)two - 1));
	ck_assert(!store_kills((char *)two + 2 * SIZE - 1));
	ck_assert(store_kills((char *)two + 2 * SIZE));
	mapping_drop(&m);
	close(fd);
}
END_TEST

START_TEST(readonly_segment_cannot_be_written)
{
	int fd = memory_file(SIZE);
	struct mapping m = { 0 };
	void *p;

	must(mapping_reserve(&m, SIZE, 1));
	must(mapping_lay(&m, fd, 0, SIZE, false, 1, SIZE, &p));
	ck_assert(store_kills(p));
	mapping_drop(&m);
	close(fd);
}
END_TEST

START_TEST(child_does_not_inherit_the_mapping)
{
	int fd = memory_file(SIZE);
	struct mapping m = { 0 };
	void *p;

	must(mapping_reserve(&m, SIZE, 1));
	must(mapping_lay(&m, fd, 0, SIZE, true, 1, SIZE, &p));
	must(mapping_keep_private(&m));
	ck_assert(store_kills(p));
	*(char *)p = 1;
	mapping_drop(&m);
	close(fd);
}
END_TEST

START_TEST(alignment_is_kept)
{
	int fd = memory_file(2 * LAYOUT_HUGE);
	struct mapping m = { 0 };
	void *p;

	must(mapping_reserve(&m, 3 * LAYOUT_HUGE, 2));
	must(mapping_lay(&m, fd, 0, SIZE, true, 1, SIZE, &p));
	must(mapping_lay(&m, fd, 0, LAYOUT_HUGE, true, 2, LAYOUT_HUGE, &p));
	ck_assert_uint_eq((uintptr_t)p % LAYOUT_HUGE, 0);
	mapping_drop(&m);
	close(fd);
}
END_TEST

START_TEST(file_has_no_name_until_it_is_linked)
{
	int dir = open(room_directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = (int)must(segment_new_file(dir, 0640)), other;
	struct stat st;

	ck_assert_int_ne(access(room_path("new"), F_OK), 0);
	must(segment_link(fd, dir, "new"));
	ck_assert_int_eq(stat(room_path("new"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0640);
	other = (int)must(segment_new_file(dir, 0600));
	ck_assert_int_eq(segment_link(other, dir, "new"), -EEXIST);
	close(other);
	close(fd);
	close(dir);
}
END_TEST

START_TEST(sealed_memory_file_keeps_its_size)
{
	int fd = memory_file(SIZE);

	must_fail(EPERM, segment_check_seals(fd));
	must(segment_seal(fd));
	must(segment_check_seals(fd));
	ck_assert_int_eq(ftruncate(fd, 0), -1);
	ck_assert_int_eq(ftruncate(fd, 2 * SIZE), -1);
	close(fd);
}
END_TEST

/* A ring in all respects, but its creator may still truncate it. */
static int unsealed_ring(unsigned seals)
{
	struct shmring_config config = { .size = sizeof(config), .lane_size = SIZE, .lanes = 1 };
	struct identity id = { 0 };
	struct geometry g;
	struct stat st;
	int fd;

	must(layout_plan(&g, &config));
	fd = memory_file(g.file_size);
	ck_assert_int_eq(fstat(fd, &st), 0);
	id.device = st.st_dev;
	id.inode = st.st_ino;
	ck_assert_int_eq(shmr_birth_time(fd, &id.birth_ns), 0);
	ck_assert_int_eq(shmr_boot_id(id.boot_id), 0);
	layout_describe(&id, &g);
	ck_assert_int_eq(pwrite(fd, &id, sizeof(id), 0), sizeof(id));
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

START_TEST(received_memory_file_must_be_sealed)
{
	static const unsigned seals[] = { 0, F_SEAL_GROW, F_SEAL_SHRINK };
	struct shmring_ring *r;
	int fd;

	for (unsigned i = 0; i < 3; i++) {
		fd = unsealed_ring(seals[i]);
		must_fail(EPERM, shmring_open_fd(&r, fd));
		ck_assert_ptr_nonnull(strstr(shmring_explain(), "seal"));
		close(fd);
	}
	fd = unsealed_ring(F_SEAL_SHRINK | F_SEAL_GROW);
	must(shmring_open_fd(&r, fd));
	shmring_close(r);
	close(fd);
}
END_TEST

START_TEST(memory_that_was_given_back_is_zero_and_free)
{
	int fd = memory_file(4 * SIZE);
	struct stat st;
	char byte = 1;

	must(shmr_allocate(fd, SIZE, SIZE));
	ck_assert_int_eq(pwrite(fd, &byte, 1, SIZE), 1);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_ge(st.st_blocks * 512, SIZE);
	shmr_deallocate(fd, SIZE, SIZE);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_blocks, 0);
	ck_assert_int_eq(st.st_size, 4 * SIZE);
	ck_assert_int_eq(pread(fd, &byte, 1, SIZE), 1);
	ck_assert_int_eq(byte, 0);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("segment");
	TCase *tc = room_case(s, "segment", 20);

	tcase_add_test(tc, second_view_shows_the_first);
	tcase_add_test(tc, guards_stand_on_both_sides);
	tcase_add_test(tc, readonly_segment_cannot_be_written);
	tcase_add_test(tc, child_does_not_inherit_the_mapping);
	tcase_add_test(tc, alignment_is_kept);
	tcase_add_test(tc, file_has_no_name_until_it_is_linked);
	tcase_add_test(tc, sealed_memory_file_keeps_its_size);
	tcase_add_test(tc, received_memory_file_must_be_sealed);
	tcase_add_test(tc, memory_that_was_given_back_is_zero_and_free);
	return run_suite(s);
}
