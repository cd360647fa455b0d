/* SPDX-License-Identifier: MIT */
/*
 * Isolated rings: no other user gets a writable view of a producer's lane; lanes pass
 * from user to user and nothing is lost; rings outlive the broker with a keeper, and
 * end cleanly without.
 *
 * One user makes the attacks, against lanes of another one. Where a test
 * writes into the ring's own file, it goes by docs/layout.md.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>
#include <shmring/producer.h>

#include "must.h"
#include "peer.h"
#include "random.h"
#include "raw.h"
#include "room.h"
#include "runner.h"
#include "server.h"
#include "way.h"

enum { ALICE = 65534, BOB = 12345, CAROL = 23456 };
enum { SOURCE = 100, LANE = 65536, TENANCY_AT = 8, DATA_AT = 65536, STATUS_AT = 65536 + 64 };

static const char ring[] = "broker:ring";

static const char rules[] = "rules = (\n"
			    "  { who = \"*\"; rings = \"apart.*\"; allow = [ \"all\" ];\n"
			    "    isolated = true; },\n"
			    "  { who = \"23456\"; rings = \"ring\"; allow = [ \"produce\" ]; },\n"
			    "  { who = \"*\"; rings = \"*\"; allow = [ \"all\" ]; }\n"
			    ");\n"
			    "limits = ( { who = \"12345\"; descriptors = 28; } );\n";

static void need_root(void)
{
	if (geteuid() != 0)
		room_skip("needs root, to become other users");
}

/* --- brokers and keepers --- */

static void begin(struct server *b, bool keeper)
{
	const char *extra[] = { "--config", server_config(rules), keeper ? "--keeper" : NULL,
				NULL };

	room_path("rings/.keeper");
	server_start(b, extra);
	ck_assert_int_eq(setenv("SHMRING_BROKER", b->socket, 1), 0);
}

/* When its broker is gone, it is a child of this process. It ends by itself or by this signal. */
static void await_keeper(pid_t pid, int signal)
{
	int status;

	ck_assert_int_gt(pid, 0);
	if (signal != 0)
		ck_assert_int_eq(kill(pid, signal), 0);
	if (signal == 0 && waitpid(pid, &status, 0) < 0) {
		/* The keeper had ended before its broker, and the broker knew that. */
		ck_assert_int_eq(errno, ECHILD);
		ck_assert_int_eq(kill(pid, 0), -1);
		return;
	}
	if (signal != 0)
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (signal != 0)
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == signal);
	else
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Start a broker; no keeper and no ring is left. */
static void finish(struct server *b)
{
	must(shmring_remove(ring));
	server_stop(b);
}

static struct shmring_ring *create_ring(uint32_t lanes, uint64_t lane_size, uint32_t stamps)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r;

	config.lanes = lanes;
	config.lane_size = lane_size;
	config.stamps = stamps;
	config.flags = SHMRING_ISOLATED;
	must(shmring_create(&r, ring, &config));
	return r;
}

static struct shmring_ring *create_large(uint32_t lanes, uint64_t lane_size)
{
	return create_ring(lanes, lane_size, SHMRING_STAMP_NONE);
}

static struct shmring_ring *create(uint32_t lanes)
{
	return create_large(lanes, LANE);
}

static void start_as(struct peer *p, uid_t user)
{
	peer_exec(p);
	must(peer_call(p, &(struct peer_command){ .op = PEER_NOBODY, .count = user }));
	must(peer_open(p, ring));
}

/* Each handle has a source of its own. */
static void producer_as(struct peer *p, uid_t user)
{
	static uint64_t producers;

	start_as(p, user);
	must(peer_producer(p, SOURCE + producers++));
}

static void consumer_as(struct peer *p, uid_t user, const char *name, uint32_t start)
{
	start_as(p, user);
	must(peer_consumer(p, name, start, 0));
}

static void observer_as(struct peer *p, uid_t user)
{
	start_as(p, user);
	must(peer_consumer(p, NULL, SHMRING_START_OLDEST, SHMRING_OBSERVE));
}

/* --- attacks --- */

struct attack {
	void (*act)(int s);
	const char *socket;
	uid_t user;
};

static void become(uid_t user)
{
	ck_assert_int_eq(setgroups(0, NULL), 0);
	ck_assert_int_eq(setresgid(user, user, user), 0);
	ck_assert_int_eq(setresuid(user, user, user), 0);
	/* As after an exec: it may look at itself through /proc. */
	ck_assert_int_eq(prctl(PR_SET_DUMPABLE, 1), 0);
}

static int attack(int socket, void *arg)
{
	const struct attack *a = arg;
	int s;

	(void)socket;
	become(a->user);
	s = raw_hello(a->socket);
	a->act(s);
	close(s);
	return 0;
}

static void attack_as(const struct server *b, uid_t user, void (*act)(int s))
{
	struct attack a = { act, b->socket, user };
	struct child c;

	child_fork(&c, attack, &a);
	child_end(&c);
}

