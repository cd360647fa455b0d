/* SPDX-License-Identifier: MIT */
/*
 * broker: see broker.h.
 */
#include "broker.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <shmring/shmring.h>

#include "config.h"
#include "log.h"
#include "serve.h"
#include "serve-lane.h"
#include "serve-metrics.h"
#include "sigbus.h"
#include "succession.h"
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

/* --- signals --- */

static void reload_on_signal(struct broker *b)
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
		reload_on_signal(b);
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

/* --- start, round, stop --- */

static void arrived(struct listener *l, int fd)
{
	session_begin(&watch_owner(l, struct broker, listener)->service.sessions, fd);
}

static int start_machinery(struct broker *b)
{
	int e = shmr_random(b->service.id, sizeof(b->service.id));

	if (e == 0)
		e = watch_signals(b);
	if (e == 0)
		e = reaper_start(&b->reaper, &b->rings.catalog);
	if (e == 0)
		e = serve_metrics_start(&b->service);
	if (e == 0)
		e = serve_lane_start(&b->service);
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
	succession_take_rings(&b->rings, &b->loop, o->keeper, !o->no_sandbox, o->complete);
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

	sessions_each(&b->service.sessions, go_on, NULL);
}

/* What cannot fail. */
static void prepare(struct broker *b, const struct broker_options *o)
{
	memset(b, 0, sizeof(*b));
	b->options = *o;
	b->service.start_ns = shmr_now();
	rings_init(&b->rings, caught_up);
	b->rings.kept = o->kept;
	b->rings.kept_count = o->kept_count;
	b->signals.fd = b->service.metrics_done.fd = b->service.copied.fd = b->upgrade.output.fd =
		b->upgrade.process.fd = b->listener.watch.fd = -1;
	b->listener.fd = b->listener.lock = b->listener.spare = -1;
	sessions_init(&b->service.sessions);
	b->service.sessions.loop = &b->loop;
	b->service.sessions.rings = &b->rings;
	b->service.sessions.reaper = &b->reaper;
	b->service.sessions.listener = &b->listener;
	b->service.sessions.request = serve_request;
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

	if (sessions_deadline(&b->service.sessions) != 0)
		timeout = ms_until(sessions_deadline(&b->service.sessions), timeout);
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
	sessions_drop_stalled(&b->service.sessions);
	sessions_free_ended(&b->service.sessions);
	rings_sweep(&b->rings);
	if (!armed)
		listener_rearm(&b->listener); /* others may have closed theirs */
	return b->end;
}

void broker_stop(struct broker *b)
{
	sessions_close(&b->service.sessions);
	listener_close(&b->listener);
	reaper_stop(&b->reaper);
	serve_metrics_stop(&b->service);
	serve_lane_stop(&b->service);
	rings_close(&b->rings, b->end == BROKER_UPGRADE);
	upgrade_close(b);
	catalog_leave_thread();
	if (b->signals.fd >= 0)
		close(b->signals.fd);
	policy_free(b->rings.policy);
	loop_close(&b->loop);
}
