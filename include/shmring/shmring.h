/* SPDX-License-Identifier: MIT */
/*
 * shmring: message rings in shared memory between Linux processes.
 *
 * A ring is a file, or an anonymous memory file inherited through fork or
 * passed as a descriptor. Every producer owns a lane of it; every consumer
 * reads all lanes with a cursor of its own. This header makes, opens, examines
 * and removes rings; <shmring/producer.h> writes and <shmring/consumer.h>
 * reads. shmring(7) explains the concepts and what is guaranteed.
 *
 * Conventions, valid for every call of the three headers:
 *  - A call returns >= 0, or a negative errno. It writes its outputs only on
 *    success, with three exceptions, whose content means nothing after an error:
 *    shmring_wait() (`ready`), shmring_receive() (`buf`) and shmring_peek_batch() (`ret`).
 *    shmring_explain() gives the sentence that belongs to a failure.
 *  - Option structs begin with their own size. A field that is zero means the
 *    default; a NULL struct means all defaults.
 *  - Structs that a call fills begin with their own size too, and the caller sets it
 *    before the call: struct shmring_counters n = { .size = sizeof(n) }. The call writes
 *    the fields that lie within that size, and sets to zero what the caller's struct has
 *    beyond the library's. `size` keeps its value. A size of 0, of less than the struct
 *    had in version 0.1.0, or of more than 4096 bytes is an error: -EINVAL.
 *  - Both kinds of struct grow at their end only. struct shmring_message and struct
 *    shmring_wait have no size, and never change.
 *  - Deadlines are absolute, in nanoseconds of CLOCK_MONOTONIC, and range from
 *    SHMRING_NOWAIT to SHMRING_FOREVER; shmring_deadline() makes one.
 *  - Several threads may use the handle of a ring at one time: to attach, examine, reap, forget
 *    and wait for others, and to get its descriptor or a stamp. Only shmring_close() and
 *    shmring_join() need it for themselves; what is attached by then is used and detached as
 *    before. Functions without a handle may be called by any thread at any time.
 *  - A handle of a producer, a consumer or the broker belongs to one thread at a time.
 *    A second thread that uses a producer or consumer while a call on it waits gets -EBUSY. At
 *    other moments a library that was built with --enable-handle-checks returns it; any
 *    other library does not notice, and messages are lost or repeated. Only
 *    shmring_consumer_cancel() and shmring_producer_cancel() are for all threads.
 *  - In a child made by fork every inherited handle answers -ECHILD (see shmring_join()).
 *  - A signal handler may publish through any producer of its thread; the call
 *    returns -EBUSY if the handler has interrupted a call on that producer. It may use a consumer
 *    of its own, attached before. It may also call shmring_consumer_cancel(),
 *    shmring_producer_cancel(), shmring_deadline(), shmring_stamp_now() and shmring_version(),
 *    and nothing else. A call that fails in a handler replaces the sentence of the thread. A
 *    handler must not leave a call with siglongjmp().
 *  - Names: what is done with messages has a bare verb (shmring_claim, shmring_peek,
 *    shmring_release); so has what is done with a ring (shmring_open, shmring_stat). A variant has
 *    the verb of the simple call, and behind it what is special about it (shmring_open_fd,
 *    shmring_open_wait, shmring_open_or_create, shmring_peek_batch, shmring_release_first). A verb
 *    with an object has the object behind it (shmring_wait_consumers, shmring_stat_lane).
 *    Everything about another handle begins with its name (shmring_producer_max_message,
 *    shmring_consumer_fd), and questions about a message in hand with shmring_message_.
 *    No struct or enum has the name of a function: what C++ declares hides neither.
 *  - The library never prints, aborts, installs signal handlers or starts
 *    threads.
 */
#ifndef SHMRING_SHMRING_H
#define SHMRING_SHMRING_H

#include <stddef.h>
#include <stdint.h>

#include <shmring/abi-inline.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct shmring_ring;

/* Deadlines. Any time in the past means: do not wait. */
#define SHMRING_NOWAIT INT64_C(0)
#define SHMRING_FOREVER INT64_MAX

