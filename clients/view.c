/* SPDX-License-Identifier: MIT */
/*
 * The state of a ring as ls and stat show it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "view.h"

/* The library's last sentence, to be freed. */
static int keep_reason(char **ret)
{
	*ret = strdup(shmring_explain());
	return *ret ? 0 : -ENOMEM;
}

static int collect_lane(struct ring_view *v, struct shmring_ring *r, unsigned lane)
{
	v->lanes[lane].size = sizeof(v->lanes[lane]);
	if (shmring_stat_lane(r, lane, &v->lanes[lane]) == 0)
		return 0;
	v->lane_error_count++;
	return keep_reason(&v->lane_errors[lane]);
}

int view_collect(struct ring_view *ret, struct shmring_ring *r, const char *address)
{
	int err;

	ret->address = address;
	ret->ring.size = sizeof(ret->ring);
	err = shmring_stat(r, &ret->ring);
	if (err == 0 && ret->ring.resident == UINT64_MAX)
		err = keep_reason(&ret->unknown_resident);
	for (unsigned i = 0; err == 0 && i < ret->ring.lanes; i++)
		err = collect_lane(ret, r, i);
	for (unsigned i = 0; err == 0 && i < SHMRING_MAX_CONSUMERS; i++) {
		ret->consumers[i].size = sizeof(ret->consumers[i]);
		err = shmring_stat_consumer(r, i, &ret->consumers[i]);
	}
	return err;
}

void view_free(struct ring_view *v)
{
	free(v->unknown_resident);
	for (unsigned i = 0; i < SHMRING_MAX_LANES; i++)
		free(v->lane_errors[i]);
}

void view_count(const struct ring_view *v, struct view_counts *ret)
{
	*ret = (struct view_counts){ 0 };
	for (unsigned i = 0; i < v->ring.lanes; i++) {
		const struct shmring_lane_stat *l = &v->lanes[i];

		ret->full_waits += l->full_waits;
		ret->full_wait_ns += l->full_wait_ns;
		ret->producer_sleeps += l->sleeps;
		ret->producer_wakes += l->wakes;
		ret->evictions += l->evictions;
	}
	for (unsigned i = 0; i < SHMRING_MAX_CONSUMERS; i++) {
		const struct shmring_consumer_stat *c = &v->consumers[i];

		ret->consumer_waits += c->waits;
		ret->consumer_sleeps += c->sleeps;
		ret->lost += c->lost;
		ret->lost_bytes += c->lost_bytes;
	}
}

static const char *word(const char *const *words, size_t count, uint32_t value)
{
	return value < count ? words[value] : "unknown";
}

const char *state_word(uint32_t state)
{
	static const char *const words[] = {
		[SHMRING_FREE] = "free",	 [SHMRING_JOINING] = "joining",
		[SHMRING_ACTIVE] = "active",	 [SHMRING_DEAD] = "dead",
		[SHMRING_DETACHED] = "detached", [SHMRING_EVICTED] = "evicted",
	};

	return word(words, sizeof(words) / sizeof(words[0]), state);
}

const char *slow_word(uint32_t policy)
{
	static const char *const words[] = {
		[SHMRING_SLOW_BLOCK] = "block",
		[SHMRING_SLOW_EVICT] = "evict",
	};

	return word(words, 2, policy);
}

const char *unread_word(uint32_t policy)
{
	static const char *const words[] = {
		[SHMRING_UNREAD_OVERWRITE] = "overwrite",
		[SHMRING_UNREAD_HOLD] = "hold",
	};

	return word(words, 2, policy);
}

const char *wake_word(uint32_t wake)
{
	static const char *const words[] = {
		[SHMRING_WAKE_AUTO] = "auto",
		[SHMRING_WAKE_FENCE] = "fence",
	};

	return word(words, 2, wake);
}

const char *stamps_word(uint32_t stamps)
{
	static const char *const words[] = {
		[SHMRING_STAMP_NONE] = "none",
		[SHMRING_STAMP_CLOCK] = "clock",
		[SHMRING_STAMP_TSC] = "tsc",
	};

	return word(words, 3, stamps);
}

const char *format_uuid(char ret[UUID_TEXT], const uint8_t uuid[16])
{
	char *end = ret;

	for (int i = 0; i < 16; i++)
		end += sprintf(end, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
			       uuid[i]);
	return ret;
}

const char *format_known(char ret[UNITS_TEXT], uint64_t bytes)
{
	return bytes == UINT64_MAX ? strcpy(ret, "unknown") : format_size(ret, bytes);
}

json_t *view_json_ring(const char *address, const struct shmring_ring_stat *stat)
{
	json_t *object = json_object();
	char uuid[UUID_TEXT];
	int err = json_set_bytes(object, "ring", address, strlen(address));
	json_t *rest = json_pack(
		"{so, so, so, so, so, so, ss, so, so, so, ss, ss, so, ss, so, so, so, so, so, so, "
		"so, sb, sb}",
		"uuid", json_string(format_uuid(uuid, stat->uuid)), "format",
		json_unsigned(stat->format), "lanes", json_unsigned(stat->lanes), "lane_size",
		json_unsigned(stat->lane_size), "max_message", json_unsigned(stat->max_message),
		"alignment", json_unsigned(stat->alignment), "slow", slow_word(stat->slow_policy),
		"evict_after_ns", json_unsigned(stat->evict_after_ns), "evict_lag",
		json_unsigned(stat->evict_lag), "evict_lag_ns", json_unsigned(stat->evict_lag_ns),
		"unread", unread_word(stat->unread_policy), "wake", wake_word(stat->wake),
		"max_sleep_ns", json_unsigned(stat->max_sleep_ns), "stamps",
		stamps_word(stat->stamps), "created_ns", json_unsigned(stat->created_ns),
		"file_size", json_unsigned(stat->file_size), "allocated",
		json_unsigned(stat->allocated), "resident", json_known(stat->resident), "producers",
		json_unsigned(stat->producers), "consumers", json_unsigned(stat->consumers),
		"detached", json_unsigned(stat->detached), "retired", (int)stat->retired,
		"ephemeral", (stat->flags & SHMRING_EPHEMERAL) != 0);

	if (err == 0 && rest && json_object_update(object, rest) == 0) {
		json_decref(rest);
		return object;
	}
	json_decref(rest);
	json_decref(object);
	return NULL;
}
