/* SPDX-License-Identifier: MIT */
/*
 * operations: see operations.h. Those of a kind share what must be so before.
 */
#include "operations.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "room.h"

enum { LENGTH = 1000 };

/* --- what becomes of files that the helper makes --- */

/* A whole ring, or nothing. */
static void clean_made(struct scene *s)
{
	struct shmring_ring *r;

	(void)s;
	if (access(room_path("made"), F_OK) != 0)
		return;
	must(shmring_open(&r, room_path("made")));
	shmring_close(r);
	must(shmring_remove(room_path("made")));
}

static void clean_bare(struct scene *s)
{
	struct shmring_ring *r;

	(void)s;
	if (access(room_path("shmring/made"), F_OK) == 0) {
		must(shmring_open(&r, "made"));
		shmring_close(r);
		must(shmring_remove("made"));
	}
	ck_assert(rmdir(room_path("shmring")) == 0 || errno == ENOENT);
}

void scene_publish(struct scene *s, uint64_t count)
{
	publish_numbers(s->producer, SOURCE, s->number, count, 100);
	s->number += count;
}

/* --- the operations --- */

static int create_named(struct scene *s)
{
	struct shmring_config config = small_config();

	return shmring_create(&s->made, s->made_path, &config);
}

static int create_hidden(struct scene *s)
{
	struct shmring_config config = small_config();

	return shmring_create(&s->made, NULL, &config);
}

static int create_bare(struct scene *s)
{
	struct shmring_config config = small_config();

	return shmring_create(&s->made, "made", &config);
}

static int open_named(struct scene *s)
{
	return shmring_open(&s->made, s->path);
}

static void enter_hidden(struct scene *s)
{
	must(shmring_join(s->hidden));
	s->fd = (int)must(shmring_fd(s->hidden));
}

static int open_hidden(struct scene *s)
{
	return shmring_open_fd(&s->made, s->fd);
}

static void undo_open(struct scene *s)
{
	/* Refused for writing, it was opened for reading: the call that says so later. */
	if (s->kind == CALL_OPEN && s->done)
		must_fail(EACCES, shmring_producer_attach(&s->p, s->made, NULL));
	shmring_close(s->made);
	s->made = NULL;
}

static void undo_create(struct scene *s)
{
	shmring_producer_detach(producer_attach(s->made));
	undo_open(s);
	must(shmring_remove(room_path("made")));
}

static void undo_create_bare(struct scene *s)
{
	undo_open(s);
	must(shmring_remove("made"));
}

static void make_one(struct scene *s)
{
	must(create_named(s));
	shmring_close(s->made);
	s->made = NULL;
}

static int remove_one(struct scene *s)
{
	return shmring_remove(s->made_path);
}

/* A ring of the dead. */
static void make_unused(struct scene *s)
{
	make_one(s);
	must(shmring_open(&s->made, s->made_path));
	shmring_consumer_detach(consumer_attach(s->made, NULL, 0, 0));
	shmring_close(s->made);
	s->made = NULL;
}

static int remove_unused(struct scene *s)
{
	return shmring_remove_unused(s->made_path, 1, 0);
}

/* Under its name, or hidden, which the next one finishes, or gone. */
static void clean_unused(struct scene *s)
{
	DIR *d = opendir(room_directory());
	const struct dirent *entry;

	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d)) != NULL)
		if (strncmp(entry->d_name, SHMRING_HIDDEN_PREFIX, strlen(SHMRING_HIDDEN_PREFIX)) ==
		    0)
			must(shmring_remove_unused(room_path(entry->d_name), 0, 0));
	closedir(d);
	clean_made(s);
}

static void enter_open(struct scene *s)
{
	must(shmring_open(&s->mine, s->path));
}

static int close_mine(struct scene *s)
{
	shmring_close(s->mine);
	s->mine = NULL;
	return 0;
}

