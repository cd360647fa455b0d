/* SPDX-License-Identifier: MIT */
/*
 * Rings as files: how they come, what stat says of them, and how they go.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "random.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 101 };

/* How many files lie in the room. */
static unsigned count_files(void)
{
	DIR *dir = opendir(room_directory());
	unsigned count = 0;
	struct dirent *e;

	ck_assert_ptr_nonnull(dir);
	while ((e = readdir(dir)))
		count += e->d_name[0] != '.';
	closedir(dir);
	return count;
}

START_TEST(existing_name_is_not_taken)
{
	struct shmring_config config = small_config();
	struct shmring_ring_stat before = { .size = sizeof(before) },
				 after = { .size = sizeof(after) };
	struct shmring_ring *r, *other;
	int fd;

	r = ring_create(&config);
	must(shmring_stat(r, &before));
	must_fail(EEXIST, shmring_create(&other, room_path("ring"), &config));
	must(shmring_open(&other, room_path("ring")));
	must(shmring_stat(other, &after));
	ck_assert_mem_eq(before.uuid, after.uuid, sizeof(before.uuid));
	fd = open(room_path("file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	must_fail(EEXIST, shmring_create(&other, room_path("file"), &config));
	shmring_close(other);
	shmring_close(r);
}
END_TEST

static int create_when_started(int socket, void *arg)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = NULL;
	int result;

	(void)arg;
	step_tell(socket);
	step_await(socket);
	result = shmring_create(&r, room_path("ring"), &config);
	if (result != 0)
		must_fail(EEXIST, result);
	ck_assert_int_eq(result == 0, r != NULL);
	must(shmring_open(&r, room_path("ring")));
	shmring_close(r);
	must(send(socket, &result, sizeof(result), 0));
	return 0;
}

START_TEST(one_of_two_creators_wins)
{
	struct child c[2];
	int result, wins;

	for (int round = 0; round < 40; round++) {
		for (int i = 0; i < 2; i++) {
			child_fork(&c[i], create_when_started, NULL);
			step_await(c[i].socket);
		}
		for (int i = 0; i < 2; i++)
			step_tell(c[i].socket);
		wins = 0;
		for (int i = 0; i < 2; i++) {
			ck_assert_int_eq(recv(c[i].socket, &result, sizeof(result), 0),
					 sizeof(result));
			wins += result == 0;
			child_end(&c[i]);
		}
		ck_assert_int_eq(wins, 1);
		ck_assert_uint_eq(count_files(), 1);
		must(shmring_remove(room_path("ring")));
	}
}
END_TEST

/* Shared with the creator. */
struct progress {
	_Atomic unsigned rounds;
};

static _Noreturn int create_for_ever(int socket, void *arg)
{
	struct shmring_config config = small_config();
	struct progress *progress = arg;
	struct shmring_ring *r;

	(void)socket;
	for (;;) {
		must(shmring_create(&r, room_path("ring"), &config));
		shmring_close(r);
		must(shmring_remove(room_path("ring")));
		progress->rounds++;
	}
}

/* At any moment there is a whole ring under the name, or nothing. */
START_TEST(killed_creator_leaves_a_ring_or_nothing)
{
	struct progress *progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t seed = random_seed();
	int64_t limit = patience(), moment;
	struct shmring_ring *r;
	struct child c;

	for (int round = 0; round < 60; round++) {
		progress->rounds = 0;
		child_fork(&c, create_for_ever, progress);
		while (progress->rounds < 2)
			ck_assert_msg(sched_yield() == 0 && clock_now() < limit, "no progress");
		moment = clock_now() + (int64_t)random_below(&seed, 1000000);
		while (clock_now() < moment)
			;
		child_kill(&c);
		if (access(room_path("ring"), F_OK) == 0) {
			must(shmring_open(&r, room_path("ring")));
			shmring_close(r);
			must(shmring_remove(room_path("ring")));
		}
		ck_assert_uint_eq(count_files(), 0);
	}
	munmap(progress, sizeof(*progress));
}
END_TEST

struct turns {
	_Atomic unsigned rounds;
	_Atomic unsigned arrived;
	_Atomic unsigned winners;
};

static struct turns *share_turns(void)
{
	struct turns *t =
		mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(t, MAP_FAILED);
	return t;
}

static _Noreturn int replace_for_ever(int socket, void *arg)
{
	struct shmring_config config = small_config();
	struct turns *turns = arg;
	struct shmring_ring *r;

	(void)socket;
	for (;;) {
		must(shmring_create(&r, room_path("ring"), &config));
		shmring_close(r);
		turns->rounds++;
		must(shmring_remove(room_path("ring")));
	}
}

/* A process that opens the name gets a whole ring or none, and keeps the ring that it has. */
START_TEST(ring_that_is_replaced_for_ever_is_whole_for_every_opener)
{
	struct turns *turns = share_turns();
	unsigned opened = 0;
	struct child c;

	child_fork(&c, replace_for_ever, turns);
	while (opened < 200) {
		struct shmring_ring *r = NULL;
		struct shmring_producer *p;
		struct shmring_consumer *k;
		struct audit audit;
		int e = shmring_open(&r, room_path("ring"));

		if (e < 0) {
			must_fail(ENOENT, e);
			continue;
		}
		opened++;
		/* The ring may be the same as the last time. */
		k = consumer_attach(r, NULL, SHMRING_START_NOW, 0);
		p = producer_attach(r);
		audit_begin(&audit, false);
		publish_numbers(p, SOURCE, 0, 5, 100);
		consume_audited(k, &audit, 5);
		audit_must_be(&audit, 5, 0);
		shmring_producer_detach(p);
		shmring_consumer_detach(k);
		shmring_close(r);
	}
	child_kill(&c);
	ck_assert_uint_ge(turns->rounds, 2);
	if (access(room_path("ring"), F_OK) == 0)
		must(shmring_remove(room_path("ring")));
	munmap(turns, sizeof(*turns));
}
END_TEST

enum { CREATORS = 4, RACES = 100 };

/* All processes come here before any of them goes on. */
static void meet(struct turns *turns, unsigned *met)
{
	unsigned due = ++*met * CREATORS;

	turns->arrived++;
	while (turns->arrived < due)
		sched_yield();
}

static int race_to_create(int socket, void *arg)
{
	struct shmring_config config = small_config();
	struct turns *turns = arg;
	unsigned met = 0;

	(void)socket;
	for (unsigned race = 1; race <= RACES; race++) {
		struct shmring_ring *mine = NULL, *there = NULL;
		int e;

		meet(turns, &met);
		e = shmring_create(&mine, "contested", &config);
		if (e == 0)
			turns->winners++;
		else
			must_fail(EEXIST, e);
		must(shmring_open(&there, "contested"));
		meet(turns, &met);
		ck_assert_uint_eq(turns->winners, race);
		if (e == 0)
			must(shmring_remove("contested"));
		shmring_close(there);
		shmring_close(mine);
	}
	return 0;
}

/* Create by a bare name: at first even the directory does not exist. */
START_TEST(many_creators_race_many_times)
{
	struct turns *turns = share_turns();
	struct child c[CREATORS];

	room_path("shmring");
	for (int i = 0; i < CREATORS; i++)
		child_fork(&c[i], race_to_create, turns);
	for (int i = 0; i < CREATORS; i++)
		child_end(&c[i]);
	ck_assert_uint_eq(turns->winners, RACES);
	munmap(turns, sizeof(*turns));
}
END_TEST

START_TEST(removed_ring_goes_on_for_attached_processes)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = way_create((enum way)_i, &config), *other;
	const char *path = _i == WAY_DISK_EXEC ? room_disk_path("ring") : room_path("ring");
	struct shmring_producer *p = producer_attach(r);
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct peer c;

	way_start(&c, (enum way)_i, r);
	ck_assert_int_eq(peer_consumer(&c, NULL, 0, 0), 0);
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.retired, 0);
	must(shmring_remove(path));
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.retired, 1);
	must_fail(ENOENT, shmring_open(&other, path));
	must_fail(ENOENT, shmring_remove(path));
	publish_numbers(p, SOURCE, 0, 50, 1000);
	ck_assert_int_eq(peer_consume(&c, 50), 50);
	must(shmring_create(&other, path, &config));
	publish_numbers(p, SOURCE, 50, 50, 1000);
	ck_assert_int_eq(peer_consume(&c, 50), 50);
	audit_must_be(&c.answer.audit, 100, 0);
	peer_quit(&c);
	shmring_producer_detach(p);
	shmring_close(other);
	shmring_close(r);
}
END_TEST