/*
 * How long a wait spins before it sleeps, in nanoseconds, or one of these.
 *
 * The default of a consumer follows the traffic. While the gaps between messages are 50 us or
 * less, a wait spins for up to 50 us, so a busy ring is as quick as the caches are. When they are
 * longer, a wait sleeps at once, so an idle ring costs nothing. The default of a producer does
 * not adapt: a wait for room spins for 50 us for each consumer that may hold the producer back,
 * and counts four of them at most.
 *
 * With the default a wait of more than 2 us offers its processor to other processes
 * (sched_yield(2)), because the process that it waits for may need it. The time for which others
 * take the processor does not count.
 */
#define SHMRING_SPIN_ADAPTIVE INT64_C(0)
#define SHMRING_SPIN_NEVER (-INT64_C(1))    /* for cores that are shared */
#define SHMRING_SPIN_ALWAYS SHMRING_FOREVER /* for a core of one's own */

/* Limits of the format. */
#define SHMRING_MAX_LANES 64			  /* producers at one time */
#define SHMRING_MAX_CONSUMERS 64		  /* lossless consumers at one time */
#define SHMRING_NAME_SIZE 32			  /* consumer name with its final NUL */
#define SHMRING_MIN_LANE_SIZE (UINT64_C(1) << 16) /* bytes */
#define SHMRING_MAX_LANE_SIZE (UINT64_C(1) << 32) /* bytes */

/* What a full ring does about a consumer that holds producers back. */
enum shmring_slow_policy {
	SHMRING_SLOW_BLOCK = 0, /* producers wait until it has read on */
	SHMRING_SLOW_EVICT = 1, /* it loses its place after evict_after_ns */
};

/* What a full ring does while no consumer holds it back. */
enum shmring_unread_policy {
	SHMRING_UNREAD_HOLD = 0,      /* producers wait until a consumer has come */
	SHMRING_UNREAD_OVERWRITE = 1, /* producers go on: the oldest is overwritten */
};

/* How sleepers make sure that a producer sees them. */
enum shmring_wake_mode {
	SHMRING_WAKE_AUTO = 0,	/* the sleeper pays (membarrier) where it can */
	SHMRING_WAKE_FENCE = 1, /* all processes fence, none calls membarrier */
};

/* What each message carries of its publication, for latencies without a producer's help. */
enum shmring_stamp {
	SHMRING_STAMP_NONE = 0,
	SHMRING_STAMP_CLOCK = 1, /* CLOCK_MONOTONIC, as the producer reads it */
	SHMRING_STAMP_TSC = 2,	 /* the processor's counter, measured at create: cheaper
				    than the clock; only where the kernel itself
				    trusts it (-EOPNOTSUPP) */
	SHMRING_STAMP_AUTO = 3,	 /* the counter where it can be had, else the clock */
};

/* Of shmring_consumer_fd() and shmring_producer_fd(): where it takes a thread, start one. */
#define SHMRING_FD_THREAD 1u

/* The shape of a new ring; none of it changes afterwards. */
struct shmring_config {
	size_t size;		 /* sizeof(struct shmring_config) */
	uint64_t lane_size;	 /* bytes; power of two, 64 KiB to 4 GiB; 0: 8 MiB */
	uint32_t lanes;		 /* 1 to 64; 0: 8. Unused lanes take no memory */
	uint32_t alignment;	 /* bytes between records: 8 packs them, 64
				    gives each its own cache lines, so that
				    neighbours do not touch; 0: 8, which is
				    faster where it was measured */
	uint32_t slow_policy;	 /* enum shmring_slow_policy */
	uint32_t unread_policy;	 /* enum shmring_unread_policy */
	uint64_t evict_after_ns; /* SHMRING_SLOW_EVICT: how long a consumer may
				    hold producers back without releasing
				    anything; up to one day; 0: one second */
	uint64_t max_sleep_ns;	 /* no sleep is longer before its sleeper looks
				    again; 1 ms to 10 s; 0: 100 ms */
	uint32_t wake;		 /* enum shmring_wake_mode */
	uint32_t mode;		 /* permission bits of the file; 0: 0600. With
				    "broker:NAME" only 0: the broker's rules decide */
	uint64_t first_position; /* byte count of the first record, a multiple
				    of 64; for tests of the wrap-around */
	uint32_t stamps;	 /* enum shmring_stamp; takes 8 bytes of each
				    message, and of the longest */
	uint32_t flags;		 /* SHMRING_PERSISTENT, SHMRING_ISOLATED or
				    SHMRING_EPHEMERAL, or 0 */
	uint64_t evict_lag;	 /* SHMRING_SLOW_EVICT: how many bytes of a lane a
				    consumer may be behind, whether or not the lane is
				    full; up to lane_size; 0: any number */
	uint64_t evict_lag_ns;	 /* SHMRING_SLOW_EVICT: how old the oldest message may
				    be that a consumer has not released; up to one
				    day; 0: any age */
};

