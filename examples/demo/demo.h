/* SPDX-License-Identifier: MIT */
/*
 * shmring-demo: real files go through a ring, a consumer is killed on the way,
 * and every checksum is right at the end.
 *
 *	options.c	the command line
 *	files.c		which files, and which producer sends which
 *	producer.c	files -> messages
 *	consumer.c	messages -> checksums, in memory that survives its process
 *	checksum.c	XXH3 of a file's path and content
 *	latency.c	counting how long messages were under way
 *	crew.c		child processes: start, watch, kill, wait
 *	common.c	errors, the time, the way into the ring
 *	verify.c	what is on disk, and whether that is what arrived
 *	summary.c	the report
 *	main.c		the plot
 *
 * All processes are forked from one and share the `board`: every process
 * writes its own part of it, the parent reads it when they have ended.
 */
#ifndef SHMRING_DEMO_H
#define SHMRING_DEMO_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#define PRODUCERS 3
#define CONSUMERS 3 /* the last one is the observer, the others are lossless */
#define VICTIM 0    /* the consumer that is killed */
#define OBSERVER (CONSUMERS - 1)
#define LIVES 2		  /* at most so many processes play one consumer */
#define BLOCK_SIZE 32768u /* bytes of a file in one message, at most */

/* ---- options.c ---- */

struct options {
	uint64_t bytes;	  /* how much to send, at most */
	const char *ring; /* NULL: a file in a private directory */
	bool anonymous;
};

int options_parse(struct options *options, int argc, char **argv);

/* ---- what is sent ---- */

#define BLOCK_LAST 1u /* the file ends with this block */
#define BLOCK_END 2u  /* no file: the producer has sent everything */

/* A message: this header, the path (first block of a file only), the data. */
struct block {
	uint32_t file;	      /* index in the list of files */
	uint32_t flags;	      /* BLOCK_* */
	uint32_t path_length; /* bytes, without NUL; 0 but at offset 0 */
	uint32_t length;      /* bytes of data */
	uint64_t offset;      /* of the data in its file, in bytes */
	int64_t sent_ns;      /* CLOCK_MONOTONIC, right before the commit */
};

/* ---- files.c ---- */

struct file {
	char *path;
	uint64_t size; /* bytes */
	dev_t device;
	ino_t inode;
	struct timespec modified;
	unsigned producer; /* which one sends it */
	bool hashed;
	uint64_t digest; /* of what is on disk, if hashed */
};

struct file_list {
	struct file *file;
	uint32_t count;
	uint64_t bytes;
};

int files_choose(struct file_list *list, uint64_t limit);
bool files_unchanged(const struct file *file);
uint64_t files_blocks(const struct file_list *list);
void files_free(struct file_list *list);

/* ---- checksum.c ---- */

/* A checksum under way: XXH3's own state, in memory of any kind. */
struct checksum {
	_Alignas(64) unsigned char state[640];
};

void checksum_start(struct checksum *sum, const char *path, size_t length);
void checksum_add(struct checksum *sum, const void *data, size_t length);
uint64_t checksum_end(const struct checksum *sum);

/* ---- latency.c ---- */

/* 16 buckets in every power of two of nanoseconds: 6 % wide at most. */
#define LATENCY_BUCKETS (61 * 16)

struct latency {
	uint64_t bucket[LATENCY_BUCKETS];
	uint64_t count;
	uint64_t max; /* ns */
};

void latency_add(struct latency *latency, int64_t ns);
void latency_merge(struct latency *sum, const struct latency *part);
uint64_t latency_quantile(const struct latency *latency, double q);
uint64_t latency_between(const struct latency *latency, uint64_t from, uint64_t to);

/* ---- the board ---- */

struct producer_report {
	int lane;
	int64_t first_ns; /* when it began to send */
	struct shmring_counters counters;
};

