/* SPDX-License-Identifier: MIT */
/*
 * The ledger: what the processes of a storm have done, written where a kill
 * cannot reach it.
 *
 * All of it lies in memory that the supervisor shares with its workers. A worker
 * writes down each step before the next one can have an effect on others, so
 * that after a kill at any instruction the supervisor knows what had happened,
 * up to the one step in progress:
 *
 *  LE1 A producer notes how many messages of its source will exist (`intent`)
 *     before it publishes, and that they do (`committed`) afterwards. A batch is
 *     one step. A reader of its lane to the end finds one of the two numbers.
 *  LE2 A consumer notes each message in its journal when it has got it, and that
 *     it is going to release before it does. What it had not released when it
 *     died comes again, to its successor, once; what it had does not.
 *  LE3 A journal has one writer at a time: the supervisor starts a worker when it
 *     has waited for the end of the one before.
 */
#ifndef TESTS_CRASH_LEDGER_H
#define TESTS_CRASH_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include <shmring/shmring.h>

enum {
	STORM_RINGS = 2,
	STORM_WORKERS = 32,
	JOURNAL_ENTRIES = 1 << 14,
	STAMPS = 1 << 10,
	SOURCES = 1 << 22, /* attachments of producers, in a storm of some days */
	BUCKETS = 8,
};

/* What a consumer writes down. */
enum entry_kind {
	ENTRY_ATTACHED,	 /* a new handle: begins where the last release was */
	ENTRY_JOINED,	 /* `lane` had `seq` messages after the attach */
	ENTRY_MESSAGE,	 /* got it */
	ENTRY_RELEASING, /* about to release what was got */
	ENTRY_RELEASED,	 /* it is released */
	ENTRY_DROPPED,	 /* what was got since the last release does not count */
	ENTRY_DRAINED,	 /* there is nothing more */
};

struct entry {
	uint64_t seq;
	uint64_t lost;
	uint64_t source;
	uint64_t number;
	uint32_t tenancy;
	uint8_t lane;
	uint8_t kind; /* enum entry_kind */
};

struct journal {
	uint64_t head; /* entries written */
	uint64_t tail; /* entries read by the supervisor */
	struct entry entries[JOURNAL_ENTRIES];
};

/* One attachment of a producer. Sources are numbered from 1. */
struct source {
	uint64_t intent;
	uint64_t committed;
	uint64_t final; /* what the auditor found, + 1; 0: not yet known */
	uint32_t worker;
	uint32_t ring;
};

/* When a producer was about to publish a message. */
struct stamp {
	uint64_t source;
	uint64_t number;
	int64_t time;
	uint64_t stops; /* of its worker, then */
};

/* Durations: below 10 us, 100 us, 1 ms, 10 ms, 100 ms, 200 ms, 1 s, and more. */
struct histogram {
	uint64_t counts[BUCKETS];
	int64_t longest;
};

/* How long calls took that no living process held up. */
enum delay {
	DELAY_PUBLISH, /* a producer, without waiting for room */
	DELAY_ROOM,    /* a producer, waiting for room, no consumer stopped or vacant */
	DELAY_HELD,    /* the same, while a consumer was */
	DELAY_ARRIVAL, /* a consumer, from publication to receipt */
	DELAYS,
};

/* One worker's place; it stays when the worker is replaced. */
struct worker_page {
	uint64_t beats; /* moves while the worker does */
	uint64_t stops; /* by the supervisor: times it was stopped */
	uint64_t left;	/* it has nothing left to do */
	uint64_t messages;
	uint64_t recoveries;
	uint64_t evictions; /* times that it learned of one */
	struct histogram delays[DELAYS];
	struct stamp stamps[STAMPS];
	struct journal journal;
};

enum phase {
	PHASE_STORM,
	PHASE_FINISH, /* producers and all others but consumers leave */
	PHASE_DRAIN,  /* consumers read what is left, and leave */
};

struct ledger {
	uint64_t phase; /* enum phase */
	uint64_t sources_used;
	/* Consumers that hold a ring's producers back rightly, and every change of that. */
	uint64_t holders[STORM_RINGS];
	uint64_t holds[STORM_RINGS];
	struct worker_page workers[STORM_WORKERS];
	struct source sources[SOURCES];
};

struct ledger *ledger_new(void);
void ledger_free(struct ledger *l);

static inline uint64_t ledger_get(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void ledger_put(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* Write an entry down; waits while the supervisor has not read the oldest. */
void journal_add(struct journal *j, const struct entry *e);

void histogram_add(struct histogram *h, int64_t ns);
void histogram_sum(struct histogram *to, const struct histogram *from);

/* The state that follows from one consumer's journal. */
struct place {
	uint64_t seq;	 /* due next */
	uint64_t source; /* of the message before; 0: unknown */
	uint64_t number; /* due next from there */
	uint32_t tenancy;
};

struct stream_lane {
	bool known;	 /* the places below are */
	bool either;	 /* begins at `released`, or at `pending` */
	bool joined;	 /* `limit` counts */
	uint64_t limit;	 /* the first message is not behind this one */
	uint64_t missed; /* messages gone at the attach, which its first message counts as lost */
	struct place released;
	struct place pending; /* what a release in progress gives back */
	struct place seen;
};

/* A source's end, as far as one release will have proved it. */
struct ending {
	uint64_t source;
	uint64_t count;
};

enum { ENDINGS = 64 };

struct stream {
	bool named;	/* goes on over attachments, and begins with message 0 */
	bool evictable; /* what it sees counts only once it is released */
	bool releasing;
	bool drained;
	uint64_t attachments;
	uint64_t messages;
	uint64_t again; /* of those, seen for the second time */
	uint64_t lost;
	uint64_t faults;
	uint64_t doubts;       /* faults, if what was seen is released */
	char first_fault[200]; /* "": none */
	char first_doubt[200];
	struct ending endings[ENDINGS];
	unsigned ending_count;
	struct stream_lane lanes[SHMRING_MAX_LANES];
};

void stream_begin(struct stream *s, bool named, bool evictable);

/* Read what is new in the journal; how many entries. */
uint64_t stream_follow(struct stream *s, struct journal *j, struct ledger *l);

/*
 * When all is over: this lane has had `messages` messages. Finds the end of its
 * last source.
 */
void stream_end(struct stream *s, unsigned lane, uint64_t messages, struct ledger *l);

#endif