/* Of a ring of the broker: on disk, in the directory for what it keeps. */
#define SHMRING_PERSISTENT 1u

/*
 * Of a ring of the broker: each lane is a memory file of its own, and no other user
 * than its producer can get a writable view of it.
 */
#define SHMRING_ISOLATED 2u

/*
 * Of a ring with a name that is no ring of the broker: its name goes with its last user.
 * Users are attached producers and lossless consumers, and the kept places of named
 * consumers. Unread messages do not keep it, and a ring that has never had a
 * user stays. The detach of the last user removes the name, as far as the directory allows
 * that. If the last user was killed or has ended without a detach, the next
 * shmring_open() or shmring_create() of the name removes it. An attach through a handle of a
 * ring whose name has gone is refused (-EIDRM): open the name again.
 */
#define SHMRING_EPHEMERAL 4u

/* How an attachment treats its memory; member of the role's options. */
enum shmring_lock {
	SHMRING_LOCK_HOT = 0, /* mlock the control pages */
	SHMRING_LOCK_ALL = 1, /* mlock those and the lane data */
	SHMRING_LOCK_NONE = 2,
};
#define SHMRING_MEMORY_STRICT 1u   /* a lock that fails fails the attach */
#define SHMRING_MEMORY_PREFAULT 2u /* map every page before attach returns */
#define SHMRING_MEMORY_HUGE 4u	   /* ask for huge pages under the lanes */

struct shmring_memory {
	uint32_t lock;	/* enum shmring_lock */
	uint32_t flags; /* SHMRING_MEMORY_*, or-ed */
};

/* What became of it. All in bytes. */
struct shmring_memory_report {
	size_t size;	      /* sizeof(struct shmring_memory_report) */
	uint64_t mapped;      /* shared memory mapped by this attachment */
	uint64_t lock_wanted; /* how much was to be locked */
	uint64_t locked;      /* how much is */
	uint64_t lock_limit;  /* RLIMIT_MEMLOCK; UINT64_MAX: no limit */
	uint64_t resident;    /* lane data in memory; UINT64_MAX: unknown */
	uint64_t huge;	      /* lane data the kernel agreed to back with
				 huge pages */
	int lock_error;	      /* 0, or the negative errno of mlock */
	uint32_t reserved;
};

/* Counters of one handle, since it was attached. */
struct shmring_counters {
	size_t size;	       /* sizeof(struct shmring_counters) */
	uint64_t messages;     /* published, or released */
	uint64_t bytes;	       /* payload of those */
	uint64_t lost;	       /* consumers: messages missed */
	uint64_t lost_bytes;   /* consumers: payload of those */
	uint64_t waits;	       /* times it found no room, or no message */
	uint64_t sleeps;       /* times it slept in the kernel */
	uint64_t wakes;	       /* times it woke others */
	uint64_t recoveries;   /* dead peers it proved dead and cleaned up */
	uint64_t system_calls; /* all system calls after attach */
};

