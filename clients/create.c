/* SPDX-License-Identifier: MIT */
/*
 * shmring create: make a ring.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "options.h"
#include "units.h"

struct create_options {
	const char *address;
	struct shmring_config config;
};

enum {
	KEY_LANE_SIZE = 0x100,
	KEY_LANES,
	KEY_ALIGN,
	KEY_SLOW,
	KEY_EVICT_AFTER,
	KEY_EVICT_LAG,
	KEY_EVICT_LAG_TIME,
	KEY_UNREAD,
	KEY_WAKE,
	KEY_MAX_SLEEP,
	KEY_MODE,
	KEY_STAMPS,
	KEY_PERSISTENT,
	KEY_ISOLATED,
	KEY_EPHEMERAL,
};

static const struct argp_option options[] = {
	{ "lane-size", KEY_LANE_SIZE, "SIZE", 0,
	  "Memory of each producer, a power of two from 64K to 4G; the longest message is half "
	  "of it (default: 8M)",
	  1 },
	{ "lanes", KEY_LANES, "N", 0,
	  "How many producers can be attached at one time, up to 64; a lane takes memory when its "
	  "first producer attaches (default: 8)",
	  1 },
	{ "align", KEY_ALIGN, "8|64", 0,
	  "Alignment of records in bytes: 8 packs them, 64 gives each record its own cache lines "
	  "(default: 8)",
	  1 },
	{ "unread", KEY_UNREAD, "hold|overwrite", 0,
	  "What a full ring does while it has no consumer: producers wait for one, or overwrite "
	  "the oldest messages (default: hold)",
	  2 },
	{ "slow", KEY_SLOW, "block|evict", 0,
	  "What producers do when the ring is full because of a slow consumer: wait for it, or "
	  "evict it (default: block)",
	  2 },
	{ "evict-after", KEY_EVICT_AFTER, "DURATION", 0,
	  "How long a slow consumer may hold producers back without reading; implies --slow evict "
	  "(default: 1s)",
	  2 },
	{ "evict-lag", KEY_EVICT_LAG, "SIZE", 0,
	  "How far a consumer may fall behind in a lane, 4K or more, whether or not the lane is "
	  "full; implies --slow evict (default: any distance)",
	  2 },
	{ "evict-lag-time", KEY_EVICT_LAG_TIME, "DURATION", 0,
	  "How old a message may be that a consumer has not read, 1ms or more; implies --slow "
	  "evict "
	  "(default: any age)",
	  2 },
	{ "wake", KEY_WAKE, "auto|fence", 0,
	  "How wake-ups are made safe: by membarrier(2) in the sleeper where the kernel has it, or "
	  "by a fence for each message (default: auto)",
	  3 },
	{ "max-sleep", KEY_MAX_SLEEP, "DURATION", 0,
	  "The longest sleep before a process looks again by itself, 1ms to 10s (default: 100ms)",
	  3 },
	{ "mode", KEY_MODE, "OCTAL", 0, "Permission bits of the file (default: 0600)", 3 },
	{ "stamps", KEY_STAMPS, "auto|clock|tsc", OPTION_ARG_OPTIONAL,
	  "Each message carries the time of its publication: by CLOCK_MONOTONIC, by the "
	  "processor's counter, or by the better one (default: none; without an argument: auto)",
	  3 },
	{ "persistent", KEY_PERSISTENT, NULL, 0, "For broker:NAME: keep the ring on disk", 3 },
	{ "isolated", KEY_ISOLATED, NULL, 0,
	  "For broker:NAME: give write access to a lane only to its producer", 3 },
	{ "ephemeral", KEY_EPHEMERAL, NULL, 0,
	  "Remove the ring when its last producer or consumer leaves, even if messages are unread",
	  3 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const char doc[] = "Make the ring RING."
			  "\v"
			  "SIZE is a number of bytes, or 64K, 8M, 1G; DURATION is 500ms, 2s.";

/* Which of two words; 0 or 1. */
static uint32_t parse_choice(const char *option, const char *arg, const char *first,
			     const char *second, struct argp_state *state)
{
	if (strcmp(arg, first) == 0)
		return 0;
	if (strcmp(arg, second) != 0)
		usage_failed(state, "%s %s: must be %s or %s", option, arg, first, second);
	return 1;
}