START_TEST(stat_shows_the_shape)
{
	struct shmring_config config = {
		.size = sizeof(config),
		.lane_size = 1 << 18,
		.lanes = 5,
		.alignment = 64,
		.slow_policy = SHMRING_SLOW_EVICT,
		.unread_policy = SHMRING_UNREAD_HOLD,
		.evict_after_ns = 123456789,
		.max_sleep_ns = 7000000,
		.wake = SHMRING_WAKE_FENCE,
	};
	struct shmring_ring *r = way_create((enum way)_i, &config);
	struct shmring_producer *p = producer_attach(r);
	struct timespec now;
	struct shmring_ring_stat st = { .size = sizeof(st) };

	must(shmring_stat(r, &st));
	clock_gettime(CLOCK_REALTIME, &now);
	ck_assert_uint_eq(st.format, 1);
	ck_assert_uint_eq(st.lanes, 5);
	ck_assert_uint_eq(st.lane_size, 1 << 18);
	ck_assert_uint_eq(st.max_message, shmring_producer_max_message(p));
	ck_assert_uint_eq(st.alignment, 64);
	ck_assert_uint_eq(st.slow_policy, SHMRING_SLOW_EVICT);
	ck_assert_uint_eq(st.unread_policy, SHMRING_UNREAD_HOLD);
	ck_assert_uint_eq(st.wake, SHMRING_WAKE_FENCE);
	ck_assert_uint_eq(st.evict_after_ns, 123456789);
	ck_assert_uint_eq(st.max_sleep_ns, 7000000);
	ck_assert_int_lt(llabs((int64_t)(st.created_ns / 1000000000) - now.tv_sec), 10);
	ck_assert_uint_eq(st.file_size % 65536, 0);
	ck_assert_uint_ge(st.file_size, 5 * ((uint64_t)1 << 18));
	ck_assert_uint_gt(st.allocated, 0);
	ck_assert_uint_eq(st.producers, 1);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(default_ring_has_eight_lanes_of_eight_mebibytes)
{
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct shmring_ring *r;

	must(shmring_create(&r, room_path("ring"), NULL));
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.lanes, 8);
	ck_assert_uint_eq(st.lane_size, 8 << 20);
	ck_assert_uint_eq(st.alignment, 8);
	ck_assert_uint_eq(st.slow_policy, SHMRING_SLOW_BLOCK);
	ck_assert_uint_eq(st.unread_policy, SHMRING_UNREAD_HOLD);
	ck_assert_uint_eq(st.max_sleep_ns, 100000000);
	ck_assert_uint_lt(st.allocated, 1 << 20);
	shmring_close(r);
}
END_TEST

