/* SPDX-License-Identifier: MIT */
/*
 * sessions: see sessions.h.
 */
#include "sessions.h"

#include <inttypes.h>

#include "log.h"
#include "sys.h"

void sessions_init(struct sessions *all)
{
	*all = (struct sessions){ 0 };
	LIST_INIT(&all->living);
	LIST_INIT(&all->ended);
	TAILQ_INIT(&all->stalled);
}

struct session *sessions_find(struct sessions *all, uint64_t number)
{
	struct session *s;

	for (s = LIST_FIRST(&all->living); s; s = LIST_NEXT(s, all))
		if (s->number == number)
			return s;
	return NULL;
}

void sessions_each(struct sessions *all, void (*see)(struct session *s, void *arg), void *arg)
{
	struct session *s, *next;

	for (s = LIST_FIRST(&all->living); s; s = next) {
		next = LIST_NEXT(s, all);
		see(s, arg);
	}
}

int64_t sessions_deadline(const struct sessions *all)
{
	const struct session *stalled = TAILQ_FIRST(&all->stalled);

	return stalled ? stalled->stall_deadline : 0;
}

void sessions_drop_stalled(struct sessions *all)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&all->stalled)) && s->stall_deadline <= shmr_now()) {
		if (account_may_say(&all->rings->quota, s->account))
			log_say(LOG_WARNING,
				"client=%" PRIu64
				" pid=%d uid=%u disconnected: it reads no answers",
				s->number, (int)s->peer.pid, (unsigned)s->peer.uid);
		session_end(s);
	}
}

void sessions_free_ended(struct sessions *all)
{
	struct session *s;

	while ((s = LIST_FIRST(&all->ended))) {
		LIST_REMOVE(s, all);
		session_free(s);
	}
}

void sessions_close(struct sessions *all)
{
	struct session *s;

	while ((s = LIST_FIRST(&all->living)))
		session_end(s);
	sessions_free_ended(all);
}
