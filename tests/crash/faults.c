/* SPDX-License-Identifier: MIT */
/*
 * Processes that are killed, stopped and held up at every place where they touch
 * the ring (lib/core/fault.h), alone, in pairs, and in threes; the scene is in
 * scene.h.
 *
 * Alone, every place of every role meets every action. Of the pairs and threes a
 * sample is drawn, the same each time; SHMRING_FAULTS=N draws N for each pair of
 * roles, and with SHMRING_FAULTS=all (make check-faults) every pair is played, and
 * a larger sample of threes. To kill
 * behind a store is to kill before the next one: between them nothing is shared.
 * So only stops are tried on both sides of a store.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "places.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "scene.h"
#include "way.h"

enum { PAIR_SAMPLE = 8, THREE_SAMPLE = 7, THREE_SAMPLE_ALL = 700, MOVES = 4 * PLACES };

static bool wants_all(void)
{
	const char *wish = getenv("SHMRING_FAULTS");

	return wish && strcmp(wish, "all") == 0;
}

/*
 * How many to draw for each pair of roles: `count`, or what SHMRING_FAULTS says. A
 * sanitized build is slower by much, and all of it is played without.
 */
static unsigned sample(unsigned count)
{
	const char *wish = getenv("SHMRING_FAULTS");

	if (wish && atoi(wish) > 0)
		return (unsigned)atoi(wish);
	return room_is_sanitized() ? (count + 7) / 8 : count;
}

START_TEST(names_of_places_are_unique)
{
	for (unsigned i = 0; i < places->count; i++)
		for (unsigned k = 0; k < i; k++)
			ck_assert_str_ne(places->place[i].name, places->place[k].name);
}
END_TEST

/* Where a role comes by when nothing happens to it; returns how many places. */
static unsigned rehearse(enum role role, unsigned ret[PLACES])
{
	const struct part part = { .role = role, .place = "", .hit = 1 };

	if (places_of(role, ret) == 0) {
		trial(&part, 1, false, places->role_hits[role]);
		for (unsigned i = 0; i < places->count; i++)
			places->hits[i] += places->role_hits[role][i];
	}
	return places_of(role, ret);
}

START_TEST(rehearsal)
{
	unsigned reached[PLACES];

	ck_assert_uint_gt(rehearse((enum role)_i, reached), 3);
}
END_TEST

/* All that can happen to a role at the places that it comes to: alone, or among others. */
static unsigned list_moves(enum role role, bool alone, struct part ret[MOVES])
{
	unsigned reached[PLACES], count = 0, n = places_of(role, reached);

	for (unsigned i = 0; i < n; i++) {
		const struct place *p = &places->place[reached[i]];
		struct part part = { .role = role, .place = p->name, .hit = 1 };

		/* A stopped pinned consumer may hold up all other processes. */
		part.action = FAULT_STOP;
		if (alone || role != ROLE_PINNED)
			ret[count++] = part;
		if (p->side == FAULT_BEHIND)
			continue;
		part.action = FAULT_KILL;
		ret[count++] = part;
		part.action = FAULT_DELAY;
		ret[count++] = part;
	}
	return count;
}

static unsigned moves_of(enum role role, bool alone, struct part ret[MOVES])
{
	unsigned reached[PLACES];

	rehearse(role, reached);
	return list_moves(role, alone, ret);
}

START_TEST(one_fault_at_every_place)
{
	static struct part moves[MOVES];
	unsigned count = moves_of((enum role)_i, true, moves);
	unsigned step = room_is_sanitized() ? 7 : 1;

	for (unsigned m = 0; m < count; m += step)
		trial(&moves[m], 1, false, places->hits);
}
END_TEST

START_TEST(one_fault_at_every_place_the_last_time)
{
	unsigned reached[PLACES], n = rehearse((enum role)_i, reached);
	unsigned step = room_is_sanitized() ? 7 : 1;

	for (unsigned i = 0; i < n; i += step) {
		const struct place *p = &places->place[reached[i]];
		struct part part = {
			.role = (enum role)_i,
			.place = p->name,
			.hit = places->role_hits[_i][reached[i]],
			.action = p->side == FAULT_BEFORE ? FAULT_KILL : FAULT_STOP,
		};

		if (part.hit > 1)
			trial(&part, 1, false, places->hits);
	}
}
END_TEST