START_TEST(stat_lane_shows_its_content)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = ring_create(&config);
	struct shmring_producer *p = producer_attach(r);
	unsigned lane = (unsigned)must(shmring_producer_lane(p));
	struct shmring_consumer_stat consumer = { .size = sizeof(consumer) };
	struct shmring_lane_stat st = { .size = sizeof(st) };

	publish_numbers(p, SOURCE, 0, 10, 96);
	must(shmring_stat_lane(r, lane, &st));
	ck_assert_uint_eq(st.state, SHMRING_ACTIVE);
	ck_assert_uint_eq(st.tenancy, 1);
	ck_assert_int_eq(st.pid, getpid());
	ck_assert_uint_eq(st.allocated, 1);
	ck_assert_uint_eq(st.messages, 10);
	ck_assert_uint_eq(st.bytes, 960);
	ck_assert_uint_eq(st.position, 10 * 104);
	ck_assert_uint_eq(st.readable, 10 * 104);
	shmring_producer_detach(p);
	must(shmring_stat_lane(r, lane, &st));
	ck_assert_uint_eq(st.state, SHMRING_FREE);
	ck_assert_uint_eq(st.messages, 10);
	must(shmring_stat_lane(r, (lane + 1) % 4, &st));
	ck_assert_uint_eq(st.state, SHMRING_FREE);
	ck_assert_uint_eq(st.allocated, 0);
	ck_assert_uint_eq(st.tenancy, 0);
	must_fail(ERANGE, shmring_stat_lane(r, 4, &st));
	must_fail(ERANGE, shmring_stat_lane(r, UINT32_MAX, &st));
	must_fail(ERANGE, shmring_stat_consumer(r, 64, &consumer));
	shmring_close(r);
}
END_TEST

