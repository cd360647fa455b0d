/* SPDX-License-Identifier: MIT */
/*
 * shmring sub: write the messages of a ring to standard output.
 */
#include <errno.h>
#include <string.h>

#include "address.h"
#include "cli.h"
#include "join.h"
#include "options.h"
#include "stop.h"
#include "subscribe.h"
#include "units.h"

enum {
	KEY_LINES = 0x100,
	KEY_FRAMES,
	KEY_RAW,
	KEY_JSON,
	KEY_FROM,
	KEY_NAME,
	KEY_OBSERVE,
	KEY_PINNED,
	KEY_MAX_LAG,
	KEY_NO_FOLLOW,
	KEY_DRAIN,
	KEY_TIMEOUT,
	KEY_LATENCY,
};

struct sub_options {
	struct subscribe_options subscribe;
	struct joining join;
	struct shmring_consumer *consumer;
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "Form of the records:", 1 },
	{ "lines", KEY_LINES, NULL, 0, "Write a newline after each message (default)", 1 },
	{ "null", '0', NULL, 0, "Write a NUL byte after each message", 1 },
	{ "frames", KEY_FRAMES, NULL, 0,
	  "Write the length before each message: 4 bytes, little endian", 1 },
	{ "raw", KEY_RAW, NULL, 0, "Write only the bytes of the messages", 1 },
	{ "json", KEY_JSON, NULL, 0,
	  "Write each message as an object on a line: seq, producer, length, data (or "
	  "data_base64), lost, stamp_ns",
	  1 },
	{ "latency", KEY_LATENCY, NULL, 0,
	  "Write no messages, but print percentiles of their latency at the end (with --json as an "
	  "object). The ring must have stamps. Without --no-follow and --drain it begins with the "
	  "next message to be published",
	  1 },
	{ NULL, 0, NULL, 0, "Which messages:", 2 },
	{ "from", KEY_FROM, "oldest|now|resume", 0,
	  "Begin with the oldest message, with the next one to be published, or where the name "
	  "stopped (default: resume a name, else oldest)",
	  2 },
	{ "name", KEY_NAME, "NAME", 0,
	  "Remember the read position under NAME, so that a later run resumes there", 2 },
	{ "observe", KEY_OBSERVE, NULL, 0,
	  "Only observe, and hold no producer back; lost messages are reported (status 4)", 2 },
	{ "pinned", KEY_PINNED, NULL, 0,
	  "Protect this consumer from the ring's policy of eviction, but not from its own "
	  "--max-lag",
	  2 },
	{ "max-lag", KEY_MAX_LAG, "SIZE|DURATION", 0,
	  "Let this consumer be evicted, instead of holding producers back, when it is this far "
	  "behind in a lane (4K or more), or has not read a message for this long (1ms or more), "
	  "such as 4M or 2s; may be given twice, once for each",
	  2 },
	{ NULL, 0, NULL, 0, "When to end:", 3 },
	{ "count", 'n', "N", 0, "After N messages", 3 },
	{ "follow", 'f', NULL, 0, "Keep reading until interrupted (default)", 3 },
	{ "no-follow", KEY_NO_FOLLOW, NULL, 0,
	  "End after the messages that are in the ring at the start, even if more are published "
	  "meanwhile",
	  3 },
	{ "drain", KEY_DRAIN, NULL, 0,
	  "End when all producers have left and the ring is empty. If there has been no producer "
	  "yet (with --from now: if none is attached), wait for one first",
	  3 },
	{ "timeout", KEY_TIMEOUT, "DURATION", 0,
	  "End with status 3 when no message has come, or no place or name has become free, for "
	  "this long",
	  3 },
	{ NULL, 0, NULL, 0, "General:", -1 },
	{ "fresh", JOIN_FRESH, NULL, 0, JOIN_FRESH_HELP, -1 },
	{ "no-create", JOIN_NO_CREATE, NULL, 0, JOIN_NO_CREATE_HELP, -1 },
	{ "verbose", 'v', NULL, 0, JOIN_VERBOSE_HELP, -1 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const char doc[] =
	"Write every message of RING to standard output."
	"\v"
	"A ring that does not exist is made, and holds its messages until a consumer has come. "
	"DURATION is 500ms, 2s.";

static void parse_from(struct subscribe_options *o, const char *arg, struct argp_state *state)
{
	static const char *const names[] = {
		[SHMRING_START_OLDEST] = "oldest",
		[SHMRING_START_NOW] = "now",
		[SHMRING_START_RESUME] = "resume",
	};

	for (uint32_t i = SHMRING_START_OLDEST; i <= SHMRING_START_RESUME; i++)
		if (strcmp(arg, names[i]) == 0) {
			o->attach.start = i;
			return;
		}
	usage_failed(state, "--from %s: must be oldest, now or resume", arg);
}

static error_t parse_form(struct subscribe_options *o, int key)
{
	switch (key) {
	case KEY_LINES:
		o->form = EMIT_LINES;
		return 0;
	case '0':
		o->form = EMIT_NULL;
		return 0;
	case KEY_FRAMES:
		o->form = EMIT_FRAMES;
		return 0;
	case KEY_RAW:
		o->form = EMIT_RAW;
		return 0;
	case KEY_JSON:
		o->form = EMIT_JSON;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Options without an argument. */
static error_t parse_flag(struct sub_options *all, int key)
{
	struct subscribe_options *o = &all->subscribe;

	switch (key) {
	case KEY_LATENCY:
		o->latency = true;
		return 0;
	case KEY_OBSERVE:
		o->attach.flags |= SHMRING_OBSERVE;
		return 0;
	case KEY_PINNED:
		o->attach.flags |= SHMRING_PINNED;
		return 0;
	case 'f':
		o->end = END_NEVER;
		return 0;
	case KEY_NO_FOLLOW:
		o->end = END_EMPTY;
		return 0;
	case KEY_DRAIN:
		o->end = END_DRAIN;
		return 0;
	default:
		return parse_join(&all->join, key) == 0 ? 0 : parse_form(o, key);
	}
}

/* As shmring-sub(1) says. A wrong name is refused before a ring is made. */
static bool is_name(const char *text)
{
	const size_t len = strlen(text);

	return len > 0 && len < SHMRING_NAME_SIZE &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
		       len;
}

/* What does not go together. */
static void check_options(const struct sub_options *all, struct argp_state *state)
{
	const struct subscribe_options *o = &all->subscribe;
	bool observe = o->attach.flags & SHMRING_OBSERVE;

	if (o->latency && o->form != EMIT_LINES && o->form != EMIT_JSON)
		usage_failed(state, "--latency writes no messages; of the forms of output, only "
				    "--json goes with it");
	if (o->attach.name && !is_name(o->attach.name))
		usage_failed(state, "--name %s: must be 1 to %d letters, digits, '.', '_' or '-'",
			     o->attach.name, SHMRING_NAME_SIZE - 1);
	if (observe && o->attach.name)
		usage_failed(state, "an observer (--observe) takes no --name");
	if (observe && (o->attach.max_lag || o->attach.max_lag_ns))
		usage_failed(
			state,
			"an observer (--observe) holds no producer back, so it takes no --max-lag");
	if (observe && o->attach.flags & SHMRING_PINNED)
		usage_failed(state, "an observer (--observe) cannot be --pinned");
	if (o->attach.start == SHMRING_START_RESUME && !o->attach.name)
		usage_failed(state, "--from resume needs a --name");
	if (all->join.fresh &&
	    (observe || o->end == END_EMPTY || o->attach.start == SHMRING_START_RESUME))
		usage_failed(state,
			     "--fresh begins with an empty ring, in which --observe, --no-follow "
			     "and --from resume find nothing");
	check_fresh(o->address, all->join.fresh, state);
}

/* What follows from them. */
static void complete_options(struct sub_options *all)
{
	struct subscribe_options *o = &all->subscribe;

	if (o->latency && o->attach.start == SHMRING_START_DEFAULT && !o->attach.name &&
	    o->end == END_NEVER)
		o->attach.start = SHMRING_START_NOW;
	if (o->end == END_EMPTY)
		o->attach.flags |= SHMRING_UNTIL_NOW;
	if (o->end == END_DRAIN)
		o->attach.flags |= SHMRING_UNTIL_END;
	if (!all->join.fresh && (o->attach.flags & SHMRING_OBSERVE || o->latency ||
				 o->attach.start == SHMRING_START_RESUME || o->end == END_EMPTY))
		all->join.create = false;
	all->join.address = o->address;
	all->join.name = o->attach.name;
	all->join.timeout_ns = o->timeout_ns;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct sub_options *all = state->input;
	struct subscribe_options *o = &all->subscribe;

	switch (key) {
	case KEY_FROM:
		parse_from(o, arg, state);
		return 0;
	case KEY_NAME:
		o->attach.name = arg;
		return 0;
	case KEY_MAX_LAG:
		lag_argument("--max-lag", arg, &o->attach.max_lag, &o->attach.max_lag_ns, state);
		return 0;
	case 'n':
		o->count = number_argument("--count", arg, 1, UINT64_MAX - 1, state);
		return 0;
	case KEY_TIMEOUT:
		o->timeout_ns = duration_argument("--timeout", arg, state);
		return 0;
	case ARGP_KEY_ARG:
	case ARGP_KEY_NO_ARGS:
		o->address = ring_argument(arg, state);
		return 0;
	case ARGP_KEY_SUCCESS:
		check_options(all, state);
		return 0;
	default:
		return parse_flag(all, key);
	}
}

static int attach_consumer(struct shmring_ring *ring, int64_t deadline, void *context)
{
	struct sub_options *o = context;

	o->subscribe.attach.deadline = deadline;
	return shmring_consumer_attach(&o->consumer, ring, &o->subscribe.attach);
}

static void detach_consumer(void *context)
{
	struct sub_options *o = context;

	shmring_consumer_detach(o->consumer);
	o->consumer = NULL;
}

int cmd_sub(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "RING", doc, NULL, NULL, NULL };
	struct sub_options o = {
		.subscribe = {
			.count = UINT64_MAX,
			.timeout_ns = SHMRING_FOREVER,
			.attach = { .size = sizeof(o.subscribe.attach) },
		},
		.join = { .create = true },
	};
	const struct joiner joiner = { attach_consumer, detach_consumer, &o };
	int status;

	parse_arguments(&argp, argc, argv, 0, &o);
	complete_options(&o);
	stop_install();
	status = join_ring(&o.join, &joiner);
	if (o.consumer)
		status = subscribe(o.join.ring, o.consumer, &o.subscribe);
	else if (status == STATUS_FAILED)
		abandon_ring(&o.join);
	shmring_close(o.join.ring);
	return status == -EPIPE ? stop_finish(STATUS_FAILED, true) : stop_finish(status, false);
}
