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
 * `address` with a '/' is a path, without one a name in shmring_directory().
 * That directory is made, for us alone, if `create`; it is refused if others
 * could write there.
 */
int address_resolve(struct address *ret, const char *address, bool create);

#endif
