/* SPDX-License-Identifier: MIT */
/*
 * proto: what a client and the broker say to each other over a Unix socket of type
 * SOCK_SEQPACKET; docs/protocol.md is the same for people.
 *
 * One packet is one message; each type has one size. A client asks, the broker
 * answers with the same serial, in order; the answer may be PROTO_ERROR instead of
 * what was asked for. No policy here, no loop, no memory: a message is checked
 * completely before the caller sees it.
 *
 *	client				broker
 *	HELLO				WELCOME, or ERROR and the end
 *	OPEN				RING and a read-only descriptor
 *	ATTACH				GRANT and a descriptor, then GO
 *	DETACH				-
 *	NEXT				ENTRY, or ERROR -ENOENT after the last
 *	REMOVE				DONE
 *	METRICS				TEXT and a descriptor
 *	LANE				LANE_FILE and a descriptor
 *
 * M1 A packet is taken only if its size is that of its type, its words are in
 *    range, its strings end and are printable, what is reserved is zero, and it
 *    brings exactly the descriptors that belong to its type. Any other packet ends the
 *    connection, and the descriptors that it brought are closed.
 * M2 A client never brings descriptors.
 * M3 A GRANT's descriptor is an open file description that no other process has: the
 *    broker opened it for this message and closed its own copy before it sends GO.
 *    The client locks nothing before GO, for until then a copy in the broker, or in
 *    the queue of the socket, would keep the lock after the client's death.
 */
#ifndef SHMRING_PROTO_PROTO_H
#define SHMRING_PROTO_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTO_MAGIC UINT32_C(0x62687372)
#define PROTO_VERSION 1u
#define PROTO_NAME_SIZE 64u /* of a ring, with its final NUL */
#define PROTO_TEXT_SIZE 400u

/*
 * Where the broker listens, spelled here only: at the path that this variable of the
 * environment names; else at the first path if it is root's, and at the second one, below
 * $XDG_RUNTIME_DIR, if it is another user's.
 */
#define PROTO_SOCKET_VARIABLE "SHMRING_BROKER"
#define PROTO_SYSTEM_SOCKET "/run/shmring/broker"
#define PROTO_USER_SOCKET "shmring/broker"

enum proto_type {
	PROTO_HELLO = 1,
	PROTO_WELCOME,
	PROTO_ERROR,
	PROTO_OPEN,
	PROTO_RING,
	PROTO_ATTACH,
	PROTO_GRANT,
	PROTO_GO,
	PROTO_DETACH,
	PROTO_NEXT,
	PROTO_ENTRY,
	PROTO_REMOVE,
	PROTO_DONE,
	PROTO_METRICS,
	PROTO_TEXT,
	PROTO_LANE,
	PROTO_LANE_FILE,
	PROTO_TYPES
};

/* What a client may do with a ring; also the role of an attachment: one of the first three. */
#define PROTO_PRODUCE 1u
#define PROTO_CONSUME 2u
#define PROTO_OBSERVE 4u
#define PROTO_CREATE 8u
#define PROTO_REMOVE_RIGHT 16u
#define PROTO_RIGHTS 31u

/* Flags of OPEN. */
#define PROTO_MAKE 1u	    /* make it; -EEXIST if there is one */
#define PROTO_PERSISTENT 2u /* in the state directory, on disk */
#define PROTO_ISOLATED 4u   /* in memory files of the broker's, one for each lane */

/* Flags of RING and ENTRY. */
#define PROTO_IS_PERSISTENT 1u
#define PROTO_IS_ISOLATED 2u

struct proto_head {
	uint32_t magic;
	uint16_t type;
	uint16_t version; /* 0 in HELLO, then what WELCOME said */
	uint32_t size;	  /* of the packet, in bytes */
	uint32_t serial;  /* the client's; an answer repeats it */
};

/* The highest version and features (none yet) that both know are spoken. */
struct proto_hello {
	uint32_t version_min, version_max;
	uint64_t features;
};

struct proto_welcome {
	uint32_t version;
	uint32_t reserved;
	uint64_t features;
	uint8_t broker[16]; /* of this broker process: it has another one after a restart */
};

