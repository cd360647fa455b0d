/* SPDX-License-Identifier: MIT */
/*
 * refuse: the sentences with which requests are refused: what is wrong, by which line of the
 * configuration, and what to do.
 */
#ifndef DAEMON_REFUSE_H
#define DAEMON_REFUSE_H

#include <stdint.h>

#include "policy.h"
#include "quota.h"
#include "session.h"

/* The user has not this right (PROTO_*; 0: to open it) to the ring of that name. */
void refuse_right(struct session *s, uint32_t serial, const char *name, uint32_t right,
		  struct verdict v);

/* A limit of the user is reached. */
void refuse_amount(struct session *s, uint32_t serial, struct shortage lacks);

/* With the sentence of shmring_explain(). */
void refuse_explained(struct session *s, uint32_t serial, int e);

#endif
