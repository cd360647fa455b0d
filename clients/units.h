/* SPDX-License-Identifier: MIT */
/*
 * Sizes, durations and times as people write and read them.
 */
#ifndef SHMRING_UNITS_H
#define SHMRING_UNITS_H

#include <stdint.h>
#include <stdio.h>

#define UNITS_TEXT 32 /* enough for every text below */

/*
 * Read "8M", "256K", "1G", "4096", with or without a final "iB" (powers of
 * 1024). Returns 0, -EINVAL (no size) or -ERANGE (too large).
 */
int parse_size(const char *text, uint64_t *ret);

/*
 * Read "500ms", "1.5s", "20us", "1min", "0". A unit is needed. Returns 0,
 * -EINVAL (no duration) or -ERANGE (more than 290 years).
 */
int parse_duration(const char *text, int64_t *ret_ns);

/* Read a decimal number from `low` to `high`. Returns 0, -EINVAL or -ERANGE. */
int parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *ret);

/* Write "8 MiB", "1.25 GiB", "100 ms", "12.3 M"; all return `ret`. */
const char *format_size(char ret[UNITS_TEXT], uint64_t bytes);
const char *format_duration(char ret[UNITS_TEXT], uint64_t ns);
const char *format_count(char ret[UNITS_TEXT], uint64_t count);

/* Write a CLOCK_REALTIME time as "2024-05-31 14:02:59"; "-" for zero. */
const char *format_time(char ret[UNITS_TEXT], uint64_t realtime_ns);

/* The same without seconds, for tables. */
const char *format_minute(char ret[UNITS_TEXT], uint64_t realtime_ns);

#endif
