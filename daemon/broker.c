/* SPDX-License-Identifier: MIT */
/*
 * broker: see broker.h.
 */
#include "broker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <shmring/shmring.h>

#include "config.h"
#include "explain.h"
#include "isolated.h"
#include "log.h"
#include "restore.h"
#include "serve.h"
#include "sigbus.h"
#include "sys.h"
#include "threads.h"

#define SECOND INT64_C(1000000000)

static int load_policy(const char *file, struct policy **ret, char *error, size_t size)
{
	if (file)
		return config_load(ret, file, geteuid(), error, size);
	*ret = policy_new(geteuid());
	if (*ret)
		return 0;
	snprintf(error, size, "out of memory");
	return -ENOMEM;
}

int broker_reload(struct broker *b)
{
	struct policy *p;
	char error[512];
	int e = load_policy(b->options.config, &p, error, sizeof(error));

	if (e < 0) {
		log_say(LOG_ERR, "%s; the configuration stays as it was", error);
		return e;
	}
	policy_free(b->rings.policy);
	b->rings.policy = p;
	rings_make_wishes(&b->rings);
	log_say(LOG_NOTICE, "the configuration was read again: rules=%zu limits=%zu rings=%zu",
		p->rule_count, p->limit_count, p->ring_count);
	return 0;
}

/* --- metrics --- */

struct copying {
	struct account *accounts;
	size_t count;
};

static void copy_account(const struct account *a, void *arg)
{
	struct copying *c = arg;

	c->accounts[c->count++] = *a;
}

static struct snapshot *take_snapshot(struct broker *b)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	struct copying c = { 0 };
	const struct session *client;

	if (!s)
		return NULL;
	s->clients = calloc(b->sessions.count + 1, sizeof(*s->clients));
	s->accounts = c.accounts = calloc(b->rings.quota.count + 1, sizeof(*s->accounts));
	if (!s->clients || !s->accounts) {
		snapshot_free(s);
		return NULL;
	}
	for (client = LIST_FIRST(&b->sessions.living); client; client = LIST_NEXT(client, all))
		s->clients[s->client_count++] =
			(struct client_numbers){ client->number, client->peer.pid, client->peer.uid,
						 client->ring_count, client->grant_count };
	quota_each(&b->rings.quota, copy_account, &c);
	s->account_count = c.count;
	s->up_ns = (uint64_t)(shmr_now() - b->start_ns);
	s->connections_total = b->sessions.total;
	s->refusals = b->sessions.refusals;
	s->violations = b->sessions.violations;
	s->turned_away = b->listener.turned_away;
	s->kept = keeper_is_there(&b->rings.keeper);
	s->keeper_words = b->rings.keeper.queue.count + b->rings.keeper.store.queue.count;
	s->stored = b->rings.keeper.store.reserved;
	s->stored_most = b->rings.keeper.store.most;
	return s;
}

int broker_ask_metrics(struct broker *b)
{
	struct snapshot *s;

	if (b->metrics_asked)
		return 0;
	s = take_snapshot(b);
	if (!s)
		return -ENOMEM;
	metrics_ask(&b->metrics, s);
	b->metrics_asked = true;
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
		serve_metrics_answer(s, w->fd, w->bytes);
}

static void metrics_ready(struct watch *watch, uint32_t events)
{
	struct broker *b = watch_owner(watch, struct broker, metrics_done);
	struct written w = { 0 };

	(void)events;
	w.fd = metrics_take(&b->metrics, &w.bytes);
	if (w.fd == -EAGAIN)
		return;
	b->metrics_asked = false;
	sessions_each(&b->sessions, answer_metrics, &w);
	if (w.fd >= 0)
		close(w.fd);
}

/* --- signals --- */

static void reload_told(struct broker *b)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIi64, shmr_now() / 1000);
	broker_reload(b);
	sd_notify(0, "READY=1");
}

static void signals_ready(struct watch *watch, uint32_t events)
{
	struct broker *b = watch_owner(watch, struct broker, signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGHUP:
		reload_told(b);
		break;
	case SIGUSR2:
		upgrade_check(b);
		break;
	default:
		b->end = BROKER_STOP;
		break;
	}
}

