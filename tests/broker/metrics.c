/* SPDX-License-Identifier: MIT */
/*
 * The metrics: their format, held against the rules of Prometheus' text format 0.0.4
 * by a parser that forgives nothing, and their numbers, held against the ring's.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "must.h"
#include "raw.h"
#include "room.h"
#include "runner.h"
#include "server.h"

/* --- the parser --- */

enum { MAX_SAMPLES = 2000, KEY_SIZE = 256 };

struct sample {
	char key[KEY_SIZE]; /* name and labels, as they stand there */
	double value;
};

static struct {
	struct sample samples[MAX_SAMPLES];
	unsigned count;
	char family[KEY_SIZE]; /* the metric whose samples may follow */
	bool counter;
	bool typed;		    /* its TYPE was there */
	char seen[MAX_SAMPLES][64]; /* families so far */
	unsigned families;
} text;

static bool is_name_char(char c, bool first)
{
	return isalpha((unsigned char)c) || c == '_' || (!first && isdigit((unsigned char)c));
}

static size_t name_length(const char *p)
{
	size_t n = 0;

	while (is_name_char(p[n], n == 0))
		n++;
	return n;
}

static const char *must_have(const char *p, const char *what, const char *line)
{
	size_t n = strlen(what);

	ck_assert_msg(strncmp(p, what, n) == 0, "'%s' is missing in: %s", what, line);
	return p + n;
}

static void read_help(const char *p, const char *line)
{
	size_t n = name_length(p);

	ck_assert_msg(n > 0 && p[n] == ' ' && p[n + 1] != '\0', "no help: %s", line);
	ck_assert_uint_lt(n, sizeof(text.seen[0]));
	snprintf(text.family, sizeof(text.family), "%.*s", (int)n, p);
	for (unsigned i = 0; i < text.families; i++)
		ck_assert_msg(strcmp(text.seen[i], text.family) != 0, "twice: %s", line);
	snprintf(text.seen[text.families++], sizeof(text.seen[0]), "%.63s", text.family);
	text.typed = false;
}

static void read_type(const char *p, const char *line)
{
	size_t n = name_length(p);

	ck_assert_msg(strlen(text.family) == n && strncmp(p, text.family, n) == 0 && !text.typed,
		      "a type of something else: %s", line);
	p = must_have(p + n, " ", line);
	text.counter = strcmp(p, "counter") == 0;
	ck_assert_msg(text.counter || strcmp(p, "gauge") == 0, "unknown type: %s", line);
	ck_assert_msg(!text.counter || strcmp(text.family + strlen(text.family) - 6, "_total") == 0,
		      "a counter ends in _total: %s", line);
	text.typed = true;
}

/* From behind the '{' to behind the '}'. */
static const char *read_labels(const char *p, const char *line)
{
	do {
		size_t n = name_length(p);

		ck_assert_msg(n > 0, "no name of a label: %s", line);
		p = must_have(p + n, "=\"", line);
		for (; *p != '"'; p++) {
			ck_assert_msg(*p >= ' ' && *p < 0x7f, "an open label: %s", line);
			if (*p == '\\')
				ck_assert_msg(strchr("\\\"n", *++p), "no escape: %s", line);
		}
		p++;
	} while (*p == ',' && p++);
	return must_have(p, "}", line);
}

static void read_sample(const char *line)
{
	struct sample *s = &text.samples[text.count++];
	size_t n = name_length(line);
	const char *p = line + n;
	char *end;

	ck_assert_uint_lt(text.count, MAX_SAMPLES);
	ck_assert_msg(text.typed && strlen(text.family) == n && strncmp(line, text.family, n) == 0,
		      "a sample of another family: %s", line);
	if (*p == '{')
		p = read_labels(p + 1, line);
	snprintf(s->key, sizeof(s->key), "%.*s", (int)(p - line), line);
	p = must_have(p, " ", line);
	s->value = strtod(p, &end);
	ck_assert_msg(end > p && *end == '\0' && s->value >= 0, "no number: %s", line);
	for (unsigned i = 0; i + 1 < text.count; i++)
		ck_assert_msg(strcmp(text.samples[i].key, s->key) != 0, "twice: %s", line);
}

