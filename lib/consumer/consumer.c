/* SPDX-License-Identifier: MIT */
/*
 * consumer: what every function of a handle asks first.
 */
#include <errno.h>

#include "consumer.h"
#include "explain.h"

int consumer_explain_wiped(void)
{
	return explain(-ECHILD, "this consumer belongs to the parent process; attach one here");
}
