/* SPDX-License-Identifier: MIT */
/*
 * serve-lane: see serve-lane.h.
 */
#include "serve-lane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "explain.h"
#include "isolated.h"
#include "log.h"
#include "refuse.h"
#include "service.h"

static void give_lane(struct session *s, uint32_t serial, struct entry *e, unsigned lane,
		      bool writable)
{
	struct proto_message m = { 0 };
	int fd =
		isolated_describe(isolated_of(e->ring), lane, writable, &m.u.lane_file.file_number);

	session_hold(s);
	if (fd < 0)
		refuse_explained(s, serial, fd);
	else
		session_answer(s, serial, PROTO_LANE_FILE, &m, fd);
}

/*
 * The new user is charged for the copy, from its beginning on, as long as any process has the
 * former file: its former user may keep it, and so may readers.
 */
static bool take_lane_charge(struct session *s, uint32_t serial, const struct charge *charge)
{
	unsigned line;
	const struct limits *l = policy_limits(s->sessions->rings->policy, &s->peer, &line);
	struct shortage shortage;

	if (rings_take(s->sessions->rings, s->account, l, charge, &shortage) == 0)
		return true;
	refuse_amount(s, serial, shortage);
	return false;
}

/* A thread copies the lane; until that is done the client is not read from (T1). */
static void pass_lane(struct session *s, const struct proto_message *m, struct entry *e)
{
	const struct proto_lane *l = &m->u.lane;
	const struct charge charge = rings_lane_charge(e, s->peer.uid);
	struct isolated *i = isolated_of(e->ring);
	struct pass *pass;
	int to;

	if (!take_lane_charge(s, m->head.serial, &charge))
		return;
	pass = calloc(1, sizeof(*pass));
	to = pass ? isolated_begin_passing(i, l->lane, s->peer.uid)
		  : explain(-ENOMEM, "out of memory");
	if (to < 0) {
		free(pass);
		rings_give(s->sessions->rings, &charge);
		refuse_explained(s, m->head.serial, to);
		return;
	}
	*pass = (struct pass){ .entry = e,
			       .session = s->number,
			       .serial = m->head.serial,
			       .lane = l->lane,
			       .epoch = l->epoch,
			       .uid = s->peer.uid,
			       .from = i->lane[l->lane].fd,
			       .to = to };
	catalog_hold(e);
	s->awaits_lane = true;
	loop_change(s->sessions->loop, &s->socket, 0);
	lane_copier_ask(&service_of(s)->copier, pass);
}

static void answer_lane(struct session *s, uint32_t serial, struct entry *e, unsigned lane,
			int error)
{
	s->awaits_lane = false;
	if (error < 0)
		session_refuse_ring(s, serial, e->name, error,
				    "lane %u cannot be given to another user: %s", lane,
				    strerror(-error));
	else
		give_lane(s, serial, e, lane, true);
}

static void claim_lane(struct session *s, const struct proto_message *m, struct entry *e)
{
	const struct proto_lane *l = &m->u.lane;
	int n = isolated_claim(isolated_of(e->ring), l->lane, l->epoch, s->peer.uid);

	if (n < 0)
		refuse_explained(s, m->head.serial, n);
	else if (n > 0)
		pass_lane(s, m, e);
	else
		give_lane(s, m->head.serial, e, l->lane, true);
}

void serve_lane(struct session *s, const struct proto_message *m)
{
	const struct proto_lane *l = &m->u.lane;
	const struct open_ring *ring = session_ring(s, l->ring);
	struct verdict v;

	if (!ring || !isolated_of(ring->entry->ring) ||
	    l->lane >= ring->entry->ring->geometry.lanes) {
		session_refuse(s, m->head.serial, -EBADF,
			       "this connection has no isolated ring of that number open, or it "
			       "has no such lane");
		return;
	}
	v = session_judge(s, ring->entry->name);
	if ((v.rights & l->role) == 0)
		refuse_right(s, m->head.serial, ring->entry->name, l->role, v);
	else if (l->role == PROTO_PRODUCE)
		claim_lane(s, m, ring->entry);
	else
		give_lane(s, m->head.serial, ring->entry, l->lane, false);
}

/* --- the end of a copy --- */

/* The session has ended, or the broker ends. */
static void drop_pass(struct pass *pass, void *arg)
{
	struct rings *rings = arg;
	const struct charge charge = rings_lane_charge(pass->entry, pass->uid);

	isolated_cancel_passing(isolated_of(pass->entry->ring), pass->lane, pass->to);
	rings_give(rings, &charge);
	rings_release(rings, pass->entry);
	free(pass);
}

static void finish_pass(struct service *v, struct pass *pass)
{
	struct isolated *i = isolated_of(pass->entry->ring);
	struct rings *rings = v->sessions.rings;
	struct session *s = sessions_find(&v->sessions, pass->session);
	const struct charge charge = rings_lane_charge(pass->entry, pass->uid);
	int e = pass->result, old;

	if (!s) {
		drop_pass(pass, rings);
		return;
	}
	if (e < 0)
		isolated_cancel_passing(i, pass->lane, pass->to);
	else
		e = isolated_end_passing(i, pass->lane, pass->epoch, pass->uid, pass->to, &old);
	if (e < 0 || !relics_keep_file(&rings->relics, old, &charge))
		rings_give(rings, &charge);
	if (e == 0 && account_may_say(&rings->quota, s->account))
		log_say(LOG_INFO, "ring=%s lane=%u passed to uid=%u", pass->entry->name, pass->lane,
			(unsigned)pass->uid);
	answer_lane(s, pass->serial, pass->entry, pass->lane, e);
	rings_release(rings, pass->entry);
	free(pass);
}

static void lane_copied(struct watch *watch, uint32_t events)
{
	struct service *v = watch_owner(watch, struct service, copied);
	struct pass *pass;
	uint64_t count;

	(void)events;
	if (read(watch->fd, &count, sizeof(count)) != sizeof(count))
		return;
	while ((pass = lane_copier_take(&v->copier)))
		finish_pass(v, pass);
}

int serve_lane_start(struct service *v)
{
	int e = lane_copier_start(&v->copier);

	return e < 0 ? e
		     : loop_add(v->sessions.loop, &v->copied, v->copier.done, EPOLLIN, lane_copied);
}

void serve_lane_stop(struct service *v)
{
	loop_remove(v->sessions.loop, &v->copied);
	lane_copier_stop(&v->copier, drop_pass, v->sessions.rings);
}
