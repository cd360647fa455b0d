/* SPDX-License-Identifier: MIT */
/*
 * passing: see passing.h.
 */
#include "passing.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "copy.h"

static struct pass *first_of(struct passes *list)
{
	struct pass *first = STAILQ_FIRST(list);

	if (first)
		STAILQ_REMOVE_HEAD(list, next);
	return first;
}

static struct pass *next_turn(struct passing *p)
{
	bool fresh = p->new_ones_turn;
	struct pass *pass = first_of(fresh ? &p->wanted : &p->begun);

	p->new_ones_turn = !fresh;
	return pass ? pass : first_of(fresh ? &p->begun : &p->wanted);
}

static struct pass *await_one(struct passing *p)
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
	struct passing *p = arg;
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

int passing_start(struct passing *p)
{
	int e;

	*p = (struct passing){ .done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
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

void passing_ask(struct passing *p, struct pass *pass)
{
	pthread_mutex_lock(&p->mutex);
	STAILQ_INSERT_TAIL(&p->wanted, pass, next);
	pthread_cond_signal(&p->asked);
	pthread_mutex_unlock(&p->mutex);
}

struct pass *passing_take(struct passing *p)
{
	struct pass *pass;

	pthread_mutex_lock(&p->mutex);
	pass = first_of(&p->finished);
	pthread_mutex_unlock(&p->mutex);
	return pass;
}

void passing_stop(struct passing *p, void (*drop)(struct pass *pass, void *arg), void *arg)
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
