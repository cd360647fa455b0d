/* SPDX-License-Identifier: MIT */
/*
 * vacancy: see vacancy.h.
 */
#include "vacancy.h"

#include <errno.h>
#include <string.h>

#include "explain.h"
#include "sys.h"

#define PAUSE_NS INT64_C(1000000) /* between attempts at what looks free and cannot be had */
#define NAMED_HOLDERS 4		  /* in a sentence */

static const shm_u32 *bell_of(const struct vacancy *v)
{
	const struct doorbell *d = v->ring->doorbell;

	return v->kind == PLACE_LANE ? &d->data_bell : &d->room[0].bell;
}

/* [SLEEP] pairs with shmr_bell_ring_leaving() */
void shmr_vacancy_begin(struct vacancy *v, struct shmring_ring *r, enum place_kind kind,
			const char *name, int64_t deadline)
{
	*v = (struct vacancy){ .ring = r, .kind = kind, .name = name, .deadline = deadline };
	if (deadline <= SHMRING_NOWAIT || shmr_ring_check(r) < 0)
		return;
	v->bell.shared = r->doorbell;
	v->bell.max_sleep_ns = r->geometry.max_sleep_ns;
	shmr_bell_begin_wait(&v->bell);
	v->seen = load_acquire32(bell_of(v));
}

static bool may_be_free(uint64_t status)
{
	return (status_state(status) == PLACE_FREE || status_state(status) == PLACE_CLAIMED) &&
	       !(status_flags(status) & PLACE_NAMED);
}

/* By the words alone. [PLACE] pairs with shmr_place_leave(). */
static bool looks_free(const struct vacancy *v, int error)
{
	unsigned places = v->kind == PLACE_LANE ? v->ring->geometry.lanes : LAYOUT_CONSUMERS;
	unsigned slot;
	uint64_t status;

	if (error == -EBUSY && v->name)
		return shmr_name_find(v->ring->registry, v->name, &slot, &status) == 0 &&
		       !status_protected(status);
	for (slot = 0; slot < places; slot++) {
		status = load_acquire(place_status(v->ring->registry, v->kind, slot));
		if (!(v->avoid >> slot & 1) && may_be_free(status))
			return true;
	}
	return false;
}

/* [SLEEP] pairs with shmr_bell_ring_leaving() */
static int sleep_until_free(struct vacancy *v, int error)
{
	struct shmring_counters counters = { 0 };
	int64_t now = shmr_now();
	int64_t until = now + (int64_t)v->ring->geometry.max_sleep_ns;
	int e = 0;

	if (until > v->deadline)
		until = v->deadline;
	if (looks_free(v, error)) { /* its tenant is just going, or it cannot be had */
		e = shmr_sleep(now + PAUSE_NS < until ? now + PAUSE_NS : until);
		v->seen = load_acquire32(bell_of(v));
		return e;
	}
	while (e == 0 && now < until && !looks_free(v, error)) {
		e = shmr_bell_sleep(&v->bell, bell_of(v), v->seen, until, &counters);
		v->seen = load_acquire32(bell_of(v));
		now = shmr_now();
	}
	return e;
}

int shmr_vacancy_await(struct vacancy *v, int error)
{
	bool about_places = error == -EUSERS || (error == -EBUSY && v->kind == PLACE_CONSUMER);
	int e;

	if (!about_places || v->deadline <= SHMRING_NOWAIT || shmr_now() >= v->deadline)
		return error;
	e = sleep_until_free(v, error);
	return e == -EINTR ? explain(e, "a signal interrupted the wait for a place in the ring")
			   : 1;
}

/* --- the sentence --- */

struct text {
	char *at;
	size_t room;
};

static void put(struct text *t, const char *words)
{
	while (*words != '\0' && t->room > 1) {
		*t->at++ = *words++;
		t->room--;
	}
	*t->at = '\0';
}

static void put_number(struct text *t, uint64_t number)
{
	char digits[21];
	char *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do
		*--p = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	put(t, p);
}

static void put_time(struct text *t, uint64_t ns)
{
	const uint64_t seconds = ns / 1000000000;

	put(t, " for ");
	if (seconds < 120)
		put_number(t, seconds);
	else if (seconds < 7200)
		put_number(t, seconds / 60);
	else
		put_number(t, seconds / 3600);
	put(t, seconds < 120 ? " s" : seconds < 7200 ? " min" : " h");
}

static void put_holder(struct text *t, const struct holder *holder, uint64_t status)
{
	uint64_t attached = load_relaxed(&holder->attached_ns), now = shmr_wall_clock();
	char name[SHMRING_NAME_SIZE];

	if (status_protected(status)) {
		put(t, "process ");
		put_number(t, load_relaxed(&holder->pid) & UINT32_MAX);
	} else {
		put(t, "a kept name");
	}
	shmr_name_read(holder, name);
	if ((status_flags(status) & PLACE_NAMED) && name[0] != '\0') {
		put(t, " ('");
		put(t, name);
		put(t, "')");
	}
	if (status_protected(status) && attached != 0 && now > attached)
		put_time(t, now - attached);
}

/* [PLACE] pairs with shmr_place_take() */
void shmr_vacancy_holders(struct registry *r, enum place_kind kind, char *ret, size_t size)
{
	struct text t = { ret, size };
	uint64_t count = 0;

	*ret = '\0';
	for (unsigned slot = 0; slot < LAYOUT_LANES; slot++) {
		uint64_t status = load_acquire(place_status(r, kind, slot));

		if (!status_protected(status) && !(status_flags(status) & PLACE_NAMED))
			continue;
		if (++count > NAMED_HOLDERS)
			continue;
		put(&t, count > 1 ? ", " : "");
		put_holder(&t, place_holder(r, kind, slot), status);
	}
	if (count <= NAMED_HOLDERS)
		return;
	put(&t, " and ");
	put_number(&t, count - NAMED_HOLDERS);
	put(&t, " more");
}
