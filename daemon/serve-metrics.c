/* SPDX-License-Identifier: MIT */
/*
 * serve-metrics: see serve-metrics.h.
 */
#include "serve-metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service.h"
#include "sys.h"

static void answer(struct session *s, int file, uint64_t bytes)
{
	struct proto_message m = { .u.text.bytes = bytes };
	int fd = file < 0 ? file : shmr_reopen(file, O_RDONLY);

	s->awaits_metrics = false;
	if (fd < 0)
		session_refuse(s, s->metrics_serial, fd, "cannot collect the metrics: %s",
			       strerror(-fd));
	else
		session_answer(s, s->metrics_serial, PROTO_TEXT, &m, fd);
}

struct copying {
	struct account *accounts;
	size_t count;
};

static void copy_account(const struct account *a, void *arg)
{
	struct copying *c = arg;

	c->accounts[c->count++] = *a;
}

static struct snapshot *take_snapshot(const struct service *v)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	struct copying c = { 0 };
	const struct sessions *all = &v->sessions;
	const struct rings *rings = all->rings;
	const struct session *client;

	if (!s)
		return NULL;
	s->clients = calloc(all->count + 1, sizeof(*s->clients));
	s->accounts = c.accounts = calloc(rings->quota.count + 1, sizeof(*s->accounts));
	if (!s->clients || !s->accounts) {
		snapshot_free(s);
		return NULL;
	}
	for (client = LIST_FIRST(&all->living); client; client = LIST_NEXT(client, all))
		s->clients[s->client_count++] =
			(struct client_numbers){ client->number, client->peer.pid, client->peer.uid,
						 client->ring_count, client->grant_count };
	quota_each(&rings->quota, copy_account, &c);
	s->account_count = c.count;
	s->up_ns = (uint64_t)(shmr_now() - v->start_ns);
	s->connections_total = all->total;
	s->refusals = all->refusals;
	s->violations = all->violations;
	s->turned_away = all->listener->turned_away;
	s->kept = keeper_is_there(&rings->keeper);
	s->keeper_words = rings->keeper.queue.count + rings->keeper.store.queue.count;
	s->stored = rings->keeper.store.reserved;
	s->stored_most = rings->keeper.store.most;
	return s;
}

/* Ask the thread, unless a question is under way: all sessions that wait get the answer. */
static int ask(struct service *v)
{
	struct snapshot *s;

	if (v->metrics_asked)
		return 0;
	s = take_snapshot(v);
	if (!s)
		return -ENOMEM;
	metrics_ask(&v->metrics, s);
	v->metrics_asked = true;
	return 0;
}

struct written {
	int fd; /* or a negative errno */
	uint64_t bytes;
};

static void answer_metrics(struct session *s, void *arg)
{
	const struct written *w = arg;

	if (s->awaits_metrics)
		answer(s, w->fd, w->bytes);
}

static void metrics_ready(struct watch *watch, uint32_t events)
{
	struct service *v = watch_owner(watch, struct service, metrics_done);
	struct written w = { 0 };

	(void)events;
	w.fd = metrics_take(&v->metrics, &w.bytes);
	if (w.fd == -EAGAIN)
		return;
	v->metrics_asked = false;
	sessions_each(&v->sessions, answer_metrics, &w);
	if (w.fd >= 0)
		close(w.fd);
}

void serve_metrics(struct session *s, const struct proto_message *m)
{
	const struct policy *policy = s->sessions->rings->policy;
	int e;

	if (!policy_allows_metrics(policy, &s->peer)) {
		session_refuse(
			s, m->head.serial, -EACCES,
			"user %u may not read the metrics: 'metrics' in %s does not name this user",
			(unsigned)s->peer.uid,
			policy->file ? policy->file : "the missing configuration");
		return;
	}
	e = ask(service_of(s));
	if (e < 0) {
		session_refuse(s, m->head.serial, e, "cannot collect the metrics: %s",
			       strerror(-e));
		return;
	}
	s->awaits_metrics = true;
	s->metrics_serial = m->head.serial;
	loop_change(s->sessions->loop, &s->socket, 0); /* T1 */
}

int serve_metrics_start(struct service *v)
{
	int e = metrics_start(&v->metrics, &v->sessions.rings->catalog);

	return e < 0 ? e
		     : loop_add(v->sessions.loop, &v->metrics_done, v->metrics.done, EPOLLIN,
				metrics_ready);
}

void serve_metrics_stop(struct service *v)
{
	loop_remove(v->sessions.loop, &v->metrics_done);
	metrics_stop(&v->metrics);
}
