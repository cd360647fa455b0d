/* SPDX-License-Identifier: MIT */
/*
 * use: see use.h.
 */
#include "use.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consumer.h"

_Noreturn void insist_failed(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
	abort();
}

static void touch(const void *data, size_t len)
{
	const volatile unsigned char *bytes = data;

	for (size_t i = 0; i < len; i += i < 256 ? 1 : 64)
		(void)bytes[i];
	if (len > 0)
		(void)bytes[len - 1];
}

static bool is_known(int64_t result)
{
	return result >= 0 || result == -EAGAIN || result == -ESTALE || result == -EBADMSG ||
	       result == -EMSGSIZE;
}

/* Each question about the message has an answer, or the lane is damaged. */
static void ask(const struct shmring_consumer *c, const struct shmring_message *m)
{
	uint64_t lost, bytes, ns;
	uint32_t tenancy;

	insist(shmring_message_lost(c, m, &lost, &bytes) == 0);
	insist(m->flags == (lost != 0 ? SHMRING_AFTER_LOSS : 0));
	insist(is_known(shmring_message_tenancy(c, m, &tenancy)));
	insist(is_known(shmring_message_stamp(c, m, &ns)));
}

void use_message(const struct shmring_consumer *c, const struct shmring_message *m)
{
	const unsigned char *data = m->data, *start;
	uint64_t size = consumer_geometry(c)->lane_size;

	insist(m->producer < consumer_geometry(c)->lanes);
	insist(m->len <= size / 2);
	insist((uintptr_t)data % 8 == 0);
	if (!c->observer) {
		start = c->readers[m->producer].lane.data;
		insist(data >= start && data + m->len <= start + 2 * size);
	}
	touch(data, m->len);
	ask(c, m);
}

void use_consumer(struct shmring_consumer *c, unsigned calls)
{
	struct shmring_message m[4];
	unsigned char buffer[300];
	int64_t n;

	for (unsigned i = 0; i < calls; i++) {
		switch (i % 4) {
		case 0:
			n = shmring_receive(c, buffer, sizeof(buffer), SHMRING_NOWAIT);
			insist(n <= (int64_t)sizeof(buffer));
			break;
		case 1:
			n = shmring_peek_batch(c, SHMRING_NOWAIT, m, 4);
			for (int64_t k = 0; k < n; k++)
				use_message(c, &m[k]);
			break;
		default:
			n = shmring_peek(c, SHMRING_NOWAIT, m);
			if (n == 0)
				use_message(c, m);
		}
		insist(is_known(n));
		if (i % 8 == 7)
			shmring_rewind(c);
		if (i % 4 != 2)
			insist(is_known(shmring_release(c)));
		if (n == -EAGAIN || n == -EBADMSG)
			return;
	}
}

void use_producer(struct shmring_producer *p, unsigned count)
{
	size_t max = shmring_producer_max_message(p), len;
	void *data = NULL;

	for (unsigned i = 0; i < count; i++) {
		len = i % 8 == 7 ? max : (size_t)i * 37 % 700;
		if (shmring_claim(p, len, SHMRING_NOWAIT, &data) < 0)
			return;
		memset(data, (int)i, len);
		insist((i % 3 == 1 ? shmring_stage(p, len) : shmring_commit(p, len)) == 0);
	}
	insist(shmring_flush(p) == 0);
}

void use_ring(struct shmring_ring *r)
{
	struct shmring_consumer_stat consumer = { .size = sizeof(consumer) };
	struct shmring_lane_stat lane = { .size = sizeof(lane) };
	struct shmring_ring_stat st = { .size = sizeof(st) };

	insist(shmring_stat(r, &st) == 0);
	for (unsigned i = 0; i < st.lanes; i++)
		insist(is_known(shmring_stat_lane(r, i, &lane)));
	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++)
		insist(shmring_stat_consumer(r, i, &consumer) == 0);
	insist(shmring_reap(r) >= 0);
	shmring_forget(r, "name");
}
