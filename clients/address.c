/* SPDX-License-Identifier: MIT */
/*
 * Opening the ring that the command line names.
 */
#include "address.h"
#include "cli.h"

int open_ring(struct shmring_ring **ret, const char *address, bool create)
{
	const struct shmring_config shape = { 0 };
	bool made;

	return open_or_make_ring(ret, address, create, &shape, &made);
}

int open_or_make_ring(struct shmring_ring **ret, const char *address, bool create,
		      const struct shmring_config *shape, bool *ret_made)
{
	const struct shmring_config usual = {
		.size = sizeof(usual),
		.unread_policy = SHMRING_UNREAD_HOLD,
	};
	int err;

	err = create ? shmring_open_or_create(ret, address, shape->size ? shape : &usual)
		     : shmring_open(ret, address);
	*ret_made = err == 1;
	return err < 0 ? address_failed(err, address) : 0;
}

bool ring_is_removed(struct shmring_ring *r)
{
	struct shmring_ring_stat stat = { .size = sizeof(stat) };

	return shmring_stat(r, &stat) == 0 && stat.retired;
}
