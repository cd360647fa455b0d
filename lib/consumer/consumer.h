/* SPDX-License-Identifier: MIT */
/*
 * consumer: the handle of a consumer or observer, and what the files of this room do for each
 * other.
 *
 * The room in floors. A file calls files on lower floors only (tests/meta/check-circles.sh):
 *
 *	checked.c	the public functions of a build that checks how handles are used
 *	fd.c		a consumer in an event loop, and among others in shmring_wait()
 *	batch.c		several messages at once: peek, release the first of those in hand
 *	messages.c	peek, release, receive
 *	in-hand.c	what a message in hand can be asked
 *	attach.c	options, mapping, leaving
 *	find-place.c	take a place of the registry: any one, or that of a name
 *	wait.c		wait for a message: back off, spin, then sleep
 *	sleep.c		sleep until there is a message, or the watermark; look after the dead
 *	end.c		may another message come?
 *	announce.c	tell producers that it sleeps, and how much is worth waking it
 *	place.c		the place: enter it with all cursors, keep it, come back to it
 *	join.c		a cursor in one lane that producers respect
 *	observer.c	copies instead of pointers, for consumers that hold no producer back
 *	turn.c		which lane is next
 *	until.c		read no further than the end at the attach
 *	lanes.c		which lanes can be read: mapped, adopted, exchanged
 *	cursor.c	how far a lane is released: marks, counts, rewinding
 *	window.c	in which order the messages in hand were handed out
 *	consumer.c	the handle: what every function asks first
 */
#ifndef SHMRING_CONSUMER_PRIVATE_H
#define SHMRING_CONSUMER_PRIVATE_H

#include "unchecked.h" /* first: it changes names */

#include <shmring/consumer.h>

#include "attachment.h"
#include "doorbell.h"
#include "in-use.h"
#include "kick.h"
#include "lane.h"
#include "peers.h"
#include "tally.h"
#include "waitable.h"

/* What a consumer knows of one lane. Positions in bytes. */
struct reader {
	struct shmring_reader_hot hot;
	struct lane lane;
	struct lane_cursor *cursor; /* NULL: observer */
	uint32_t file_number;	    /* lanes.c: isolated rings: which one of its files is mapped */

	/* cursor.c */
	unsigned next_mark;		 /* which mark is written next */
	struct shmring_boundary counted; /* `released`, when counters were brought up to it */
	uint64_t missed;		 /* messages gone already when it began at the oldest one */
	uint64_t missed_bytes;
	bool missed_told; /* `missed` is not in hot.lost any more */

	uint64_t noted; /* window.c: messages up to here are in a run, if they are in hand */
	uint64_t until; /* until.c: a bounded consumer reads up to here */
};

/* fd.c: the descriptor, and the entry in shmring_wait(). */
struct consumer_fd {
	struct kick *kick; /* NULL: no descriptor was asked for */
	struct shmring_waitable waitable;
	int64_t probed_ns;			     /* when arming looked after the dead */
	const struct shmring_reader_hot *armed_lane; /* the current lane when it was last armed, */
	uint64_t armed_position;		     /* and the position there */
};

/* attach.c: may it be evicted, and when? By the ring's policy, or its own wish. */
struct consumer_limits {
	bool evictable;
	bool timed;	/* it may be evicted for the age of what it holds */
	unsigned flags; /* of its place, but for PLACE_NAMED */
	uint64_t lag;	/* it is evicted when it is more bytes behind; 0: never for that */
};

/* wait.c: the back-off of waits. Pauses are counted in cpu_relax(). */
struct consumer_wait {
	uint32_t pauses;   /* between two looks; 1: no back-off */
	uint32_t paused;   /* what it was when the last wait began */
	uint32_t chases;   /* short waits in a row */
	uint32_t patience; /* so many before a back-off is tried */
	bool dense;	   /* the last back-off brought so much that it may grow */
	const struct shmring_reader_hot *lane; /* the current lane at the last wait, */
	uint64_t bytes;			       /* and the payload bytes handed out there */
};

/* sleep.c: looking after the dead. */
struct consumer_sleep {
	unsigned next_probe; /* the place to ask for a proof of death next; lanes, then consumers */
};

/* end.c */
struct consumer_end {
	struct peers producers; /* is one of them left? */
};

/* announce.c: the watermark, and what stands in shared memory. */
struct consumer_announce {
	uint64_t messages; /* the watermark: messages, or bytes; both 0: none */
	uint64_t bytes;
	int64_t within_ns; /* after this time fewer will do; 0: the ring's longest sleep */
	bool quiet;	   /* it does not announce itself */
	bool patient;	   /* its bit in the ring's `patient` is set */
};

