/* SPDX-License-Identifier: MIT */
/*
 * lanes: which lanes a reader can read. `adopted` has a bit for each lane that has memory, and
 * that is mapped.
 *
 * An ordinary ring is one file. All of its lanes are mapped at the attach, also those without
 * memory; a lane counts as soon as its first owner has given it memory.
 *
 * In an isolated ring each lane is a file of its own that the broker gives out, and a lane may get
 * another file (isolated-lane.h, A1 to A3). The path of a message knows nothing of it: a lane lies
 * at the same addresses from the beginning, inaccessible until its file is mapped there, and a new
 * file replaces the old one there. That is done where readers look for new lanes, when nothing is
 * in their hot half, and only if the ring's count of files has moved.
 *
 *  F1 A lane is in `adopted` if and only if its file is mapped; the reader touches no others.
 *  F2 A reader that asked in vain tries again at a later look, and spends at most a
 *     tenth of its time on it. Nothing is lost meanwhile: a lane's cursor stands
 *     before it is mapped (J2), and a new file begins with all that the old one has.
 *     The answer that there is no such lane is good for a pause that grows up to
 *     LONGEST_PAUSE, as long as the ring's count of files has not moved: the end of the
 *     stream goes by it, too.
 *  F3 Places among the cursors are good only if no file was missing or old when the
 *     cursors stood. consumer_settle_files() is asked behind the fence of the last
 *     one; as long as it finds something, the places are chosen again.
 */
#include <errno.h>
#include <unistd.h>

#include "consumer.h"
#include "explain.h"
#include "memory.h"
#include "options.h"
#include "sys.h"

#define LEAST_PAUSE INT64_C(10000000)
#define LONGEST_PAUSE INT64_C(100000000)
#define PAUSE_FACTOR 10 /* times what the attempt took */
#define SETTLE_TRIES 1000

static void set_lane(struct reader *l, unsigned index, const struct geometry *g)
{
	l->lane.mask = g->lane_size - 1;
	l->hot.index = index;
	l->hot.data = l->lane.data;
	l->hot.mask = l->lane.mask;
	l->hot.wanted = plain_words(&l->lane.control->room_wanted);
	l->hot.at.position = g->first_position;
	l->hot.released = l->hot.at;
	l->noted = POSITION_NONE;
}

/* For an isolated ring: the lanes' files are mapped there when there are any. */
static int reserve_lanes(struct shmring_consumer *c)
{
	const struct geometry *g = consumer_geometry(c);

	for (unsigned i = 0; i < g->lanes; i++) {
		shmr_attach_reserve_lane(&c->attachment, &c->readers[i].lane);
		set_lane(&c->readers[i], i, g);
	}
	return 0;
}

/* All lanes, also those that get memory later. */
static int map_lanes(struct shmring_consumer *c)
{
	struct attachment *a = &c->attachment;
	const struct geometry *g = consumer_geometry(c);
	void *controls, *data;
	int e = shmr_attach_lay(a, g->controls_offset, g->lanes * LAYOUT_GRANULE, false, 1,
				LAYOUT_GRANULE, &controls);

	for (unsigned i = 0; e == 0 && i < g->lanes; i++) {
		struct reader *l = &c->readers[i];

		e = shmr_attach_lay(a, data_offset(g, i), g->lane_size, false, 2, lane_alignment(g),
				    &data);
		if (e < 0)
			break;
		l->lane.data = data;
		l->lane.control = (void *)((unsigned char *)controls + i * LAYOUT_GRANULE);
		set_lane(l, i, g);
	}
	return e;
}

int consumer_map_lanes(struct shmring_consumer *c)
{
	return layout_is_isolated(consumer_geometry(c)) ? reserve_lanes(c) : map_lanes(c);
}

/* Lock and fault in a lane that has just got memory, as wanted. */
static void apply_lane_memory(struct shmring_consumer *c, struct reader *l)
{
	shmr_memory_apply(&c->attachment.memory, &c->memory, l->lane.control,
			  sizeof(struct lane_control), true, false);
	shmr_memory_apply(&c->attachment.memory, &c->memory, l->lane.data, l->lane.mask + 1, false,
			  false);
}