static int watch_signals(struct broker *b)
{
	sigset_t set;
	int fd, e;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR2);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	e = loop_add(&b->loop, &b->signals, fd, EPOLLIN, signals_ready);
	if (e < 0)
		close(fd);
	return e;
}

/* --- lanes that are passed on --- */

/* Nobody asks any more, or it could not be copied. */
static void drop_pass(struct pass *pass, void *arg)
{
	struct broker *b = arg;
	const struct charge charge = rings_lane_charge(pass->entry, pass->uid);

	isolated_cancel_passing(isolated_of(pass->entry->ring), pass->lane, pass->to);
	rings_give(&b->rings, &charge);
	rings_release(&b->rings, pass->entry);
	free(pass);
}

static void finish_pass(struct broker *b, struct pass *pass)
{
	struct isolated *i = isolated_of(pass->entry->ring);
	struct session *s = sessions_find(&b->sessions, pass->session);
	const struct charge charge = rings_lane_charge(pass->entry, pass->uid);
	int e = pass->result, old;

	if (!s) {
		drop_pass(pass, b);
		return;
	}
	if (e < 0)
		isolated_cancel_passing(i, pass->lane, pass->to);
	else
		e = isolated_end_passing(i, pass->lane, pass->epoch, pass->uid, pass->to, &old);
	if (e < 0 || !relics_keep_file(&b->rings.relics, old, &charge))
		rings_give(&b->rings, &charge);
	if (e == 0 && account_may_say(&b->rings.quota, s->account))
		log_say(LOG_INFO, "ring=%s lane=%u passed to uid=%u", pass->entry->name, pass->lane,
			(unsigned)pass->uid);
	serve_lane_answer(s, pass->serial, pass->entry, pass->lane, e);
	rings_release(&b->rings, pass->entry);
	free(pass);
}

static void lane_copied(struct watch *watch, uint32_t events)
{
	struct broker *b = watch_owner(watch, struct broker, copied);
	struct pass *pass;
	uint64_t count;

	(void)events;
	if (read(watch->fd, &count, sizeof(count)) != sizeof(count))
		return;
	while ((pass = lane_copier_take(&b->copier)))
		finish_pass(b, pass);
}

/* --- start, round, stop --- */

static void arrived(struct listener *l, int fd)
{
	session_begin(&watch_owner(l, struct broker, listener)->sessions, fd);
}

static int start_machinery(struct broker *b)
{
	int e = shmr_random(b->id, sizeof(b->id));

	if (e == 0)
		e = watch_signals(b);
	if (e == 0)
		e = reaper_start(&b->reaper, &b->rings.catalog);
	if (e == 0)
		e = metrics_start(&b->metrics, &b->rings.catalog);
	if (e == 0)
		e = loop_add(&b->loop, &b->metrics_done, b->metrics.done, EPOLLIN, metrics_ready);
	if (e == 0)
		e = lane_copier_start(&b->copier);
	if (e == 0)
		e = loop_add(&b->loop, &b->copied, b->copier.done, EPOLLIN, lane_copied);
	return e;
}

static int start(struct broker *b, char *error, size_t size)
{
	const struct broker_options *o = &b->options;
	int e = load_policy(o->config, &b->rings.policy, error, size);

	if (e == 0)
		e = rings_open(&b->rings, o->directory, o->state_directory, error, size);
	if (e < 0)
		return e;
	e = rings_take_in(&b->rings);
	restore_rings(&b->rings, &b->loop, o->keeper, !o->no_sandbox, o->complete);
	if (e == 0)
		e = start_machinery(b);
	if (e < 0) {
		snprintf(error, size, "cannot start: %s", strerror(-e));
		return e;
	}
	rings_make_wishes(&b->rings);
	e = listener_open(&b->listener, &b->loop, o->socket, o->inherited, o->inherited_path,
			  arrived, error, size);
	b->rings.ready = e == 0;
	return e;
}

static void go_on(struct session *s, void *arg)
{
	(void)arg;
	session_go_on(s);
}

