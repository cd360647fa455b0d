/* SPDX-License-Identifier: MIT */
/*
 * The operations on whole rings, by a process that is neither producer nor
 * consumer. Making and removing is about another ring in the same directory.
 */
#include "sweep.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "must.h"
#include "room.h"

#define NAME "logger"

enum { FEW = 5, MANY = 20 };

static struct shmring_config other_config(void)
{
	return (struct shmring_config){ .size = sizeof(struct shmring_config),
					.lane_size = LANE,
					.lanes = 1 };
}

static int act_create(void *subject)
{
	const struct shmring_config config = other_config();
	struct subject *s = subject;

	return shmring_create(&s->other, s->scene->other_path, &config);
}

static void finish_create(struct subject *s, int result)
{
	if (result == -EEXIST)
		return;
	must(result);
	s->board->made = true;
	shmring_close(s->other);
}

/* The second creator gets -EEXIST. */
static void rival_create(struct scene *s)
{
	const struct shmring_config config = other_config();
	struct shmring_ring *r;
	int e = shmring_create(&r, s->other_path, &config);

	if (e < 0) {
		must_fail(EEXIST, e);
		return;
	}
	s->made = true;
	shmring_close(r);
}

/* A ring that exists is whole: it can be used. */
static void use_other(const char *path)
{
	struct shmring_consumer *c;
	struct shmring_producer *p;
	struct shmring_message m;
	struct shmring_ring *r;

	must(shmring_open(&r, path));
	must(shmring_consumer_attach(&c, r, NULL));
	must(shmring_producer_attach(&p, r, NULL));
	must(shmring_publish(p, "hello", 5, SHMRING_NOWAIT));
	must(shmring_peek(c, SHMRING_NOWAIT, &m));
	expect(m.len == 5 && memcmp(m.data, "hello", 5) == 0, "not what was published");
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}

/* The ring exists, or does not; and the test can make it. */
static void verify_create(struct scene *s, bool killed)
{
	const struct shmring_config config = other_config();
	struct shmring_ring *r;
	int e = shmring_create(&r, s->other_path, &config);

	expect(killed || s->made != s->board->made, "created by %s", s->made ? "both" : "neither");
	if (e == 0) {
		expect(killed && !s->made, "the ring that was created is not there");
		shmring_close(r);
	} else {
		must_fail(EEXIST, e);
	}
	use_other(s->other_path);
	must(shmring_remove(s->other_path));
}

static void before_remove(struct scene *s)
{
	const struct shmring_config config = other_config();
	struct shmring_ring *r;

	must(shmring_create(&r, s->other_path, &config));
	shmring_close(r);
}

static int act_remove(void *subject)
{
	struct subject *s = subject;

	return shmring_remove(s->scene->other_path);
}

static void finish_remove(struct subject *s, int result)
{
	if (result != -ENOENT)
		must(result);
	s->board->made = result == 0;
}

static void rival_remove(struct scene *s)
{
	int e = shmring_remove(s->other_path);

	if (e < 0)
		must_fail(ENOENT, e);
	s->made = e == 0;
}

static void verify_remove(struct scene *s, bool killed)
{
	int e = shmring_remove(s->other_path);

	expect(killed || s->made != s->board->made, "removed by %s", s->made ? "both" : "neither");
	if (!killed || e < 0)
		must_fail(ENOENT, e);
}

static int act_open(void *subject)
{
	struct subject *s = subject;

	return shmring_open(&s->other, s->scene->path);
}

static void finish_open(struct subject *s, int result)
{
	must(result);
	shmring_close(s->other);
}

/* A producer, a consumer and the holder of a name are dead, and no process has noticed. */
static void before_reap(struct scene *s)
{
	scene_write(s, MANY);
	scene_victim_producer(s);
	scene_victim_dies(s);
	scene_victim_consumer(s, NULL);
	scene_victim_dies(s);
	scene_victim_consumer(s, NAME);
	scene_victim_dies(s);
}

static int act_reap(void *subject)
{
	struct subject *s = subject;

	return shmring_reap(s->ring);
}

static void rival_reap(struct scene *s)
{
	must(shmring_reap(s->ring));
}

/* Between them they have found all three; the name may have lapsed since. */
static void verify_reap(struct scene *s, bool killed)
{
	struct shmring_ring_stat st = { .size = sizeof(st) };

	(void)killed;
	must(shmring_reap(s->ring));
	must(shmring_stat(s->ring, &st));
	expect(st.producers == 1 && st.consumers == 1, "%u producers, %u consumers", st.producers,
	       st.consumers);
	must(shmring_forget(s->ring, NAME));
}

static void before_forget(struct scene *s)
{
	scene_write(s, MANY);
	scene_history(s, FEW);
}

static int act_forget(void *subject)
{
	struct subject *s = subject;

	return shmring_forget(s->ring, s->scene->operation->name_held);
}

static void finish_forget(struct subject *s, int result)
{
	if (result != -ENOENT)
		must(result);
	s->board->made = result == 0;
}

static void rival_forget(struct scene *s)
{
	int e = shmring_forget(s->ring, s->operation->name_held);

	if (e < 0)
		must_fail(ENOENT, e);
	s->made = e == 0;
}

