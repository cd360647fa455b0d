/* SPDX-License-Identifier: MIT */
/*
 * How the broker comes and goes, and what of it others notice: nothing, as long as
 * they do not ask it for something. And how it lives with clients that die, or that
 * take more than there is.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "must.h"
#include "raw.h"
#include "room.h"
#include "runner.h"
#include "server.h"

/* A producer and a consumer of a ring that the broker has made. */
struct pair {
	struct shmring_ring *ring;
	struct shmring_producer *producer;
	struct shmring_consumer *consumer;
};

static void pair_attach(struct pair *p, const char *name)
{
	must(shmring_open(&p->ring, server_ring(name)));
	must(shmring_producer_attach(&p->producer, p->ring, NULL));
	must(shmring_consumer_attach(&p->consumer, p->ring, NULL));
}

static void pair_use(struct pair *p, char word)
{
	char got = 0;

	must(shmring_publish(p->producer, &word, 1, SHMRING_NOWAIT));
	ck_assert_int_eq(must(shmring_receive(p->consumer, &got, 1, patience())), 1);
	ck_assert_int_eq(got, word);
}

static void pair_detach(struct pair *p)
{
	shmring_producer_detach(p->producer);
	shmring_consumer_detach(p->consumer);
	shmring_close(p->ring);
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* --- start and end --- */

START_TEST(clean_end_leaves_rings_and_members_alone)
{
	struct server b;
	struct pair p;
	int s;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "ring", NULL), 0);
	pair_attach(&p, "ring");
	pair_use(&p, 'a');
	server_stop(&b);
	ck_assert(!exists(b.socket));
	pair_use(&p, 'b');
	raw_must_end(s);
	server_start(&b, NULL);
	pair_use(&p, 'c');
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_open(s, "ring", 0, NULL), 0);
	close(s);
	pair_detach(&p);
	server_stop(&b);
}
END_TEST

START_TEST(killed_broker_is_replaced_by_the_next)
{
	struct proto_message before = { .u.open.name = "ring" }, after = before;
	struct proto_entry entry;
	struct server b;
	struct pair p;
	int s;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "ring", NULL), 0);
	ck_assert_int_eq(raw_call(s, &before, PROTO_OPEN, PROTO_RING, NULL), 0);
	pair_attach(&p, "ring");
	for (int i = 0; i < 10; i++) {
		server_kill(&b);
		raw_must_end(s);
		pair_use(&p, 'x');
		server_start(&b, NULL);
		s = raw_hello(b.socket);
		ck_assert_int_eq(raw_next(s, "", &entry), 0);
		ck_assert_str_eq(entry.name, "ring");
	}
	ck_assert_int_eq(raw_call(s, &after, PROTO_OPEN, PROTO_RING, NULL), 0);
	ck_assert_mem_eq(before.u.ring.uuid, after.u.ring.uuid, 16);
	pair_use(&p, 'y');
	close(s);
	pair_detach(&p);
	server_stop(&b);
}
END_TEST

/* Owners are known again, and what they have counts. */
START_TEST(owners_outlive_the_broker)
{
	const char *config = server_config("rings = ( { name = \"ring\"; owner = \"12345\"; lanes "
					   "= 1; lane_size = 65536; } );");
	const char *extra[] = { "--config", config, NULL };
	struct server b;
	char *text;
	int s;

	server_start(&b, extra);
	server_ring("ring");
	server_kill(&b);
	server_start(&b, NULL);
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_metrics(s, &text), 0);
	ck_assert_ptr_nonnull(
		strstr(text, "shmringd_quota_used{uid=\"12345\",resource=\"rings\"} 1\n"));
	free(text);
	close(s);
	server_stop(&b);
}
END_TEST

START_TEST(second_broker_is_refused)
{
	const char *other_socket[] = { "--socket", room_path("other"), NULL };
	const char *other_directory[] = { "--directory", room_path("other-rings"), NULL };
	struct server b, second;
	int s;

	room_path("other.lock");
	server_start(&b, NULL);
	s = raw_hello(b.socket);
	server_ring("lock"); /* no name is in its way */
	ck_assert_int_eq(raw_make(s, "lock", NULL), 0);
	close(s);
	server_begin(&second, other_directory, -1);
	server_await_words(&second, "another broker listens there; stop it with 'shmringd --stop'");
	server_must_fail(&second, 1);
	server_begin(&second, other_socket, -1);
	server_await_words(&second, "another broker keeps its rings there; stop it with "
				    "'shmringd --stop'");
	server_must_fail(&second, 1);
	close(raw_hello(b.socket));
	server_stop(&b);
}
END_TEST

