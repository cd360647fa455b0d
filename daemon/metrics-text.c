/* SPDX-License-Identifier: MIT */
/*
 * The text of the metrics. All samples of one metric stand together behind its type,
 * so the numbers of all rings are read first (ring-numbers.h). What others wrote into a ring is
 * only printed, and escaped.
 */
#include "metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <shmring/shmring.h>

#include "sys.h"

#define NS_PER_S UINT64_C(1000000000)

struct report {
	FILE *out;
	const struct seen *seen;
	const struct ring_numbers **rings;
	size_t ring_count;
	int64_t begun_ns;
};

static void head(struct report *r, const char *name, const char *type, const char *help)
{
	fprintf(r->out, "# HELP shmringd_%s %s\n# TYPE shmringd_%s %s\n", name, help, name, type);
}

static void single(struct report *r, const char *name, const char *type, const char *help,
		   uint64_t value)
{
	head(r, name, type, help);
	fprintf(r->out, "shmringd_%s %" PRIu64 "\n", name, value);
}

/* Text from a ring cannot end a line or a string, and is made ASCII. */
static void put_label(FILE *out, const char *text, size_t size)
{
	for (size_t i = 0; i < size && text[i] != '\0'; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			fputc('\\', out);
		fputc(c < ' ' || c >= 0x7f ? '?' : c, out);
	}
}

enum column {
	COLUMN_MESSAGES,
	COLUMN_BYTES,
	COLUMN_PRODUCERS,
	COLUMN_CONSUMERS,
	COLUMN_DETACHED,
	COLUMN_EVICTED,
	COLUMN_SIZE,
	COLUMN_ALLOCATED,
	COLUMN_RESIDENT,
	COLUMN_CLIENTS,
	COLUMN_RECOVERIES,
	COLUMN_DAMAGED,
	COLUMN_FULL_WAITS,
	COLUMN_FULL_WAIT_TIME,
	COLUMN_PRODUCER_SLEEPS,
	COLUMN_PRODUCER_WAKES,
	COLUMN_CONSUMER_WAITS,
	COLUMN_CONSUMER_SLEEPS,
	COLUMN_LOST,
	COLUMN_LOST_BYTES,
	COLUMN_EVICTIONS,
	COLUMNS
};

static const struct {
	const char *name, *type, *help;
	bool is_time; /* nanoseconds in the ring, seconds here */
} columns[COLUMNS] = {
	[COLUMN_MESSAGES] = { "ring_messages_total", "counter",
			      "Messages published since the ring was made.", false },
	[COLUMN_BYTES] = { "ring_payload_bytes_total", "counter",
			   "Bytes of payload published since the ring was made.", false },
	[COLUMN_PRODUCERS] = { "ring_producers", "gauge", "Producers alive.", false },
	[COLUMN_CONSUMERS] = { "ring_consumers", "gauge", "Lossless consumers alive.", false },
	[COLUMN_DETACHED] = { "ring_detached", "gauge", "Named cursors without a process.", false },
	[COLUMN_EVICTED] = { "ring_evicted", "gauge",
			     "Consumers that were evicted, and so have lost messages.", false },
	[COLUMN_SIZE] = { "ring_size_bytes", "gauge", "Bytes that the ring can hold.", false },
	[COLUMN_ALLOCATED] = { "ring_allocated_bytes", "gauge", "Memory or disk in use.", false },
	[COLUMN_RESIDENT] = { "ring_resident_bytes", "gauge", "Bytes in memory.", false },
	[COLUMN_CLIENTS] = { "ring_clients", "gauge", "Connections that have the ring open.",
			     false },
	[COLUMN_RECOVERIES] = { "ring_recoveries_total", "counter",
				"Dead producers and consumers whose places the broker freed.",
				false },
	[COLUMN_DAMAGED] = { "ring_damaged", "gauge", "1 if the ring is corrupt.", false },
	[COLUMN_FULL_WAITS] = { "ring_full_waits_total", "counter",
				"Times that a producer found no room.", false },
	[COLUMN_FULL_WAIT_TIME] = { "ring_full_wait_seconds_total", "counter",
				    "Time that producers have waited for room.", true },
	[COLUMN_PRODUCER_SLEEPS] = { "ring_producer_sleeps_total", "counter",
				     "Times that a producer slept for room.", false },
	[COLUMN_PRODUCER_WAKES] = { "ring_producer_wakes_total", "counter",
				    "Times that a producer woke others.", false },
	[COLUMN_CONSUMER_WAITS] = { "ring_consumer_waits_total", "counter",
				    "Times that a consumer found no message and waited.", false },
	[COLUMN_CONSUMER_SLEEPS] = { "ring_consumer_sleeps_total", "counter",
				     "Times that a consumer slept for a message.", false },
	[COLUMN_LOST] = { "ring_lost_messages_total", "counter",
			  "Messages that consumers have lost, summed over the consumers.", false },
	[COLUMN_LOST_BYTES] = { "ring_lost_bytes_total", "counter",
				"Bytes of payload of those messages.", false },
	[COLUMN_EVICTIONS] = { "ring_evictions_total", "counter",
			       "Times that a producer evicted a consumer.", false },
};

