/* SPDX-License-Identifier: MIT */
/*
 * threads: see threads.h.
 */
#include "threads.h"

#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

enum { MOST_MS = 1000 };

/* Until all have been started. */
static void *wait_for_all(void *arg)
{
	pthread_mutex_t *mutex = arg;

	pthread_mutex_lock(mutex);
	pthread_mutex_unlock(mutex);
	return NULL;
}

/* How many threads this process has, by the kernel; 0: unknown. */
static unsigned count_threads(void)
{
	struct stat st;

	return stat("/proc/self/task", &st) < 0 ? 0 : (unsigned)st.st_nlink;
}

/* A thread that was joined counts for a moment longer. */
static void await_count(unsigned before)
{
	const struct timespec rest = { .tv_nsec = 1000000 };

	for (unsigned ms = 0; ms < MOST_MS && count_threads() > before; ms++)
		nanosleep(&rest, NULL);
}

int threads_try(unsigned count)
{
	unsigned before = count_threads();
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_t threads[THREADS_NEEDED];
	unsigned started = 0;
	int e = 0;

	pthread_mutex_lock(&mutex);
	while (e == 0 && started < count && started < THREADS_NEEDED) {
		e = pthread_create(&threads[started], NULL, wait_for_all, &mutex);
		started += e == 0;
	}
	pthread_mutex_unlock(&mutex);
	while (started > 0)
		pthread_join(threads[--started], NULL);
	pthread_mutex_destroy(&mutex);
	await_count(before);
	return -e;
}