/* observer.c: an observer's message: it is a copy, and what belongs to it is here. */
struct observed {
	unsigned char *copy; /* the private copy of the message; NULL: no observer */
	uint64_t header;
	uint64_t seq;
	uint64_t lost; /* just before it */
	uint64_t lost_bytes;
	uint32_t lane;
	bool valid; /* there is one */
};

/* turn.c */
struct consumer_turn {
	uint64_t active;     /* lanes that had a message when they were last looked at */
	unsigned next_idle;  /* where to go on looking at the others */
	uint64_t handed_out; /* messages since the last wait, in earlier turns */
	uint64_t seq;	     /* of the first message of this turn, or since the last wait */
};

/* lanes.c: masks of lanes, and, for isolated rings, what the broker said. Times of shmr_now(). */
struct consumer_lanes {
	uint64_t adopted;	  /* they have memory, and are mapped */
	uint64_t files;		  /* the ring's count of files when they were fetched */
	int64_t ask_again_ns;	  /* not before this time */
	uint64_t unknown;	  /* without a file, by the broker's last answer */
	int64_t unknown_until_ns; /* how long that answer is good */
	int64_t unknown_pause_ns; /* how long it was good when it was given */
	unsigned unsettled;	  /* how often places were chosen in vain */
};

/* A turn of a lane that is over: its messages in hand end here. */
struct turn_run {
	struct shmring_boundary end;
	uint32_t lane;
	uint32_t reserved;
};

/* window.c: the order in which messages in hand were handed out, without the current lane's. */
struct window {
	struct turn_run *runs;
	uint32_t first; /* of the runs that count */
	uint32_t end;
	uint32_t room; /* runs that fit; 0: none was needed yet */
	bool unknown;  /* there was no memory to remember it */
};

/*
 * The handle. A field in a sub-struct belongs to the file that the sub-struct names. The
 * others are set at the attach and then stay, but for `broken`, the bell and the counts.
 *
 * Lives in memory that a child of fork finds zeroed: then every fast path
 * fails its first comparison, and the slow one answers -ECHILD.
 */
struct shmring_consumer {
	struct shmring_consumer_hot hot; /* observers: limit is always 0 */
	struct in_use use;
	uint64_t max_message;
	bool named;
	bool observer;
	bool bounded; /* SHMRING_UNTIL_NOW */
	bool broken;  /* beyond repair: every call fails */

	/* Touched where a turn ends. */
	struct consumer_lanes lanes;
	struct consumer_turn turn;
	struct window window;
	struct consumer_limits limits;
	struct attachment attachment;

	/* Touched in calls that wait, or ask. */
	struct bell bell;
	struct consumer_wait wait;
	struct consumer_sleep sleep;
	struct consumer_announce announce;
	struct consumer_fd fd;
	struct observed observed;
	struct shmring_memory memory;	  /* how the program wants it */
	struct shmring_counters counters; /* of this handle */
	struct shmring_counters shown;	  /* as they were last added to the ring's counts */
	struct consumer_end end;
	struct reader readers[LAYOUT_LANES];
};

/* Every shmring_reader_hot is the beginning of a reader. */
static inline struct reader *current_reader(const struct shmring_consumer *c)
{
	return (struct reader *)c->hot.lane;
}

/*
 * Has a bounded consumer come to the end of what it wants from this lane? If it has
 * lost messages just before it, the next message is still wanted: it reports the loss.
 */
static inline bool reader_is_done(const struct shmring_consumer *c, const struct reader *l)
{
	bool loss_is_told = l->hot.lost == 0 ||
			    (!c->observer && l->hot.at.position != l->hot.released.position);

	return c->bounded && loss_is_told && (int64_t)(l->until - l->hot.at.position) <= 0;
}

static inline bool reader_has_message(const struct shmring_consumer *c, const struct reader *l)
{
	return load_relaxed(lane_word(l->lane.data, l->lane.mask, l->hot.at.position)) != 0 &&
	       !reader_is_done(c, l);
}

static inline const struct geometry *consumer_geometry(const struct shmring_consumer *c)
{
	return &c->attachment.ring->geometry;
}

/* The lanes with messages that were handed out and not released. */
static inline uint64_t consumer_in_hand(const struct shmring_consumer *c)
{
	const struct shmring_reader_hot *l = c->hot.lane;

	if (!l || c->observer || l->at.position == l->released.position)
		return c->hot.others;
	return c->hot.others | UINT64_C(1) << l->index;
}

/* Does every message take the slow halves? */
static inline bool consumer_is_slow(const struct shmring_consumer *c)
{
	return HANDLE_CHECKS || c->observer;
}

/* Bytes of a record with a payload of `len`. */
static inline uint64_t consumer_size_of(const struct shmring_consumer *c, uint64_t len)
{
	return record_size(len, c->hot.round, c->hot.align);
}

