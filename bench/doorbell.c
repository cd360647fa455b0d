/* SPDX-License-Identifier: MIT */
/*
 * The doorbell bench: tables of what sleeping and waking costs. Every round
 * measures every row once, in shuffled order; a table shows medians over the
 * rounds, and the range.
 *
 *	stream	messages of 64 bytes as fast as they go; what sleepers and stamps cost
 *	wake	from sending to receipt, the receiver being asleep
 *	rates	a processor's share and system calls of a receiver at some rates
 *	herd	one message for many sleepers: what the sender pays, and when the
 *		last one is awake
 */
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "doorbell.h"

enum { FIGURES = 3, ROUNDS = 64 };

struct entry {
	const char *table;
	const struct way *way;
	int receivers;
	double rate; /* messages per second */
	void (*send)(struct link *l, const struct entry *entry, double ret[FIGURES]);
	double figure[FIGURES][ROUNDS];
	int rounds;
};

static int64_t window_ns = 500000000;
static unsigned wakes = 2000;

static void pin(int index)
{
	cpu_set_t allowed, one;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	CPU_ZERO(&one);
	for (int cpu = 0, n = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && n++ == index)
			CPU_SET(cpu, &one);
	if (CPU_COUNT(&one) == 1)
		sched_setaffinity(0, sizeof(one), &one);
}

static uint64_t cpu_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000u +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000u;
}

/* ---- receivers ---- */

static void add_sample(struct stage *s, uint64_t ns)
{
	uint32_t i = atomic_load_explicit(&s->samples, memory_order_relaxed);

	if (i >= SAMPLES)
		return;
	s->sample[i] = ns;
	atomic_store_explicit(&s->samples, i + 1, memory_order_relaxed);
}

static _Noreturn void receive(struct link *l, bool stream)
{
	uint64_t message, began;
	int64_t since;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (l->receivers == 1)
		pin(1);
	link_join_receiver(l);
	began = cpu_ns();
	since = clock_ns();
	atomic_fetch_add(&l->stage->ready, 1);
	while ((message = l->way->receive(l)) != END) {
		if (stream)
			continue;
		if (l->receivers == 1)
			add_sample(l->stage, (uint64_t)clock_ns() - message);
		atomic_fetch_add(&l->stage->acks, 1);
	}
	atomic_fetch_add(&l->stage->cpu_ns, cpu_ns() - began);
	atomic_fetch_add(&l->stage->wall_ns, (uint64_t)(clock_ns() - since));
	link_leave(l);
	_exit(0);
}

/* ---- senders ---- */

static void send(struct link *l)
{
	l->way->send(l, (uint64_t)clock_ns());
}

