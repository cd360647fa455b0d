/* SPDX-License-Identifier: MIT */
/*
 * ring-source: see ring-source.h.
 *
 * B1 Nothing is locked through a description before GO: until then the broker, or
 *    the queue of the socket, may hold a copy that would outlive this process (proto.h, M3).
 * B2 A number of a ring or a grant is valid only in the conversation in which the broker
 *    gave it; `connections` tells conversations apart.
 * B3 After another broker has come, the name must lead to the same ring, or no attach
 *    succeeds.
 * B4 The conversation is used under the mutex. A child made by fork does not use
 *    that of its parent: it begins its own when it attaches.
 */
#include "ring-source.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connection.h"
#include "create.h"
#include "examine.h"
#include "explain.h"
#include "layout.h"
#include "ring.h"
#include "sys.h"
#include "watch.h"

#define BROKER_WAIT_TIME INT64_C(2000000000) /* for a broker that is being started again */
#define PAUSE INT64_C(10000000)

/* For the answer of a broker that is there, when a reader asks; doubled if none comes. */
#define SHORT_ANSWER_TIME INT64_C(200000000)
#define LONG_ANSWER_TIME INT64_C(5000000000)

/* A lane may have to be copied for its next owner: at 250 MB/s, or faster. */
#define NS_PER_BYTE 4

struct broker_source {
	struct ring_source calls;
	pthread_mutex_t mutex;
	struct connection connection;
	uint64_t connections; /* so far */
	uint64_t ring;	      /* its number in this one */
	uint32_t rights;
	int64_t answer_ns;   /* how long a reader waits for an answer at most */
	uint64_t lane_bytes; /* of an isolated ring */
	uint8_t uuid[16];
	char name[PROTO_NAME_SIZE];
};

/* A thread that holds the mutex is not cancelled: others would wait for it for ever. */
static int take_mutex(struct broker_source *s)
{
	int cancel = shmr_cancel_off();

	pthread_mutex_lock(&s->mutex);
	return cancel;
}

static void give_mutex(struct broker_source *s, int cancel)
{
	pthread_mutex_unlock(&s->mutex);
	shmr_cancel_on(cancel);
}

/* Open or make the ring by its name. */
static int ask_for_ring(struct broker_source *s, const struct proto_config *config, uint32_t flags,
			uint8_t ret_uuid[16], int *ret_fd)
{
	struct proto_message m = { .u.open.flags = flags };
	int e;

	memcpy(m.u.open.name, s->name, sizeof(s->name));
	if (config)
		m.u.open.config = *config;
	e = connection_ask(&s->connection, &m, PROTO_OPEN, PROTO_RING, ret_fd);
	if (e < 0)
		return e;
	s->ring = m.u.ring.ring;
	s->rights = m.u.ring.rights;
	memcpy(ret_uuid, m.u.ring.uuid, sizeof(m.u.ring.uuid));
	return 0;
}

/* Go on with another broker, if it has the same ring (B3). */
static int reconnect(struct broker_source *s, bool wait_for_broker)
{
	uint8_t uuid[16];
	int fd, e = wait_for_broker ? connection_open(&s->connection, true)
				    : connection_open_now(&s->connection);

	if (e < 0)
		return e;
	s->connections++;
	e = ask_for_ring(s, NULL, 0, uuid, &fd);
	if (e < 0) {
		connection_close(&s->connection, false);
		return e;
	}
	close(fd);
	if (memcmp(uuid, s->uuid, sizeof(uuid)) == 0)
		return 0;
	connection_close(&s->connection, false);
	return explain(-ESTALE, "another ring has this name now; open it again");
}

static int ask_for_description(struct broker_source *s, uint32_t role, uint64_t *ret_grant)
{
	struct proto_message m = { .u.attach = { .ring = s->ring, .role = role } };
	int none, fd, e;

	e = connection_ask(&s->connection, &m, PROTO_ATTACH, PROTO_GRANT, &fd);
	if (e < 0)
		return e;
	*ret_grant = m.u.grant.grant;
	e = connection_await(&s->connection, &m, PROTO_GO, &none);
	if (e == 0 && m.u.grant.grant != *ret_grant) {
		connection_close(&s->connection, false);
		e = explain(-EPROTO, "the broker's GO is for another request");
	}
	if (e == 0)
		return fd;
	close(fd);
	return e;
}

