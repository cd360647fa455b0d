/* SPDX-License-Identifier: MIT */
/*
 * A broker for tests of its clients, see fake.h.
 */
#include "fake.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <check.h>
#include <shmring/shmring.h>

#include "must.h"
#include "room.h"

static const char *const names[] = { "alpha", "beta", "ring" };
enum { NAMES = 3 };
static const char text[] = "shmring_up 1\n";

struct fake *fake_new(void)
{
	struct fake *f =
		mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct shmring_config config = { .size = sizeof(config), .lane_size = 65536 };
	struct shmring_ring *r;

	ck_assert_ptr_ne(f, MAP_FAILED);
	f->rights = PROTO_RIGHTS;
	strcpy(f->ring, room_path("ring"));
	strcpy(f->other, room_path("other"));
	strcpy(f->socket, room_path("broker"));
	must(shmring_create(&r, f->ring, &config));
	shmring_close(r);
	must(shmring_create(&r, f->other, &config));
	shmring_close(r);
	ck_assert_int_eq(setenv("SHMRING_BROKER", f->socket, 1), 0);
	return f;
}

void fake_free(struct fake *f)
{
	munmap(f, sizeof(*f));
}

/* The trick that the message is answered with; by the answer, the test may set another. */
static enum trick trick_now;

static void choose_trick(struct fake *f, uint32_t type)
{
	trick_now = f->at == type ? f->trick : TRICK_NONE;
	if (trick_now != TRICK_NONE && f->times > 0 && --f->times == 0)
		f->trick = TRICK_NONE;
}

static int ring_descriptor(struct fake *f, int flags)
{
	if (trick_now == TRICK_NO_RING)
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	if (trick_now == TRICK_READ_ONLY)
		flags = O_RDONLY;
	return open(trick_now == TRICK_OTHER_RING ? f->other : f->ring, flags | O_CLOEXEC);
}

/* Send and close. */
static void say(int s, struct proto_message *m, enum proto_type type, int fd)
{
	proto_send(s, m, type, fd);
	if (fd >= 0)
		close(fd);
}

static void refuse(int s, uint32_t serial, int error, const char *words)
{
	struct proto_message m = { .head.serial = serial, .u.error.error = error };

	strcpy(m.u.error.text, words);
	say(s, &m, PROTO_ERROR, -1);
}

static void answer_open(struct fake *f, int s, const struct proto_message *asked)
{
	struct proto_message m = { .head.serial = asked->head.serial };
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct shmring_ring *r;

	f->config = asked->u.open.config;
	f->flags = asked->u.open.flags;
	if (shmring_open(&r, f->ring) < 0) {
		refuse(s, asked->head.serial, -ENOENT, "there is no such ring");
		return;
	}
	shmring_stat(r, &st);
	shmring_close(r);
	m.u.ring.ring = 11;
	m.u.ring.rights = f->rights;
	memcpy(m.u.ring.uuid, st.uuid, 16);
	m.u.ring.uuid[0] ^= (trick_now == TRICK_OTHER_UUID);
	say(s, &m, PROTO_RING, ring_descriptor(f, O_RDONLY));
}

static void answer_attach(struct fake *f, int s, const struct proto_message *asked)
{
	struct proto_message m = { .head.serial = asked->head.serial, .u.grant.grant = 5 };
	int flags = asked->u.attach.role == PROTO_OBSERVE ? O_RDONLY : O_RDWR;

	if (!(f->rights & asked->u.attach.role)) {
		refuse(s, asked->head.serial, -EACCES, "rule 7 says no");
		return;
	}
	say(s, &m, PROTO_GRANT, ring_descriptor(f, flags));
	m.u.grant.grant += (trick_now == TRICK_WRONG_GO);
	if (trick_now == TRICK_NO_GO)
		shutdown(s, SHUT_RDWR);
	else if (trick_now != TRICK_SILENT_GO)
		say(s, &m, PROTO_GO, -1);
}

static void answer_next(int s, const struct proto_message *asked)
{
	struct proto_message m = { .head.serial = asked->head.serial };
	unsigned i = 0;

	while (i < NAMES && strcmp(names[i], asked->u.name.name) <= 0)
		i++;
	if (i == NAMES) {
		refuse(s, asked->head.serial, -ENOENT, "");
		return;
	}
	strcpy(m.u.entry.name, names[i]);
	m.u.entry.owner = 1000 + i;
	m.u.entry.rights = PROTO_OBSERVE;
	m.u.entry.flags = i == 0 ? PROTO_IS_PERSISTENT : 0;
	m.u.entry.clients = i;
	say(s, &m, PROTO_ENTRY, -1);
}

