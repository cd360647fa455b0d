/* SPDX-License-Identifier: MIT */
/*
 * Why a command waits: the processes, consumers or kept places that are the reason. The
 * command names them on standard error after a second, if that is a terminal or with
 * --verbose, and when it gives up.
 */
#ifndef SHMRING_HOLDERS_H
#define SHMRING_HOLDERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <shmring/shmring.h>

#define HOLDERS_TEXT 512

/* One wait. */
struct patience {
	bool verbose;
	int64_t since_ns; /* 0: it is not waiting */
	int64_t next_look_ns;
	int64_t told_ns;
	char told[HOLDERS_TEXT];
};

/* The command does not have to wait at present. */
void patience_rest(struct patience *p);

/* The command has to wait, since now or longer: true if it is time to look for the reason. */
bool patience_is_over(struct patience *p);

/* Say "ADDRESS: WHAT for 1 s: REASON". Again when the reason has changed, or in a minute. */
void patience_tell(struct patience *p, const char *address, const char *what, const char *reason);

/* "all 8 lanes are taken; process IDs: 12, 13, 17", or the same of places for consumers. */
const char *lane_holders(char ret[HOLDERS_TEXT], struct shmring_ring *r, const char *address);
const char *place_holders(char ret[HOLDERS_TEXT], struct shmring_ring *r, const char *address);

/* "the name 'archive' is held by process 12". */
const char *name_holder(char ret[HOLDERS_TEXT], struct shmring_ring *r, const char *name);

/* The consumer or kept place that leaves no room in a full ring, and what to do about it. */
const char *room_holder(char ret[HOLDERS_TEXT], struct shmring_ring *r, const char *address);

#endif
