/* SPDX-License-Identifier: MIT */
/*
 * The marks of a named consumer, when its process is killed while it writes
 * them: whichever store it dies at, its successor begins at the last release,
 * or at the new start that the dead one was on its way to, and nowhere else.
 *
 * The first holder runs one instruction at a time under ptrace(2), to the end. The
 * test watches the marks through its own view of the ring, and notes after which
 * instructions they change. Then a holder is killed right after each of these.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "lane.h"
#include "ring.h"
#include "audit.h"
#include "child.h"
#include "must.h"
#include "room.h"
#include "runner.h"
#include "step.h"
#include "way.h"

#include <shmring/consumer.h>
#include <shmring/producer.h>

enum { SOURCE = 3, PUBLISHED = 30, AT_ONCE = 4 };
enum { MOST_STEPS = 1 << 20, MOST_CHANGES = 64 };

struct elsewhere {
	uint32_t start;
	uint64_t seq; /* the number there */
};

static const struct elsewhere elsewheres[] = {
	{ SHMRING_START_OLDEST, 0 },
	{ SHMRING_START_NOW, PUBLISHED },
};

static struct shmring_ring *opened; /* by the holder */

static int attach_elsewhere(void *arg)
{
	const struct elsewhere *e = arg;

	consumer_attach(opened, "marked", e->start, 0);
	return 0;
}

/* In the holder: attach under the name, elsewhere, under the eyes of the test. */
static int begin_elsewhere(int socket, void *arg)
{
	(void)socket;
	must(shmring_open(&opened, room_path("ring")));
	return step_run(attach_elsewhere, arg);
}

/* Leaves a name with two different marks; which is the latest depends on how many releases. */
static uint64_t release_some(struct shmring_ring *ring, unsigned releases)
{
	struct shmring_consumer *c = consumer_attach(ring, "marked", SHMRING_START_OLDEST, 0);
	struct shmring_message m[AT_ONCE];

	for (unsigned i = 0; i < releases; i++) {
		ck_assert_int_eq(shmring_peek_batch(c, SHMRING_NOWAIT, m, AT_ONCE), AT_ONCE);
		must(shmring_release(c));
	}
	shmring_consumer_detach(c);
	return releases * AT_ONCE;
}

static uintptr_t addresses[MOST_STEPS];
static uint32_t nth[MOST_STEPS];
static struct step_path path = { .address = addresses, .nth = nth };

/* The marks as they are after so many instructions. */
static struct change {
	uint64_t step;
	struct cursor_mark marks[2];
} changes[MOST_CHANGES];
static unsigned change_count;

static void note_change(const struct cursor_mark *marks, const struct cursor_mark *before)
{
	const struct cursor_mark *last = change_count ? changes[change_count - 1].marks : before;
	struct change *now = &changes[change_count];

	if (memcmp(last, marks, sizeof(now->marks)) == 0)
		return;
	ck_assert_uint_lt(change_count, MOST_CHANGES);
	now->step = path.length;
	memcpy(now->marks, marks, sizeof(now->marks));
	change_count++;
}

/* Run the holder to the end of its attach, and note all changes. */
static void record(struct step *s, const struct cursor_mark *marks)
{
	struct cursor_mark before[2];

	memcpy(before, marks, sizeof(before));
	do {
		ck_assert_uint_lt(path.length, MOST_STEPS);
		addresses[path.length++] = s->address;
		step_on(s);
		note_change(marks, before);
	} while (!s->over);
	step_count(&path);
}

static uint64_t resumed_at(struct shmring_ring *ring, struct shmring_producer *p)
{
	struct shmring_consumer *c = consumer_attach(ring, "marked", SHMRING_START_RESUME, 0);
	struct shmring_message m;

	publish_numbers(p, SOURCE, PUBLISHED, 1, 40);
	must(shmring_peek(c, SHMRING_NOWAIT, &m));
	ck_assert_uint_eq(facts_of(c, &m).lost, 0);
	shmring_consumer_detach(c);
	return m.seq;
}

/* A holder comes to its end and everything is noted; or it is killed at that change. */
static void move(const struct elsewhere *e, unsigned releases, const struct change *fatal)
{
	struct shmring_config config = small_config();
	struct shmring_ring *ring = ring_create(&config);
	const struct cursor_mark *marks = ring->rows[0].lane[0].mark;
	struct shmring_producer *p = producer_attach(ring);
	struct child holder;
	uint64_t released, seq;
	struct step step;

	publish_numbers(p, SOURCE, 0, PUBLISHED, 40);
	released = release_some(ring, releases);
	child_fork(&holder, begin_elsewhere, (void *)(uintptr_t)e);
	step_catch(&step, &holder, attach_elsewhere);
	if (fatal) {
		ck_assert(step_along(&step, &path, fatal->step));
		ck_assert_int_eq(memcmp(marks, fatal->marks, sizeof(fatal->marks)), 0);
		child_kill(&holder);
	} else {
		record(&step, marks);
		step_release(&step);
		child_end(&holder);
	}
	seq = resumed_at(ring, p);
	ck_assert_msg(seq == e->seq || (fatal && seq == released),
		      "killed at change %td: the successor begins at %u",
		      fatal ? fatal - changes : -1, (unsigned)seq);
	shmring_producer_detach(p);
	shmring_close(ring);
	must(shmring_remove(room_path("ring")));
}

START_TEST(holder_killed_while_it_moves_releases_nothing_twice)
{
	const struct elsewhere *e = &elsewheres[_i % 2];
	unsigned releases = 2 + _i / 2;

	if (step_obstacle())
		room_skip("%s", step_obstacle());
	move(e, releases, NULL);
	/* Two marks; a new position and a new number at least, and one that is none before. */
	ck_assert_uint_ge(change_count, 5);
	for (unsigned i = 0; i < change_count; i++)
		move(e, releases, &changes[i]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("marks");
	TCase *tc = room_case(s, "marks", 60);

	tcase_add_loop_test(tc, holder_killed_while_it_moves_releases_nothing_twice, 0, 4);
	return run_suite(s);
}
