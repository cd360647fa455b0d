/* SPDX-License-Identifier: MIT */
/*
 * explain: the sentence behind the last error of this thread.
 */
#ifndef SHMRING_CORE_EXPLAIN_H
#define SHMRING_CORE_EXPLAIN_H

#pragma GCC visibility push(default)

/*
 * Remember a sentence for shmring_explain() and return `error`, so that
 * failures read `return explain(-EINVAL, "...")`. `format` knows %s (a string),
 * %u (uint64_t) and %e (int: a negative errno, in words).
 */
int shmr_explain(int error, const char *format, ...);
#define explain shmr_explain

/*
 * Copy the last sentence of this thread, and set it again: around work that fails in silence,
 * such as a part of a call that has failed already.
 */
#define EXPLAIN_SIZE 1024
void shmr_explain_keep(char ret[EXPLAIN_SIZE]);
void shmr_explain_put_back(const char kept[EXPLAIN_SIZE]);

/* Put what the last sentence is about before it: "NAME: ...". Returns `error`. */
int shmr_explain_about(int error, const char *name);

#pragma GCC visibility pop

#endif