static uint64_t count_of(const struct ring_counts *n, enum column which)
{
	switch (which) {
	case COLUMN_FULL_WAITS:
		return n->full_waits;
	case COLUMN_FULL_WAIT_TIME:
		return n->full_wait_ns;
	case COLUMN_PRODUCER_SLEEPS:
		return n->producer_sleeps;
	case COLUMN_PRODUCER_WAKES:
		return n->wakes;
	case COLUMN_CONSUMER_WAITS:
		return n->waits;
	case COLUMN_CONSUMER_SLEEPS:
		return n->consumer_sleeps;
	case COLUMN_LOST:
		return n->lost;
	case COLUMN_LOST_BYTES:
		return n->lost_bytes;
	default:
		return n->evictions;
	}
}

static uint64_t cell(const struct seen *s, const struct ring_numbers *n, enum column which)
{
	switch (which) {
	case COLUMN_MESSAGES:
		return n->messages;
	case COLUMN_BYTES:
		return n->bytes;
	case COLUMN_PRODUCERS:
		return n->stat.producers;
	case COLUMN_CONSUMERS:
		return n->stat.consumers;
	case COLUMN_DETACHED:
		return n->stat.detached;
	case COLUMN_EVICTED:
		return n->evicted;
	case COLUMN_SIZE:
		return n->stat.file_size;
	case COLUMN_ALLOCATED:
		return n->stat.allocated;
	case COLUMN_RESIDENT:
		return n->stat.resident;
	case COLUMN_CLIENTS:
		return s->clients;
	case COLUMN_RECOVERIES:
		return s->recoveries;
	case COLUMN_DAMAGED:
		return n->damaged;
	default:
		return count_of(&n->counts, which);
	}
}

/* Else the sample is left out. */
static bool is_known(const struct ring_numbers *n, enum column which)
{
	switch (which) {
	case COLUMN_RESIDENT:
		return n->stat.resident != UINT64_MAX;
	case COLUMN_MESSAGES:
	case COLUMN_BYTES:
	case COLUMN_EVICTED:
		return n->known;
	default:
		return which < COLUMN_FULL_WAITS || n->known;
	}
}

static void put_value(FILE *out, uint64_t value, bool is_time)
{
	if (is_time)
		fprintf(out, "%" PRIu64 ".%09" PRIu64 "\n", value / NS_PER_S, value % NS_PER_S);
	else
		fprintf(out, "%" PRIu64 "\n", value);
}

static void put_column(struct report *r, enum column which)
{
	head(r, columns[which].name, columns[which].type, columns[which].help);
	for (size_t i = 0; i < r->ring_count; i++) {
		const struct seen *s = &r->seen[i];
		uint64_t value = cell(s, r->rings[i], which);

		if (!is_known(r->rings[i], which))
			continue;
		fprintf(r->out, "shmringd_%s{ring=\"%s\",owner=\"%u\"} ", columns[which].name,
			s->name, (unsigned)s->owner);
		put_value(r->out, value, columns[which].is_time);
	}
}

static void put_lags(struct report *r)
{
	head(r, "consumer_lag_bytes", "gauge", "Lane bytes behind the producers.");
	for (size_t i = 0; i < r->ring_count; i++)
		for (size_t c = 0; c < r->rings[i]->consumer_count; c++) {
			const struct consumer_numbers *n = &r->rings[i]->consumers[c];

			fprintf(r->out,
				"shmringd_consumer_lag_bytes{ring=\"%s\",slot=\"%u\","
				"name=\"",
				r->seen[i].name, n->slot);
			put_label(r->out, n->name, sizeof(n->name));
			fprintf(r->out, "\"} %" PRIu64 "\n", n->lag);
		}
}

static void put_ages(struct report *r)
{
	head(r, "ring_count_age_seconds", "gauge",
	     "Age of messages, payload, lags: 0 unless they take long to count.");
	for (size_t i = 0; i < r->ring_count; i++) {
		int64_t age = r->begun_ns - r->rings[i]->counted_ns;

		fprintf(r->out, "shmringd_ring_count_age_seconds{ring=\"%s\",owner=\"%u\"} %.3f\n",
			r->seen[i].name, (unsigned)r->seen[i].owner,
			age > 0 ? (double)age / 1e9 : 0.0);
	}
}

