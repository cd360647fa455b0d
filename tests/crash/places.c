/* SPDX-License-Identifier: MIT */
/*
 * The places of lib/core/fault.h, as these tests see them.
 */
#include "places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Places that no test reaches, and the reasons. A place that is reached must not be listed. */
static const struct {
	const char *name;
	const char *reason;
} excuses[] = {
	{ "shmr_ring_probe_fd.1", "a word of this process; nobody else sees it" },
	{ "shmr_ring_probe_fd.2", "the same" },
	{ "shmr_ring_probe_fd.3", "the same" },
	{ "calibrate.1", "the same" },
	{ "shmr_bell_check_cancel.1", "the same" },
	{ "shmr_bell_cancel.1", "for another thread of the same process" },
	/* No actor plays in an isolated ring, which takes a broker: tests/broker/isolated. */
	{ "furnish_lane.1", "in a lane's file that nobody else has before it is finished" },
};

/* The store of a stamp that is the counter, which not every machine has. */
static const char counter_only[] = "shmring_commit.1";

struct places *places;

static bool has_counter(void)
{
	const struct shmring_config config = { .size = sizeof(config),
					       .stamps = SHMRING_STAMP_TSC };
	struct shmring_ring *r;

	if (shmring_create(&r, NULL, &config) < 0)
		return false;
	shmring_close(r);
	return true;
}

void places_open(void)
{
	const struct fault_list list = fault_list();
	unsigned count = 2 * (unsigned)(list.end - list.begin);

	places = mmap(NULL, sizeof(*places), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (places == MAP_FAILED || count > PLACES) {
		fprintf(stderr, "there are %u places, or no memory for them\n", count);
		exit(1);
	}
	for (unsigned i = 0; i < count; i++) {
		places->place[i].side = i % 2 ? FAULT_BEHIND : FAULT_BEFORE;
		places->place[i].operation = list.begin[i / 2].operation;
		shmr_fault_name(&list, &list.begin[i / 2], places->place[i].side,
				places->place[i].name);
	}
	places->count = count;
	places->counter = has_counter();
}

unsigned places_of(enum role role, unsigned ret[PLACES])
{
	unsigned count = 0;

	for (unsigned i = 0; i < places->count; i++)
		if (places->role_hits[role][i] > 0)
			ret[count++] = i;
	return count;
}

const char *place_excuse(const char *name)
{
	size_t length = strcspn(name, "+");

	for (unsigned i = 0; i < sizeof(excuses) / sizeof(*excuses); i++)
		if (strncmp(excuses[i].name, name, length) == 0 && excuses[i].name[length] == '\0')
			return excuses[i].reason;
	if (!places->counter && strncmp(counter_only, name, length) == 0 &&
	    counter_only[length] == '\0')
		return "the kernel does not keep time by the processor's counter here";
	return NULL;
}
