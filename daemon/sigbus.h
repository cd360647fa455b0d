/* SPDX-License-Identifier: MIT */
/*
 * sigbus: to survive clients that cut off the file of a ring.
 *
 * Who may write to an ordinary ring has its file open for writing, and can truncate
 * it. Whoever then reads behind the new end gets SIGBUS. The broker must not die of
 * that, so the handler lays a page of zeros over the place and the read goes on;
 * zeros are no sound ring, and are refused as such. It is installed for the whole
 * process. A SIGBUS of another kind is fatal as ever.
 */
#ifndef DAEMON_SIGBUS_H
#define DAEMON_SIGBUS_H

#include <stdint.h>

void sigbus_survive(void);

/* How often it was survived. */
uint32_t sigbus_count(void);

#endif