static int raw_lane(int s, uint64_t number, uint32_t role, uint32_t lane, uint32_t epoch,
		    int *ret_fd)
{
	struct proto_message m = { .u.lane = { number, role, lane, epoch, 0 } };

	*ret_fd = -1;
	return raw_call(s, &m, PROTO_LANE, PROTO_LANE_FILE, ret_fd);
}

#define denied(call, error)                                                        \
	do {                                                                       \
		errno = 0;                                                         \
		ck_assert_int_eq((int)(call), -1);                                 \
		ck_assert_msg(errno == (error), "%s: %s", #call, strerror(errno)); \
	} while (0)

static void open_must_fail(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	ck_assert_msg(fd < 0 && (errno == EACCES || errno == EPERM), "%s: %s", path,
		      fd < 0 ? strerror(errno) : "it opens");
}

/* Every way to write through a lane's description for reading. */
static void attack_description(int fd)
{
	char path[64];
	void *p;

	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert_ptr_eq(mmap(NULL, LANE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	ck_assert_int_eq(errno, EACCES);
	p = mmap(NULL, LANE, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(p, MAP_FAILED);
	denied(mprotect(p, LANE, PROT_READ | PROT_WRITE), EACCES);
	munmap(p, LANE);
	denied(pwrite(fd, "x", 1, DATA_AT), EBADF);
	denied(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, LANE), EBADF);
	denied(ftruncate(fd, 0), EINVAL);
	denied(fchmod(fd, 0666), EPERM);
	denied(fchown(fd, getuid(), getgid()), EPERM);
	denied(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	denied(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), EPERM);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	open_must_fail(path, O_RDWR);
	open_must_fail(path, O_WRONLY);
	open_must_fail(path, O_RDONLY); /* the mode is 0600, so even this fails */
	denied(truncate(path, 0), EACCES);
	denied(chmod(path, 0666), EPERM);
	/* The calls that succeed harm no other process. */
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

/* Count this process's mappings of lanes; none is, or becomes, writable. */
static unsigned attack_mappings(const char *permissions)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], path[128], seen[5];
	unsigned long start, end;
	unsigned count = 0;

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (!strstr(line, "/memfd:lane+"))
			continue;
		ck_assert_int_eq(sscanf(line, "%lx-%lx %4s", &start, &end, seen), 3);
		ck_assert_str_eq(seen, permissions);
		denied(mprotect((void *)(uintptr_t)start, end - start, PROT_READ | PROT_WRITE),
		       EACCES);
		snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", start, end);
		open_must_fail(path, O_RDWR);
		count++;
	}
	fclose(maps);
	return count;
}

static void read_and_attack(int s)
{
	static const uint32_t roles[] = { PROTO_CONSUME, PROTO_OBSERVE };
	uint64_t number;
	int fd;

	ck_assert_int_eq(raw_open(s, "ring", 0, &number), 0);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(raw_lane(s, number, roles[i], 0, 0, &fd), 0);
		attack_description(fd);
		close(fd);
	}
	ck_assert_int_eq(raw_lane(s, number, PROTO_CONSUME, 1, 0, &fd), -ENOENT);
	ck_assert_int_eq(raw_lane(s, number, PROTO_CONSUME, 2, 0, &fd), -EBADF);
	ck_assert_int_eq(raw_lane(s, number + 1, PROTO_CONSUME, 0, 0, &fd), -EBADF);
	/* Observers may not even write to the ring's own file. */
	ck_assert_int_eq(raw_attach(s, number, PROTO_OBSERVE, NULL, &fd), 0);
	attack_description(fd);
	close(fd);
}

static void attach_and_attack(int s)
{
	const struct shmring_consumer_options observe = { .size = sizeof(observe),
							  .start = SHMRING_START_OLDEST,
							  .flags = SHMRING_OBSERVE };
	struct shmring_consumer *c, *o;
	struct shmring_ring *r;
	unsigned seen;

	(void)s;
	must(shmring_open(&r, ring));
	must(shmring_consumer_attach(&c, r, NULL));
	seen = attack_mappings("r--s");
	ck_assert_uint_ge(seen, 3); /* its control, and its data twice */
	must(shmring_consumer_attach(&o, r, &observe));
	ck_assert_uint_ge(attack_mappings("r--s"), seen + 3);
	shmring_consumer_detach(o);
	shmring_consumer_detach(c);
	shmring_close(r);
}

/* The producer's own process is closed to other users, too. */
static pid_t victim;

static void attack_process(int s)
{
	char path[64];

	(void)s;
	snprintf(path, sizeof(path), "/proc/%d/mem", victim);
	open_must_fail(path, O_RDWR);
	snprintf(path, sizeof(path), "/proc/%d/map_files", victim);
	open_must_fail(path, O_RDONLY | O_DIRECTORY);
	snprintf(path, sizeof(path), "/proc/%d/fd", victim);
	open_must_fail(path, O_RDONLY | O_DIRECTORY);
}

