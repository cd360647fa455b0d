/* SPDX-License-Identifier: MIT */
/*
 * What the broker costs: nothing but time to come.
 *
 *	bench/shmring-broker-bench open [COUNT]		open to first message
 *	bench/shmring-broker-bench gaps [SECONDS]	longest gap in a paced stream
 *
 * The broker is $SHMRINGD, or daemon/shmringd beside bench/. Both measure it against
 * the same thing without a broker, in turns, for the machine is not the same from
 * one second to the next.
 *
 * Gaps: one process publishes 64 bytes every microsecond, each with its time; another
 * one looks for them and notes how long it sees none. Meanwhile a hundred times a
 * process is killed and started again: nobody, /bin/sleep, or the broker of the ring.
 * Sleep shows what the starting of processes does to processors that are shared.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "bench.h"

enum { MESSAGE = 64, PERIOD_NS = 1000, KILLS = 100, ROUNDS = 5 };

static char directory[] = "/dev/shm/shmring-bench-XXXXXX";
static char program[PATH_MAX], socket_path[PATH_MAX], rings[PATH_MAX], file[PATH_MAX];

static void rest(int64_t ns)
{
	const struct timespec t = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "shmring-broker-bench: %s: %s\n", what, shmring_explain());
	exit(1);
}

static void must(int result, const char *what)
{
	if (result < 0)
		fail(what);
}

static pid_t start(const char *path, const char *const *argv)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execv(path, (char *const *)(uintptr_t)argv);
		_exit(126);
	}
	return pid;
}

static pid_t start_broker(void)
{
	const char *argv[] = { program,	      "--quiet", "--socket", socket_path,
			       "--directory", rings,	 NULL };

	return start(program, argv);
}

static pid_t start_sleep(void)
{
	const char *argv[] = { "sleep", "60", NULL };

	return start("/bin/sleep", argv);
}

static void end(pid_t pid, int signal)
{
	if (pid > 0) {
		kill(pid, signal);
		waitpid(pid, NULL, 0);
	}
}

static void await_broker(void)
{
	struct shmring_broker *b;
	int64_t deadline = clock_ns() + 5000000000;
	int r;

	while ((r = shmring_broker_open(&b, NULL)) < 0 && clock_ns() < deadline)
		;
	must(r, "the broker");
	shmring_broker_close(b);
}

/* --- open to first message --- */

/* A ring with one message in it that no consumer takes. */
static void make_ring(const char *address)
{
	struct shmring_producer *p;
	struct shmring_ring *r;

	must(shmring_create(&r, address, NULL), address);
	must(shmring_producer_attach(&p, r, NULL), address);
	must(shmring_publish(p, "first", 5, SHMRING_NOWAIT), address);
	shmring_producer_detach(p);
	shmring_close(r);
}

static double time_to_read(const char *address)
{
	const struct shmring_consumer_options options = { .size = sizeof(options),
							  .start = SHMRING_START_OLDEST };
	struct shmring_consumer *c;
	struct shmring_message m;
	struct shmring_ring *r;
	int64_t begin = clock_ns(), seen;

	must(shmring_open(&r, address), address);
	must(shmring_consumer_attach(&c, r, &options), address);
	must(shmring_peek(c, SHMRING_NOWAIT, &m), address);
	seen = clock_ns();
	shmring_consumer_detach(c);
	shmring_close(r);
	return (double)(seen - begin) / 1000;
}

static double time_to_write(const char *address)
{
	struct shmring_producer *p;
	struct shmring_ring *r;
	int64_t begin = clock_ns(), written;

	must(shmring_open(&r, address), address);
	must(shmring_producer_attach(&p, r, NULL), address);
	must(shmring_publish(p, "next", 4, SHMRING_NOWAIT), address);
	written = clock_ns();
	shmring_producer_detach(p);
	shmring_close(r);
	return (double)(written - begin) / 1000;
}

static void print_times(const char *what, struct samples *s)
{
	printf("%-28s  median %7.1f us   p99 %7.1f us\n", what, samples_quantile(s, 0.5),
	       samples_quantile(s, 0.99));
	samples_free(s);
}

static void measure_open(unsigned count)
{
	struct samples read[2] = { 0 }, write[2] = { 0 };
	const char *const address[2] = { file, "broker:ring" };
	pid_t broker = start_broker();

	await_broker();
	for (int i = 0; i < 2; i++)
		make_ring(address[i]);
	for (unsigned n = 0; n < count; n++)
		for (int i = 0; i < 2; i++) {
			samples_add(&read[i], time_to_read(address[i]));
			samples_add(&write[i], time_to_write(address[i]));
		}
	printf("open to first message, %u times each\n", count);
	print_times("read, a path", &read[0]);
	print_times("read, through the broker", &read[1]);
	print_times("write, a path", &write[0]);
	print_times("write, through the broker", &write[1]);
	for (int i = 0; i < 2; i++)
		must(shmring_remove(address[i]), address[i]);
	end(broker, SIGTERM);
}

/* --- gaps --- */

struct stream {
	_Atomic bool stop;
	_Atomic int ready;
	uint64_t messages;
	double seconds;
	int64_t longest_gap, longest_way;
	uint64_t gaps; /* of a millisecond and more */
};

static _Noreturn void produce(struct stream *s)
{
	int64_t due, message[MESSAGE / sizeof(int64_t)] = { 0 };
	struct shmring_producer *p;
	struct shmring_ring *r;

	must(shmring_open(&r, "broker:stream"), "the stream");
	must(shmring_producer_attach(&p, r, NULL), "the stream");
	s->ready++;
	for (due = clock_ns(); !s->stop; due += PERIOD_NS) {
		while ((message[0] = clock_ns()) < due)
			;
		must(shmring_publish(p, message, MESSAGE, SHMRING_FOREVER), "publish");
	}
	_exit(0);
}

