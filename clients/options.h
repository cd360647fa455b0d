/* SPDX-License-Identifier: MIT */
/*
 * Mistakes in the command line. They are reported before argp reports them: argp prints the
 * argument raw, and cannot suggest another one.
 */
#ifndef SHMRING_OPTIONS_H
#define SHMRING_OPTIONS_H

#include <argp.h>
#include <stdint.h>

/*
 * End with STATUS_USAGE if there is an option that `argp` does not have.
 * With ARGP_IN_ORDER in `flags` the first argument that is no option ends the options.
 */
void check_command_line(const struct argp *argp, int argc, char **argv, unsigned flags);

/* The one of `names`, which ends with NULL, that `word` may have been meant to be; or NULL. */
const char *closest_name(const char *word, const char *const *names);

/* Arguments of options; a wrong one ends the program with STATUS_USAGE. */
int64_t duration_argument(const char *option, const char *arg, struct argp_state *state);

/*
 * A limit of lag: a size of 4K or more, or a duration of 1ms or more. Producers look at the
 * lags once for each sixteenth of a lane, which is 4K at least, and evict after two looks that
 * may be a millisecond apart; a smaller limit would evict every consumer.
 */
uint64_t lag_size_argument(const char *option, const char *arg, struct argp_state *state);
uint64_t lag_time_argument(const char *option, const char *arg, struct argp_state *state);
void lag_argument(const char *option, const char *arg, uint64_t *ret_bytes, uint64_t *ret_ns,
		  struct argp_state *state);

/* RING, the only argument; `arg` is NULL if there is none. */
const char *ring_argument(const char *arg, struct argp_state *state);

uint64_t number_argument(const char *option, const char *arg, uint64_t low, uint64_t high,
			 struct argp_state *state);

#endif