static void sleep_until(int64_t ns)
{
	struct timespec t = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void spin_until(int64_t ns)
{
	while (clock_ns() < ns)
		cpu_pause();
}

/* All receivers have got all messages so far. */
static void await_acks(struct link *l, uint64_t messages)
{
	while (atomic_load(&l->stage->acks) < messages * (uint64_t)l->receivers)
		if (l->receivers > 1)
			sched_yield(); /* they need the processor */
		else
			cpu_pause();
}

/* Million messages per second. */
static void send_stream(struct link *l, const struct entry *entry, double ret[FIGURES])
{
	int64_t began = clock_ns(), now;
	uint64_t count = 0;

	(void)entry;
	do {
		for (int i = 0; i < 256; i++)
			l->way->send(l, 1);
		count += 256;
		now = clock_ns();
	} while (now - began < window_ns);
	ret[0] = (double)count * 1e3 / (double)(now - began);
}

static double quantile_us(struct stage *s, double q)
{
	struct samples samples = { 0 };
	double us;

	for (uint32_t i = 0; i < atomic_load(&s->samples); i++)
		samples_add(&samples, (double)s->sample[i] / 1e3);
	us = samples_quantile(&samples, q);
	samples_free(&samples);
	return us;
}

/* Some time after it was received, so that the receiver sleeps again: microseconds. */
static void send_wakes(struct link *l, const struct entry *entry, double ret[FIGURES])
{
	(void)entry;
	for (unsigned i = 0; i < wakes; i++) {
		spin_until(clock_ns() + 60000 + rand() % 60000);
		send(l);
		await_acks(l, i + 1);
	}
	ret[0] = quantile_us(l->stage, 0.5);
	ret[1] = quantile_us(l->stage, 0.99);
	ret[2] = quantile_us(l->stage, 0.999);
}

/* Messages at a rate. The receiver reports its processor time when it has ended. */
static void send_at_rate(struct link *l, const struct entry *entry, double ret[FIGURES])
{
	int64_t began = clock_ns(),
		gap = entry->rate > 0 ? (int64_t)(1e9 / entry->rate) : window_ns;

	for (int64_t at = began + gap; at < began + window_ns; at += gap) {
		if (gap > 100000)
			sleep_until(at);
		else
			spin_until(at);
		send(l);
		ret[0]++;
	}
	sleep_until(began + window_ns);
}

/* Of this thread alone, however often it was preempted. */
static int64_t thread_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/*
 * Two milliseconds apart: microseconds that the sender computes, that its call
 * takes, and until the last is awake.
 */
static void send_herd(struct link *l, const struct entry *entry, double ret[FIGURES])
{
	struct samples work = { 0 }, call = { 0 }, last = { 0 };

	(void)entry;
	for (unsigned i = 0; i < wakes / 10; i++) {
		int64_t began, sent, worked;

		sleep_until(clock_ns() + 2000000);
		worked = thread_ns();
		began = clock_ns();
		send(l);
		sent = clock_ns();
		samples_add(&work, (double)(thread_ns() - worked) / 1e3);
		await_acks(l, i + 1);
		samples_add(&call, (double)(sent - began) / 1e3);
		samples_add(&last, (double)(clock_ns() - began) / 1e3);
	}
	ret[0] = samples_quantile(&work, 0.5);
	ret[1] = samples_quantile(&call, 0.5);
	ret[2] = samples_quantile(&last, 0.5);
	samples_free(&work);
	samples_free(&call);
	samples_free(&last);
}

/* ---- entries ---- */

static struct entry entries[] = {
	{ "stream", &way_poll, 0, 0, send_stream, { { 0 } }, 0 },
	{ "stream", &way_poll, 1, 0, send_stream, { { 0 } }, 0 },
	{ "stream", &way_default, 1, 0, send_stream, { { 0 } }, 0 },
	{ "stream", &way_clock, 1, 0, send_stream, { { 0 } }, 0 },
	{ "stream", &way_stamps, 1, 0, send_stream, { { 0 } }, 0 },
	{ "stream", &way_sleep, 1, 0, send_stream, { { 0 } }, 0 },
	{ "stream", &way_sleep, 8, 0, send_stream, { { 0 } }, 0 },
	{ "wake", &way_sleep, 1, 0, send_wakes, { { 0 } }, 0 },
	{ "wake", &way_futex, 1, 0, send_wakes, { { 0 } }, 0 },
	{ "wake", &way_bounded, 1, 0, send_wakes, { { 0 } }, 0 },
	{ "wake", &way_descriptor, 1, 0, send_wakes, { { 0 } }, 0 },
	{ "wake", &way_eventfd, 1, 0, send_wakes, { { 0 } }, 0 },
	{ "rates", &way_default, 1, 0, send_at_rate, { { 0 } }, 0 },
	{ "rates", &way_default, 1, 10, send_at_rate, { { 0 } }, 0 },
	{ "rates", &way_default, 1, 1000, send_at_rate, { { 0 } }, 0 },
	{ "rates", &way_default, 1, 100000, send_at_rate, { { 0 } }, 0 },
	{ "rates", &way_poll, 1, 0, send_at_rate, { { 0 } }, 0 },
	{ "rates", &way_poll, 1, 10, send_at_rate, { { 0 } }, 0 },
	{ "rates", &way_poll, 1, 1000, send_at_rate, { { 0 } }, 0 },
	{ "rates", &way_poll, 1, 100000, send_at_rate, { { 0 } }, 0 },
	{ "rates", &way_pipe, 1, 0, send_at_rate, { { 0 } }, 0 },
	{ "rates", &way_pipe, 1, 10, send_at_rate, { { 0 } }, 0 },
	{ "rates", &way_pipe, 1, 1000, send_at_rate, { { 0 } }, 0 },
	{ "rates", &way_pipe, 1, 100000, send_at_rate, { { 0 } }, 0 },
	{ "herd", &way_sleep, 0, 0, send_herd, { { 0 } }, 0 },
	{ "herd", &way_sleep, 1, 0, send_herd, { { 0 } }, 0 },
	{ "herd", &way_sleep, 8, 0, send_herd, { { 0 } }, 0 },
	{ "herd", &way_sleep, 64, 0, send_herd, { { 0 } }, 0 },
	{ "herd", &way_wake_all, 8, 0, send_herd, { { 0 } }, 0 },
	{ "herd", &way_wake_all, 64, 0, send_herd, { { 0 } }, 0 },
	{ "herd", &way_wake_chain, 8, 0, send_herd, { { 0 } }, 0 },
	{ "herd", &way_wake_chain, 64, 0, send_herd, { { 0 } }, 0 },
	{ "herd", &way_wake_relay, 8, 0, send_herd, { { 0 } }, 0 },
	{ "herd", &way_wake_relay, 64, 0, send_herd, { { 0 } }, 0 },
};

enum { ENTRIES = sizeof(entries) / sizeof(entries[0]) };

/* Percent of a processor, and system calls per message of both sides. */
static void judge_rate(struct link *l, double figure[FIGURES])
{
	double ns = (double)atomic_load(&l->stage->wall_ns), messages = figure[0];

	figure[0] = 100 * (double)atomic_load(&l->stage->cpu_ns) / ns;
	figure[1] = messages > 0 ? (double)atomic_load(&l->stage->calls) / messages
				 : (double)atomic_load(&l->stage->calls) * 1e9 / ns;
}

/* Ends all receivers; those of the models sleep until they are woken. */
static void end_receivers(struct link *l)
{
	for (int left = l->receivers; left > 0;) {
		l->way->send(l, END);
		for (int i = 0; i < 20 && left > 0; i++) {
			while (left > 0 && waitpid(-1, NULL, WNOHANG) > 0)
				left--;
			usleep(1000);
		}
	}
}

/* The sender is a process of its own, too, so that each row begins alike. */
static void run_row(struct link *l, struct entry *entry, double figure[FIGURES])
{
	for (int i = 0; i < entry->receivers; i++)
		if (fork() == 0)
			receive(l, entry->send == send_stream);
	link_join_sender(l);
	while (atomic_load(&l->stage->ready) < (uint32_t)entry->receivers)
		usleep(100);
	usleep(20000); /* until they sleep; one that does not yet makes a row of thousands */
	entry->send(l, entry, figure);
	end_receivers(l);
	link_leave(l);
	if (entry->send == send_at_rate)
		judge_rate(l, figure);
}

static bool measure(struct entry *entry)
{
	double *figure = mmap(NULL, FIGURES * sizeof(*figure), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct stage *stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct link l = { entry->way, stage, entry->receivers, NULL, NULL, NULL, 0, { -1, -1 }, 0 };
	int status = 1;
	pid_t pid;

	fflush(NULL);
	if (figure == MAP_FAILED || stage == MAP_FAILED || (pid = fork()) < 0)
		return false;
	if (pid == 0) {
		pin(0);
		if (entry->receivers > 1)
			sched_setaffinity(0, sizeof(cpu_set_t), &(cpu_set_t){ { ~0ul } });
		if (l.way->open(&l) < 0)
			link_fail(&l, "open");
		run_row(&l, entry, figure);
		link_close(&l);
		_exit((int)atomic_load(&stage->failed));
	}
	waitpid(pid, &status, 0);
	if (status == 0) {
		for (int i = 0; i < FIGURES; i++)
			entry->figure[i][entry->rounds] = figure[i];
		entry->rounds++;
	}
	munmap(figure, FIGURES * sizeof(*figure));
	munmap(stage, sizeof(*stage));
	return status == 0;
}

/* ---- tables ---- */

static const struct table {
	const char *name;
	const char *title;
	const char *figure[FIGURES]; /* NULL: none */
} tables[] = {
	{ "stream", "Streaming 64 bytes", { "million messages/s", NULL, NULL } },
	{ "wake", "From sending to a sleeper's receipt, microseconds", { "p50", "p99", "p99.9" } },
	{ "rates",
	  "A receiver at some rates",
	  { "% of a processor", "system calls per message, or a second when idle", NULL } },
	{ "herd",
	  "One message for many sleepers, microseconds",
	  { "sender computes", "sender's call takes", "until the last one has it" } },
};

static void print_figure(const struct entry *entry, int figure)
{
	struct samples s = { 0 };
	double median;

	for (int i = 0; i < entry->rounds; i++)
		samples_add(&s, entry->figure[figure][i]);
	median = samples_quantile(&s, 0.5);
	printf("  %10.4g (%.4g-%.4g)", median, s.count ? s.value[0] : 0,
	       s.count ? s.value[s.count - 1] : 0);
	samples_free(&s);
}

static void print_table(const struct table *t)
{
	printf("\n%s:", t->title);
	for (int i = 0; i < FIGURES && t->figure[i]; i++)
		printf("%s %s", i ? ";" : "", t->figure[i]);
	printf("\n");
	for (int r = 0; r < ENTRIES; r++) {
		const struct entry *entry = &entries[r];

		if (strcmp(entry->table, t->name) != 0 || entry->rounds == 0)
			continue;
		printf("%-22s %2d receivers", entry->way->name, entry->receivers);
		if (entry->send == send_at_rate)
			printf(" %6.0f/s", entry->rate);
		for (int i = 0; i < FIGURES && t->figure[i]; i++)
			print_figure(entry, i);
		printf("\n");
	}
}

static void shuffle(int order[ENTRIES])
{
	for (int i = 0; i < ENTRIES; i++) {
		int other = rand() % (i + 1);

		order[i] = order[other];
		order[other] = i;
	}
}

/* Returns how many entries went wrong. */
static int run_round(const char *only)
{
	int order[ENTRIES], failed = 0;

	shuffle(order);
	for (int i = 0; i < ENTRIES; i++)
		if (!only || strcmp(entries[order[i]].table, only) == 0)
			failed += !measure(&entries[order[i]]);
	return failed;
}

static _Noreturn void misused(void)
{
	fprintf(stderr, "Usage: shmring-doorbell-bench [--quick] [--rounds=N] "
			"[--only=stream|wake|rates|herd]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "quick", no_argument, NULL, 'q' },
						 { "rounds", required_argument, NULL, 'r' },
						 { "only", required_argument, NULL, 'o' },
						 { 0 } };
	int rounds = 5, failed = 0, option;
	const char *only = NULL;
	double load = 0;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'q') {
			rounds = 1;
			wakes = 100;
			window_ns = 50000000;
		} else if (option == 'r') {
			rounds = atoi(optarg);
		} else if (option == 'o') {
			only = optarg;
		} else {
			misused();
		}
	}
	if (rounds < 1 || rounds > ROUNDS || optind < argc)
		misused();
	getloadavg(&load, 1);
	for (int i = 0; i < rounds; i++)
		failed += run_round(only);
	printf("Medians over %d rounds (lowest-highest); load when it began: %.1f; rows that "
	       "failed: %d\n",
	       rounds, load, failed);
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		if (!only || strcmp(tables[i].name, only) == 0)
			print_table(&tables[i]);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
