/* SPDX-License-Identifier: MIT */
/*
 * log: one line per event, to the standard error stream; with the journal's
 * priorities where that is what reads it. Names, paths and sentences of others are made
 * harmless (harmless.h). Never blocks: a line for which there is no room is counted,
 * and the next line that goes out says how many there were.
 */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <syslog.h>

/* Once, before there are threads: lines above `level` (of syslog.h) are dropped. */
void log_begin(int level);

/* `level` is one of LOG_ERR to LOG_DEBUG. From any thread. */
void log_say(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
