/* SPDX-License-Identifier: MIT */
/*
 * The broker as it is installed, started by exec in the room of a test: its socket is
 * room_path("broker"), which goes to $SHMRING_BROKER, its rings lie in
 * room_path("rings") and room_disk_path("state").
 */
#ifndef TESTS_SUPPORT_SHMRINGD_H
#define TESTS_SUPPORT_SHMRINGD_H

#include "child.h"

/*
 * Start it, with these rules or, if NULL, none; it takes connections when this
 * returns. The program is $SHMRINGD, or daemon/shmringd of the build; if that is not
 * there, the test ends as skipped.
 */
void shmringd_start(struct child *c, const char *rules);

/* Start it again where another broker was killed. */
void shmringd_restart(struct child *c);

/* It ends on SIGTERM, with status 0, and the test fails otherwise. */
void shmringd_end(struct child *c);

#endif