struct proto_error {
	int32_t error; /* negative errno */
	char text[PROTO_TEXT_SIZE];
};

/* struct shmring_config, in words of fixed width; all zero: the defaults. */
struct proto_config {
	uint64_t lane_size;
	uint64_t evict_after_ns;
	uint64_t max_sleep_ns;
	uint64_t first_position;
	uint32_t lanes;
	uint32_t alignment;
	uint32_t slow_policy;
	uint32_t unread_policy; /* 0 overwrite, 1 hold, as in the identity of a ring */
	uint32_t wake;
	uint32_t mode;
	uint32_t stamps;
	uint32_t reserved;
	uint64_t evict_lag;
	uint64_t evict_lag_ns;
};

/* With PROTO_MAKE the ring is made as `config` says; else that is zero. */
struct proto_open {
	char name[PROTO_NAME_SIZE];
	uint32_t flags;
	uint32_t reserved;
	struct proto_config config;
};

/* The descriptor with it is read-only and may only be used to look and to probe. */
struct proto_ring {
	uint64_t ring;	 /* its number in this connection */
	uint32_t rights; /* of this client */
	uint32_t flags;
	uint8_t uuid[16];
};

struct proto_attach {
	uint64_t ring;
	uint32_t role; /* one of PROTO_PRODUCE, PROTO_CONSUME, PROTO_OBSERVE */
	uint32_t reserved;
};

/* The answer to ATTACH; GO with the same grant and serial follows at once. */
struct proto_grant {
	uint64_t grant; /* its number in this connection, for DETACH */
};

/*
 * For an isolated ring: the file of a lane. PROTO_PRODUCE: to write, for the owner of
 * that epoch, whose place is locked; the other roles: to read, and `epoch` is zero.
 */
struct proto_lane {
	uint64_t ring;
	uint32_t role;
	uint32_t lane;
	uint32_t epoch;
	uint32_t reserved;
};

/* The descriptor with it carries no lock, so nothing follows. */
struct proto_lane_file {
	uint32_t file_number; /* which of the lane's files this is */
	uint32_t reserved;
};

struct proto_name {
	char name[PROTO_NAME_SIZE];
};

struct proto_entry {
	char name[PROTO_NAME_SIZE];
	uint32_t owner; /* uid */
	uint32_t rights;
	uint32_t flags;
	uint32_t clients; /* connections that have it open */
	uint64_t bytes;	  /* allocated */
	uint64_t created_ns;
	uint8_t uuid[16];
};

/* The descriptor with it is a sealed memory file of that many bytes. */
struct proto_text {
	uint64_t bytes;
};

struct proto_message {
	struct proto_head head;
	union {
		struct proto_hello hello;
		struct proto_welcome welcome;
		struct proto_error error;
		struct proto_open open;
		struct proto_ring ring;
		struct proto_attach attach;
		struct proto_grant grant; /* GRANT, GO, DETACH */
		struct proto_name name;	  /* NEXT (the one before, "" for the first), REMOVE */
		struct proto_entry entry;
		struct proto_text text;
		struct proto_lane lane;
		struct proto_lane_file lane_file;
	} u;
};

/*
 * The whole head but the serial is filled in, then it goes out as one packet, with
 * `fd` unless that is negative; the descriptor stays the caller's. Never blocks and
 * raises no signal. -EAGAIN (the socket's queue is full), -EPIPE and others of
 * sendmsg(2). -EINVAL: not a message (M1); nothing was sent.
 */
int proto_send(int socket, struct proto_message *m, enum proto_type type, int fd);

/*
 * The next packet of the other side: requests if `from_client`, else answers.
 * *ret_fd is what came with it, close-on-exec, or -1. Does not wait: -EAGAIN
 * (nothing there), -ECONNRESET (the other side is gone), -EBADMSG (M1 is broken:
 * end the connection), -EMFILE and -ENFILE (a descriptor could not be received, and
 * was dropped: end the connection).
 */
int proto_receive(int socket, struct proto_message *ret, bool from_client, int *ret_fd);

/* Is this the name of a ring: 1 to 63 letters, digits, '.', '_' or '-', no '.' first? */
bool proto_is_name(const char *name);

#endif
