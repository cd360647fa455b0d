/* SPDX-License-Identifier: MIT */
/*
 * Reading a ring to standard output until it is time to end.
 *
 * A lossless consumer releases messages only when write(2) has taken them, so the
 * successor of a killed named one gets them again. Two kinds cannot do that. An
 * observer has nothing to release. A consumer that may be evicted knows only after
 * the release that the bytes are whole: it copies them, releases, and then writes.
 */
#include <errno.h>
#include <unistd.h>

#include "address.h"
#include "cli.h"
#include "clock.h"
#include "latency.h"
#include "progress.h"
#include "stop.h"
#include "subscribe.h"
#include "units.h"

#define BATCH_MAX 512
#define BATCH_BYTES ((size_t)512 << 10) /* more would leave producers waiting */
#define GATHER_BYTES ((size_t)64 << 10) /* an observer writes at the latest then */
#define LOST_REPORT_NS 1000000000

/* The loss before a message; the library knows it until the release. */
struct gap {
	uint64_t messages;
	uint64_t bytes;
};

struct subscription {
	const struct subscribe_options *options;
	struct shmring_ring *ring;
	struct shmring_consumer *consumer;
	struct out out;
	unsigned lanes;
	bool limited;	/* a limit of lag in bytes also says how far back to begin */
	bool last_look; /* no producer can publish any more: read the rest and end */
	int batch;	/* how many messages to ask for */
	uint64_t records;
	uint64_t bytes;
	uint64_t lost;
	uint64_t lost_bytes;
	/* Of each lane: messages gone before the attach, until its first message reports them. */
	uint64_t missed[SHMRING_MAX_LANES];
	uint64_t missed_bytes[SHMRING_MAX_LANES];
	int64_t next_report_ns;
	int64_t idle_deadline;
	struct shmring_message messages[BATCH_MAX];
	struct gap gaps[BATCH_MAX]; /* of those that come after a loss */
	uint64_t stamps[BATCH_MAX]; /* of all, if latencies are asked for */
	uint64_t received_ns;	    /* when those came, in the ring's time */
	struct latency latency;
};

/* Tell what was lost, but not for every gap. */
static void report_lost(struct subscription *s, const char *when)
{
	char size[UNITS_TEXT];

	say("%llu %s (%s) %s been lost%s", (unsigned long long)s->lost,
	    s->lost == 1 ? "message" : "messages", format_size(size, s->lost_bytes),
	    s->lost == 1 ? "has" : "have", when);
	s->next_report_ns = now_ns() + LOST_REPORT_NS;
}

/* What was gone before this subscriber came is no loss of its own, but a reader of the output must
 * know. */
static void report_missed(struct subscription *s)
{
	uint64_t messages = 0, bytes = 0;
	char size[UNITS_TEXT];

	for (unsigned i = 0; i < s->lanes; i++) {
		if (shmring_consumer_missed(s->consumer, i, &s->missed[i], &s->missed_bytes[i]) < 0)
			continue;
		messages += s->missed[i];
		bytes += s->missed_bytes[i];
	}
	if (messages)
		say("%s: %llu messages (%s) are gone: they were overwritten before this subscriber "
		    "attached%s",
		    s->options->address, (unsigned long long)messages, format_size(size, bytes),
		    s->limited ? ", or are further back than its limit of lag allows it to begin"
			       : "");
}

/* What can be asked of messages in hand; it counts once they are released. */
static int ask_batch(struct subscription *s, int n)
{
	int err = 0;

	for (int i = 0; i < n && err == 0; i++) {
		const struct shmring_message *m = &s->messages[i];

		if (m->flags & SHMRING_AFTER_LOSS)
			err = shmring_message_lost(s->consumer, m, &s->gaps[i].messages,
						   &s->gaps[i].bytes);
		if (err == 0 && s->options->latency)
			err = shmring_message_stamp(s->consumer, m, &s->stamps[i]);
	}
	return err;
}

/* A loss, without the messages that report_missed() has reported. */
static void count_lost(struct subscription *s, uint32_t lane, const struct gap *gap)
{
	s->lost += gap->messages - s->missed[lane];
	s->lost_bytes += gap->bytes - s->missed_bytes[lane];
	s->missed[lane] = s->missed_bytes[lane] = 0;
}

