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

/* --- rings --- */

/* What counts for a ring's owner: an isolated one is many files. */
static struct charge charge_of(const struct geometry *g, uid_t owner)
{
	uint64_t files = layout_is_apart(g) ? 1 + (uint64_t)g->lanes : 0;

	return (struct charge){ .uid = owner,
				.rings = 1,
				.bytes = layout_bytes(g),
				.descriptors = files,
				.held = files > 0 ? files : 1 };
}

struct charge broker_lane_charge(const struct entry *e, uid_t uid)
{
	return (struct charge){
		.uid = uid, .bytes = e->ring->geometry.lane_file_size, .descriptors = 1, .held = 1
	};
}

static void count(struct broker *b, struct account *a, const struct charge *c)
{
	share_count(&b->share, a, c->held);
	quota_count(a, QUOTA_RINGS, c->rings);
	quota_count(a, QUOTA_BYTES, c->bytes);
	quota_count(a, QUOTA_DESCRIPTORS, c->descriptors);
}

void broker_give(struct broker *b, const struct charge *c)
{
	struct account *a = quota_account(&b->quota, c->uid); /* it has one: this is on it */

	share_give(&b->share, a, c->held);
	quota_give(a, QUOTA_RINGS, c->rings);
	quota_give(a, QUOTA_BYTES, c->bytes);
	quota_give(a, QUOTA_DESCRIPTORS, c->descriptors);
	quota_settle(&b->quota, a);
}

static void relic_is_gone(const struct charge *charge, void *arg)
{
	broker_give(arg, charge);
}

/* All of it, or -EDQUOT and nothing; then *ret_shortage says what there is too little of. */
static int take(struct broker *b, struct account *a, const struct limits *l, const struct charge *c,
		struct shortage *ret_shortage)
{
	const struct {
		enum resource what;
		uint64_t amount;
	} needs[] = { { QUOTA_RINGS, c->rings },
		      { QUOTA_BYTES, c->bytes },
		      { QUOTA_DESCRIPTORS, c->descriptors } };

	*ret_shortage = (struct shortage){ QUOTA_SHARE, c->held };
	if (!share_take(&b->share, a, b->policy->descriptor_share, c->held))
		return -EDQUOT;
	for (unsigned i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		if (needs[i].amount == 0 || quota_take(a, l, needs[i].what, needs[i].amount) == 0)
			continue;
		*ret_shortage = (struct shortage){ needs[i].what, needs[i].amount };
		while (i-- > 0)
			quota_give(a, needs[i].what, needs[i].amount);
		share_give(&b->share, a, c->held);
		return -EDQUOT;
	}
	return 0;
}

int broker_take(struct broker *b, struct account *a, const struct limits *l, const struct charge *c,
		struct shortage *ret_shortage)
{
	int e = take(b, a, l, c, ret_shortage);

	if (e == 0 || b->relics.count == 0)
		return e;
	/* Files that it counts for may have gone meanwhile; a ring keeps the account. */
	quota_count(a, QUOTA_RINGS, 1);
	relics_sweep(&b->relics, &c->uid, relic_is_gone, b);
	quota_give(a, QUOTA_RINGS, 1);
	return take(b, a, l, c, ret_shortage);
}

void broker_release(struct broker *b, struct entry *e)
{
	const struct charge charge = charge_of(&e->ring->geometry, e->owner);
	struct shmring *ring = shmr_ring_ref(e->ring);

	if (!catalog_release(e))
		shmring_close(ring);
	else if (!relics_keep_ring(&b->relics, ring, &charge))
		broker_give(b, &charge);
}

static void drop(struct broker *b, struct entry *e)
{
	catalog_remove(&b->catalog, e);
	broker_release(b, e);
}

/* Whoever has the directory can remove the file without us. */
static bool is_retired(const struct entry *e)
{
	int fd = shmring_fd(e->ring);
	struct stat st;

	if (isolated_of(e->ring))
		return false;
	return fd < 0 || fstat(fd, &st) < 0 || st.st_nlink == 0;
}

void broker_count_ring(struct broker *b, struct account *a, const struct geometry *g, uid_t owner)
{
	const struct charge charge = charge_of(g, owner);

	count(b, a, &charge);
}

static struct entry *adopt(struct broker *b, const char *name, int *ret_error)
{
	struct shmring *ring;
	struct account *a;
	struct entry *e = NULL;
	bool persistent;
	uid_t owner;

