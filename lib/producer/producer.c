/* SPDX-License-Identifier: MIT */
/*
 * producer: the handle: what a program asks it for, and what it counts.
 *
 * A handle counts for itself, at no cost to other processes. What it has counted of waiting and
 * waking since the last time is added to the lane's counts in the ring when it waits or wakes;
 * there `shmring stat` and shmring_stat() read them.
 */
#include <errno.h>

#include "explain.h"
#include "memory.h"
#include "options.h"
#include "producer.h"

int producer_explain_wiped(void)
{
	return explain(-ECHILD, "this producer belongs to the parent process; attach one here");
}

size_t shmring_producer_max_message(const struct shmring_producer *p)
{
	return p->hot.max_message;
}

int shmring_producer_lane(const struct shmring_producer *p)
{
	return producer_wiped(p) < 0 ? -ECHILD : (int)p->attachment.slot;
}

int shmring_producer_counters(const struct shmring_producer *p, struct shmring_counters *ret)
{
	struct shmring_counters counters;

	if (producer_wiped(p) < 0)
		return -ECHILD;
	counters = p->counters;
	counters.messages = published_end(p).seq - p->begin.seq;
	counters.bytes = published_end(p).bytes - p->begin.bytes;
	return shmr_output_write(ret, &counters, sizeof(counters),
				 SIZE_UP_TO(struct shmring_counters, system_calls));
}

void producer_show_counts(struct shmring_producer *p)
{
	struct lane_counts *shared = &p->lane.control->counts;

	shmr_tally(&shared->full_waits, p->counters.waits - p->shown.waits);
	shmr_tally(&shared->sleeps, p->counters.sleeps - p->shown.sleeps);
	shmr_tally(&shared->wakes, p->counters.wakes - p->shown.wakes);
	p->shown = p->counters;
}

int shmring_producer_memory(const struct shmring_producer *p, struct shmring_memory_report *ret)
{
	struct shmring_memory_report report;

	if (producer_wiped(p) < 0)
		return -ECHILD;
	report = p->attachment.memory;
	report.resident = shmr_resident(p->lane.data, p->hot.mask + 1);
	return shmr_output_write(ret, &report, sizeof(report),
				 SIZE_UP_TO(struct shmring_memory_report, reserved));
}