static void answer_metrics(int s, const struct proto_message *asked)
{
	struct proto_message m = { .head.serial = asked->head.serial };
	int fd = memfd_create("metrics", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (write(fd, text, sizeof(text) - 1) != (ssize_t)sizeof(text) - 1)
		abort();
	if (trick_now != TRICK_UNSEALED)
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	m.u.text.bytes = sizeof(text) - 1 + (trick_now == TRICK_SHORT_TEXT);
	say(s, &m, PROTO_TEXT, fd);
}

static void answer(struct fake *f, int s, const struct proto_message *asked)
{
	struct proto_message m = { .head.serial = asked->head.serial };

	switch (asked->head.type) {
	case PROTO_HELLO:
		m.u.welcome.version = PROTO_VERSION + (trick_now == TRICK_WRONG_VERSION);
		m.u.welcome.features = (trick_now == TRICK_FEATURES);
		say(s, &m, PROTO_WELCOME, -1);
		return;
	case PROTO_OPEN:
		answer_open(f, s, asked);
		return;
	case PROTO_ATTACH:
		answer_attach(f, s, asked);
		return;
	case PROTO_NEXT:
		answer_next(s, asked);
		return;
	case PROTO_REMOVE:
		say(s, &m, PROTO_DONE, -1);
		return;
	case PROTO_METRICS:
		answer_metrics(s, asked);
		return;
	default:
		return;
	}
}

/* Instead of the answer, or before it; false: there is none. */
static bool play(int s, struct proto_message *asked)
{
	const struct timespec tenth = { .tv_nsec = 100000000 };
	struct proto_message m = { .head.serial = asked->head.serial };

	switch (trick_now) {
	case TRICK_SILENCE:
		return false;
	case TRICK_HANG_UP:
		shutdown(s, SHUT_RDWR);
		return false;
	case TRICK_LAST_WORDS:
		refuse(s, 0, -EDQUOT, "rule 9 allows no more connections");
		shutdown(s, SHUT_RDWR);
		return false;
	case TRICK_REFUSE:
		refuse(s, asked->head.serial, -EACCES, "rule 8 says no");
		return false;
	case TRICK_MUTE_REFUSAL:
		refuse(s, asked->head.serial, -EDQUOT, "");
		return false;
	case TRICK_WRONG_TYPE:
		say(s, &m, PROTO_DONE, -1);
		return false;
	case TRICK_GARBAGE:
		return send(s, "rubbish", 7, MSG_NOSIGNAL) < 0;
	case TRICK_WRONG_SERIAL:
		asked->head.serial++;
		return true;
	case TRICK_SLOWLY:
		clock_nanosleep(CLOCK_MONOTONIC, 0, &tenth, NULL);
		return true;
	default:
		return true;
	}
}

/* One message; false: the client has gone. */
static bool hear(struct fake *f, int s)
{
	struct proto_message m;
	int fd, e = proto_receive(s, &m, true, &fd);

	if (e < 0)
		return e == -EAGAIN;
	__atomic_add_fetch(&f->received[m.head.type < PROTO_TYPES ? m.head.type : 0], 1,
			   __ATOMIC_SEQ_CST);
	choose_trick(f, m.head.type);
	if (play(s, &m))
		answer(f, s, &m);
	return true;
}

static int listen_at(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(a.sun_path, path);
	unlink(path);
	if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 16) < 0)
		abort();
	return s;
}

static void drop_client(struct fake *f, struct pollfd *client)
{
	close(client->fd);
	client->fd = -1;
	__atomic_sub_fetch(&f->open, 1, __ATOMIC_SEQ_CST);
}

static int serve(int socket, void *arg)
{
	struct fake *f = arg;
	const struct timespec delay = { .tv_nsec = (long)f->delay_ns };
	struct pollfd all[FAKE_CLIENTS + 1];

	clock_nanosleep(CLOCK_MONOTONIC, 0, &delay, NULL);
	f->open = 0;
	for (int i = 0; i <= FAKE_CLIENTS; i++)
		all[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	all[FAKE_CLIENTS].fd = listen_at(f->socket);
	step_tell(socket);
	for (;;) {
		int i = 0;

		if (poll(all, FAKE_CLIENTS + 1, -1) < 0)
			return 1;
		for (int j = 0; j < FAKE_CLIENTS; j++)
			if (all[j].fd >= 0 && all[j].revents && !hear(f, all[j].fd))
				drop_client(f, &all[j]);
		while (all[i].fd >= 0)
			i++;
		if (all[FAKE_CLIENTS].revents && i < FAKE_CLIENTS) {
			all[i].fd = accept4(all[FAKE_CLIENTS].fd, NULL, NULL, SOCK_CLOEXEC);
			__atomic_add_fetch(&f->connections, 1, __ATOMIC_SEQ_CST);
			__atomic_add_fetch(&f->open, 1, __ATOMIC_SEQ_CST);
		}
	}
}

void fake_start(struct fake *f, struct child *c)
{
	child_fork(c, serve, f);
	if (f->delay_ns == 0)
		step_await(c->socket);
}

void fake_kill(struct fake *f, struct child *c)
{
	child_kill(c);
	f->open = 0;
}

static void await(const uint32_t *word, uint32_t count, const char *what)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	int64_t deadline = patience();

	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) != count) {
		ck_assert_msg(clock_now() < deadline, "%u %s instead of %u", *word, what, count);
		clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
	}
}

void fake_await_open(const struct fake *f, uint32_t count)
{
	await(&f->open, count, "connections");
}

void fake_await(const struct fake *f, enum proto_type type, uint32_t count)
{
	await(&f->received[type], count, "messages");
}
