/* SPDX-License-Identifier: MIT */
/*
 * What the subcommands of shmring(1) share: their entry points, the exit
 * status, and the printing of failures.
 */
#ifndef SHMRING_CLI_H
#define SHMRING_CLI_H

#include <argp.h>

#include <shmring/shmring.h>

/* Exit status; shmring(1) documents it. A signal ends with 128 + its number. */
enum {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_TIMEOUT = 3,
	STATUS_LOST = 4,
	STATUS_UNREAD = 5,
};

/* One file each. argv[0] is "shmring NAME". They return the exit status. */
int cmd_create(int argc, char **argv);
int cmd_pub(int argc, char **argv);
int cmd_sub(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_forget(int argc, char **argv);
int cmd_broker(int argc, char **argv);
int cmd_rm(int argc, char **argv);

/* The prefix of every message: "shmring pub". Kept, not copied. */
void say_as(const char *name);

/* One line on stderr, made harmless: see harmless.h. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/*
 * Tell that the last call of the library failed: "what: why and what to do".
 * Returns STATUS_FAILED. For calls that are about an open ring; those that take an
 * address name it themselves, see address_failed().
 */
__attribute__((format(printf, 1, 2))) int ring_failed(const char *format, ...);

/* The same for calls about the broker, whose sentences name it. */
int broker_failed(void);

/* The same for shmring_create(), shmring_open() and shmring_remove(), which returned `err`. */
int address_failed(int err, const char *address);

/* The same for a system call that failed with `err`, positive or negative. */
__attribute__((format(printf, 2, 3))) int system_failed(int err, const char *format, ...);

/* Flush stdout; the exit status, STATUS_FAILED if not everything got there. */
int finish_stdout(int status);

/* Tell what is wrong with the command line, as say() does, and exit with STATUS_USAGE. */
__attribute__((format(printf, 2, 3), noreturn)) void usage_failed(const struct argp_state *state,
								  const char *format, ...);

/*
 * Parse the command line or exit with STATUS_USAGE; `flags` are argp's. Help that cannot
 * be written is a failure.
 */
void parse_arguments(const struct argp *argp, int argc, char **argv, unsigned flags, void *input);

#endif