START_TEST(stat_consumer_shows_its_lag)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r = ring_create(&config);
	struct shmring_producer *p = producer_attach(r), *q = producer_attach(r);
	struct shmring_consumer *c = consumer_attach(r, "reader", 0, 0);
	struct shmring_consumer_stat st = { .size = sizeof(st) };
	struct audit audit;

	publish_numbers(p, SOURCE, 0, 10, 96);
	publish_numbers(q, SOURCE + 1, 0, 5, 96);
	must(shmring_stat_consumer(r, 0, &st));
	ck_assert_uint_eq(st.state, SHMRING_ACTIVE);
	ck_assert_int_eq(st.pid, getpid());
	ck_assert_str_eq(st.name, "reader");
	ck_assert_uint_eq(st.lag, 15 * 104);
	ck_assert_uint_eq(st.max_lag, 10 * 104);
	audit_begin(&audit, true);
	consume_all(c, &audit);
	must(shmring_stat_consumer(r, 0, &st));
	ck_assert_uint_eq(st.lag, 0);
	shmring_consumer_detach(c);
	shmring_producer_detach(q);
	shmring_producer_detach(p);
	shmring_close(r);
}
END_TEST

START_TEST(mode_is_as_requested)
{
	static const uint32_t modes[] = { 0, 0600, 0640, 0660, 0444, 0666 };
	struct shmring_config config = small_config();
	mode_t old = umask(077);
	struct shmring_ring *r;
	struct stat st;

	for (unsigned i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		config.mode = modes[i];
		r = ring_create(&config);
		ck_assert_int_eq(stat(room_path("ring"), &st), 0);
		ck_assert_uint_eq(st.st_mode & 07777, modes[i] ? modes[i] : 0600);
		shmring_close(r);
		must(shmring_remove(room_path("ring")));
	}
	ck_assert_uint_eq(umask(old), 077);
	config.mode = 01000;
	must_fail(EINVAL, shmring_create(&r, room_path("ring"), &config));
}
END_TEST

START_TEST(config_out_of_range_is_refused_and_leaves_nothing)
{
	struct shmring_config good = small_config(), bad[12];
	struct shmring_ring *r;

	for (int i = 0; i < 12; i++)
		bad[i] = good;
	bad[0].lane_size = 1 << 15;
	bad[1].lane_size = (1 << 16) + 8;
	bad[2].lane_size = (uint64_t)1 << 33;
	bad[3].lanes = 65;
	bad[4].alignment = 7;
	bad[5].alignment = 4096;
	bad[6].slow_policy = 2;
	bad[7].unread_policy = 2;
	bad[8].max_sleep_ns = 999999;
	bad[9].max_sleep_ns = 10000000001;
	bad[10].wake = 2;
	bad[11].size = 0;
	for (int i = 0; i < 12; i++) {
		ck_assert_msg(shmring_create(&r, room_path("ring"), &bad[i]) == -EINVAL, "%d", i);
		ck_assert_str_ne(shmring_explain(), "");
		ck_assert_uint_eq(count_files(), 0);
	}
}
END_TEST

/* A newer program may ask for a feature that this library does not know: it must get an error. */
START_TEST(unknown_options_are_refused)
{
	struct {
		struct shmring_config config;
		uint64_t more;
	} config = { .config = small_config(), .more = 1 };
	struct {
		struct shmring_producer_options options;
		uint64_t more;
	} produce = { .options.size = sizeof(produce), .more = 1 };
	struct {
		struct shmring_consumer_options options;
		uint64_t more;
	} consume = { .options.size = sizeof(consume), .more = 1 };
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct shmring_ring *r;

	config.config.size = sizeof(config);
	must_fail(EINVAL, shmring_create(&r, room_path("ring"), &config.config));
	config.config.size = sizeof(config.config);
	must(shmring_create(&r, room_path("ring"), &config.config));
	must_fail(EINVAL, shmring_producer_attach(&p, r, &produce.options));
	must_fail(EINVAL, shmring_consumer_attach(&c, r, &consume.options));
	produce.options.size = consume.options.size = 0;
	must_fail(EINVAL, shmring_producer_attach(&p, r, &produce.options));
	must_fail(EINVAL, shmring_consumer_attach(&c, r, &consume.options));
	shmring_close(r);
}
END_TEST

