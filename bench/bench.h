/* SPDX-License-Identifier: MIT */
/*
 * The bench: what shmring, its references and its peers do between two
 * processes, next to what the machine can do at all, measured in one run.
 *
 * A cell is one subject at one message size and one capacity. Every round
 * measures every cell once, in shuffled order; a row is one such measurement.
 * Each row is made by fresh processes, pinned to two processors, and is kept
 * only if the placement probe saw the same machine before and after it.
 */
#ifndef BENCH_H
#define BENCH_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define LINE 64
#define MAX_ROUNDS 64
#define MAX_CELLS 600
#define MAX_CONSUMERS 8
#define MAX_PROCESSES (MAX_CONSUMERS + 2) /* of a row */
#define SMALL_LANE ((size_t)256 << 10)
#define LARGE_LANE ((size_t)8 << 20)
#define LONG_MESSAGE 1024 /* bytes, see plan_bound() */

enum kind {
	LIMIT,	    /* two processes, the machine itself */
	STREAM,	    /* producer to consumer, messages per second */
	ROUND_TRIP, /* there and back, nanoseconds */
	SOLO,	    /* one process: a cost */
};
enum role { PRODUCER, CONSUMER, SECOND_PRODUCER, FURTHER_CONSUMER, MAX_ROLES };
enum phase { WARMING, MEASURING, STOPPING };
enum class { CLASS_NEAR, CLASS_FAR, CLASS_FARTHER, CLASS_SIBLINGS, CLASSES };

/* Where the two processors are, seen from each other. */
struct placement {
	double round_trip_ns;  /* of one cache line */
	double read_gbps;      /* 256 KiB that the other one wrote */
	double overwrite_gbps; /* 256 KiB that the other one read */
	double compute_ratio;  /* how long additions take while the other one adds, too */
	double chase_ratio;    /* the same of a chase through 700 KiB */
	enum class class;
};

/* What the processes of a row and the harness tell each other. */
struct control {
	_Alignas(LINE) _Atomic uint32_t phase;
	_Alignas(LINE) sem_t ready; /* everyone is set up */
	sem_t go;
	sem_t done;
	_Atomic uint32_t failed;	/* 1: `error` says why */
	_Alignas(LINE) double value;	/* in the cell's unit */
	double p99;			/* of round trips that sleep, and of stalls, ns; else 0 */
	double system_calls[MAX_ROLES]; /* per message, if the subject counts */
	struct placement before, after;
	char error[256];
};

struct probe; /* placement.c */

struct subject;

/* One direction of messages, opened before fork, used by one end per process. */
struct channel {
	const struct subject *subject;
	size_t message;	 /* bytes */
	size_t capacity; /* bytes */
	void *state;	 /* the subject's own */
};

/* One process of a row. */
struct side {
	struct control *control;
	struct channel *out, *in;
	enum kind kind;
	enum role role;
	size_t message;	   /* bytes */
	size_t capacity;   /* bytes */
	int64_t window_ns; /* how long one row measures */
};

/* What is measured. Zero fields mean no, none or the default. */
struct subject {
	const char *name;
	const char *unit; /* of LIMIT and SOLO subjects */
	/* Before fork; returns 1 if this machine does not have it. */
	int (*open)(struct channel *ch);
	/* In the process, before the clock runs. */
	void (*join)(struct side *side);
	void (*run)(struct side *side);
	void (*leave)(struct side *side);
	/* After all processes of the row have ended. */
	void (*close)(struct channel *ch);
	bool sleeps;	    /* its round trips go through the kernel */
	int processes;	    /* producers that share a processor; 0: one */
	int consumers;	    /* consumers that share a processor; 0: one */
	int backoff;	    /* pauses after a look that found nothing */
	size_t stride;	    /* slots: their size is a multiple of it */
	int64_t spin_ns;    /* shmring: as in its options */
	uint32_t alignment; /* shmring: of its records */
	int idle;	    /* shmring: producers that only sit there */
};

struct row {
	double value, p99, system_calls;
	struct placement before, after;
	int round;
	bool kept; /* both probes agree, and there is a value */
};

struct cell {
	const struct subject *subject;
	enum kind kind;
	size_t message, capacity;
	int group;    /* cells of a group are measured next to each other */
	bool missing; /* not possible here, or it has failed */
	int rows, base_rows;
	struct row row[MAX_ROUNDS + 1];
	struct row base_row[MAX_ROUNDS + 1]; /* of the other build */
};

