/* SPDX-License-Identifier: MIT */
/*
 * The words between clients and the broker: each arrives as it was said, and each
 * way to break M1 (proto.h), one at a time, ends the connection and leaks nothing.
 */
#include "proto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"

enum { SERIAL = 77, ANY = 5 };

/* The wire, as docs/protocol.md has it. */
static const struct {
	enum proto_type type;
	size_t size;
	bool from_client;
	bool with_fd;
} wire[] = {
	{ PROTO_HELLO, 32, true, false },     { PROTO_WELCOME, 48, false, false },
	{ PROTO_ERROR, 420, false, false },   { PROTO_OPEN, 168, true, false },
	{ PROTO_RING, 48, false, true },      { PROTO_ATTACH, 32, true, false },
	{ PROTO_GRANT, 24, false, true },     { PROTO_GO, 24, false, false },
	{ PROTO_DETACH, 24, true, false },    { PROTO_NEXT, 80, true, false },
	{ PROTO_ENTRY, 128, false, false },   { PROTO_REMOVE, 80, true, false },
	{ PROTO_DONE, 16, false, false },     { PROTO_METRICS, 16, true, false },
	{ PROTO_TEXT, 24, false, true },      { PROTO_LANE, 40, true, false },
	{ PROTO_LANE_FILE, 24, false, true },
};
enum { TYPES = sizeof(wire) / sizeof(wire[0]) };

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

static int memory_file(void)
{
	int fd = memfd_create("proto", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* A message of that type with which nothing is wrong, every word in use. */
static struct proto_message sound(unsigned index)
{
	struct proto_message m = {
		.head = { PROTO_MAGIC, (uint16_t)wire[index].type,
			  wire[index].type == PROTO_HELLO ? 0 : PROTO_VERSION,
			  (uint32_t)wire[index].size, SERIAL },
	};

	switch (wire[index].type) {
	case PROTO_HELLO:
		m.u.hello = (struct proto_hello){ 1, 9, UINT64_MAX };
		break;
	case PROTO_WELCOME:
		m.u.welcome = (struct proto_welcome){ 1, 0, 3, { 1, 2, 3 } };
		break;
	case PROTO_ERROR:
		m.u.error = (struct proto_error){ -EACCES, "rule 3 of the file says no" };
		break;
	case PROTO_OPEN:
		m.u.open = (struct proto_open){ "ring", PROTO_MAKE | PROTO_PERSISTENT, 0, { 0 } };
		m.u.open.config.lanes = 3;
		m.u.open.config.stamps = UINT32_MAX;
		break;
	case PROTO_RING:
		m.u.ring = (struct proto_ring){ ANY, PROTO_RIGHTS, PROTO_IS_PERSISTENT, { 9 } };
		break;
	case PROTO_ATTACH:
		m.u.attach = (struct proto_attach){ ANY, PROTO_CONSUME, 0 };
		break;
	case PROTO_NEXT:
	case PROTO_REMOVE:
		strcpy(m.u.name.name, "A.b_c-1");
		break;
	case PROTO_ENTRY:
		m.u.entry = (struct proto_entry){ "x", 1000, PROTO_RIGHTS, 1, 2, 3, 4, { 5 } };
		break;
	case PROTO_GRANT:
	case PROTO_GO:
	case PROTO_DETACH:
		m.u.grant.grant = UINT64_MAX;
		break;
	case PROTO_LANE:
		m.u.lane = (struct proto_lane){ ANY, PROTO_PRODUCE, 63, UINT32_MAX, 0 };
		break;
	case PROTO_LANE_FILE:
		m.u.lane_file.file_number = UINT32_MAX;
		break;
	case PROTO_TEXT:
		m.u.text.bytes = 12345;
		break;
	default:
		break;
	}
	return m;
}

/* Send bytes and descriptors as they are. */
static void send_raw(const void *bytes, size_t size, const int *fds, size_t count)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(4 * sizeof(int))];
	} control = { .room = { 0 } };
	struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
	struct msghdr h = { .msg_iov = &part, .msg_iovlen = 1 };

	if (count > 0) {
		h.msg_control = &control;
		h.msg_controllen = CMSG_SPACE(count * sizeof(int));
		CMSG_FIRSTHDR(&h)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&h)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&h)->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&h)), fds, count * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(ends[0], &h, 0), (ssize_t)size);
}