/* The name is forgotten, or still kept. */
static void verify_forget(struct scene *s, bool killed)
{
	int e = shmring_forget(s->ring, s->operation->name_held);

	expect(killed || s->made != s->board->made, "forgotten by %s",
	       s->made ? "both" : "neither");
	if (!killed || e < 0)
		must_fail(ENOENT, e);
	must_fail(ENOENT, shmring_forget(s->ring, s->operation->name_held));
}

static int act_stat(void *subject)
{
	struct subject *s = subject;
	struct shmring_ring_stat st = { .size = sizeof(st) };

	return shmring_stat(s->ring, &st);
}

/* --- an ephemeral ring, whose last user the subject is --- */

static struct shmring_config ephemeral_config(void)
{
	struct shmring_config config = other_config();

	config.flags = SHMRING_EPHEMERAL;
	return config;
}

static void before_leave(struct scene *s)
{
	const struct shmring_config config = ephemeral_config();
	struct shmring_ring *r;

	must(shmring_create(&r, s->other_path, &config));
	shmring_close(r);
}

static void prepare_leave(struct subject *s)
{
	struct shmring_ring *r;

	must(shmring_open(&r, s->scene->other_path));
	must(shmring_consumer_attach(&s->consumer, r, NULL));
	shmring_close(r);
}

static int act_leave(void *subject)
{
	struct subject *s = subject;

	shmring_consumer_detach(s->consumer);
	s->consumer = NULL;
	return 0;
}

static struct shmring_ring *open_or_make(const char *path)
{
	const struct shmring_config config = ephemeral_config();
	struct shmring_ring *r;
	int e;

	do {
		e = shmring_open(&r, path);
		if (e == -ENOENT)
			e = shmring_create(&r, path, &config);
	} while (e == -EEXIST);
	must(e);
	return r;
}

/* Two that come by the name while the subject stands there meet in one ring. */
static void rival_leave(struct scene *s)
{
	struct shmring_ring *ours = open_or_make(s->other_path), *theirs = NULL;
	const struct shmring_consumer_options oldest = { .size = sizeof(oldest),
							 .start = SHMRING_START_OLDEST };
	struct shmring_consumer *c;
	struct shmring_producer *p;
	struct shmring_message m;
	int e;

	while ((e = shmring_producer_attach(&p, ours, NULL)) == -EIDRM) {
		shmring_close(ours);
		ours = open_or_make(s->other_path);
	}
	must(e);
	must(shmring_publish(p, "hello", 5, SHMRING_NOWAIT));
	must(shmring_open(&theirs, s->other_path));
	must(shmring_consumer_attach(&c, theirs, &oldest));
	must(shmring_peek(c, SHMRING_NOWAIT, &m));
	expect(m.len == 5 && memcmp(m.data, "hello", 5) == 0, "not what was published");
	shmring_consumer_detach(c);
	shmring_producer_detach(p);
	shmring_close(theirs);
	shmring_close(ours);
}

/* Where a leaver was killed, the next open finishes the removal. */
static void finish_hidden(void)
{
	char path[PATH_MAX];
	DIR *d = opendir(room_directory());
	const struct dirent *entry;
	struct shmring_ring *r;

	expect(d, "no directory");
	while ((entry = readdir(d)) != NULL) {
		if (strncmp(entry->d_name, SHMRING_HIDDEN_PREFIX, strlen(SHMRING_HIDDEN_PREFIX)))
			continue;
		snprintf(path, sizeof(path), "%s/%s", room_directory(), entry->d_name);
		must_fail(ENOENT, shmring_open(&r, path));
		expect(access(path, F_OK) != 0, "the hidden ring is still there");
	}
	closedir(d);
}

static void verify_leave(struct scene *s, bool killed)
{
	struct shmring_ring *r;

	expect(killed || access(s->other_path, F_OK) != 0, "the ring is still there");
	must_fail(ENOENT, shmring_open(&r, s->other_path));
	expect(access(s->other_path, F_OK) != 0, "its name is still there");
	if (killed)
		finish_hidden();
}

const struct operation ring_operations[] = {
	{ .name = "create",
	  .role = NEITHER,
	  .setup = true,
	  .act = act_create,
	  .finish = finish_create,
	  .rival = rival_create,
	  .verify = verify_create },
	{ .name = "remove",
	  .role = NEITHER,
	  .setup = true,
	  .before = before_remove,
	  .act = act_remove,
	  .finish = finish_remove,
	  .rival = rival_remove,
	  .verify = verify_remove },
	{ .name = "leave-ephemeral",
	  .role = NEITHER,
	  .setup = true,
	  .before = before_leave,
	  .prepare = prepare_leave,
	  .act = act_leave,
	  .rival = rival_leave,
	  .verify = verify_leave },
	{ .name = "open", .role = NEITHER, .setup = true, .act = act_open, .finish = finish_open },
	{ .name = "stat", .role = NEITHER, .setup = true, .act = act_stat },
	{ .name = "reap",
	  .role = NEITHER,
	  .setup = true,
	  .evict = true,
	  .presses = true,
	  .before = before_reap,
	  .act = act_reap,
	  .rival = rival_reap,
	  .verify = verify_reap },
	{ .name = "forget",
	  .role = NEITHER,
	  .setup = true,
	  .evict = true,
	  .presses = true,
	  .name_held = NAME,
	  .before = before_forget,
	  .act = act_forget,
	  .finish = finish_forget,
	  .rival = rival_forget,
	  .verify = verify_forget },
};
const unsigned ring_operation_count = sizeof(ring_operations) / sizeof(*ring_operations);
