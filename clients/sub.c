/* SPDX-License-Identifier: MIT */
/*
 * shmring sub: write the messages of a ring to standard output.
 */
#include <errno.h>
#include <string.h>

#include "address.h"
#include "cli.h"
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
	KEY_NO_FOLLOW,
	KEY_DRAIN,
	KEY_TIMEOUT,
	KEY_NO_CREATE,
	KEY_LATENCY,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "Form of the records:", 1 },
	{ "lines", KEY_LINES, NULL, 0, "A newline behind each message (default)", 1 },
	{ "null", '0', NULL, 0, "A NUL byte behind each", 1 },
	{ "frames", KEY_FRAMES, NULL, 0, "Its length before each: 4 bytes, little endian", 1 },
	{ "raw", KEY_RAW, NULL, 0, "The bare bytes of all messages", 1 },
	{ "json", KEY_JSON, NULL, 0,
	  "An object on a line for each: seq, producer, length, data (or data_base64), lost, "
	  "stamp_ns", 1 },
	{ "latency", KEY_LATENCY, NULL, 0,
	  "No messages, but in the end how long they were under way: percentiles (with --json as "
	  "an object). For rings with stamps. Without --no-follow and --drain it begins with what "
	  "is published from now on", 1 },
	{ NULL, 0, NULL, 0, "Which messages:", 2 },
	{ "from", KEY_FROM, "WHERE", 0,
	  "Begin with the oldest message there is, with what is published from now on, or resume "
	  "where the name stopped: oldest, now, resume (default: resume a name, else oldest)", 2 },
	{ "name", KEY_NAME, "NAME", 0,
	  "Keep the place under this name, for whoever comes next with it", 2 },
	{ "observe", KEY_OBSERVE, NULL, 0,
	  "Hold no producer back; what is missed is reported (status 4)", 2 },
	{ "pinned", KEY_PINNED, NULL, 0, "Never be evicted, whatever the ring's policy", 2 },
	{ NULL, 0, NULL, 0, "When to end:", 3 },
	{ "count", 'n', "N", 0, "After N messages", 3 },
	{ "follow", 'f', NULL, 0, "Not before a signal comes (default)", 3 },
	{ "no-follow", KEY_NO_FOLLOW, NULL, 0,
	  "After the messages that are there at the start, even if more are published meanwhile", 3 },
	{ "drain", KEY_DRAIN, NULL, 0,
	  "When all producers have left and the ring is empty. If there has been no producer yet "
	  "(with --from now: if none is there), wait for one first", 3 },
	{ "timeout", KEY_TIMEOUT, "DURATION", 0,
	  "With status 3, when no message came for so long", 3 },
	{ NULL, 0, NULL, 0, "General:", -1 },
	{ "no-create", KEY_NO_CREATE, NULL, 0, "Fail if the ring does not exist", -1 },
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

/* Options without an argument. */
static error_t parse_flag(struct subscribe_options *o, int key)
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
	case KEY_NO_CREATE:
		o->create = false;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* What does not go together, and what need not be made. */
static void check_options(struct subscribe_options *o, struct argp_state *state)
{
	bool observe = o->attach.flags & SHMRING_OBSERVE;

	if (o->latency && o->form != EMIT_LINES && o->form != EMIT_JSON)
		usage_failed(state, "--latency writes no messages; of the forms, only --json goes with it");
	if (o->latency && o->attach.start == SHMRING_START_DEFAULT && !o->attach.name &&
	    o->end == END_NEVER)
		o->attach.start = SHMRING_START_NOW;
	if (o->end == END_EMPTY)
		o->attach.flags |= SHMRING_UNTIL_NOW;
	if (observe && o->attach.name)
		usage_failed(state, "an observer (--observe) takes no --name");
	if (observe && o->attach.flags & SHMRING_PINNED)
		usage_failed(state, "an observer (--observe) cannot be --pinned");
	if (o->attach.start == SHMRING_START_RESUME && !o->attach.name)
		usage_failed(state, "--from resume needs a --name");
	if (observe || o->latency || o->attach.start == SHMRING_START_RESUME || o->end == END_EMPTY)
		o->create = false;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct subscribe_options *o = state->input;

	switch (key) {
	case KEY_FROM:
		parse_from(o, arg, state);
		return 0;
	case KEY_NAME:
		o->attach.name = arg;
		return 0;
	case 'n':
		o->count = number_argument("--count", arg, 1, UINT64_MAX - 1, state);
		return 0;
	case KEY_TIMEOUT:
		o->timeout_ns = duration_argument("--timeout", arg, state);
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			usage_failed(state, "unexpected argument '%s'", arg);
		o->address = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		usage_failed(state, "missing argument RING");
		return 0;
	case ARGP_KEY_SUCCESS:
		check_options(o, state);
		return 0;
	default:
		return parse_flag(o, key);
	}
}

int cmd_sub(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "RING", doc, NULL, NULL, NULL };
	struct subscribe_options o = {
		.count = UINT64_MAX,
		.timeout_ns = SHMRING_FOREVER,
		.create = true,
		.attach = { .size = sizeof(o.attach) },
	};
	struct shmring *ring;
	int status;

	parse_arguments(&argp, argc, argv, &o);
	stop_install();
	status = open_ring(&ring, o.address, o.create);
	if (status != STATUS_OK)
		return status;
	status = subscribe(ring, &o);
	shmring_close(ring);
	return status == -EPIPE ? stop_finish(STATUS_FAILED, true) : stop_finish(status, false);
}