/* Mapped lanes that have another file by now. [FILE] pairs with isolated_files_set_number() */
static uint64_t outdated_lanes(const struct shmring_consumer *c)
{
	const struct doorbell *d = c->attachment.doorbell;
	uint64_t found = 0;

	for (uint64_t lanes = c->lanes.adopted; lanes != 0; lanes &= lanes - 1) {
		unsigned i = (unsigned)__builtin_ctzll(lanes);

		if (load_acquire32(&d->room[i].file_number) != c->readers[i].file_number)
			found |= lanes & -lanes;
	}
	return found;
}

/* Half a lane is no lane: what was mapped there is gone. */
static int map_file(struct shmring_consumer *c, struct reader *l, int fd)
{
	uint64_t bit = UINT64_C(1) << l->hot.index;
	int e = shmr_attach_map_lane(&c->attachment, fd, false, &l->lane);

	if (e < 0 && (c->lanes.adopted & bit))
		consumer_break(c);
	return e;
}

/* 1: the lane is mapped anew; 0: its present file is mapped already, or it has none. */
static int fetch_file(struct shmring_consumer *c, struct reader *l, bool wait_for_broker)
{
	const struct lane_wish wish = { .lane = l->hot.index, .wait_for_broker = wait_for_broker };
	const struct shmring_memory_report before = c->attachment.memory;
	bool known = c->lanes.adopted >> l->hot.index & 1;
	uint32_t file_number;
	int fd = shmr_isolated_open(c->attachment.ring, &wish, &file_number);
	int e = 1;

	if (fd == -ENOENT)
		return 0; /* the bit is forged (A3) */
	if (fd < 0)
		return fd;
	if (known && file_number == l->file_number)
		e = 0;
	else if (map_file(c, l, fd) < 0)
		e = -ENOMEM;
	close(fd);
	if (e <= 0)
		return e;
	l->file_number = file_number;
	c->lanes.adopted |= UINT64_C(1) << l->hot.index;
	apply_lane_memory(c, l);
	if (known) /* what was locked is replaced */
		c->attachment.memory = before;
	return 1;
}

/* All of `lanes`; how many were mapped, or the first error. */
static int fetch_files_of(struct shmring_consumer *c, uint64_t lanes, bool wait_for_broker)
{
	int count = 0;

	for (; lanes != 0; lanes &= lanes - 1) {
		int e = fetch_file(c, &c->readers[__builtin_ctzll(lanes)], wait_for_broker);

		if (e < 0)
			return e;
		count += e;
	}
	return count;
}

static int fetch_files(struct shmring_consumer *c, uint64_t lanes, bool wait_for_broker)
{
	int cancel = shmr_cancel_off();
	int n = fetch_files_of(c, lanes, wait_for_broker);

	shmr_cancel_on(cancel);
	return n;
}

/* The answer "there is no such lane" is good for `least`, and for longer if it is an old one. */
static void remember_unknown(struct shmring_consumer *c, uint64_t unknown, int64_t now,
			     int64_t least)
{
	int64_t pause = unknown == c->lanes.unknown ? 2 * c->lanes.unknown_pause_ns : 0;

	if (pause > LONGEST_PAUSE)
		pause = LONGEST_PAUSE;
	if (pause < least)
		pause = least;
	c->lanes.unknown = unknown;
	c->lanes.unknown_pause_ns = pause;
	c->lanes.unknown_until_ns = now + pause;
}

/*
 * Did the broker say a moment ago that each lane that is not mapped has no file? The first file
 * of a lane moves `files` before its owner can publish, and ends the moment.
 */
static bool answer_is_fresh(const struct shmring_consumer *c, uint64_t files, int64_t now)
{
	return files == c->lanes.files && (consumer_new_lanes(c) & ~c->lanes.unknown) == 0 &&
	       now < c->lanes.unknown_until_ns;
}