/*
 * Make a ring.
 *
 * address: a path; a name without '/', which lives in shmring_directory();
 * "broker:NAME", which the broker makes, and keeps; or NULL for an anonymous ring. The
 * ring appears under its name whole or not at all; a creator killed half way leaves
 * nothing behind. On success *ret is an open handle, as from shmring_open().
 *
 * Errors: -EINVAL (config out of range), -EEXIST, -ENOSPC, -EFBIG (larger than
 * RLIMIT_FSIZE), -EOPNOTSUPP (not a local tmpfs, ext4 or xfs; no counter for
 * SHMRING_STAMP_TSC), -EPERM (the directory of plain names is not the user's alone),
 * -ENAMETOOLONG, and those of open(2), mmap(2), memfd_create(2). SHMRING_EPHEMERAL is
 * -EINVAL without a name and with "broker:NAME"; its names have up to 220 bytes. With "broker:NAME"
 * also those of shmring_broker_open(), and -EDQUOT.
 * Concurrency: any number of creators; one wins, the others get -EEXIST.
 */
int shmring_create(struct shmring_ring **ret, const char *address,
		   const struct shmring_config *config);

/*
 * Open an existing ring. A file that may only be read opens for observers.
 * The file is never modified by this call. If the ring is ephemeral and its last user was
 * killed, the call removes the name, and returns -ENOENT.
 *
 * A ring of the broker is used like any other; attaching to it asks the broker,
 * which may refuse (-EACCES). If the broker has gone, an attach waits for its successor
 * for up to two seconds (-ECONNREFUSED), and that must have the same ring (-ESTALE). This call
 * waits in the same way if the broker has left its socket behind.
 * Attached producers and consumers do not need the broker.
 *
 * Errors: -ENOENT, -EACCES, -ELOOP (a symbolic link), -EISDIR, -EINVAL (no
 * regular file), -EBADMSG (not a ring, cut off or damaged), -EPROTONOSUPPORT
 * (another format version or unknown features), -ESTALE (a copy of a ring, or
 * made before the last boot), -EOPNOTSUPP (file system), -EPERM (the directory of
 * plain names is not the user's alone).
 */
int shmring_open(struct shmring_ring **ret, const char *address);

/*
 * Open a ring as soon as it is there, and wait until `deadline` for that. With SHMRING_NOWAIT
 * this is shmring_open().
 *
 * The call waits while shmring_open() would return -ENOENT: no file has the name yet, or a
 * directory on the way to it is missing. A ring appears whole and with its permissions, so
 * the call does not wait for anything else: it returns every other error of shmring_open() at
 * once, also -EACCES. The kernel wakes the call when the name appears, and it looks at least once
 * a second. Where inotify(7) cannot be had it looks after pauses of 1 to 100 ms. With
 * "broker:NAME" it also waits for a broker that is not there or does not answer, and asks
 * it after such pauses.
 *
 * Errors: as shmring_open(), and -ETIMEDOUT, -EINTR (a signal handler ran while it slept).
 * Concurrency: with everything.
 */
int shmring_open_wait(struct shmring_ring **ret, const char *address, int64_t deadline);

/*
 * Open the ring if it is there, and make it if not, whatever other processes do meanwhile: of any
 * number of processes that call this at one time for one name, one makes the ring, and the
 * others open that ring. Returns 1 if this call has made it, else 0. (0 also if the broker was
 * killed while it made the ring for this call.)
 *
 * `config` is checked in both cases (-EINVAL), but not compared: a ring that is there is opened as
 * it is, whatever its shape. shmring_stat() tells its shape.
 *
 * Errors: as shmring_open() and shmring_create(), but neither -ENOENT for a missing ring nor
 * -EEXIST; -EINVAL without an address; -EAGAIN (others make and remove the ring all the time).
 * Concurrency: with everything.
 */
int shmring_open_or_create(struct shmring_ring **ret, const char *address,
			   const struct shmring_config *config);

/*
 * Open the ring behind a descriptor, as received over a Unix socket. The
 * descriptor is duplicated and stays the caller's. A memory file must be
 * sealed against growing and shrinking (-EPERM otherwise).
 * Errors: those of shmring_open() and fcntl(2) (-EBADF, -EMFILE).
 */
