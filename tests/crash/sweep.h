/* SPDX-License-Identifier: MIT */
/*
 * sweep: one process, killed or stopped before every instruction of an operation.
 *
 * The subject is the process that it happens to; it carries out one operation of
 * the library, under the eyes of the test. The test itself plays the witnesses, which
 * must not notice: a writer, a reader that gets every message, and an
 * onlooker (an observer). Subject and test share a page, the board.
 *
 *	sweep.c		which instructions, and what is done there
 *	sweep-scene.c	the ring, the witnesses, and what must hold afterwards
 *	sweep-subject.c	what every subject does before and after its operation
 *	sweep-writer.c	the operations of producers
 *	sweep-reader.c	the operations of consumers and observers
 *	sweep-ring.c	the operations on whole rings
 */
#ifndef TESTS_CRASH_SWEEP_H
#define TESTS_CRASH_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "audit.h"
#include "child.h"
#include "step.h"

enum {
	LANE = 1 << 16,
	RECORD = 1024, /* divides the lane: every lap has its boundaries in the same places */
	LEN = RECORD - 8,
	LAP = LANE / RECORD,
	LAPS = 3,
	FAR = LAPS * LAP + 7, /* laps, and some: the end comes to lie elsewhere */
	LANES = 2,	      /* the writer's, and one more */
	MS = 1000000,
};

/* The writer of a message; numbers from RIVAL on are used once each. */
enum source { WRITER = 1, SUBJECT, DEAD, WAITER, RIVAL };

enum action {
	KILL, /* it is killed there */
	STOP, /* it is stopped, the others go on for three laps, then it continues */
	HOLD, /* the same in a ring that waits for its consumers: no further than promised */
	LATE, /* stopped, the others go on, it continues for some instructions, and is killed */
	ACTIONS
};

enum role {
	PRODUCER,
	CONSUMER, /* lossless */
	OBSERVER,
	NEITHER,
};

/* What subject and helpers report to the test. */
struct board {
	uint64_t published;	 /* messages of the subject that exist for sure */
	uint64_t in_flight;	 /* those that its operation publishes: all or none */
	uint64_t in_hand[LANES]; /* those of each lane that it releases: all or none */
	struct audit audit;	 /* of what it has released */
	bool at_the_end;	 /* it has read all messages */

	int64_t served_at; /* when the helper that slept got what it wanted */
	bool made;	   /* the subject has made the other ring */
};

struct operation;

/* The test's side of one case. */
struct scene {
	const struct operation *operation;
	enum action action;
	struct board *board;
	const char *path;
	const char *other_path;
	bool evicting;
	bool recorded; /* it runs undisturbed, to show its path */
	uint64_t max_sleep_ns;

	struct shmring_ring *ring;
	struct shmring_producer *writer;
	uint64_t written;
	struct shmring_consumer *reader;
	struct audit read;
	uint64_t seen[RIVAL + 1]; /* messages by source, all rivals in the last */
	uint64_t due_from_rivals;
	uint64_t next_rival;
	struct shmring_consumer *onlooker;
	struct audit onlooker_saw;
	struct shmring_consumer *idler; /* an evictable consumer that does not read */
	struct audit idler_read;
	bool idler_wakes;   /* it reads with the reader once the subject is struck */
	bool idler_evicted; /* it was by then */

	uint64_t starts[4]; /* where else a successor of the subject's name may begin */
	unsigned start_count;
	bool anywhere;
	bool made; /* the test has made the other ring */

	struct child subject;
	struct step step;
	struct child helper;
	enum { NOBODY, VICTIM, SLEEPER, WAITING } helping;
	bool patient;	   /* the sleeper is to be woken for two messages */
	int64_t struck_at; /* when the subject was killed or stopped */

	int64_t writer_delay; /* longest call, in nanoseconds */
	int64_t reader_delay;
	int64_t helper_delay; /* longest sleep with something to do */
};

/* The subject's own side. */
struct subject {
	const struct scene *scene;
	struct board *board;
	struct shmring_ring *ring;
	struct shmring_producer *producer;
	struct shmring_consumer *consumer;
	struct shmring_ring *other; /* another ring, if the operation makes one */
	uint64_t number;	    /* of its next message */
	void *claim;
	struct shmring_message messages[64];
	int count;
	struct audit audit; /* of what it has in hand, too */
	char buffer[16384];
};