/* What the receiver says to these bytes with that many descriptors. */
static int answer_to(const void *bytes, size_t size, size_t count, bool from_client)
{
	struct proto_message m;
	int fds[4] = { -1, -1, -1, -1 }, got, e;

	for (size_t i = 0; i < count; i++)
		fds[i] = memory_file();
	connect_ends();
	send_raw(bytes, size, fds, count);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	e = proto_receive(ends[1], &m, from_client, &got);
	if (e == 0)
		ck_assert_int_eq(got >= 0, count == 1);
	else
		ck_assert_int_eq(got, -1);
	if (got >= 0)
		close(got);
	close_ends();
	return e;
}

/* The same, for a message in its own direction, with what belongs to it. */
static int fate_of(const struct proto_message *m, unsigned index)
{
	return answer_to(m, wire[index].size, wire[index].with_fd, wire[index].from_client);
}

START_TEST(wire_has_these_types_and_sizes)
{
	struct proto_message m = sound((unsigned)_i);

	ck_assert_int_eq(TYPES, PROTO_TYPES - PROTO_HELLO);
	ck_assert_uint_eq(wire[_i].type, (unsigned)_i + 1);
	ck_assert_int_eq(fate_of(&m, (unsigned)_i), 0);
}
END_TEST

START_TEST(fields_have_fixed_offsets)
{
#define IS_AT(at, member) ck_assert_uint_eq(offsetof(struct proto_message, u.member), (at))
	static const unsigned char magic[] = { 'r', 's', 'h', 'b' };

	ck_assert_mem_eq(&(uint32_t){ PROTO_MAGIC }, magic, 4);
	IS_AT(20, hello.version_max);
	IS_AT(24, welcome.features);
	IS_AT(32, welcome.broker);
	IS_AT(20, error.text);
	IS_AT(80, open.flags);
	IS_AT(88, open.config.lane_size);
	IS_AT(96, open.config.evict_after_ns);
	IS_AT(104, open.config.max_sleep_ns);
	IS_AT(112, open.config.first_position);
	IS_AT(120, open.config.lanes);
	IS_AT(124, open.config.alignment);
	IS_AT(128, open.config.slow_policy);
	IS_AT(132, open.config.unread_policy);
	IS_AT(136, open.config.wake);
	IS_AT(140, open.config.mode);
	IS_AT(144, open.config.stamps);
	IS_AT(24, ring.rights);
	IS_AT(32, ring.uuid);
	IS_AT(24, attach.role);
	IS_AT(80, entry.owner);
	IS_AT(92, entry.clients);
	IS_AT(96, entry.bytes);
	IS_AT(112, entry.uuid);
}
END_TEST

START_TEST(messages_arrive_unchanged)
{
	struct proto_message sent = sound((unsigned)_i), want = sent, got;
	int file = wire[_i].with_fd ? memory_file() : -1, fd;

	connect_ends();
	/* The sender fills in the head, but for the serial. */
	memset(&sent.head, 0xee, sizeof(sent.head));
	sent.head.serial = SERIAL;
	must(proto_send(ends[0], &sent, wire[_i].type, file));
	must(proto_receive(ends[1], &got, wire[_i].from_client, &fd));
	ck_assert_mem_eq(&got, &want, wire[_i].size);
	ck_assert_int_eq(fd >= 0, wire[_i].with_fd);
	if (fd >= 0)
		close(fd);
	if (file >= 0)
		close(file);
	close_ends();
}
END_TEST

START_TEST(head_must_be_right)
{
	const struct proto_message good = sound((unsigned)_i);
	unsigned i = (unsigned)_i;
	struct proto_message m = good;

	m.head.magic ^= 1;
	ck_assert_int_eq(fate_of(&m, i), -EBADMSG);
	m = good;
	m.head.version++;
	ck_assert_int_eq(fate_of(&m, i), -EBADMSG);
	m = good;
	m.head.size++;
	ck_assert_int_eq(fate_of(&m, i), -EBADMSG);
	m.head.size = good.head.size - 1;
	ck_assert_int_eq(fate_of(&m, i), -EBADMSG);
	m = good;
	m.head.type = 0;
	ck_assert_int_eq(fate_of(&m, i), -EBADMSG);
	m.head.type = PROTO_TYPES;
	ck_assert_int_eq(fate_of(&m, i), -EBADMSG);
	m.head.type = UINT16_MAX;
	ck_assert_int_eq(fate_of(&m, i), -EBADMSG);
	m = good;
	m.head.serial = UINT32_MAX; /* any will do */
	ck_assert_int_eq(fate_of(&m, i), 0);
}
END_TEST

