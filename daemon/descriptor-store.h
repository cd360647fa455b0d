/* SPDX-License-Identifier: MIT */
/*
 * descriptor-store: the store of descriptors that systemd has for a unit
 * (FileDescriptorStoreMax=). systemd drops descriptors beyond its size without an answer.
 * So each ring reserves as many as it may ever need, and the broker does not make a ring
 * that finds no room.
 */
#ifndef DAEMON_DESCRIPTOR_STORE_H
#define DAEMON_DESCRIPTOR_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "keeper-queue.h"

struct descriptor_store {
	bool used; /* there is one */
	bool near; /* the log has said that it is nearly full */
	uint64_t most, reserved;
	struct keeper_queue queue; /* messages that systemd did not take yet */
	int64_t retry_ns;	   /* when to try again; 0: nothing waits */
};

void descriptor_store_open(struct descriptor_store *s);
void descriptor_store_close(struct descriptor_store *s);

void descriptor_store_put(struct descriptor_store *s, int fd, const char *label);
void descriptor_store_drop(struct descriptor_store *s, int fd, const char *label);

/* If it is time, send again what systemd did not take. */
void descriptor_store_tick(struct descriptor_store *s, int64_t now);

/*
 * Reserve room for a ring of that many descriptors, and give it back. -ENOSPC, explained;
 * `forced` if the ring exists already, which never fails.
 */
int descriptor_store_reserve(struct descriptor_store *s, uint64_t count, bool forced);
void descriptor_store_give(struct descriptor_store *s, uint64_t count);

#endif