/* How far a consumer has come with one lane, and what it knows there. */
struct progress {
	uint64_t next;	   /* sequence number of the next message to apply */
	uint64_t messages; /* applied */
	uint64_t bytes;	   /* payload of those */
	uint64_t lost;	   /* messages missed */
	uint64_t lost_bytes;
	uint64_t offset; /* where the file under way goes on */
	uint32_t file;
	bool whole;	/* nothing of the file under way was lost */
	unsigned ended; /* BLOCK_ENDs applied: a lane may have had several owners */
	struct checksum sum;
};

/* Two copies, of which one counts; consumer.c explains. */
struct stream {
	_Alignas(64) struct progress copy[2];
	_Atomic unsigned current;
	uint64_t handed_out; /* sequence number behind the last one peeked */
};

struct digest {
	uint64_t value;
	bool complete;
};

struct consumer_report {
	struct stream stream[SHMRING_MAX_LANES];
	struct latency latency;
	struct shmring_counters counters[LIVES];
	int64_t first_ns[LIVES]; /* when its first message came */
	int64_t last_ns;	 /* when it released its last */
	uint64_t redelivered;	 /* messages handed out to both lives */
	uint64_t repeated;	 /* those of them that were applied before */
	struct digest *digest;	 /* one per file */
};

struct board {
	struct producer_report producer[PRODUCERS];
	struct consumer_report consumer[CONSUMERS];
};

extern const char *const producer_name[PRODUCERS];
extern const char *const consumer_name[CONSUMERS];

const struct progress *stream_progress(const struct stream *stream);
struct progress consumer_total(const struct consumer_report *report);

/* ---- crew.c ---- */

enum event {
	EVENT_READY = 'r',    /* a consumer is attached */
	EVENT_HALF_WAY = 'h', /* the victim has seen half of the messages */
};

/* What every process of the demo knows. */
struct demo {
	const char *address;	   /* NULL: anonymous ring */
	struct shmring_ring *ring; /* the parent's handle */
	struct file_list files;
	struct board *board;
	uint64_t messages; /* how many there will be */
	int events;	   /* pipe to the parent, one byte per event */
};

/* What a child does; returns 0, or an error that it has reported. */
typedef int child_main(const struct demo *demo, int index, int life);

struct child {
	pid_t pid; /* 0: not running */
	const char *name;
	child_main *work;
	int index; /* which producer, or consumer */
	int life;
};

struct crew {
	struct child producer[PRODUCERS];
	struct child consumer[CONSUMERS];
	sigset_t mask; /* signals blocked before */
	int events;    /* read end of the pipe */
	int signals;   /* signalfd: SIGCHLD and what ends the demo */
};

int crew_open(struct crew *crew, struct demo *demo);
void crew_end(struct crew *crew);
void crew_close(struct crew *crew, struct demo *demo);
int crew_start(struct crew *crew, const struct demo *demo, struct child *child);
int crew_await_events(struct crew *crew, enum event event, int count);
int crew_await_end(struct crew *crew);
int crew_kill(struct child *child);

/* ---- common.c ---- */

/* Both print a sentence and return the negative errno. */
int ring_error(const char *who, int r);
int system_error(const char *who, const char *what);
int ring_enter(const struct demo *demo, struct shmring_ring **ret);
int64_t demo_spin_ns(void);
int64_t now_ns(void);

/* ---- producer.c, consumer.c ---- */

child_main producer_main;
child_main consumer_main;

/* ---- verify.c, summary.c ---- */

struct verdict {
	uint32_t equal;	     /* files that arrived as they are on disk */
	uint32_t different;  /* files that did not */
	uint32_t incomplete; /* files of which blocks are missing */
	bool accounted;	     /* received and lost add up to published */
};

struct result {
	struct verdict verdict[CONSUMERS];
	uint32_t changed;   /* files that were changed meanwhile: not judged */
	uint64_t killed_at; /* messages the victim had applied */
	int64_t killed_ns;  /* when it was killed */
};

int verify_prepare(struct file_list *files);
bool verify(const struct demo *demo, struct result *result);
void summary_files(const struct file_list *files, double seconds);
void summary_ring(const struct demo *demo);
void summary_print(const struct demo *demo, const struct result *result, bool good);

#endif
