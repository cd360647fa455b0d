/* SPDX-License-Identifier: MIT */
/*
 * A program closes all descriptors, as daemons do, and opens the ring once more, or another
 * file of its own. The numbers come again: closing the old handle must not close the file
 * that has its number now.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

static void expect_use(struct shmring_ring *r)
{
	shmring_producer_detach(producer_attach(r));
	shmring_consumer_detach(consumer_attach(r, NULL, 0, 0));
	ck_assert_int_eq(must(shmring_reap(r)), 0);
}

/* The old handle's number leads to another description of the same file now. */
static void expect_lost(struct shmring_ring *r)
{
	struct shmring_producer *p;

	must_fail(EBADF, shmring_fd(r));
	must_fail(EBADF, shmring_producer_attach(&p, r, NULL));
}

START_TEST(newer_handle_has_the_number)
{
	struct shmring_config config = small_config();
	struct shmring_ring *old = way_create((enum way)_i, &config), *r;
	const char *path = _i == WAY_DISK_EXEC ? room_disk_path("ring") : room_path("ring");
	int fd = (int)must(shmring_fd(old));

	close(fd);
	must(shmring_open(&r, path));
	ck_assert_int_eq(must(shmring_fd(r)), fd);
	expect_lost(old);
	expect_use(r);
	shmring_close(old);
	ck_assert_int_eq(must(shmring_fd(r)), fd);
	expect_use(r);
	shmring_close(r);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

START_TEST(program_has_the_number)
{
	struct shmring_config config = small_config();
	struct shmring_ring *old = way_create((enum way)_i, &config);
	const char *path = _i == WAY_DISK_EXEC ? room_disk_path("ring") : room_path("ring");
	int fd = (int)must(shmring_fd(old));

	int other = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(dup3(other, fd, O_CLOEXEC), fd);
	close(other);
	expect_lost(old);
	shmring_close(old);
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
	close(fd);
}
END_TEST

/* For a ring without a name the program can only have kept a copy of the description. */
START_TEST(another_description_of_a_ring_without_a_name_has_the_number)
{
	struct shmring_config config = small_config();
	struct shmring_ring *old = way_create(WAY_ANONYMOUS_FORK, &config), *r;
	int fd = (int)must(shmring_fd(old)), copy = dup(fd), other;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", copy);
	close(fd);
	other = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(other, fd);
	expect_lost(old);
	must(shmring_open_fd(&r, copy));
	shmring_close(old);
	ck_assert_int_ge(fcntl(other, F_GETFD), 0);
	expect_use(r);
	shmring_close(r);
	close(other);
	close(copy);
}
END_TEST

/* Several handles of one description: each closes its own descriptor, and no other. */
START_TEST(handles_of_one_description_recognise_it)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = way_create((enum way)_i, &config), *again;

	for (int i = 0; i < 10; i++) {
		must(shmring_open_fd(&again, (int)must(shmring_fd(r))));
		expect_use(again);
		shmring_close(again);
		expect_use(r);
	}
	shmring_close(r);
}
END_TEST

/* Find the bytes that identify the descriptions of this file's handles; returns their number. */
static int read_marks(const char *path, uint64_t *ret, int room)
{
	char line[256], inode[32];
	FILE *locks = fopen("/proc/locks", "re");
	struct stat st;
	int count = 0;

	ck_assert_ptr_nonnull(locks);
	ck_assert_int_eq(stat(path, &st), 0);
	snprintf(inode, sizeof(inode), ":%lu ", (unsigned long)st.st_ino);
	while (count < room && fgets(line, sizeof(line), locks)) {
		const char *at = strstr(line, inode);

		if (at && sscanf(at + strlen(inode), "%lu", &ret[count]) == 1 &&
		    ret[count] >> 60 == 1)
			count++;
	}
	fclose(locks);
	return count;
}

/*
 * A process that may only read can lock these bytes, and those of the next descriptions. Locks of
 * neighbouring bytes become one, so even and odd bytes are locked through two descriptions.
 */
static void lock_all_marks(const char *path)
{
	uint64_t marks[8];
	int count = read_marks(path, marks, 8);
	int fds[2] = { open(path, O_RDONLY | O_CLOEXEC), open(path, O_RDONLY | O_CLOEXEC) };

	ck_assert_int_gt(count, 0);
	for (int i = 0; i < count; i++)
		for (int byte = 0; byte < 200; byte++) {
			struct flock lock = { .l_type = F_RDLCK,
					      .l_start = (off_t)marks[i] + byte,
					      .l_len = 1 };

			fcntl(fds[byte % 2], F_OFD_SETLK, &lock);
		}
}