static int join(struct scene *s)
{
	return shmring_join(s->ring);
}

static int attach_producer(struct scene *s)
{
	return shmring_producer_attach(&s->p, s->mine, NULL);
}

static void publish_as_helper(struct scene *s, uint64_t count)
{
	publish_numbers(s->p, s->source, s->sent, count, LENGTH);
	s->sent += count;
}

static int detach_producer(struct scene *s)
{
	shmring_producer_detach(s->p);
	s->p = NULL;
	s->source += UINT64_C(1) << 32; /* the next one is another */
	s->sent = 0;
	return 0;
}

static const struct shmring_memory all_of_it = {
	.lock = SHMRING_LOCK_ALL,
	.flags = SHMRING_MEMORY_STRICT | SHMRING_MEMORY_PREFAULT | SHMRING_MEMORY_HUGE,
};

static int attach_producer_strictly(struct scene *s)
{
	struct shmring_producer_options options = { .size = sizeof(options), .memory = all_of_it };

	return shmring_producer_attach(&s->p, s->mine, &options);
}

/* The report's content when a lock was refused. */
static void expect_report(const struct scene *s, const struct shmring_memory_report *report)
{
	if (s->kind == CALL_MLOCK && s->done)
		ck_assert_int_eq(report->lock_error, -s->fault.error);
}

static void undo_producer(struct scene *s)
{
	struct shmring_memory_report report = { .size = sizeof(report) };

	must(shmring_producer_memory(s->p, &report));
	expect_report(s, &report);
	publish_as_helper(s, 3);
	detach_producer(s);
}

static int attach(struct scene *s, const char *name, uint32_t flags, struct shmring_memory memory)
{
	struct shmring_consumer_options options = {
		.size = sizeof(options),
		.name = name,
		.flags = flags,
		.memory = memory,
	};

	return shmring_consumer_attach(&s->c, s->mine, &options);
}

static int attach_consumer(struct scene *s)
{
	return attach(s, NULL, 0, (struct shmring_memory){ 0 });
}

static int attach_consumer_strictly(struct scene *s)
{
	return attach(s, NULL, 0, all_of_it);
}

static int attach_name(struct scene *s)
{
	return attach(s, "name", 0, (struct shmring_memory){ 0 });
}

static int attach_observer(struct scene *s)
{
	return attach(s, NULL, SHMRING_OBSERVE, (struct shmring_memory){ 0 });
}

static void undo_consumer(struct scene *s)
{
	struct shmring_memory_report report = { .size = sizeof(report) };
	struct audit audit;

	must(shmring_consumer_memory(s->c, &report));
	expect_report(s, &report);
	audit_begin(&audit, false);
	consume_audited(s->c, &audit, 1);
	ck_assert_msg(audit_faults(&audit) == 0, "%s", audit.first_fault);
	shmring_consumer_detach(s->c);
	s->c = NULL;
}

static int detach_consumer(struct scene *s)
{
	shmring_consumer_detach(s->c);
	s->c = NULL;
	return 0;
}

/* --- an ephemeral ring beside the scene's --- */

static int create_ephemeral(struct scene *s)
{
	struct shmring_config config = small_config();

	config.flags = SHMRING_EPHEMERAL;
	return shmring_create(&s->made, s->made_path, &config);
}

/* Its first user is its last one. */
static void undo_create_ephemeral(struct scene *s)
{
	shmring_producer_detach(producer_attach(s->made));
	ck_assert(access(s->made_path, F_OK) != 0);
	shmring_close(s->made);
	s->made = NULL;
}

static void make_ephemeral(struct scene *s)
{
	must(create_ephemeral(s));
	shmring_close(s->made);
	s->made = NULL;
}

static void enter_last(struct scene *s)
{
	must(shmring_open(&s->mine, s->made_path));
	s->c = consumer_attach(s->mine, NULL, 0, 0);
}