static void parse(char *metrics)
{
	char *line = metrics, *end;

	memset(&text, 0, sizeof(text));
	for (; *line != '\0'; line = end + 1) {
		end = strchr(line, '\n');
		ck_assert_msg(end != NULL, "the last line has no end: %s", line);
		*end = '\0';
		if (strncmp(line, "# HELP ", 7) == 0)
			read_help(line + 7, line);
		else if (strncmp(line, "# TYPE ", 7) == 0)
			read_type(line + 7, line);
		else
			read_sample(line);
	}
}

/* The sample with this key; its owner is the user of the test. */
static double value_of(const char *format, const char *ring)
{
	char key[KEY_SIZE];
	int n = snprintf(key, sizeof(key), "shmringd_%s", format);

	if (ring)
		snprintf(key + n, sizeof(key) - (size_t)n, "{ring=\"%s\",owner=\"%u\"}", ring,
			 (unsigned)geteuid());
	for (unsigned i = 0; i < text.count; i++)
		if (strcmp(text.samples[i].key, key) == 0)
			return text.samples[i].value;
	ck_abort_msg("there is no sample %s", key);
}

static void get(int s)
{
	char *metrics;

	ck_assert_int_eq(raw_metrics(s, &metrics), 0);
	parse(metrics);
	free(metrics);
}

/* --- the tests --- */

/* Put other bytes in place of these, as a process that may write to the ring can do. */
static void scribble(const char *path, const char *old, const char *new)
{
	static char head[1 << 20];
	int fd = open(path, O_RDWR | O_CLOEXEC);
	ssize_t n = pread(fd, head, sizeof(head), 0);
	size_t size = strlen(old);
	const char *at = n > 0 ? memmem(head, (size_t)n, old, size) : NULL;

	ck_assert_ptr_nonnull(at);
	ck_assert_int_eq(pwrite(fd, new, size, at - head), (ssize_t)size);
	close(fd);
}

#define must_be(what, ring, number) ck_assert_double_eq(value_of(what, ring), (double)(number))

START_TEST(metrics_match_the_ring)
{
	struct shmring_consumer_options named = { .size = sizeof(named), .name = "a-b-c" };
	struct shmring_consumer_stat place = { .size = sizeof(place) };
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct shmring_ring *r;
	struct server b;
	uint64_t ring;
	int s;

	server_start(&b, NULL);
	server_ring("idle");
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "busy", &ring), 0);
	ck_assert_int_eq(raw_make(s, "idle", NULL), 0);
	ck_assert_int_eq(raw_attach(s, ring, PROTO_OBSERVE, NULL, NULL), 0);
	ck_assert_int_eq(raw_open(s, "none", 0, NULL), -ENOENT);
	must(shmring_open(&r, server_ring("busy")));
	must(shmring_producer_attach(&p, r, NULL));
	must(shmring_consumer_attach(&c, r, &named));
	for (int i = 0; i < 10; i++)
		must(shmring_publish(p, named.name, 3, SHMRING_NOWAIT));
	scribble(server_ring("busy"), "a-b-c", "a\"b\\\n");
	get(s);
	must(shmring_stat(r, &st));
	must(shmring_stat_consumer(r, 0, &place));
	must_be("rings", NULL, 2);
	must_be("connections", NULL, 1);
	must_be("refusals_total", NULL, 0); /* neither a rule nor a limit was in the way */
	must_be("ring_messages_total", "busy", 10);
	must_be("ring_payload_bytes_total", "busy", 30);
	must_be("ring_producers", "busy", 1);
	must_be("ring_consumers", "busy", 1);
	must_be("ring_clients", "busy", 1);
	must_be("ring_size_bytes", "busy", st.file_size);
	must_be("ring_allocated_bytes", "busy", st.allocated);
	must_be("ring_messages_total", "idle", 0);
	ck_assert_uint_gt(place.lag, 0);
	must_be("consumer_lag_bytes{ring=\"busy\",slot=\"0\",name=\"a\\\"b\\\\?\"}", NULL,
		place.lag);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	get(s);
	must_be("ring_producers", "busy", 0);
	must_be("ring_consumers", "busy", 0);
	must_be("ring_detached", "busy", 1);
	shmring_close(r);
	close(s);
	server_stop(&b);
}
END_TEST