static int count_descriptors(void)
{
	int count = 0;

	for (int fd = 0; fd < 1000; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Long waits, during which the library checks again and again whether the ring was removed. */
START_TEST(reader_locks_the_bytes_that_identify_descriptors)
{
	struct shmring_config config = small_config();
	const bool observes = _i != 0;
	struct shmring_consumer *c;
	struct shmring_message m;
	struct shmring_ring *r, *own;
	int before;

	config.max_sleep_ns = 1000000;
	own = ring_create(&config);
	if (observes) {
		int fd = open(room_path("ring"), O_RDONLY | O_CLOEXEC);

		must(shmring_open_fd(&r, fd));
		close(fd);
	} else {
		must(shmring_open(&r, room_path("ring")));
	}
	c = consumer_attach(r, NULL, 0, observes ? SHMRING_OBSERVE : 0);
	lock_all_marks(room_path("ring"));
	before = count_descriptors();
	for (int i = 0; i < 50; i++)
		must_fail(ETIMEDOUT, shmring_peek(c, shmring_deadline(20000000), &m));
	ck_assert_int_le(count_descriptors(), observes ? before + 64 : before);
	if (!observes)
		expect_use(r);
	shmring_consumer_detach(c);
	shmring_close(r);
	shmring_close(own);
	for (int fd = 3; fd < 1000; fd++)
		close(fd);
}
END_TEST

/*
 * A program closes everything, and its own files and eventfds get the numbers of what its
 * consumer waits with: the eventfd, and the io_uring if there is one. It is not a file of the
 * consumer that the numbers lead to, so leaving closes none of them.
 */
START_TEST(descriptors_to_wait_with_are_not_closed_for_others)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = ring_create(&config);
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	/* With a thread the library cannot tell another eventfd from the consumer's: see the
	 * manual. */
	int lowest = shmring_consumer_fd(c, _i == 0 ? SHMRING_FD_THREAD : 0);
	int first = (int)must(shmring_fd(r));

	if (_i != 0 && lowest == -EOPNOTSUPP) {
		shmring_consumer_detach(c);
		shmring_close(r);
		return;
	}
	must(lowest);
	if (lowest < first)
		first = lowest;
	closefrom(first);
	for (int fd = first; fd < first + 16; fd++) {
		int mine = _i == 0 ? open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
				   : eventfd(0, EFD_CLOEXEC);

		ck_assert_int_eq(mine, fd);
	}
	shmring_consumer_detach(c);
	shmring_close(r);
	for (int fd = first; fd < first + 16; fd++)
		ck_assert_msg(fcntl(fd, F_GETFD) >= 0, "%d (%d was the first) was closed", fd,
			      first);
	closefrom(first);
}
END_TEST

/* If the program closed nothing, no descriptor is left. */
START_TEST(descriptors_to_wait_with_are_closed)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = ring_create(&config);
	int before = count_descriptors();
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_producer *p = producer_attach(r);

	must(shmring_consumer_fd(c, SHMRING_FD_THREAD));
	must(shmring_producer_fd(p, SHMRING_FD_THREAD));
	ck_assert_int_ge(count_descriptors(), before + 2);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	ck_assert_int_eq(count_descriptors(), before);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("closed-by-others");
	TCase *tc = room_case(s, "closed-by-others", 20);

	tcase_add_loop_test(tc, newer_handle_has_the_number, WAY_MEMORY_EXEC, WAY_FILE_FORK);
	tcase_add_loop_test(tc, program_has_the_number, WAY_MEMORY_EXEC, WAY_FILE_FORK);
	tcase_add_test(tc, another_description_of_a_ring_without_a_name_has_the_number);
	tcase_add_loop_test(tc, descriptors_to_wait_with_are_not_closed_for_others, 0, 2);
	tcase_add_test(tc, descriptors_to_wait_with_are_closed);
	tcase_add_loop_test(tc, reader_locks_the_bytes_that_identify_descriptors, 0, 2);
	tcase_add_loop_test(tc, handles_of_one_description_recognise_it, 0, WAYS);
	return run_suite(s);
}