/* A repair needs to write: any role that may write will do. */
static uint32_t role_word(const struct broker_source *s, enum ring_role role)
{
	switch (role) {
	case RING_PRODUCE:
		return PROTO_PRODUCE;
	case RING_CONSUME:
		return PROTO_CONSUME;
	case RING_REPAIR:
		return s->rights & PROTO_CONSUME ? PROTO_CONSUME : PROTO_PRODUCE;
	default:
		return PROTO_OBSERVE;
	}
}

/* The broker's words, and what would be allowed. */
static int refused(const struct broker_source *s)
{
	char words[PROTO_TEXT_SIZE] = "";

	strncat(words, shmring_explain(), sizeof(words) - 1);
	return explain(
		-EACCES, "%s; you may%s%s%s%s", words, s->rights & PROTO_PRODUCE ? " produce" : "",
		s->rights & PROTO_CONSUME ? " consume" : "",
		s->rights & PROTO_OBSERVE ? " observe" : "",
		s->rights & (PROTO_PRODUCE | PROTO_CONSUME | PROTO_OBSERVE) ? "" : " nothing");
}

/* A broker that died in the midst of it is asked again when it is back. */
static bool try_again(int e, int64_t deadline)
{
	if (e != -ECONNRESET || shmr_now() >= deadline)
		return false;
	shmr_sleep(shmr_now() + PAUSE); /* less, if a signal comes */
	return true;
}

static int source_describe(struct ring_source *source, enum ring_role role, struct ring_grant *ret)
{
	struct broker_source *s = (struct broker_source *)source;
	int64_t deadline = shmr_now() + BROKER_WAIT_TIME;
	struct ring_grant grant;
	int fd, cancel;

	cancel = take_mutex(s);
	do {
		fd = connection_is_open(&s->connection) ? 0 : reconnect(s, true);
		if (fd == 0)
			fd = ask_for_description(s, role_word(s, role), &grant.number);
	} while (try_again(fd, deadline));
	grant.connection = s->connections;
	if (fd == -EACCES)
		fd = refused(s);
	give_mutex(s, cancel);
	if (fd >= 0)
		*ret = grant;
	return fd;
}

static int ask_for_lane(struct broker_source *s, const struct lane_wish *wish,
			uint32_t *ret_file_number)
{
	struct proto_message m = { .u.lane = { s->ring, PROTO_PRODUCE, wish->lane, wish->epoch,
					       0 } };
	int fd, e;

	if (!wish->write)
		m.u.lane.role = s->rights & PROTO_CONSUME ? PROTO_CONSUME : PROTO_OBSERVE;
	e = connection_ask(&s->connection, &m, PROTO_LANE, PROTO_LANE_FILE, &fd);
	if (e < 0)
		return e;
	*ret_file_number = m.u.lane_file.file_number;
	return fd;
}

/* One try: a reader does not wait for a broker that is stopped. */
static int try_lane(struct broker_source *s, const struct lane_wish *wish,
		    uint32_t *ret_file_number)
{
	int fd;

	if (wish->write)
		s->connection.answer_ns = LONG_ANSWER_TIME + NS_PER_BYTE * (int64_t)s->lane_bytes;
	else
		s->connection.answer_ns = wish->wait_for_broker ? 0 : s->answer_ns;
	fd = connection_is_open(&s->connection) ? 0 : reconnect(s, wish->wait_for_broker);
	if (fd == 0)
		fd = ask_for_lane(s, wish, ret_file_number);
	if (fd == -ETIMEDOUT && !wish->write && !wish->wait_for_broker)
		s->answer_ns =
			2 * s->answer_ns < LONG_ANSWER_TIME ? 2 * s->answer_ns : LONG_ANSWER_TIME;
	else if (fd >= 0)
		s->answer_ns = SHORT_ANSWER_TIME;
	s->connection.answer_ns = 0;
	return fd;
}