static uint64_t parse_ns(const char *option, const char *arg, struct argp_state *state)
{
	int64_t ns = duration_argument(option, arg, state);

	if (ns == 0)
		usage_failed(state, "%s %s: must be longer than 0", option, arg);
	return (uint64_t)ns;
}

static uint32_t parse_stamps(const char *arg, struct argp_state *state)
{
	if (!arg || strcmp(arg, "auto") == 0)
		return SHMRING_STAMP_AUTO;
	if (strcmp(arg, "clock") == 0)
		return SHMRING_STAMP_CLOCK;
	if (strcmp(arg, "tsc") != 0)
		usage_failed(state, "--stamps=%s: must be auto, clock or tsc", arg);
	return SHMRING_STAMP_TSC;
}

static uint32_t parse_mode(const char *arg, struct argp_state *state)
{
	char *end;
	unsigned long mode = strtoul(arg, &end, 8);

	if (*arg < '0' || *arg > '7' || *end || mode == 0 || mode > 0777)
		usage_failed(state, "--mode %s: must be permission bits such as 0640", arg);
	return (uint32_t)mode;
}

static error_t parse_shape(struct shmring_config *c, int key, const char *arg,
			   struct argp_state *state)
{
	switch (key) {
	case KEY_LANE_SIZE:
		if (parse_size(arg, &c->lane_size) != 0 || c->lane_size < SHMRING_MIN_LANE_SIZE ||
		    c->lane_size > SHMRING_MAX_LANE_SIZE || c->lane_size & (c->lane_size - 1))
			usage_failed(state,
				     "--lane-size %s: must be a power of two between 64K and 4G",
				     arg);
		return 0;
	case KEY_LANES:
		c->lanes = (uint32_t)number_argument("--lanes", arg, 1, SHMRING_MAX_LANES, state);
		return 0;
	case KEY_ALIGN:
		c->alignment = parse_choice("--align", arg, "8", "64", state) ? 64 : 8;
		return 0;
	case KEY_MODE:
		c->mode = parse_mode(arg, state);
		return 0;
	case KEY_STAMPS:
		c->stamps = parse_stamps(arg, state);
		return 0;
	case KEY_PERSISTENT:
		c->flags |= SHMRING_PERSISTENT;
		return 0;
	case KEY_ISOLATED:
		c->flags |= SHMRING_ISOLATED;
		return 0;
	case KEY_EPHEMERAL:
		c->flags |= SHMRING_EPHEMERAL;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct create_options *o = state->input;
	struct shmring_config *c = &o->config;

	switch (key) {
	case KEY_UNREAD:
		c->unread_policy = parse_choice("--unread", arg, "hold", "overwrite", state);
		return 0;
	case KEY_SLOW:
		c->slow_policy = parse_choice("--slow", arg, "block", "evict", state);
		return 0;
	case KEY_EVICT_AFTER:
		c->evict_after_ns = parse_ns("--evict-after", arg, state);
		c->slow_policy = SHMRING_SLOW_EVICT;
		return 0;
	case KEY_EVICT_LAG:
		c->evict_lag = lag_size_argument("--evict-lag", arg, state);
		c->slow_policy = SHMRING_SLOW_EVICT;
		return 0;
	case KEY_EVICT_LAG_TIME:
		c->evict_lag_ns = lag_time_argument("--evict-lag-time", arg, state);
		c->slow_policy = SHMRING_SLOW_EVICT;
		return 0;
	case KEY_WAKE:
		c->wake = parse_choice("--wake", arg, "auto", "fence", state);
		return 0;
	case KEY_MAX_SLEEP:
		c->max_sleep_ns = parse_ns("--max-sleep", arg, state);
		return 0;
	case ARGP_KEY_ARG:
	case ARGP_KEY_NO_ARGS:
		o->address = ring_argument(arg, state);
		return 0;
	default:
		return parse_shape(c, key, arg, state);
	}
}

int cmd_create(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "RING", doc, NULL, NULL, NULL };
	struct create_options o = { .config = { .size = sizeof(o.config) } };
	struct shmring_ring *ring;
	int err;

	parse_arguments(&argp, argc, argv, 0, &o);
	err = shmring_create(&ring, o.address, &o.config);
	if (err < 0)
		return address_failed(err, o.address);
	shmring_close(ring);
	return STATUS_OK;
}
