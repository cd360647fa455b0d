/* SPDX-License-Identifier: MIT */
/*
 * The marks of a named consumer, when its process is killed while it writes
 * them: whichever store it dies at, its successor begins at the last release,
 * or at the new start that the dead one was on its way to, and nowhere else.
 *
 * The holder runs one instruction at a time under ptrace(2). The test watches
 * the marks through its own view of the ring, and kills the holder right after
 * their n-th change, for every n up to the last one.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "lane.h"
#include "ring.h"
#include "audit.h"
#include "child.h"
#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

#include <shmring/consumer.h>
#include <shmring/producer.h>

enum { SOURCE = 3, PUBLISHED = 30, AT_ONCE = 4 };

struct elsewhere {
	uint32_t start;
	uint64_t seq; /* the number there */
};

static const struct elsewhere elsewheres[] = {
	{ SHMRING_START_OLDEST, 0 },
	{ SHMRING_START_NOW, PUBLISHED },
};

/* In the holder: wait for the tracer, then attach under the name, elsewhere. */
static int begin_elsewhere(int socket, void *arg)
{
	const struct elsewhere *e = arg;
	struct shmring_ring *ring;

	(void)socket;
	must(shmring_open(&ring, room_path("ring")));
	ck_assert_int_eq(ptrace(PTRACE_TRACEME, 0, NULL, NULL), 0);
	raise(SIGSTOP);
	consumer_attach(ring, "marked", e->start, 0);
	return 0;
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

/* Run the holder until its marks have changed `changes` times. False: it ended before. */
static bool step_to_change(pid_t pid, const struct cursor_mark *marks, unsigned changes)
{
	struct cursor_mark seen[2];
	int status;

	memcpy(seen, marks, sizeof(seen));
	while (changes > 0) {
		ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status))
			return false;
		if (memcmp(seen, marks, sizeof(seen)) == 0)
			continue;
		memcpy(seen, marks, sizeof(seen));
		changes--;
	}
	return true;
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

/* True: the holder was killed at that change. */
static bool killed_at_change(const struct elsewhere *e, unsigned releases, unsigned change)
{
	struct shmring_config config = small_config();
	struct shmring_ring *ring = ring_create(&config);
	struct shmring_producer *p = producer_attach(ring);
	struct child holder;
	uint64_t released, seq;
	bool killed;
	int status;

	publish_numbers(p, SOURCE, 0, PUBLISHED, 40);
	released = release_some(ring, releases);
	child_fork(&holder, begin_elsewhere, (void *)(uintptr_t)e);
	ck_assert_int_eq(waitpid(holder.pid, &status, 0), holder.pid);
	ck_assert(WIFSTOPPED(status));
	killed = step_to_change(holder.pid, ring->rows[0].lane[0].mark, change);
	if (killed) {
		kill(holder.pid, SIGKILL);
		ck_assert_int_eq(waitpid(holder.pid, &status, 0), holder.pid);
	}
	child_drop(&holder);
	seq = resumed_at(ring, p);
	ck_assert_msg(seq == e->seq || (killed && seq == released),
		      "killed at change %u: the successor begins at %u", change, (unsigned)seq);
	shmring_producer_detach(p);
	shmring_close(ring);
	must(shmring_remove(room_path("ring")));
	return killed;
}

START_TEST(holder_killed_while_it_moves_releases_nothing_twice)
{
	unsigned change = 1;

	while (killed_at_change(&elsewheres[_i % 2], 2 + _i / 2, change))
		change++;
	/* Two marks; a new position and a new number at least, and one that is none before. */
	ck_assert_uint_ge(change, 6);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("marks");
	TCase *tc = room_case(s, "marks", 60);

	tcase_add_loop_test(tc, holder_killed_while_it_moves_releases_nothing_twice, 0, 4);
	return run_suite(s);
}