START_TEST(foreign_file_at_the_socket_path_is_left_alone)
{
	struct server b;
	int fd;

	server_start(&b, NULL);
	ck_assert_int_eq(unlink(b.socket), 0);
	fd = open(b.socket, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	server_stop(&b);
	ck_assert(exists(b.socket));
	/* A file that is not a socket is not removed at the start. */
	server_begin(&b, NULL, -1);
	server_await_words(&b, "the file at this path is not a socket");
	server_must_fail(&b, 1);
}
END_TEST

/* A socket of another program, of a type and with or without listen(). */
static int bind_foreign(const char *path, int type, bool listens)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(s, 0);
	strcpy(address.sun_path, path);
	ck_assert_int_eq(bind(s, (struct sockaddr *)&address, sizeof(address)), 0);
	if (listens)
		ck_assert_int_eq(listen(s, 1), 0);
	return s;
}

/* The socket of another program stays, whatever its type; the one of a dead program goes. */
START_TEST(sockets_of_living_programs_are_left_alone)
{
	static const struct {
		int type;
		bool listens;
	} kinds[] = { { SOCK_SEQPACKET, true },
		      { SOCK_STREAM, true },
		      { SOCK_STREAM, false },
		      { SOCK_SEQPACKET, false },
		      { SOCK_DGRAM, false } };
	const char *path = room_path("broker");
	struct pollfd none = { .events = POLLIN };
	struct stat before, after;
	struct server b;

	none.fd = bind_foreign(path, kinds[_i].type, kinds[_i].listens);
	ck_assert_int_eq(lstat(path, &before), 0);
	server_begin(&b, NULL, -1);
	server_await_words(&b, "another program uses that socket");
	server_must_fail(&b, 1);
	ck_assert_int_eq(lstat(path, &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
	/* The other program is not disturbed: it got no connection. */
	if (kinds[_i].listens)
		ck_assert_int_eq(poll(&none, 1, 0), 0);
	close(none.fd);
	server_start(&b, NULL);
	close(raw_hello(b.socket));
	server_stop(&b);
	ck_assert(!exists(path));
}
END_TEST

START_TEST(socket_of_another_user_is_left_alone)
{
	const char *path = room_path("broker");
	struct server b;

	if (geteuid() != 0)
		room_skip("needs root, to give a file away");
	close(bind_foreign(path, SOCK_STREAM, true));
	ck_assert_int_eq(lchown(path, 12345, 12345), 0);
	server_begin(&b, NULL, -1);
	server_await_words(&b, "there is a socket of user 12345");
	server_must_fail(&b, 1);
	ck_assert(exists(path));
}
END_TEST

static void put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

START_TEST(unsound_files_are_left_alone_and_logged)
{
	struct proto_entry entry;
	struct server b;
	int s;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "good", NULL), 0);
	ck_assert_int_eq(raw_make(s, "open", NULL), 0);
	server_ring("good");
	close(s);
	server_stop(&b);
	put_file(server_ring("text"), "this is no ring");
	ck_assert_int_eq(symlink("good", server_ring("link")), 0);
	ck_assert_int_eq(symlink("4711", room_path("rings/.trace")), 0);
	ck_assert_int_eq(chmod(server_ring("open"), 0644), 0);
	server_start(&b, NULL);
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_next(s, "", &entry), 0);
	ck_assert_str_eq(entry.name, "good");
	ck_assert_int_eq(raw_next(s, "good", &entry), -ENOENT);
	ck_assert_int_eq(raw_open(s, "text", 0, NULL), -EBADMSG);
	ck_assert_int_eq(raw_open(s, "link", 0, NULL), -ELOOP);
	ck_assert_int_eq(raw_open(s, "open", 0, NULL), -EPERM);
	ck_assert_int_eq(raw_make(s, "text", NULL), -EEXIST);
	ck_assert_int_eq(raw_remove(s, "text"), -EBADMSG);
	ck_assert(server_said(&b, "ring=text left alone"));
	ck_assert(server_said(&b, "ring=link left alone"));
	ck_assert(exists(server_ring("text")));
	ck_assert(!exists(room_path("rings/.trace")));
	close(s);
	server_stop(&b);
}
END_TEST