START_TEST(options_of_other_versions_work_while_they_ask_for_nothing_unknown)
{
	struct {
		struct shmring_config config;
		uint64_t more;
	} newer = { .config = small_config() };
	struct shmring_config older = small_config();
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct shmring_ring *r;

	newer.config.size = sizeof(newer);
	must(shmring_create(&r, NULL, &newer.config));
	shmring_close(r);
	older.size = offsetof(struct shmring_config, alignment);
	older.alignment = 7;
	must(shmring_create(&r, NULL, &older));
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.lane_size, older.lane_size);
	ck_assert_uint_eq(st.alignment, 8);
	shmring_close(r);
}
END_TEST

START_TEST(bare_names_live_in_the_private_directory)
{
	struct shmring_config config = small_config();
	char directory[4096], due[4096];
	struct shmring_ring *r;
	struct stat st;

	snprintf(due, sizeof(due), "%s/shmring", room_directory());
	ck_assert_int_eq((int)must(shmring_directory(directory, sizeof(directory))),
			 (int)strlen(due));
	ck_assert_str_eq(directory, due);
	must_fail(ENAMETOOLONG, shmring_directory(directory, strlen(due)));
	must_fail(ENOENT, shmring_open(&r, "bare"));
	must(shmring_create(&r, "bare", &config));
	shmring_close(r);
	ck_assert_int_eq(stat(room_path("shmring"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	must(shmring_open(&r, "bare"));
	shmring_close(r);
	must(shmring_open(&r, room_path("shmring/bare")));
	shmring_close(r);
	must(shmring_remove("bare"));
	must_fail(ENOENT, shmring_open(&r, "bare"));
	unsetenv("XDG_RUNTIME_DIR");
	snprintf(due, sizeof(due), "/dev/shm/shmring-%u", geteuid());
	must(shmring_directory(directory, sizeof(directory)));
	ck_assert_str_eq(directory, due);
}
END_TEST

/* A user that may write into the private directory could exchange the ring. */
START_TEST(private_directory_of_another_user_is_refused)
{
	struct shmring_config config = small_config();
	struct shmring_ring *r;

	ck_assert_int_eq(mkdir(room_path("shmring"), 0700), 0);
	ck_assert_int_eq(chmod(room_path("shmring"), 0777), 0);
	ck_assert_int_lt(shmring_create(&r, "bare", &config), 0);
	ck_assert_str_ne(shmring_explain(), "");
}
END_TEST

START_TEST(version_is_returned)
{
	int major, minor, patch;

	ck_assert_int_eq(sscanf(shmring_version(), "%d.%d.%d", &major, &minor, &patch), 3);
}
END_TEST

START_TEST(deadline_saturates)
{
	ck_assert_int_eq(shmring_deadline(INT64_MAX), SHMRING_FOREVER);
	ck_assert_int_eq(shmring_deadline(SHMRING_FOREVER), SHMRING_FOREVER);
	ck_assert_int_ge(shmring_deadline(1000000), clock_now());
	ck_assert_int_le(shmring_deadline(0), clock_now());
	ck_assert_int_le(shmring_deadline(-5), clock_now());
}
END_TEST

int main(void)
{
	Suite *s = suite_create("files");
	TCase *tc = room_case(s, "files", 30);

	tcase_add_test(tc, existing_name_is_not_taken);
	tcase_add_test(tc, one_of_two_creators_wins);
	tcase_add_test(tc, killed_creator_leaves_a_ring_or_nothing);
	tcase_add_test(tc, ring_that_is_replaced_for_ever_is_whole_for_every_opener);
	tcase_add_test(tc, many_creators_race_many_times);
	tcase_add_loop_test(tc, removed_ring_goes_on_for_attached_processes, 0, WAY_FILE_FORK);
	tcase_add_loop_test(tc, stat_shows_the_shape, 0, WAYS);
	tcase_add_test(tc, default_ring_has_eight_lanes_of_eight_mebibytes);
	tcase_add_test(tc, stat_lane_shows_its_content);
	tcase_add_test(tc, stat_consumer_shows_its_lag);
	tcase_add_test(tc, mode_is_as_requested);
	tcase_add_test(tc, config_out_of_range_is_refused_and_leaves_nothing);
	tcase_add_test(tc, unknown_options_are_refused);
	tcase_add_test(tc, options_of_other_versions_work_while_they_ask_for_nothing_unknown);
	tcase_add_test(tc, bare_names_live_in_the_private_directory);
	tcase_add_test(tc, private_directory_of_another_user_is_refused);
	tcase_add_test(tc, version_is_returned);
	tcase_add_test(tc, deadline_saturates);
	return run_suite(s);
}