int shmring_open_fd(struct shmring_ring **ret, int fd);

/*
 * Use the inherited ring of the parent in a child made by fork: makes `r`
 * valid in this process. Handles of producers and consumers stay with the
 * parent; attach new ones. Errors: -EBADF (its descriptor was closed).
 */
int shmring_join(struct shmring_ring *r);

/*
 * Drop the handle; NULL is fine. Attached producers and consumers live on.
 */
void shmring_close(struct shmring_ring *r);

/*
 * The descriptor of the ring, to be passed over a Unix socket (SCM_RIGHTS).
 * The descriptor stays the library's: neither close nor lock it. Error: -ECHILD.
 */
int shmring_fd(struct shmring_ring *r);

/* State of the whole ring, read without disturbing it. */
struct shmring_ring_stat {
	size_t size; /* sizeof(struct shmring_ring_stat) */
	uint8_t uuid[16];
	uint32_t format; /* version of the layout */
	uint32_t lanes;
	uint64_t lane_size;	/* bytes */
	uint64_t max_message;	/* bytes */
	uint32_t alignment;	/* bytes */
	uint32_t slow_policy;	/* enum shmring_slow_policy */
	uint32_t unread_policy; /* enum shmring_unread_policy */
	uint32_t wake;		/* enum shmring_wake_mode */
	uint64_t evict_after_ns;
	uint64_t max_sleep_ns;
	uint64_t created_ns;   /* CLOCK_REALTIME */
	uint64_t file_size;    /* bytes, holes included */
	uint64_t allocated;    /* bytes of memory or disk in use */
	uint64_t resident;     /* bytes in memory; UINT64_MAX: unknown */
	uint32_t producers;    /* alive */
	uint32_t consumers;    /* alive, lossless */
	uint32_t detached;     /* named cursors without a process */
	uint32_t retired;      /* 1: its name is gone (removed) */
	uint32_t stamps;       /* enum shmring_stamp: NONE, CLOCK or TSC */
	uint32_t flags;	       /* SHMRING_EPHEMERAL, or 0 */
	uint64_t evict_lag;    /* bytes; 0: no limit */
	uint64_t evict_lag_ns; /* 0: no limit */
};

enum shmring_state {
	SHMRING_FREE = 0,     /* no process; a lane keeps its messages */
	SHMRING_JOINING = 1,  /* a process is attaching */
	SHMRING_ACTIVE = 2,   /* a process is attached */
	SHMRING_DEAD = 3,     /* its process is gone, not yet cleaned up */
	SHMRING_DETACHED = 4, /* named cursor, kept for its next holder */
	SHMRING_EVICTED = 5,  /* lost its place, may come back */
};

/* State of one lane: positions and numbers never reset. */
struct shmring_lane_stat {
	size_t size;	      /* sizeof(struct shmring_lane_stat) */
	uint32_t state;	      /* enum shmring_state, SHMRING_FREE to _DEAD */
	uint32_t tenancy;     /* how many producers have owned it */
	int32_t pid;	      /* of the last owner, in its own pid namespace */
	uint32_t allocated;   /* 1: it has memory */
	uint64_t attached_ns; /* CLOCK_REALTIME */
	uint64_t messages;    /* published ever */
	uint64_t bytes;	      /* payload of those */
	uint64_t position;    /* end of the newest record, in lane bytes */
	uint64_t readable;    /* lane bytes from the oldest record to there */
	uint32_t waiting;     /* 1: its producer waits for room */
	uint32_t partial;     /* 1: it has more than could be counted in 20 ms: `messages`, */
	/* `bytes`, `position` and `readable` are lower bounds */
	/* Of all its producers since the ring was made; they only grow. */
	uint64_t full_waits;   /* times that the producer found no room */
	uint64_t full_wait_ns; /* time that it has waited for room, asleep or not */
	uint64_t sleeps;       /* times that it slept in the kernel for that */
	uint64_t wakes;	       /* times that it woke others */
	uint64_t evictions;    /* consumers that it evicted */
};