START_TEST(a_directory_that_others_may_use_is_refused)
{
	struct server b;

	ck_assert_int_eq(mkdir(room_path("rings"), 0700), 0);
	ck_assert_int_eq(chmod(room_path("rings"), 0755), 0);
	server_begin(&b, NULL, -1);
	server_await_words(&b, "must be private to this user");
	server_must_fail(&b, 1);
}
END_TEST

START_TEST(upgrade_in_place_keeps_process_and_socket)
{
	struct server b, second;
	struct proto_entry entry;
	struct pair p;
	int s;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "ring", NULL), 0);
	pair_attach(&p, "ring");
	for (int i = 0; i < 3; i++) {
		server_signal(&b, SIGUSR2);
		raw_must_end(s);
		s = raw_hello(b.socket); /* waits in the socket that is handed on */
		server_await(&b, "READY=1");
		ck_assert_int_eq(raw_next(s, "", &entry), 0);
		pair_use(&p, 'u');
	}
	close(s);
	pair_detach(&p);
	server_begin(&second, NULL, -1);
	server_await_words(&second, "another broker");
	server_must_fail(&second, 1);
	server_stop(&b);
	ck_assert(!exists(b.socket));
}
END_TEST

/* --- upgrades that fail --- */

static void refuse_upgrade(struct server *b, const char *why)
{
	pid_t before = b->child.pid;
	struct ucred cred;
	socklen_t size = sizeof(cred);
	int s;

	server_signal(b, SIGUSR2);
	server_await(b, "STATUS=No upgrade: ");
	server_await_words(b, why);
	/* The same broker still runs, and its connection goes on. */
	s = raw_hello(b->socket);
	ck_assert_int_eq(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &cred, &size), 0);
	ck_assert_int_eq(cred.pid, before);
	close(s);
}

START_TEST(upgrade_with_a_wrong_configuration_is_refused)
{
	const char *extra[] = { "--config", server_config("rules = ();"), NULL };
	struct proto_entry entry;
	struct server b;
	int s;

	server_start(&b, extra);
	s = raw_hello(b.socket);
	server_config("rules = 7;");
	refuse_upgrade(&b, "shmringd.conf:1");
	ck_assert_int_eq(raw_next(s, "", &entry), -ENOENT);
	ck_assert_int_eq(chmod(b.directory, 0755), 0);
	server_config("rules = ();");
	refuse_upgrade(&b, "must be private to this user");
	ck_assert_int_eq(raw_next(s, "", &entry), -ENOENT);
	ck_assert_int_eq(chmod(b.directory, 0700), 0);
	server_signal(&b, SIGUSR2);
	server_await(&b, "READY=1");
	raw_must_end(s);
	server_stop(&b);
}
END_TEST

static void put_program(const char *path, const char *script)
{
	int fd;

	ck_assert(unlink(path) == 0 || errno == ENOENT);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, script, strlen(script)), (ssize_t)strlen(script));
	close(fd);
}

static const char *copy_program(void)
{
	const char *path = room_disk_path("shmringd"), *top = getenv("abs_builddir");
	char command[1024];

	snprintf(command, sizeof(command), "cp '%s/daemon/shmringd' '%s'", top ? top : ".", path);
	ck_assert_int_eq(system(command), 0);
	server_program(path);
	return path;
}

/* The file at the program's path, and what the broker says of it. */
START_TEST(upgrade_to_a_program_that_cannot_start_is_refused)
{
	static const struct {
		const char *script, *why;
	} programs[] = {
		{ "this is no program", "cannot be started" },
		{ "#!/nonexistent\n", "cannot be started" },
		{ "#!/bin/sh\necho ready; echo 'one more thing'\n", "one more thing" },
		{ "#!/bin/sh\nexit 0\n", "it ended without a message" },
		{ "#!/bin/sh\nkill -SEGV $$\n", "it ended without a message" },
		{ "#!/bin/sh\nwhile :; do echo noise; done\n", "did not say within" },
	};
	const char *path = copy_program();
	struct server b;

	server_start(&b, NULL);
	for (unsigned i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		put_program(path, programs[i].script);
		refuse_upgrade(&b, programs[i].why);
	}
	ck_assert_int_eq(unlink(path), 0);
	refuse_upgrade(&b, "cannot be started: No such file");
	server_stop(&b);
}
END_TEST

