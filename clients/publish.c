/* SPDX-License-Identifier: MIT */
/*
 * Publishing many records quickly, and waiting without missing a signal.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "cli.h"
#include "clock.h"
#include "progress.h"
#include "publish.h"
#include "stop.h"

#define READERS_LOOK_NS 100000000 /* between two looks for consumers */
#define INPUT_SLICE_MS 200
#define BATCH_BYTES 65536 /* more than this staged gains nothing */

static int64_t deadline_of(const struct publisher *p)
{
	return p->timeout_ns == SHMRING_FOREVER ? SHMRING_FOREVER : shmring_deadline(p->timeout_ns);
}

int publisher_flush(struct publisher *p)
{
	int err;

	if (!p->staged)
		return 0;
	err = shmring_flush(p->producer);
	if (err < 0)
		return err;
	p->records += p->staged;
	p->bytes += p->staged_bytes;
	p->staged = p->staged_bytes = 0;
	progress_update(p->records, p->bytes, NULL);
	return 0;
}

int publisher_try_claim(struct publisher *p, size_t len, void **ret_data)
{
	int err = shmring_claim(p->producer, len, SHMRING_NOWAIT, ret_data);

	if ((err != -EMSGSIZE && err != -EAGAIN) || !p->staged)
		return err;
	/* too much for one batch, or the consumers have to read on first */
	err = publisher_flush(p);
	return err < 0 ? err : shmring_claim(p->producer, len, SHMRING_NOWAIT, ret_data);
}

/* Without consumers: -EPIPE with --while-read, -ENOLINK if the ring's name has gone. */
static int check_abandoned(const struct publisher *p)
{
	struct shmring_ring_stat stat = { .size = sizeof(stat) };
	int err = shmring_stat(p->ring, &stat);

	if (err < 0)
		return err;
	if (p->while_read && !stat.consumers)
		return -EPIPE;
	return stat.retired && !stat.consumers ? -ENOLINK : 0;
}

/* The same, but not all the time. */
static int look_for_readers(struct publisher *p)
{
	int64_t now = now_ns();

	if (now < p->next_look_ns)
		return 0;
	p->next_look_ns = now + READERS_LOOK_NS;
	return check_abandoned(p);
}

int publisher_wait_input(struct publisher *p, int fd)
{
	struct pollfd input = { .fd = fd, .events = POLLIN };
	int n = 0, err = 0;

	if (!p->while_read)
		return 0;
	while (err == 0 && n == 0) {
		err = look_for_readers(p);
		if (err == 0)
			n = poll(&input, 1, INPUT_SLICE_MS);
		if (n < 0 && errno != EINTR)
			err = -errno;
		if (n < 0)
			n = 0;
		if (err == 0 && n == 0 && stop_look())
			err = -EINTR;
	}
	return err;
}

static void tell_of_waiting(struct publisher *p)
{
	char text[HOLDERS_TEXT];

	if (patience_is_over(&p->patience))
		patience_tell(&p->patience, p->address, "no room",
			      room_holder(text, p->ring, p->address));
}

int publisher_claim(struct publisher *p, size_t len, void **ret_data)
{
	int err = publisher_try_claim(p, len, ret_data);
	int64_t deadline;

	if (err != -EAGAIN || p->timeout_ns == 0)
		return err;
	deadline = deadline_of(p);
	for (;;) {
		if (stop_look())
			return -EINTR;
		err = shmring_claim(p->producer, len, stop_slice(deadline, STOP_SLICE_NS),
				    ret_data);
		if (err == -ETIMEDOUT || err == -EAGAIN) {
			if (now_ns() >= deadline)
				return -ETIMEDOUT;
			err = check_abandoned(p);
			tell_of_waiting(p);
			progress_update(p->records, p->bytes, "waiting for room");
			if (!err)
				continue;
		}
		if (err == 0)
			patience_rest(&p->patience);
		if (err != -EINTR)
			return err == -EIDRM ? -ENOLINK : err;
	}
}

int publisher_stage(struct publisher *p, size_t len)
{
	int err = shmring_stage(p->producer, len);

	if (err < 0)
		return err;
	p->staged++;
	p->staged_bytes += len;
	return p->staged_bytes >= BATCH_BYTES ? publisher_flush(p) : 0;
}

int publisher_commit(struct publisher *p, size_t len)
{
	int err = shmring_commit(p->producer, len);

	if (err < 0)
		return err;
	p->records += p->staged + 1;
	p->bytes += p->staged_bytes + len;
	p->staged = p->staged_bytes = 0;
	progress_update(p->records, p->bytes, NULL);
	return 0;
}

static void tell_of_too_few(struct publisher *p, uint32_t count)
{
	int attached = shmring_wait_consumers(p->ring, 0, SHMRING_NOWAIT);
	char text[HOLDERS_TEXT];

	if (attached < 0 || !patience_is_over(&p->patience))
		return;
	snprintf(text, sizeof(text), "%d of %u are attached", attached, count);
	patience_tell(&p->patience, p->address, "too few consumers", text);
}

int publisher_wait_consumers(struct publisher *p, uint32_t count)
{
	const int64_t deadline = deadline_of(p);

	for (;;) {
		int err =
			shmring_wait_consumers(p->ring, count, stop_slice(deadline, STOP_SLICE_NS));

		if (err >= 0) {
			patience_rest(&p->patience);
			return 0;
		}
		if (stop_look())
			return -EINTR;
		if (err == -EIDRM)
			return -ENOLINK;
		if (err != -ETIMEDOUT && err != -EINTR)
			return err;
		if (now_ns() >= deadline)
			return -ETIMEDOUT;
		tell_of_too_few(p, count);
		progress_update(0, 0, "waiting for consumers");
	}
}

/* In all lanes, if no consumer has ever come; else what was read is unknown: 0. */
static uint64_t count_unread(struct shmring_ring *r, unsigned lanes)
{
	struct shmring_consumer_stat place = { .size = sizeof(place) };
	struct shmring_lane_stat lane = { .size = sizeof(lane) };
	uint64_t messages = 0;

	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++)
		if (shmring_stat_consumer(r, i, &place) < 0 || place.tenancy != 0)
			return 0;
	for (unsigned i = 0; i < lanes; i++)
		if (shmring_stat_lane(r, i, &lane) == 0)
			messages += lane.messages;
	return messages;
}

void publisher_tell_of_losses(struct publisher *p)
{
	struct shmring_ring_stat stat = { .size = sizeof(stat) };
	uint64_t unread;

	if (shmring_stat(p->ring, &stat) < 0 || !(stat.flags & SHMRING_EPHEMERAL) || stat.retired ||
	    stat.producers > 1 || stat.consumers > 0 || stat.detached > 0)
		return;
	unread = count_unread(p->ring, stat.lanes);
	if (unread > 0)
		say("%s: no consumer has read %llu message%s, and the ring is removed with its "
		    "last user, which is this command; 'pub --wait-consumers 1' waits for a reader",
		    p->address, (unsigned long long)unread, unread == 1 ? "" : "s");
}
