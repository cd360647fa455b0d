/* SPDX-License-Identifier: MIT */
/*
 * broker: start, rounds of the loop, signals, and the end. A library: main.c starts a broker.
 *
 * One thread runs the loop. It owns the connections, it alone makes, gives out and removes rings,
 * and it waits in epoll and nowhere else. There are three more threads. The reaper frees the places
 * of dead participants, by CAS as any participant does. The metrics only read. The third one copies
 * lanes. No message goes through the broker.
 */
#ifndef DAEMON_BROKER_H
#define DAEMON_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keeper.h"
#include "listener.h"
#include "loop.h"
#include "reaper.h"
#include "rings.h"
#include "service.h"
#include "upgrade.h"

struct broker_options {
	const char *socket;    /* path */
	int inherited;	       /* or this listening socket; -1: none */
	bool inherited_path;   /* its path is `socket`, and the broker removes it at the end */
	const char *directory; /* of ordinary rings */
	const char *state_directory; /* of persistent ones; NULL: there are none */
	const char *config;	     /* file; NULL: the broker's user may do everything */
	bool keeper;		     /* start one, unless one runs */
	bool no_sandbox;	     /* nor for the keeper */
	const char *program;	     /* the program for an upgrade in place, and its arguments */
	char **argv;
	struct kept_file *kept; /* from systemd's store or the predecessor; broker_start()
				   takes it, whatever it returns, and frees it */
	size_t kept_count;
	bool complete; /* no other isolated ring exists */
};

enum broker_end { BROKER_RUNS, BROKER_STOP, BROKER_UPGRADE };

struct broker {
	struct broker_options options;
	struct loop loop;
	struct rings rings;
	struct service service;
	struct listener listener;
	struct reaper reaper;
	struct watch signals;
	struct upgrade upgrade;
	enum broker_end end;
};

/*
 * Read the configuration, take the directories, take in what rings are there, make
 * those of the configuration, listen. The caller has blocked the signals that the
 * broker takes from a signalfd: SIGTERM, SIGINT, SIGHUP, SIGUSR2. 0, or a negative
 * errno and a sentence in `error`.
 */
int broker_start(struct broker *b, const struct broker_options *o, char *error, size_t size);

/* One round of the loop, of up to `timeout` ms (-1: as long as need be). */
enum broker_end broker_round(struct broker *b, int timeout);

/* Drop the connections; rings, and the processes that use them, stay. */
void broker_stop(struct broker *b);

/* Read the configuration again. If that fails, the old one stays; the log has the reason. */
int broker_reload(struct broker *b);

#endif