static void undo_producer_only(struct scene *s)
{
	shmring_producer_detach(s->p);
	s->p = NULL;
}

static int take_place_and_exit(int socket, void *arg)
{
	struct scene *s = arg;

	(void)socket;
	enter_last(s);
	return 0;
}

/* Its last user has gone without a detach. */
static void make_left(struct scene *s)
{
	struct child c;

	make_ephemeral(s);
	child_fork(&c, take_place_and_exit, s);
	child_end(&c);
}

/* What cannot be removed is open. */
static int open_left(struct scene *s)
{
	struct shmring_ring *r;
	int e = shmring_open(&r, s->made_path);

	if (e == 0)
		shmring_close(r);
	return e == -ENOENT ? 0 : e;
}

/* Under its name, or hidden, or gone: the next open finishes it, if it was used. */
static void clean_ephemeral(struct scene *s)
{
	DIR *d = opendir(room_directory());
	const struct dirent *entry;
	struct shmring_ring *r;

	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d)) != NULL)
		if (strncmp(entry->d_name, SHMRING_HIDDEN_PREFIX, strlen(SHMRING_HIDDEN_PREFIX)) ==
		    0)
			must_fail(ENOENT, shmring_open(&r, room_path(entry->d_name)));
	closedir(d);
	if (access(s->made_path, F_OK) != 0)
		return;
	must_fail(ENOENT, shmring_open(&r, s->made_path));
	ck_assert(access(s->made_path, F_OK) != 0);
}

static void enter_producer(struct scene *s)
{
	enter_open(s);
	must(attach_producer(s));
}

static void enter_consumer(struct scene *s)
{
	enter_open(s);
	must(attach_consumer(s));
}

static void enter_name(struct scene *s)
{
	enter_open(s);
	must(attach_name(s));
}

static void enter_observer(struct scene *s)
{
	enter_open(s);
	must(attach_observer(s));
}

/* --- the dead --- */

/* Takes a lane and a consumer's place, and ends with both. */
static int take_and_end(int socket, void *arg)
{
	struct scene *s = arg;

	(void)socket;
	s->source = SOURCE + s->run;
	enter_producer(s);
	publish_as_helper(s, 2);
	must(attach_name(s));
	return 0;
}

static void leave_dead(struct scene *s)
{
	struct child c;

	child_fork(&c, take_and_end, s);
	child_end(&c);
	s->run++; /* it was a source of its own */
}

static void forget_name(struct scene *s)
{
	int e = shmring_forget(s->ring, "name");

	ck_assert(e == 0 || e == -ENOENT);
}

static int take_name_and_leave(int socket, void *arg)
{
	struct scene *s = arg;

	(void)socket;
	enter_name(s);
	detach_consumer(s);
	return 0;
}

static void leave_name(struct scene *s)
{
	struct child c;

	child_fork(&c, take_name_and_leave, s);
	child_end(&c);
}

static int reap(struct scene *s)
{
	int n = shmring_reap(s->mine);

	return n < 0 ? n : 0;
}

static int forget(struct scene *s)
{
	return shmring_forget(s->mine, "name");
}

/* --- looking --- */

static int look_at_ring(struct scene *s)
{
	struct shmring_ring_stat st = { .size = sizeof(st) };
	int e = shmring_stat(s->mine, &st);

	if (e == 0 && (s->kind == CALL_MMAP || s->kind == CALL_MINCORE) && !s->done)
		ck_assert_uint_eq(st.resident, UINT64_MAX);
	return e;
}

static int look_at_lane(struct scene *s)
{
	struct shmring_lane_stat st = { .size = sizeof(st) };

	return shmring_stat_lane(s->mine, 0, &st);
}

static int look_at_consumer(struct scene *s)
{
	struct shmring_consumer_stat st = { .size = sizeof(st) };

	return shmring_stat_consumer(s->mine, 0, &st);
}

