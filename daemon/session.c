/* SPDX-License-Identifier: MIT */
/*
 * session: see session.h.
 */
#include "session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "sessions.h"
#include "sys.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/*
 * The kernel's queue to a client is as short as possible. The broker's descriptors in it
 * are in flight, and count against the broker's limit.
 */
enum { SEND_BUFFER = 1, STRANGERS = 8 };

/* --- its client --- */

static int read_groups(int fd, struct peer *p)
{
	socklen_t size = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0)
		return 0;
	if (errno != ERANGE)
		return errno == ENODATA || errno == ENOPROTOOPT ? 0 : -errno;
	p->groups = malloc(size);
	if (!p->groups)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, p->groups, &size) < 0)
		return -errno;
	p->group_count = size / sizeof(gid_t);
	return 0;
}

static int read_peer(int fd, struct peer *p)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
		return -errno;
	*p = (struct peer){ .pid = cred.pid, .uid = cred.uid, .gid = cred.gid };
	return read_groups(fd, p);
}

struct verdict session_judge(const struct session *s, const char *name)
{
	return policy_judge(s->sessions->rings->policy, &s->peer, name);
}

/* --- what it has --- */

struct open_ring *session_ring(struct session *s, uint64_t number)
{
	for (size_t i = 0; i < s->ring_count; i++)
		if (s->rings[i].number == number)
			return &s->rings[i];
	return NULL;
}

struct open_ring *session_ring_of(struct session *s, const struct entry *e)
{
	for (size_t i = 0; i < s->ring_count; i++)
		if (s->rings[i].entry == e)
			return &s->rings[i];
	return NULL;
}

struct open_ring *session_add_ring(struct session *s, struct entry *e)
{
	struct open_ring *rings = reallocarray(s->rings, s->ring_count + 1, sizeof(*rings));

	if (!rings)
		return NULL;
	s->rings = rings;
	catalog_hold(e);
	fetch_add32(&e->clients, 1); /* no edge: a count */
	rings[s->ring_count] = (struct open_ring){ ++s->last_number, e };
	return &rings[s->ring_count++];
}

struct grant *session_add_grant(struct session *s, struct entry *e)
{
	struct grant *grants = reallocarray(s->grants, s->grant_count + 1, sizeof(*grants));

	if (!grants)
		return NULL;
	s->grants = grants;
	grants[s->grant_count] = (struct grant){ ++s->last_number, e };
	return &grants[s->grant_count++];
}

static void give_back_grant(struct session *s)
{
	quota_give(s->account, QUOTA_ATTACHMENTS, 1);
	quota_give(s->account, QUOTA_DESCRIPTORS, 1);
}

bool session_drop_grant(struct session *s, uint64_t number)
{
	for (size_t i = 0; i < s->grant_count; i++)
		if (s->grants[i].number == number) {
			s->grants[i] = s->grants[--s->grant_count];
			give_back_grant(s);
			return true;
		}
	return false;
}

/* T4 */
static void give_everything_back(struct session *s)
{
	for (size_t i = 0; i < s->grant_count; i++) {
		reaper_mark(s->grants[i].entry);
		give_back_grant(s);
	}
	if (s->grant_count > 0)
		reaper_wake(s->sessions->reaper);
	for (size_t i = 0; i < s->ring_count; i++) {
		fetch_add32(&s->rings[i].entry->clients, UINT32_MAX); /* no edge: a count */
		quota_give(s->account, QUOTA_DESCRIPTORS, 1);
		rings_release(s->sessions->rings, s->rings[i].entry);
	}
	s->grant_count = s->ring_count = 0;
}

/* --- its end --- */

static void close_watch(struct loop *l, struct watch *watch)
{
	int fd = watch->fd;

	if (fd < 0)
		return;
	loop_remove(l, watch);
	close(fd);
}

static void unstall(struct session *s)
{
	if (s->stall_deadline != 0)
		TAILQ_REMOVE(&s->sessions->stalled, s, stalled);
	s->stall_deadline = 0;
}

