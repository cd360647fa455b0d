/* SPDX-License-Identifier: MIT */
/*
 * layout: from a configuration to a geometry, and from untrusted bytes to a
 * checked one. The geometry follows from a few numbers; an identity spells out
 * all offsets for other readers, and is sound only if they agree.
 */
#include "layout.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "explain.h"
#include "stamp.h"

#define DEFAULT_LANE_SIZE ((uint64_t)8 << 20)
#define DEFAULT_LANES 8
#define DEFAULT_ALIGNMENT 8
#define DEFAULT_EVICT_NS UINT64_C(1000000000)
#define DEFAULT_SLEEP_NS UINT64_C(100000000)
#define MAX_EVICT_NS UINT64_C(86400000000000)
#define MIN_SLEEP_NS UINT64_C(1000000)
#define MAX_SLEEP_NS UINT64_C(10000000000)
#define MAX_SCALE (UINT64_C(2000) << STAMP_SHIFT) /* nanoseconds of a slow counter's step */

static uint64_t round_up(uint64_t value, uint64_t step)
{
	return (value + step - 1) / step * step;
}

static bool is_power_of_two(uint64_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

static void set_prefix(struct geometry *g, uint32_t words)
{
	g->prefix_words = words;
	g->prefix_size = prefix_bytes(words);
	g->max_message = g->lane_size / 2 - g->prefix_size;
}

/* Everything that follows from lanes and lane_size; records have no prefix. */
static void place_segments(struct geometry *g)
{
	g->chunk = g->lane_size / LAYOUT_CHUNKS;
	set_prefix(g, 0);
	g->registry_offset = LAYOUT_GRANULE;
	g->doorbell_offset = 2 * LAYOUT_GRANULE;
	g->cursors_offset = 3 * LAYOUT_GRANULE;
	g->controls_offset = g->cursors_offset + LAYOUT_CONSUMERS * LAYOUT_ROW;
	g->data_offset = round_up(g->controls_offset + g->lanes * LAYOUT_GRANULE,
				  g->lane_size < LAYOUT_HUGE ? LAYOUT_GRANULE : LAYOUT_HUGE);
	g->control_stride = LAYOUT_GRANULE;
	g->data_stride = g->lane_size;
	g->view_size = g->data_offset;
	g->file_size = g->data_offset + g->lanes * g->lane_size;
	g->lane_file_size = 0;
}

void layout_set_isolated(struct geometry *g)
{
	g->file_size = g->view_size = g->controls_offset;
	g->controls_offset = 0;
	g->data_offset = g->lane_size < LAYOUT_HUGE ? LAYOUT_GRANULE : LAYOUT_HUGE;
	g->control_stride = g->data_stride = 0;
	g->lane_file_size = g->data_offset + g->lane_size;
}

/* The ranges that config and identity have in common. */
static const char *check_ranges(const struct geometry *g)
{
	if (!is_power_of_two(g->lane_size) || g->lane_size < SHMRING_MIN_LANE_SIZE ||
	    g->lane_size > SHMRING_MAX_LANE_SIZE)
		return "lane_size must be a power of two from 64 KiB to 4 GiB";
	if (g->lanes < 1 || g->lanes > LAYOUT_LANES)
		return "lanes must be 1 to 64";
	if (g->alignment != 8 && g->alignment != 64)
		return "alignment must be 8 or 64";
	if (g->slow_policy > SHMRING_SLOW_EVICT)
		return "slow_policy must be SHMRING_SLOW_BLOCK or SHMRING_SLOW_EVICT";
	if (g->unread_policy > SHMRING_UNREAD_OVERWRITE)
		return "unread_policy must be SHMRING_UNREAD_HOLD or SHMRING_UNREAD_OVERWRITE";
	if (g->wake > SHMRING_WAKE_FENCE)
		return "wake must be SHMRING_WAKE_AUTO or SHMRING_WAKE_FENCE";
	if (g->evict_after_ns < 1 || g->evict_after_ns > MAX_EVICT_NS)
		return "evict_after_ns must be at most one day";
	if (g->evict_lag > g->lane_size)
		return "evict_lag must be at most the size of a lane";
	if (g->evict_lag_ns > MAX_EVICT_NS)
		return "evict_lag_ns must be at most one day";
	if (layout_has_limits(g) && g->slow_policy != SHMRING_SLOW_EVICT)
		return "evict_lag and evict_lag_ns need SHMRING_SLOW_EVICT";
	if (g->max_sleep_ns < MIN_SLEEP_NS || g->max_sleep_ns > MAX_SLEEP_NS)
		return "max_sleep_ns must be 1 ms to 10 s";
	if (g->first_position % 64 != 0)
		return "first_position must be a multiple of 64";
	return NULL;
}

void layout_add_stamps(struct geometry *g, uint32_t stamps)
{
	g->stamps = stamps;
	if (stamps != SHMRING_STAMP_NONE)
		set_prefix(g, g->prefix_words | PREFIX_STAMP);
}

int layout_plan(struct geometry *ret, const struct shmring_config *config)
{
	const struct shmring_config *c = config;
	struct geometry g = { 0 };
	const char *wrong;

	g.lane_size = c->lane_size ? c->lane_size : DEFAULT_LANE_SIZE;
	g.lanes = c->lanes ? c->lanes : DEFAULT_LANES;
	g.alignment = c->alignment ? c->alignment : DEFAULT_ALIGNMENT;
	g.slow_policy = c->slow_policy;
	g.unread_policy = c->unread_policy;
	g.wake = c->wake;
	g.evict_after_ns = c->evict_after_ns ? c->evict_after_ns : DEFAULT_EVICT_NS;
	g.evict_lag = c->evict_lag;
	g.evict_lag_ns = c->evict_lag_ns;
	g.max_sleep_ns = c->max_sleep_ns ? c->max_sleep_ns : DEFAULT_SLEEP_NS;
	g.first_position = c->first_position;
	g.ephemeral = (c->flags & SHMRING_EPHEMERAL) != 0;
	wrong = check_ranges(&g);
	if (!wrong && c->mode & ~0777u)
		wrong = "mode must be permission bits, 0 to 0777";
	if (!wrong && c->stamps > SHMRING_STAMP_AUTO)
		wrong = "stamps must be of enum shmring_stamp";
	if (wrong)
		return explain(-EINVAL, "cannot make such a ring: %s", wrong);
	place_segments(&g);
	*ret = g;
	return 0;
}

void layout_describe(struct identity *id, const struct geometry *g)
{
	memcpy(id->magic, LAYOUT_MAGIC, sizeof(id->magic));
	id->format = LAYOUT_FORMAT;
	id->endian = LAYOUT_ENDIAN;
	id->identity_size = sizeof(*id);
	id->file_size = g->file_size;
	id->incompatible = layout_is_isolated(g) ? FEATURE_ISOLATED : 0;
	id->compatible = g->ephemeral ? FEATURE_EPHEMERAL : 0;
	id->ro_compatible = layout_has_limits(g) ? FEATURE_LIMITS : 0;
	id->stamp_scale = g->stamp_scale;
	id->stamp_base = g->stamp_base;
	id->lane_size = g->lane_size;
	id->first_position = g->first_position;
	id->evict_after_ns = g->evict_after_ns;
	id->max_sleep_ns = g->max_sleep_ns;
	id->lanes = g->lanes;
	id->alignment = g->alignment;
	id->slow_policy = g->slow_policy;
	id->unread_policy = layout_swap_unread(g->unread_policy);
	id->wake = g->wake;
	id->consumers = LAYOUT_CONSUMERS;
	id->registry_offset = g->registry_offset;
	id->doorbell_offset = g->doorbell_offset;
	id->cursors_offset = g->cursors_offset;
	id->controls_offset = g->controls_offset;
	id->data_offset = g->data_offset;
	id->control_stride = g->control_stride;
	id->row_stride = LAYOUT_ROW;
	id->prefix_words = g->prefix_words;
	layout_seal(id);
}

uint32_t layout_crc32c(const void *data, size_t size)
{
	const uint8_t *p = data;
	uint32_t crc = UINT32_MAX;

	while (size-- > 0) {
		crc ^= *p++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
	}
	return ~crc;
}

static uint32_t identity_checksum(const struct identity *id)
{
	struct identity copy = *id;

	copy.checksum = 0;
	return layout_crc32c(&copy, sizeof(copy));
}

void layout_seal(struct identity *id)
{
	id->checksum = identity_checksum(id);
}

static uint32_t limits_checksum(const struct lag_limits *limits)
{
	return layout_crc32c(limits, offsetof(struct lag_limits, checksum));
}

void layout_describe_limits(struct lag_limits *limits, const struct geometry *g)
{
	*limits = (struct lag_limits){ .evict_lag = g->evict_lag, .evict_lag_ns = g->evict_lag_ns };
	limits->checksum = limits_checksum(limits);
}

int layout_check_limits(struct geometry *g, const struct lag_limits *limits)
{
	struct geometry limited = *g;
	const char *wrong;

	if (limits->checksum != limits_checksum(limits))
		return explain(-EBADMSG,
			       "the ring is damaged: its limits do not match their checksum");
	limited.evict_lag = limits->evict_lag;
	limited.evict_lag_ns = limits->evict_lag_ns;
	wrong = check_ranges(&limited);
	if (wrong)
		return explain(-EBADMSG, "the ring is damaged: %s", wrong);
	*g = limited;
	return 0;
}

/* The part that is readable in every format: refuse other formats by name. */
static int check_prefix(const struct identity *id)
{
	if (memcmp(id->magic, LAYOUT_MAGIC, sizeof(id->magic)) != 0)
		return explain(-EBADMSG,
			       "not a shmring ring: the file does not begin with its magic");
	if (id->endian != LAYOUT_ENDIAN)
		return explain(-EPROTONOSUPPORT,
			       "the ring was made on a machine with another byte order");
	if (id->format != LAYOUT_FORMAT)
		return explain(
			-EPROTONOSUPPORT,
			"the ring has format %u, this library knows format %u; use the matching "
			"version of shmring",
			(uint64_t)id->format, (uint64_t)LAYOUT_FORMAT);
	if (id->identity_size != sizeof(*id) || id->checksum != identity_checksum(id))
		return explain(-EBADMSG,
			       "the ring is damaged: its identity does not match its checksum");
	if ((id->incompatible & ~FEATURE_ISOLATED) != 0 ||
	    (id->ro_compatible & ~FEATURE_LIMITS) != 0)
		return explain(
			-EPROTONOSUPPORT,
			"the ring uses features that this library does not know; use a newer "
			"version of shmring");
	if ((id->prefix_words & ~PREFIX_KNOWN) != 0)
		return explain(
			-EPROTONOSUPPORT,
			"the messages of the ring have fields that this library does not know; "
			"use a newer version of shmring");
	return 0;
}

static bool offsets_agree(const struct geometry *g, const struct identity *id)
{
	return id->registry_offset == g->registry_offset &&
	       id->doorbell_offset == g->doorbell_offset &&
	       id->cursors_offset == g->cursors_offset &&
	       id->controls_offset == g->controls_offset && id->data_offset == g->data_offset &&
	       id->control_stride == g->control_stride && id->row_stride == LAYOUT_ROW &&
	       id->consumers == LAYOUT_CONSUMERS && id->file_size == g->file_size;
}

int layout_check(struct geometry *ret, const struct identity *id, uint64_t file_size)
{
	struct geometry g = { 0 };
	const char *wrong;
	int r;

	r = check_prefix(id);
	if (r < 0)
		return r;
	g.lane_size = id->lane_size;
	g.lanes = id->lanes;
	g.alignment = id->alignment;
	g.slow_policy = id->slow_policy;
	g.unread_policy = layout_swap_unread(id->unread_policy);
	g.wake = id->wake;
	g.evict_after_ns = id->evict_after_ns;
	g.max_sleep_ns = id->max_sleep_ns;
	g.first_position = id->first_position;
	g.ephemeral = (id->compatible & FEATURE_EPHEMERAL) != 0;
	wrong = check_ranges(&g);
	if (wrong)
		return explain(-EBADMSG, "the ring is damaged: %s", wrong);
	place_segments(&g);
	if (id->incompatible & FEATURE_ISOLATED)
		layout_set_isolated(&g);
	if (id->prefix_words & PREFIX_STAMP)
		layout_add_stamps(&g,
				  id->stamp_scale != 0 ? SHMRING_STAMP_TSC : SHMRING_STAMP_CLOCK);
	g.stamp_scale = id->stamp_scale;
	g.stamp_base = id->stamp_base;
	if (g.stamp_scale > MAX_SCALE || (!g.stamps && g.stamp_scale != 0))
		return explain(-EBADMSG,
			       "the ring is damaged: its settings of stamps are not valid");
	if (!offsets_agree(&g, id))
		return explain(-EBADMSG,
			       "the ring is damaged: the offsets of its segments are wrong");
	if (file_size != g.file_size)
		return explain(-EBADMSG,
			       "the ring's file was truncated or extended: it has %u bytes and "
			       "should have %u",
			       file_size, g.file_size);
	*ret = g;
	return 0;
}