static int look_at_memory(struct scene *s)
{
	struct shmring_memory_report report = { .size = sizeof(report) };
	int e = shmring_producer_memory(s->p, &report);

	if (e == 0 && s->kind == CALL_MINCORE && !s->done)
		ck_assert_uint_eq(report.resident, UINT64_MAX);
	return e;
}

/* --- waiting --- */

/* At once to sleep: how long it spins must not decide what calls it makes. */
static void enter_reader(struct scene *s)
{
	struct shmring_consumer_options options = {
		.size = sizeof(options),
		.start = SHMRING_START_NOW,
		.spin_ns = -1,
	};

	enter_open(s);
	must(shmring_consumer_attach(&s->c, s->mine, &options));
}

static int wait_for_message(struct scene *s)
{
	struct shmring_message m;

	return shmring_peek(s->c, patience(), &m);
}

static void undo_wait_for_message(struct scene *s)
{
	must(shmring_release(s->c));
}

static void publish_once(void *arg)
{
	struct scene *s = arg;

	if (!s->slept)
		scene_publish(s, 1);
	s->slept = true;
}

static void enter_writer(struct scene *s)
{
	struct shmring_producer_options options = { .size = sizeof(options), .spin_ns = -1 };

	enter_open(s);
	must(shmring_producer_attach(&s->p, s->mine, &options));
	s->sent = publish_until_full(s->p, s->source, 0, LENGTH);
	/* It has just asked whether the consumer lives, and asks again in a millisecond. */
	for (int64_t again = clock_now() + 2 * MS; clock_now() < again;)
		;
}

static int publish_one(struct scene *s)
{
	char data[LENGTH];
	int e;

	audit_fill(data, sizeof(data), s->source, s->sent);
	e = shmring_publish(s->p, data, sizeof(data), patience());
	s->sent += e == 0;
	return e;
}

static void consume_when_asleep(void *arg)
{
	struct scene *s = arg;

	consume_all(s->consumer, &s->audit);
}

/* A consumer that holds producers back and dies when they have filled the ring. */
static void start_doomed(struct scene *s)
{
	ring_start(&s->peer);
	ck_assert_int_eq(peer_consumer(&s->peer, NULL, SHMRING_START_NOW, 0), 0);
}

static void kill_doomed(struct scene *s)
{
	consume_all(s->consumer, &s->audit);
	child_kill(&s->peer.child);
}

/* The descriptor by which it would have proved the death is gone. */
static void enter_writer_without_descriptor(struct scene *s)
{
	enter_writer(s);
	close((int)must(shmring_fd(s->mine)));
}

/* --- waking --- */

static void start_sleeping_reader(struct scene *s)
{
	struct peer_command command = { .op = PEER_CONSUMER,
					.start = SHMRING_START_NOW,
					.spin_ns = -1 };

	ring_start(&s->peer);
	ck_assert_int_eq(peer_call(&s->peer, &command), 0);
	peer_tell_consume(&s->peer, 1);
	child_await_sleep(&s->peer.child);
}

static void expect_reader_woken(struct scene *s)
{
	ck_assert_int_eq(peer_answer(&s->peer), 1);
	peer_quit(&s->peer);
}

static void start_writer(struct scene *s)
{
	struct peer_command command = { .op = PEER_PRODUCER,
					.source = SOURCE + s->run++,
					.spin_ns = -1 };

	ring_start(&s->peer);
	ck_assert_int_eq(peer_call(&s->peer, &command), 0);
}

/* It has filled the lane and sleeps; only the helper holds it back. */
static void await_sleeping_writer(struct scene *s)
{
	uint64_t taken;

	peer_tell(&s->peer, &(struct peer_command){ .op = PEER_PRODUCE,
						    .count = 100,
						    .min = LENGTH,
						    .max = LENGTH,
						    .deadline = patience() });
	do {
		taken = consume_all(s->consumer, &s->audit);
		child_await_sleep(&s->peer.child);
	} while (taken > 0);
}

