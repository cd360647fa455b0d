/* SPDX-License-Identifier: MIT */
/*
 * unused: see unused.h.
 */
#include "unused.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "address.h"
#include "explain.h"
#include "registry.h"
#include "ring.h"
#include "sys.h"

/* Ns. A process that attaches claims a place for microseconds; if it dies there, for ever. */
#define CLAIM_NS INT64_C(20000000)
#define CLAIM_PAUSE_NS INT64_C(1000000)

enum { ALL_PLACES = LAYOUT_LANES + LAYOUT_CONSUMERS };

struct subject {
	struct address at;
	int fd;			   /* to read; holds the lock of U1 */
	struct shmring_ring *ring; /* NULL: no process can open it */
	bool force, dry;
	bool borrowed;		    /* `ring` is the caller's */
	uint64_t words[ALL_PLACES]; /* as read in U2 */
};

static bool is_hidden(const struct subject *s)
{
	return strncmp(s->at.name, SHMRING_HIDDEN_PREFIX, strlen(SHMRING_HIDDEN_PREFIX)) == 0;
}

/* Does this name lead to the examined file? */
static bool leads_here(const struct subject *s, const char *name)
{
	struct stat opened, named;

	return fstat(s->fd, &opened) == 0 &&
	       fstatat(s->at.dirfd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

static int explain_replaced(void)
{
	return explain(-EAGAIN, "it was replaced or removed while it was examined");
}

/* Look before opening: to open a device or fifo can have effects. */
static int open_subject(struct subject *s)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	struct stat st;

	if (fstatat(s->at.dirfd, s->at.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return explain(-errno, "cannot open it: %e", -errno);
	if (!S_ISREG(st.st_mode))
		return explain(S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL,
			       "it is no regular file, so it is not a ring");
	s->fd = shmr_fd_above_standard(openat(s->at.dirfd, s->at.name, flags));
	return s->fd < 0 ? explain(-errno, "cannot open it: %e", -errno) : 0;
}

/* U1. The lock ends with the descriptor. */
static int exclude_removers(const struct subject *s)
{
	if (flock(s->fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? explain(-EBUSY, "another process is about to remove it")
			       : explain(-errno, "cannot lock it: %e", -errno);
	return leads_here(s, s->at.name) ? 0 : explain_replaced();
}

static int open_ring(struct subject *s)
{
	char magic[sizeof(LAYOUT_MAGIC) - 1] = "";
	ssize_t n = shmr_read_at(s->fd, magic, sizeof(magic), 0);
	int e;

	if (n < 0)
		return explain((int)n, "cannot read it: %e", (int)n);
	if (memcmp(magic, LAYOUT_MAGIC, sizeof(magic)) != 0)
		return explain(-EBADMSG, "it is not a ring");
	e = shmring_open_fd(&s->ring, s->fd);
	if (e == -ESTALE || (e == -EBADMSG && s->force))
		return 0;
	if (e == -EBADMSG)
		return explain(-ENOTEMPTY, "it is damaged; it is only removed by force");
	return e;
}

/* R5: what cannot be found out counts as a lock. */
static int prove_unused(const struct subject *s)
{
	int locked = shmr_probe_bytes_from(s->fd, REGISTRY_BYTES);

	if (locked == 0)
		return 0;
	return locked > 0 ? explain(-EBUSY, "a living process is attached to it")
			  : explain(locked, "cannot find out whether a process is attached: %e",
				    locked);
}

static uint64_t read_word(const struct subject *s, unsigned place)
{
	enum place_kind kind = place < LAYOUT_LANES ? PLACE_LANE : PLACE_CONSUMER;

	/* [PLACE] pairs with shmr_place_take() */
	return load_acquire(place_status(s->ring->registry, kind, place % LAYOUT_LANES));
}

/* True: a process is just taking a place, and has no lock yet. */
static bool read_words(struct subject *s)
{
	bool claimed = false;

	for (unsigned i = 0; i < ALL_PLACES; i++) {
		s->words[i] = read_word(s, i);
		claimed = claimed || status_state(s->words[i]) == PLACE_CLAIMED;
	}
	return claimed;
}

/* U2. The owner of a claim that stands has died, or is stopped and not attached. */
static int look(struct subject *s)
{
	int64_t deadline = shmr_now() + CLAIM_NS;

	while (s->ring && read_words(s) && shmr_now() < deadline)
		if (shmr_sleep(shmr_now() + CLAIM_PAUSE_NS) == -EINTR)
			return explain(-EINTR, "a signal interrupted the examination of the ring");
	return prove_unused(s);
}

/* U4. */
static int look_again(const struct subject *s)
{
	for (unsigned i = 0; s->ring && i < ALL_PLACES; i++)
		if (read_word(s, i) != s->words[i])
			return explain(-EBUSY, "a process has just attached to it");
	return prove_unused(s);
}

/* CLOCK_REALTIME of the last event that is known of the ring. */
static uint64_t last_use(const struct subject *s, const struct stat *st)
{
	uint64_t last = (uint64_t)st->st_mtim.tv_sec * 1000000000 + (uint64_t)st->st_mtim.tv_nsec;

	if (s->ring && s->ring->created_ns > last)
		last = s->ring->created_ns;
	for (unsigned i = 0; s->ring && i < ALL_PLACES; i++) {
		enum place_kind kind = i < LAYOUT_LANES ? PLACE_LANE : PLACE_CONSUMER;
		uint64_t at = load_relaxed(
			&place_holder(s->ring->registry, kind, i % LAYOUT_LANES)->attached_ns);

		if (at > last)
			last = at;
	}
	return last;
}

static int check_age(const struct subject *s, int64_t older_ns)
{
	uint64_t now = shmr_wall_clock(), last;
	struct stat st;

	if (older_ns <= 0)
		return 0;
	if (fstat(s->fd, &st) < 0)
		return explain(-errno, "cannot examine it: %e", -errno);
	last = last_use(s, &st);
	if (now > last && now - last >= (uint64_t)older_ns)
		return 0;
	return explain(-EAGAIN, "it was used %u s ago", now > last ? (now - last) / 1000000000 : 0);
}

/*
 * Does a name have this place? Its next holder goes on at the cursor, or, if the name was
 * evicted (PLACE_LAPSED, or a holder that died evicted), learns what it has lost.
 */
static bool is_kept(uint64_t status)
{
	return status_state(status) == PLACE_DETACHED || status_state(status) == PLACE_LAPSED ||
	       (status_flags(status) & PLACE_NAMED) != 0;
}

static int check_names(const struct subject *s)
{
	char name[SHMRING_NAME_SIZE];

	for (unsigned i = 0; i < LAYOUT_CONSUMERS; i++) {
		if (!is_kept(s->words[LAYOUT_LANES + i]))
			continue;
		shmr_name_read(&s->ring->registry->consumer_holder[i], name);
		return explain(-ENOTEMPTY,
			       "it keeps the place of the consumer '%s'; forget that name, or "
			       "remove the ring by force",
			       name);
	}
	return 0;
}

/* What consumers have read is unknown; but if no consumer has ever come, nothing was read. */
static int check_messages(const struct subject *s)
{
	struct shmring_lane_stat lane = { .size = sizeof(lane) };
	uint64_t messages = 0;
	int e;

	for (unsigned i = 0; i < LAYOUT_CONSUMERS; i++)
		if (s->words[LAYOUT_LANES + i] != 0)
			return 0;
	for (unsigned i = 0; i < s->ring->geometry.lanes; i++) {
		if (s->words[i] == 0)
			continue;
		e = shmring_stat_lane(s->ring, i, &lane);
		if (e == -EBADMSG)
			return explain(-ENOTEMPTY, "it is damaged; it is only removed by force");
		if (e < 0)
			return e;
		messages += lane.messages;
	}
	if (messages == 0)
		return 0;
	return explain(-ENOTEMPTY,
		       "it has %u messages, and no consumer has ever come; read them, or remove "
		       "the ring by force",
		       messages);
}

static int check_losses(const struct subject *s)
{
	int e = s->ring && !s->force ? check_names(s) : 0;

	return e == 0 && s->ring && !s->force && !s->ring->geometry.ephemeral ? check_messages(s)
									      : e;
}

/* The prefix, the inode, which distinguishes two rings of one name, and the name. */
static int hidden_name(const struct subject *s, char ret[sizeof(s->at.name)])
{
	char number[40];
	struct stat st;

	if (fstat(s->fd, &st) < 0)
		return explain(-errno, "cannot examine it: %e", -errno);
	shmr_hex(number, st.st_ino);
	if (strlen(SHMRING_HIDDEN_PREFIX) + strlen(number) + 1 + strlen(s->at.name) >=
	    sizeof(s->at.name))
		return explain(-ENAMETOOLONG, "its name is too long to be hidden for a last look; "
					      "remove it by its name");
	strcpy(ret, SHMRING_HIDDEN_PREFIX);
	strcat(ret, number);
	strcat(ret, "-");
	strcat(ret, s->at.name);
	return 0;
}

/* NULL: the name has not been made by hidden_name(). */
static const char *name_before(const char *hidden)
{
	const char *dash = strchr(hidden + strlen(SHMRING_HIDDEN_PREFIX), '-');

	return dash && dash[1] != '\0' ? dash + 1 : NULL;
}

/*
 * Give the ring its name back. If another ring has the name by now, this ring is removed for
 * the processes that are attached to it. If none is attached it stays hidden, because it
 * holds messages or a kept name.
 */
static void bring_back(const struct subject *s, const char *hidden, const char *name, int reason)
{
	int e = name ? shmr_rename_new(s->at.dirfd, hidden, name) : 0;

	if (e == -EEXIST && reason == -EBUSY)
		unlinkat(s->at.dirfd, hidden, 0);
}

/* U3 */
static int hide(const struct subject *s, const char *hidden)
{
	int e = shmr_rename_new(s->at.dirfd, s->at.name, hidden);

	if (e < 0)
		return explain(e, "cannot remove it: %e", e);
	if (leads_here(s, hidden))
		return 0;
	bring_back(s, hidden, s->at.name, 0); /* another ring has just got the name */
	return explain_replaced();
}

static int drop(const struct subject *s, const char *hidden)
{
	int e = look_again(s);

	if (e == 0 && unlinkat(s->at.dirfd, hidden, 0) < 0)
		e = explain(-errno, "cannot remove it: %e", -errno);
	return e;
}

/* A remover was killed; this process finishes the removal. */
static int finish_hidden(struct subject *s)
{
	int e = look(s);

	if (e == 0)
		e = check_losses(s);
	if (s->dry)
		return e;
	if (e == 0)
		e = drop(s, s->at.name);
	if (e == -EBUSY || e == -ENOTEMPTY)
		bring_back(s, s->at.name, name_before(s->at.name), e);
	return e;
}

static int remove_named(struct subject *s, int64_t older_ns)
{
	char hidden[sizeof(s->at.name)];
	int e = look(s);

	if (e == 0)
		e = check_age(s, older_ns);
	if (e == 0)
		e = check_losses(s);
	if (e == 0)
		e = hidden_name(s, hidden);
	if (e < 0 || s->dry)
		return e;
	e = hide(s, hidden);
	if (e < 0)
		return e;
	e = drop(s, hidden);
	if (e < 0)
		bring_back(s, hidden, s->at.name, e);
	return e;
}

static int remove_subject(struct subject *s, int64_t older_ns)
{
	return is_hidden(s) ? finish_hidden(s) : remove_named(s, older_ns);
}

/* The lock is given back by hand: a child made by fork meanwhile has the descriptor, too. */
static void close_subject(struct subject *s)
{
	if (s->ring && !s->borrowed)
		shmring_close(s->ring);
	if (s->fd >= 0) {
		flock(s->fd, LOCK_UN);
		close(s->fd);
	}
	close(s->at.dirfd);
}

/* The caller's ring, and not another ring that has its name by now. */
static int check_same(const struct subject *s)
{
	struct stat st;

	if (fstat(s->fd, &st) < 0)
		return explain(-errno, "cannot examine it: %e", -errno);
	return st.st_dev == s->ring->device && st.st_ino == s->ring->inode ? 0 : explain_replaced();
}

int shmr_ring_remove_left(struct shmring_ring *r)
{
	struct subject s = { .fd = -1, .ring = r, .borrowed = true };
	char *path = shmr_ring_path(r);
	int e;

	if (!path)
		return explain(-EBADF, "cannot find out where the ring is");
	e = address_resolve(&s.at, path, false);
	free(path);
	if (e < 0)
		return e;
	e = open_subject(&s);
	if (e == 0)
		e = check_same(&s);
	if (e == 0)
		e = exclude_removers(&s);
	if (e == 0)
		e = remove_subject(&s, 0);
	close_subject(&s);
	return e;
}

int shmr_ring_remove_unused(const char *address, int64_t older_ns, uint32_t flags)
{
	struct subject s = { .fd = -1,
			     .force = (flags & SHMRING_REMOVE_FORCE) != 0,
			     .dry = (flags & SHMRING_REMOVE_DRY_RUN) != 0 };
	int e;

	if ((flags & ~(SHMRING_REMOVE_FORCE | SHMRING_REMOVE_DRY_RUN)) != 0)
		return explain(-EINVAL, "unknown flag");
	e = address_resolve(&s.at, address, false);
	if (e < 0)
		return e == -ENOENT ? explain_absence(address) : explain_address(e, address);
	e = open_subject(&s);
	if (e == 0)
		e = exclude_removers(&s);
	if (e == 0)
		e = open_ring(&s);
	if (e == 0)
		e = remove_subject(&s, older_ns);
	close_subject(&s);
	if (e == -ENOENT)
		return explain_absence(address);
	return e < 0 ? explain_address(e, address) : 0;
}