/* State of one lossless consumer. */
struct shmring_consumer_stat {
	size_t size;		      /* sizeof(struct shmring_consumer_stat) */
	uint32_t state;		      /* enum shmring_state */
	int32_t pid;		      /* of the last holder, in its own pid namespace */
	uint64_t attached_ns;	      /* CLOCK_REALTIME */
	uint64_t lag;		      /* lane bytes behind the producers, all lanes */
	uint64_t max_lag;	      /* the same for the lane it is furthest behind */
	uint32_t evictable;	      /* 1: producers may evict it */
	char name[SHMRING_NAME_SIZE]; /* "": unnamed */
	uint32_t partial;  /* 1: `lag` and `max_lag` are lower bounds, for the same reason */
	uint64_t limit;	   /* bytes: producers evict it when a lane is that far ahead of it;
			      the smaller one of the ring's limit and its own; 0: none */
	uint64_t limit_ns; /* the same for the age of what it has not released */
	/*
	 * Of all consumers that have had this place since the ring was made; they only
	 * grow. A place that is free has them, too.
	 */
	uint64_t waits;	     /* times that it found no message, and waited */
	uint64_t sleeps;     /* times that it slept in the kernel for that */
	uint64_t lost;	     /* messages that it has lost; not those that were gone when
				it came */
	uint64_t lost_bytes; /* payload of those */
	uint64_t evictions;  /* times that it noticed that it was evicted */
	uint64_t tenancy;    /* times that it was taken, or its name forgotten; 0: never */
};

/*
 * Look at the ring, one lane, one consumer. `index` runs from 0 to the number of the
 * ring's lanes, or SHMRING_MAX_CONSUMERS, exclusive. Errors: -ERANGE (no
 * such lane or place), -EAGAIN (the lane is written too fast to be examined), -EBADMSG
 * (it is damaged), -EBADF (the program closed the ring's descriptor), -ECHILD.
 * A member of a ring can write so much that counting takes minutes. So these calls stop
 * counting after some 20 ms, and say so in `partial`; shmring_stat() stops after 50 ms,
 * and `resident` is unknown then. After a success with a `resident` of UINT64_MAX,
 * shmring_explain() says why it is unknown.
 * Concurrency: with everything; a snapshot, not an atom.
 */
int shmring_stat(struct shmring_ring *r, struct shmring_ring_stat *ret);
int shmring_stat_lane(struct shmring_ring *r, unsigned index, struct shmring_lane_stat *ret);
int shmring_stat_consumer(struct shmring_ring *r, unsigned index,
			  struct shmring_consumer_stat *ret);

/*
 * Prove which members have died, and clean up after them now, rather than when their
 * place is needed. Returns how many were recovered.
 * Errors: -EACCES (the ring is open read-only), -EBADF (the program closed the ring's
 * descriptor), those of shmring_consumer_attach() for a ring of the broker, -ECHILD.
 */
int shmring_reap(struct shmring_ring *r);

/*
 * Drop a named cursor that no process holds. An ephemeral ring without another user loses
 * its name.
 * Errors: -ENOENT (no such name), -EBUSY (a process holds it, or a broken process changes the
 * places all the time), -EINVAL (not a name), and those of shmring_reap().
 */
int shmring_forget(struct shmring_ring *r, const char *name);

/*
 * Remove a ring's name. Attached producers and consumers go on undisturbed; the memory
 * goes with the last of them. Everything that begins like a ring can be removed,
 * whatever its version, and also if it is damaged or a copy; nothing else can.
 * Errors: -EBADMSG (not a ring), -EAGAIN (replaced meanwhile), -ENOENT, -ELOOP,
 * -EISDIR, -EINVAL (no regular file), and those of open(2) and unlink(2).
 */
int shmring_remove(const char *address);

#define SHMRING_REMOVE_FORCE \
	1u /* also if a name is kept, messages were never read, or it is damaged */
#define SHMRING_REMOVE_DRY_RUN 2u /* look, and remove nothing */

/* What the name of a ring begins with while shmring_remove_unused() looks at it again. */
#define SHMRING_HIDDEN_PREFIX ".shmring-removing-"

