/* SPDX-License-Identifier: MIT */
/*
 * relics: see relics.h. What is closed here may be the last of many GiB, and to free them takes
 * the kernel time; so the thread of call_rcu() does it.
 */
#include "relics.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <shmring/shmring.h>
#include <urcu.h>

#include "isolated.h"
#include "sys.h"

enum { FILES_AT_A_TIME = 256 };

struct relic {
	STAILQ_ENTRY(relic) next;
	struct rcu_head rcu;
	struct shmring_ring *ring; /* NULL: the file */
	int fd;
	struct charge charge;
};

static void free_relic(struct rcu_head *head)
{
	struct relic *relic = (void *)((unsigned char *)head - offsetof(struct relic, rcu));

	if (relic->ring)
		shmring_close(relic->ring);
	else
		close(relic->fd);
	free(relic);
}

/* H1: -EAGAIN means that another process has the file. */
static bool lease_is_refused(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
		return errno == EAGAIN;
	fcntl(fd, F_SETLEASE, F_UNLCK);
	return false;
}

/* H2. Without a descriptor for it nothing is proved, and the file goes on counting. */
static bool is_memory_held(int fd)
{
	int anew = shmr_reopen(fd, O_RDWR | O_NONBLOCK);
	bool held;

	if (anew < 0)
		return anew == -EMFILE || anew == -ENFILE || anew == -EWOULDBLOCK;
	held = lease_is_refused(anew);
	close(anew);
	return held;
}

void relics_open(struct relics *r)
{
	int fd = memfd_create("shmringd-lease", MFD_CLOEXEC);

	/* The kernel sends this when another process opens a file that the broker has a lease on.
	 */
	signal(SIGIO, SIG_IGN);
	STAILQ_INIT(&r->list);
	r->count = 0;
	r->provable = fd >= 0 && !is_memory_held(fd);
	if (fd >= 0)
		close(fd);
}

static bool is_ring_held(struct shmring_ring *ring, unsigned *files)
{
	const struct isolated *i = isolated_of(ring);
	int fd = shmring_fd(ring);

	++*files;
	if (!i)
		return fd >= 0 && lease_is_refused(fd);
	if (fd >= 0 && is_memory_held(fd))
		return true;
	for (unsigned lane = 0; lane < ring->geometry.lanes; lane++) {
		if (i->lane[lane].fd < 0)
			continue;
		++*files;
		if (is_memory_held(i->lane[lane].fd))
			return true;
	}
	return false;
}

static bool is_held(const struct relic *relic, unsigned *files)
{
	if (relic->ring)
		return is_ring_held(relic->ring, files);
	++*files;
	return is_memory_held(relic->fd);
}

static bool keep(struct relics *r, const struct relic *what)
{
	struct relic *relic = malloc(sizeof(*relic));
	unsigned files = 0;

	if (!relic) {
		if (what->ring)
			shmring_close(what->ring);
		else
			close(what->fd);
		return false;
	}
	*relic = *what;
	if (!r->provable || !is_held(relic, &files)) {
		call_rcu(&relic->rcu, free_relic);
		return false;
	}
	STAILQ_INSERT_TAIL(&r->list, relic, next);
	r->count++;
	return true;
}

bool relics_keep_ring(struct relics *r, struct shmring_ring *ring, const struct charge *charge)
{
	const struct relic relic = { .ring = ring, .fd = -1, .charge = *charge };

	return keep(r, &relic);
}

bool relics_keep_file(struct relics *r, int fd, const struct charge *charge)
{
	const struct relic relic = { .fd = fd, .charge = *charge };

	return keep(r, &relic);
}

void relics_sweep(struct relics *r, const uid_t *uid,
		  void (*gone)(const struct charge *charge, void *arg), void *arg)
{
	unsigned files = 0;

	for (size_t n = r->count; n > 0 && files < FILES_AT_A_TIME; n--) {
		struct relic *relic = STAILQ_FIRST(&r->list);

		STAILQ_REMOVE_HEAD(&r->list, next);
		if ((uid && relic->charge.uid != *uid) || is_held(relic, &files)) {
			STAILQ_INSERT_TAIL(&r->list, relic, next);
			continue;
		}
		r->count--;
		gone(&relic->charge, arg);
		call_rcu(&relic->rcu, free_relic);
	}
}

void relics_close(struct relics *r)
{
	struct relic *relic;

	while ((relic = STAILQ_FIRST(&r->list))) {
		STAILQ_REMOVE_HEAD(&r->list, next);
		call_rcu(&relic->rcu, free_relic);
	}
	r->count = 0;
}