struct operation {
	const char *name;
	enum role role;
	bool setup;	       /* long and rare: distinct instructions and system calls only */
	bool thorough;	       /* when it is killed there, all of those also in the quick form */
	bool evict;	       /* the ring evicts in every action */
	bool presses;	       /* the writer may have to wait, too */
	bool gives_up;	       /* the history of the name ends when it begins */
	uint32_t stamps;       /* records have such: no two laps have the same boundaries */
	uint64_t first;	       /* position of the first record */
	uint64_t sleep;	       /* max_sleep_ns; 0: the default */
	uint64_t evict_after;  /* evict_after_ns; 0: 1 ms */
	uint64_t max_lag;      /* the subject's own, in a ring that blocks; 0: none */
	const char *name_held; /* the subject's name as a consumer */

	void (*before)(struct scene *);	   /* the test, before there is a subject */
	void (*prepare)(struct subject *); /* the subject, before the operation */
	void (*begin)(struct scene *);	   /* the test, when the subject stands before it */
	int (*act)(void *subject);	   /* the operation */
	void (*finish)(struct subject *, int result);
	void (*rival)(struct scene *);		     /* the test, while the subject is stopped */
	void (*verify)(struct scene *, bool killed); /* the test, when the subject has gone */
};

extern const struct operation writer_operations[], reader_operations[], ring_operations[];
extern const unsigned writer_operation_count, reader_operation_count, ring_operation_count;

/*
 * The test fails unless it holds. Those of check write to a file also if they hold,
 * and there are millions here.
 */
#define expect(condition, ...)                     \
	do {                                       \
		if (!(condition))                  \
			ck_abort_msg(__VA_ARGS__); \
	} while (0)

/* Is the ring one that evicts consumers? */
bool scene_evicts(const struct operation *o, enum action action);

/* Make the ring and its witnesses, and bring the subject before its operation. */
void scene_open(struct scene *s, const struct operation *o, enum action action, bool recorded,
		struct board *board, uint64_t max_sleep_ns);

/* The subject stands at the step: note the state of the ring. */
void scene_struck(struct scene *s);

/* What must hold when the subject was killed; while it is stopped; when it goes on. */
void scene_killed(struct scene *s);
void scene_stopped(struct scene *s);
void scene_goes_on(struct scene *s);

/* All processes leave; nothing remains. */
void scene_close(struct scene *s);

/* The writer publishes that many, and the reader gets each at once. */
void scene_write(struct scene *s, uint64_t count);

/* The reader takes what there is. */
void scene_read(struct scene *s);

/* Of the losses that were reported to a consumer, the messages that it lost after its attach. */
uint64_t lost_since_attach(const struct shmring_consumer *c, uint64_t lost);

/* Another position at which a successor of the subject's name may begin. */
void scene_allow(struct scene *s, uint64_t seq);

/* The same, until the ring is full, but not more than that many. */
void scene_write_some(struct scene *s, uint64_t count);

/* The helper becomes a producer or consumer that is there to be killed. */
void scene_victim_producer(struct scene *s);
void scene_victim_consumer(struct scene *s, const char *name);
void scene_victim_dies(struct scene *s);

/* A predecessor under the subject's name took that many messages, and left. */
void scene_history(struct scene *s, uint64_t count);

/* A consumer that is asleep, the second with a watermark; a producer with a full lane, and its wait
 * for room. */
void scene_sleeper(struct scene *s);
void scene_patient_sleeper(struct scene *s);
void scene_waiter(struct scene *s);
void scene_waiter_sleeps(struct scene *s);

/* What a subject is, and does. Runs in its process. */
int subject_run(int socket, void *scene);
void subject_produce(struct subject *s, uint64_t count);
void subject_fill(struct subject *s, void *data, size_t len);
void subject_consume(struct subject *s, uint64_t count);
void subject_peek(struct subject *s, int count);
void subject_released(struct subject *s, int result);
int subject_attach_producer(struct subject *s);
int subject_attach_consumer(struct subject *s, uint32_t start, uint32_t flags);

#endif
