/* SPDX-License-Identifier: MIT */
/*
 * proto: see proto.h.
 */
#include "proto.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "packet.h"

#define SIZE_OF(member) (sizeof(struct proto_head) + sizeof(((struct proto_message *)0)->u.member))

/* Of each type: its size, which side sends it, and whether a descriptor belongs to it. */
static const struct kind {
	size_t size;
	bool from_client;
	bool with_fd;
} kinds[PROTO_TYPES] = {
	[PROTO_HELLO] = { SIZE_OF(hello), true, false },
	[PROTO_WELCOME] = { SIZE_OF(welcome), false, false },
	[PROTO_ERROR] = { SIZE_OF(error), false, false },
	[PROTO_OPEN] = { SIZE_OF(open), true, false },
	[PROTO_RING] = { SIZE_OF(ring), false, true },
	[PROTO_ATTACH] = { SIZE_OF(attach), true, false },
	[PROTO_GRANT] = { SIZE_OF(grant), false, true },
	[PROTO_GO] = { SIZE_OF(grant), false, false },
	[PROTO_DETACH] = { SIZE_OF(grant), true, false },
	[PROTO_NEXT] = { SIZE_OF(name), true, false },
	[PROTO_ENTRY] = { SIZE_OF(entry), false, false },
	[PROTO_REMOVE] = { SIZE_OF(name), true, false },
	[PROTO_DONE] = { sizeof(struct proto_head), false, false },
	[PROTO_METRICS] = { sizeof(struct proto_head), true, false },
	[PROTO_TEXT] = { SIZE_OF(text), false, true },
	[PROTO_LANE] = { SIZE_OF(lane), true, false },
	[PROTO_LANE_FILE] = { SIZE_OF(lane_file), false, true },
};

bool proto_is_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-";
	size_t length = strnlen(name, PROTO_NAME_SIZE);

	return length > 0 && length < PROTO_NAME_SIZE && name[0] != '.' &&
	       strspn(name, letters) == length;
}

/* A name that fills the rest of its field with zeros; `empty`: or none at all. */
static bool is_name_field(const char name[PROTO_NAME_SIZE], bool empty)
{
	size_t length = strnlen(name, PROTO_NAME_SIZE);

	if (!proto_is_name(name) && !(empty && length == 0))
		return false;
	while (length < PROTO_NAME_SIZE)
		if (name[length++] != '\0')
			return false;
	return true;
}

static bool is_text(const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return length < size;
}

static bool is_role(uint32_t role)
{
	return role == PROTO_PRODUCE || role == PROTO_CONSUME || role == PROTO_OBSERVE;
}

static bool is_open(const struct proto_open *o)
{
	static const struct proto_config none;

	return is_name_field(o->name, false) && o->reserved == 0 && o->config.reserved == 0 &&
	       (o->flags & ~(PROTO_MAKE | PROTO_PERSISTENT | PROTO_ISOLATED)) == 0 &&
	       ((o->flags & PROTO_MAKE) != 0 ||
		(o->flags == 0 && memcmp(&o->config, &none, sizeof(none)) == 0));
}

/* M1, but for the head and the descriptors. */
static bool is_sound(const struct proto_message *m)
{
	switch (m->head.type) {
	case PROTO_HELLO:
		return m->u.hello.version_min <= m->u.hello.version_max;
	case PROTO_WELCOME:
		return m->u.welcome.reserved == 0;
	case PROTO_ERROR:
		return m->u.error.error < 0 && m->u.error.error > -4096 &&
		       is_text(m->u.error.text, sizeof(m->u.error.text));
	case PROTO_OPEN:
		return is_open(&m->u.open);
	case PROTO_RING:
		return (m->u.ring.rights & ~PROTO_RIGHTS) == 0 &&
		       (m->u.ring.flags & ~(PROTO_IS_PERSISTENT | PROTO_IS_ISOLATED)) == 0;
	case PROTO_ATTACH:
		return is_role(m->u.attach.role) && m->u.attach.reserved == 0;
	case PROTO_LANE:
		return is_role(m->u.lane.role) && m->u.lane.reserved == 0 &&
		       (m->u.lane.role == PROTO_PRODUCE || m->u.lane.epoch == 0);
	case PROTO_LANE_FILE:
		return m->u.lane_file.reserved == 0;
	case PROTO_NEXT:
		return is_name_field(m->u.name.name, true);
	case PROTO_REMOVE:
		return is_name_field(m->u.name.name, false);
	case PROTO_ENTRY:
		return is_name_field(m->u.entry.name, false) &&
		       (m->u.entry.rights & ~PROTO_RIGHTS) == 0 &&
		       (m->u.entry.flags & ~(PROTO_IS_PERSISTENT | PROTO_IS_ISOLATED)) == 0;
	default: /* any number will do */
		return true;
	}
}

static const struct kind *kind_of(const struct proto_message *m)
{
	return m->head.type < PROTO_TYPES && kinds[m->head.type].size > 0 ? &kinds[m->head.type]
									  : NULL;
}

/* HELLO carries no version: none is agreed on yet. */
static uint16_t version_of(unsigned type)
{
	if (type == PROTO_HELLO)
		return 0;
	return PROTO_VERSION;
}

int proto_send(int socket, struct proto_message *m, enum proto_type type, int fd)
{
	m->head.magic = PROTO_MAGIC;
	m->head.type = (uint16_t)type;
	m->head.version = version_of(type);
	if (!kind_of(m) || kind_of(m)->with_fd != (fd >= 0) || !is_sound(m))
		return -EINVAL;
	m->head.size = (uint32_t)kind_of(m)->size;
	return packet_send(socket, m, m->head.size, &fd, fd >= 0, MSG_DONTWAIT);
}

static int check(const struct proto_message *m, size_t size, bool from_client, int fds)
{
	const struct kind *kind;

	if (size < sizeof(m->head) || m->head.magic != PROTO_MAGIC || m->head.size != size)
		return -EBADMSG;
	kind = kind_of(m);
	if (!kind || kind->size != size || kind->from_client != from_client ||
	    m->head.version != version_of(m->head.type) || (fds == 1) != kind->with_fd || fds > 1 ||
	    !is_sound(m))
		return -EBADMSG;
	return 0;
}

int proto_receive(int socket, struct proto_message *ret, bool from_client, int *ret_fd)
{
	struct packet_extras with;
	ssize_t n;
	int e;

	memset(ret, 0, sizeof(*ret));
	*ret_fd = -1;
	/* The broker has no room for descriptors: the kernel drops them, and says so. */
	n = packet_receive(socket, ret, sizeof(*ret), from_client ? 0 : 1, MSG_DONTWAIT, &with);
	if (n < 0)
		return (int)n;
	if (n == 0)
		e = -ECONNRESET;
	else if (with.flags & MSG_CTRUNC)
		e = from_client ? -EBADMSG : -EMFILE;
	else if (with.flags & MSG_TRUNC)
		e = -EBADMSG;
	else
		e = check(ret, (size_t)n, from_client, with.came);
	if (e == 0)
		*ret_fd = with.fd[0];
	else if (with.fd[0] >= 0)
		close(with.fd[0]);
	return e;
}