/*
 * Remove a ring if no living process is attached to it as a producer or lossless
 * consumer, for `older_ns` nanoseconds or longer (0: whatever its age): since it was made,
 * the last one attached, and the file was written by a system call. A ring that no process
 * can open (made before the last boot, or a copy) counts as unused. Observers and
 * processes that merely have the ring open are not seen; what attaches afterwards is in a
 * removed ring (-EIDRM). A process that is attached never loses the ring; its name can be away
 * for the moment of the second look. A call that was killed there leaves the ring under a name
 * that begins with SHMRING_HIDDEN_PREFIX; the next call with that name finishes it.
 *
 * Returns 0: it was removed, or would be. Errors: -EBUSY (a process is attached, or another
 * one is removing it), -EAGAIN (it was used within `older_ns`, or was replaced meanwhile),
 * -ENOTEMPTY (no process is attached, but it keeps a name, or has messages and never had a
 * consumer and is not ephemeral, or is damaged; SHMRING_REMOVE_FORCE removes it), -EBADMSG (not a
 * ring), -EPROTONOSUPPORT (of another version), -EOPNOTSUPP (a ring of the broker), -EINVAL
 * (unknown flag, or no regular file), -ENAMETOOLONG, -EINTR, and those of shmring_open() and
 * rename(2). Concurrency: with everything.
 */
int shmring_remove_unused(const char *address, int64_t older_ns, uint32_t flags);

/*
 * The directory of names without '/': $XDG_RUNTIME_DIR/shmring, or
 * /dev/shm/shmring-UID. Writes a NUL-terminated path of at most `size` bytes,
 * returns its length. The directory need not exist yet.
 * Errors: -ENAMETOOLONG.
 */
int shmring_directory(char *ret, size_t size);

/*
 * The broker, shmringd(8): a conversation with it. Programs that only use rings do
 * not need it; to them a ring of the broker is an address.
 *
 * socket: where it listens; NULL: $SHMRING_BROKER, or
 * $XDG_RUNTIME_DIR/shmring/broker if that exists, or /run/shmring/broker.
 * Errors of the calls: -ECONNREFUSED (no broker listens there; if one has left its socket
 * behind, the call has waited two seconds for its successor), -ETIMEDOUT (no answer for five
 * seconds), -ECONNRESET (it hung up: open it again), -EPROTO (what answers is no broker),
 * -EPROTONOSUPPORT (no common version), -EMFILE, -EACCES and others with which it refuses,
 * -ENAMETOOLONG, -ECHILD. Concurrency: a handle belongs to one thread.
 */
struct shmring_broker;

int shmring_broker_open(struct shmring_broker **ret, const char *socket);
void shmring_broker_close(struct shmring_broker *b); /* NULL is fine */

#define SHMRING_BROKER_NAME_SIZE 64 /* of a ring of the broker, with its final NUL */

/* What the broker's rules let this process do with a ring. */
#define SHMRING_MAY_PRODUCE 1u
#define SHMRING_MAY_CONSUME 2u
#define SHMRING_MAY_OBSERVE 4u
#define SHMRING_MAY_CREATE 8u
#define SHMRING_MAY_REMOVE 16u

/* One ring of the broker. */
struct shmring_broker_ring {
	size_t size;			     /* sizeof(struct shmring_broker_ring) */
	char name[SHMRING_BROKER_NAME_SIZE]; /* without "broker:" */
	uint32_t owner;			     /* user id */
	uint32_t rights;		     /* SHMRING_MAY_*, or-ed */
	uint32_t flags;			     /* as in struct shmring_config */
	uint32_t clients;		     /* that have it open */
	uint64_t allocated;		     /* bytes of memory or disk in use */
	uint64_t created_ns;		     /* CLOCK_REALTIME */
	uint8_t uuid[16];
};

/*
 * The first ring whose name comes behind `after` (NULL or "": the first of all)
 * and that this process may use: 1; or 0: there is none. Names come in the order of
 * strcmp(3); a ring that comes or goes meanwhile is seen or not, all others once.
 * Further error: -EINVAL (`after` is no name of a ring, or `size` is not set).
 */
