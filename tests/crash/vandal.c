/* SPDX-License-Identifier: MIT */
/*
 * The vandal; see vandal.h.
 */
#include "vandal.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <check.h>

#include "random.h"
#include "room.h"

int64_t slack(void)
{
	return (room_is_sanitized() ? 20 : 10) * INT64_C(1000000000);
}

bool is_over(const struct actor *a)
{
	return __atomic_load_n(&a->scene->over, __ATOMIC_ACQUIRE) != 0;
}

struct scene *scene_open(void)
{
	struct scene *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(s, MAP_FAILED);
	return s;
}

void scene_close(struct scene *s)
{
	munmap(s, sizeof(*s));
}
/* --- vandals --- */

void put(const struct actor *a, uint64_t offset, uint64_t value)
{
	__atomic_store_n((uint64_t *)(void *)(a->map + (offset & ~UINT64_C(7))), value,
			 __ATOMIC_RELAXED);
}

uint64_t get(const struct actor *a, uint64_t offset)
{
	return __atomic_load_n((uint64_t *)(void *)(a->map + offset), __ATOMIC_RELAXED);
}

uint64_t draw(struct actor *a, uint64_t limit)
{
	return random_below(&a->seed, limit);
}

/* A position that is near, far, unaligned, or none. */
static uint64_t bad_position(struct actor *a, uint64_t now)
{
	switch (draw(a, 8)) {
	case 0:
		return UINT64_MAX;
	case 1:
		return now + draw(a, 2 * LANE_SIZE);
	case 2:
		return now - draw(a, 2 * LANE_SIZE);
	case 3:
		return now + (UINT64_C(1) << 63) + draw(a, 64);
	case 4:
		return (now & ~(uint64_t)(LANE_SIZE - 1)) + LANE_SIZE - 8 * draw(a, 4);
	case 5:
		return now ^ UINT64_C(1) << draw(a, 64);
	default:
		return random_next(&a->seed);
	}
}

static void spoil_header(struct actor *a)
{
	static const uint64_t lengths[] = { 0,
					    1,
					    LANE_SIZE / 2 - 1,
					    LANE_SIZE / 2,
					    LANE_SIZE / 2 + 1,
					    LANE_SIZE,
					    UINT32_MAX - 15,
					    UINT32_MAX };
	uint64_t length = draw(a, 2) ? lengths[draw(a, 8)] : draw(a, LANE_SIZE);
	uint64_t header = length | draw(a, 2) << 32 | random_next(&a->seed) << 40;

	put(a, DATA + draw(a, LANES * LANE_SIZE), draw(a, 8) ? header : random_next(&a->seed));
}

/*
 * Where a consumer is about to read: now one header and now another, so that what
 * was checked is not what is used, if it is read twice.
 */
static void flicker(struct actor *a)
{
	uint64_t lane = draw(a, LANES);
	uint64_t cursor = get(a, CURSORS + draw(a, 4) * 4096 + lane * 64);
	uint64_t word = DATA + lane * LANE_SIZE + (cursor & (LANE_SIZE - 8));
	uint64_t sound = 16 | UINT64_C(1) << 32;

	for (unsigned i = 0; i < 1000; i++)
		put(a, word, i % 2 ? sound : sound | UINT32_MAX);
}

static void spoil_control(struct actor *a)
{
	uint64_t control = CONTROLS + draw(a, LANES) * 0x10000;
	uint64_t word = control;

	switch (draw(a, 4)) {
	case 0:
		word += 128; /* room_wanted */
		break;
	case 1:
		break; /* reserved */
	default:
		word += 256 + draw(a, 128) * 8; /* the index */
	}
	put(a, word, bad_position(a, get(a, word)));
}

static void spoil_cursor(struct actor *a)
{
	uint64_t slot = draw(a, 4) ? draw(a, 4) : draw(a, SLOTS);
	uint64_t word = CURSORS + slot * 4096 + draw(a, LANES) * 64 + draw(a, 8) * 8;

	put(a, word, bad_position(a, get(a, word)));
}

uint64_t status_word(uint64_t epoch, uint64_t generation, unsigned flags, unsigned state)
{
	return epoch << 32 | (generation & 0xffffff) << 8 | (flags & 15) << 4 | (state & 15);
}

static void spoil_status(struct actor *a)
{
	uint64_t word = draw(a, 3) ? CONSUMER_STATUS + draw(a, draw(a, 2) ? 5 : SLOTS) * 8
				   : LANE_STATUS + draw(a, LANES) * 8;
	uint64_t now = get(a, word);
	uint64_t epoch = draw(a, 2) ? now >> 32 : draw(a, 2) ? (now >> 32) + 1 : draw(a, 10);

	put(a, word,
	    status_word(epoch, draw(a, 1 << 24), (unsigned)draw(a, 16), (unsigned)draw(a, 16)));
}

void ring_bell(const struct actor *a, uint64_t offset)
{
	uint32_t *word = (uint32_t *)(void *)(a->map + offset);

	__atomic_fetch_add(word, 1, __ATOMIC_RELAXED);
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void spoil_bell(struct actor *a)
{
	put(a, DOORBELL, random_next(&a->seed));
	ring_bell(a, draw(a, 2) ? DATA_BELL : ROOM_BELL + 32 * draw(a, LANES));
}

static void spoil_anything(struct actor *a)
{
	static const struct {
		uint64_t offset, size;
	} areas[] = { { 0, 256 },	  { REGISTRY, 13376 },
		      { DOORBELL, 2112 }, { CURSORS, SLOTS * 4096 },
		      { CONTROLS, 1344 }, { DATA, LANES * LANE_SIZE } };
	uint64_t i = draw(a, 6);

	put(a, areas[i].offset + draw(a, areas[i].size), random_next(&a->seed) >> draw(a, 64));
}

void spoil_something(struct actor *a)
{
	switch (draw(a, 13)) {
	case 12:
		flicker(a);
		break;
	case 0:
	case 1:
	case 2:
		spoil_header(a);
		break;
	case 3:
	case 4:
		spoil_control(a);
		break;
	case 5:
	case 6:
		spoil_cursor(a);
		break;
	case 7:
	case 8:
		spoil_status(a);
		break;
	case 9:
		spoil_bell(a);
		break;
	case 10:
		put(a, REGISTRY, draw(a, 2) ? 7 : draw(a, 8)); /* lanes_ready */
		break;
	default:
		spoil_anything(a);
	}
}

void map_all(struct actor *a)
{
	a->map = mmap(NULL, FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, shmring_fd(a->ring), 0);
	ck_assert_ptr_ne(a->map, MAP_FAILED);
}

void unmap_all(struct actor *a)
{
	munmap(a->map, FILE_SIZE);
}
