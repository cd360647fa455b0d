/* SPDX-License-Identifier: MIT */
/*
 * by-address: open, create and remove rings: "broker:NAME" at the broker, any other one as a file.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <shmring/shmring.h>

#include "connection.h"
#include "create.h"
#include "explain.h"
#include "open.h"
#include "registry.h"
#include "remove.h"
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

/* Only shmring_create() makes something of no address: a ring without a name. */
static int check_address(const char *address)
{
	return address ? 0
		       : explain(-EINVAL, "this call needs a name; make a ring without a name "
					  "with shmring_create()");
}

int shmring_open(struct shmring_ring **ret, const char *address)
{
	int cancel = shmr_cancel_off(); /* nothing half open is left behind */
	int e = check_address(address);

	if (e == 0)
		e = is_brokers(address) ? source_open_ring(ret, address)
					: shmr_ring_open(ret, address);
	shmr_cancel_on(cancel);
	return e;
}

int shmring_open_wait(struct shmring_ring **ret, const char *address, int64_t deadline)
{
	int cancel = shmr_cancel_off(); /* nothing half open is left behind */
	int e = check_address(address);

	if (e == 0)
		e = is_brokers(address) ? source_open_ring_wait(ret, address, deadline)
					: shmr_ring_open_wait(ret, address, deadline);
	shmr_cancel_on(cancel);
	return e;
}

static int check_config(const char *address, const struct shmring_config *config)
{
	int e = check_address(address);

	if (e < 0)
		return e;
	return is_brokers(address) ? source_check_config(address, config)
				   : shmr_ring_check_config(address, config);
}

/*
 * There was no ring, so this call made one, or another process was quicker; or the broker was
 * killed while it was asked, and may have made the ring.
 */
static bool was_overtaken(int e, const char *address)
{
	return e == -EEXIST || (e == -ECONNRESET && is_brokers(address));
}

int shmring_open_or_create(struct shmring_ring **ret, const char *address,
			   const struct shmring_config *config)
{
	int e = check_config(address, config);
	struct tries tries = { 0 };

	if (e < 0)
		return e;
	do {
		e = shmring_open(ret, address);
		if (e != -ENOENT)
			return e;
		e = shmring_create(ret, address, config);
		if (e == 0)
			return 1;
	} while (was_overtaken(e, address) && shmr_try_again(&tries));
	return e != -EEXIST ? e
			    : explain(-EAGAIN,
				      "%s: other processes make and remove it again and again; "
				      "try again when they have stopped",
				      address);
}

int shmring_remove(const char *address)
{
	int cancel = shmr_cancel_off(); /* nothing half open is left behind */
	int e = check_address(address);

	if (e == 0)
		e = is_brokers(address) ? source_remove_ring(address) : shmr_ring_remove(address);
	shmr_cancel_on(cancel);
	return e;
}

int shmring_remove_unused(const char *address, int64_t older_ns, uint32_t flags)
{
	int cancel, e = check_address(address);

	if (e < 0)
		return e;
	if (is_brokers(address))
		return explain(-EOPNOTSUPP,
			       "%s: the broker keeps its rings until they are removed by name",
			       address);
	cancel = shmr_cancel_off();
	e = shmr_ring_remove_unused(address, older_ns, flags);
	shmr_cancel_on(cancel);
	return e;
}