int shmring_broker_next(struct shmring_broker *b, const char *after,
			struct shmring_broker_ring *ret);

/*
 * The broker's metrics, in the text format of Prometheus: a sealed memory file,
 * positioned at its beginning; the caller closes it.
 */
int shmring_broker_metrics(struct shmring_broker *b, int *ret_fd);

/*
 * What went wrong in the last failed call of this thread, and what to do: a
 * sentence without final newline, valid until the next failure; never NULL.
 */
const char *shmring_explain(void);

/*
 * Wait for several at once: any mix of consumers that wait for a message and of
 * producers that wait for room, of any rings.
 */
#define SHMRING_MAX_WAITS 128

struct shmring_waitable; /* lives as long as its handle */

struct shmring_wait_item {
	struct shmring_waitable
		*what; /* shmring_consumer_waitable(), shmring_producer_waitable() */
	int ready;     /* set by shmring_wait(): 1 or 0; means nothing after an error */
};

SHMRING_ASSERT_OFFSET(shmring_wait_item, what, 0);
SHMRING_ASSERT_OFFSET(shmring_wait_item, ready, 8);
SHMRING_ASSERT_SIZE(shmring_wait_item, 16);

/*
 * Until at least one of `count` (1 to SHMRING_MAX_WAITS) has something, or the
 * deadline: spins as long as the most patient of the handles would, then sleeps
 * on all of them with one futex_waitv(2) (Linux 5.16; before that, and where a
 * filter forbids it, for a millisecond on each in turn). Ready means that the
 * next peek, or claim of that length, will not wait, or has an error to tell.
 * Returns how many are ready. Errors: -EAGAIN (none, and SHMRING_NOWAIT),
 * -ETIMEDOUT, -EINTR, -ECANCELED (a wait of one of them was cancelled), -EINVAL (count),
 * -EBUSY (a producer has a claim open), -EMSGSIZE, -ESTALE (as shmring_peek()), -ECHILD.
 * Concurrency: the handles belong to the calling thread.
 */
int shmring_wait(struct shmring_wait_item *waits, int count, int64_t deadline);

/*
 * Wait until `count` lossless consumers, or producers, are attached, or until the deadline.
 * Returns how many are attached, `count` or more; with a `count` of 0 at once.
 *
 * A consumer counts from the moment at which it has its cursors: it gets every message that is
 * published after this call has returned. Consumers that were evicted count. Processes that are
 * still attaching, processes that are proved dead, kept names without a process, and observers
 * do not count. A process that attaches wakes the caller; if it is killed before that, the caller
 * notices the attach, and the death, within the ring's longest sleep. Counts are of one moment:
 * a process may leave before the call has returned.
 *
 * Errors: -EAGAIN (fewer are attached, and SHMRING_NOWAIT), -ETIMEDOUT, -EINTR (a signal handler
 * ran while it slept), -EIDRM (fewer are attached, and the ring was removed), -EINVAL (`count` is
 * more than SHMRING_MAX_CONSUMERS, or more than the ring has lanes), -EBADF (the program closed
 * the ring's descriptor), -ECHILD.
 * Concurrency: with everything, also in several threads on one handle. A ring that is open
 * read-only will do.
 */
int shmring_wait_consumers(struct shmring_ring *r, unsigned count, int64_t deadline);
int shmring_wait_producers(struct shmring_ring *r, unsigned count, int64_t deadline);

/* The deadline `ns` nanoseconds from now; SHMRING_FOREVER if that overflows. */
int64_t shmring_deadline(int64_t ns);

/*
 * The stamp that a message published at this moment would carry, in nanoseconds;
 * 0: the ring has none. A message's latency is this minus shmring_message_stamp(): with
 * SHMRING_STAMP_TSC both go by the counter, which CLOCK_MONOTONIC departs from by
 * some millionths. Concurrency: with everything, in children of fork as well.
 */
uint64_t shmring_stamp_now(const struct shmring_ring *r);

/* Version of the library that is loaded, as "1.2.3". */
const char *shmring_version(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