/* Beyond repair: every call fails from now on, the inline ones by `limit`. */
static inline void consumer_break(struct shmring_consumer *c)
{
	c->broken = true;
	c->hot.limit = 0;
}

/* At the attach: the addresses of all lanes. Maps what is there; 0 or an error. */
int consumer_map_lanes(struct shmring_consumer *c);

/* Lanes with memory that are not adopted. [READY] pairs with show_lane() */
static inline uint64_t consumer_new_lanes(const struct shmring_consumer *c)
{
	unsigned lanes = consumer_geometry(c)->lanes;
	uint64_t valid = lanes == 64 ? UINT64_MAX : (UINT64_C(1) << lanes) - 1;

	return load_acquire(&c->attachment.registry->lanes_ready) & valid & ~c->lanes.adopted;
}

/*
 * Notice lanes that have got memory. Of an isolated ring: map new lanes, and new files of lanes,
 * if the broker is there. Inline, because each search for a message begins with it.
 */
void consumer_adopt_new_lanes(struct shmring_consumer *c);

static inline void consumer_adopt_lanes(struct shmring_consumer *c)
{
	if (layout_is_isolated(consumer_geometry(c)) || consumer_new_lanes(c) != 0)
		consumer_adopt_new_lanes(c);
}

/*
 * The same, once more and thoroughly. 0: no file had changed; more: some
 * had, so choose all places again; or the error of a broker that stays away.
 */
int consumer_settle_files(struct shmring_consumer *c);

/* Is there a message? Chooses the next lane in turn that has a message. */
bool consumer_look(struct shmring_consumer *c);

/* The same, without looking at all of the lanes that have been idle. */
bool consumer_look_around(struct shmring_consumer *c);

/*
 * From now on, hand out only what has been published by now; or, if `here`, only what lies before
 * the place where the consumer begins. 0 or -EBADMSG.
 */
int consumer_set_bounds(struct shmring_consumer *c, bool here);

/* Where a turn that begins now ends for a bounded consumer, at most at `end`. */
uint64_t consumer_bounded_turn(const struct shmring_consumer *c, const struct reader *l,
			       uint64_t end);

/* All that a bounded consumer wanted has been handed out: -ENODATA. */
int consumer_is_at_end(void);

/*
 * Is there really nothing? A consumer that was evicted meanwhile may have looked at newer
 * payload, and a zero word in that is not the end of a lane. 1: there is a message; 0: there
 * is none; or an error of consumer_keep_place().
 */
int consumer_look_again(struct shmring_consumer *c);

/*
 * There was no message: may a message come? 1: one has come meanwhile; 0: yes; -EPIPE or
 * -EIDRM: no (peers.h); or an error of consumer_keep_place(). `waits`: the caller is
 * about to sleep.
 */
int consumer_check_end(struct shmring_consumer *c, bool waits);

/*
 * Is every lane mapped, in its present file? Asks the broker of an isolated ring if not, or goes
 * by its last answer.
 */
bool consumer_has_all_files(struct shmring_consumer *c);

/* How many messages were handed out since this was asked last. */
uint64_t consumer_take_handed_out(struct shmring_consumer *c);

/* The waits of a new handle begin without a back-off. */
void consumer_reset_backoff(struct shmring_consumer *c);

/*
 * Wait for a message until `deadline`. 0, -EAGAIN, -ETIMEDOUT, -EINTR, or
 * -ESTALE if the consumer was evicted.
 */
int consumer_wait(struct shmring_consumer *c, int64_t deadline);

/*
 * The two halves of a sleep on the bell, which the caller reads before. Announce the sleep,
 * so that a producer that publishes from now on rings (then look once more); and take the
 * announcement back.
 */
void consumer_announce(struct shmring_consumer *c);
void consumer_take_back(struct shmring_consumer *c);

static inline bool consumer_has_watermark(const struct shmring_consumer *c)
{
	return c->announce.messages != 0 || c->announce.bytes != 0;
}

/* How long to sleep without another look if no producer rings. */
int64_t consumer_longest_sleep(const struct shmring_consumer *c);

/* Before announcing it: ring only at the watermark; or for everything again. */
void consumer_raise_watermarks(struct shmring_consumer *c);
void consumer_drop_watermarks(struct shmring_consumer *c);

/*
 * The place has a new holder, which is awake: take back what the last holder announced if it was
 * killed in its sleep.
 */
void consumer_clear_announcement(struct shmring_consumer *c);

/* Has a lane as much as the watermark says? */
bool consumer_is_due(struct shmring_consumer *c);

/*
 * Sleep until there is a message, or until the watermark or the end of its time. 0: there is a
 * message; or an error of consumer_wait().
 */
