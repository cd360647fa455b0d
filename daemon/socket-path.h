/* SPDX-License-Identifier: MIT */
/*
 * socket-path: a name in the file system under which a Unix socket can be found, and
 * what may lie there already.
 *
 *  L1 The broker removes only a socket of its own user to which no living socket is bound.
 *     A datagram socket that connects tests that, and the other program does not notice. The
 *     kernel answers ECONNREFUSED only if nothing is bound; for a socket of another type that
 *     is bound it reports the wrong type.
 *  L2 The name may lead to another file between the look and the removal. So the file
 *     gets another name first, and is removed only if it is the file that was looked at.
 *     Otherwise it gets its name back.
 */
#ifndef DAEMON_SOCKET_PATH_H
#define DAEMON_SOCKET_PATH_H

#include <stddef.h>
#include <sys/types.h>

/* Make the path free for bind(). 0, or a negative errno and a sentence. */
int socket_path_clear(const char *path, char *error, size_t size);

/* Remove the name if it still leads to that file. */
int socket_path_remove(const char *path, dev_t device, ino_t inode);

#endif