/* Ask for each lane that has no file or an old one. As fetch_files_of(). */
static int ask_for_files(struct shmring_consumer *c, uint64_t files, bool wait_for_broker)
{
	uint64_t unmapped = consumer_new_lanes(c), wanted = unmapped;
	int64_t start = shmr_now(), now, pause;
	int n;

	if (files != c->lanes.files)
		wanted |= outdated_lanes(c);
	if (wanted == 0) {
		c->lanes.files = files;
		return 0;
	}
	n = fetch_files(c, wanted, wait_for_broker);
	now = shmr_now();
	pause = LEAST_PAUSE + PAUSE_FACTOR * (now - start);
	if (n <= 0)
		c->lanes.ask_again_ns = now + pause;
	if (n >= 0) {
		c->lanes.files = files;
		remember_unknown(c, unmapped & ~c->lanes.adopted, now, pause);
	}
	return n;
}

/* [FILE] pairs with isolated_files_set_number() */
static void follow_files(struct shmring_consumer *c)
{
	uint64_t files = load_acquire(&c->attachment.registry->files);
	int64_t now;

	if (files == c->lanes.files && consumer_new_lanes(c) == 0)
		return;
	now = shmr_now();
	if (now >= c->lanes.ask_again_ns && !answer_is_fresh(c, files, now))
		ask_for_files(c, files, false);
}

/* [FILE] pairs with isolated_files_set_number() */
bool consumer_has_all_files(struct shmring_consumer *c)
{
	uint64_t files;
	int64_t now;

	if (!layout_is_isolated(consumer_geometry(c)))
		return true;
	files = load_acquire(&c->attachment.registry->files);
	if (files == c->lanes.files && consumer_new_lanes(c) == 0)
		return true;
	now = shmr_now();
	if (answer_is_fresh(c, files, now))
		return true; /* what the broker does not know was forged (A3) */
	return now >= c->lanes.ask_again_ns && ask_for_files(c, files, false) == 0;
}

/* [FILE] pairs with isolated_files_set_number(), [JOIN] pairs with show_lane() */
int consumer_settle_files(struct shmring_consumer *c)
{
	int n;

	if (!layout_is_isolated(consumer_geometry(c)))
		return 0;
	n = ask_for_files(c, load_acquire(&c->attachment.registry->files), true);
	if (n > 0 && ++c->lanes.unsettled == SETTLE_TRIES)
		return explain(-EBADMSG, "the ring is damaged: its lanes change all the time");
	if (n <= 0)
		c->lanes.unsettled = 0;
	return n;
}

/* Their memory exists before their bit does. */
static void adopt_lanes_of_file(struct shmring_consumer *c)
{
	for (uint64_t new = consumer_new_lanes(c); new != 0; new &= new - 1) {
		c->lanes.adopted |= new & -new;
		apply_lane_memory(c, &c->readers[__builtin_ctzll(new)]);
	}
}

void consumer_adopt_new_lanes(struct shmring_consumer *c)
{
	if (layout_is_isolated(consumer_geometry(c)))
		follow_files(c);
	else
		adopt_lanes_of_file(c);
}

int shmring_consumer_memory(const struct shmring_consumer *c, struct shmring_memory_report *ret)
{
	struct shmring_memory_report report;

	if (consumer_wiped(c) < 0)
		return -ECHILD;
	report = c->attachment.memory;
	report.resident = 0;
	for (uint64_t lanes = c->lanes.adopted; lanes != 0; lanes &= lanes - 1) {
		const struct lane *lane = &c->readers[__builtin_ctzll(lanes)].lane;
		uint64_t resident = shmr_resident(lane->data, lane->mask + 1);

		if (resident == UINT64_MAX) {
			report.resident = resident;
			break;
		}
		report.resident += resident;
	}
	return shmr_output_write(ret, &report, sizeof(report),
				 SIZE_UP_TO(struct shmring_memory_report, reserved));
}
