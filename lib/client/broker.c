/* SPDX-License-Identifier: MIT */
/*
 * broker: ask the broker for its rings and its metrics.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <shmring/shmring.h>

#include "connection.h"
#include "explain.h"
#include "options.h"
#include "ring.h"
#include "segment.h"

#define MAX_TEXT (64u << 20)

struct shmring_broker {
	uint64_t *alive; /* in a page that a child of fork finds empty */
	struct connection connection;
};

_Static_assert(SHMRING_BROKER_NAME_SIZE == PROTO_NAME_SIZE, "names fit");
_Static_assert(SHMRING_MAY_PRODUCE == PROTO_PRODUCE && SHMRING_MAY_CONSUME == PROTO_CONSUME &&
		       SHMRING_MAY_OBSERVE == PROTO_OBSERVE && SHMRING_MAY_CREATE == PROTO_CREATE &&
		       SHMRING_MAY_REMOVE == PROTO_REMOVE_RIGHT,
	       "rights are the same words");

int shmring_broker_open(struct shmring_broker **ret, const char *socket)
{
	struct shmring_broker *b = calloc(1, sizeof(*b));
	int e;

	if (!b)
		return explain(-ENOMEM, "out of memory");
	b->connection.socket = -1;
	b->alive = shmr_handle_new(sizeof(*b->alive));
	if (!b->alive)
		e = explain(-ENOMEM, "cannot get memory that fork() clears in the child");
	else
		e = connection_init(&b->connection, socket);
	if (b->alive)
		*b->alive = HANDLE_ALIVE;
	if (e == 0)
		e = connection_open(&b->connection, false);
	if (e < 0)
		shmring_broker_close(b);
	else
		*ret = b;
	return e;
}

void shmring_broker_close(struct shmring_broker *b)
{
	if (!b)
		return;
	connection_close(&b->connection, b->alive && *b->alive != HANDLE_ALIVE);
	if (b->alive)
		shmr_handle_free(b->alive, sizeof(*b->alive));
	free(b);
}

static int check(const struct shmring_broker *b)
{
	if (*b->alive != HANDLE_ALIVE)
		return explain(-ECHILD, "this handle belongs to the parent process");
	return 0;
}

int shmring_broker_next(struct shmring_broker *b, const char *after,
			struct shmring_broker_ring *ret)
{
	struct proto_message m = { 0 };
	const struct proto_entry *entry = &m.u.entry;
	struct shmring_broker_ring found;
	int fd, e = check(b);

	if (e < 0)
		return e;
	if (after && after[0] != '\0') {
		if (!proto_is_name(after))
			return explain(-EINVAL, "'%s' is not the name of a ring", after);
		strcpy(m.u.name.name, after);
	}
	e = connection_ask(&b->connection, &m, PROTO_NEXT, PROTO_ENTRY, &fd);
	if (e < 0)
		return e == -ENOENT ? 0 : e;
	found = (struct shmring_broker_ring){
		.owner = entry->owner,
		.rights = entry->rights,
		.flags = (entry->flags & PROTO_IS_PERSISTENT ? SHMRING_PERSISTENT : 0) |
			 (entry->flags & PROTO_IS_ISOLATED ? SHMRING_ISOLATED : 0),
		.clients = entry->clients,
		.allocated = entry->bytes,
		.created_ns = entry->created_ns,
	};
	memcpy(found.uuid, entry->uuid, sizeof(found.uuid));
	memcpy(found.name, entry->name, sizeof(found.name));
	e = shmr_output_write(ret, &found, sizeof(found),
			      SIZE_UP_TO(struct shmring_broker_ring, uuid));
	return e < 0 ? e : 1;
}

/* Check a text that cannot change while it is read: sealed, and of that length. */
static int check_text(int fd, uint64_t bytes)
{
	const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	struct stat st;

	if (!segment_is_sealed(fd, needed) || fstat(fd, &st) < 0 || bytes > MAX_TEXT ||
	    (uint64_t)st.st_size != bytes)
		return explain(-EPROTO, "the broker's text is not a sealed memory file of the "
					"length that the broker announced");
	return 0;
}

int shmring_broker_metrics(struct shmring_broker *b, int *ret_fd)
{
	struct proto_message m = { 0 };
	int fd, e = check(b);

	if (e == 0)
		e = connection_ask(&b->connection, &m, PROTO_METRICS, PROTO_TEXT, &fd);
	if (e < 0)
		return e;
	e = check_text(fd, m.u.text.bytes);
	if (e == 0 && lseek(fd, 0, SEEK_SET) < 0)
		e = explain(-errno, "cannot read the broker's text: %e", -errno);
	if (e < 0) {
		close(fd);
		return e;
	}
	*ret_fd = fd;
	return 0;
}