/* The program is removed between the check and the exec. */
START_TEST(upgrade_whose_exec_fails_ends_nothing)
{
	const char *path = copy_program();
	struct proto_entry entry;
	struct server b;
	int s;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	server_ring("ring");
	ck_assert_int_eq(raw_make(s, "ring", NULL), 0);
	put_program(path, "#!/bin/sh\necho ready\nexec rm \"$0\"\n");
	server_signal(&b, SIGUSR2);
	raw_must_end(s);
	s = raw_hello(b.socket);
	server_await(&b, "READY=1");
	ck_assert(server_said(&b, "this one starts again"));
	ck_assert_int_eq(raw_next(s, "", &entry), 0);
	ck_assert_str_eq(entry.name, "ring");
	close(s);
	server_stop(&b);
	ck_assert(!exists(b.socket));
}
END_TEST

START_TEST(other_signals_do_not_end_the_broker)
{
	static const int signals[] = { SIGHUP, SIGUSR1, SIGPIPE, SIGXFSZ, SIGCHLD, SIGWINCH };
	struct server b;
	int s;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		server_signal(&b, signals[i]);
	server_await_words(&b, "the configuration was read again");
	ck_assert_int_eq(raw_open(s, "none", 0, NULL), -ENOENT);
	close(s);
	server_stop(&b);
}
END_TEST

START_TEST(a_socket_of_systemd_is_used_and_left)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct server b;

	strcpy(address.sun_path, room_path("activated"));
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 8), 0);
	for (int i = 0; i < 2; i++) {
		server_begin(&b, NULL, listener);
		close(raw_hello(address.sun_path));
		server_await(&b, "READY=1");
		ck_assert(!exists(b.socket));
		if (i == 1) {
			server_signal(&b, SIGUSR2);
			server_await(&b, "READY=1");
			close(raw_hello(address.sun_path));
		}
		server_stop(&b);
	}
	ck_assert(exists(address.sun_path));
	close(listener);
}
END_TEST

START_TEST(watchdog_is_fed)
{
	struct server b;

	setenv("WATCHDOG_USEC", "200000", 1);
	server_start(&b, NULL);
	unsetenv("WATCHDOG_USEC");
	for (int i = 0; i < 3; i++)
		server_await(&b, "WATCHDOG=1");
	server_stop(&b);
}
END_TEST

/* The status of a process, from /proc. */
static long status_of(pid_t pid, const char *what)
{
	char path[64], line[256];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	while (value < 0 && fgets(line, sizeof(line), f))
		if (strncmp(line, what, strlen(what)) == 0)
			value = atol(line + strlen(what));
	fclose(f);
	return value;
}

START_TEST(broker_runs_without_new_privileges_and_with_a_filter)
{
	struct server b;

	if (room_is_sanitized())
		room_skip("a sanitized broker runs without a sandbox");
	server_start(&b, NULL);
	ck_assert_int_eq(status_of(b.child.pid, "NoNewPrivs:"), 1);
	ck_assert_int_eq(status_of(b.child.pid, "Seccomp:"), 2);
	server_stop(&b);
}
END_TEST

/* This also holds after an upgrade, which does not fork again. */
START_TEST(background_broker_is_ready_when_its_parent_ends)
{
	const char *extra[] = { "--daemon", "--no-sandbox", NULL };
	socklen_t size = sizeof(struct ucred);
	struct ucred cred;
	struct server b;
	siginfo_t info;
	int s;

	server_begin(&b, extra, -1);
	server_must_fail(&b, 0);
	s = raw_hello(b.socket);
	ck_assert_int_eq(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &cred, &size), 0);
	if (_i == 1) {
		ck_assert_int_eq(kill(cred.pid, SIGUSR2), 0);
		raw_must_end(s);
		s = raw_hello(b.socket);
	}
	ck_assert_int_eq(kill(cred.pid, SIGTERM), 0);
	raw_must_end(s);
	ck_assert_int_eq(waitid(P_PID, (id_t)cred.pid, &info, WEXITED), 0);
	ck_assert_int_eq(info.si_code, CLD_EXITED);
	ck_assert_int_eq(info.si_status, 0);
}
END_TEST

