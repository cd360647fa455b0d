/* SPDX-License-Identifier: MIT */
/*
 * lane-copier: see lane-copier.h.
 */
#include "lane-copier.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sys.h"

enum { COPY_PIECE = 1 << 20 };

/* A turn takes about a millisecond. */
enum { TURN = 4 * COPY_PIECE };

static int copy_range(unsigned char *piece, int from, int to, off_t at, off_t end)
{
	while (at < end) {
		size_t want = end - at < COPY_PIECE ? (size_t)(end - at) : COPY_PIECE;
		ssize_t n = shmr_read_at(from, piece, want, at);
		int e = n <= 0 ? -EIO : shmr_write_at(to, piece, (size_t)n, at);

		if (e < 0)
			return e;
		at += n;
	}
	return 0;
}

/*
 * Copy some MiB of what lies at *at or behind, and move *at on; holes stay holes. `piece` is
 * room for COPY_PIECE bytes. 1: there may be more; 0: that was all; or a negative errno.
 */
static int copy_some(int from, int to, off_t *at, unsigned char *piece)
{
	off_t start = lseek(from, *at, SEEK_DATA), end;
	int e;

	if (start < 0)
		return errno == ENXIO ? 0 : -errno; /* ENXIO: there is no more data */
	end = lseek(from, start, SEEK_HOLE);
	if (end < 0)
		return -errno;
	if (end - start > TURN)
		end = start + TURN;
	e = copy_range(piece, from, to, start, end);
	*at = end;
	return e < 0 ? e : 1;
}

static struct pass *first_of(struct passes *list)
{
	struct pass *first = STAILQ_FIRST(list);

	if (first)
		STAILQ_REMOVE_HEAD(list, next);
	return first;
}

static struct pass *next_turn(struct lane_copier *p)
{
	bool fresh = p->new_ones_turn;
	struct pass *pass = first_of(fresh ? &p->wanted : &p->begun);

	p->new_ones_turn = !fresh;
	return pass ? pass : first_of(fresh ? &p->begun : &p->wanted);
}

static struct pass *await_one(struct lane_copier *p)
{
	struct pass *pass;

	pthread_mutex_lock(&p->mutex);
	while (STAILQ_EMPTY(&p->wanted) && STAILQ_EMPTY(&p->begun) && !p->stop)
		pthread_cond_wait(&p->asked, &p->mutex);
	pass = p->stop ? NULL : next_turn(p);
	pthread_mutex_unlock(&p->mutex);
	return pass;
}

static void *run(void *arg)
{
	struct lane_copier *p = arg;
	struct pass *pass;

	while ((pass = await_one(p))) {
		pass->result = copy_some(pass->from, pass->to, &pass->at, p->piece);
		pthread_mutex_lock(&p->mutex);
		if (pass->result > 0)
			STAILQ_INSERT_TAIL(&p->begun, pass, next);
		else
			STAILQ_INSERT_TAIL(&p->finished, pass, next);
		pthread_mutex_unlock(&p->mutex);
		if (pass->result <= 0)
			eventfd_write(p->done, 1);
	}
	return NULL;
}

int lane_copier_start(struct lane_copier *p)
{
	int e;

	*p = (struct lane_copier){ .done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	if (p->done < 0)
		return -errno;
	p->piece = malloc(COPY_PIECE);
	if (!p->piece) {
		close(p->done);
		return -ENOMEM;
	}
	STAILQ_INIT(&p->wanted);
	STAILQ_INIT(&p->begun);
	STAILQ_INIT(&p->finished);
	pthread_mutex_init(&p->mutex, NULL);
	pthread_cond_init(&p->asked, NULL);
	e = pthread_create(&p->thread, NULL, run, p);
	p->runs = e == 0;
	if (e != 0) {
		free(p->piece);
		close(p->done);
	}
	return -e;
}

void lane_copier_ask(struct lane_copier *p, struct pass *pass)
{
	pthread_mutex_lock(&p->mutex);
	STAILQ_INSERT_TAIL(&p->wanted, pass, next);
	pthread_cond_signal(&p->asked);
	pthread_mutex_unlock(&p->mutex);
}

struct pass *lane_copier_take(struct lane_copier *p)
{
	struct pass *pass;

	pthread_mutex_lock(&p->mutex);
	pass = first_of(&p->finished);
	pthread_mutex_unlock(&p->mutex);
	return pass;
}

void lane_copier_stop(struct lane_copier *p, void (*drop)(struct pass *pass, void *arg), void *arg)
{
	struct pass *pass;

	if (!p->runs)
		return;
	pthread_mutex_lock(&p->mutex);
	p->stop = true;
	pthread_cond_signal(&p->asked);
	pthread_mutex_unlock(&p->mutex);
	pthread_join(p->thread, NULL);
	while ((pass = first_of(&p->wanted)) || (pass = first_of(&p->begun)) ||
	       (pass = first_of(&p->finished)))
		drop(pass, arg);
	close(p->done);
	free(p->piece);
	pthread_cond_destroy(&p->asked);
	pthread_mutex_destroy(&p->mutex);
	p->runs = false;
}
