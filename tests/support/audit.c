/* SPDX-License-Identifier: MIT */
/*
 * Messages that can be audited, and the auditor.
 */
#include "audit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "must.h"
#include "random.h"

static const char *const fault_names[AUDIT_FAULTS] = {
	[AUDIT_CORRUPT] = "corrupt", [AUDIT_REPEATED] = "repeated", [AUDIT_GAP] = "gap",
	[AUDIT_LIE] = "lie",	     [AUDIT_TENANCY] = "tenancy",   [AUDIT_STAMP] = "stamp",
};

/* The pattern that fills message `number` of `source` behind its header. */
static uint64_t pattern_begin(uint64_t source, uint64_t number)
{
	uint64_t state = source ^ (number * 0x9e3779b97f4a7c15u);

	return random_next(&state);
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t len)
{
	const unsigned char *bytes = data;
	uint64_t word;

	for (; len >= sizeof(word); len -= sizeof(word), bytes += sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		hash = (hash ^ word) * 0x9fb21c651e98df25u;
		hash ^= hash >> 32;
	}
	word = len;
	memcpy(&word, bytes, len);
	hash = (hash ^ word ^ (uint64_t)len << 56) * 0x9fb21c651e98df25u;
	return hash ^ hash >> 29;
}

static uint64_t checksum(const struct audit_header *h, const void *body, size_t len)
{
	uint64_t hash = hash_bytes(0, h, offsetof(struct audit_header, checksum));

	return hash_bytes(hash, body, len);
}

static void fill_pattern(unsigned char *data, size_t len, uint64_t source, uint64_t number)
{
	uint64_t state = pattern_begin(source, number);
	uint64_t word;

	for (; len >= sizeof(word); len -= sizeof(word), data += sizeof(word)) {
		word = random_next(&state);
		memcpy(data, &word, sizeof(word));
	}
	word = random_next(&state);
	memcpy(data, &word, len);
}

void audit_fill(void *data, size_t len, uint64_t source, uint64_t number)
{
	struct audit_header h = { .source = source, .number = number, .length = len };
	unsigned char *bytes = data;

	if (len < sizeof(h)) {
		fill_pattern(bytes, len, source, number);
		return;
	}
	fill_pattern(bytes + sizeof(h), len - sizeof(h), source, number);
	h.checksum = checksum(&h, bytes + sizeof(h), len - sizeof(h));
	memcpy(bytes, &h, sizeof(h));
}

bool audit_read(const void *data, size_t len, struct audit_header *ret)
{
	const unsigned char *bytes = data;

	if (len < sizeof(*ret))
		return false;
	memcpy(ret, bytes, sizeof(*ret));
	return ret->length == len &&
	       ret->checksum == checksum(ret, bytes + sizeof(*ret), len - sizeof(*ret));
}

void audit_begin(struct audit *a, bool from_start)
{
	memset(a, 0, sizeof(*a));
	for (unsigned i = 0; i < SHMRING_MAX_LANES; i++)
		a->lanes[i].seen = from_start;
}

__attribute__((format(printf, 4, 5))) static void fault(struct audit *a, enum audit_fault kind,
							const struct facts *m, const char *format,
							...)
{
	va_list args;
	int used;

	if (a->faults[kind]++ || a->first_fault[0])
		return;
	used = snprintf(a->first_fault, sizeof(a->first_fault),
			"%s: lane %" PRIu32 " tenancy %" PRIu32 " seq %" PRIu64 " lost %" PRIu64
			": ",
			fault_names[kind], m->producer, m->tenancy, m->seq, m->lost);
	va_start(args, format);
	vsnprintf(a->first_fault + used, sizeof(a->first_fault) - (size_t)used, format, args);
	va_end(args);
}

/* Hold a number against what is due after `lost` missing ones. */
static void audit_count(struct audit *a, const struct facts *m, const char *what, uint64_t number,
			uint64_t next)
{
	uint64_t due = next + m->lost;

	if (number == due)
		return;
	if (number < next)
		fault(a, AUDIT_REPEATED, m, "%s %" PRIu64 ", due %" PRIu64, what, number, due);
	else if (number < due)
		fault(a, AUDIT_LIE, m, "%s %" PRIu64 ", due %" PRIu64, what, number, due);
	else
		fault(a, AUDIT_GAP, m, "%s %" PRIu64 ", due %" PRIu64, what, number, due);
}