struct plan {
	struct cell *cell;
	int cells;
	int rounds;
	const char *base; /* the bench of another build; NULL: there is none */
	int cpu[2];	  /* producer, consumer; -1: wherever the kernel likes */
	int64_t window_ns;
	enum class class;   /* of the rows that the report is about */
	int dropped;	    /* rows that are not kept */
	int count[CLASSES]; /* the other rows of two processes */
	int failed;	    /* rows that went wrong */
	double load;	    /* what others did when it began: runnable processes */
};

/* plan.c: the cells of a run; those whose name does not match are left out. */
extern const size_t plan_sizes[], plan_trip_sizes[]; /* of messages; end with 0 */
int plan_make(struct plan *plan, const char *only);
void plan_name(const struct cell *cell, char *ret, size_t size);
const struct cell *plan_find(const struct plan *plan, enum kind kind, const char *subject,
			     size_t message, size_t capacity);

/* row.c: measure one row; what a process of a row may call. */
void row_measure(struct plan *plan, struct cell *cell, struct control *control, struct probe *probe,
		 int round);
_Noreturn void row_fail(struct side *side, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void *row_shared(size_t size);

/* placement.c */
struct probe *placement_new(void);
void placement_reset(struct probe *probe);
struct placement placement_probe(struct probe *probe, enum role role, int turn);
const char *placement_name(enum class class);

/* samples.c: many measurements within one row. */
struct samples {
	double *value;
	size_t count, room;
};
void samples_add(struct samples *s, double value);
double samples_quantile(struct samples *s, double q);
void samples_free(struct samples *s);

/* statistics over the rows of a run, in the class of the report */
struct spread {
	double median, min, max;
	int n;
};
struct spread spread_make(struct samples *s); /* frees them */
struct spread spread_of(const struct plan *plan, const struct cell *cell);
/* a over b, round by round where they met */
struct spread spread_ratio(const struct plan *plan, const struct cell *a, const struct cell *b);

/* The placement that most rows have had is what the report is about. */
void plan_choose_class(struct plan *plan);
/* The reference that was best, by the median; NULL: none was measured. */
const struct cell *plan_best_stream(const struct plan *plan, size_t message, size_t capacity);
const struct cell *plan_best_trip(const struct plan *plan, size_t message);

/*
 * The cell whose value, times `*ret_factor`, is what a ring of this capacity can be expected to
 * reach, in messages per second: for messages from LONG_MESSAGE on the machine's own rate, for
 * shorter ones the best reference. NULL: not in the plan.
 */
const struct cell *plan_bound(const struct plan *plan, size_t message, size_t capacity,
			      double *ret_factor);

/* base.c: the same cells by the bench of another build */
void base_measure(const struct plan *plan, struct cell *cell, int round);
void base_report(const struct plan *plan);

/* report.c, json.c, plot.c: what came out */
void report_head(const struct plan *plan);
void report_tables(const struct plan *plan);
void report_number(char *ret, size_t size, double value);
int json_write(const struct plan *plan, const char *file);
int plot_write(const struct plan *plan, const char *file);

/* targets.c: what was to be reached */
struct target {
	const char *what;
	double measured, limit; /* in `unit`; the limit is 0 if it is not measured */
	const char *unit;
	double ratio, need; /* measured over limit, or the measured value itself */
	bool at_least;	    /* `need` is a lower bound, else an upper one */
	bool known;	    /* everything it takes was measured */
};
#define MAX_TARGETS 64
int targets_make(const struct plan *plan, struct target ret[MAX_TARGETS]);
bool target_met(const struct target *target);
void targets_print(const struct plan *plan);

/* The subjects, each list ends with a NULL name. */
extern const struct subject limit_trips[], limit_overwrites[], limit_streams[], limit_costs[];
extern const struct subject reference_streams[], reference_trips[];
extern const struct subject peers[];
extern const struct subject *const more_peers[]; /* lists; ends with NULL */
extern const struct subject self_streams[], self_lanes[], self_trips[], self_costs[];

static inline int64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline enum phase phase_of(const struct side *side)
{
	return (enum phase)atomic_load_explicit(&side->control->phase, memory_order_relaxed);
}

static inline void cpu_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb");
#endif
}

#endif
