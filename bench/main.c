/* SPDX-License-Identifier: MIT */
/*
 * The bench's command line, and the rounds: every round measures every cell once,
 * groups in shuffled order and cells shuffled within their group, so that what
 * drifts on the machine drifts for all alike and what is compared lies close
 * together in time.
 */
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"

static const char usage[] =
	"Usage: shmring-bench [OPTION]...\n"
	"Measure shmring, reference rings, kernel primitives and the machine itself,\n"
	"between two processes, in one run.\n"
	"\n"
	"  --quick          one short round (about 20 seconds; indicative only)\n"
	"  --rounds=N       how often every cell is measured, 1 to 64 (default 6)\n"
	"  --only=PATTERN   only cells whose name contains or matches PATTERN, such as\n"
	"                   stream/shmring/64/256K or 'trip/*'\n"
	"  --list           print the names of the cells and exit\n"
	"  --json=FILE      write everything that was measured\n"
	"  --plot=FILE      draw the streaming rates with gnuplot; FILE ends in .svg or .png\n"
	"  --cpus=P,C       processors of producer and consumer (default: the first two)\n"
	"  --unpinned       let the kernel choose the processors\n"
	"  --base=BENCH     measure every cell also with the shmring-bench of another build, in\n"
	"                   turn with this one, and report the ratios (see make bench-compare)\n"
	"  --targets        only the comparison with the targets, not the tables\n"
	"  --help           this text\n";

struct options {
	const char *only, *json, *plot, *base;
	int rounds; /* 0: not given */
	bool quick, list, targets;
	int cpu[2];
};

enum { QUICK = 256, ROUNDS, ONLY, LIST, JSON, PLOT, CPUS, UNPINNED, TARGETS, BASE, HELP };

static const struct option long_options[] = {
	{ "quick", no_argument, NULL, QUICK },	   { "rounds", required_argument, NULL, ROUNDS },
	{ "only", required_argument, NULL, ONLY }, { "list", no_argument, NULL, LIST },
	{ "json", required_argument, NULL, JSON }, { "plot", required_argument, NULL, PLOT },
	{ "cpus", required_argument, NULL, CPUS }, { "unpinned", no_argument, NULL, UNPINNED },
	{ "targets", no_argument, NULL, TARGETS }, { "base", required_argument, NULL, BASE },
	{ "help", no_argument, NULL, HELP },	   { 0 }
};

static _Noreturn void misused(const char *what)
{
	fprintf(stderr, "shmring-bench: %s; see --help\n", what);
	exit(2);
}

static void parse_one(struct options *o, int option)
{
	char end;

	switch (option) {
	case QUICK:
		o->quick = true;
		break;
	case ONLY:
		o->only = optarg;
		break;
	case LIST:
		o->list = true;
		break;
	case JSON:
		o->json = optarg;
		break;
	case PLOT:
		o->plot = optarg;
		break;
	case UNPINNED:
		o->cpu[0] = o->cpu[1] = -1;
		break;
	case TARGETS:
		o->targets = true;
		break;
	case BASE:
		o->base = optarg;
		break;
	case ROUNDS:
		if (sscanf(optarg, "%d%c", &o->rounds, &end) != 1 || o->rounds < 1 ||
		    o->rounds > MAX_ROUNDS)
			misused("--rounds takes a number from 1 to 64");
		break;
	case CPUS:
		if (sscanf(optarg, "%d,%d%c", &o->cpu[0], &o->cpu[1], &end) != 2 || o->cpu[0] < 0 ||
		    o->cpu[1] < 0 || o->cpu[0] == o->cpu[1])
			misused("--cpus takes two different processors, such as 0,1");
		break;
	case HELP:
		fputs(usage, stdout);
		exit(EXIT_SUCCESS);
	default:
		exit(2); /* getopt has said why */
	}
}

static struct options parse(int argc, char **argv)
{
	struct options o = { .cpu = { 0, 0 } };
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		parse_one(&o, option);
	if (optind < argc)
		misused("unexpected argument");
	return o;
}

/* The first two processors that this process may use, unless the user chose. */
static bool choose_processors(int cpu[2])
{
	int i, found = 0;
	cpu_set_t set;

	if (cpu[0] != cpu[1] || cpu[0] < 0)
		return true;
	if (sched_getaffinity(0, sizeof(set), &set))
		return false;
	for (i = 0; i < CPU_SETSIZE && found < 2; i++)
		if (CPU_ISSET((unsigned)i, &set))
			cpu[found++] = i;
	return found == 2;
}