static void put_client(struct report *r, const char *name, const struct client_numbers *c,
		       size_t value)
{
	fprintf(r->out, "shmringd_%s{connection=\"%" PRIu64 "\",pid=\"%d\",uid=\"%u\"} %zu\n", name,
		c->connection, (int)c->pid, (unsigned)c->uid, value);
}

static void put_clients(struct report *r, const struct snapshot *s)
{
	head(r, "client_grants", "gauge", "Attachments granted to a connection.");
	for (size_t i = 0; i < s->client_count; i++)
		put_client(r, "client_grants", &s->clients[i], s->clients[i].grants);
	head(r, "client_rings", "gauge", "Rings that a connection has open.");
	for (size_t i = 0; i < s->client_count; i++)
		put_client(r, "client_rings", &s->clients[i], s->clients[i].rings);
}

static void put_quotas(struct report *r, const struct snapshot *s)
{
	head(r, "quota_used", "gauge", "Quota in use per user.");
	for (size_t i = 0; i < s->account_count; i++)
		for (unsigned what = 0; what < QUOTA_RESOURCES; what++)
			fprintf(r->out,
				"shmringd_quota_used{uid=\"%u\",resource=\"%s\"} %" PRIu64 "\n",
				(unsigned)s->accounts[i].uid, quota_names[what],
				s->accounts[i].used[what]);
}

static void put_keeper(struct report *r, const struct snapshot *s)
{
	single(r, "keeper", "gauge", "1 if isolated rings are kept while there is no broker.",
	       s->kept);
	single(r, "keeper_words", "gauge", "Messages that the keeper has not read yet.",
	       s->keeper_words);
	if (s->stored_most == 0)
		return;
	single(r, "descriptor_store_reserved", "gauge",
	       "Descriptors that isolated rings may need in the store of systemd.", s->stored);
	single(r, "descriptor_store_size", "gauge", "Descriptors that systemd keeps at most.",
	       s->stored_most);
}

static void put_broker(struct report *r, const struct snapshot *s)
{
	head(r, "info", "gauge", "The broker's version.");
	fprintf(r->out, "shmringd_info{version=\"%s\"} 1\n", shmring_version());
	head(r, "up_seconds", "gauge", "Time since the broker started.");
	fprintf(r->out, "shmringd_up_seconds %.3f\n", (double)s->up_ns / 1e9);
	single(r, "rings", "gauge", "Rings of the broker.", r->ring_count);
	single(r, "connections", "gauge", "Clients that are connected.", s->client_count);
	single(r, "connections_total", "counter", "Clients that have connected since the start.",
	       s->connections_total);
	single(r, "refusals_total", "counter", "Requests refused by a rule or a limit.",
	       s->refusals);
	single(r, "violations_total", "counter", "Clients that broke the protocol.", s->violations);
	single(r, "turned_away_total", "counter",
	       "Clients rejected because file descriptors ran out.", s->turned_away);
	put_keeper(r, s);
}

static bool is_any(struct entry *e)
{
	(void)e;
	return true;
}

static void write_all(struct report *r, const struct snapshot *s)
{
	put_broker(r, s);
	for (unsigned i = 0; i < COLUMNS; i++)
		put_column(r, (enum column)i);
	put_ages(r);
	put_lags(r);
	put_clients(r, s);
	put_quotas(r, s);
}

static char *write_text(struct report *r, const struct snapshot *s, size_t *ret_bytes)
{
	char *text = NULL;

	r->out = open_memstream(&text, ret_bytes);
	if (!r->out)
		return NULL;
	write_all(r, s);
	if (fclose(r->out) == 0)
		return text;
	free(text);
	return NULL;
}

char *metrics_write(struct catalog *catalog, struct number_rounds *rounds,
		    const struct ring_numbers_end *end, const struct snapshot *s, size_t *ret_bytes)
{
	struct report r = { .begun_ns = shmr_now() };
	struct shmring_ring **rings;
	struct seen *seen;
	char *text = NULL;

	if (catalog_collect(catalog, is_any, &seen, &r.ring_count) < 0)
		return NULL;
	r.seen = seen;
	r.rings = calloc(r.ring_count + 1, sizeof(*r.rings));
	rings = calloc(r.ring_count + 1, sizeof(struct shmring_ring *));
	for (size_t i = 0; rings && i < r.ring_count; i++)
		rings[i] = seen[i].ring;
	if (r.rings && rings && ring_numbers_round(rounds, rings, r.ring_count, end, r.rings) == 0)
		text = write_text(&r, s, ret_bytes);
	for (size_t i = 0; i < r.ring_count; i++)
		shmring_close(seen[i].ring);
	free(rings);
	free(r.rings);
	free(seen);
	return text;
}
