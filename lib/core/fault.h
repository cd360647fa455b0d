/* SPDX-License-Identifier: MIT */
/*
 * fault: the places at which a test kills a process, stops it or holds it up.
 *
 * In a build with fault points (SHMR_FAULT_POINTS) every store to shared memory
 * is such a place, by construction: atomic.h, the only spelling of those stores,
 * wraps each of them. So are the system calls by which others learn of the process
 * (locks, wakes, barriers, the end of a mapping), which are wrapped by hand. A
 * place has two sides: before it, when all that it depends on has been read, and
 * behind it, when nothing further has. In all other builds nothing of this
 * exists.
 *
 * A place is called by its function and its number in there: publish_batch.2 is
 * before the second store of publish_batch(), publish_batch.2+ behind it. The
 * linker makes the list of all places, so none can be forgotten.
 *
 *	SHMRING_FAULT=shmring_commit.2:3:kill
 *
 * in the environment kills a process before it executes that store for the third
 * time; a second fault may follow behind a comma. The actions are kill, stop (until SIGCONT), exit,
 *and delay.
 */
#ifndef SHMRING_CORE_FAULT_H
#define SHMRING_CORE_FAULT_H

#ifndef SHMR_FAULT_POINTS

#define FAULT_AROUND(operation) (operation)

#else

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(default)

enum fault_side { FAULT_BEFORE, FAULT_BEHIND };
enum fault_action { FAULT_NONE, FAULT_KILL, FAULT_STOP, FAULT_EXIT, FAULT_DELAY };

#define FAULT_NAME_SIZE 64
#define FAULT_DELAY_NS 5000000

/* One entry of the list; 32 bytes, so that the linker can lay them in a row. */
struct fault_site {
	const char *function;
	const char *file;
	const char *operation;
	uint64_t line;
} __attribute__((aligned(32)));

/* A program, or library, and the list of what is in it. */
struct fault_list {
	const struct fault_site *begin;
	const struct fault_site *end;
};

/* The process is there. Returns, or not. */
void shmr_fault_hit(const struct fault_list *list, const struct fault_site *site,
		    enum fault_side side);

/* What the site is called on that side. */
void shmr_fault_name(const struct fault_list *list, const struct fault_site *site,
		     enum fault_side side, char ret[FAULT_NAME_SIZE]);

/*
 * Do it when `name` is hit for the `hit`-th time from now on, counted from 1. Two
 * faults can be armed; FAULT_NONE takes both away.
 */
void shmr_fault_arm(const char *name, unsigned hit, enum fault_action action);

/*
 * Tell from now on, in memory that may be shared with others: *reached becomes 1
 * when the armed fault has come; hits[2 * site + side] counts. Either may be NULL.
 */
void shmr_fault_tell(uint32_t *reached, uint32_t *hits);

#pragma GCC visibility pop

/* The linker's names for the bounds of the section, in each program or library. */
extern const struct fault_site __start_shmr_faults[] __attribute__((visibility("hidden")));
extern const struct fault_site __stop_shmr_faults[] __attribute__((visibility("hidden")));

static inline struct fault_list fault_list(void)
{
	return (struct fault_list){ __start_shmr_faults, __stop_shmr_faults };
}

static inline void fault_hit(const struct fault_site *site, enum fault_side side)
{
	const struct fault_list list = fault_list();

	shmr_fault_hit(&list, site, side);
}

#define FAULT_SITE(text)                                                                           \
	static const struct fault_site fault_site_                                                 \
		__attribute__((used, section("shmr_faults"), aligned(32))) = { __func__, __FILE__, \
									       text, __LINE__ };   \
	fault_hit(&fault_site_, FAULT_BEFORE)

/* A place around an operation with a value, and around one without. */
#define FAULT_AROUND(operation)                                    \
	__extension__({                                            \
		FAULT_SITE(#operation);                            \
		__typeof__(operation) fault_result_ = (operation); \
		fault_hit(&fault_site_, FAULT_BEHIND);             \
		fault_result_;                                     \
	})
#define FAULT_AROUND_VOID(operation)                   \
	__extension__({                                \
		FAULT_SITE(#operation);                \
		operation;                             \
		fault_hit(&fault_site_, FAULT_BEHIND); \
	})

#endif
#endif
