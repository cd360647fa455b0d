/* SPDX-License-Identifier: MIT */
/*
 * arguments: what the command line of shmringd says, and where everything is that it does not name.
 */
#ifndef DAEMON_ARGUMENTS_H
#define DAEMON_ARGUMENTS_H

#include <argp.h>
#include <stdbool.h>

#include "broker.h"

struct arguments {
	struct broker_options broker;
	const char *check; /* only read this configuration */
	bool daemon;
	bool check_start;
	bool stop; /* the broker that runs */
	int level;
};

/* Ends the process for --help, --version and a usage that is wrong. 0 or an errno. */
error_t arguments_parse(int argc, char **argv, struct arguments *a);

/* Where the socket is, or all paths. False: the log says what to name. */
bool arguments_choose_socket(struct broker_options *o);
bool arguments_choose_paths(struct broker_options *o);

#endif