static _Noreturn void consume(struct stream *s)
{
	struct shmring_consumer *c;
	struct shmring_message m;
	struct shmring_ring *r;
	int64_t last = 0;

	must(shmring_open(&r, "broker:stream"), "the stream");
	must(shmring_consumer_attach(&c, r, NULL), "the stream");
	s->ready++;
	while (!s->stop) {
		int64_t sent, seen;

		if (shmring_peek(c, SHMRING_NOWAIT, &m) < 0)
			continue;
		seen = clock_ns();
		memcpy(&sent, m.data, sizeof(sent));
		shmring_release(c);
		if (last > 0 && seen - last > s->longest_gap)
			s->longest_gap = seen - last;
		s->gaps += last > 0 && seen - last >= 1000000;
		if (seen - sent > s->longest_way)
			s->longest_way = seen - sent;
		last = seen;
		s->messages++;
	}
	_exit(0);
}

static pid_t start_side(void (*run)(struct stream *), struct stream *s)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run(s);
	}
	return pid;
}

enum victim { NOBODY, SLEEP, BROKER };

/* One stream of so many seconds, and a hundred deaths in it. */
static void run_stream(enum victim victim, int seconds, struct stream *s, pid_t *broker)
{
	const int64_t pause = seconds * INT64_C(1000000000) / KILLS;
	pid_t reader, writer, sleeper = victim == SLEEP ? start_sleep() : 0;
	int64_t begin;

	memset(s, 0, sizeof(*s));
	reader = start_side(consume, s);
	while (s->ready < 1)
		rest(100000);
	writer = start_side(produce, s);
	while (s->ready < 2)
		rest(100000);
	begin = clock_ns();
	for (int i = 0; i < KILLS; i++) {
		rest(pause);
		if (victim == BROKER) {
			end(*broker, SIGKILL);
			*broker = start_broker();
		} else if (victim == SLEEP) {
			end(sleeper, SIGKILL);
			sleeper = start_sleep();
		}
	}
	s->seconds = (double)(clock_ns() - begin) / 1e9;
	s->stop = true;
	waitpid(reader, NULL, 0);
	waitpid(writer, NULL, 0);
	end(sleeper, SIGKILL);
	await_broker();
}

static void measure_gaps(int seconds)
{
	static const char *const names[] = { "nobody is killed", "/bin/sleep is killed",
					     "the broker is killed" };
	struct stream *s =
		mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct samples gap[3] = { 0 }, way[3] = { 0 };
	uint64_t gaps[3] = { 0 };
	double rate[3] = { 0 };
	pid_t broker = start_broker();
	struct shmring_ring *r;

	await_broker();
	must(shmring_create(&r, "broker:stream", NULL), "the stream");
	for (int round = 0; round < ROUNDS; round++)
		for (int v = NOBODY; v <= BROKER; v++) {
			run_stream((enum victim)v, seconds, s, &broker);
			rate[v] += (double)s->messages / s->seconds / ROUNDS;
			gaps[v] += s->gaps;
			samples_add(&gap[v], (double)s->longest_gap / 1e6);
			samples_add(&way[v], (double)s->longest_way / 1e6);
		}
	printf("longest gap of %d streams of %d s, 64 B every microsecond, %d kills each\n", ROUNDS,
	       seconds, KILLS);
	for (int v = NOBODY; v <= BROKER; v++)
		printf("%-22s  longest gap: median %6.2f ms, most %6.2f ms;  latest message %6.2f "
		       "ms;"
		       "  %4.0f gaps over 1 ms;  %.0f k messages/s\n",
		       names[v], samples_quantile(&gap[v], 0.5), samples_quantile(&gap[v], 1),
		       samples_quantile(&way[v], 1), (double)gaps[v], rate[v] / 1000);
	must(shmring_remove("broker:stream"), "the stream");
	shmring_close(r);
	end(broker, SIGTERM);
}

static void prepare(const char *self)
{
	const char *given = getenv("SHMRINGD"), *slash = strrchr(self, '/');

	if (given)
		snprintf(program, sizeof(program), "%s", given);
	else
		snprintf(program, sizeof(program), "%.*s/../daemon/shmringd",
			 slash ? (int)(slash - self) : 1, slash ? self : ".");
	if (access(program, X_OK) != 0 || !mkdtemp(directory)) {
		perror(program);
		exit(2);
	}
	snprintf(socket_path, sizeof(socket_path), "%s/socket", directory);
	snprintf(rings, sizeof(rings), "%s/rings", directory);
	snprintf(file, sizeof(file), "%s/file", directory);
	setenv("SHMRING_BROKER", socket_path, 1);
}

static void clean_up(void)
{
	char command[PATH_MAX + 16];

	snprintf(command, sizeof(command), "rm -rf %s", directory);
	if (system(command) != 0)
		fprintf(stderr, "%s is left\n", directory);
}

int main(int argc, char **argv)
{
	int number = argc > 2 ? atoi(argv[2]) : 0;

	if (argc < 2 || argc > 3 || number < 0 ||
	    (strcmp(argv[1], "open") != 0 && strcmp(argv[1], "gaps") != 0)) {
		fprintf(stderr, "usage: shmring-broker-bench open [COUNT] | gaps [SECONDS]\n");
		return 2;
	}
	prepare(argv[0]);
	if (strcmp(argv[1], "open") == 0)
		measure_open(number ? (unsigned)number : 1000);
	else
		measure_gaps(number ? number : 10);
	clean_up();
	return 0;
}
