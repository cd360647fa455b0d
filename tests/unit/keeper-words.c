/* SPDX-License-Identifier: MIT */
/*
 * The words between the broker and its keeper: a word brings its descriptors, and descriptors of
 * anything else are closed.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <check.h>

#include "keeper-words.h"
#include "packet.h"
#include "room.h"
#include "runner.h"

static int ends[2];

static void connect_ends(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
}

static void close_ends(void)
{
	close(ends[0]);
	close(ends[1]);
}

static int new_file(void)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Send it with `count` descriptors, of which the sender keeps none. */
static void send_with(const void *bytes, size_t size, unsigned count)
{
	int fds[PACKET_FDS] = { -1, -1 };

	for (unsigned i = 0; i < count; i++)
		fds[i] = new_file();
	ck_assert_int_eq(packet_send(ends[0], bytes, size, fds, count, 0), 0);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
}

START_TEST(word_brings_its_descriptors)
{
	const struct word sent = { .type = WORD_PUT, .inode = 5, .serial = 7 };
	int fd[2], file[2] = { new_file(), new_file() };
	struct word w;

	connect_ends();
	for (int count = 0; count <= 2; count++) {
		ck_assert_int_eq(word_say(ends[0], &sent, count > 0 ? file[0] : -1,
					  count > 1 ? file[1] : -1, 0),
				 0);
		ck_assert_int_eq(word_hear(ends[1], &w, &fd[0], &fd[1]), 1);
		ck_assert_int_eq(memcmp(&w, &sent, sizeof(w)), 0);
		for (int i = 0; i < 2; i++) {
			ck_assert_int_eq(fd[i] >= 0, i < count);
			if (fd[i] >= 0)
				ck_assert_int_eq(fcntl(fd[i], F_GETFD), FD_CLOEXEC);
			if (fd[i] >= 0)
				close(fd[i]);
		}
	}
	close(file[0]);
	close(file[1]);
	close_ends();
}
END_TEST

/* The lowest number is free again when whatever came has been closed. */
static int lowest_free(void)
{
	int fd = new_file();

	close(fd);
	return fd;
}

START_TEST(descriptors_of_malformed_messages_are_closed)
{
	const struct word sent = { .type = WORD_PUT };
	int fd, second, lowest;
	struct word w;

	connect_ends();
	lowest = lowest_free();
	send_with(&sent, sizeof(sent) - 1, (unsigned)_i);
	ck_assert_int_eq(word_hear(ends[1], &w, &fd, &second), 0);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(second, -1);
	ck_assert_int_eq(lowest_free(), lowest);
	close_ends();
}
END_TEST

START_TEST(descriptors_without_room_are_closed)
{
	struct packet_extras with;
	char byte = 'x';
	int lowest;

	connect_ends();
	lowest = lowest_free();
	send_with(&byte, 1, 2);
	ck_assert_int_eq(packet_receive(ends[1], &byte, 1, 1, 0, &with), 1);
	ck_assert_int_eq(with.came, 2);
	ck_assert_int_ge(with.fd[0], 0);
	ck_assert_int_eq(with.fd[1], -1);
	close(with.fd[0]);
	ck_assert_int_eq(lowest_free(), lowest);
	send_with(&byte, 1, 2);
	ck_assert_int_eq(packet_receive(ends[1], &byte, 1, 0, 0, &with), 1);
	ck_assert_int_ne(with.flags & MSG_CTRUNC, 0);
	ck_assert_int_eq(with.fd[0], -1);
	ck_assert_int_eq(lowest_free(), lowest);
	close_ends();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("keeper-words");
	TCase *tc = room_case(s, "keeper-words", 20);

	tcase_add_test(tc, word_brings_its_descriptors);
	tcase_add_loop_test(tc, descriptors_of_malformed_messages_are_closed, 0, 3);
	tcase_add_test(tc, descriptors_without_room_are_closed);
	return run_suite(s);
}
