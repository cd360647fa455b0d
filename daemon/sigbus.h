/* SPDX-License-Identifier: MIT */
/*
 * sigbus: to survive clients that cut off the file of a ring.
 *
 * A client that may write to an ordinary ring has the ring's file open for writing, and
 * can truncate it. A process that then reads behind the new end gets SIGBUS. The broker
 * must not die of that. So its handler lays a page of zeros over the place, and the read
 * goes on. Zeros are no sound ring, and are refused as such. The handler is installed for
 * the whole process. A SIGBUS of another kind is fatal as ever.
 */
#ifndef DAEMON_SIGBUS_H
#define DAEMON_SIGBUS_H

#include <stdint.h>

void sigbus_survive(void);

/* How often it was survived. */
uint32_t sigbus_count(void);

#endif
