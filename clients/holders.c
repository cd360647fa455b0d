/* SPDX-License-Identifier: MIT */
/*
 * Why a command waits: see holders.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "clock.h"
#include "holders.h"
#include "units.h"

#define PATIENCE_NS 1000000000
#define REPEAT_NS 60000000000
#define PIDS_SHOWN 16

void patience_rest(struct patience *p)
{
	p->since_ns = 0;
}

bool patience_is_over(struct patience *p)
{
	int64_t now = now_ns();

	if (!p->verbose && isatty(STDERR_FILENO) != 1)
		return false;
	if (p->since_ns == 0) {
		p->since_ns = now;
		p->next_look_ns = now + PATIENCE_NS;
	}
	if (now < p->next_look_ns)
		return false;
	p->next_look_ns = now + PATIENCE_NS;
	return true;
}

void patience_tell(struct patience *p, const char *address, const char *what, const char *reason)
{
	char since[UNITS_TEXT];
	int64_t waited = (now_ns() - p->since_ns) / PATIENCE_NS * PATIENCE_NS;

	if (strcmp(p->told, reason) == 0 && now_ns() - p->told_ns < REPEAT_NS)
		return;
	p->told_ns = now_ns();
	snprintf(p->told, sizeof(p->told), "%s", reason);
	say("%s: %s for %s: %s", address, what, format_duration(since, (uint64_t)waited), reason);
}

/* Text that grows at its end, and is cut where it is full. */
struct text {
	char *start;
	size_t used;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->start + t->used, HOLDERS_TEXT - t->used, format, args);
	va_end(args);
	if (n > 0)
		t->used +=
			(size_t)n < HOLDERS_TEXT - t->used ? (size_t)n : HOLDERS_TEXT - t->used - 1;
}

/* A number in a list of which `count` have been written. */
static void add_pid(struct text *t, unsigned count, int pid)
{
	if (count == 0)
		add(t, "; process IDs: %d", pid);
	else if (count < PIDS_SHOWN)
		add(t, ", %d", pid);
	else if (count == PIDS_SHOWN)
		add(t, " and others");
}

const char *lane_holders(char ret[HOLDERS_TEXT], struct shmring_ring *r, const char *address)
{
	struct text t = { ret, 0 };
	struct shmring_lane_stat lane = { .size = sizeof(lane) };
	struct shmring_ring_stat stat = { .size = sizeof(stat) };
	unsigned count = 0;

	(void)address;
	if (shmring_stat(r, &stat) == 0 && stat.lanes == 1)
		add(&t, "the only lane is taken");
	else if (stat.lanes > 1)
		add(&t, "all %u lanes are taken", stat.lanes);
	else
		add(&t, "all lanes are taken");
	for (unsigned i = 0; i < stat.lanes; i++)
		if (shmring_stat_lane(r, i, &lane) == 0 &&
		    (lane.state == SHMRING_ACTIVE || lane.state == SHMRING_JOINING))
			add_pid(&t, count++, lane.pid);
	return ret;
}

const char *place_holders(char ret[HOLDERS_TEXT], struct shmring_ring *r, const char *address)
{
	struct text t = { ret, 0 };
	struct shmring_consumer_stat place = { .size = sizeof(place) };
	unsigned count = 0, kept = 0;

	add(&t, "all %d places for consumers are taken", SHMRING_MAX_CONSUMERS);
	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++) {
		if (shmring_stat_consumer(r, i, &place) < 0)
			continue;
		if (place.state == SHMRING_DETACHED)
			kept++;
		else if (place.state != SHMRING_FREE && place.state != SHMRING_DEAD)
			add_pid(&t, count++, place.pid);
	}
	if (kept > 0)
		add(&t, "; %u of them are kept for names, which 'shmring forget %s NAME' drops",
		    kept, address);
	return ret;
}

const char *name_holder(char ret[HOLDERS_TEXT], struct shmring_ring *r, const char *name)
{
	struct text t = { ret, 0 };
	struct shmring_consumer_stat place = { .size = sizeof(place) };
	unsigned count = 0;

	add(&t, "a live process holds the name '%s'", name);
	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++)
		if (shmring_stat_consumer(r, i, &place) == 0 && strcmp(place.name, name) == 0 &&
		    place.state != SHMRING_FREE && place.state != SHMRING_DETACHED)
			add_pid(&t, count++, place.pid);
	return ret;
}

/* The consumer that has read least. False: there is none. */
static bool find_slowest(struct shmring_ring *r, struct shmring_consumer_stat *ret)
{
	struct shmring_consumer_stat c = { .size = sizeof(c) };
	bool found = false;

	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++) {
		if (shmring_stat_consumer(r, i, &c) < 0 || c.state == SHMRING_FREE ||
		    (c.state == SHMRING_DEAD && !*c.name) || (found && c.max_lag <= ret->max_lag))
			continue;
		*ret = c;
		found = true;
	}
	return found;
}

const char *room_holder(char ret[HOLDERS_TEXT], struct shmring_ring *r, const char *address)
{
	struct text t = { ret, 0 };
	struct shmring_consumer_stat c = { .size = sizeof(c) };

	if (!find_slowest(r, &c))
		add(&t, "the ring has no consumer; start one, such as 'shmring sub %s'", address);
	else if (c.state == SHMRING_DETACHED || c.state == SHMRING_DEAD)
		add(&t,
		    "the place that is kept for '%s' has not moved, and no process has it; go on "
		    "with "
		    "'shmring sub --name %s %s', or drop it with 'shmring forget %s %s'",
		    c.name, c.name, address, address, c.name);
	else if (*c.name)
		add(&t, "consumer '%s' (process %d) reads no messages", c.name, c.pid);
	else
		add(&t, "the consumer in process %d reads no messages", c.pid);
	return ret;
}