	*ret_error = store_adopt(&b->store, name, &ring, &owner, &persistent);
	if (*ret_error < 0)
		return NULL;
	a = quota_account(&b->quota, owner);
	if (a)
		e = catalog_add(&b->catalog, name, ring, owner, persistent);
	if (!e) {
		shmring_close(ring);
		if (a)
			quota_settle(&b->quota, a);
		*ret_error = explain(-ENOMEM, "out of memory");
		return NULL;
	}
	broker_count_ring(b, a, &ring->geometry, owner);
	return e;
}

static const char waits[] =
	"it may be one of the isolated rings that the keeper (process shmring-keeper) has not "
	"given "
	"back yet, as it does not answer: let it go on, or kill it, and its rings with it";

struct entry *broker_find(struct broker *b, const char *name, int *ret_error)
{
	struct entry *e = catalog_find(&b->catalog, name);

	if (e && is_retired(e)) {
		drop(b, e);
		e = NULL;
	}
	e = e ? e : adopt(b, name, ret_error);
	if (!e && *ret_error == -ENOENT && b->keeper.takes_back) /* E5 */
		*ret_error = explain(-EBUSY, "%s", waits);
	return e;
}

static int create(struct broker *b, const char *name, bool persistent, uid_t owner,
		  const struct shmring_config *config, struct entry **ret)
{
	bool isolated = (config->flags & SHMRING_ISOLATED) != 0;
	struct shmring *ring;
	int e = isolated ? isolated_create(&b->keeper, name, owner, config, &ring)
			 : store_create(&b->store, name, persistent, owner, config, &ring);

	if (e < 0)
		return e;
	*ret = catalog_add(&b->catalog, name, ring, owner, persistent);
	if (*ret)
		return 0;
	if (isolated)
		isolated_forget(isolated_of(ring));
	else
		store_remove(&b->store, name, ring);
	shmring_close(ring);
	return explain(-ENOMEM, "out of memory");
}

int broker_make(struct broker *b, const char *name, bool persistent, uid_t owner,
		const struct limits *limits, const struct shmring_config *config,
		struct entry **ret, struct shortage *ret_shortage)
{
	struct account *a = quota_account(&b->quota, owner);
	struct charge charge;
	struct geometry g = { 0 };
	int e = layout_plan(&g, config);

	if (!a)
		return explain(-ENOMEM, "out of memory");
	if (config->flags & SHMRING_ISOLATED)
		layout_set_apart(&g);
	charge = charge_of(&g, owner);
	if (e == 0 && limits)
		e = broker_take(b, a, limits, &charge, ret_shortage);
	else if (e == 0)
		count(b, a, &charge);
	if (e < 0) {
		quota_settle(&b->quota, a);
		return e;
	}
	e = create(b, name, persistent, owner, config, ret);
	if (e < 0) {
		broker_give(b, &charge);
		return e;
	}
	if (account_may_say(&b->quota, a))
		log_say(LOG_INFO, "ring=%s created owner=%u bytes=%" PRIu64 "%s%s", name,
			(unsigned)owner, (*ret)->bytes, persistent ? " persistent" : "",
			layout_is_apart(&g) ? " isolated" : "");
	if (layout_is_apart(&g) && !keeper_is_there(&b->keeper) && account_may_say(&b->quota, a))
		log_say(LOG_NOTICE, "ring=%s lives as long as this broker: it has no keeper", name);
	quota_settle(&b->quota, a);
	return e;
}

int broker_remove(struct broker *b, const char *name)
{
	struct entry *e = catalog_find(&b->catalog, name);
	int error;

	if (e && isolated_of(e->ring)) {
		isolated_forget(isolated_of(e->ring));
		drop(b, e);
		return 0;
	}
	error = store_remove(&b->store, name, e ? e->ring : NULL);
	if (error == -ENOENT && b->keeper.takes_back) /* E5 */
		error = explain(-EBUSY, "%s", waits);
	if (e && (error == 0 || is_retired(e)))
		drop(b, e);
	return error;
}

/* --- what is there at start --- */

static void take_in(const char *name, void *arg)
{
	struct broker *b = arg;
	int error;

	if (catalog_find(&b->catalog, name) || adopt(b, name, &error))
		return;
	/*
	 * What an earlier boot left in shared memory can be of use to nobody. Anything
	 * else stays where it is, for somebody to look at.
	 */
	if (error == -ESTALE && store_sweep_stale(&b->store, name))
		log_say(LOG_NOTICE, "ring=%s swept: it was made before the last boot", name);
	else
		log_say(LOG_WARNING, "ring=%s left alone: %s", name, shmring_explain());
}