START_TEST(direction_must_be_right)
{
	struct proto_message m = sound((unsigned)_i);

	ck_assert_int_eq(answer_to(&m, wire[_i].size, wire[_i].with_fd, !wire[_i].from_client),
			 -EBADMSG);
}
END_TEST

/* Also if the head says the size that it has. */
START_TEST(size_must_be_right)
{
	struct {
		struct proto_message m;
		char more[sizeof(struct proto_message)];
	} big = { .m = sound((unsigned)_i) };
	size_t size = wire[_i].size;

	for (size_t other = 1; other <= sizeof(big); other += other < 64 ? 1 : 7) {
		big.m.head.size = (uint32_t)other;
		if (other != size)
			ck_assert_int_eq(
				answer_to(&big, other, wire[_i].with_fd, wire[_i].from_client),
				-EBADMSG);
	}
	big.m.head.size = (uint32_t)size;
	ck_assert_int_eq(answer_to(&big, size - 1, wire[_i].with_fd, wire[_i].from_client),
			 -EBADMSG);
	ck_assert_int_eq(answer_to(&big, size + 1, wire[_i].with_fd, wire[_i].from_client),
			 -EBADMSG);
}
END_TEST

/* Neither more nor fewer, and none from clients at all. */
START_TEST(descriptors_must_be_right)
{
	struct proto_message m = sound((unsigned)_i);

	for (size_t count = 0; count <= 4; count++) {
		int e = answer_to(&m, wire[_i].size, count, wire[_i].from_client);

		ck_assert_msg((e == 0) == (count == wire[_i].with_fd), "%zu descriptors: %d", count,
			      e);
		/* The receiver's room holds one and the padding behind it: not all fit. */
		if (e != 0)
			ck_assert_msg(e == -EBADMSG || (e == -EMFILE && count > 1),
				      "%zu descriptors: %d", count, e);
	}
}
END_TEST