START_TEST(readers_get_no_writable_view_of_a_lane)
{
	struct peer alice, reader;
	struct shmring_ring *r;
	struct server b;

	need_root();
	begin(&b, false);
	r = create(2);
	consumer_as(&reader, CAROL + 1, NULL, SHMRING_START_DEFAULT);
	producer_as(&alice, ALICE);
	must(peer_produce(&alice, 50, 500));
	victim = alice.child.pid;
	attack_as(&b, BOB, read_and_attack);
	attack_as(&b, BOB, attach_and_attack);
	attack_as(&b, BOB, attack_process);
	must(peer_produce(&alice, 50, 500));
	must(peer_consume(&reader, 100));
	audit_must_be(&reader.answer.audit, 100, 0);
	peer_quit(&alice);
	peer_quit(&reader);
	shmring_close(r);
	finish(&b);
}
END_TEST

/* Which lane's place has the owner of that epoch locked: docs/layout.md. */
static void lock_place(int fd, uint32_t lane, uint32_t epoch)
{
	struct flock lock = { .l_type = F_WRLCK,
			      .l_whence = SEEK_SET,
			      .l_start =
				      (off_t)((UINT64_C(1) << 62) + ((uint64_t)lane << 32) + epoch),
			      .l_len = 1 };

	ck_assert_int_eq(fcntl(fd, F_OFD_SETLK, &lock), 0);
}

/* A member writes false words into the ring's own file, and takes locks. */
static void forge_and_ask(int s)
{
	uint64_t number, *status;
	uint32_t epoch;
	int fd, lane;

	ck_assert_int_eq(raw_open(s, "ring", 0, &number), 0);
	ck_assert_int_eq(raw_attach(s, number, PROTO_PRODUCE, NULL, &fd), 0);
	status = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 65536);
	ck_assert_ptr_ne(status, MAP_FAILED);
	epoch = (uint32_t)(status[8] >> 32); /* of the lane's living owner */
	ck_assert_uint_gt(epoch, 0);
	/* It names the epoch of the living owner. */
	ck_assert_int_eq(raw_lane(s, number, PROTO_PRODUCE, 0, epoch, &lane), -EBUSY);
	/* It names an epoch without a tenant, whose byte is not locked. */
	status[8] = (uint64_t)(epoch + 1) << 32;
	ck_assert_int_eq(raw_lane(s, number, PROTO_PRODUCE, 0, epoch + 1, &lane), -ESTALE);
	/* It has locked the byte of its own epoch. */
	lock_place(fd, 0, epoch + 1);
	status[8] = (uint64_t)(epoch + 1) << 32 | 2;
	ck_assert_int_eq(raw_lane(s, number, PROTO_PRODUCE, 0, epoch + 1, &lane), -EBUSY);
	ck_assert_int_eq(raw_lane(s, number, PROTO_CONSUME, 0, 0, &lane), 0);
	attack_description(lane);
	close(lane);
	status[8] = (uint64_t)epoch << 32 | 1 << 8 | 4; /* as it was */
	munmap(status, 4096);
	close(fd);
}

