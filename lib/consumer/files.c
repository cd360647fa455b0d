/* SPDX-License-Identifier: MIT */
/*
 * files: how readers of an isolated ring come by its lanes, each a file that the broker
 * gives out, and how they follow a lane that has got another file (isolated-lane.h, A1 to A3).
 *
 * The path of a message knows nothing of it: a lane lies at the same addresses from the
 * beginning, inaccessible until its file is mapped there, and a new file replaces the
 * old one there. That is done where readers look for new lanes, when nothing is in
 * their hot half, and only if the ring's count of files has moved.
 *
 *  F1 A lane is in `lanes` if and only if its file is mapped; nobody touches others.
 *  F2 Who asked in vain tries again at a later look, and spends no more than
 *     a tenth of its time on it. Nothing is lost meanwhile: a lane's cursor stands
 *     before it is mapped (J2), and a new file begins with all that the old one has.
 *  F3 Places among the cursors are good only if no file was missing or old when the
 *     cursors stood. consumer_settle_files() is asked behind the fence of the last
 *     one; as long as it finds something, the places are chosen again.
 */
#include <errno.h>
#include <unistd.h>

#include "consumer.h"
#include "explain.h"
#include "sys.h"

#define LEAST_PAUSE INT64_C(10000000)
#define PAUSE_FACTOR 10 /* times what the attempt took */
#define SETTLE_TRIES 1000

/* [READY] pairs with show_lane() */
static uint64_t unmapped_lanes(const struct shmring_consumer *c)
{
	unsigned lanes = consumer_geometry(c)->lanes;
	uint64_t valid = lanes == 64 ? UINT64_MAX : (UINT64_C(1) << lanes) - 1;

	return load_acquire(&c->attachment.registry->lanes_ready) & valid & ~c->lanes;
}

/* Mapped lanes of which there is another file by now. [FILE] pairs with isolated_files_raise() */
static uint64_t outdated_lanes(const struct shmring_consumer *c)
{
	const struct doorbell *d = c->attachment.doorbell;
	uint64_t found = 0;

	for (uint64_t lanes = c->lanes; lanes != 0; lanes &= lanes - 1) {
		unsigned i = (unsigned)__builtin_ctzll(lanes);

		if (load_acquire32(&d->room[i].file) != c->readers[i].file)
			found |= lanes & -lanes;
	}
	return found;
}

/* Half a lane is no lane: what was mapped there is gone. */
static int map_file(struct shmring_consumer *c, struct reader *l, int fd)
{
	uint64_t bit = UINT64_C(1) << l->hot.index;
	int e = shmr_attach_map_lane(&c->attachment, fd, false, &l->lane);

	if (e < 0 && (c->lanes & bit))
		consumer_break(c);
	return e;
}

/* 1: the lane is mapped anew; 0: its file is the one that we have, or it has none. */
static int fetch_file(struct shmring_consumer *c, struct reader *l, bool patient)
{
	const struct lane_wish wish = { .lane = l->hot.index, .patient = patient };
	const struct shmring_memory_report before = c->attachment.memory;
	bool known = c->lanes >> l->hot.index & 1;
	uint32_t file;
	int fd = shmr_isolated_open(c->attachment.ring, &wish, &file);
	int e = 1;

	if (fd == -ENOENT)
		return 0; /* the bit is forged (A3) */
	if (fd < 0)
		return fd;
	if (known && file == l->file)
		e = 0;
	else if (map_file(c, l, fd) < 0)
		e = -ENOMEM;
	close(fd);
	if (e <= 0)
		return e;
	l->file = file;
	c->lanes |= UINT64_C(1) << l->hot.index;
	consumer_apply_memory(c, l);
	if (known) /* what was locked is replaced */
		c->attachment.memory = before;
	return 1;
}

/* All of `lanes`; how many were mapped, or the first error. */
static int fetch_files_of(struct shmring_consumer *c, uint64_t lanes, bool patient)
{
	int count = 0;

	for (; lanes != 0; lanes &= lanes - 1) {
		int e = fetch_file(c, &c->readers[__builtin_ctzll(lanes)], patient);

		if (e < 0)
			return e;
		count += e;
	}
	return count;
}

static int fetch_files(struct shmring_consumer *c, uint64_t lanes, bool patient)
{
	int cancel = shmr_cancel_off();
	int n = fetch_files_of(c, lanes, patient);

	shmr_cancel_on(cancel);
	return n;
}

/* [FILE] pairs with isolated_files_raise() */
void consumer_follow_files(struct shmring_consumer *c)
{
	uint64_t files = load_acquire(&c->attachment.registry->files);
	uint64_t wanted = unmapped_lanes(c);
	int64_t start;
	int n;

	if (wanted == 0 && files == c->files)
		return;
	start = shmr_now();
	if (start < c->files_again_ns)
		return;
	if (files != c->files)
		wanted |= outdated_lanes(c);
	n = fetch_files(c, wanted, false);
	if (n >= 0)
		c->files = files;
	if (n > 0 || wanted == 0)
		return;
	c->files_again_ns = shmr_now() + LEAST_PAUSE + PAUSE_FACTOR * (shmr_now() - start);
}

/* [FILE] pairs with isolated_files_raise() */
bool consumer_has_all_files(struct shmring_consumer *c)
{
	uint64_t files, wanted;
	int n;

	if (!layout_is_isolated(consumer_geometry(c)))
		return true;
	files = load_acquire(&c->attachment.registry->files);
	wanted = unmapped_lanes(c);
	if (files != c->files)
		wanted |= outdated_lanes(c);
	n = fetch_files(c, wanted, false);
	if (n >= 0)
		c->files = files;
	return n == 0; /* what the broker does not know was forged (A3) */
}

/* [FILE] pairs with isolated_files_raise(), [JOIN] pairs with show_lane() */
int consumer_settle_files(struct shmring_consumer *c)
{
	uint64_t files, wanted;
	int n;

	if (!layout_is_isolated(consumer_geometry(c)))
		return 0;
	files = load_acquire(&c->attachment.registry->files);
	wanted = unmapped_lanes(c);
	if (files != c->files)
		wanted |= outdated_lanes(c);
	n = fetch_files(c, wanted, true);
	if (n >= 0)
		c->files = files;
	if (n > 0 && ++c->unsettled == SETTLE_TRIES)
		return explain(-EBADMSG, "the ring is damaged: its lanes change all the time");
	if (n <= 0)
		c->unsettled = 0;
	return n;
}
