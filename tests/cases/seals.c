/* SPDX-License-Identifier: MIT */
/*
 * A hostile peer gets the descriptor of a ring, adds every seal that exists, and truncates the
 * file. Other processes still attach, and messages pass.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

/* Seals 0x10 and 0x20 are younger than some headers; the last ones do not exist yet. */
enum { FIRST_SEAL = 0x1, LAST_SEAL = 0x80 };

static void expect_no_seal(int fd)
{
	for (int seal = FIRST_SEAL; seal <= LAST_SEAL; seal <<= 1)
		ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seal), -1);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, 0x1f), -1);
	ck_assert_int_eq(errno, EPERM);
}

static void expect_use(struct shmring_ring *r)
{
	struct shmring_producer *p = producer_attach(r);
	struct shmring_consumer *c = consumer_attach(r, NULL, SHMRING_START_OLDEST, 0);
	char text[8];

	must(shmring_publish(p, "message", 8, SHMRING_NOWAIT));
	ck_assert_int_eq(must(shmring_receive(c, text, sizeof(text), SHMRING_NOWAIT)), 8);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
}

START_TEST(ring_without_a_name_takes_no_seal)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = way_create(WAY_ANONYMOUS_FORK, &config), *passed;
	int fd = dup(must(shmring_fd(r)));

	expect_no_seal(fd);
	ck_assert_int_eq(ftruncate(fd, 0), -1);
	ck_assert_int_eq(errno, EPERM);
	expect_use(r);
	must(shmring_open_fd(&passed, fd));
	expect_use(passed);
	shmring_close(passed);
	shmring_close(r);
	close(fd);
}
END_TEST

START_TEST(ring_with_a_name_takes_no_seal)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = way_create(WAY_MEMORY_EXEC, &config);
	int fd = open(room_path("ring"), O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	expect_no_seal(fd);
	expect_use(r);
	shmring_close(r);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("seals");
	TCase *tc = room_case(s, "seals", 20);

	tcase_add_test(tc, ring_without_a_name_takes_no_seal);
	tcase_add_test(tc, ring_with_a_name_takes_no_seal);
	return run_suite(s);
}