static void caught_up(struct rings *r)
{
	struct broker *b =
		(struct broker *)(void *)((unsigned char *)r - offsetof(struct broker, rings));

	sessions_each(&b->sessions, go_on, NULL);
}

/* What cannot fail. */
static void prepare(struct broker *b, const struct broker_options *o)
{
	memset(b, 0, sizeof(*b));
	b->options = *o;
	b->start_ns = shmr_now();
	rings_init(&b->rings, caught_up);
	b->rings.kept = o->kept;
	b->rings.kept_count = o->kept_count;
	b->signals.fd = b->metrics_done.fd = b->copied.fd = b->upgrade.output.fd =
		b->upgrade.process.fd = b->listener.watch.fd = -1;
	b->listener.fd = b->listener.lock = b->listener.spare = -1;
	sessions_init(&b->sessions);
	b->sessions.loop = &b->loop;
	b->sessions.rings = &b->rings;
	b->sessions.reaper = &b->reaper;
	b->sessions.listener = &b->listener;
	b->sessions.request = serve_request;
}

static int begin(struct broker *b, const struct broker_options *o, char *error, size_t size)
{
	int e;

	prepare(b, o);
	sigbus_survive();
	e = threads_try(THREADS_NEEDED);
	if (e < 0) {
		snprintf(error, size,
			 "cannot start %d threads: %s; raise the limit of processes of this user "
			 "(ulimit -u), or TasksMax of the service",
			 THREADS_NEEDED, strerror(-e));
		return e;
	}
	catalog_enter_thread();
	e = loop_open(&b->loop);
	if (e == 0)
		e = catalog_open(&b->rings.catalog);
	if (e < 0) {
		snprintf(error, size, "cannot start: %s", strerror(-e));
		catalog_leave_thread();
		return e;
	}
	e = start(b, error, size);
	if (e < 0)
		broker_stop(b);
	return e;
}

int broker_start(struct broker *b, const struct broker_options *o, char *error, size_t size)
{
	int e = begin(b, o, error, size);

	if (e < 0)
		rings_drop_kept(&b->rings);
	return e;
}

static int ms_until(int64_t deadline, int timeout)
{
	int64_t ms = (deadline - shmr_now()) / 1000000 + 1;

	if (ms < 0)
		ms = 0;
	return timeout >= 0 && timeout < ms ? timeout : (int)ms;
}

enum broker_end broker_round(struct broker *b, int timeout)
{
	bool armed = b->listener.armed;

	if (sessions_deadline(&b->sessions) != 0)
		timeout = ms_until(sessions_deadline(&b->sessions), timeout);
	if (keeper_deadline(&b->rings.keeper) != 0)
		timeout = ms_until(keeper_deadline(&b->rings.keeper), timeout);
	if (upgrade_deadline(b) != 0)
		timeout = ms_until(upgrade_deadline(b), timeout);
	if (!armed || rings_are_to_sweep(&b->rings))
		timeout = ms_until(shmr_now() + SECOND, timeout);
	if (loop_run(&b->loop, timeout) < 0)
		return BROKER_STOP;
	keeper_tick(&b->rings.keeper);
	upgrade_tick(b);
	sessions_drop_stalled(&b->sessions);
	sessions_free_ended(&b->sessions);
	rings_sweep(&b->rings);
	if (!armed)
		listener_rearm(&b->listener); /* others may have closed theirs */
	return b->end;
}

int broker_give_socket(struct broker *b)
{
	return listener_give(&b->listener);
}

void broker_stop(struct broker *b)
{
	sessions_close(&b->sessions);
	listener_close(&b->listener);
	reaper_stop(&b->reaper);
	loop_remove(&b->loop, &b->metrics_done);
	metrics_stop(&b->metrics);
	loop_remove(&b->loop, &b->copied);
	lane_copier_stop(&b->copier, drop_pass, b);
	rings_close(&b->rings, b->end == BROKER_UPGRADE);
	upgrade_close(b);
	catalog_leave_thread();
	if (b->signals.fd >= 0)
		close(b->signals.fd);
	policy_free(b->rings.policy);
	loop_close(&b->loop);
}
