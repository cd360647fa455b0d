/* SPDX-License-Identifier: MIT */
/*
 * serve: see serve.h.
 */
#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <shmring/shmring.h>

#include "explain.h"
#include "isolated.h"
#include "layout.h"
#include "log.h"
#include "refuse.h"
#include "serve-lane.h"
#include "serve-metrics.h"
#include "service.h"
#include "sys.h"

#define ROLES (PROTO_PRODUCE | PROTO_CONSUME | PROTO_OBSERVE)

static bool take_silently(struct session *s, enum resource what)
{
	unsigned line;
	const struct limits *l = policy_limits(s->sessions->rings->policy, &s->peer, &line);

	return quota_take(s->account, l, what, 1) == 0;
}

/* Take one unit of a resource, or refuse the request. */
static bool take_one(struct session *s, uint32_t serial, enum resource what)
{
	if (take_silently(s, what))
		return true;
	refuse_amount(s, serial, (struct shortage){ what, 1 });
	return false;
}

/*
 * Make a description of the ring's file that no other process has (M3). A lease that a
 * hostile client of the broker's uid has on the file must not make the broker wait.
 */
static int describe(const struct entry *e, bool writable)
{
	int ring = shmring_fd(e->ring);

	return ring < 0 ? ring : shmr_reopen(ring, (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK);
}

static void refuse_describe(struct session *s, uint32_t serial, const char *name, int e)
{
	if (e == -EMFILE || e == -ENFILE)
		session_refuse_ring(s, serial, name, e,
				    "the broker has no descriptor left: try again, or raise its "
				    "LimitNOFILE");
	else
		session_refuse_ring(s, serial, name, e, "the broker cannot open it again: %s",
				    strerror(-e));
}

/* --- HELLO --- */

static void serve_hello(struct session *s, const struct proto_message *m)
{
	struct proto_message answer = { .u.welcome.version = PROTO_VERSION };
	const struct proto_hello *h = &m->u.hello;

	if (s->stranger) {
		s->closing = true;
		refuse_amount(s, m->head.serial, s->lacks);
		return;
	}
	if (h->version_min > PROTO_VERSION || h->version_max < PROTO_VERSION) {
		s->closing = true;
		session_refuse(s, m->head.serial, -EPROTONOSUPPORT,
			       "this broker speaks version %u, the client %u to %u: use programs "
			       "and a broker of the same release",
			       PROTO_VERSION, h->version_min, h->version_max);
		return;
	}
	s->greeted = true;
	memcpy(answer.u.welcome.broker, service_of(s)->id, sizeof(service_of(s)->id));
	session_answer(s, m->head.serial, PROTO_WELCOME, &answer, -1);
}

/* --- OPEN --- */

static void from_wire(struct shmring_config *c, const struct proto_config *p)
{
	*c = (struct shmring_config){
		.size = sizeof(*c),
		.lane_size = p->lane_size,
		.lanes = p->lanes,
		.alignment = p->alignment,
		.slow_policy = p->slow_policy,
		.unread_policy = layout_swap_unread(p->unread_policy),
		.evict_after_ns = p->evict_after_ns,
		.evict_lag = p->evict_lag,
		.evict_lag_ns = p->evict_lag_ns,
		.max_sleep_ns = p->max_sleep_ns,
		.wake = p->wake,
		.stamps = p->stamps,
		.first_position = p->first_position,
	};
}

/* Make a ring for this client; NULL: the request was refused. */
static struct entry *make_ring(struct session *s, const struct proto_message *m,
			       const struct shmring_config *config)
{
	const struct proto_open *o = &m->u.open;
	struct rings *rings = s->sessions->rings;
	unsigned line;
	const struct limits *l = policy_limits(rings->policy, &s->peer, &line);
	struct shortage shortage = { QUOTA_RINGS, 1 };
	struct entry *made;
	int e;

	/* The ring must be open afterwards. A user that may not open it would leave it behind. */
	if (!take_one(s, m->head.serial, QUOTA_DESCRIPTORS))
		return NULL;
	e = rings_make(rings, o->name, (o->flags & PROTO_PERSISTENT) != 0, s->peer.uid, l, config,
		       &made, &shortage);
	quota_give(s->account, QUOTA_DESCRIPTORS, 1);
	if (e == -EDQUOT)
		refuse_amount(s, m->head.serial, shortage);
	else if (e < 0)
		refuse_explained(s, m->head.serial, e);
	return e < 0 ? NULL : made;
}

/* As OPEN wants it made. */
static struct entry *make_new(struct session *s, const struct proto_message *m, bool isolated)
{
	const struct proto_open *o = &m->u.open;
	struct shmring_config config;
	int error = 0;

	if (!rings_find(s->sessions->rings, o->name, &error) && error == -EBUSY) {
		refuse_explained(s, m->head.serial, error);
		return NULL;
	}
	if (catalog_find(&s->sessions->rings->catalog, o->name) || error != -ENOENT) {
		session_refuse_ring(s, m->head.serial, o->name, -EEXIST, "it exists already");
		return NULL;
	}
	if (o->config.mode != 0) {
		session_refuse_ring(s, m->head.serial, o->name, -EINVAL,
				    "the rings of a broker have no mode; its rules say which users "
				    "may use them");
		return NULL;
	}
	from_wire(&config, &o->config);
	if (isolated && (o->flags & PROTO_PERSISTENT) != 0) {
		session_refuse_ring(s, m->head.serial, o->name, -EINVAL,
				    "an isolated ring is in memory, so it cannot be persistent");
		return NULL;
	}
	config.flags = isolated ? SHMRING_ISOLATED : 0;
	return make_ring(s, m, &config);
}

/* The ring that OPEN is about, made or found; NULL: the request was refused. */
static struct entry *open_target(struct session *s, const struct proto_message *m)
{
	const struct proto_open *o = &m->u.open;
	struct verdict v = session_judge(s, o->name);
	bool make = (o->flags & PROTO_MAKE) != 0;
	struct entry *e;
	int error;

	if (make ? (v.rights & PROTO_CREATE) == 0 : (v.rights & ROLES) == 0) {
		refuse_right(s, m->head.serial, o->name, make ? PROTO_CREATE : 0, v);
		return NULL;
	}
	if (make)
		return make_new(s, m, v.isolated || (o->flags & PROTO_ISOLATED) != 0);
	e = rings_find(s->sessions->rings, o->name, &error);
	if (!e && error == -ENOENT && v.make)
		return make_ring(s, m, v.make);
	if (!e)
		refuse_explained(s, m->head.serial, error);
	return e;
}

static uint32_t flags_of(const struct entry *e)
{
	return (e->persistent ? PROTO_IS_PERSISTENT : 0) |
	       (isolated_of(e->ring) ? PROTO_IS_ISOLATED : 0);
}

static void answer_open(struct session *s, uint32_t serial, const struct open_ring *ring, int fd)
{
	const struct entry *e = ring->entry;
	struct proto_message m = { .u.ring.ring = ring->number };

	if (isolated_of(e->ring))
		session_hold(s);
	m.u.ring.rights = session_judge(s, e->name).rights;
	m.u.ring.flags = flags_of(e);
	memcpy(m.u.ring.uuid, e->ring->uuid, sizeof(m.u.ring.uuid));
	session_answer(s, serial, PROTO_RING, &m, fd);
}

/* A connection has a ring open once, however often its client opens it. */
static void serve_open(struct session *s, const struct proto_message *m)
{
	struct entry *e = open_target(s, m);
	struct open_ring *ring = e ? session_ring_of(s, e) : NULL;
	bool first = !ring;
	int fd;

	if (!e || (first && !take_one(s, m->head.serial, QUOTA_DESCRIPTORS)))
		return;
	fd = describe(e, false);
	if (fd >= 0 && first) {
		ring = session_add_ring(s, e);
		if (!ring) {
			close(fd);
			fd = -ENOMEM;
		}
	}
	if (fd >= 0) {
		answer_open(s, m->head.serial, ring, fd);
		return;
	}
	if (first)
		quota_give(s->account, QUOTA_DESCRIPTORS, 1);
	refuse_describe(s, m->head.serial, e->name, fd);
}

/* --- ATTACH and DETACH --- */

static bool take_attachment(struct session *s, uint32_t serial)
{
	if (!take_one(s, serial, QUOTA_ATTACHMENTS))
		return false;
	if (take_silently(s, QUOTA_DESCRIPTORS))
		return true;
	quota_give(s->account, QUOTA_ATTACHMENTS, 1); /* T6 */
	refuse_amount(s, serial, (struct shortage){ QUOTA_DESCRIPTORS, 1 });
	return false;
}

/* GRANT with the descriptor, and GO, which waits until that is sent and closed (M3). */
static void answer_attach(struct session *s, uint32_t serial, uint64_t number, int fd)
{
	struct proto_message m = { .u.grant.grant = number };
	struct proto_message go = { .u.grant.grant = number };

	session_answer(s, serial, PROTO_GRANT, &m, fd);
	session_answer(s, serial, PROTO_GO, &go, -1);
}

static void serve_attach(struct session *s, const struct proto_message *m)
{
	const struct proto_attach *a = &m->u.attach;
	const struct open_ring *ring = session_ring(s, a->ring);
	struct grant *grant = NULL;
	struct verdict v;
	int fd;

	if (!ring) {
		session_refuse(s, m->head.serial, -EBADF,
			       "this connection has no ring of that number open");
		return;
	}
	v = session_judge(s, ring->entry->name);
	if ((v.rights & a->role) == 0) {
		refuse_right(s, m->head.serial, ring->entry->name, a->role, v);
		return;
	}
	if (!take_attachment(s, m->head.serial))
		return;
	fd = describe(ring->entry, a->role != PROTO_OBSERVE);
	if (fd >= 0) {
		grant = session_add_grant(s, ring->entry);
		if (!grant) {
			close(fd);
			fd = -ENOMEM;
		}
	}
	if (fd >= 0) {
		answer_attach(s, m->head.serial, grant->number, fd);
		return;
	}
	quota_give(s->account, QUOTA_ATTACHMENTS, 1);
	quota_give(s->account, QUOTA_DESCRIPTORS, 1);
	refuse_describe(s, m->head.serial, ring->entry->name, fd);
}

static void serve_detach(struct session *s, const struct proto_message *m)
{
	if (!session_drop_grant(s, m->u.grant.grant))
		session_condemn(s, "it detached from an attachment that it does not have");
}

/* --- NEXT and REMOVE --- */

static void answer_next(struct session *s, uint32_t serial, const struct entry *e, uint32_t rights)
{
	struct proto_message m = { .u.entry = {
					   .owner = e->owner,
					   .rights = rights,
					   .flags = flags_of(e),
					   .created_ns = e->ring->created_ns,
				   } };
	struct stat st;
	int fd = shmring_fd(e->ring);

	memcpy(m.u.entry.name, e->name, sizeof(m.u.entry.name));
	memcpy(m.u.entry.uuid, e->ring->uuid, sizeof(m.u.entry.uuid));
	m.u.entry.clients = load_acquire32(&e->clients); /* no edge: a count */
	if (isolated_of(e->ring))
		m.u.entry.bytes = isolated_allocated(isolated_of(e->ring));
	else if (fd >= 0 && fstat(fd, &st) == 0)
		m.u.entry.bytes = (uint64_t)st.st_blocks * 512;
	session_answer(s, serial, PROTO_ENTRY, &m, -1);
}

static void serve_next(struct session *s, const struct proto_message *m)
{
	const struct entry *e = catalog_after(&s->sessions->rings->catalog, m->u.name.name);

	for (; e; e = catalog_after(&s->sessions->rings->catalog, e->name)) {
		uint32_t rights = session_judge(s, e->name).rights;

		if (rights != 0) {
			answer_next(s, m->head.serial, e, rights);
			return;
		}
	}
	session_refuse(s, m->head.serial, -ENOENT, "there is no further ring");
}

static void serve_remove(struct session *s, const struct proto_message *m)
{
	struct proto_message done = { 0 };
	struct verdict v = session_judge(s, m->u.name.name);
	int e;

	if ((v.rights & PROTO_REMOVE_RIGHT) == 0) {
		refuse_right(s, m->head.serial, m->u.name.name, PROTO_REMOVE_RIGHT, v);
		return;
	}
	e = rings_remove(s->sessions->rings, m->u.name.name);
	if (e < 0) {
		refuse_explained(s, m->head.serial, e);
		return;
	}
	if (account_may_say(&s->sessions->rings->quota, s->account))
		log_say(LOG_INFO, "ring=%s removed pid=%d uid=%u", m->u.name.name, (int)s->peer.pid,
			(unsigned)s->peer.uid);
	session_hold(s); /* it may have been an isolated ring */
	session_answer(s, m->head.serial, PROTO_DONE, &done, -1);
}

void serve_request(struct session *s, const struct proto_message *m)
{
	static void (*const requests[PROTO_TYPES])(struct session * s,
						   const struct proto_message *m) = {
		[PROTO_HELLO] = serve_hello,	 [PROTO_OPEN] = serve_open,
		[PROTO_ATTACH] = serve_attach,	 [PROTO_DETACH] = serve_detach,
		[PROTO_NEXT] = serve_next,	 [PROTO_REMOVE] = serve_remove,
		[PROTO_METRICS] = serve_metrics, [PROTO_LANE] = serve_lane,
	};

	if ((m->head.type == PROTO_HELLO) == s->greeted) {
		session_condemn(s, s->greeted ? "it sent a second greeting (HELLO)"
					      : "it did not begin with a greeting (HELLO)");
		return;
	}
	requests[m->head.type](s, m); /* M1: it is one of these */
}
