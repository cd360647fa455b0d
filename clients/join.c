/* SPDX-License-Identifier: MIT */
/*
 * How pub and sub come to their ring.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "address.h"
#include "cli.h"
#include "clock.h"
#include "holders.h"
#include "join.h"
#include "stop.h"

#define LOOK_NS 10000000	    /* between two attempts */
#define LOCK_PATIENCE_NS 2000000000 /* longer than any command needs it */

/* Only the broker opens and makes its files, so commands cannot agree by locks on them. */
void check_fresh(const char *address, bool fresh, const struct argp_state *state)
{
	if (fresh && strncmp(address, "broker:", 7) == 0)
		usage_failed(state,
			     "--fresh: %s is a ring of the broker; make it anew with 'shmring rm' "
			     "and 'shmring create'",
			     address);
}

error_t parse_join(struct joining *j, int key)
{
	switch (key) {
	case JOIN_NO_CREATE:
		j->create = false;
		return 0;
	case JOIN_FRESH:
		j->fresh = true;
		return 0;
	case 'v':
		j->verbose = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void pause_before_next_look(void)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };

	nanosleep(&pause, NULL);
}

/*
 * A description of the ring's file for the command alone, locked; the library's must not
 * be locked. -1: the command cannot have it, because the file is the broker's, or because a
 * process that may read the file holds the lock for ever. Then what the lock excludes is
 * unlikely, but possible, and the command may remove nothing.
 */
static int lock_ring(struct shmring_ring *r, int kind)
{
	int64_t deadline = now_ns() + LOCK_PATIENCE_NS;
	int ring_fd = shmring_fd(r), fd;
	char path[40];

	if (ring_fd < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ring_fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && flock(fd, kind | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK && now_ns() < deadline && !stop_look()) {
			pause_before_next_look();
			continue;
		}
		close(fd);
		fd = -1;
	}
	return fd;
}

