/* SPDX-License-Identifier: MIT */
/*
 * label: the text by which a memory file of an isolated ring says what it is (N1 in
 * isolated.h). Text only: no descriptor and no ring.
 */
#ifndef DAEMON_LABEL_H
#define DAEMON_LABEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto.h"

enum { LABEL_SIZE = 160, LABEL_UUID_SIZE = 33 };

struct label {
	bool of_lane;		    /* otherwise of a ring */
	char name[PROTO_NAME_SIZE]; /* of the ring */
	uid_t uid;		    /* of the ring's owner, or of the lane's */
	char uuid[LABEL_UUID_SIZE]; /* of the lane's ring */
	unsigned lane;
	uint32_t file_number;
};

/* The digits of a uuid, as they stand in a lane's label. */
void label_write_uuid(const uint8_t uuid[16], char ret[LABEL_UUID_SIZE]);

void label_write_ring(const char *name, uid_t owner, char ret[LABEL_SIZE]);
void label_write_lane(const uint8_t uuid[16], unsigned lane, uid_t uid, uint32_t file_number,
		      char ret[LABEL_SIZE]);

/* The label in what readlink(2) shows of a memory file's descriptor in /proc; false: none. */
bool label_from_link(const char *target, char ret[LABEL_SIZE]);

/* What it says; false: it is no label. */
bool label_parse(const char *text, struct label *ret);

#endif