/* One word of one message that is wrong; `text`: what to put there. */
static const struct spoiling {
	unsigned type;
	size_t offset;
	size_t size;
	const char *text;
} spoilings[] = {
#define AT(member) offsetof(struct proto_message, u.member)
#define WORD "\xff\xff\xff\xff"
#define ZERO "\0\0\0\0"
	{ PROTO_HELLO, AT(hello.version_min), 4, "\x0a\0\0\0" }, /* min > max */
	{ PROTO_WELCOME, AT(welcome.reserved), 4, "\x01\0\0\0" },
	{ PROTO_ERROR, AT(error.error), 4, ZERO },
	{ PROTO_ERROR, AT(error.error), 4, "\x01\0\0\0" },
	{ PROTO_ERROR, AT(error.error), 4, "\0\xf0\xff\xff" }, /* -4096 */
	{ PROTO_ERROR, AT(error.text) + 3, 1, "\n" },
	{ PROTO_ERROR, AT(error.text) + 3, 1, "\x1b" },
	{ PROTO_ERROR, AT(error.text) + 3, 1, "\x7f" },
	{ PROTO_OPEN, AT(open.name), 1, "" },
	{ PROTO_OPEN, AT(open.name), 1, "." },
	{ PROTO_OPEN, AT(open.name) + 1, 1, "/" },
	{ PROTO_OPEN, AT(open.name) + 1, 1, "\xc3" },
	{ PROTO_OPEN, AT(open.name) + 5, 1, "x" }, /* behind the end */
	{ PROTO_OPEN, AT(open.name) + 63, 1, "x" },
	{ PROTO_OPEN, AT(open.flags), 4, "\x08\0\0\0" },
	{ PROTO_OPEN, AT(open.flags), 4, "\x09\0\0\0" },
	{ PROTO_OPEN, AT(open.flags), 4, "\x02\0\0\0" }, /* persistent, not made */
	{ PROTO_OPEN, AT(open.flags), 4, ZERO },	 /* a config, not made */
	{ PROTO_OPEN, AT(open.reserved), 4, "\x01\0\0\0" },
	{ PROTO_OPEN, AT(open.config.reserved), 1, "\x01" },
	{ PROTO_OPEN, AT(open.config.reserved) + 3, 1, "\x01" },
	{ PROTO_RING, AT(ring.rights), 4, "\x20\0\0\0" },
	{ PROTO_RING, AT(ring.flags), 4, "\x04\0\0\0" },
	{ PROTO_ATTACH, AT(attach.role), 4, ZERO },
	{ PROTO_ATTACH, AT(attach.role), 4, "\x03\0\0\0" }, /* two of them */
	{ PROTO_ATTACH, AT(attach.role), 4, "\x08\0\0\0" },
	{ PROTO_ATTACH, AT(attach.reserved), 4, "\0\0\0\x80" },
	{ PROTO_NEXT, AT(name.name) + 1, 1, " " },
	{ PROTO_NEXT, AT(name.name), 1, "" }, /* none, and rubbish behind it */
	{ PROTO_REMOVE, AT(name.name), 1, "" },
	{ PROTO_REMOVE, AT(name.name) + 62, 2, "ab" },
	{ PROTO_ENTRY, AT(entry.name), 1, "" },
	{ PROTO_ENTRY, AT(entry.rights), 4, WORD },
	{ PROTO_ENTRY, AT(entry.flags), 4, WORD },
	{ PROTO_LANE, AT(lane.role), 4, ZERO },
	{ PROTO_LANE, AT(lane.role), 4, "\x04\0\0\0" }, /* an epoch, to read */
	{ PROTO_LANE, AT(lane.reserved), 4, "\x01\0\0\0" },
	{ PROTO_LANE_FILE, AT(lane_file.reserved), 4, WORD },
};

START_TEST(fields_must_be_right)
{
	const struct spoiling *s = &spoilings[_i];
	struct proto_message m = sound(s->type - 1);

	ck_assert_int_eq(fate_of(&m, s->type - 1), 0);
	memcpy((char *)&m + s->offset, s->text, s->size);
	ck_assert_int_eq(fate_of(&m, s->type - 1), -EBADMSG);
	/* Nor can it be sent. */
	connect_ends();
	ck_assert_int_eq(proto_send(ends[0], &m, (enum proto_type)s->type,
				    wire[s->type - 1].with_fd ? 0 : -1),
			 -EINVAL);
	close_ends();
}
END_TEST

START_TEST(text_without_an_end_is_refused)
{
	struct proto_message m = sound(PROTO_ERROR - 1);

	memset(m.u.error.text, 'x', sizeof(m.u.error.text));
	ck_assert_int_eq(fate_of(&m, PROTO_ERROR - 1), -EBADMSG);
	m.u.error.text[sizeof(m.u.error.text) - 1] = '\0';
	ck_assert_int_eq(fate_of(&m, PROTO_ERROR - 1), 0);
	memset(&m.u, 'x', sizeof(m.u.name.name));
	ck_assert_int_eq(fate_of(&m, PROTO_NEXT - 1), -EBADMSG);
}
END_TEST

START_TEST(lowest_error_and_first_name_are_right)
{
	struct proto_message m = sound(PROTO_ERROR - 1);

	m.u.error.error = -4095;
	m.u.error.text[0] = '\0';
	ck_assert_int_eq(fate_of(&m, PROTO_ERROR - 1), 0);
	m = sound(PROTO_NEXT - 1);
	memset(&m.u, 0, sizeof(m.u));
	ck_assert_int_eq(fate_of(&m, PROTO_NEXT - 1), 0);
	m = sound(PROTO_OPEN - 1);
	m.u.open.flags = 0;
	memset(&m.u.open.config, 0, sizeof(m.u.open.config));
	ck_assert_int_eq(fate_of(&m, PROTO_OPEN - 1), 0);
}
END_TEST