static int take_and_release(struct scene *s)
{
	struct shmring_message m;

	while (shmring_peek(s->c, SHMRING_NOWAIT, &m) == 0)
		;
	return shmring_release(s->c);
}

static void expect_writer_woken(struct scene *s)
{
	struct pollfd answered = { .fd = s->peer.child.socket, .events = POLLIN };
	int64_t limit = patience();

	while (poll(&answered, 1, 1) == 0) {
		consume_all(s->consumer, &s->audit); /* this one holds it, too */
		ck_assert_int_lt(clock_now(), limit);
	}
	ck_assert_int_eq(peer_answer(&s->peer), 100);
	peer_quit(&s->peer);
}

/* --- all of them --- */

/*
 * The call checks once more that the name is free when it gives the name. If reading
 * the boot's ID fails at first and then works, the new ring has no boot (-ESTALE).
 */
static const struct exception creating[] = { { CALL_STAT, { 0, { DONE } } },
					     { CALL_OPEN, { EACCES, { SAME, ESTALE } } },
					     { CALL_MMAP, { 0, { SAME, ENOMEM } } },
					     { 0 } };
static const struct exception creating_bare[] = { { CALL_STAT, { 0, { DONE } } },
						  { CALL_OPEN, { EACCES, { SAME, ESTALE } } },
						  { CALL_MMAP, { 0, { SAME, ENOMEM } } },
						  { CALL_FSTAT, { 0, { SAME, EPERM } } },
						  { 0 } };
/* A file without permission to write is opened for reading. */
static const struct exception opening[] = { { CALL_OPEN, { EACCES, { SAME, DONE } } },
					    { CALL_MMAP, { 0, { SAME, ENOMEM } } },
					    { 0 } };
/* A ring stays if another process may have it, or if it may be another ring by now. */
static const struct exception removing_unused[] = {
	{ CALL_OPEN, { EBADMSG, { SAME, ENOTEMPTY } } },
	{ CALL_FSTAT, { 0, { SAME, EAGAIN, DONE } } },
	{ CALL_STAT, { 0, { SAME, EAGAIN } } },
	{ CALL_MMAP, { 0, { SAME, ENOMEM } } },
	{ CALL_PROBE,
	  { 0,
	    { SAME,
	      DONE } } }, /* of attached processes, or whether a descriptor is the library's */
	{ CALL_LOCK, { 0, { SAME, EBUSY, DONE } } }, /* of the descriptor */
	{ CALL_FLOCK, { ENOLCK, { SAME, DONE } } },  /* also to unlock */
	{ CALL_FLOCK, { EINTR, { SAME, DONE } } },
	{ CALL_FLOCK, { 0, { EBUSY, DONE } } },
	{ 0 }
};
/* A detach has no errors: what cannot be removed stays for the next open. */
static const struct exception leaving_last[] = {
	{ CALL_OPEN, { 0, { DONE } } },	  { CALL_STAT, { 0, { DONE } } },
	{ CALL_FSTAT, { 0, { DONE } } },  { CALL_FLOCK, { 0, { DONE } } },
	{ CALL_PROBE, { 0, { DONE } } },  { CALL_RENAME, { 0, { DONE } } },
	{ CALL_UNLINK, { 0, { DONE } } }, { CALL_LOCK, { 0, { DONE } } },
	{ CALL_MMAP, { 0, { DONE } } },	  { 0 },
};
static const struct exception opening_left[] = {
	{ CALL_OPEN, { 0, { SAME, DONE } } },	{ CALL_STAT, { 0, { SAME, DONE } } },
	{ CALL_FSTAT, { 0, { SAME, DONE } } },	{ CALL_FLOCK, { 0, { DONE } } },
	{ CALL_PROBE, { 0, { DONE } } },	{ CALL_RENAME, { 0, { DONE } } },
	{ CALL_UNLINK, { 0, { DONE } } },	{ CALL_LOCK, { 0, { SAME, EBUSY, DONE } } },
	{ CALL_MMAP, { 0, { SAME, ENOMEM } } }, { 0 },
};
/* It is opened by its name when it has one; what fails then only shortens what is known. */
static const struct exception creating_ephemeral[] = { { CALL_STAT, { 0, { SAME, DONE } } },
						       { CALL_OPEN, { 0, { SAME, ESTALE, DONE } } },
						       { CALL_MMAP, { 0, { SAME, ENOMEM, DONE } } },
						       { CALL_FSTAT, { 0, { SAME, DONE } } },
						       { CALL_FSTATFS, { 0, { SAME, DONE } } },
						       { CALL_STATX, { 0, { SAME, DONE } } },
						       { CALL_PREAD, { 0, { SAME, DONE } } },
						       { CALL_LOCK, { 0, { SAME, EBUSY, DONE } } },
						       { CALL_WIPEONFORK,
							 { 0, { SAME, ENOMEM, DONE } } },
						       { CALL_FLAGS, { 0, { SAME, DONE } } },
						       { CALL_RANDOM, { 0, { SAME, DONE } } },
						       { CALL_PROBE, { 0, { SAME, DONE } } },
						       { 0 } };
