/* SPDX-License-Identifier: MIT */
/*
 * address: from what a user calls a ring to a directory and a file name.
 */
#ifndef SHMRING_CORE_ADDRESS_H
#define SHMRING_CORE_ADDRESS_H

#include <stdbool.h>

#define ADDRESS_SIZE 4096

struct address {
	int dirfd; /* of the directory; close it */
	char name[256];
};

/*
 * An `address` with a '/' is a path, without one a name in shmring_directory().
 * That directory is made, for this user alone, if `create`. It is refused if other
 * users could write there.
 */
int address_resolve(struct address *ret, const char *address, bool create);

/*
 * Put the address before the last sentence, and the path behind a name that has none:
 * "NAME (PATH): ...". Returns `error`.
 */
int explain_address(int error, const char *address);

/* The sentence for a ring that is not there. Returns -ENOENT. */
int explain_absence(const char *address);

#endif