/* The counts of clients in the ring, also of those that have left. */
START_TEST(metrics_show_what_clients_counted)
{
	const struct shmring_consumer_options limited = { .size = sizeof(limited),
							  .max_lag = 16384,
							  .spin_ns = -1 };
	static char data[1000];
	struct shmring_consumer_stat place = { .size = sizeof(place) };
	struct shmring_lane_stat lane = { .size = sizeof(lane) };
	struct shmring_consumer *c;
	struct shmring_producer *p;
	struct shmring_message m;
	uint64_t lost, lost_bytes;
	struct shmring_ring *r;
	struct server b;
	int s;

	server_start(&b, NULL);
	server_ring("ring");
	s = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(s, "ring", NULL), 0);
	must(shmring_open(&r, server_ring("ring")));
	must(shmring_producer_attach(&p, r, NULL));
	must(shmring_producer_spin(p, 0));
	get(s);
	must_be("ring_full_waits_total", "ring", 0);
	must_be("ring_full_wait_seconds_total", "ring", 0);
	must_be("ring_lost_messages_total", "ring", 0);
	must(shmring_consumer_attach(&c, r, &limited));
	must_fail(ETIMEDOUT, shmring_peek(c, shmring_deadline(20000000), &m));
	do
		must(shmring_publish(p, data, sizeof(data), SHMRING_NOWAIT));
	while (shmring_stat_consumer(r, 0, &place) == 0 && place.state != SHMRING_EVICTED);
	for (int i = 0; i < 200; i++) /* three times as many as the lane holds */
		must(shmring_publish(p, data, sizeof(data), SHMRING_NOWAIT));
	must(shmring_peek(c, SHMRING_NOWAIT, &m));
	must(shmring_message_lost(c, &m, &lost, &lost_bytes));
	ck_assert_uint_gt(lost, 100);
	must(shmring_release(c));
	shmring_consumer_detach(c);
	must(shmring_stat_consumer(r, 0, &place));
	ck_assert_uint_eq(place.lost, lost);
	must(shmring_consumer_attach(&c, r, NULL));
	while (shmring_publish(p, data, sizeof(data), SHMRING_NOWAIT) == 0)
		;
	must_fail(ETIMEDOUT, shmring_publish(p, data, sizeof(data), shmring_deadline(20000000)));
	shmring_consumer_detach(c);
	must(shmring_stat_lane(r, 0, &lane));
	get(s);
	get(s); /* and does not add up from one look to the next */
	ck_assert_uint_ge(lane.full_waits, 2);
	ck_assert_uint_ge(lane.full_wait_ns, 19000000);
	ck_assert_uint_gt(lane.sleeps, 0);
	ck_assert_uint_eq(place.waits, 1);
	ck_assert_uint_gt(place.sleeps, 0);
	must_be("ring_full_waits_total", "ring", lane.full_waits);
	ck_assert_double_eq_tol(value_of("ring_full_wait_seconds_total", "ring"),
				(double)lane.full_wait_ns / 1e9, 1e-9);
	must_be("ring_producer_sleeps_total", "ring", lane.sleeps);
	must_be("ring_producer_wakes_total", "ring", lane.wakes);
	must_be("ring_evictions_total", "ring", 1);
	must_be("ring_consumer_waits_total", "ring", 1);
	must_be("ring_consumer_sleeps_total", "ring", place.sleeps);
	must_be("ring_lost_messages_total", "ring", place.lost);
	must_be("ring_lost_bytes_total", "ring", place.lost * sizeof(data));
	shmring_producer_detach(p);
	shmring_close(r);
	close(s);
	server_stop(&b);
}
END_TEST

START_TEST(metrics_show_what_clients_and_users_have)
{
	char key[KEY_SIZE];
	uint64_t ring;
	struct server b;
	int s, t;

	server_start(&b, NULL);
	server_ring("ring");
	s = raw_hello(b.socket);
	t = raw_hello(b.socket);
	ck_assert_int_eq(raw_make(t, "ring", &ring), 0);
	ck_assert_int_eq(raw_attach(t, ring, PROTO_CONSUME, NULL, NULL), 0);
	ck_assert_int_eq(raw_attach(t, ring, PROTO_PRODUCE, NULL, NULL), 0);
	get(s);
	snprintf(key, sizeof(key), "client_grants{connection=\"2\",pid=\"%d\",uid=\"%u\"}",
		 (int)getpid(), (unsigned)geteuid());
	must_be(key, NULL, 2);
	snprintf(key, sizeof(key), "quota_used{uid=\"%u\",resource=\"descriptors\"}",
		 (unsigned)geteuid());
	must_be(key, NULL, 3);
	snprintf(key, sizeof(key), "quota_used{uid=\"%u\",resource=\"connections\"}",
		 (unsigned)geteuid());
	must_be(key, NULL, 2);
	raw_must_be_quiet(t);
	close(t);
	close(s);
	server_stop(&b);
}
END_TEST

