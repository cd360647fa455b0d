/* SPDX-License-Identifier: MIT */
/*
 * metrics: the thread; see metrics.h. What it writes is in metrics-text.c.
 */
#include "metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys.h"

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	free(s->clients);
	free(s->accounts);
	free(s);
}

static int seal(int fd, const char *text, size_t bytes)
{
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	int e = shmr_write_at(fd, text, bytes, 0);

	if (e == 0 && fcntl(fd, F_ADD_SEALS, seals) < 0)
		e = -errno;
	return e;
}

static int to_file(const char *text, size_t bytes)
{
	int fd = memfd_create("shmringd-metrics", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int e = fd < 0 ? -errno : seal(fd, text, bytes);

	if (e < 0 && fd >= 0)
		close(fd);
	return e < 0 ? e : fd;
}

static bool is_stopped(void *arg)
{
	struct metrics *m = arg;
	bool stop;

	pthread_mutex_lock(&m->mutex);
	stop = m->stop;
	pthread_mutex_unlock(&m->mutex);
	return stop;
}

static int answer(struct metrics *m, const struct snapshot *s, uint64_t *ret_bytes)
{
	const struct ring_numbers_end end = { is_stopped, m };
	size_t bytes = 0;
	char *text = metrics_write(m->catalog, &m->rounds, &end, s, &bytes);
	int fd = text ? to_file(text, bytes) : -ENOMEM;

	free(text);
	*ret_bytes = bytes;
	return fd;
}

/* The next question, or NULL: the end. */
static struct snapshot *await_question(struct metrics *m)
{
	struct snapshot *s;

	pthread_mutex_lock(&m->mutex);
	while (!m->question && !m->stop)
		pthread_cond_wait(&m->asked, &m->mutex);
	s = m->stop ? NULL : m->question;
	if (s)
		m->question = NULL;
	pthread_mutex_unlock(&m->mutex);
	return s;
}

static void *run(void *arg)
{
	struct metrics *m = arg;
	struct snapshot *s;

	catalog_enter_thread();
	while ((s = await_question(m))) {
		uint64_t bytes = 0;
		int fd = answer(m, s, &bytes);

		snapshot_free(s);
		pthread_mutex_lock(&m->mutex);
		m->answer = fd;
		m->answer_bytes = bytes;
		m->answered = true;
		pthread_mutex_unlock(&m->mutex);
		eventfd_write(m->done, 1);
	}
	ring_numbers_close(&m->rounds);
	catalog_leave_thread();
	return NULL;
}

int metrics_start(struct metrics *m, struct catalog *catalog)
{
	int e;

	*m = (struct metrics){ .catalog = catalog };
	m->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->done < 0) {
		e = -errno;
		m->catalog = NULL;
		return e;
	}
	pthread_mutex_init(&m->mutex, NULL);
	pthread_cond_init(&m->asked, NULL);
	e = pthread_create(&m->thread, NULL, run, m);
	if (e != 0) {
		close(m->done);
		m->catalog = NULL;
	}
	return -e;
}

void metrics_ask(struct metrics *m, struct snapshot *s)
{
	pthread_mutex_lock(&m->mutex);
	m->question = s;
	pthread_cond_signal(&m->asked);
	pthread_mutex_unlock(&m->mutex);
}

int metrics_take(struct metrics *m, uint64_t *ret_bytes)
{
	eventfd_t count;
	int fd = -EAGAIN;

	eventfd_read(m->done, &count);
	pthread_mutex_lock(&m->mutex);
	if (m->answered) {
		fd = m->answer;
		*ret_bytes = m->answer_bytes;
		m->answered = false;
	}
	pthread_mutex_unlock(&m->mutex);
	return fd;
}

void metrics_stop(struct metrics *m)
{
	uint64_t bytes;
	int fd;

	if (!m->catalog)
		return;
	pthread_mutex_lock(&m->mutex);
	m->stop = true;
	pthread_cond_signal(&m->asked);
	pthread_mutex_unlock(&m->mutex);
	pthread_join(m->thread, NULL);
	snapshot_free(m->question);
	fd = metrics_take(m, &bytes);
	if (fd >= 0)
		close(fd);
	close(m->done);
	pthread_cond_destroy(&m->asked);
	pthread_mutex_destroy(&m->mutex);
	m->catalog = NULL;
}