/* An attacker's own lane: it writes there, but cannot change the size that readers rely on. */
static void attack_own_lane(int s)
{
	uint64_t number;
	int fd, lane;

	ck_assert_int_eq(raw_open(s, "ring", 0, &number), 0);
	ck_assert_int_eq(raw_attach(s, number, PROTO_PRODUCE, NULL, &fd), 0);
	lock_place(fd, 1, 77);
	ck_assert_int_eq(raw_lane(s, number, PROTO_PRODUCE, 1, 77, &lane), 0);
	ck_assert_int_eq(fcntl(lane, F_GETFL) & O_ACCMODE, O_RDWR);
	denied(ftruncate(lane, 0), EPERM);
	denied(ftruncate(lane, 1 << 20), EPERM);
	denied(fcntl(lane, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	denied(fchmod(lane, 0666), EPERM);
	/* The lane belongs to this process as long as it lives; a second request is refused. */
	close(lane);
	ck_assert_int_eq(raw_lane(s, number, PROTO_PRODUCE, 1, 77, &lane), -EBUSY);
	close(fd);
}

static void only_produce(int s)
{
	uint64_t number;
	int fd;

	ck_assert_int_eq(raw_open(s, "ring", 0, &number), 0);
	ck_assert_int_eq(raw_lane(s, number, PROTO_CONSUME, 0, 0, &fd), -EACCES);
	ck_assert_int_eq(raw_lane(s, number, PROTO_OBSERVE, 0, 0, &fd), -EACCES);
}

START_TEST(producers_cannot_touch_the_lanes_of_others)
{
	struct peer alice, reader;
	struct shmring_ring *r, *other;
	struct server b;

	need_root();
	begin(&b, false);
	r = create(2);
	consumer_as(&reader, CAROL + 1, NULL, SHMRING_START_DEFAULT);
	producer_as(&alice, ALICE);
	must(peer_produce(&alice, 50, 500));
	must(peer_consume(&reader, 50));
	attack_as(&b, BOB, forge_and_ask);
	server_kill(&b);
	begin(&b, false);
	must_fail(ENOENT, shmring_open(&other, ring)); /* no keeper: the ring is gone */
	must(peer_produce(&alice, 50, 500));
	must(peer_consume(&reader, 50));
	audit_must_be(&reader.answer.audit, 100, 0);
	peer_quit(&alice);
	peer_quit(&reader);
	shmring_close(r);
	r = create(2);
	attack_as(&b, BOB, attack_own_lane);
	attack_as(&b, CAROL, only_produce);
	shmring_close(r);
	finish(&b);
}
END_TEST

/* --- passing lanes on --- */

enum { ROUNDS = 12, PER_ROUND = 60, TAKEN = 35 };

START_TEST(lanes_pass_to_other_users_with_their_messages)
{
	static const uint32_t stamps[] = { SHMRING_STAMP_NONE, SHMRING_STAMP_AUTO };
	static const uid_t users[] = { ALICE, BOB, CAROL };
	struct peer producer, reader, observer, named;
	uint64_t published = 0, taken = 0;
	struct shmring_ring *r;
	struct server b;

	need_root();
	begin(&b, false);
	r = create_ring(1, LANE, stamps[_i]);
	consumer_as(&reader, BOB, NULL, SHMRING_START_DEFAULT);
	observer_as(&observer, CAROL + 1);
	for (unsigned i = 0; i < ROUNDS; i++) {
		producer_as(&producer, users[i % 3]);
		must(peer_produce(&producer, PER_ROUND, 400));
		published += PER_ROUND;
		/* Some stay unread, also in the hands of a consumer that has a name. */
		must(peer_consume(&reader, TAKEN));
		taken += TAKEN;
		consumer_as(&named, ALICE, "kept",
			    i == 0 ? SHMRING_START_OLDEST : SHMRING_START_RESUME);
		must(peer_consume(&named, PER_ROUND / 2));
		audit_must_be(&named.answer.audit, PER_ROUND / 2, 0);
		if (i % 2)
			peer_quit(&named);
		else
			child_kill(&named.child);
		if (i % 3)
			child_kill(&producer.child);
		else
			peer_quit(&producer);
		/* The reader catches up from time to time, or its lane would be full. */
		if (i % 2) {
			must(peer_consume(&reader, (uint32_t)(published - taken)));
			taken = published;
		}
		must(peer_consume(&observer, PER_ROUND));
	}
	audit_must_be(&reader.answer.audit, published, 0);
	audit_must_be(&observer.answer.audit, published, 0);
	consumer_as(&named, BOB, "kept", SHMRING_START_RESUME);
	must(peer_consume(&named, ROUNDS * PER_ROUND / 2));
	audit_must_be(&named.answer.audit, ROUNDS * PER_ROUND / 2, 0);
	ck_assert(server_said(&b, "lane=0 passed to uid=12345"));
	ck_assert(server_said(&b, "lane=0 passed to uid=65534"));
	peer_quit(&named);
	peer_quit(&observer);
	peer_quit(&reader);
	shmring_close(r);
	finish(&b);
}
END_TEST

/* Alice was a good producer, but keeps her view of the lane when she has left. */
static int keep_a_view(int socket, void *arg)
{
	const struct server *b = arg;
	struct shmring_producer *p;
	uint64_t number;
	struct shmring_ring *r;
	int s, fd, lane;
	void *view;

	become(ALICE);
	must(shmring_open(&r, ring));
	must(shmring_producer_attach(&p, r, NULL));
	publish_numbers(p, SOURCE - 1, 0, 20, 200);
	shmring_producer_detach(p);
	shmring_close(r);
	s = raw_hello(b->socket);
	ck_assert_int_eq(raw_open(s, "ring", 0, &number), 0);
	ck_assert_int_eq(raw_attach(s, number, PROTO_PRODUCE, NULL, &fd), 0);
	lock_place(fd, 0, 1000);
	ck_assert_int_eq(raw_lane(s, number, PROTO_PRODUCE, 0, 1000, &lane), 0);
	view = mmap(NULL, DATA_AT + LANE, PROT_READ | PROT_WRITE, MAP_SHARED, lane, 0);
	ck_assert_ptr_ne(view, MAP_FAILED);
	close(lane);
	close(fd);
	close(s);
	step_tell(socket);
	step_await(socket);
	memset(view, 0xff, DATA_AT + LANE);
	step_tell(socket);
	step_await(socket);
	munmap(view, DATA_AT + LANE);
	return 0;
}

START_TEST(former_owners_cannot_write_their_old_lanes)
{
	struct peer bob, reader;
	struct shmring_ring *r;
	struct server b;
	struct child alice;

	need_root();
	begin(&b, false);
	r = create(1);
	consumer_as(&reader, CAROL + 1, NULL, SHMRING_START_DEFAULT);
	child_fork(&alice, keep_a_view, &b);
	step_await(alice.socket);
	producer_as(&bob, BOB);
	must(peer_produce(&bob, 30, 400));
	must(peer_consume(&reader, 25));
	step_tell(alice.socket);
	step_await(alice.socket);
	must(peer_produce(&bob, 30, 400));
	must(peer_consume(&reader, 55));
	audit_must_be(&reader.answer.audit, 80, 0);
	step_tell(alice.socket);
	child_end(&alice);
	peer_quit(&bob);
	peer_quit(&reader);
	shmring_close(r);
	finish(&b);
}
END_TEST

START_TEST(lanes_stay_with_their_user)
{
	struct peer producer, reader;
	struct shmring_ring *r;
	struct server b;
	char *text;
	int s;

	need_root();
	begin(&b, false);
	r = create(1);
	consumer_as(&reader, BOB, NULL, SHMRING_START_DEFAULT);
	for (unsigned i = 0; i < 4; i++) {
		producer_as(&producer, ALICE);
		must(peer_produce(&producer, 30, 400));
		child_kill(&producer.child);
	}
	must(peer_consume(&reader, 120));
	audit_must_be(&reader.answer.audit, 120, 0);
	ck_assert(!server_said(&b, "passed to"));
	/* The broker looks at lanes as at those of any ring, and buries the dead, one or both. */
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_metrics(s, &text), 0);
	ck_assert_ptr_nonnull(strstr(text, "ring_messages_total{ring=\"ring\",owner=\"0\"} 120\n"));
	free(text);
	close(s);
	child_kill(&reader.child);
	server_await_words(&b, "ring=ring recovered=");
	shmring_close(r);
	finish(&b);
}
END_TEST

/* A producer takes its user's former lane, or a new one, rather than one that must be copied. */
START_TEST(lanes_are_not_copied_without_need)
{
	struct peer producer;
	struct shmring_ring *r;
	struct server b;
	static const uid_t users[] = { ALICE, BOB, BOB, ALICE, ALICE, BOB };

	need_root();
	begin(&b, false);
	r = create(3);
	for (unsigned i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		producer_as(&producer, users[i]);
		peer_quit(&producer);
	}
	ck_assert(!server_said(&b, "passed to"));
	shmring_close(r);
	finish(&b);
}
END_TEST

/* --- with and without a broker --- */

enum { KILLS = 6, PER_KILL = 20000 };

START_TEST(streams_do_not_notice_that_the_broker_is_killed)
{
	struct peer producers[2], readers[2];
	struct shmring_ring *r;
	struct server b;
	pid_t keeper;

	need_root();
	begin(&b, true);
	keeper = server_keeper(&b);
	r = create(2);
	consumer_as(&readers[0], CAROL + 1, NULL, SHMRING_START_DEFAULT);
	consumer_as(&readers[1], BOB, "kept", SHMRING_START_DEFAULT);
	producer_as(&producers[0], ALICE);
	producer_as(&producers[1], BOB);
	for (unsigned i = 0; i < KILLS; i++) {
		for (unsigned k = 0; k < 2; k++) {
			peer_tell_produce(&producers[k], PER_KILL, 300);
			peer_tell_consume(&readers[k], 2 * PER_KILL);
		}
		server_kill(&b);
		begin(&b, i % 2);
		ck_assert(server_said(&b, "ring=ring taken back owner=0"));
		for (unsigned k = 0; k < 2; k++) {
			must(peer_answer(&producers[k]));
			must(peer_answer(&readers[k]));
		}
		/* Meanwhile other clients come and go. */
		child_kill(&producers[0].child);
		producer_as(&producers[0], i % 2 ? ALICE : CAROL);
	}
	for (unsigned k = 0; k < 2; k++) {
		audit_must_be(&readers[k].answer.audit, 2 * KILLS * PER_KILL, 0);
		peer_quit(&producers[k]);
		peer_quit(&readers[k]);
	}
	shmring_close(r);
	finish(&b);
	await_keeper(keeper, 0); /* it has no file and no broker left */
}
END_TEST

enum { PASSES = 12, LARGE = 16 << 20 };

/* Before, while and after it copies the lane: the producer gets the lane from the next broker. */
START_TEST(broker_is_killed_while_it_passes_a_lane_on)
{
	struct peer producer, reader;
	uint64_t seed = 1;
	struct shmring_ring *r;
	struct server b;
	pid_t keeper;

	need_root();
	begin(&b, true);
	keeper = server_keeper(&b);
	r = create_large(1, LARGE);
	consumer_as(&reader, CAROL + 1, NULL, SHMRING_START_DEFAULT);
	for (unsigned i = 0; i < PASSES; i++) {
		int64_t until;

		start_as(&producer, i % 2 ? ALICE : BOB);
		peer_tell(&producer, &(struct peer_command){ .op = PEER_PRODUCER,
							     .source = SOURCE + 1000 + i });
		until = clock_now() + (int64_t)random_below(&seed, 20000000);
		while (clock_now() < until)
			;
		server_kill(&b);
		begin(&b, false);
		must(peer_answer(&producer));
		must(peer_produce(&producer, 50, 3000));
		must(peer_consume(&reader, 40));
		child_kill(&producer.child);
	}
	must(peer_consume(&reader, PASSES * 10));
	audit_must_be(&reader.answer.audit, PASSES * 50, 0);
	peer_quit(&reader);
	shmring_close(r);
	finish(&b);
	await_keeper(keeper, 0);
}
END_TEST

/* Words about rings that come and go, until the broker waits for the keeper. */
static int make_and_remove(int socket, void *arg)
{
	struct shmring_ring *r;

	(void)arg;
	step_tell(socket);
	for (;;) {
		if (shmring_create(&r, "broker:apart.other", NULL) < 0)
			return 0;
		shmring_close(r);
		if (shmring_remove("broker:apart.other") < 0)
			return 0;
	}
}

/* No producer writes to a lane's new file before it is kept: it would be lost with the broker. */
START_TEST(lane_is_given_when_its_file_is_kept)
{
	struct peer alice, bob, reader;
	struct child client;
	struct pollfd answer;
	struct shmring_ring *r;
	struct server b;
	pid_t keeper;
	bool given;

	need_root();
	begin(&b, true);
	keeper = server_keeper(&b);
	r = create(1);
	consumer_as(&reader, CAROL + 1, NULL, SHMRING_START_DEFAULT);
	producer_as(&alice, ALICE);
	must(peer_produce(&alice, 40, 400));
	peer_quit(&alice);
	start_as(&bob, BOB);
	ck_assert_int_eq(kill(keeper, SIGSTOP), 0);
	child_fork(&client, make_and_remove, NULL);
	step_await(client.socket);
	poll(NULL, 0, 300); /* its queue should be full by then; otherwise the test shows nothing */
	peer_tell(&bob, &(struct peer_command){ .op = PEER_PRODUCER, .source = SOURCE + 2000 });
	answer = (struct pollfd){ .fd = bob.child.socket, .events = POLLIN };
	given = poll(&answer, 1, 300) == 1;
	if (given) {
		must(peer_answer(&bob));
		must(peer_produce(&bob, 10, 400));
	}
	server_kill(&b);
	child_end(&client);
	ck_assert_int_eq(kill(keeper, SIGCONT), 0);
	begin(&b, true);
	if (!given) {
		must(peer_answer(&bob));
		must(peer_produce(&bob, 10, 400));
	}
	must(peer_consume(&reader, 50));
	audit_must_be(&reader.answer.audit, 50, 0);
	peer_quit(&bob);
	peer_quit(&reader);
	shmring_remove("broker:apart.other"); /* it may be there */
	shmring_close(r);
	finish(&b);
	await_keeper(keeper, 0);
}
END_TEST

START_TEST(lanes_made_while_the_broker_is_away_are_found_later)
{
	struct peer alice, reader, observer;
	struct shmring_ring *r;
	struct server b;
	pid_t keeper;

	need_root();
	begin(&b, true);
	keeper = server_keeper(&b);
	r = create(2);
	consumer_as(&reader, BOB, NULL, SHMRING_START_DEFAULT);
	observer_as(&observer, CAROL + 1);
	producer_as(&alice, ALICE);
	server_kill(&b);
	must(peer_produce(&alice, 40, 400));
	peer_tell(&reader, &(struct peer_command){ .op = PEER_CONSUME,
						   .count = 1,
						   .deadline = clock_now() + 100000000 });
	ck_assert_int_eq(peer_answer(&reader), -ETIMEDOUT);
	peer_tell_consume(&reader, 40);
	peer_tell_consume(&observer, 40);
	begin(&b, false);
	must(peer_answer(&reader));
	must(peer_answer(&observer));
	audit_must_be(&reader.answer.audit, 40, 0);
	audit_must_be(&observer.answer.audit, 40, 0);
	peer_quit(&alice);
	peer_quit(&reader);
	peer_quit(&observer);
	shmring_close(r);
	finish(&b);
	await_keeper(keeper, 0);
}
END_TEST

START_TEST(without_broker_and_keeper_a_ring_ends_with_its_members)
{
	struct peer alice, reader;
	struct shmring_ring *r, *other;
	struct server b;
	pid_t keeper;

	need_root();
	begin(&b, true);
	keeper = server_keeper(&b);
	r = create(2);
	consumer_as(&reader, BOB, NULL, SHMRING_START_DEFAULT);
	producer_as(&alice, ALICE);
	must(peer_produce(&alice, 40, 400));
	must(peer_consume(&reader, 10));
	server_kill(&b);
	await_keeper(keeper, SIGKILL);
	must(peer_produce(&alice, 40, 400));
	begin(&b, true);
	must_fail(ENOENT, shmring_open(&other, ring));
	/* An old handle does not lead to a new ring, either. */
	must_fail(ENOENT, peer_call(&reader, &(struct peer_command){ .op = PEER_PRODUCER }));
	must(peer_consume(&reader, 70));
	audit_must_be(&reader.answer.audit, 80, 0);
	/* The name is free again, for another ring. */
	shmring_close(r);
	r = create(1);
	must_fail(ESTALE, peer_call(&reader, &(struct peer_command){ .op = PEER_PRODUCER }));
	peer_quit(&alice);
	peer_quit(&reader);
	shmring_close(r);
	keeper = server_keeper(&b);
	finish(&b);
	await_keeper(keeper, 0);
}
END_TEST

/* A ring without users is kept until it is removed. */
START_TEST(unused_rings_are_kept_and_survive_an_upgrade)
{
	struct peer alice, reader;
	struct server b;
	pid_t keeper;

	need_root();
	begin(&b, _i == 0);
	keeper = _i == 0 ? server_keeper(&b) : 0;
	shmring_close(create(1));
	producer_as(&alice, ALICE);
	must(peer_produce(&alice, 40, 400));
	peer_quit(&alice);
	if (_i == 0) {
		server_stop(&b);
		begin(&b, false);
	} else {
		server_signal(&b, SIGUSR2);
		server_await(&b, "RELOADING=1");
		server_await(&b, "READY=1");
	}
	ck_assert(server_said(&b, "ring=ring taken back"));
	consumer_as(&reader, BOB, NULL, SHMRING_START_OLDEST);
	must(peer_consume(&reader, 40));
	audit_must_be(&reader.answer.audit, 40, 0);
	peer_quit(&reader);
	finish(&b);
	if (_i == 0)
		await_keeper(keeper, 0);
}
END_TEST

/* What the broker asks systemd to do: the next words that contain these, and a descriptor. */
static int await_notice(int notify, const char *words)
{
	char text[512], room[CMSG_SPACE(sizeof(int))];
	struct iovec part = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	struct msghdr h = { .msg_iov = &part, .msg_iovlen = 1 };
	struct pollfd ready = { .fd = notify, .events = POLLIN };
	const struct cmsghdr *c;
	ssize_t n;
	int fd = -1;

	do {
		if (fd >= 0)
			close(fd);
		fd = -1;
		h.msg_control = room;
		h.msg_controllen = sizeof(room);
		ck_assert_int_eq(poll(&ready, 1, 20000), 1);
		n = recvmsg(notify, &h, MSG_CMSG_CLOEXEC);
		ck_assert_int_gt(n, 0);
		text[n] = '\0';
		c = CMSG_FIRSTHDR(&h);
		if (c && c->cmsg_type == SCM_RIGHTS)
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	} while (!strstr(text, words));
	return fd;
}

/* The test plays systemd. The files that it has of a ring are enough, even without a lane. */
START_TEST(systemd_keeps_rings)
{
	const char *extra[] = { "--config", server_config(rules), "--keeper", NULL };
	struct shmring_ring_stat before = { .size = sizeof(before) },
				 after = { .size = sizeof(after) };
	struct shmring_ring *r;
	struct server b;
	int control, lane;
	struct shmring_producer *p;

	ck_assert_int_eq(setenv("FDSTORE", "64", 1), 0);
	begin(&b, true);
	ck_assert(!server_has_keeper(&b));
	r = create(1);
	control = await_notice(b.notify, "FDSTORE=1\nFDNAME=ring+");
	ck_assert_int_ge(control, 0);
	must(shmring_producer_attach(&p, r, NULL));
	lane = await_notice(b.notify, "FDSTORE=1\nFDNAME=lane+");
	ck_assert_int_ge(lane, 0);
	shmring_producer_detach(p);
	must(shmring_stat(r, &before));
	server_kill(&b);
	server_begin(&b, extra, control);
	server_await(&b, "READY=1");
	close(control);
	close(lane);
	shmring_close(r);
	must(shmring_open(&r, ring));
	must(shmring_stat(r, &after));
	ck_assert_mem_eq(before.uuid, after.uuid, sizeof(before.uuid));
	shmring_close(r);
	must(shmring_remove(ring));
	ck_assert_int_eq(await_notice(b.notify, "FDSTOREREMOVE=1\nFDNAME=ring+"), -1);
	server_stop(&b);
}
END_TEST

/* --- names, rules, quotas --- */

static void make_and_fill(int s)
{
	struct shmring_config config = {
		.size = sizeof(config), .lanes = 8, .lane_size = LANE, .flags = SHMRING_ISOLATED
	};
	struct shmring_ring *r[3];

	(void)s;
	/* Nine descriptors each, and one for having it open; of 28. */
	must(shmring_create(&r[0], "broker:one", &config));
	must(shmring_create(&r[1], "broker:two", &config));
	must_fail(EDQUOT, shmring_create(&r[2], "broker:three", &config));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "of 28 descriptors"));
	shmring_close(r[1]);
	must(shmring_remove("broker:two"));
	must(shmring_create(&r[2], "broker:three", &config));
	shmring_close(r[0]);
	shmring_close(r[2]);
	must(shmring_remove("broker:one"));
	must(shmring_remove("broker:three"));
}

