/* SPDX-License-Identifier: MIT */
/*
 * Sizes, durations and times as people write and read them.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "units.h"

#define NS_PER_S 1000000000ull

/* strtoull alone would take signs and white space. */
static int parse_digits(const char *text, const char **ret_end, uint64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	*ret_end = end;
	return errno == ERANGE ? -ERANGE : 0;
}

int parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *ret)
{
	const char *end;
	uint64_t value;
	int err = parse_digits(text, &end, &value);

	if (err)
		return err;
	if (*end)
		return -EINVAL;
	if (value < low || value > high)
		return -ERANGE;
	*ret = value;
	return 0;
}

int parse_size(const char *text, uint64_t *ret)
{
	static const char letters[] = "KMGTPE";
	const char *letter = NULL, *end;
	unsigned shift = 0;
	uint64_t value;
	int err = parse_digits(text, &end, &value);

	if (err)
		return err;
	if (*end)
		letter = strchr(letters, toupper((unsigned char)*end));
	if (letter) {
		shift = 10 * (unsigned)(letter - letters + 1);
		end++;
		if (strcmp(end, "iB") == 0)
			end += 2;
	}
	if (*end)
		return -EINVAL;
	if (value > UINT64_MAX >> shift)
		return -ERANGE;
	*ret = value << shift;
	return 0;
}

static uint64_t unit_ns(const char *unit)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{ "ns", 1 },	   { "us", 1000 },	     { "ms", 1000000 },
		{ "s", NS_PER_S }, { "min", 60 * NS_PER_S }, { "h", 3600 * NS_PER_S },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(unit, units[i].name) == 0)
			return units[i].ns;
	return 0;
}

/* Add the part behind the point, in units of `unit`; what is below 1 ns is cut. */
static const char *parse_fraction(const char *text, uint64_t *fraction, uint64_t *scale)
{
	*fraction = 0;
	*scale = 1;
	for (; isdigit((unsigned char)*text); text++) {
		if (*scale >= NS_PER_S)
			continue;
		*fraction = *fraction * 10 + (uint64_t)(*text - '0');
		*scale *= 10;
	}
	return text;
}

int parse_duration(const char *text, int64_t *ret_ns)
{
	uint64_t whole, fraction = 0, scale = 1, unit;
	const char *end;
	int err = parse_digits(text, &end, &whole);

	if (err)
		return err;
	if (*end == '.' && isdigit((unsigned char)end[1]))
		end = parse_fraction(end + 1, &fraction, &scale);
	unit = unit_ns(end);
	if (!unit && (*end || whole || fraction))
		return -EINVAL;
	if (!unit)
		unit = 1;
	if (whole >= (uint64_t)INT64_MAX / unit)
		return -ERANGE;
	/* the fraction has up to nine digits, the unit up to thirteen: go through double */
	*ret_ns = (int64_t)(whole * unit +
			    (uint64_t)((double)fraction / (double)scale * (double)unit));
	return 0;
}

/* Three significant digits, without a fraction that says nothing. */
static const char *format_scaled(char *ret, double value, const char *unit)
{
	int digits = value >= 100 || value == (double)(uint64_t)value ? 0 : value >= 10 ? 1 : 2;

	snprintf(ret, UNITS_TEXT, "%.*f%s%s", digits, value, *unit ? " " : "", unit);
	return ret;
}

const char *format_size(char ret[UNITS_TEXT], uint64_t bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	size_t i = 0;

	for (; value >= 1024 && i + 1 < sizeof(units) / sizeof(units[0]); i++)
		value /= 1024;
	return format_scaled(ret, value, units[i]);
}

const char *format_count(char ret[UNITS_TEXT], uint64_t count)
{
	static const char *const units[] = { "", "k", "M", "G", "T", "P", "E" };
	double value = (double)count;
	size_t i = 0;

	for (; value >= 1000 && i + 1 < sizeof(units) / sizeof(units[0]); i++)
		value /= 1000;
	return format_scaled(ret, value, units[i]);
}

const char *format_duration(char ret[UNITS_TEXT], uint64_t ns)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	double value = (double)ns;
	size_t i = 0;

	for (; value >= 1000 && i + 1 < sizeof(units) / sizeof(units[0]); i++)
		value /= 1000;
	return format_scaled(ret, value, units[i]);
}

const char *format_time(char ret[UNITS_TEXT], uint64_t realtime_ns)
{
	time_t seconds = (time_t)(realtime_ns / NS_PER_S);
	struct tm local;

	if (!realtime_ns || !localtime_r(&seconds, &local) ||
	    !strftime(ret, UNITS_TEXT, "%Y-%m-%d %H:%M:%S", &local))
		strcpy(ret, "-");
	return ret;
}

const char *format_minute(char ret[UNITS_TEXT], uint64_t realtime_ns)
{
	char *seconds;

	format_time(ret, realtime_ns);
	seconds = strrchr(ret, ':');
	if (seconds)
		*seconds = '\0';
	return ret;
}