/* Several ask at once: each gets a description of its own, of a file that is sealed. */
START_TEST(each_client_gets_a_sealed_file_of_its_own)
{
	enum { CLIENTS = 10 };
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	struct proto_message m;
	int s[CLIENTS], fd[CLIENTS];
	struct server b;

	server_start(&b, NULL);
	for (int i = 0; i < CLIENTS; i++)
		s[i] = raw_hello(b.socket);
	for (int i = 0; i < CLIENTS; i++) {
		m = (struct proto_message){ 0 };
		raw_send(s[i], &m, PROTO_METRICS);
	}
	for (int i = 0; i < CLIENTS; i++) {
		ck_assert_int_eq(raw_receive(s[i], &m, PROTO_TEXT, &fd[i]), 0);
		ck_assert_int_eq(fcntl(fd[i], F_GET_SEALS), seals);
		ck_assert_int_eq(fcntl(fd[i], F_GETFL) & O_ACCMODE, O_RDONLY);
		ck_assert_int_eq(lseek(fd[i], 0, SEEK_CUR), 0);
		ck_assert_int_eq(lseek(fd[i], 5, SEEK_SET), 5);
	}
	for (int i = 0; i < CLIENTS; i++) {
		close(fd[i]);
		close(s[i]);
	}
	server_stop(&b);
}
END_TEST

/* The parser itself: a helper that reads what is wrong does not come to its end. */
static const char *const wrong[] = {
	"shmringd_x 1\n",
	"# HELP a b\n# TYPE a gauge\na 1",
	"# HELP a b\na 1\n",
	"# HELP a b\n# TYPE a counter\na 1\n",
	"# HELP a b\n# TYPE a gauge\nb 1\n",
	"# HELP a b\n# TYPE a gauge\na 1\na 2\n",
	"# HELP a b\n# TYPE a gauge\na{x=\"1\"} 1\na{x=\"1\"} 2\n",
	"# HELP a b\n# TYPE a gauge\na{x=\"\\q\"} 1\n",
	"# HELP a b\n# TYPE a gauge\na{x=1} 1\n",
	"# HELP a b\n# TYPE a gauge\na{x=\"1\" 1\n",
	"# HELP a b\n# TYPE a gauge\na one\n",
	"# HELP a b\n# TYPE a gauge\n# HELP a b\n# TYPE a gauge\n",
	"\n",
};

static int read_wrong(int socket, void *arg)
{
	char copy[200];

	step_tell(socket);
	snprintf(copy, sizeof(copy), "%s", *(const char *const *)arg);
	parse(copy);
	return 7;
}

START_TEST(parser_refuses_malformed_metrics)
{
	struct child c;
	siginfo_t info;

	child_fork(&c, read_wrong, (void *)(uintptr_t)&wrong[_i]);
	step_await(c.socket);
	ck_assert_int_eq(waitid(P_PID, (id_t)c.pid, &info, WEXITED), 0);
	ck_assert_int_eq(info.si_code, CLD_EXITED);
	ck_assert_int_ne(info.si_status, 7);
	child_drop(&c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("metrics");
	TCase *tc = room_case(s, "metrics", 30);

	tcase_add_test(tc, metrics_match_the_ring);
	tcase_add_test(tc, metrics_show_what_clients_counted);
	tcase_add_test(tc, metrics_show_what_clients_and_users_have);
	tcase_add_test(tc, each_client_gets_a_sealed_file_of_its_own);
	tcase_add_loop_test(tc, parser_refuses_malformed_metrics, 0,
			    sizeof(wrong) / sizeof(wrong[0]));
	return run_suite(s);
}