/* The lane's owner changes with its tenancy, which only grows. */
static void audit_owner(struct audit *a, struct audit_lane *lane, const struct facts *m,
			uint64_t source)
{
	bool same = lane->known && lane->source == source;

	if (m->tenancy < lane->tenancy || m->tenancy == 0)
		fault(a, AUDIT_TENANCY, m, "after tenancy %" PRIu32, lane->tenancy);
	else if (lane->known && same != (m->tenancy == lane->tenancy))
		fault(a, AUDIT_TENANCY, m, "source %" PRIx64 " after tenancy %" PRIu32, source,
		      lane->tenancy);
}

static void audit_long(struct audit *a, struct audit_lane *lane, const struct facts *m)
{
	struct audit_header h;

	if (!audit_read(m->data, m->len, &h)) {
		fault(a, AUDIT_CORRUPT, m, "%zu bytes, %" PRIu64 " written", m->len, h.length);
		lane->known = false;
		return;
	}
	audit_owner(a, lane, m, h.source);
	if (lane->known && lane->source == h.source)
		audit_count(a, m, "number", h.number, lane->next_number);
	else if (lane->seen && lane->tenancy != m->tenancy && h.number > m->lost)
		fault(a, AUDIT_GAP, m, "begins with number %" PRIu64, h.number);
	lane->source = h.source;
	lane->next_number = h.number + 1;
	lane->known = true;
}

/* Without a header: what is due is known, unless loss hides a new owner. */
static void audit_short(struct audit *a, struct audit_lane *lane, const struct facts *m)
{
	unsigned char due[sizeof(struct audit_header)];

	if (lane->known && lane->tenancy != m->tenancy) {
		if (m->lost == 0)
			fault(a, AUDIT_TENANCY, m, "short first message");
		lane->known = false;
	}
	if (!lane->known)
		return;
	lane->next_number += m->lost;
	fill_pattern(due, m->len, lane->source, lane->next_number);
	if (memcmp(due, m->data, m->len) != 0)
		fault(a, AUDIT_CORRUPT, m, "%zu bytes, not number %" PRIu64, m->len,
		      lane->next_number);
	lane->next_number++;
}

struct facts facts_of(const struct shmring_consumer *c, const struct shmring_message *m)
{
	struct facts t = { .data = m->data, .len = m->len, .seq = m->seq, .producer = m->producer };

	must(shmring_message_lost(c, m, &t.lost, &t.lost_bytes));
	must(shmring_message_tenancy(c, m, &t.tenancy));
	must(shmring_message_stamp(c, m, &t.stamp_ns));
	/* Not ck_assert(): a peer that was executed is no test. */
	if (m->flags != (t.lost != 0 ? SHMRING_AFTER_LOSS : 0) || (t.lost == 0 && t.lost_bytes))
		ck_abort_msg("flags %" PRIx32 " where %" PRIu64 " messages are lost", m->flags,
			     t.lost);
	return t;
}

bool audit_peeked(struct audit *a, const struct shmring_consumer *c,
		  const struct shmring_message *m)
{
	const struct facts t = facts_of(c, m);

	return audit_message(a, &t);
}

bool audit_message(struct audit *a, const struct facts *m)
{
	uint64_t faults = audit_faults(a);
	struct audit_lane *lane;

	if (m->producer >= SHMRING_MAX_LANES) {
		fault(a, AUDIT_CORRUPT, m, "no such lane");
		return false;
	}
	lane = &a->lanes[m->producer];
	if (lane->seen)
		audit_count(a, m, "seq", m->seq, lane->next_seq);
	if (((uintptr_t)m->data & 7) != 0)
		fault(a, AUDIT_CORRUPT, m, "not aligned");
	if (m->stamp_ns < lane->stamp_ns)
		fault(a, AUDIT_STAMP, m, "%" PRIu64 " after %" PRIu64, m->stamp_ns, lane->stamp_ns);
	if (m->len >= sizeof(struct audit_header))
		audit_long(a, lane, m);
	else
		audit_short(a, lane, m);
	lane->tenancy = m->tenancy;
	lane->stamp_ns = m->stamp_ns;
	lane->next_seq = m->seq + 1;
	lane->seen = true;
	a->messages++;
	a->bytes += m->len;
	a->lost += m->lost;
	a->lost_bytes += m->lost_bytes;
	return audit_faults(a) == faults;
}

uint64_t audit_faults(const struct audit *a)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < AUDIT_FAULTS; i++)
		sum += a->faults[i];
	return sum;
}
