/* SPDX-License-Identifier: MIT */
/*
 * Files that the broker no longer gives out count as long as a process keeps them: rings
 * that were removed, and lanes of isolated rings that went to another user.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "raw.h"
#include "room.h"
#include "runner.h"
#include "server.h"

enum { ALICE = 20001, BOB = 20002, TURNS = 20, LANE_MIB = 8, LIMIT_MIB = 40 };

#define must_say(words) ck_assert_msg(strstr(raw_words, words) != NULL, "it says: %s", raw_words)

static void start_with(struct server *b, const char *config)
{
	const char *extra[] = { "--config", server_config(config), NULL };

	server_start(b, extra);
}

/* Rings of 2 lanes of 64 KiB take less than 1 MiB each, so two fit, and three do not. */
static const char two_rings[] =
	"rules = ( { who = \"*\"; rings = \"*\"; allow = [ \"all\" ]; } );\n"
	"limits = ( { who = \"*\"; rings = 2; } );\n";

/* How a client keeps a ring. */
enum keeping { BY_A_DESCRIPTOR, BY_A_MAPPING };

START_TEST(removed_ring_counts_until_it_is_gone)
{
	enum keeping keeping = (enum keeping)_i;
	void *mapping = NULL;
	struct server b;
	uint64_t ring;
	int s, fd;

	start_with(&b, two_rings);
	server_ring("one");
	server_ring("two");
	server_ring("three");
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "one", &ring), 0);
	ck_assert_int_eq(raw_attach(s, ring, PROTO_PRODUCE, NULL, &fd), 0);
	ck_assert_int_eq(raw_make(s, "two", NULL), 0);
	ck_assert_int_eq(raw_remove(s, "one"), 0);
	close(s); /* from here on the broker knows no process that has the ring */
	if (keeping == BY_A_MAPPING) {
		mapping = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
		ck_assert_ptr_ne(mapping, MAP_FAILED);
		close(fd);
	}
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "three", NULL), -EDQUOT);
	must_say("has 2 of 2 rings");
	if (mapping)
		munmap(mapping, 4096);
	else
		close(fd);
	ck_assert_int_eq(raw_make(s, "three", NULL), 0);
	close(s);
	server_stop(&b);
}
END_TEST

/* --- two users take a lane in turn, and keep its former files --- */

static const char small_limit[] =
	"rules = ( { who = \"*\"; rings = \"*\"; allow = [ \"all\" ]; isolated = true; } );\n"
	"limits = ( { who = \"*\"; bytes = \"40 MiB\"; } );\n";

/* Which lane's place has the owner of that epoch locked: docs/layout.md. */
static void lock_place(int fd, uint32_t lane, uint32_t epoch, short type)
{
	struct flock lock = { .l_type = type,
			      .l_whence = SEEK_SET,
			      .l_start =
				      (off_t)((UINT64_C(1) << 62) + ((uint64_t)lane << 32) + epoch),
			      .l_len = 1 };

	ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
}

/* What a user does in its helper: one pass after the other, each at the test's command. */
struct user {
	const char *socket;
	uid_t uid;
	unsigned first; /* epoch; the other user has those in between */
};

struct outcome {
	int error;
	bool speaks_of_bytes;
	ino_t file; /* that it got */
};

static void pass_once(int s, uint64_t ring, uint32_t epoch, int *kept, struct outcome *ret)
{
	struct proto_message m = { .u.lane = { ring, PROTO_PRODUCE, 0, epoch, 0 } };
	uint64_t grant;
	int fd;

	ck_assert_int_eq(raw_attach(s, ring, PROTO_PRODUCE, &grant, &fd), 0);
	lock_place(fd, 0, epoch, F_WRLCK);
	ret->error = raw_call(s, &m, PROTO_LANE, PROTO_LANE_FILE, kept);
	ret->speaks_of_bytes = ret->error == 0 || strstr(raw_words, "bytes") != NULL;
	if (ret->error == 0) {
		struct stat st;

		ck_assert_int_eq(fstat(*kept, &st), 0);
		ret->file = st.st_ino;
	}
	lock_place(fd, 0, epoch, F_UNLCK);
	close(fd);
	raw_detach(s, grant);
}