START_TEST(message_is_sent_only_with_its_own_type_and_descriptor)
{
	struct proto_message m = sound((unsigned)_i);
	int fd = memory_file(), none;

	connect_ends();
	ck_assert_int_eq(proto_send(ends[0], &m, wire[_i].type, wire[_i].with_fd ? -1 : fd),
			 -EINVAL);
	ck_assert_int_eq(proto_send(ends[0], &m, 0, -1), -EINVAL);
	ck_assert_int_eq(proto_send(ends[0], &m, PROTO_TYPES, -1), -EINVAL);
	ck_assert_int_eq(proto_receive(ends[1], &m, wire[_i].from_client, &none), -EAGAIN);
	close(fd);
	close_ends();
}
END_TEST

START_TEST(end_of_the_other_side_is_reported)
{
	struct proto_message m = sound(PROTO_DONE - 1);
	int fd, e;

	connect_ends();
	do
		e = proto_send(ends[0], &m, PROTO_DONE, -1);
	while (e == 0);
	ck_assert_int_eq(e, -EAGAIN);
	do
		e = proto_receive(ends[1], &m, false, &fd);
	while (e == 0);
	ck_assert_int_eq(e, -EAGAIN);
	send_raw("", 0, NULL, 0); /* an empty packet looks like the end, and is taken for it */
	ck_assert_int_eq(proto_receive(ends[1], &m, false, &fd), -ECONNRESET);
	close(ends[1]);
	ck_assert_int_eq(proto_receive(ends[0], &m, true, &fd), -ECONNRESET);
	ck_assert_int_eq(proto_send(ends[0], &m, PROTO_DONE, -1), -EPIPE); /* and no SIGPIPE */
	close(ends[0]);
}
END_TEST

/* The kernel drops the descriptor, and the reader drops the message with it. */
START_TEST(no_room_for_the_descriptor)
{
	struct proto_message m = sound(PROTO_TEXT - 1);
	struct rlimit limit, tight;
	int file = memory_file(), fd, e;

	connect_ends();
	must(proto_send(ends[0], &m, PROTO_TEXT, file));
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	tight = limit;
	tight.rlim_cur = (rlim_t)file;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &tight), 0);
	e = proto_receive(ends[1], &m, false, &fd);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(e, -EMFILE);
	ck_assert_int_eq(fd, -1);
	close(file);
	close_ends();
}
END_TEST

START_TEST(names)
{
	static const char *const good[] = { "a", "0", "_", "-", "A.b_c-9", "a.", "a..b" };
	static const char *const bad[] = { "",	  ".",	 "..",	     ".a",  "a/b", "/",
					   "a b", "a\n", "\xc3\xa4", "a:b", "a*",  "broker:a" };
	char longest[PROTO_NAME_SIZE + 1];

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(proto_is_name(good[i]), "'%s'", good[i]);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!proto_is_name(bad[i]), "'%s'", bad[i]);
	memset(longest, 'x', sizeof(longest));
	longest[PROTO_NAME_SIZE] = '\0';
	ck_assert(!proto_is_name(longest));
	longest[PROTO_NAME_SIZE - 1] = '\0';
	ck_assert(proto_is_name(longest));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("proto");
	TCase *tc = room_case(s, "proto", 20);

	tcase_add_loop_test(tc, wire_has_these_types_and_sizes, 0, TYPES);
	tcase_add_test(tc, fields_have_fixed_offsets);
	tcase_add_loop_test(tc, messages_arrive_unchanged, 0, TYPES);
	tcase_add_loop_test(tc, head_must_be_right, 0, TYPES);
	tcase_add_loop_test(tc, direction_must_be_right, 0, TYPES);
	tcase_add_loop_test(tc, size_must_be_right, 0, TYPES);
	tcase_add_loop_test(tc, descriptors_must_be_right, 0, TYPES);
	tcase_add_loop_test(tc, fields_must_be_right, 0,
			    (int)(sizeof(spoilings) / sizeof(spoilings[0])));
	tcase_add_test(tc, text_without_an_end_is_refused);
	tcase_add_test(tc, lowest_error_and_first_name_are_right);
	tcase_add_loop_test(tc, message_is_sent_only_with_its_own_type_and_descriptor, 0, TYPES);
	tcase_add_test(tc, end_of_the_other_side_is_reported);
	tcase_add_test(tc, no_room_for_the_descriptor);
	tcase_add_test(tc, names);
	return run_suite(s);
}
