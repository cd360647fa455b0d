/* SPDX-License-Identifier: MIT */
/*
 * The ledger of a storm, and its auditor: holds the journal of a consumer, or
 * of the consumers of one name, against the promises and against what producers
 * noted.
 */
#include "ledger.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <check.h>

struct ledger *ledger_new(void)
{
	struct ledger *l = mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ck_assert_ptr_ne(l, MAP_FAILED);
	return l;
}

void ledger_free(struct ledger *l)
{
	munmap(l, sizeof(*l));
}

void journal_add(struct journal *j, const struct entry *e)
{
	uint64_t head = j->head;

	while (head - ledger_get(&j->tail) == JOURNAL_ENTRIES)
		poll(NULL, 0, 1);
	j->entries[head % JOURNAL_ENTRIES] = *e;
	ledger_put(&j->head, head + 1);
}

void histogram_add(struct histogram *h, int64_t ns)
{
	static const int64_t limits[BUCKETS - 1] = { 10000,	1000 * 100, 1000000,   10000000,
						     100000000, 200000000,  1000000000 };
	unsigned i = 0;

	while (i < BUCKETS - 1 && ns >= limits[i])
		i++;
	h->counts[i]++;
	if (ns > h->longest)
		h->longest = ns;
}

void histogram_sum(struct histogram *to, const struct histogram *from)
{
	for (unsigned i = 0; i < BUCKETS; i++)
		to->counts[i] += from->counts[i];
	if (from->longest > to->longest)
		to->longest = from->longest;
}

void stream_begin(struct stream *s, bool named, bool evictable)
{
	memset(s, 0, sizeof(*s));
	s->named = named;
	s->evictable = evictable;
	for (unsigned i = 0; i < SHMRING_MAX_LANES; i++)
		s->lanes[i].known = named;
}

/* A doubt about a consumer that may be evicted becomes a fault at the next release. */
__attribute__((format(printf, 3, 4))) static void fault(struct stream *s, const struct entry *e,
							const char *format, ...)
{
	char text[sizeof(s->first_doubt)];
	va_list args;
	int used;

	if (s->doubts++)
		return;
	used = snprintf(text, sizeof(text),
			"lane %u tenancy %" PRIu32 " seq %" PRIu64 " lost %" PRIu64
			" source %" PRIu64 " number %" PRIu64 ": ",
			e->lane, e->tenancy, e->seq, e->lost, e->source, e->number);
	va_start(args, format);
	vsnprintf(text + used, sizeof(text) - (size_t)used, format, args);
	va_end(args);
	memcpy(s->first_doubt, text, sizeof(text));
}

/* LE1: nothing more of this source will come in its lane; `count` has. */
static void check_ending(struct stream *s, const struct entry *e, struct ledger *l,
			 const struct ending *end)
{
	struct source *from = &l->sources[end->source];
	uint64_t committed = ledger_get(&from->committed), intent = ledger_get(&from->intent);

	if (end->count != committed && end->count != intent)
		fault(s, e,
		      "source %" PRIu64 " ends with %" PRIu64 ", %" PRIu64 " to %" PRIu64
		      " published",
		      end->source, end->count, committed, intent);
	if (from->final != 0 && from->final != end->count + 1)
		fault(s, e, "source %" PRIu64 " ends with %" PRIu64 ", for others with %" PRIu64,
		      end->source, end->count, from->final - 1);
	from->final = end->count + 1;
}

/* The messages that were seen count now. */
static void believe(struct stream *s, const struct entry *e, struct ledger *l)
{
	for (unsigned i = 0; i < s->ending_count; i++)
		check_ending(s, e, l, &s->endings[i]);
	if (s->doubts > 0 && s->faults == 0)
		memcpy(s->first_fault, s->first_doubt, sizeof(s->first_fault));
	s->faults += s->doubts;
	s->doubts = s->ending_count = 0;
}

static void disbelieve(struct stream *s)
{
	s->doubts = s->ending_count = 0;
}

static void end_source(struct stream *s, const struct entry *e, const struct place *at)
{
	if (at->source == 0)
		return;
	if (s->ending_count == ENDINGS)
		fault(s, e, "too many producers between two releases");
	else
		s->endings[s->ending_count++] = (struct ending){ at->source, at->number };
}

/* Is this the message that is due at `at`, after what was lost? */
static void check_message(struct stream *s, const struct entry *e, const struct place *at)
{
	uint64_t due = at->seq + e->lost;

	if (e->seq != due)
		fault(s, e, "%s, due %" PRIu64, e->seq < due ? "repeated" : "gap", due);
	if (e->tenancy < at->tenancy || e->tenancy == 0)
		fault(s, e, "after tenancy %" PRIu32, at->tenancy);
	if (at->source == 0 && at->seq != 0)
		return; /* the consumer joined here: the next lane in turn is not known */
	if (e->tenancy == at->tenancy) {
		if (e->source != at->source || e->number != at->number + e->lost)
			fault(s, e, "due source %" PRIu64 " number %" PRIu64, at->source,
			      at->number + e->lost);
		return;
	}
	if (e->number > e->lost)
		fault(s, e, "the first of its source that came");
	if (e->lost == 0)
		end_source(s, e, at);
}