static void count_latencies(struct subscription *s, int n)
{
	for (int i = 0; i < n; i++) {
		uint64_t stamp = s->stamps[i];

		latency_add(&s->latency, s->received_ns > stamp ? s->received_ns - stamp : 0);
	}
}

static void count_batch(struct subscription *s, int n)
{
	uint64_t bytes = 0, before = s->lost, average;

	for (int i = 0; i < n; i++) {
		bytes += s->messages[i].len;
		if (s->messages[i].flags & SHMRING_AFTER_LOSS)
			count_lost(s, s->messages[i].producer, &s->gaps[i]);
	}
	if (s->options->latency)
		count_latencies(s, n);
	s->records += (uint64_t)n;
	s->bytes += bytes;
	if (s->lost != before && now_ns() >= s->next_report_ns)
		report_lost(s, " so far");
	average = bytes / (uint64_t)n + 1;
	s->batch = average >= BATCH_BYTES ? 1 : (int)(BATCH_BYTES / average);
	if (s->batch > BATCH_MAX)
		s->batch = BATCH_MAX;
	progress_update(s->records, s->bytes, NULL);
	if (s->options->latency)
		stop_look(); /* no write will tell */
}

static int write_failed(int err, const struct subscription *s)
{
	if (err == -EPIPE || err == -EINTR)
		return STATUS_OK; /* stop_finish() knows what to say */
	if (err == -EMSGSIZE) {
		say("%s: a message is too long for a frame", s->options->address);
		return STATUS_FAILED;
	}
	return system_failed(err, "writing to standard output");
}

/* Give `n` messages back, before or after they are written; 1: discard them. */
static int release(struct subscription *s, int n, int *ret_status)
{
	int err = ask_batch(s, n);

	if (err == 0)
		err = shmring_release(s->consumer);
	if (err == 0) {
		count_batch(s, n);
		return 0;
	}
	if (err != -ESTALE)
		*ret_status = ring_failed("%s", s->options->address);
	out_drop(&s->out);
	return 1;
}

/* Write `n` messages and release them. Returns 0 or what out_flush() returns. */
static int deliver(struct subscription *s, int n, int *ret_status)
{
	bool observer = s->options->attach.flags & SHMRING_OBSERVE;
	int err = 0;

	for (int i = 0; i < n && err == 0 && !s->options->latency; i++)
		err = emit(&s->out, s->options->form, s->consumer, &s->messages[i]);
	if (err < 0)
		return err;
	if (s->out.hold)
		return release(s, n, ret_status) ? 0 : out_flush(&s->out);
	if (!observer || s->out.waiting >= GATHER_BYTES)
		err = out_flush(&s->out);
	if (err == 0)
		release(s, n, ret_status);
	return err;
}

/* The next messages; 0 if there were none up to the next look at everything else. */
static int next_batch(struct subscription *s)
{
	const struct subscribe_options *o = s->options;
	int64_t deadline = SHMRING_NOWAIT;
	int want = s->batch, n;

	if (o->count - s->records < (uint64_t)want)
		want = (int)(o->count - s->records);
	if (!s->last_look && s->out.waiting == 0)
		deadline = stop_slice(s->idle_deadline, STOP_SLICE_NS);
	n = shmring_peek_batch(s->consumer, deadline, s->messages, want);
	if (n == -ENODATA || n == -EIDRM || n == -EPIPE)
		s->last_look = true;
	if (n > 0 && o->latency)
		s->received_ns = shmring_stamp_now(s->ring);
	return n == -EAGAIN || n == -ETIMEDOUT || n == -EINTR || n == -ENODATA || n == -EIDRM ||
			       n == -EPIPE
		       ? 0
		       : n;
}

/* No message at present: true if it is time to end. */
static bool idle(struct subscription *s, int *ret_status)
{
	if (s->last_look && s->options->end == END_NEVER)
		say("%s: the ring has been removed, and its producers are gone",
		    s->options->address);
	if (s->last_look)
		return true;
	if (now_ns() >= s->idle_deadline) {
		say("%s: no message has come in time", s->options->address);
		*ret_status = STATUS_TIMEOUT;
		return true;
	}
	stop_look();
	progress_update(s->records, s->bytes, "waiting for messages");
	return false;
}

static int64_t idle_deadline(const struct subscribe_options *o)
{
	return o->timeout_ns == SHMRING_FOREVER ? SHMRING_FOREVER : shmring_deadline(o->timeout_ns);
}