void broker_make_wishes(struct broker *b)
{
	if (b->keeper.takes_back) /* E5 */
		return;
	for (size_t i = 0; i < b->policy->ring_count; i++) {
		const struct ring_wish *w = &b->policy->rings[i];
		struct shortage shortage;
		struct entry *made;
		int e;

		if (broker_find(b, w->name, &e))
			continue;
		if (e == -ENOENT)
			e = broker_make(b, w->name, w->persistent, w->owner, NULL, &w->config,
					&made, &shortage);
		if (e < 0)
			log_say(LOG_ERR, "ring=%s of %s:%u cannot be made: %s", w->name,
				b->policy->file, w->line, shmring_explain());
	}
}

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
	policy_free(b->policy);
	b->policy = p;
	broker_make_wishes(b);
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
	s->clients = calloc(b->session_count + 1, sizeof(*s->clients));
	s->accounts = c.accounts = calloc(b->quota.count + 1, sizeof(*s->accounts));
	if (!s->clients || !s->accounts) {
		snapshot_free(s);
		return NULL;
	}
	LIST_FOREACH(client, &b->sessions, all)
	s->clients[s->client_count++] =
		(struct client_numbers){ client->number, client->peer.pid, client->peer.uid,
					 client->ring_count, client->grant_count };
	quota_each(&b->quota, copy_account, &c);
	s->account_count = c.count;
	s->up_ns = (uint64_t)(shmr_now() - b->start_ns);
	s->connections_total = b->session_total;
	s->refusals = b->refusals;
	s->violations = b->violations;
	s->turned_away = b->listener.turned_away;
	s->kept = keeper_is_there(&b->keeper);
	s->keeper_words = b->keeper.queue.count + b->keeper.store.queue.count;
	s->stored = b->keeper.store.reserved;
	s->stored_most = b->keeper.store.most;
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

static void metrics_ready(struct watch *watch, uint32_t events)
{
	struct broker *b = watch_owner(watch, struct broker, metrics_done);
	struct session *s, *next;
	uint64_t bytes = 0;
	int fd = metrics_take(&b->metrics, &bytes);

	(void)events;
	if (fd == -EAGAIN)
		return;
	b->metrics_asked = false;
	for (s = LIST_FIRST(&b->sessions); s; s = next) {
		next = LIST_NEXT(s, all); /* an answer may end its session, and no other */
		if (s->awaits_metrics)
			serve_metrics_answer(s, fd, bytes);
	}
	if (fd >= 0)
		close(fd);
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

static struct session *session_of(struct broker *b, uint64_t number)
{
	struct session *s;

	LIST_FOREACH(s, &b->sessions, all)
	if (s->number == number)
		return s;
	return NULL;
}

/* Nobody asks any more, or it could not be copied. */
static void drop_pass(struct pass *pass, void *arg)
{
	const struct charge charge = broker_lane_charge(pass->entry, pass->uid);

	isolated_cancel_passing(isolated_of(pass->entry->ring), pass->lane, pass->to);
	broker_give(arg, &charge);
	broker_release(arg, pass->entry);
	free(pass);
}

static void finish_pass(struct broker *b, struct pass *pass)
{
	struct isolated *i = isolated_of(pass->entry->ring);
	struct session *s = session_of(b, pass->session);
	const struct charge charge = broker_lane_charge(pass->entry, pass->uid);
	int e = pass->result, old;

	if (!s) {
		drop_pass(pass, b);
		return;
	}
	if (e < 0)
		isolated_cancel_passing(i, pass->lane, pass->to);
	else
		e = isolated_end_passing(i, pass->lane, pass->epoch, pass->uid, pass->to, &old);
	if (e < 0 || !relics_keep_file(&b->relics, old, &charge))
		broker_give(b, &charge);
	if (e == 0 && account_may_say(&b->quota, s->account))
		log_say(LOG_INFO, "ring=%s lane=%u passed to uid=%u", pass->entry->name, pass->lane,
			(unsigned)pass->uid);
	serve_lane_answer(s, pass->serial, pass->entry, pass->lane, e);
	broker_release(b, pass->entry);
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
	session_begin(watch_owner(l, struct broker, listener), fd);
}

static int start_machinery(struct broker *b)
{
	int e = shmr_random(b->id, sizeof(b->id));

	if (e == 0)
		e = watch_signals(b);
	if (e == 0)
		e = reaper_start(&b->reaper, &b->catalog);
	if (e == 0)
		e = metrics_start(&b->metrics, &b->catalog);
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
	int e = load_policy(o->config, &b->policy, error, size);

	if (e == 0)
		e = store_open(&b->store, o->directory, o->state_directory, error, size);
	if (e < 0)
		return e;
	store_sweep(&b->store);
	e = store_each(&b->store, take_in, b);
	restore_rings(b);
	if (e == 0)
		e = start_machinery(b);
	if (e < 0) {
		snprintf(error, size, "cannot start: %s", strerror(-e));
		return e;
	}
	broker_make_wishes(b);
	e = listener_open(&b->listener, &b->loop, o->socket, o->inherited, o->inherited_path,
			  arrived, error, size);
	b->ready = e == 0;
	return e;
}

/* What was handed over and not taken back. */
static void drop_handed(struct broker_options *o)
{
	free(o->kept);
	o->kept = NULL;
	o->kept_count = 0;
}

static int begin(struct broker *b, const struct broker_options *o, char *error, size_t size)
{
	int e;

	memset(b, 0, sizeof(*b));
	b->options = *o;
	b->start_ns = shmr_now();
	share_open(&b->share);
	relics_open(&b->relics);
	b->signals.fd = b->metrics_done.fd = b->copied.fd = b->keeper.watch.fd =
		b->upgrade.output.fd = b->upgrade.process.fd = b->listener.watch.fd = -1;
	b->listener.fd = b->listener.lock = b->listener.spare = -1;
	b->store = (struct store){ .directory = { -1, -1 } };
	LIST_INIT(&b->sessions);
	LIST_INIT(&b->ended);
	TAILQ_INIT(&b->stalled);
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
		e = catalog_open(&b->catalog);
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
		drop_handed(&b->options);
	return e;
}

static int ms_until(int64_t deadline, int timeout)
{
	int64_t ms = (deadline - shmr_now()) / 1000000 + 1;

	if (ms < 0)
		ms = 0;
	return timeout >= 0 && timeout < ms ? timeout : (int)ms;
}

/* T2: the list is in the order of deadlines. */
static void drop_stalled(struct broker *b)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&b->stalled)) && s->stall_deadline <= shmr_now()) {
		if (account_may_say(&b->quota, s->account))
			log_say(LOG_WARNING,
				"client=%" PRIu64 " pid=%d uid=%u dropped: it takes no answers",
				s->number, (int)s->peer.pid, (unsigned)s->peer.uid);
		session_end(s);
	}
}

