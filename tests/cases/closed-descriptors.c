/* SPDX-License-Identifier: MIT */
/*
 * A program that was started without standard descriptors uses the library in every way.
 * No descriptor of the library takes their numbers, at any time, so nothing that the
 * program prints gets into a ring.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "shmringd.h"
#include "way.h"

enum { COMBINATIONS = 8 };

/* Which of 0 to 2 are open, as bits. */
static unsigned standard_open(void)
{
	unsigned open = 0;

	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			open |= 1u << fd;
	return open;
}

static void close_standard(unsigned which)
{
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (which >> fd & 1)
			close(fd);
}

/* The next step has taken none of the numbers; otherwise exit with the number of the step. */
static void step(int *number, unsigned open)
{
	++*number;
	if (standard_open() != open)
		_exit(100 + *number);
}

#define DO(call)                      \
	do {                          \
		if ((call) < 0)       \
			_exit(n + 1); \
		step(&n, open);       \
	} while (0)

static void attach_wait_and_pass(struct shmring_ring *r, unsigned open)
{
	struct shmring_wait_item wait;
	struct shmring_producer *p;
	struct shmring_consumer *c, *o;
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct shmring_ring *again;
	char text[8];
	int n = 20;

	DO(shmring_consumer_attach(&c, r, NULL));
	DO(shmring_producer_attach(&p, r, NULL));
	DO(shmring_consumer_attach(
		&o, r,
		&(struct shmring_consumer_options){ .size = sizeof(struct shmring_consumer_options),
						    .flags = SHMRING_OBSERVE }));
	DO(shmring_consumer_fd(c, SHMRING_FD_THREAD));
	DO(shmring_producer_fd(p, SHMRING_FD_THREAD));
	DO(shmring_consumer_arm(c));
	DO(shmring_publish(p, "message", 8, SHMRING_NOWAIT));
	wait.what = shmring_consumer_waitable(c);
	DO(shmring_wait(&wait, 1, SHMRING_FOREVER));
	DO(shmring_receive(c, text, sizeof(text), SHMRING_FOREVER));
	DO(shmring_stat(r, &st));
	DO(shmring_reap(r));
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_consumer_detach(o);
	step(&n, open);
	if (shmring_open_fd(&again, shmring_fd(r)) == 0)
		shmring_close(again);
	step(&n, open);
}

static void use_everything(const char *address, unsigned open)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r, *again;
	int n = 0;

	config.unread_policy = SHMRING_UNREAD_HOLD;
	DO(shmring_create(&r, address, &config));
	attach_wait_and_pass(r, open);
	shmring_close(r);
	step(&n, open);
	if (!address)
		return;
	DO(shmring_open(&again, address));
	attach_wait_and_pass(again, open);
	shmring_close(again);
	DO(shmring_remove(address));
}

static void in_a_child(const char *address, unsigned closed)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close_standard(closed);
		use_everything(address, standard_open());
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(status == 0, "status %x with %x closed", (unsigned)status, closed);
}

START_TEST(ring_by_its_path)
{
	in_a_child(room_path("ring"), (unsigned)_i);
}
END_TEST

START_TEST(ring_by_its_name)
{
	in_a_child("ring", (unsigned)_i);
	rmdir(room_path("shmring"));
}
END_TEST

START_TEST(ring_without_a_name)
{
	in_a_child(NULL, (unsigned)_i);
}
END_TEST

START_TEST(ring_of_the_broker)
{
	struct child broker;

	shmringd_start(&broker, NULL);
	in_a_child("broker:ring", (unsigned)_i);
	shmringd_end(&broker);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("closed-descriptors");
	TCase *tc = room_case(s, "closed-descriptors", 20);

	tcase_add_loop_test(tc, ring_by_its_path, 0, COMBINATIONS);
	tcase_add_loop_test(tc, ring_by_its_name, 0, COMBINATIONS);
	tcase_add_loop_test(tc, ring_without_a_name, 0, COMBINATIONS);
	tcase_add_loop_test(tc, ring_of_the_broker, 0, COMBINATIONS);
	return run_suite(s);
}