static const struct exception attaching_ephemeral[] = {
	{ CALL_FSTAT, { 0, { EBADF, DONE } } }, { CALL_PROBE, { 0, { SAME, DONE } } },
	{ CALL_MMAP, { 0, { SAME, ENOMEM } } }, { CALL_FLOCK, { 0, { DONE } } },
	{ CALL_OPEN, { 0, { SAME, DONE } } },	{ 0 },
};
static const struct exception closing[] = { { CALL_FSTAT, { 0, { DONE } } },
					    { CALL_LOCK, { 0, { DONE } } }, /* to unlock */
					    { 0 } };
static const struct exception joining[] = { { CALL_FSTAT, { 0, { EBADF } } }, { 0 } };
/* Asked are: is the descriptor still the ring's, do others live, is my lock there? */
static const struct exception attaching[] = { { CALL_FSTAT, { 0, { EBADF, DONE } } },
					      { CALL_PROBE, { 0, { SAME, DONE } } },
					      { CALL_MMAP, { 0, { SAME, ENOMEM } } },
					      { 0 } };
static const struct exception attaching_strictly[] = {
	{ CALL_FSTAT, { 0, { EBADF, DONE } } },		  { CALL_PROBE, { 0, { SAME, DONE } } },
	{ CALL_MMAP, { 0, { SAME, ENOMEM } } },		  { CALL_MLOCK, { 0, { SAME } } },
	{ CALL_POPULATE, { 0, { SAME, ENOSPC, DONE } } }, { 0 },
};
static const struct exception taking_over[] = { { CALL_FSTAT, { 0, { EBADF, EUSERS } } },
						{ CALL_PROBE, { 0, { SAME, EUSERS, DONE } } },
						{ CALL_MMAP, { 0, { SAME, ENOMEM } } },
						{ 0 } };
/* The lock of a name that is free may just be going. */
static const struct exception resuming[] = {
	{ CALL_FSTAT, { 0, { EBADF, DONE } } },	    { CALL_PROBE, { 0, { SAME, DONE } } },
	{ CALL_MMAP, { 0, { SAME, ENOMEM } } },	    { CALL_LOCK, { EAGAIN, { EBUSY, DONE } } },
	{ CALL_LOCK, { EACCES, { EBUSY, DONE } } }, { 0 }
};
static const struct exception looking[] = { { CALL_FSTAT, { 0, { EBADF, SAME } } },
					    { CALL_MMAP, { 0, { DONE } } },
					    { 0 } };
