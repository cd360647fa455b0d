/* SPDX-License-Identifier: MIT */
/*
 * The ways by which a second process reaches a ring, and what tests do with
 * rings all the time.
 */
#include "way.h"

#include <errno.h>
#include <stdlib.h>

#include "must.h"
#include "room.h"

struct shmring_config small_config(void)
{
	return (struct shmring_config){
		.size = sizeof(struct shmring_config),
		.lane_size = SHMRING_MIN_LANE_SIZE,
		.lanes = 4,
		.unread_policy = SHMRING_UNREAD_OVERWRITE,
	};
}

struct shmring_config small_config_with_stamps(void)
{
	struct shmring_config config = small_config();

	config.stamps = SHMRING_STAMP_AUTO;
	return config;
}

struct shmring_ring *way_create(enum way way, const struct shmring_config *config)
{
	struct shmring_ring *r = NULL;

	switch (way) {
	case WAY_MEMORY_EXEC:
	case WAY_FILE_FORK:
		must(shmring_create(&r, room_path("ring"), config));
		break;
	case WAY_DISK_EXEC:
		must(shmring_create(&r, room_disk_path("ring"), config));
		break;
	default:
		must(shmring_create(&r, NULL, config));
	}
	return r;
}

void way_start(struct peer *p, enum way way, struct shmring_ring *r)
{
	switch (way) {
	case WAY_MEMORY_EXEC:
		peer_exec(p);
		ck_assert_int_eq(peer_open(p, room_path("ring")), 0);
		break;
	case WAY_DISK_EXEC:
		peer_exec(p);
		ck_assert_int_eq(peer_open(p, room_disk_path("ring")), 0);
		break;
	case WAY_PASSED_EXEC:
		peer_exec(p);
		ck_assert_int_eq(peer_open_fd(p, shmring_fd(r)), 0);
		break;
	default:
		peer_fork(p, r);
		ck_assert_int_eq(peer_join(p), 0);
	}
}

struct shmring_ring *ring_create(const struct shmring_config *config)
{
	return way_create(WAY_MEMORY_EXEC, config);
}

void ring_start(struct peer *p)
{
	way_start(p, WAY_MEMORY_EXEC, NULL);
}

struct shmring_consumer *consumer_attach(struct shmring_ring *r, const char *name, uint32_t start,
					 uint32_t flags)
{
	struct shmring_consumer_options options = {
		.size = sizeof(options),
		.name = name,
		.start = start,
		.flags = flags,
	};
	struct shmring_consumer *c = NULL;

	must(shmring_consumer_attach(&c, r, &options));
	return c;
}

struct shmring_producer *producer_attach(struct shmring_ring *r)
{
	struct shmring_producer *p = NULL;

	must(shmring_producer_attach(&p, r, NULL));
	return p;
}

void publish_numbers(struct shmring_producer *p, uint64_t source, uint64_t first, uint64_t count,
		     size_t len)
{
	char *data = malloc(len + 1);

	ck_assert_ptr_nonnull(data);
	for (uint64_t number = first; number < first + count; number++) {
		audit_fill(data, len, source, number);
		must(shmring_publish(p, data, len, patience()));
	}
	free(data);
}

uint64_t publish_until_full(struct shmring_producer *p, uint64_t source, uint64_t first, size_t len)
{
	char *data = malloc(len + 1);
	uint64_t number = first;
	int r;

	ck_assert_ptr_nonnull(data);
	for (;;) {
		audit_fill(data, len, source, number);
		r = shmring_publish(p, data, len, SHMRING_NOWAIT);
		if (r < 0)
			break;
		number++;
	}
	must_fail(EAGAIN, r);
	free(data);
	return number - first;
}

void consume_audited(struct shmring_consumer *c, struct audit *a, uint64_t count)
{
	struct shmring_message m;

	while (count-- > 0) {
		must(shmring_peek(c, patience(), &m));
		audit_peeked(a, c, &m);
		must(shmring_release(c));
	}
}

uint64_t consume_all(struct shmring_consumer *c, struct audit *a)
{
	struct shmring_message m;
	uint64_t count = 0;
	int r;

	while ((r = shmring_peek(c, SHMRING_NOWAIT, &m)) == 0) {
		audit_peeked(a, c, &m);
		must(shmring_release(c));
		count++;
	}
	must_fail(EAGAIN, r);
	return count;
}
