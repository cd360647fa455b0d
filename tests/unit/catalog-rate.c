/* SPDX-License-Identifier: MIT */
/*
 * No test: how many look-ups per second the broker's catalog gives to its readers
 * while rings come and go, against a table of the same kind behind a mutex.
 *
 *	tests/unit/catalog-rate [SECONDS]
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalog.h"
#include "create.h"
#include "random.h"
#include "sys.h"

enum { NAMES = 1000, BUCKETS = 1024, MAX_READERS = 4 };

static char names[NAMES][PROTO_NAME_SIZE];
static shm_u32 over;

/* --- the table behind a mutex --- */

struct node {
	struct node *next;
	const char *name;
	struct shmring_ring *ring;
};

static struct {
	pthread_mutex_t mutex;
	struct node *buckets[BUCKETS];
} table = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static struct node **bucket_of(const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
	return &table.buckets[(h ^ h >> 32) % BUCKETS];
}

static bool table_has(const char *name)
{
	const struct node *n;

	pthread_mutex_lock(&table.mutex);
	for (n = *bucket_of(name); n && strcmp(n->name, name) != 0; n = n->next)
		;
	pthread_mutex_unlock(&table.mutex);
	return n != NULL;
}

static void table_add(const char *name, struct shmring_ring *ring)
{
	struct node *n = malloc(sizeof(*n)), **bucket = bucket_of(name);

	if (!n)
		abort();
	pthread_mutex_lock(&table.mutex);
	*n = (struct node){ *bucket, name, ring };
	*bucket = n;
	pthread_mutex_unlock(&table.mutex);
}

static void table_remove(const char *name)
{
	struct node **at, *n;

	pthread_mutex_lock(&table.mutex);
	for (at = bucket_of(name); strcmp((*at)->name, name) != 0; at = &(*at)->next)
		;
	n = *at;
	*at = n->next;
	pthread_mutex_unlock(&table.mutex);
	shmring_close(n->ring);
	free(n);
}

/* --- both alike --- */

static struct catalog catalog;
static bool behind_mutex;

struct reader {
	pthread_t thread;
	uint64_t looks;
};

static void *read_on(void *arg)
{
	struct reader *me = arg;
	uint64_t seed = (uint64_t)(uintptr_t)me;

	catalog_enter_thread();
	while (!load_acquire32(&over)) /* no edge: the end may be seen late */
		for (unsigned i = 0; i < 100; i++, me->looks++) {
			const char *name = names[random_below(&seed, NAMES)];

			if (behind_mutex)
				table_has(name);
			else
				catalog_has(&catalog, name);
		}
	catalog_leave_thread();
	return NULL;
}

/* One ring goes and comes again. */
static void change(struct shmring_ring *ring, const char *name)
{
	if (behind_mutex) {
		table_remove(name);
		table_add(name, shmr_ring_ref(ring));
	} else {
		struct entry *e = catalog_find(&catalog, name);

		catalog_remove(&catalog, e);
		catalog_release(e);
		catalog_add(&catalog, name, shmr_ring_ref(ring), 0, false);
	}
}

static void measure(struct shmring_ring *ring, unsigned count, int64_t ns)
{
	struct reader readers[MAX_READERS] = { 0 };
	uint64_t seed = 1, changes = 0, looks = 0;
	int64_t end = shmr_now() + ns, begun, worst = 0;

	store_release32(&over, 0);
	for (unsigned i = 0; i < count; i++)
		if (pthread_create(&readers[i].thread, NULL, read_on, &readers[i]) != 0)
			abort();
	for (; (begun = shmr_now()) < end; changes++) {
		change(ring, names[random_below(&seed, NAMES)]);
		if (shmr_now() - begun > worst)
			worst = shmr_now() - begun;
	}
	store_release32(&over, 1);
	for (unsigned i = 0; i < count; i++) {
		pthread_join(readers[i].thread, NULL);
		looks += readers[i].looks;
	}
	printf("%-8s %u readers %8.2f M look-ups/s %8.2f M changes/s, longest %.2f ms\n",
	       behind_mutex ? "mutex" : "liburcu", count, (double)looks * 1e3 / (double)ns,
	       (double)changes * 1e3 / (double)ns, (double)worst / 1e6);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct shmring_config config = { .size = sizeof(config), .lanes = 1, .lane_size = 65536 };
	int64_t ns = (argc > 1 ? atoi(argv[1]) : 2) * INT64_C(1000000000);
	struct shmring_ring *ring;

	catalog_enter_thread();
	if (catalog_open(&catalog) < 0 || shmr_ring_create(&ring, NULL, &config) < 0)
		return 1;
	for (unsigned i = 0; i < NAMES; i++) {
		snprintf(names[i], sizeof(names[i]), "ring.of.somebody.%u", i);
		catalog_add(&catalog, names[i], shmr_ring_ref(ring), 0, false);
		table_add(names[i], shmr_ring_ref(ring));
	}
	for (unsigned count = 1; count <= MAX_READERS; count *= 2)
		for (int mutex = 0; mutex < 2; mutex++) {
			behind_mutex = mutex;
			measure(ring, count, ns);
		}
	catalog_close(&catalog);
	catalog_leave_thread();
	return 0;
}
