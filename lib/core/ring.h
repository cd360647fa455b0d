/* SPDX-License-Identifier: MIT */
/*
 * ring: the handle of an open ring, which attachments stand on.
 *
 * The handle holds a descriptor, the checked geometry and a read-only view of all control
 * segments. Its descriptor locks nothing that other processes look at, so it may be shared with
 * children and duplicated freely. It serves to probe the liveness of others, and to open new
 * descriptions.
 *
 * A program may close descriptors that it does not know, and the number may lead to any other file
 * then, or to another description of the ring. So the handle looks before each use whether the
 * description is still its own: it holds a lock on a byte at random, the mark, and the mapping of
 * the view keeps description and lock alive. If the descriptor is lost, the ring is opened anew
 * where the kernel says that its file is, or through the mapping: the spare, with a mark of its
 * own.
 *
 * The user and each attachment have a reference; the last one frees the handle. A child made by
 * fork finds the page of `alive` zeroed, and has to join first.
 */
#ifndef SHMRING_CORE_RING_H
#define SHMRING_CORE_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <shmring/shmring.h>

#include "layout.h"

#pragma GCC visibility push(default)

/* What a process attaches for. */
enum ring_role {
	RING_OBSERVE,
	RING_PRODUCE,
	RING_CONSUME,
	RING_REPAIR, /* to bury and forget others: any right to write will do */
};

/* A lane's file, of an isolated ring. */
struct lane_wish {
	unsigned lane;
	uint32_t epoch; /* to write: of the caller's place, which is in SETUP */
	bool write;
	bool wait_for_broker; /* for seconds, if it is away */
};

/* Names a description that a source gave; zero: none. */
struct ring_grant {
	uint64_t connection;
	uint64_t number;
};

/*
 * Where descriptions come from if the ring's own descriptor may not be opened
 * anew.
 */
struct ring_source {
	/*
	 * An open file description that no other process has, close-on-exec, for that role.
	 * May wait for seconds. Threads may call it at the same time.
	 */
	int (*open)(struct ring_source *s, enum ring_role role, struct ring_grant *ret);
	/* What was attached through it is gone. Waits for threads that are in open(). */
	void (*leave)(struct ring_source *s, const struct ring_grant *grant);
	/* The ring is used on in a child made by fork; it has one thread. */
	void (*join)(struct ring_source *s);
	/* The end; `inherited`: in a child that has not joined. */
	void (*free)(struct ring_source *s, bool inherited);
	/*
	 * Of isolated rings: a description of a lane's file, close-on-exec, and which of
	 * the lane's files it is. -ENOENT: no process has had that lane yet; -EBUSY: its
	 * owner is alive, or it is being passed on. NULL: this source has no such rings.
	 */
	int (*lane)(struct ring_source *s, const struct lane_wish *wish, uint32_t *ret_file_number);
};

struct shmring_ring {
	uint64_t *alive;    /* in a page that a child of fork finds empty */
	shm_u32 references; /* the user's, and one per attachment */
	int fd;
	shm_u32 spare_fd; /* opened anew after the program closed `fd`; 0: none */
	uint64_t mark;	  /* of the description behind `fd`, see is_ours() */
	bool marked;
	shm_u64 spare_view;	    /* a page, mapped by the spare description; 0: none */
	shm_u32 spares;		    /* so many were opened */
	bool inherited;		    /* joined in a child: the mark is the parent's, too */
	char *path;		    /* where the kernel says the file is; NULL: unknown */
	struct ring_source *source; /* NULL: `fd` is opened anew through /proc */
	bool writable;
	bool named; /* has, or had, a name */
	dev_t device;
	ino_t inode;
	uid_t owner; /* of the file */
	uint64_t created_ns;
	uint8_t uuid[16];
	struct geometry geometry;
	unsigned char *view;	   /* read-only, all but the lanes' data */
	struct registry *registry; /* in the view, as are the next three */
	struct doorbell *doorbell;
	struct cursor_row *rows;
};

/* 0, or -ECHILD in a child that has not joined. */
int shmr_ring_check(const struct shmring_ring *r);

/* The descriptor, or -EBADF if the program closed or reused its number. */
int shmr_ring_fd(const struct shmring_ring *r);

/*
 * A descriptor to probe the liveness of others with. If the program closed ours,
 * the ring is opened again where it was, or, with the capability for it, through
 * the mapping. -EBADF: neither is possible, so no process can be proved dead.
 */
int shmr_ring_probe_fd(struct shmring_ring *r);

/*
 * Has the ring lost its name, so that no process can open it any more? False for a ring
 * that never had one, and while that cannot be found out. Two system calls at most,
 * if the program has not closed the descriptor.
 */
bool shmr_ring_is_removed(struct shmring_ring *r);

/* Where the ring is now, as far as the kernel knows; for free(). NULL: unknown. */
char *shmr_ring_path(struct shmring_ring *r);

/*
 * An open file description of one's own for that role; the caller closes it. May
 * wait if the ring has a source; then *ret_grant is for shmr_ring_leave().
 */
int shmr_ring_reopen(const struct shmring_ring *r, enum ring_role role,
		     struct ring_grant *ret_grant);
void shmr_ring_leave(const struct shmring_ring *r, const struct ring_grant *grant);

struct shmring_ring *shmr_ring_ref(struct shmring_ring *r);

/* Not of isolated rings. */
static inline struct lane_control *ring_control(const struct shmring_ring *r, unsigned lane)
{
	return (struct lane_control *)(void *)(r->view + control_offset(&r->geometry, lane));
}

/*
 * Does the descriptor lead to the ring's file? Programs close descriptors that they do not
 * know; then ours may be anything.
 */
bool ring_is_file(const struct shmring_ring *r, int fd);

/* Free a handle that no process uses any more, or that was never complete. */
void ring_free(struct shmring_ring *r);

/* In memory that a child made by fork finds zeroed: the handle belongs to this process. */
#define HANDLE_ALIVE UINT64_C(0x73686d72696e6721)

/* Memory for a handle, which a child made by fork finds zeroed. */
void *shmr_handle_new(size_t size);
void shmr_handle_free(void *handle, size_t size);

#pragma GCC visibility pop

#endif
