/* SPDX-License-Identifier: MIT */
/*
 * shmring rm: remove the names of rings.
 */
#include "cli.h"

struct rm_options {
	char **addresses; /* ends with NULL */
};

static const char doc[] = "Remove each RING. Who is attached goes on undisturbed; the memory is "
			  "freed when the last of them has gone.";

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct rm_options *o = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_ARG:
		o->addresses = state->argv + state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		usage_failed(state, "missing argument RING");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int cmd_rm(int argc, char **argv)
{
	static const struct argp argp = { NULL, parse, "RING...", doc, NULL, NULL, NULL };
	struct rm_options o = { 0 };
	int status = STATUS_OK;

	parse_arguments(&argp, argc, argv, &o);
	for (char **address = o.addresses; *address; address++) {
		int err = shmring_remove(*address);

		if (err < 0)
			status = address_failed(err, *address);
	}
	return status;
}