/* `shmringd --stop`, at this socket (NULL: that of servers); what it says, and its status. */
static void stop_at(const char *socket, const char *words, int status)
{
	const char *extra[] = { "--stop", socket ? "--socket" : NULL, socket, NULL };
	struct server stopper;

	server_begin(&stopper, extra, -1);
	if (words)
		server_await_words(&stopper, words);
	server_must_fail(&stopper, status);
}

START_TEST(stop_finds_the_broker_by_its_socket)
{
	const char *extra[] = { "--daemon", "--no-sandbox", NULL };
	struct server b;
	siginfo_t info;
	int s;

	server_begin(&b, extra, -1);
	server_must_fail(&b, 0);
	s = raw_hello(b.socket);
	stop_at(NULL, NULL, 0);
	raw_must_end(s);
	/* It has ended already; it was not only asked to. */
	ck_assert_int_eq(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), 0);
	ck_assert_int_eq(info.si_code, CLD_EXITED);
	ck_assert_int_eq(info.si_status, 0);
	stop_at(NULL, "no broker listens there", 0);
}
END_TEST

/* This test listens, and would be ended by the signal. */
START_TEST(stop_ends_only_a_broker)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, room_path("other"));
	ck_assert_int_eq(bind(s, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(s, 1), 0);
	stop_at(address.sun_path, "is not shmringd", 1);
	close(s);
	unlink(address.sun_path);
}
END_TEST

/* --- clients that die, or want too much --- */

enum { PEERPIDFD = 77 /* SO_PEERPIDFD, which older headers lack */ };

struct mortal {
	const char *socket;
	bool consumer;
};

/* Attach to the ring through the broker, and report it. */
static void join_ring(int socket, void *arg)
{
	const struct mortal *m = arg;
	struct shmring_consumer_options named = { .size = sizeof(named), .name = "name" };
	int s = raw_hello(m->socket), fd;
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct shmring_ring *r;
	uint64_t ring;

	ck_assert_int_eq(raw_open(s, "ring", 0, &ring), 0);
	ck_assert_int_eq(
		raw_attach(s, ring, m->consumer ? PROTO_CONSUME : PROTO_PRODUCE, NULL, &fd), 0);
	must(shmring_open_fd(&r, fd));
	if (m->consumer)
		must(shmring_consumer_attach(&c, r, &named));
	else
		must(shmring_producer_attach(&p, r, NULL));
	step_tell(socket);
}

/* The same, and wait to be killed. */
static int take_part(int socket, void *arg)
{
	join_ring(socket, arg);
	pause();
	return 1;
}

static uint32_t lane_state(struct shmring_ring *r)
{
	struct shmring_lane_stat st = { .size = sizeof(st) };

	must(shmring_stat_lane(r, 0, &st));
	return st.state;
}

static uint32_t consumer_state(struct shmring_ring *r)
{
	struct shmring_consumer_stat st = { .size = sizeof(st) };

	must(shmring_stat_consumer(r, 0, &st));
	return st.state;
}

START_TEST(places_of_dead_clients_are_freed_at_once)
{
	struct mortal mortal = { .consumer = _i };
	const uint32_t after = _i ? SHMRING_DETACHED : SHMRING_FREE;
	struct shmring_ring *r;
	struct server b;
	struct child c;
	char *text;
	int64_t limit;
	int s;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "ring", NULL), 0);
	must(shmring_open(&r, server_ring("ring")));
	mortal.socket = b.socket;
	child_fork(&c, take_part, &mortal);
	step_await(c.socket);
	ck_assert_uint_eq(_i ? consumer_state(r) : lane_state(r), SHMRING_ACTIVE);
	child_kill(&c);
	/* No other process buries it: until the broker does, its state is SHMRING_DEAD. */
	limit = patience();
	while ((_i ? consumer_state(r) : lane_state(r)) != after)
		ck_assert_int_lt(clock_now(), limit);
	server_await_words(&b, "recovered=1");
	ck_assert_int_eq(raw_metrics(s, &text), 0);
	ck_assert_ptr_nonnull(strstr(text, "shmringd_ring_recoveries_total{ring=\"ring\",owner="));
	free(text);
	close(s);
	shmring_close(r);
	server_stop(&b);
}
END_TEST