static int source_lane(struct ring_source *source, const struct lane_wish *wish,
		       uint32_t *ret_file_number)
{
	struct broker_source *s = (struct broker_source *)source;
	int64_t deadline = shmr_now() + BROKER_WAIT_TIME;
	int fd, cancel;

	cancel = take_mutex(s);
	do
		fd = try_lane(s, wish, ret_file_number);
	while (wish->wait_for_broker && try_again(fd, deadline));
	if (fd == -EACCES)
		fd = refused(s);
	give_mutex(s, cancel);
	return fd;
}

static void source_leave(struct ring_source *source, const struct ring_grant *grant)
{
	struct broker_source *s = (struct broker_source *)source;
	struct proto_message m = { .u.grant.grant = grant->number };
	int cancel;

	cancel = take_mutex(s);
	if (grant->connection == s->connections)
		connection_say(&s->connection, &m, PROTO_DETACH);
	give_mutex(s, cancel);
}

/* The thread that held the mutex in the parent is not in this process (B4). */
static void source_join(struct ring_source *source)
{
	struct broker_source *s = (struct broker_source *)source;

	pthread_mutex_init(&s->mutex, NULL);
	connection_close(&s->connection, true);
	s->connections++;
}

static void source_free(struct ring_source *source, bool inherited)
{
	struct broker_source *s = (struct broker_source *)source;

	connection_close(&s->connection, inherited);
	if (!inherited)
		pthread_mutex_destroy(&s->mutex);
	free(s);
}

static struct broker_source *source_new(void)
{
	struct broker_source *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->calls = (struct ring_source){ source_describe, source_leave, source_join, source_free,
					 source_lane };
	s->answer_ns = SHORT_ANSWER_TIME;
	s->connection.socket = -1;
	pthread_mutex_init(&s->mutex, NULL);
	return s;
}

/* The descriptor becomes a ring, if it is the ring that was announced. */
static int make_ring(struct shmring_ring **ret, struct broker_source *s, int fd)
{
	struct shmring_ring *r;
	int e = shmr_ring_from_fd(&r, fd, true);

	if (e < 0)
		return e;
	if (memcmp(r->uuid, s->uuid, sizeof(r->uuid)) != 0) {
		shmring_close(r);
		return explain(-EPROTO, "the broker sent a descriptor of another ring");
	}
	r->source = &s->calls;
	s->lane_bytes = r->geometry.lane_file_size;
	r->writable = (s->rights & (PROTO_PRODUCE | PROTO_CONSUME)) != 0;
	*ret = r;
	return 0;
}

static int get_ring(struct shmring_ring **ret, struct broker_source *s, const char *address,
		    const struct proto_config *config, uint32_t flags)
{
	int64_t deadline = shmr_now() + BROKER_WAIT_TIME;
	int fd, e = broker_name(s->name, address);

	if (e == 0)
		e = connection_init(&s->connection, NULL);
	if (e < 0)
		return e;
	s->connections = 1;
	do {
		e = connection_open(&s->connection, false);
		if (e == 0)
			e = ask_for_ring(s, config, flags, s->uuid, &fd);
	} while (!config &&
		 try_again(e, deadline)); /* a second try to make it would find it made */
	return e == 0 ? make_ring(ret, s, fd) : e;
}

static int get(struct shmring_ring **ret, const char *address, const struct proto_config *config,
	       uint32_t flags)
{
	struct broker_source *s = source_new();
	int e;

	if (!s)
		return explain(-ENOMEM, "out of memory");
	e = get_ring(ret, s, address, config, flags);
	if (e < 0)
		source_free(&s->calls, false);
	return e < 0 ? shmr_explain_about(e, address) : 0;
}

int source_open_ring(struct shmring_ring **ret, const char *address)
{
	return get(ret, address, NULL, 0);
}

/* How long an answer may take now. */
static int64_t answer_time(int64_t deadline)
{
	const int64_t left = deadline - shmr_now();

	return left < SHORT_ANSWER_TIME	 ? SHORT_ANSWER_TIME
	       : left < LONG_ANSWER_TIME ? left
					 : LONG_ANSWER_TIME;
}

/* One question to the broker, which may have been started or killed meanwhile. */
static int try_ring(struct broker_source *s, int64_t deadline, int *ret_fd)
{
	int e = 0;

	s->connection.interruptible = true;
	s->connection.answer_ns = answer_time(deadline);
	if (!connection_is_open(&s->connection))
		e = connection_open_now(&s->connection);
	s->connection.answer_ns = answer_time(deadline);
	if (e == 0)
		e = ask_for_ring(s, NULL, 0, s->uuid, ret_fd);
	s->connection.answer_ns = 0;
	s->connection.interruptible = false;
	return e;
}