/* After an attachment: the places that the lane may go on from. */
static void settle(struct stream *s, struct stream_lane *lane, const struct entry *e)
{
	const struct place *at = &lane->released;

	if (lane->either && e->seq - e->lost == lane->pending.seq)
		at = &lane->pending;
	if (lane->seen.seq > at->seq)
		s->again += lane->seen.seq - at->seq;
	lane->seen = lane->released = *at;
	lane->either = false;
}

static void follow_message(struct stream *s, const struct entry *e, struct ledger *l)
{
	struct stream_lane *lane = &s->lanes[e->lane];

	if (e->source == 0 || e->source >= SOURCES) {
		fault(s, e, "corrupt");
		return;
	}
	if (e->number >= ledger_get(&l->sources[e->source].intent))
		fault(s, e, "not published");
	if (!lane->known) {
		if (lane->joined && e->seq - (e->lost - lane->missed) > lane->limit)
			fault(s, e, "the first one, although only %" PRIu64 " had been published",
			      lane->limit);
		if (e->lost < lane->missed)
			fault(s, e, "the first one, although %" PRIu64 " were gone", lane->missed);
		lane->known = true;
		lane->released = (struct place){ .seq = e->seq - e->lost };
		lane->seen = lane->released;
	} else {
		if (lane->either)
			settle(s, lane, e);
		check_message(s, e, &lane->seen);
	}
	lane->seen = (struct place){ e->seq + 1, e->source, e->number + 1, e->tenancy };
	s->messages++;
	s->lost += e->lost;
}

/* A new handle. A name goes on where it was; others begin anywhere. */
static void follow_attachment(struct stream *s)
{
	for (unsigned i = 0; i < SHMRING_MAX_LANES; i++) {
		struct stream_lane *lane = &s->lanes[i];

		if (!s->named) {
			*lane = (struct stream_lane){ .known = false };
		} else if (!lane->either) {
			if (!s->releasing)
				lane->pending = lane->released;
			lane->either = true;
		}
	}
	s->releasing = false;
	s->attachments++;
}

static void follow_release(struct stream *s, enum entry_kind kind)
{
	s->releasing = kind == ENTRY_RELEASING;
	for (unsigned i = 0; i < SHMRING_MAX_LANES; i++) {
		struct stream_lane *lane = &s->lanes[i];

		if (lane->either)
			continue; /* nothing of it was handed out */
		if (kind == ENTRY_RELEASING)
			lane->pending = lane->seen;
		else if (kind == ENTRY_RELEASED)
			lane->released = lane->seen;
		else
			lane->seen = lane->released;
	}
}

static void follow(struct stream *s, const struct entry *e, struct ledger *l)
{
	struct stream_lane *lane = &s->lanes[e->lane];

	switch (e->kind) {
	case ENTRY_ATTACHED:
		follow_attachment(s);
		disbelieve(s);
		break;
	case ENTRY_JOINED:
		lane->joined = true;
		lane->limit = e->seq;
		lane->missed = e->lost;
		break;
	case ENTRY_MESSAGE:
		follow_message(s, e, l);
		break;
	case ENTRY_DRAINED:
		s->drained = true;
		break;
	default:
		follow_release(s, e->kind);
	}
	if (e->kind == ENTRY_DROPPED && s->evictable)
		disbelieve(s);
	else if (e->kind == ENTRY_RELEASED || !s->evictable)
		believe(s, e, l);
}

uint64_t stream_follow(struct stream *s, struct journal *j, struct ledger *l)
{
	uint64_t head = ledger_get(&j->head);
	uint64_t count = head - j->tail;

	for (uint64_t at = j->tail; at != head; at++)
		follow(s, &j->entries[at % JOURNAL_ENTRIES], l);
	ledger_put(&j->tail, head);
	return count;
}

void stream_end(struct stream *s, unsigned index, uint64_t messages, struct ledger *l)
{
	struct stream_lane *lane = &s->lanes[index];
	struct entry e = { .lane = (uint8_t)index, .seq = messages };

	if (!s->drained)
		fault(s, &e, "was not read to its end");
	believe(s, &e, l);
	if (!lane->known)
		return;
	if (lane->either) /* nothing came since the last attachment */
		lane->seen = lane->pending.seq == messages ? lane->pending : lane->released;
	if (lane->seen.seq != messages)
		fault(s, &e, "read up to %" PRIu64 " only", lane->seen.seq);
	end_source(s, &e, &lane->seen);
	believe(s, &e, l);
}
