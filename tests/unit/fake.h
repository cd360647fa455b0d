/* SPDX-License-Identifier: MIT */
/*
 * A broker for tests of its clients: one process, no rules, and tricks that a broker
 * never plays. It knows one ring, a file of the test's room.
 */
#ifndef TESTS_UNIT_FAKE_H
#define TESTS_UNIT_FAKE_H

#include <stdint.h>

#include "child.h"
#include "proto.h"

enum { FAKE_CLIENTS = 64 }; /* at one time */

/* What it does instead of the answer to a message of type `at`. */
enum trick {
	TRICK_NONE,
	TRICK_SILENCE,	    /* no answer */
	TRICK_SILENT_GO,    /* GRANT, and no GO */
	TRICK_HANG_UP,	    /* at once */
	TRICK_NO_GO,	    /* hang up after GRANT */
	TRICK_WRONG_GO,	    /* GO of another grant */
	TRICK_LAST_WORDS,   /* an ERROR for the connection, and hang up */
	TRICK_REFUSE,	    /* ERROR -EACCES */
	TRICK_MUTE_REFUSAL, /* ERROR -EDQUOT without a sentence */
	TRICK_WRONG_SERIAL,
	TRICK_WRONG_TYPE, /* DONE */
	TRICK_GARBAGE,	  /* bytes that are no message */
	TRICK_WRONG_VERSION,
	TRICK_FEATURES,	  /* descriptors that no client asked for */
	TRICK_NO_RING,	  /* the descriptor is /dev/null */
	TRICK_OTHER_RING, /* the descriptor is another ring's */
	TRICK_OTHER_UUID, /* RING names another ring */
	TRICK_READ_ONLY,  /* the descriptor is, whatever the role */
	TRICK_UNSEALED,	  /* the text */
	TRICK_SHORT_TEXT, /* is shorter than it says */
	TRICK_SLOWLY,	  /* the answer comes after a tenth of a second */
};

/* Shared with it: set before fake_start(), look at any time. */
struct fake {
	enum trick trick;
	uint32_t at;
	uint32_t times; /* that the trick is played; 0: always */
	uint32_t rights;
	uint64_t delay_ns; /* before it listens */
	char socket[108], ring[256], other[256];

	uint32_t connections; /* so far */
	uint32_t open;	      /* now */
	uint32_t received[PROTO_TYPES];
	struct proto_config config; /* of the last OPEN */
	uint32_t flags;
};

/*
 * A fake whose ring is room_path("ring") and whose socket is room_path("broker"),
 * which goes to $SHMRING_BROKER; there is another ring, room_path("other").
 */
struct fake *fake_new(void);
void fake_free(struct fake *f);

/* Start it. It listens when this returns, unless there is a delay. */
void fake_start(struct fake *f, struct child *c);

/* Kill it; its socket stays behind, as that of any broker that is killed. */
void fake_kill(struct fake *f, struct child *c);

/* Wait until that many connections are open, or messages of a type have come. */
void fake_await_open(const struct fake *f, uint32_t count);
void fake_await(const struct fake *f, enum proto_type type, uint32_t count);

#endif