START_TEST(isolated_rings_count_for_their_owner)
{
	struct server b;

	need_root();
	begin(&b, false);
	attack_as(&b, BOB, make_and_fill);
	server_stop(&b);
}
END_TEST

START_TEST(listing_marks_isolated_rings)
{
	struct shmring_config config = small_config();
	struct shmring_broker_ring entry = { .size = sizeof(entry) };
	struct shmring_broker *broker;
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct shmring_ring *r, *other;
	struct server b;

	begin(&b, false);
	config.flags = SHMRING_ISOLATED | SHMRING_PERSISTENT;
	must_fail(EINVAL, shmring_create(&r, ring, &config));
	config.flags = SHMRING_ISOLATED;
	must_fail(EINVAL, shmring_create(&r, room_path("file"), &config));
	must_fail(EINVAL, shmring_create(&r, NULL, &config));
	/* A rule says so. */
	config.flags = 0;
	must(shmring_create(&r, "broker:apart.1", &config));
	must(shmring_broker_open(&broker, NULL));
	ck_assert_int_eq(must(shmring_broker_next(broker, NULL, &entry)), 1);
	ck_assert_uint_eq(entry.flags, SHMRING_ISOLATED);
	shmring_broker_close(broker);
	must(shmring_stat(r, &st));
	ck_assert_uint_gt(st.file_size, st.lanes * st.lane_size);
	/* Its file alone cannot be used. */
	must_fail(EOPNOTSUPP, shmring_open_fd(&other, (int)must(shmring_fd(r))));
	must_fail(EEXIST, shmring_create(&other, "broker:apart.1", &config));
	ck_assert_uint_eq(st.retired, 0);
	must(shmring_remove("broker:apart.1"));
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.retired, 1);
	shmring_close(r);
	must_fail(ENOENT, shmring_open(&r, "broker:apart.1"));
	server_stop(&b);
}
END_TEST

