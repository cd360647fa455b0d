/* SPDX-License-Identifier: MIT */
/*
 * shmring forget: drop the kept place of a named consumer.
 */
#include "address.h"
#include "cli.h"

struct forget_options {
	const char *address;
	const char *name;
};

static const char doc[] = "Drop the place that RING keeps for the consumer NAME, so that it no "
			  "longer holds producers back. No process may be reading under that name.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct forget_options *o = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (state->arg_num > 1)
			usage_failed(state, "unexpected argument '%s'", arg);
		*(state->arg_num == 0 ? &o->address : &o->name) = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->name)
			usage_failed(state, "missing argument %s", o->address ? "NAME" : "RING");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int cmd_forget(int argc, char **argv)
{
	static const struct argp argp = { NULL, parse, "RING NAME", doc, NULL, NULL, NULL };
	struct forget_options o = { 0 };
	struct shmring_ring *ring;
	int status, err;

	parse_arguments(&argp, argc, argv, 0, &o);
	status = open_ring(&ring, o.address, false);
	if (status != STATUS_OK)
		return status;
	err = shmring_forget(ring, o.name);
	if (err < 0)
		status = ring_failed("%s: %s", o.address, o.name);
	shmring_close(ring);
	return status;
}