static int read_ring(struct subscription *s, int *ret_status)
{
	int n, err = 0;

	s->idle_deadline = idle_deadline(s->options);
	while (err == 0 && *ret_status == STATUS_OK && s->records < s->options->count &&
	       !stop_requested()) {
		n = next_batch(s);
		if (n < 0) {
			*ret_status = ring_failed("%s", s->options->address);
		} else if (n > 0) {
			err = deliver(s, n, ret_status);
			s->idle_deadline = idle_deadline(s->options);
		} else if (s->out.waiting) {
			err = out_flush(&s->out);
		} else if (idle(s, ret_status)) {
			break;
		}
	}
	return err ? err : out_flush(&s->out);
}

static const char *why_no_messages(const struct subscribe_options *o)
{
	if (o->attach.start == SHMRING_START_NOW && o->end == END_EMPTY)
		return "--no-follow ends with the messages that are there at the start, and --from "
		       "now begins after them; use --from oldest";
	if (o->attach.start == SHMRING_START_NOW)
		return "no message was published meanwhile; --from oldest also measures the "
		       "messages that are in the ring already";
	if (o->attach.name)
		return "no message has been published since the last run under this name; --from "
		       "oldest measures the messages in the ring again";
	return "the ring is empty";
}

/* Percentiles, unless standard output has lost its reader. */
static int print_latency(const struct subscription *s, int status)
{
	const struct subscribe_options *o = s->options;

	if (!o->latency || stop_unread())
		return status;
	if (latency_print(&s->latency, o->form == EMIT_JSON) != STATUS_OK)
		status = STATUS_FAILED;
	if (s->latency.count == 0)
		say("%s: no message was measured: %s", o->address, why_no_messages(o));
	return status;
}

static int run(struct subscription *s)
{
	const struct subscribe_options *o = s->options;
	int status = STATUS_OK, err;

	report_missed(s);
	if (!isatty(STDOUT_FILENO) || o->latency)
		progress_start(0);
	err = read_ring(s, &status);
	if (err < 0 && err != -EPIPE)
		status = write_failed(err, s);
	shmring_consumer_detach(s->consumer);
	progress_hide();
	status = print_latency(s, status);
	if (s->lost)
		report_lost(s, "");
	if (status == STATUS_OK && s->lost)
		status = STATUS_LOST;
	return err == -EPIPE ? err : status;
}

/* Is a subscriber that is so far behind evicted? No lane is further ahead than its size. */
static bool is_limit(uint64_t lag, const struct shmring_ring_stat *stat)
{
	return lag != 0 && lag < stat->lane_size;
}

/* What the attachment needs to know of the ring; the exit status. */
static int set_up(struct subscription *s, struct shmring_ring *ring,
		  const struct subscribe_options *o)
{
	const bool observer = o->attach.flags & SHMRING_OBSERVE;
	struct shmring_ring_stat stat = { .size = sizeof(stat) };
	bool evictable, policy;

	if (shmring_stat(ring, &stat) < 0)
		return ring_failed("%s", o->address);
	if (o->latency && stat.stamps == SHMRING_STAMP_NONE) {
		say("%s: its messages have no time stamps; make it with 'shmring create --stamps'",
		    o->address);
		return STATUS_FAILED;
	}
	policy = !observer && stat.slow_policy == SHMRING_SLOW_EVICT &&
		 !(o->attach.flags & SHMRING_PINNED);
	evictable = policy || o->attach.max_lag || o->attach.max_lag_ns;
	*s = (struct subscription){
		.options = o,
		.ring = ring,
		.consumer = s->consumer,
		.lanes = stat.lanes,
		.limited = (policy && is_limit(stat.evict_lag, &stat)) ||
			   is_limit(o->attach.max_lag, &stat),
		.batch = BATCH_MAX / 8,
	};
	if (out_init(&s->out, STDOUT_FILENO, observer, evictable) != 0)
		return system_failed(ENOMEM, "starting");
	return STATUS_OK;
}

int subscribe(struct shmring_ring *ring, struct shmring_consumer *consumer,
	      const struct subscribe_options *o)
{
	static struct subscription s;
	int status;

	s.consumer = consumer;
	status = set_up(&s, ring, o);
	if (status == STATUS_OK)
		status = run(&s);
	else
		shmring_consumer_detach(consumer);
	out_fini(&s.out);
	return status;
}