static void unlock_ring(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* The shape of a ring, to make another one like it. */
static int shape_of(struct shmring_ring *r, struct shmring_config *ret)
{
	struct shmring_ring_stat stat = { .size = sizeof(stat) };
	struct stat file;
	int err = shmring_stat(r, &stat);

	if (err < 0 || fstat(shmring_fd(r), &file) < 0)
		return -EBADF;
	*ret = (struct shmring_config){
		.size = sizeof(*ret),
		.lane_size = stat.lane_size,
		.lanes = stat.lanes,
		.alignment = stat.alignment,
		.slow_policy = stat.slow_policy,
		.unread_policy = stat.unread_policy,
		.evict_after_ns = stat.evict_after_ns,
		.max_sleep_ns = stat.max_sleep_ns,
		.wake = stat.wake,
		.mode = file.st_mode & 0777,
		.stamps = stat.stamps,
		.flags = stat.flags,
		.evict_lag = stat.evict_lag,
		.evict_lag_ns = stat.evict_lag_ns,
	};
	return 0;
}

/* An ephemeral one went with its last user, and is made again as its creator wanted it. */
static void drop_ring(struct joining *j)
{
	struct shmring_config shape;

	if (shape_of(j->ring, &shape) == 0 && (shape.flags & SHMRING_EPHEMERAL))
		j->shape = shape;
	shmring_close(j->ring);
	j->ring = NULL;
	j->made = false;
}

/* Has a lane of the ring ever had a producer, or does the ring keep a name? */
static bool was_used(struct shmring_ring *r, const struct shmring_ring_stat *stat)
{
	struct shmring_lane_stat lane = { .size = sizeof(lane) };

	for (unsigned i = 0; i < stat->lanes; i++)
		if (shmring_stat_lane(r, i, &lane) < 0 || lane.tenancy > 0)
			return true;
	return stat->detached > 0;
}

/* What an earlier run has left: the ring was used, and no process is attached. */
static bool is_left_over(struct shmring_ring *r)
{
	struct shmring_ring_stat stat = { .size = sizeof(stat) };

	return shmring_stat(r, &stat) == 0 && stat.producers == 0 && stat.consumers == 0 &&
	       was_used(r, &stat);
}

/*
 * Remove a ring that is locked and left over, and make one of the same shape; others
 * may be quicker with that. The exit status.
 */
static int renew(struct joining *j)
{
	struct shmring_config config;
	struct shmring_ring *new;
	int err = shape_of(j->ring, &config);

	if (err == 0)
		err = shmring_remove(j->address);
	if (err == -ENOENT || err == -EAGAIN)
		return 0; /* another process has removed it: look again */
	if (err == 0)
		err = shmring_create(&new, j->address, &config);
	if (err == 0)
		shmring_close(new);
	return err < 0 && err != -EEXIST ? address_failed(err, j->address) : 0;
}

/* Is no place free at present, or does a process hold the name? */
static bool is_taken(const struct joining *j, int err)
{
	return err == -EUSERS || (err == -EBUSY && j->name);
}

/* What attach() has answered, as try_ring() returns it. */
static int judge_attach(const struct joining *j, int err, int *ret_status)
{
	if (err >= 0 || is_taken(j, err))
		return err < 0 ? err : 0;
	if (err == -EIDRM) /* an ephemeral ring, whose last user has just left */
		return -EAGAIN;
	*ret_status = ring_failed("%s", j->address);
	return 0;
}

/*
 * One attempt with the ring that is open. 0: it is over, with the exit status in
 * `ret_status`; -EAGAIN: open the ring again; else is_taken().
 */
static int try_ring(struct joining *j, const struct joiner *by, int *ret_status)
{
	int lock = lock_ring(j->ring, j->fresh ? LOCK_EX : LOCK_SH);
	int err = 0;

	if (stop_requested()) {
		unlock_ring(lock);
		return 0;
	}
	if (j->fresh && lock < 0) {
		say("%s: its file is locked by another process, or cannot be locked, so --fresh "
		    "cannot "
		    "tell whether it is in use",
		    j->address);
		*ret_status = STATUS_FAILED;
		return 0;
	}
	if (lock >= 0 && ring_is_removed(j->ring)) {
		err = -EAGAIN;
	} else if (j->fresh && is_left_over(j->ring)) {
		*ret_status = renew(j);
		err = *ret_status == STATUS_OK ? -EAGAIN : 0;
	} else {
		err = by->attach(j->ring, SHMRING_NOWAIT, by->context);
		err = judge_attach(j, err, ret_status);
	}
	unlock_ring(lock);
	return err;
}

/* What the command waits for, after attach() failed with `err`. */
static void find_holders(char ret[HOLDERS_TEXT], const struct joining *j, int err)
{
	if (err == -EBUSY)
		name_holder(ret, j->ring, j->name);
	else
		(j->for_lane ? lane_holders : place_holders)(ret, j->ring, j->address);
}

/* No place, so far. True: wait on; false: the exit status is in `ret_status`. */
static bool is_to_wait(const struct joining *j, struct patience *patience, int64_t deadline,
		       int err, int *ret_status)
{
	bool over = now_ns() >= deadline, due = patience_is_over(patience);
	char text[HOLDERS_TEXT];

	if (stop_look())
		return false;
	if (over || due)
		find_holders(text, j, err);
	if (over) {
		say("%s: %s", j->address, text);
		*ret_status = STATUS_TIMEOUT;
		return false;
	}
	if (due)
		patience_tell(patience, j->address, "no place", text);
	return true;
}

/*
 * Attach as soon as there is a place, for the time of a slice, and without the lock on the
 * file, for which others wait. A command that had the lock may have removed the ring
 * before the place was taken: so this command looks again, with the lock. Returns as
 * try_ring(); `why` is what that returned before.
 */
static int wait_in_ring(struct joining *j, const struct joiner *by, int64_t deadline, int why,
			int *ret_status)
{
	int err = by->attach(j->ring, stop_slice(deadline, STOP_SLICE_NS), by->context);
	int lock;

	if (err == -EINTR)
		err = why; /* is_to_wait() knows the signal */
	if (is_taken(j, err))
		return ring_is_removed(j->ring) ? -EAGAIN : err;
	if (err < 0)
		return judge_attach(j, err, ret_status);
	lock = lock_ring(j->ring, LOCK_SH);
	if (lock >= 0 && ring_is_removed(j->ring)) {
		by->detach(by->context);
		err = -EAGAIN;
	}
	unlock_ring(lock);
	return err;
}

int join_ring(struct joining *j, const struct joiner *by)
{
	struct patience patience = { .verbose = j->verbose };
	int64_t deadline = j->timeout_ns == SHMRING_FOREVER ? SHMRING_FOREVER
							    : shmring_deadline(j->timeout_ns);
	int status = STATUS_OK, err;

	do {
		if (!j->ring)
			status = open_or_make_ring(&j->ring, j->address, j->create, &j->shape,
						   &j->made);
		if (status != STATUS_OK)
			return status;
		err = try_ring(j, by, &status);
		while (is_taken(j, err)) {
			if (!is_to_wait(j, &patience, deadline, err, &status))
				return status;
			if (j->fresh) {
				/* only its lock shows that a ring is left over */
				pause_before_next_look();
				break;
			}
			err = wait_in_ring(j, by, deadline, err, &status);
		}
		if (err == -EAGAIN)
			drop_ring(j);
	} while (err < 0);
	return status;
}

static bool is_unused(struct shmring_ring *r)
{
	struct shmring_lane_stat lane = { .size = sizeof(lane) };
	struct shmring_ring_stat stat = { .size = sizeof(stat) };

	if (shmring_stat(r, &stat) < 0 || stat.retired || stat.producers || stat.consumers ||
	    stat.detached)
		return false;
	for (unsigned i = 0; i < stat.lanes; i++)
		if (shmring_stat_lane(r, i, &lane) < 0 || lane.messages > 0)
			return false;
	return true;
}

void abandon_ring(struct joining *j)
{
	int lock = j->ring && j->made ? lock_ring(j->ring, LOCK_EX) : -1;

	if (lock >= 0 && is_unused(j->ring))
		shmring_remove(j->address); /* if that fails, an empty ring stays */
	unlock_ring(lock);
}
