/* SPDX-License-Identifier: MIT */
/*
 * open: where each address leads: "broker:NAME" to the broker, any other one to a file.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <shmring/shmring.h>

#include "connection.h"
#include "create.h"
#include "explain.h"
#include "open.h"
#include "ring-source.h"
#include "sys.h"
#include "unused.h"

static bool is_brokers(const char *address)
{
	return address && strncmp(address, BROKER_PREFIX, strlen(BROKER_PREFIX)) == 0;
}

int shmring_create(struct shmring_ring **ret, const char *address,
		   const struct shmring_config *config)
{
	int cancel = shmr_cancel_off(); /* nothing half open is left behind */
	int e = is_brokers(address) ? source_create_ring(ret, address, config)
				    : shmr_ring_create(ret, address, config);

	shmr_cancel_on(cancel);
	return e;
}

int shmring_open(struct shmring_ring **ret, const char *address)
{
	int cancel = shmr_cancel_off(); /* nothing half open is left behind */
	int e = is_brokers(address) ? source_open_ring(ret, address) : shmr_ring_open(ret, address);

	shmr_cancel_on(cancel);
	return e;
}

int shmring_remove(const char *address)
{
	int cancel = shmr_cancel_off(); /* nothing half open is left behind */
	int e = is_brokers(address) ? source_remove_ring(address) : shmr_ring_remove(address);

	shmr_cancel_on(cancel);
	return e;
}

int shmring_remove_unused(const char *address, int64_t older_ns, uint32_t flags)
{
	int cancel, e;

	if (is_brokers(address))
		return explain(-EOPNOTSUPP,
			       "%s: the broker keeps its rings until they are removed by name",
			       address);
	cancel = shmr_cancel_off();
	e = shmr_ring_remove_unused(address, older_ns, flags);
	shmr_cancel_on(cancel);
	return e;
}