static int be_user(int socket, void *arg)
{
	const struct user *u = arg;
	struct outcome outcome = { .error = 0 };
	unsigned kept = 0;
	int fd[TURNS];
	uint64_t ring;
	int s;

	ck_assert_int_eq(setgroups(0, NULL), 0);
	ck_assert_int_eq(setresgid(u->uid, u->uid, u->uid), 0);
	ck_assert_int_eq(setresuid(u->uid, u->uid, u->uid), 0);
	s = raw_hello(u->socket);
	ck_assert_int_eq(raw_open(s, "ring", 0, &ring), 0);
	for (unsigned i = 0; i < TURNS; i++) {
		step_await(socket);
		pass_once(s, ring, u->first + 2 * i, &fd[kept], &outcome);
		kept += outcome.error == 0;
		ck_assert_int_eq(write(socket, &outcome, sizeof(outcome)), sizeof(outcome));
	}
	/* The user drops the files that it kept. */
	step_await(socket);
	while (kept > 0)
		close(fd[--kept]);
	step_tell(socket);
	step_await(socket);
	pass_once(s, ring, u->first + 2 * TURNS, &fd[0], &outcome);
	ck_assert_int_eq(write(socket, &outcome, sizeof(outcome)), sizeof(outcome));
	close(s);
	return 0;
}

static struct outcome let_pass(struct child *c)
{
	struct outcome outcome;

	step_tell(c->socket);
	ck_assert_int_eq(read(c->socket, &outcome, sizeof(outcome)), sizeof(outcome));
	return outcome;
}

static void make_isolated(const struct server *b)
{
	struct proto_message m = { .u.open = {
					   .flags = PROTO_MAKE | PROTO_ISOLATED,
					   .config = { .lanes = 1, .lane_size = LANE_MIB << 20 },
				   } };
	int s = raw_hello(b->socket);

	strcpy(m.u.open.name, "ring");
	ck_assert_int_eq(raw_call(s, &m, PROTO_OPEN, PROTO_RING, NULL), 0);
	close(s);
}

START_TEST(lanes_that_two_users_keep_count)
{
	struct child c[2];
	struct server b;
	unsigned files = 0;
	ino_t last = 0;

	if (geteuid() != 0)
		room_skip("needs root, to become another user");
	start_with(&b, small_limit);
	make_isolated(&b);
	for (unsigned i = 0; i < 2; i++) {
		struct user u = { b.socket, i == 0 ? ALICE : BOB, 1 + i };

		child_fork(&c[i], be_user, &u);
	}
	for (unsigned i = 0; i < 2 * TURNS; i++) {
		struct outcome o = let_pass(&c[i % 2]);

		ck_assert(o.error == 0 || (o.error == -EDQUOT && o.speaks_of_bytes));
		files += o.error == 0 && o.file != last;
		last = o.error == 0 ? o.file : last;
	}
	/* Each user may have four former files: 40 MiB, and a file takes a little more than 8. */
	ck_assert_uint_eq(files, 1 + 2 * ((LIMIT_MIB - 1) / LANE_MIB));
	for (unsigned i = 0; i < 2; i++) {
		step_tell(c[i].socket);
		step_await(c[i].socket);
	}
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(let_pass(&c[i]).error, 0);
		child_end(&c[i]);
	}
	server_stop(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("relics");
	TCase *tc = room_case(s, "relics", 60);

	tcase_add_loop_test(tc, removed_ring_counts_until_it_is_gone, BY_A_DESCRIPTOR,
			    BY_A_MAPPING + 1);
	tcase_add_test(tc, lanes_that_two_users_keep_count);
	return run_suite(s);
}