static void start_configured(struct server *b, const char *text)
{
	const char *extra[] = { "--config", server_config(text), NULL };

	server_begin(b, extra, -1);
}

START_TEST(isolated_rings_of_the_configuration)
{
	struct shmring_broker_ring entry = { .size = sizeof(entry) };
	struct shmring_broker *broker;
	struct server b;

	start_configured(&b, "rings = ( { name = \"a\"; isolated = true; persistent = true; } );");
	server_must_fail(&b, 1);
	start_configured(&b, "rings = ( { name = \"a\"; isolated = \"very\"; } );");
	server_must_fail(&b, 1);
	start_configured(&b, "rings = ( { name = \"a\"; isolated = true; lanes = 2; } );");
	server_await(&b, "READY=1");
	must(shmring_broker_open(&broker, b.socket));
	ck_assert_int_eq(must(shmring_broker_next(broker, NULL, &entry)), 1);
	ck_assert_str_eq(entry.name, "a");
	ck_assert_uint_eq(entry.flags, SHMRING_ISOLATED);
	shmring_broker_close(broker);
	server_stop(&b);
}
END_TEST

static Suite *isolated_suite(void)
{
	Suite *s = suite_create("isolated");
	TCase *tc = room_case(s, "rights", 60);

	tcase_add_test(tc, readers_get_no_writable_view_of_a_lane);
	tcase_add_test(tc, producers_cannot_touch_the_lanes_of_others);
	tc = room_case(s, "passing", 60);
	tcase_add_loop_test(tc, lanes_pass_to_other_users_with_their_messages, 0, 2);
	tcase_add_test(tc, former_owners_cannot_write_their_old_lanes);
	tcase_add_test(tc, lanes_stay_with_their_user);
	tcase_add_test(tc, lanes_are_not_copied_without_need);
	tc = room_case(s, "life", 60);
	tcase_add_test(tc, streams_do_not_notice_that_the_broker_is_killed);
	tcase_add_test(tc, broker_is_killed_while_it_passes_a_lane_on);
	tcase_add_test(tc, lane_is_given_when_its_file_is_kept);
	tcase_add_test(tc, lanes_made_while_the_broker_is_away_are_found_later);
	tcase_add_test(tc, without_broker_and_keeper_a_ring_ends_with_its_members);
	tcase_add_loop_test(tc, unused_rings_are_kept_and_survive_an_upgrade, 0, 2);
	tcase_add_test(tc, systemd_keeps_rings);
	tc = room_case(s, "names", 60);
	tcase_add_test(tc, isolated_rings_count_for_their_owner);
	tcase_add_test(tc, listing_marks_isolated_rings);
	tcase_add_test(tc, isolated_rings_of_the_configuration);
	return s;
}

int main(void)
{
	return run_suite(isolated_suite());
}
