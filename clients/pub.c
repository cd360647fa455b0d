/* SPDX-License-Identifier: MIT */
/*
 * shmring pub: publish the records of standard input or files.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "address.h"
#include "cli.h"
#include "frame.h"
#include "join.h"
#include "options.h"
#include "progress.h"
#include "publish.h"
#include "stop.h"
#include "units.h"

#define RAW_BYTES 65536 /* as much as a pipe holds */

struct pub_options {
	const char *address;
	char **files; /* ends with NULL */
	enum frame_form form;
	uint64_t block;
	uint64_t wait_consumers;
	bool while_read;
	int64_t timeout_ns;
	struct joining join;
};

enum {
	KEY_LINES = 0x100,
	KEY_FRAMES,
	KEY_BLOCKS,
	KEY_RAW,
	KEY_WAIT_CONSUMERS,
	KEY_TIMEOUT,
	KEY_NOWAIT,
	KEY_WHILE_READ,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "Form of the records:", 1 },
	{ "lines", KEY_LINES, NULL, 0, "Each line is a message (default)", 1 },
	{ "null", '0', NULL, 0, "Each message ends with a NUL byte", 1 },
	{ "frames", KEY_FRAMES, NULL, 0,
	  "Each message begins with its length: 4 bytes, little endian", 1 },
	{ "blocks", KEY_BLOCKS, "SIZE", 0,
	  "Each block of SIZE bytes is a message, the last may be shorter; waits until a block is "
	  "full",
	  1 },
	{ "raw", KEY_RAW, "SIZE", OPTION_ARG_OPTIONAL,
	  "For a live stream: the bytes of each read are published at once, up to SIZE (default "
	  "64K). The boundaries of messages have no meaning; read them with sub --raw",
	  1 },
	{ NULL, 0, NULL, 0, "Waiting:", 2 },
	{ "wait-consumers", KEY_WAIT_CONSUMERS, "N", 0,
	  "Begin when the ring has N lossless consumers", 2 },
	{ "timeout", KEY_TIMEOUT, "DURATION", 0,
	  "Give up, with status 3, when a wait for a free lane, for consumers or for room takes "
	  "this long",
	  2 },
	{ "nowait", KEY_NOWAIT, NULL, 0,
	  "Give up, with status 3, when the ring is full or has no free lane", 2 },
	{ "while-read", KEY_WHILE_READ, NULL, 0,
	  "Begin when the ring has a consumer, and end, with status 5, when none is left", 2 },
	{ NULL, 0, NULL, 0, "General:", -1 },
	{ "fresh", JOIN_FRESH, NULL, 0, JOIN_FRESH_HELP, -1 },
	{ "no-create", JOIN_NO_CREATE, NULL, 0, JOIN_NO_CREATE_HELP, -1 },
	{ "verbose", 'v', NULL, 0, JOIN_VERBOSE_HELP, -1 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const char doc[] =
	"Publish each record of the FILEs, or of standard input, as a message of RING."
	"\v"
	"A ring that does not exist is made, and holds its messages until a consumer has come. "
	"SIZE is a number of bytes, or 64K, 1M; DURATION is 500ms, 2s.";

static void parse_block(struct pub_options *o, const char *arg, struct argp_state *state)
{
	o->form = FRAME_BLOCKS;
	if (parse_size(arg, &o->block) != 0 || o->block == 0)
		usage_failed(state, "--blocks %s: must be a size of 1 byte or more", arg);
}

static void parse_raw(struct pub_options *o, const char *arg, struct argp_state *state)
{
	o->block = 0; /* RAW_BYTES, or what the ring takes */
	if (arg && (parse_size(arg, &o->block) != 0 || o->block == 0))
		usage_failed(state, "--raw=%s: must be a size of 1 byte or more", arg);
}

static error_t parse_form(struct pub_options *o, int key, const char *arg, struct argp_state *state)
{
	switch (key) {
	case KEY_LINES:
		o->form = FRAME_LINES;
		return 0;
	case '0':
		o->form = FRAME_NULL;
		return 0;
	case KEY_FRAMES:
		o->form = FRAME_FRAMES;
		return 0;
	case KEY_BLOCKS:
		parse_block(o, arg, state);
		return 0;
	case KEY_RAW:
		o->form = FRAME_RAW;
		parse_raw(o, arg, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct pub_options *o = state->input;

	switch (key) {
	case KEY_WHILE_READ:
		o->while_read = true;
		return 0;
	case KEY_WAIT_CONSUMERS:
		o->wait_consumers =
			number_argument("--wait-consumers", arg, 1, SHMRING_MAX_CONSUMERS, state);
		return 0;
	case KEY_TIMEOUT:
		o->timeout_ns = duration_argument("--timeout", arg, state);
		return 0;
	case KEY_NOWAIT:
		o->timeout_ns = 0;
		return 0;
	case ARGP_KEY_ARG:
		o->address = arg;
		o->files = state->argv + state->next;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		usage_failed(state, "missing argument RING");
		return 0;
	case ARGP_KEY_SUCCESS:
		check_fresh(o->address, o->join.fresh, state);
		return 0;
	default:
		return parse_join(&o->join, key) == 0 ? 0 : parse_form(o, key, arg, state);
	}
}

static const char *noun_of(enum frame_form form)
{
	static const char *const nouns[] = {
		[FRAME_LINES] = "line",	  [FRAME_NULL] = "record", [FRAME_FRAMES] = "frame",
		[FRAME_BLOCKS] = "block", [FRAME_RAW] = "piece",
	};

	return nouns[form];
}

/* What ended the publishing of `input`; the exit status. */
static int publishing_failed(int err, const struct publisher *p, const char *input)
{
	char waited[UNITS_TEXT];

	switch (err) {
	case -EINTR:
		return STATUS_OK; /* stop_finish() knows the signal */
	case -EAGAIN:
		say("%s: the ring is full", input);
		return STATUS_TIMEOUT;
	case -ETIMEDOUT:
		say("%s: the ring was full for %s", input,
		    format_duration(waited, (uint64_t)p->timeout_ns));
		return STATUS_TIMEOUT;
	case -EPIPE:
		say("%s: no consumer is left", p->address);
		return STATUS_UNREAD;
	case -ENOLINK:
		say("%s: the ring is full and has been removed, and no consumer is left", input);
		return STATUS_FAILED;
	default:
		return ring_failed("%s", input);
	}
}

/* More than any ring takes, or plain text: then the input has no lengths at all. */
static bool is_plausible(const unsigned char *bytes, uint32_t length)
{
	bool text = true;

	for (int i = 0; i < FRAME_HEADER; i++)
		text = text && (isprint(bytes[i]) || isspace(bytes[i]));
	return !text && length <= SHMRING_MAX_LANE_SIZE / 2;
}

/* Of --frames: the length of the next one is too much for the ring, or the input ends too early. */
static void say_frame(int err, const struct frame_reader *r, const char *input)
{
	const unsigned long long record = r->record;
	const unsigned char *head = NULL;
	uint32_t length = 0;

	if (!frame_head(r, &head, &length))
		say("%s: the input ends inside frame %llu, in the 4 bytes of its length", input,
		    record);
	else if (!is_plausible(head, length))
		say("%s: the first 4 bytes of frame %llu (%02x %02x %02x %02x) are not a plausible "
		    "length: "
		    "%lu bytes; --frames takes records that each begin with their length, 4 bytes, "
		    "little endian, as 'sub --frames' writes them",
		    input, record, head[0], head[1], head[2], head[3], (unsigned long)length);
	else if (err == -EBADMSG)
		say("%s: the input ends inside frame %llu, whose length is %lu bytes", input,
		    record, (unsigned long)length);
	else
		say("%s: frame %llu has %lu bytes, and this ring takes %zu; make the ring with a "
		    "larger "
		    "--lane-size",
		    input, record, (unsigned long)length, r->limit);
}

/* What is wrong with the next record of `input`; the exit status. */
static int input_failed(int err, const struct frame_reader *r, const char *input)
{
	const char *noun = noun_of(r->form);

	if (err == -EINTR)
		return STATUS_OK; /* stop_finish() knows the signal */
	if (r->form == FRAME_FRAMES && (err == -EMSGSIZE || err == -EBADMSG))
		say_frame(err, r, input);
	else if (err == -EMSGSIZE)
		say("%s: %s %llu is longer than this ring takes: %zu bytes; make the ring with a "
		    "larger --lane-size",
		    input, noun, (unsigned long long)r->record, r->limit);
	else
		system_failed(err, "%s", input);
	return STATUS_FAILED;
}

/* One large block, read into the ring. 1: done, 0: end of input, -EAGAIN: no room yet. */
static int publish_direct(struct publisher *p, struct frame_reader *r, const char *input,
			  int *ret_status)
{
	size_t len = 0;
	void *data;
	int err = publisher_try_claim(p, r->block, &data);

	if (err == -EAGAIN)
		return err;
	if (err == 0 && p->while_read) {
		shmring_abort(p->producer); /* no claim is open while it waits */
		err = publisher_wait_input(p, r->fd);
		if (err == 0)
			err = publisher_try_claim(p, r->block, &data);
	}
	if (err < 0) {
		*ret_status = publishing_failed(err, p, input);
		return 0;
	}
	err = frame_read_block(r, data, &len);
	if (err <= 0)
		shmring_abort(p->producer);
	if (err < 0)
		*ret_status = input_failed(err, r, input);
	if (err <= 0)
		return 0;
	err = publisher_commit(p, len);
	if (err < 0)
		*ret_status = publishing_failed(err, p, input);
	return err < 0 ? 0 : 1;
}

static int publish_copy(struct publisher *p, const void *data, size_t len)
{
	void *room;
	int err = publisher_claim(p, len, &room);

	if (err < 0)
		return err;
	if (len)
		memcpy(room, data, len);
	return publisher_stage(p, len);
}

/* Publish everything that was read already, and let it be seen. */
static int publish_buffered(struct publisher *p, struct frame_reader *r, const char *input,
			    int *ret_status)
{
	const void *data;
	size_t len;
	int next, err = 0;

	do {
		next = frame_next(r, &data, &len);
		if (next == 1)
			err = publish_copy(p, data, len);
	} while (next == 1 && err == 0);
	if (err == 0)
		err = publisher_flush(p);
	if (err < 0)
		*ret_status = publishing_failed(err, p, input);
	else if (next < 0 && next != -EAGAIN)
		*ret_status = input_failed(next, r, input);
	return err < 0 ? err : next;
}

static int publish_input(struct publisher *p, struct frame_reader *r, const char *input)
{
	int status = STATUS_OK, next, err;

	for (;;) {
		next = publish_buffered(p, r, input, &status);
		if (next != -EAGAIN || status != STATUS_OK || stop_requested())
			return status;
		while (frame_is_direct(r) && !stop_requested()) {
			next = publish_direct(p, r, input, &status);
			if (next == 0)
				return status;
			if (next == -EAGAIN)
				break;
		}
		if (stop_requested())
			return status;
		err = publisher_wait_input(p, r->fd);
		if (err < 0)
			return publishing_failed(err, p, input);
		err = frame_fill(r);
		if (err < 0)
			return input_failed(err, r, input);
	}
}

static int publish_file(struct publisher *p, struct frame_reader *r, const char *name)
{
	bool standard = strcmp(name, "-") == 0;
	int fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int status;

	if (fd < 0)
		return system_failed(errno, "%s", name);
	frame_reader_open(r, fd);
	status = publish_input(p, r, standard ? "standard input" : name);
	if (!standard)
		close(fd);
	return status;
}

/* What the inputs hold together; 0 if that cannot be known. */
static uint64_t total_size(char **files)
{
	uint64_t total = 0;
	struct stat st;

	for (; *files; files++) {
		int err = strcmp(*files, "-") == 0 ? fstat(STDIN_FILENO, &st) : stat(*files, &st);

		if (err || !S_ISREG(st.st_mode))
			return 0;
		total += (uint64_t)st.st_size;
	}
	return total;
}

static int publish_files(struct publisher *p, const struct pub_options *o)
{
	const size_t limit = shmring_producer_max_message(p->producer);
	const size_t most = limit < RAW_BYTES ? limit : RAW_BYTES;
	struct frame_reader reader;
	int status = STATUS_OK;

	if (frame_reader_init(&reader, o->form, o->block ? o->block : most, limit) != 0)
		return system_failed(ENOMEM, "starting");
	progress_start(total_size(o->files));
	for (char **file = o->files; *file && status == STATUS_OK && !stop_requested(); file++)
		status = publish_file(p, &reader, *file);
	frame_reader_fini(&reader);
	progress_hide();
	if (status != STATUS_OK)
		say("%llu %s been published", (unsigned long long)p->records,
		    p->records == 1 ? "record has" : "records have");
	return status;
}

static int wait_for_consumers(struct publisher *p, const struct pub_options *o)
{
	uint32_t count = o->wait_consumers ? (uint32_t)o->wait_consumers : 1;
	int err = publisher_wait_consumers(p, count);

	if (err == -ETIMEDOUT) {
		say("%s: fewer than %u consumer%s attached in time", o->address, (unsigned)count,
		    count == 1 ? "" : "s");
		return STATUS_TIMEOUT;
	}
	if (err == -ENOLINK)
		say("%s: the ring has been removed", o->address);
	else if (err < 0 && err != -EINTR)
		return ring_failed("%s", o->address);
	return err == -ENOLINK ? STATUS_FAILED : STATUS_OK;
}

/* Check the block size before the command waits for consumers. */
static int check_block(const struct publisher *p, const struct pub_options *o)
{
	const size_t limit = shmring_producer_max_message(p->producer);

	if (o->block <= limit)
		return STATUS_OK;
	say("%s: a message of %s takes at most %zu bytes; make the ring with a larger "
	    "--lane-size",
	    o->form == FRAME_RAW ? "--raw" : "--blocks", o->address, limit);
	return STATUS_FAILED;
}

static int publish(struct publisher *p, const struct pub_options *o)
{
	int status = check_block(p, o);

	progress_start(0);
	if (status == STATUS_OK && (o->wait_consumers || o->while_read))
		status = wait_for_consumers(p, o);
	if (status == STATUS_OK && !stop_requested())
		status = publish_files(p, o);
	publisher_tell_of_losses(p);
	shmring_producer_detach(p->producer);
	return status;
}

/* Can the inputs be read? Asked before a ring is made; a fifo is not opened, that may wait. */
static int check_inputs(char **files)
{
	struct stat st;

	for (; *files; files++) {
		bool standard = strcmp(*files, "-") == 0;
		int err = standard ? (int)read(STDIN_FILENO, &st, 0) : stat(*files, &st);

		if (err == 0 && !standard && S_ISDIR(st.st_mode)) {
			errno = EISDIR;
			err = -1;
		}
		if (err == 0 && !standard)
			err = faccessat(AT_FDCWD, *files, R_OK, AT_EACCESS);
		if (err < 0)
			return system_failed(errno, "%s", standard ? "standard input" : *files);
	}
	return STATUS_OK;
}

static int attach_producer(struct shmring_ring *ring, int64_t deadline, void *context)
{
	const struct shmring_producer_options attach = { .size = sizeof(attach),
							 .deadline = deadline };
	struct publisher *p = context;

	p->ring = ring;
	return shmring_producer_attach(&p->producer, ring, &attach);
}

static void detach_producer(void *context)
{
	struct publisher *p = context;

	shmring_producer_detach(p->producer);
	p->producer = NULL;
}

int cmd_pub(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "RING [FILE...]", doc, NULL, NULL, NULL };
	static char dash[] = "-";
	static char *standard_input[] = { dash, NULL };
	struct pub_options o = { .timeout_ns = SHMRING_FOREVER,
				 .join = { .create = true, .for_lane = true } };
	struct publisher p = { 0 };
	const struct joiner joiner = { attach_producer, detach_producer, &p };
	int status;

	parse_arguments(&argp, argc, argv, 0, &o);
	if (!*o.files)
		o.files = standard_input;
	for (char **file = o.files; *file; file++)
		if (strcmp(*file, "-") == 0)
			progress_reads_stdin();
	stop_install();
	o.join.address = o.address;
	o.join.timeout_ns = p.timeout_ns = o.timeout_ns;
	p.address = o.address;
	p.while_read = o.while_read;
	p.patience.verbose = o.join.verbose;
	status = check_inputs(o.files);
	if (status == STATUS_OK)
		status = join_ring(&o.join, &joiner);
	if (p.producer)
		status = publish(&p, &o);
	if (status == STATUS_FAILED)
		abandon_ring(&o.join);
	shmring_close(o.join.ring);
	return stop_finish(status, false);
}