/* The same, and a child of the client keeps the connection: its end does not come. */
static int take_part_with_child(int socket, void *arg)
{
	pid_t child;

	join_ring(socket, arg);
	child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	ck_assert_int_eq(send(socket, &child, sizeof(child), 0), sizeof(child));
	pause();
	return 1;
}

START_TEST(dead_client_is_noticed_while_its_connection_is_open)
{
	struct mortal mortal = { 0 };
	int s, pidfd = -1;
	socklen_t size = sizeof(pidfd);
	struct shmring_ring *r;
	struct server b;
	struct child c;
	int64_t limit;
	pid_t heir;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	server_ring("ring");
	ck_assert_int_eq(raw_make(s, "ring", NULL), 0);
	if (getsockopt(s, SOL_SOCKET, PEERPIDFD, &pidfd, &size) != 0) {
		close(s);
		server_stop(&b);
		room_skip("this kernel has no SO_PEERPIDFD");
	}
	close(pidfd);
	must(shmring_open(&r, server_ring("ring")));
	mortal.socket = b.socket;
	child_fork(&c, take_part_with_child, &mortal);
	step_await(c.socket);
	ck_assert_int_eq(recv(c.socket, &heir, sizeof(heir), 0), sizeof(heir));
	ck_assert_uint_eq(lane_state(r), SHMRING_ACTIVE);
	child_kill(&c);
	limit = patience();
	while (lane_state(r) != SHMRING_FREE)
		ck_assert_int_lt(clock_now(), limit);
	ck_assert_int_eq(kill(heir, SIGKILL), 0);
	ck_assert_int_eq(waitpid(heir, NULL, 0), heir);
	close(s);
	shmring_close(r);
	server_stop(&b);
}
END_TEST

/* The next broker finds clients that died while there was none. */
START_TEST(places_of_clients_that_died_without_a_broker_are_freed)
{
	struct mortal mortal = { 0 };
	struct shmring_ring *r;
	struct server b;
	struct child c;
	int s;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "ring", NULL), 0);
	close(s);
	mortal.socket = b.socket;
	child_fork(&c, take_part, &mortal);
	step_await(c.socket);
	server_kill(&b);
	child_kill(&c);
	must(shmring_open(&r, server_ring("ring")));
	ck_assert_uint_eq(lane_state(r), SHMRING_DEAD);
	server_start(&b, NULL);
	server_await_words(&b, "recovered=1");
	ck_assert_uint_eq(lane_state(r), SHMRING_FREE);
	shmring_close(r);
	server_stop(&b);
}
END_TEST

/* A file that is truncated while the broker reads it costs this ring, and nothing else. */
START_TEST(truncated_ring_does_not_harm_the_broker)
{
	struct server b;
	uint64_t ring;
	char *text;
	int s, fd;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	server_ring("good");
	server_ring("bad");
	ck_assert_int_eq(raw_make(s, "good", NULL), 0);
	ck_assert_int_eq(raw_make(s, "bad", &ring), 0);
	ck_assert_int_eq(raw_attach(s, ring, PROTO_PRODUCE, NULL, &fd), 0);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(raw_metrics(s, &text), 0);
		ck_assert_ptr_nonnull(strstr(text, "shmringd_ring_damaged{ring=\"good\",owner="));
		free(text);
	}
	close(fd);
	close(s); /* the reaper looks at it, too */
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_open(s, "good", 0, NULL), 0);
	ck_assert_int_eq(raw_remove(s, "bad"), 0); /* and its name is free again */
	ck_assert_int_eq(raw_make(s, "bad", NULL), 0);
	close(s);
	server_stop(&b);
}
END_TEST

/* Seconds of processor time that it has used. */
static double used_by(pid_t pid)
{
	unsigned long user = 0, system = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
				&user, &system),
			 2);
	fclose(f);
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