static void free_ended(struct broker *b)
{
	struct session *s;

	while ((s = LIST_FIRST(&b->ended))) {
		LIST_REMOVE(s, all);
		session_free(s);
	}
}

static void say_left_out(const struct account *a, unsigned left_out)
{
	log_say(LOG_NOTICE, "uid=%u %u further lines about this user were left out",
		(unsigned)a->uid, left_out);
}

static bool is_to_sweep(const struct broker *b)
{
	return b->quota.to_sweep || b->relics.count > 0;
}

/* Once in a second, while there is something to do. */
static void sweep(struct broker *b)
{
	int64_t now = shmr_now();

	if (!is_to_sweep(b) || now - b->swept_ns < SECOND)
		return;
	b->swept_ns = now;
	relics_sweep(&b->relics, NULL, relic_is_gone, b);
	quota_sweep(&b->quota, now, say_left_out);
}

enum broker_end broker_round(struct broker *b, int timeout)
{
	const struct session *stalled = TAILQ_FIRST(&b->stalled);
	bool armed = b->listener.armed;

	if (stalled)
		timeout = ms_until(stalled->stall_deadline, timeout);
	if (keeper_deadline(&b->keeper) != 0)
		timeout = ms_until(keeper_deadline(&b->keeper), timeout);
	if (upgrade_deadline(b) != 0)
		timeout = ms_until(upgrade_deadline(b), timeout);
	if (!armed || is_to_sweep(b))
		timeout = ms_until(shmr_now() + SECOND, timeout);
	if (loop_run(&b->loop, timeout) < 0)
		return BROKER_STOP;
	keeper_tick(&b->keeper);
	upgrade_tick(b);
	drop_stalled(b);
	free_ended(b);
	sweep(b);
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
	struct session *s;

	while ((s = LIST_FIRST(&b->sessions)))
		session_end(s);
	free_ended(b);
	listener_close(&b->listener);
	reaper_stop(&b->reaper);
	loop_remove(&b->loop, &b->metrics_done);
	metrics_stop(&b->metrics);
	loop_remove(&b->loop, &b->copied);
	lane_copier_stop(&b->copier, drop_pass, b);
	keeper_close(&b->keeper, b->end == BROKER_UPGRADE);
	upgrade_close(b);
	relics_close(&b->relics);
	catalog_close(&b->catalog);
	catalog_leave_thread();
	if (b->signals.fd >= 0)
		close(b->signals.fd);
	store_close(&b->store);
	policy_free(b->policy);
	quota_close(&b->quota);
	loop_close(&b->loop);
	drop_handed(&b->options);
}
