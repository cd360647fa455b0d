/* SPDX-License-Identifier: MIT */
/*
 * consumer: the handle of a consumer or observer. It lives in memory that a child of fork finds
 * zeroed, so a call there fails its first comparison.
 */
#include <errno.h>

#include "consumer.h"
#include "explain.h"

int consumer_explain_wiped(void)
{
	return explain(-ECHILD, "this consumer belongs to the parent process; attach one here");
}
