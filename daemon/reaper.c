/* SPDX-License-Identifier: MIT */
/*
 * reaper: see reaper.h.
 */
#include "reaper.h"

#include <errno.h>
#include <stdlib.h>

#include <shmring/shmring.h>

#include "log.h"
#include "sys.h"

#define MS INT64_C(1000000)

enum { LOOKS = 4 };

/* After each round with marked rings the next one, and between rounds over all. */
static const int64_t pauses[LOOKS] = { 5 * MS, 50 * MS, 500 * MS, 30000 * MS };

/* No edge: a late look is made up for by the next one. */
void reaper_mark(struct entry *e)
{
	store_release32(&e->looks, LOOKS);
}

/* No edge: see reaper_mark(). */
static bool is_marked(struct entry *e)
{
	uint32_t looks = load_acquire32(&e->looks);

	return looks > 0 && compare_and_swap32(&e->looks, looks, looks - 1);
}

static bool is_any(struct entry *e)
{
	(void)e;
	return true;
}

/* Clients may die often: log-limit.h bounds the lines about that. */
static bool may_say(struct reaper *r)
{
	int64_t now = shmr_now();
	unsigned left_out;

	if (log_limit_is_over(&r->log_limit, now, &left_out) && left_out > 0)
		log_say(LOG_NOTICE, "%u further lines about dead clients were left out", left_out);
	return log_limit_has_turn(&r->log_limit, now);
}

static void look(struct reaper *r, const struct seen *s)
{
	int n = shmring_reap(s->ring);

	if (n < 0 && may_say(r))
		log_say(LOG_WARNING, "ring=%s cannot be searched for dead clients: %s", s->name,
			shmring_explain());
	if (n <= 0)
		return;
	catalog_note_recoveries(r->catalog, s->name, (uint32_t)n);
	if (may_say(r))
		log_say(LOG_INFO, "ring=%s recovered=%d", s->name, n);
}

static bool is_stopped(struct reaper *r)
{
	bool stop;

	pthread_mutex_lock(&r->mutex);
	stop = r->stop;
	pthread_mutex_unlock(&r->mutex);
	return stop;
}

/* The end does not wait for more than one look. */
static void look_at_entries(struct reaper *r, bool (*wanted)(struct entry *e))
{
	struct seen *list;
	size_t count;

	if (catalog_collect(r->catalog, wanted, &list, &count) < 0)
		return;
	for (size_t i = 0; i < count; i++) {
		if (!is_stopped(r))
			look(r, &list[i]);
		shmring_close(list[i].ring);
	}
	free(list);
}

static struct timespec to_timespec(int64_t ns)
{
	return (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

/* Wait until woken or until then. False: the end. *ret_woken: it was woken. */
static bool rest(struct reaper *r, int64_t deadline, bool *ret_woken)
{
	struct timespec until = to_timespec(deadline);
	bool stop;

	pthread_mutex_lock(&r->mutex);
	while (!r->stop && !r->wanted &&
	       pthread_cond_clockwait(&r->changed, &r->mutex, CLOCK_MONOTONIC, &until) != ETIMEDOUT)
		;
	*ret_woken = r->wanted;
	r->wanted = false;
	stop = r->stop;
	pthread_mutex_unlock(&r->mutex);
	return !stop;
}

static void *run(void *arg)
{
	struct reaper *r = arg;
	unsigned step = LOOKS - 1;
	bool woken = false;

	catalog_enter_thread();
	do {
		if (woken)
			step = 0;
		else if (step < LOOKS)
			step++;
		look_at_entries(r, step < LOOKS ? is_marked : is_any);
	} while (rest(r, shmr_now() + pauses[step < LOOKS ? step : LOOKS - 1], &woken));
	catalog_leave_thread();
	return NULL;
}

int reaper_start(struct reaper *r, struct catalog *catalog)
{
	int e;

	*r = (struct reaper){ .catalog = catalog };
	pthread_mutex_init(&r->mutex, NULL);
	pthread_cond_init(&r->changed, NULL);
	e = pthread_create(&r->thread, NULL, run, r);
	if (e != 0)
		r->catalog = NULL;
	return -e;
}

static void tell(struct reaper *r, bool stop)
{
	pthread_mutex_lock(&r->mutex);
	r->wanted = true;
	r->stop = stop;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->mutex);
}

void reaper_wake(struct reaper *r)
{
	tell(r, false);
}

void reaper_stop(struct reaper *r)
{
	if (!r->catalog)
		return;
	tell(r, true);
	pthread_join(r->thread, NULL);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->mutex);
	r->catalog = NULL;
}