/* With laps in between its name may have lapsed; here the successor comes at once. */
START_TEST(name_is_resumed_wherever_its_holder_died)
{
	unsigned reached[PLACES], n = rehearse(ROLE_NAMED, reached);
	unsigned hits = room_is_sanitized() ? 1 : 4;

	for (unsigned i = 0; i < n; i++) {
		const struct place *p = &places->place[reached[i]];
		struct part part = { .role = ROLE_NAMED, .action = FAULT_KILL, .place = p->name };

		for (part.hit = 1; p->side == FAULT_BEFORE && part.hit <= hits &&
				   part.hit <= places->role_hits[ROLE_NAMED][reached[i]];
		     part.hit++)
			trial(&part, 1, true, places->hits);
	}
}
END_TEST

static struct part any_of(const struct part *moves, unsigned count, uint64_t *seed)
{
	return moves[random_below(seed, count)];
}

START_TEST(two_faults_at_every_pair_of_places)
{
	static struct part first[MOVES], second[MOVES];
	unsigned firsts = moves_of((enum role)(_i / ROLES), false, first);
	unsigned seconds = moves_of((enum role)(_i % ROLES), false, second);
	uint64_t seed = random_seed() + (uint64_t)_i;

	if (!wants_all()) {
		for (unsigned i = 0; i < sample(PAIR_SAMPLE); i++)
			trial((struct part[]){ any_of(first, firsts, &seed),
					       any_of(second, seconds, &seed) },
			      2, false, places->hits);
		return;
	}
	for (unsigned i = 0; i < firsts; i++)
		for (unsigned k = 0; k < seconds; k++)
			trial((struct part[]){ first[i], second[k] }, 2, false, places->hits);
}
END_TEST

/* A third one of each role joins two; also two and three of one kind. */
START_TEST(three_faults_at_random_places)
{
	static struct part moves[CAST][MOVES];
	unsigned roles[CAST] = { (unsigned)_i / ROLES, (unsigned)_i % ROLES, 0 };
	unsigned trials = wants_all() ? THREE_SAMPLE_ALL : sample(THREE_SAMPLE);
	uint64_t seed = random_seed() + (uint64_t)_i;
	struct part parts[CAST];
	unsigned count[CAST];

	for (unsigned n = 0; n < trials; n++) {
		roles[2] = n % ROLES;
		for (unsigned i = 0; i < CAST; i++) {
			count[i] = moves_of((enum role)roles[i], false, moves[i]);
			parts[i] = any_of(moves[i], count[i], &seed);
		}
		trial(parts, CAST, false, places->hits);
	}
}
END_TEST

static unsigned place_called(const char *name)
{
	for (unsigned i = 0; i < places->count; i++)
		if (strcmp(places->place[i].name, name) == 0)
			return i;
	ck_abort_msg("there is no place %s", name);
}

/*
 * The producer has read the cursors, and has not yet announced its reservation. Then
 * a consumer that it has not seen joins, and holds the bytes that it is about to
 * reserve. This happens once its lane is full; which announcement that is depends a
 * little on how often it slept.
 */
START_TEST(reservation_is_taken_back_for_a_consumer_that_joined_meanwhile)
{
	unsigned reached[PLACES], known = rehearse(ROLE_PRODUCER, reached);
	unsigned announces = place_called("announce.1");
	unsigned takes_back = place_called("announce.2");
	uint32_t before = places->hits[takes_back];
	struct part parts[] = {
		{ ROLE_PRODUCER, FAULT_STOP, "announce.1", 0, NULL },
		{ ROLE_JOINER, FAULT_STOP, "shmr_place_leave.1", 1, NULL },
	};

	ck_assert_uint_gt(known, 0);
	for (uint32_t hit = places->role_hits[ROLE_PRODUCER][announces];
	     hit > 0 && places->hits[takes_back] == before; hit--) {
		parts[0].hit = hit;
		trial(parts, 2, true, places->hits);
	}
	ck_assert_uint_gt(places->hits[takes_back], before);
}
END_TEST

/*
 * The same, and the producer dies before it takes the reservation back. Its successor
 * must not use that reservation: it would overwrite what the new consumer holds.
 */
START_TEST(successor_reads_the_cursors_again)
{
	unsigned reached[PLACES], known = rehearse(ROLE_PRODUCER, reached);
	unsigned announces = place_called("announce.1");
	struct part parts[] = {
		{ ROLE_PRODUCER, FAULT_STOP, "announce.1", 0, "announce.2" },
		{ ROLE_PINNED, FAULT_STOP, "shmring_release.1", 1, NULL },
	};
	bool killed = false;

	ck_assert_uint_gt(known, 0);
	parts[0].hit = places->role_hits[ROLE_PRODUCER][announces];
	for (; parts[0].hit > 0 && !killed; parts[0].hit--)
		killed = trial_of_succession(parts, places->hits);
	ck_assert(killed);
}
END_TEST

