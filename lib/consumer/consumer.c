/* SPDX-License-Identifier: MIT */
/*
 * consumer: what every function of a handle asks first.
 */
#include <errno.h>

#include "consumer.h"
#include "explain.h"

int consumer_wiped(const struct shmring_consumer *c)
{
	return c->attachment.ring
		       ? 0
		       : explain(-ECHILD,
				 "this consumer belongs to the parent process; attach one here");
}