/* As many descriptors and queue bytes as this user may have. */
static void raise_limits(void)
{
	static const int which[] = { RLIMIT_NOFILE, RLIMIT_MSGQUEUE, RLIMIT_MEMLOCK };
	struct rlimit limit;
	size_t i;

	for (i = 0; i < sizeof(which) / sizeof(which[0]); i++) {
		if (getrlimit(which[i], &limit))
			continue;
		limit.rlim_cur = limit.rlim_max;
		/* a refusal shows as missing cells, or in what the library reports */
		(void)setrlimit(which[i], &limit);
	}
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

struct ticket {
	struct cell *cell;
	uint64_t group, self;
};

static int compare_tickets(const void *left, const void *right)
{
	const struct ticket *a = left, *b = right;

	if (a->group != b->group)
		return a->group < b->group ? -1 : 1;
	return (a->self > b->self) - (a->self < b->self);
}

static void shuffle(const struct plan *plan, struct ticket *ticket, uint64_t *random)
{
	uint64_t salt = random_next(random);
	int i;

	for (i = 0; i < plan->cells; i++) {
		uint64_t group = ((uint64_t)plan->cell[i].group + 1) * salt;

		ticket[i].cell = &plan->cell[i];
		ticket[i].group = random_next(&group);
		ticket[i].self = random_next(random);
	}
	qsort(ticket, (size_t)plan->cells, sizeof(*ticket), compare_tickets);
}

struct session {
	struct plan *plan;
	struct control *control;
	struct probe *probe;
	struct ticket *ticket;
	uint64_t random;
	bool talk; /* show progress */
};

/* The other build comes first in every second round. */
static void measure_cell(struct session *s, struct cell *cell, int round)
{
	if (s->plan->base && round % 2 == 1)
		base_measure(s->plan, cell, round);
	row_measure(s->plan, cell, s->control, s->probe, round);
	if (s->plan->base && round % 2 == 0 && !cell->missing)
		base_measure(s->plan, cell, round);
}

/* `wanted`: rows in the placement of the report that spare a cell this round. */
static void measure_round(struct session *s, int round, int wanted)
{
	struct plan *plan = s->plan;
	struct cell *cell;
	char name[128];
	int i;

	shuffle(plan, s->ticket, &s->random);
	for (i = 0; i < plan->cells; i++) {
		cell = s->ticket[i].cell;
		if (cell->missing || spread_of(plan, cell).n >= wanted)
			continue;
		plan_name(cell, name, sizeof(name));
		if (s->talk)
			fprintf(stderr, "\r\033[Kround %d/%d, cell %d/%d  %s", round + 1,
				plan->rounds, i + 1, plan->cells, name);
		measure_cell(s, cell, round);
	}
}

/* All rounds, and one more for what the hypervisor's moves have cost. */
static void measure(struct plan *plan)
{
	struct session s = {
		.plan = plan,
		.control = row_shared(sizeof(struct control)),
		.probe = placement_new(),
		.ticket = calloc((size_t)plan->cells, sizeof(*s.ticket)),
		.random = (uint64_t)clock_ns() | 1,
		.talk = isatty(STDERR_FILENO),
	};
	int round;

	if (!s.ticket)
		misused("out of memory");
	for (round = 0; round < plan->rounds; round++)
		measure_round(&s, round, MAX_ROUNDS);
	plan_choose_class(plan);
	measure_round(&s, round, plan->rounds);
	plan_choose_class(plan);
	if (s.talk)
		fputs("\r\033[K", stderr);
	free(s.ticket);
}

static void list_cells(const struct plan *plan)
{
	char name[128];
	int i;

	for (i = 0; i < plan->cells; i++) {
		plan_name(&plan->cell[i], name, sizeof(name));
		puts(name);
	}
}

int main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	struct plan plan = { .rounds = o.quick ? 1 : 6, .window_ns = 100000000 };
	int ret = EXIT_SUCCESS;

	if (o.rounds)
		plan.rounds = o.rounds;
	plan.base = o.base;
	if (o.quick)
		plan.window_ns = 40000000;
	if (plan_make(&plan, o.only))
		misused("no cell has such a name (try --list)");
	if (o.list) {
		list_cells(&plan);
		return EXIT_SUCCESS;
	}
	if (!choose_processors(o.cpu)) {
		fputs("shmring-bench: it takes two processors\n", stderr);
		return EXIT_FAILURE;
	}
	memcpy(plan.cpu, o.cpu, sizeof(plan.cpu));
	raise_limits();
	if (getloadavg(&plan.load, 1) != 1)
		plan.load = 0;
	measure(&plan);
	report_head(&plan);
	if (plan.base) {
		base_report(&plan);
	} else {
		if (!o.targets)
			report_tables(&plan);
		targets_print(&plan);
	}
	if ((o.json && json_write(&plan, o.json)) || (o.plot && plot_write(&plan, o.plot)))
		ret = EXIT_FAILURE;
	free(plan.cell);
	return plan.failed ? EXIT_FAILURE : ret;
}