START_TEST(broker_without_descriptors_refuses_and_recovers)
{
	enum { CLIENTS = 60 };
	struct rlimit limit = { 64, 64 };
	struct pollfd ended[CLIENTS];
	struct server b;
	double used;
	uint64_t ring;
	int s;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "ring", &ring), 0);
	server_ring("ring");
	ck_assert_int_eq(prlimit(b.child.pid, RLIMIT_NOFILE, &limit, NULL), 0);
	for (int i = 0; i < CLIENTS; i++)
		ended[i] = (struct pollfd){ .fd = raw_connect(b.socket), .events = POLLRDHUP };
	ck_assert_int_ge(poll(ended, CLIENTS, 20000), 1);
	server_await_words(&b, "no descriptors left");
	ck_assert_int_eq(raw_attach(s, ring, PROTO_PRODUCE, NULL, NULL), -EMFILE);
	ck_assert_ptr_nonnull(strstr(raw_words, "no descriptor left"));
	used = used_by(b.child.pid);
	ck_assert_int_le(poll(NULL, 0, 1000), 0);
	ck_assert_double_lt(used_by(b.child.pid) - used, 0.5);
	/* About one in a second is turned away; the others wait for a descriptor. */
	ck_assert_int_lt(poll(ended, CLIENTS, 0), 15);
	for (int i = 0; i < CLIENTS; i++)
		close(ended[i].fd);
	ck_assert_int_eq(raw_attach(s, ring, PROTO_PRODUCE, NULL, NULL), 0);
	close(raw_hello(b.socket));
	close(s);
	server_stop(&b);
}
END_TEST

/* Many silent connections at a time: those within the limit stay, the others are closed. */
START_TEST(flood_of_connections_harms_no_other_client)
{
	enum { CLIENTS = 500 };
	int s, flood[CLIENTS], left = 0;
	struct server b;

	server_start(&b, NULL);
	s = raw_hello(b.socket);
	for (int i = 0; i < CLIENTS; i++)
		flood[i] = raw_connect(b.socket);
	ck_assert_int_eq(raw_open(s, "none", 0, NULL), -ENOENT);
	for (int i = 0; i < CLIENTS; i++) {
		struct pollfd p = { .fd = flood[i], .events = POLLRDHUP };

		/* The limit is 64 by default; 8 more wait to hear of it. */
		if (i >= 63 + 8)
			ck_assert_int_eq(poll(&p, 1, 20000), 1);
		left += poll(&p, 1, 0) == 0;
	}
	ck_assert_int_eq(left, 63 + 8);
	for (int i = 0; i < CLIENTS; i++)
		close(flood[i]);
	close(s);
	close(raw_hello(b.socket));
	server_stop(&b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("life");
	TCase *tc = room_case(s, "life", 60);

	tcase_add_test(tc, clean_end_leaves_rings_and_members_alone);
	tcase_add_test(tc, killed_broker_is_replaced_by_the_next);
	tcase_add_test(tc, owners_outlive_the_broker);
	tcase_add_test(tc, second_broker_is_refused);
	tcase_add_test(tc, foreign_file_at_the_socket_path_is_left_alone);
	tcase_add_loop_test(tc, sockets_of_living_programs_are_left_alone, 0, 5);
	tcase_add_test(tc, socket_of_another_user_is_left_alone);
	tcase_add_test(tc, unsound_files_are_left_alone_and_logged);
	tcase_add_test(tc, a_directory_that_others_may_use_is_refused);
	tcase_add_test(tc, upgrade_in_place_keeps_process_and_socket);
	tcase_add_test(tc, upgrade_with_a_wrong_configuration_is_refused);
	tcase_add_test(tc, upgrade_to_a_program_that_cannot_start_is_refused);
	tcase_add_test(tc, upgrade_whose_exec_fails_ends_nothing);
	tcase_add_test(tc, other_signals_do_not_end_the_broker);
	tcase_add_test(tc, a_socket_of_systemd_is_used_and_left);
	tcase_add_test(tc, watchdog_is_fed);
	tcase_add_test(tc, broker_runs_without_new_privileges_and_with_a_filter);
	tcase_add_loop_test(tc, background_broker_is_ready_when_its_parent_ends, 0, 2);
	tcase_add_test(tc, stop_finds_the_broker_by_its_socket);
	tcase_add_test(tc, stop_ends_only_a_broker);
	tcase_add_loop_test(tc, places_of_dead_clients_are_freed_at_once, 0, 2);
	tcase_add_test(tc, dead_client_is_noticed_while_its_connection_is_open);
	tcase_add_test(tc, places_of_clients_that_died_without_a_broker_are_freed);
	tcase_add_test(tc, truncated_ring_does_not_harm_the_broker);
	tcase_add_test(tc, broker_without_descriptors_refuses_and_recovers);
	tcase_add_test(tc, flood_of_connections_harms_no_other_client);
	return run_suite(s);
}