/* The list is the linker's: a new store adds a place, which must be reached here. */
START_TEST(every_place_was_reached_or_is_excused)
{
	unsigned wrong = 0;

	if (room_is_sanitized() || getenv("CK_RUN_CASE"))
		room_skip("only a part of the places is played in this run");
	for (unsigned i = 0; i < places->count; i++) {
		const struct place *p = &places->place[i];
		bool excused = place_excuse(p->name) != NULL;

		if ((places->hits[i] > 0) != excused)
			continue;
		fprintf(stderr, "%s (%s): %s\n", p->name, p->operation,
			excused ? "excused, but reached" : "not reached");
		wrong++;
	}
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

/* The other way to arm a fault: a program, this one, that knows nothing of it. */
static int publish_three(const char *address)
{
	struct shmring_producer *p;
	struct shmring_ring *r;

	if (shmring_open(&r, address) < 0 || shmring_producer_attach(&p, r, NULL) < 0)
		return 1;
	for (uint64_t i = 0; i < 3; i++)
		if (shmring_publish(p, &i, sizeof(i), SHMRING_NOWAIT) < 0)
			return 1;
	shmring_producer_detach(p);
	shmring_close(r);
	return 0;
}

static int run_with(const char *wish, const char *address)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		setenv("SHMRING_FAULT", wish, 1);
		child_become(NULL, "publish", address);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

START_TEST(environment_arms_a_fault)
{
	static const struct {
		const char *wish;
		int status;
		uint64_t messages; /* afterwards */
	} wishes[] = {
		{ "shmring_commit.3:3:kill", SIGKILL, 2 },
		{ "shmring_commit.3+:1:kill", SIGKILL, 3 },
		{ "shmring_commit.2:2:exit", 0, 4 },
		{ "shmring_commit.2:2:delay", 0, 7 },
		{ "shmring_commit.2:4:kill", 0, 10 },
		{ "shmring_commit.2:1:delay,shmring_commit.3:2:kill", SIGKILL, 11 },
		{ "shmring_commit.2:nonsense", 125 << 8, 11 },
	};
	struct shmring_config config = small_config();
	struct shmring_ring *r = ring_create(&config);
	struct shmring_lane_stat st = { .size = sizeof(st) };

	for (unsigned i = 0; i < sizeof(wishes) / sizeof(*wishes); i++) {
		ck_assert_int_eq(run_with(wishes[i].wish, room_path("ring")), wishes[i].status);
		must(shmring_stat_lane(r, 0, &st));
		ck_assert_uint_eq(st.messages, wishes[i].messages);
	}
	shmring_close(r);
}
END_TEST

static void print_moves(void)
{
	static struct part moves[MOVES];
	uint64_t all = 0, shared = 0;

	printf("# %u places, on two sides each\n", places->count / 2);
	for (unsigned i = 0; i < ROLES; i++) {
		all += list_moves((enum role)i, true, moves);
		shared += list_moves((enum role)i, false, moves);
	}
	printf("# what can happen to one: %" PRIu64 "; to two, one after the other: %" PRIu64 "\n",
	       all, shared * shared);
}

int main(int argc, char **argv)
{
	int failed, seconds = wants_all() ? 7200 : 60;
	Suite *s;
	TCase *tc;

	if (argc == 3 && strcmp(argv[1], "publish") == 0)
		return publish_three(argv[2]);
	s = suite_create("faults");
	places_open();
	figures_open();
	tc = room_case(s, "one", seconds);
	tcase_add_test(tc, names_of_places_are_unique);
	tcase_add_loop_test(tc, rehearsal, 0, ROLES);
	tcase_add_loop_test(tc, one_fault_at_every_place, 0, ROLES);
	tcase_add_loop_test(tc, one_fault_at_every_place_the_last_time, 0, ROLES);
	tcase_add_test(tc, name_is_resumed_wherever_its_holder_died);
	tc = room_case(s, "two", seconds);
	tcase_add_loop_test(tc, two_faults_at_every_pair_of_places, 0, ROLES * ROLES);
	tc = room_case(s, "three", seconds);
	tcase_add_loop_test(tc, three_faults_at_random_places, 0, ROLES * ROLES);
	tc = room_case(s, "all", seconds);
	tcase_add_test(tc, reservation_is_taken_back_for_a_consumer_that_joined_meanwhile);
	tcase_add_test(tc, successor_reads_the_cursors_again);
	tcase_add_test(tc, environment_arms_a_fault);
	tcase_add_test(tc, every_place_was_reached_or_is_excused);
	failed = run_suite(s);
	print_moves();
	figures_print();
	return failed;
}