int consumer_sleep(struct shmring_consumer *c, int64_t deadline);

/* Nothing came for long: has a tenant died? Looks at one place at each call. */
void consumer_probe_one_peer(struct shmring_consumer *c);

/* -ECHILD in a child of fork, which finds the handle zeroed. */
int consumer_explain_wiped(void);

static inline int consumer_wiped(const struct shmring_consumer *c)
{
	return c->attachment.ring ? 0 : consumer_explain_wiped();
}

/*
 * Take a place of the registry, any one or that of the name, and its lock. 0 with the place in
 * SETUP; or in ACTIVE, if the name was DETACHED, so that its cursors hold all the time; or an
 * error.
 */
int consumer_find_place(struct shmring_consumer *c, const struct shmring_consumer_options *o);

/* The limits of lag that the program asked for; the flag PLACE_LIMITED says that they count. */
void consumer_write_limits(struct attachment *a, const struct shmring_consumer_options *o);

/* Place the cursor of one lane for a consumer without history; `at` is where. */
int consumer_place_cursor(struct shmring_consumer *c, struct reader *l, enum shmring_start start,
			  struct shmring_boundary *at);

/*
 * Where the last release was, if that is still there; else messages are lost,
 * and go on behind it, never before it: what was released does not come again.
 */
int consumer_replace_cursor(struct shmring_consumer *c, struct reader *l);

/*
 * The cursor of a detached name has held producers back all the time; only the
 * totals that belong to it must be found again. A mark gives them; or, if the
 * holder died between placing its cursor and its first release, the index, or a
 * walk from there.
 */
int consumer_resume_cursor(struct shmring_consumer *c, struct reader *l);

/*
 * Does the consumer still have its place? If not, take a place again and return 0, or
 * -ESTALE if messages were handed out. `releasing`: clears a suspicion.
 */
int consumer_keep_place(struct shmring_consumer *c, bool releasing);

/*
 * Take the place of a consumer that begins at `start` in all lanes. This function and the
 * three that follow return 0, or -EBADMSG if a lane is damaged.
 */
int consumer_join(struct shmring_consumer *c, enum shmring_start start);

/* Go on where the last holder of the name stopped; the place is ACTIVE. */
int consumer_resume(struct shmring_consumer *c);

/* The same for a name that was evicted while it had no holder; the place is SETUP. */
int consumer_revive(struct shmring_consumer *c);

/* Move the cursor of a resumed name elsewhere. */
int consumer_restart(struct shmring_consumer *c, enum shmring_start start);

/*
 * The reader begins at `hot.at`. If that is the oldest message, the messages that the lane
 * counts before it are gone, and the consumer reports them as lost. If it is the next
 * message to come, the program did not ask for what lies before it.
 */
static inline void reader_begin(struct reader *l, enum shmring_start start)
{
	bool oldest = start != SHMRING_START_NOW;

	l->missed = oldest ? l->hot.at.seq : 0;
	l->missed_bytes = oldest ? l->hot.at.bytes : 0;
	l->missed_told = false;
	l->hot.released = l->hot.at;
	l->hot.lost = l->missed;
	l->hot.lost_bytes = l->missed_bytes;
}

/* Record that all before `at` is released, before the cursor is moved there. */
void consumer_write_mark(struct reader *l, const struct shmring_boundary *at);

/*
 * Find what was last released in the marks, among those that are not beyond `limit`
 * (POSITION_NONE: all). False: there is none, and the lane begins at its first position.
 */
bool consumer_recall(const struct shmring_consumer *c, struct reader *l, uint64_t limit);

/* Release a lane up to there; the consumer has its place. */
void consumer_release_lane(struct shmring_consumer *c, struct reader *l,
			   const struct shmring_boundary *to);

/* The turn of the current lane ends, and it has messages in hand. */
void window_note(struct shmring_consumer *c);
void window_clear(struct shmring_consumer *c); /* nothing is in hand any more */
void window_close(struct shmring_consumer *c);

/*
 * Messages are counted by how far lanes were released, not one by one: bring
 * the counters up to there, or go on counting from there.
 */
void consumer_count(struct shmring_consumer *c);
void consumer_begin_count(struct shmring_consumer *c);

/* Bring the ring's counts of this consumer up to date; observers have none. */
void consumer_show_counts(struct shmring_consumer *c);

/* Wake all producers that wait for room: the set of readers has changed. */
void consumer_tell_producers(struct shmring_consumer *c);

/* The observer's ways to begin, to look and to get a message. */
int observer_begin(struct shmring_consumer *c, enum shmring_start start);
int observer_peek(struct shmring_consumer *c, int64_t deadline, struct shmring_message *ret);

#endif