static const struct exception looking_at_lane[] = { { CALL_FSTAT, { 0, { EBADF } } }, { 0 } };
/* The ends of the lanes are for its lag, which is unknown without them. */
static const struct exception looking_at_consumer[] = {
	{ CALL_FSTAT, { 0, { EBADF, SAME, DONE } } }, { CALL_MMAP, { 0, { DONE } } }, { 0 }
};
/* A death that cannot be proved at once is looked for again. */
static const struct exception waiting[] = { { CALL_FSTAT, { 0, { DONE } } },
					    { CALL_OPEN, { 0, { DONE } } },
					    { CALL_LOCK, { 0, { DONE } } }, /* a mark */
					    { CALL_MMAP, { 0, { DONE } } },
					    { 0 } };

const struct operation operations[] = {
	{ .name = "create a ring",
	  .run = create_named,
	  .undo = undo_create,
	  .clean = clean_made,
	  .exceptions = creating },
	{ .name = "create a ring without a name",
	  .run = create_hidden,
	  .undo = undo_open,
	  .exceptions = creating },
	{ .name = "create a ring by a bare name",
	  .run = create_bare,
	  .undo = undo_create_bare,
	  .clean = clean_bare,
	  .exceptions = creating_bare },
	{ .name = "open", .run = open_named, .undo = undo_open, .exceptions = opening },
	{ .name = "open a descriptor",
	  .run = open_hidden,
	  .enter = enter_hidden,
	  .undo = undo_open,
	  .exceptions = opening },
	{ .name = "remove",
	  .run = remove_one,
	  .prepare = make_one,
	  .clean = clean_made,
	  .once = true },
	{ .name = "remove an unused ring",
	  .run = remove_unused,
	  .prepare = make_unused,
	  .clean = clean_unused,
	  .once = true,
	  .exceptions = removing_unused },
	{ .name = "create an ephemeral ring",
	  .run = create_ephemeral,
	  .undo = undo_create_ephemeral,
	  .clean = clean_made,
	  .exceptions = creating_ephemeral },
	{ .name = "attach to an ephemeral ring",
	  .run = attach_producer,
	  .undo = undo_producer_only,
	  .enter = enter_last,
	  .prepare = make_ephemeral,
	  .clean = clean_ephemeral,
	  .exceptions = attaching_ephemeral },
	{ .name = "leave an ephemeral ring",
	  .run = detach_consumer,
	  .enter = enter_last,
	  .prepare = make_ephemeral,
	  .clean = clean_ephemeral,
	  .once = true,
	  .exceptions = leaving_last },
	{ .name = "open an ephemeral ring that was left",
	  .run = open_left,
	  .prepare = make_left,
	  .clean = clean_ephemeral,
	  .once = true,
	  .exceptions = opening_left },
	{ .name = "close",
	  .run = close_mine,
	  .enter = enter_open,
	  .once = true,
	  .exceptions = closing },
	{ .name = "join", .run = join, .exceptions = joining },
	{ .name = "become a lane's first owner",
	  .run = attach_producer,
	  .undo = undo_producer,
	  .enter = enter_open,
	  .fresh = true,
	  .exceptions = attaching },
	{ .name = "become a lane's next owner",
	  .run = attach_producer,
	  .undo = undo_producer,
	  .enter = enter_open,
	  .exceptions = attaching },
	{ .name = "become an owner, strictly",
	  .run = attach_producer_strictly,
	  .undo = undo_producer,
	  .enter = enter_open,
	  .exceptions = attaching_strictly },
	{ .name = "take over from a dead owner",
	  .run = attach_producer,
	  .undo = undo_producer,
	  .enter = enter_open,
	  .prepare = leave_dead,
	  .clean = forget_name,
	  .exceptions = taking_over,
	  .dead = true },
	{ .name = "become a consumer",
	  .run = attach_consumer,
	  .undo = undo_consumer,
	  .enter = enter_open,
	  .exceptions = attaching },
	{ .name = "become a consumer, strictly",
	  .run = attach_consumer_strictly,
	  .undo = undo_consumer,
	  .enter = enter_open,
	  .exceptions = attaching_strictly },
	{ .name = "take a new name",
	  .run = attach_name,
	  .undo = undo_consumer,
	  .enter = enter_open,
	  .clean = forget_name,
	  .exceptions = attaching },
	{ .name = "resume a name",
	  .run = attach_name,
	  .undo = undo_consumer,
	  .enter = enter_open,
	  .prepare = leave_name,
	  .clean = forget_name,
	  .exceptions = resuming },
	{ .name = "resume the name of a dead holder",
	  .run = attach_name,
	  .undo = undo_consumer,
	  .enter = enter_open,
	  .prepare = leave_dead,
	  .clean = forget_name,
	  .exceptions = resuming,
	  .dead = true },
	{ .name = "become an observer",
	  .run = attach_observer,
	  .undo = undo_consumer,
	  .enter = enter_open,
	  .exceptions = attaching },
	{ .name = "detach a producer",
	  .run = detach_producer,
	  .enter = enter_producer,
	  .once = true },
	{ .name = "detach a consumer",
	  .run = detach_consumer,
	  .enter = enter_consumer,
	  .once = true },
	{ .name = "detach a named consumer",
	  .run = detach_consumer,
	  .enter = enter_name,
	  .clean = forget_name,
	  .once = true },
	{ .name = "detach an observer",
	  .run = detach_consumer,
	  .enter = enter_observer,
	  .once = true },
	{ .name = "reap",
	  .run = reap,
	  .enter = enter_open,
	  .prepare = leave_dead,
	  .clean = forget_name,
	  .exceptions = attaching,
	  .dead = true },
	{ .name = "forget",
	  .run = forget,
	  .enter = enter_open,
	  .prepare = leave_name,
	  .clean = forget_name,
	  .once = true,
	  .exceptions = attaching },
	{ .name = "look at a ring",
	  .run = look_at_ring,
	  .enter = enter_open,
	  .exceptions = looking },
	{ .name = "look at a lane",
	  .run = look_at_lane,
	  .enter = enter_open,
	  .exceptions = looking_at_lane },
	{ .name = "look at a consumer",
	  .run = look_at_consumer,
	  .enter = enter_open,
	  .exceptions = looking_at_consumer },
	{ .name = "look at a producer's memory", .run = look_at_memory, .enter = enter_producer },
	{ .name = "wait for a message",
	  .run = wait_for_message,
	  .undo = undo_wait_for_message,
	  .enter = enter_reader,
	  .asleep = publish_once,
	  .exceptions = waiting },
	{ .name = "wait for room",
	  .run = publish_one,
	  .enter = enter_writer,
	  .asleep = consume_when_asleep,
	  .exceptions = waiting },
	{ .name = "wait for room that a dead consumer holds",
	  .run = publish_one,
	  .enter = enter_writer,
	  .prepare = start_doomed,
	  .halfway = kill_doomed,
	  .exceptions = waiting,
	  .dead = true },
	{ .name = "the same without a descriptor",
	  .run = publish_one,
	  .enter = enter_writer_without_descriptor,
	  .prepare = start_doomed,
	  .halfway = kill_doomed,
	  .exceptions = waiting,
	  .dead = true },
	{ .name = "publish to a sleeper",
	  .run = publish_one,
	  .enter = enter_producer,
	  .prepare = start_sleeping_reader,
	  .clean = expect_reader_woken,
	  .max_sleep_ns = 1000 * MS },
	{ .name = "release to a sleeper",
	  .run = take_and_release,
	  .enter = enter_reader,
	  .prepare = start_writer,
	  .halfway = await_sleeping_writer,
	  .clean = expect_writer_woken,
	  .max_sleep_ns = 1000 * MS },
};

const unsigned operation_count = sizeof(operations) / sizeof(operations[0]);