void session_end(struct session *s)
{
	struct sessions *all = s->sessions;

	if (!s->account)
		return; /* it has ended */
	log_say(LOG_DEBUG, "client=%llu pid=%d uid=%u gone", (unsigned long long)s->number,
		(int)s->peer.pid, (unsigned)s->peer.uid);
	unstall(s);
	close_watch(all->loop, &s->socket);
	close_watch(all->loop, &s->process);
	while (s->queued > 0)
		if (s->queue[--s->queued].fd >= 0)
			close(s->queue[s->queued].fd);
	give_everything_back(s);
	descriptor_share_give(&all->rings->descriptors, s->account, DESCRIPTOR_SHARE_CONNECTION);
	if (s->stranger)
		s->account->strangers--;
	else
		quota_give(s->account, QUOTA_CONNECTIONS, 1);
	quota_settle(&all->rings->quota, s->account);
	s->account = NULL;
	s->awaits_metrics = s->awaits_lane = false;
	LIST_REMOVE(s, all);
	LIST_INSERT_HEAD(&all->ended, s, all);
	all->count--;
	listener_rearm(all->listener);
}

void session_free(struct session *s)
{
	free(s->peer.groups);
	free(s->rings);
	free(s->grants);
	free(s);
}

void session_condemn(struct session *s, const char *why)
{
	s->sessions->violations++;
	if (account_may_say(&s->sessions->rings->quota, s->account))
		log_say(LOG_WARNING, "client=%llu pid=%d uid=%u disconnected: %s",
			(unsigned long long)s->number, (int)s->peer.pid, (unsigned)s->peer.uid,
			why);
	session_end(s);
}

/* --- answers --- */

/* What to wait for follows from the queue (T1). */
static void await(struct session *s)
{
	bool sends = s->queued > 0 && !s->held;
	bool silent = s->queued > 0 || s->awaits_metrics || s->awaits_lane || s->closing;

	loop_change(s->sessions->loop, &s->socket, (silent ? 0 : EPOLLIN) | (sends ? EPOLLOUT : 0));
	if (!sends) {
		unstall(s);
	} else if (s->stall_deadline == 0) {
		s->stall_deadline = shmr_now() + STALL_SECONDS * INT64_C(1000000000);
		TAILQ_INSERT_TAIL(&s->sessions->stalled, s, stalled);
	}
}

/* The first message was sent: its descriptor is closed before the next is sent (M3). */
static void shift(struct session *s)
{
	if (s->queue[0].fd >= 0)
		close(s->queue[0].fd);
	s->queued--;
	memmove(s->queue, s->queue + 1, s->queued * sizeof(s->queue[0]));
}

static void flush(struct session *s)
{
	while (s->queued > 0 && !s->held) {
		struct outgoing *o = &s->queue[0];
		int e = proto_send(s->socket.fd, &o->message, o->type, o->fd);

		if (e == -EAGAIN)
			break;
		if (e < 0) {
			if (e != -EPIPE && e != -ECONNRESET &&
			    account_may_say(&s->sessions->rings->quota, s->account))
				log_say(LOG_WARNING, "client=%llu cannot be answered: %s",
					(unsigned long long)s->number, strerror(-e));
			session_end(s);
			return;
		}
		shift(s);
	}
	if (s->queued == 0 && s->closing)
		session_end(s);
	else
		await(s);
}

void session_answer(struct session *s, uint32_t serial, enum proto_type type,
		    struct proto_message *m, int fd)
{
	struct outgoing *o;

	if (!s->account) { /* the message before could not be sent */
		if (fd >= 0)
			close(fd);
		return;
	}
	o = &s->queue[s->queued++]; /* T1: there is room */
	m->head.serial = serial;
	o->message = *m;
	o->type = type;
	o->fd = fd;
	flush(s);
}

void session_hold(struct session *s)
{
	s->held = keeper_is_behind(&s->sessions->rings->keeper);
}

void session_go_on(struct session *s)
{
	if (!s->held)
		return;
	s->held = false;
	flush(s);
}

