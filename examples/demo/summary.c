/* SPDX-License-Identifier: MIT */
/*
 * The report, 80 columns wide: how much each process sent or received, at what cost,
 * how long messages took, what the killed consumer missed, and what was verified.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "demo.h"

#define BAR "########################################"

static double mega(uint64_t bytes)
{
	return (double)bytes / 1e6;
}

/* "12.3 us" in `text`, which has room for 16. */
static const char *duration(char *text, uint64_t ns)
{
	static const char *const unit[] = { "ns", "us", "ms", "s" };
	double value = (double)ns;
	int i = 0;

	while (value >= 999.5 && i < 3) {
		value /= 1000;
		i++;
	}
	snprintf(text, 16, "%.*f %s", value < 9.995 && i > 0 ? 2 : value < 99.95 && i > 0, value,
		 unit[i]);
	return text;
}

void summary_files(const struct file_list *files, double seconds)
{
	printf("%" PRIu32 " files, %.1f MB, hashed in %.2f s\n", files->count, mega(files->bytes),
	       seconds);
}

void summary_ring(const struct demo *demo)
{
	printf("%" PRIu64
	       " messages of up to %u KiB: %d producers, %d lossless consumers, 1 observer\n"
	       "Ring: %s\n",
	       demo->messages, BLOCK_SIZE / 1024, PRODUCERS, CONSUMERS - 1,
	       demo->address ? demo->address : "anonymous");
	fflush(stdout);
}

static void add_counters(struct shmring_counters *sum, const struct shmring_counters *part)
{
	sum->messages += part->messages;
	sum->bytes += part->bytes;
	sum->waits += part->waits;
	sum->sleeps += part->sleeps;
	sum->wakes += part->wakes;
	sum->system_calls += part->system_calls;
}

/* From the first message to the last release, in seconds. */
static double streaming_time(const struct board *board)
{
	int64_t first = INT64_MAX, last = 0;

	for (int i = 0; i < PRODUCERS; i++)
		if (board->producer[i].first_ns < first)
			first = board->producer[i].first_ns;
	for (int i = 0; i < CONSUMERS; i++)
		if (board->consumer[i].last_ns > last)
			last = board->consumer[i].last_ns;
	return (double)(last - first) / 1e9;
}

static void print_row(const char *name, const struct shmring_counters *c, double seconds)
{
	printf("%-10s %9" PRIu64 " %9.1f %7.2f %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %13.3f\n",
	       name, c->messages, mega(c->bytes), (double)c->bytes / 1e9 / seconds, c->waits,
	       c->sleeps, c->wakes, (double)c->system_calls / (double)c->messages);
}

static void print_traffic(const struct board *board, double seconds)
{
	struct shmring_counters in = { 0 }, out = { 0 };

	printf("\n%-10s %9s %9s %7s %8s %8s %8s %13s\n", "", "messages", "MB", "GB/s", "waits",
	       "sleeps", "wake-ups", "calls/message");
	for (int i = 0; i < PRODUCERS; i++) {
		print_row(producer_name[i], &board->producer[i].counters, seconds);
		add_counters(&in, &board->producer[i].counters);
	}
	for (int i = 0; i < CONSUMERS; i++) {
		struct shmring_counters sum = { 0 };

		for (int life = 0; life < LIVES; life++)
			add_counters(&sum, &board->consumer[i].counters[life]);
		print_row(consumer_name[i], &sum, seconds);
		add_counters(&out, &sum);
	}
	printf("%.2f GB in, %.2f GB out, in %.2f s: %.2f GB/s in, %.2f GB/s out\n",
	       (double)in.bytes / 1e9, (double)out.bytes / 1e9, seconds,
	       (double)in.bytes / 1e9 / seconds, (double)out.bytes / 1e9 / seconds);
}

static void print_quantiles(const char *name, const struct latency *latency)
{
	char p50[16], p99[16], p999[16], max[16];

	printf("%-10s %10s %10s %10s %10s\n", name, duration(p50, latency_quantile(latency, .5)),
	       duration(p99, latency_quantile(latency, .99)),
	       duration(p999, latency_quantile(latency, .999)), duration(max, latency->max));
}

/* A line for every factor of four between the first and the last value. */
static void print_histogram(const struct latency *latency)
{
	uint64_t most = 0, seen = 0, count;
	char text[16];
	int width;

	for (int e = 4; e < 62; e += 2) {
		count = latency_between(latency, UINT64_C(1) << e, UINT64_C(4) << e);
		if (count > most)
			most = count;
	}
	for (int e = 4; e < 62 && seen < latency->count; e += 2) {
		count = latency_between(latency, UINT64_C(1) << e, UINT64_C(4) << e);
		if (count == 0 && seen == 0)
			continue;
		seen += count;
		width = (int)((count * strlen(BAR) + most / 2) / most);
		printf("  < %8s %7.2f %%%s%.*s\n", duration(text, UINT64_C(4) << e),
		       100 * (double)count / (double)latency->count, width ? "  " : "", width, BAR);
	}
}

static void print_latency(const struct board *board)
{
	struct latency both = { 0 };

	printf("\n%-10s %10s %10s %10s %10s   (publish to receive)\n", "Latency", "p50", "p99",
	       "p99.9", "max");
	for (int i = 0; i < CONSUMERS; i++) {
		print_quantiles(consumer_name[i], &board->consumer[i].latency);
		if (i != OBSERVER)
			latency_merge(&both, &board->consumer[i].latency);
	}
	print_histogram(&both);
}

static void print_recovery(const struct board *board, const struct result *result)
{
	const struct consumer_report *victim = &board->consumer[VICTIM];
	uint64_t gap = (uint64_t)(victim->first_ns[1] - result->killed_ns);
	char text[16];

	printf("\nRecovery   %s was killed (SIGKILL) after %" PRIu64
	       " messages and resumed by name\n"
	       "           as a new process %s later: %" PRIu64 " came again, %" PRIu64
	       " of them known and skipped\n",
	       consumer_name[VICTIM], result->killed_at, duration(text, gap), victim->redelivered,
	       victim->repeated);
}

static void print_verdicts(const struct demo *demo, const struct result *result)
{
	printf("\n%-10s %10s %10s %10s   messages\n", "Files", "equal", "different", "incomplete");
	for (int i = 0; i < CONSUMERS; i++) {
		const struct verdict *v = &result->verdict[i];
		struct progress total = consumer_total(&demo->board->consumer[i]);

		printf("%-10s %10" PRIu32 " %10" PRIu32 " %10" PRIu32 "   %" PRIu64
		       " received + %" PRIu64 " lost %s published\n",
		       consumer_name[i], v->equal, v->different, v->incomplete, total.messages,
		       total.lost, v->accounted ? "=" : "IS NOT");
	}
	if (result->changed > 0)
		printf("%" PRIu32 " files were changed meanwhile and are not judged\n",
		       result->changed);
}

void summary_print(const struct demo *demo, const struct result *result, bool good)
{
	print_traffic(demo->board, streaming_time(demo->board));
	print_latency(demo->board);
	print_recovery(demo->board, result);
	print_verdicts(demo, result);
	printf("\n%s\n", good ? "Everything arrived as it should." : "FAILED: see above.");
}