/* Is the ring, or the broker, not there yet? */
static bool may_come(int e)
{
	return e == -ENOENT || e == -ECONNREFUSED || e == -ECONNRESET || e == -ETIMEDOUT;
}

/* The broker does not tell of new rings, so it is asked again and again. */
static int await_ring(struct shmring_ring **ret, struct broker_source *s, const char *address,
		      int64_t deadline)
{
	int64_t pause_ns = 0;
	int fd, e = broker_name(s->name, address);

	if (e == 0)
		e = connection_init(&s->connection, NULL);
	if (e < 0)
		return e;
	s->connections = 1;
	while (may_come(e = try_ring(s, deadline, &fd))) {
		int64_t now = shmr_now();
		int64_t until = now + shmr_watch_pause(&pause_ns);

		if (now >= deadline)
			return shmr_watch_too_late();
		if (shmr_sleep(until < deadline ? until : deadline) < 0)
			return shmr_watch_interrupted();
	}
	if (e == -EINTR)
		return shmr_watch_interrupted();
	return e == 0 ? make_ring(ret, s, fd) : e;
}

int source_open_ring_wait(struct shmring_ring **ret, const char *address, int64_t deadline)
{
	struct broker_source *s;
	int e;

	if (deadline <= SHMRING_NOWAIT)
		return source_open_ring(ret, address);
	s = source_new();
	if (!s)
		return explain(-ENOMEM, "out of memory");
	e = await_ring(ret, s, address, deadline);
	if (e < 0)
		source_free(&s->calls, false);
	return e < 0 ? shmr_explain_about(e, address) : 0;
}

static int read_config(struct shmring_config *ret, const char *address,
		       const struct shmring_config *given)
{
	struct shmring_config c;
	int e = shmr_ring_config(&c, given);

	if (e == 0 && (c.flags & SHMRING_EPHEMERAL) != 0)
		e = explain(-EINVAL,
			    "%s: the broker keeps its rings until they are removed by name, "
			    "so SHMRING_EPHEMERAL is for other rings; remove it with "
			    "'shmring rm'",
			    address);
	if (e == 0)
		*ret = c;
	return e;
}

int source_check_config(const char *address, const struct shmring_config *config)
{
	struct shmring_config c;

	return read_config(&c, address, config);
}

int source_create_ring(struct shmring_ring **ret, const char *address,
		       const struct shmring_config *config)
{
	struct shmring_config c = { 0 };
	struct proto_config words;
	uint32_t flags = PROTO_MAKE;
	int e = read_config(&c, address, config);

	if (e < 0)
		return e;
	words = (struct proto_config){
		.lane_size = c.lane_size,
		.evict_after_ns = c.evict_after_ns,
		.evict_lag = c.evict_lag,
		.evict_lag_ns = c.evict_lag_ns,
		.max_sleep_ns = c.max_sleep_ns,
		.first_position = c.first_position,
		.lanes = c.lanes,
		.alignment = c.alignment,
		.slow_policy = c.slow_policy,
		.unread_policy = layout_swap_unread(c.unread_policy),
		.wake = c.wake,
		.stamps = c.stamps,
		.mode = c.mode,
	};
	if (c.flags & SHMRING_PERSISTENT)
		flags |= PROTO_PERSISTENT;
	if (c.flags & SHMRING_ISOLATED)
		flags |= PROTO_ISOLATED;
	return get(ret, address, &words, flags);
}

int source_remove_ring(const char *address)
{
	struct proto_message m = { 0 };
	struct connection c;
	int fd, e = broker_name(m.u.name.name, address);

	if (e == 0)
		e = connection_init(&c, NULL);
	if (e == 0)
		e = connection_open(&c, false);
	if (e == 0) {
		e = connection_ask(&c, &m, PROTO_REMOVE, PROTO_DONE, &fd);
		connection_close(&c, false);
	}
	return e < 0 ? shmr_explain_about(e, address) : 0;
}