/* Sentences contain paths, and a path can contain anything. */
static void make_printable(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

__attribute__((format(printf, 5, 0))) static void refuse(struct session *s, uint32_t serial,
							 const char *ring, int error,
							 const char *format, va_list args)
{
	struct proto_message m = { .u.error.error = error };

	vsnprintf(m.u.error.text, sizeof(m.u.error.text), format, args);
	make_printable(m.u.error.text);
	if (error == -EACCES || error == -EDQUOT)
		s->sessions->refusals++;
	log_say(LOG_DEBUG, "client=%llu pid=%d uid=%u%s%s refused: %s",
		(unsigned long long)s->number, (int)s->peer.pid, (unsigned)s->peer.uid,
		ring ? " ring=" : "", ring ? ring : "", m.u.error.text);
	session_answer(s, serial, PROTO_ERROR, &m, -1);
}

void session_refuse_ring(struct session *s, uint32_t serial, const char *ring, int error,
			 const char *format, ...)
{
	va_list args;

	va_start(args, format);
	refuse(s, serial, ring, error, format, args);
	va_end(args);
}

void session_refuse(struct session *s, uint32_t serial, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	refuse(s, serial, NULL, error, format, args);
	va_end(args);
}

/* --- its life --- */

static void receive(struct session *s)
{
	struct proto_message m;
	int fd, e = proto_receive(s->socket.fd, &m, true, &fd);

	if (e == -EAGAIN)
		return;
	if (e == -EBADMSG)
		session_condemn(s, "it sent a malformed message, or a descriptor");
	else if (e < 0)
		session_end(s);
	else
		s->sessions->request(s, &m);
}

static void socket_ready(struct watch *watch, uint32_t events)
{
	struct session *s = watch_owner(watch, struct session, socket);

	if (events & EPOLLOUT)
		flush(s);
	else if (events & EPOLLIN)
		receive(s);
	else
		session_end(s); /* EPOLLHUP or EPOLLERR, and nothing left to read */
}

static void process_ready(struct watch *watch, uint32_t events)
{
	(void)events;
	session_end(watch_owner(watch, struct session, process));
}

/* Where the kernel has SO_PEERPIDFD; the end of the connection says nearly the same. */
static void watch_process(struct session *s)
{
	socklen_t size = sizeof(int);
	int fd;

	if (getsockopt(s->socket.fd, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) < 0)
		return;
	if (loop_add(s->sessions->loop, &s->process, fd, EPOLLIN, process_ready) < 0)
		close(fd);
}

/* False: the client does not even become a stranger (struct session). */
static bool enter_account(struct session *s)
{
	struct sessions *all = s->sessions;
	struct account *a = quota_account(&all->rings->quota, s->peer.uid);
	unsigned line;

	if (!a)
		return false;
	s->account = a;
	s->lacks = (struct shortage){ QUOTA_DESCRIPTOR_SHARE, DESCRIPTOR_SHARE_CONNECTION };
	if (descriptor_share_take(&all->rings->descriptors, a, all->rings->policy->descriptor_share,
				  DESCRIPTOR_SHARE_CONNECTION)) {
		s->lacks = (struct shortage){ QUOTA_CONNECTIONS, 1 };
		if (quota_take(a, policy_limits(all->rings->policy, &s->peer, &line),
			       QUOTA_CONNECTIONS, 1) == 0)
			return true;
		descriptor_share_give(&all->rings->descriptors, a, DESCRIPTOR_SHARE_CONNECTION);
	}
	s->stranger = a->strangers < STRANGERS;
	a->strangers += s->stranger;
	if (s->stranger) {
		descriptor_share_count(&all->rings->descriptors, a, DESCRIPTOR_SHARE_CONNECTION);
		return true;
	}
	quota_settle(&all->rings->quota, a);
	s->account = NULL;
	return false;
}

void session_begin(struct sessions *all, int fd)
{
	struct session *s = calloc(1, sizeof(*s));
	const int size = SEND_BUFFER;

	if (!s) {
		close(fd);
		return;
	}
	s->sessions = all;
	s->socket.fd = s->process.fd = -1;
	s->number = ++all->total;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (read_peer(fd, &s->peer) < 0 ||
	    loop_add(all->loop, &s->socket, fd, EPOLLIN, socket_ready) < 0) {
		close(fd);
		session_free(s);
		return;
	}
	if (!enter_account(s)) {
		close_watch(all->loop, &s->socket);
		session_free(s);
		return;
	}
	LIST_INSERT_HEAD(&all->living, s, all);
	all->count++;
	watch_process(s);
	log_say(LOG_DEBUG, "client=%llu pid=%d uid=%u came", (unsigned long long)s->number,
		(int)s->peer.pid, (unsigned)s->peer.uid);
}
