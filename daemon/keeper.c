/* SPDX-License-Identifier: MIT */
/*
 * keeper: see keeper.h. This is the broker's side; keeper-process.c is the other one.
 */
#include "keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keeper-process.h"
#include "keeper-send.h"
#include "keeper-start.h"
#include "log.h"
#include "sys.h"

#define RETRY_NS INT64_C(100000000)

/* At the start, when clients wait this long for a broker: the machine may be busy. */
#define START_PATIENCE_NS INT64_C(2000000000)

enum { PATIENCE_MS = 1000, START_PATIENCE_MS = 2000 };

static void restart(struct keeper *k);

/* --- what an earlier broker left --- */

static void add_kept(struct keeper *k, int fd, uint64_t serial)
{
	if (k->kept_count == k->kept_room) {
		size_t room = k->kept_room == 0 ? 64 : 2 * k->kept_room;
		struct kept_file *kept = reallocarray(k->kept, room, sizeof(*kept));

		if (!kept) {
			close(fd);
			return;
		}
		k->kept = kept;
		k->kept_room = room;
	}
	if (serial > k->serial)
		k->serial = serial;
	k->kept[k->kept_count++] = (struct kept_file){ fd, serial };
}

static void give_back(struct keeper *k)
{
	k->calls->returned(k, k->kept, k->kept_count);
	free(k->kept);
	k->kept = NULL;
	k->kept_count = k->kept_room = 0;
}

static void end_taking_back(struct keeper *k)
{
	k->takes_back = k->hung = false;
	give_back(k);
}

static void disconnect(struct keeper *k)
{
	int fd = k->watch.fd;

	loop_remove(k->loop, &k->watch);
	if (fd >= 0)
		close(fd);
}

static void lose(struct keeper *k)
{
	log_say(LOG_WARNING, "the keeper of isolated rings has ended");
	disconnect(k);
	queue_clear(&k->queue);
	if (k->takes_back)
		end_taking_back(k);
	restart(k);
}

/* False: no further word is there at the moment. */
static bool hear(struct keeper *k)
{
	struct word w;
	int fd, second, n = word_hear(k->watch.fd, &w, &fd, &second);

	if (n < 0)
		return false;
	if (n == 0) {
		lose(k);
		return false;
	}
	if (second >= 0)
		close(second);
	if (fd >= 0 && w.type == WORD_ITEM && k->takes_back)
		add_kept(k, fd, w.serial);
	else if (fd >= 0)
		close(fd);
	else if (w.type == WORD_ITEM)
		log_say(LOG_ERR, "a file of an isolated ring is lost: no descriptor was left");
	if (w.type == WORD_END && k->takes_back) {
		if (k->hung)
			log_say(LOG_NOTICE,
				"the keeper of isolated rings has given its rings back");
		end_taking_back(k);
	}
	return true;
}

static void ready(struct watch *watch, uint32_t events)
{
	struct keeper *k = watch_owner(watch, struct keeper, watch);

	if (events & EPOLLOUT)
		keeper_flush(k);
	if (events & ~(uint32_t)EPOLLOUT)
		while (k->watch.fd >= 0 && hear(k))
			;
}

/* --- finding and starting one --- */

static int adopt(struct keeper *k, int socket)
{
	int e = loop_add(k->loop, &k->watch, socket, EPOLLIN, ready);

	if (e < 0)
		close(socket);
	k->hung = k->throttled = false;
	k->overdue_ns = 0;
	return e;
}

/* -EAGAIN: there is a keeper, but it does not accept; another error: there is none. */
static int find_one(struct keeper *k)
{
	int s = keeper_connect(k->directory);

	return s < 0 ? s : adopt(k, s);
}

static void tell_all(struct keeper *k)
{
	k->queue.incomplete = false;
	k->calls->everything(k);
}

static int begin_words(struct keeper *k)
{
	struct word listen_word;
	int directory = openat(k->directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int listener = directory < 0 ? -errno : keeper_listen(k->directory, &listen_word);
	struct queued_word *w = listener < 0 ? NULL : queue_word(&k->queue, WORD_LISTEN);

	if (!w) {
		if (directory >= 0)
			close(directory);
		if (listener >= 0)
			close(listener);
		return listener < 0 ? listener : -ENOMEM;
	}
	w->word = listen_word;
	w->fd = listener;
	w->second = directory;
	w->own = true;
	return 0;
}

/* KE4 */
static int start_one(struct keeper *k)
{
	int s = keeper_start(k->sandboxed), e;

	k->next_start_ns = shmr_now() + KEEPER_PATIENCE_NS;
	if (s < 0)
		return s;
	disconnect(k);
	queue_clear(&k->queue);
	e = adopt(k, s);
	if (e == 0)
		e = begin_words(k);
	if (e < 0)
		return e;
	tell_all(k);
	queue_word(&k->queue, (enum word_type)WORD_NAME);
	keeper_flush(k);
	return 0;
}

/* Find a keeper that has what an earlier broker gave it, and send it what there is now. */
static int renew(struct keeper *k)
{
	int e = find_one(k);

	if (e < 0)
		return e;
	queue_clear(&k->queue);
	queue_word(&k->queue, WORD_BEGIN);
	tell_all(k);
	queue_word(&k->queue, WORD_COMMIT);
	keeper_flush(k);
	return 0;
}

/* There is no keeper: start one, or else find one. */
static void restart(struct keeper *k)
{
	int e = -ENOENT;

	if (k->wanted && shmr_now() < k->next_start_ns) {
		keeper_release(k); /* it dies as soon as it is born: again in a second */
		return;
	}
	if (k->wanted) {
		e = start_one(k);
		if (e < 0 && !k->alone)
			log_say(LOG_WARNING, "cannot start a keeper of isolated rings: %s",
				strerror(-e));
	}
	if (e < 0)
		disconnect(k);
	if (e == 0 || renew(k) == 0) {
		k->alone = false;
		return;
	}
	if (!k->alone)
		log_say(LOG_WARNING, "isolated rings have no keeper, so they end with this broker");
	k->alone = true;
	keeper_release(k);
}

/* KE5 */
static void take_back(struct keeper *k)
{
	struct pollfd answer = { .fd = k->watch.fd, .events = POLLIN };
	int64_t limit = shmr_now() + START_PATIENCE_NS;

	k->takes_back = true;
	queue_word(&k->queue, WORD_GET);
	keeper_flush(k);
	while (k->takes_back && shmr_now() < limit && poll(&answer, 1, START_PATIENCE_MS) == 1)
		while (k->takes_back && hear(k))
			;
}

static void log_hung_keeper(struct keeper *k)
{
	k->hung = true;
	log_say(LOG_ERR,
		k->takes_back ? "the keeper of isolated rings (process " KEEPER_PROCESS_NAME
				") does not answer: until it goes on, its rings cannot be used and "
				"no isolated ring can be made; if it is killed, its rings are lost"
			      : "the keeper of isolated rings (process " KEEPER_PROCESS_NAME
				") does not read its messages: until it goes on or is killed, "
				"changes of isolated rings may be lost with this broker");
	keeper_release(k);
}

static void search(struct keeper *k)
{
	int e = find_one(k);

	k->next_search_ns = e == -EAGAIN ? shmr_now() + RETRY_NS : 0;
	if (e == 0) {
		queue_word(&k->queue, WORD_GET);
		keeper_flush(k);
	} else if (e != -EAGAIN) {
		end_taking_back(k);
		restart(k);
	}
}

void keeper_open(struct keeper *k, struct loop *loop, int directory, bool wanted, bool sandboxed,
		 const struct keeper_calls *calls)
{
	*k = (struct keeper){ .loop = loop,
			      .calls = calls,
			      .watch.fd = -1,
			      .directory = directory,
			      .wanted = wanted && !getenv("FDSTORE"),
			      .sandboxed = sandboxed };
	queue_open(&k->queue);
	descriptor_store_open(&k->store);
}

void keeper_find(struct keeper *k, bool complete)
{
	int e = complete ? renew(k) : find_one(k);

	if (e == 0 && !complete)
		take_back(k);
	if (e == -EAGAIN && !complete) {
		k->takes_back = true;
		k->next_search_ns = shmr_now() + RETRY_NS;
	}
	if (k->takes_back)
		log_hung_keeper(k);
	else if (e < 0 && k->wanted)
		restart(k);
}

/* --- its use --- */

bool keeper_is_there(const struct keeper *k)
{
	return k->watch.fd >= 0 || k->store.used;
}

bool keeper_is_behind(const struct keeper *k)
{
	return k->watch.fd >= 0 && k->queue.count > 0 && !k->hung;
}

void keeper_put(struct keeper *k, int fd, const char *label)
{
	queue_put(&k->queue, fd, keeper_next_serial(k), label);
	keeper_push(k);
	descriptor_store_put(&k->store, fd, label);
}

void keeper_drop(struct keeper *k, int fd, const char *label)
{
	queue_drop(&k->queue, fd, label);
	keeper_push(k);
	descriptor_store_drop(&k->store, fd, label);
}

void keeper_tell(struct keeper *k, int fd)
{
	queue_put(&k->queue, fd, keeper_next_serial(k), NULL);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

int64_t keeper_deadline(const struct keeper *k)
{
	int64_t deadline = earlier(k->overdue_ns, k->store.retry_ns);

	if (k->throttled)
		deadline = earlier(deadline, shmr_now() + RETRY_NS);
	if (k->watch.fd < 0 && k->wanted && k->next_search_ns == 0)
		deadline = earlier(deadline, k->next_start_ns);
	return earlier(deadline, k->next_search_ns);
}

/* The keeper took nothing for a second, or there was no memory for a word. */
static void replace(struct keeper *k)
{
	int e;

	k->overdue_ns = 0;
	e = k->wanted && !k->takes_back ? start_one(k) : -EPERM;
	if (e == 0)
		log_say(LOG_WARNING, "the keeper of isolated rings does not read its messages (is "
				     "it stopped?): a new keeper replaces it");
	else if (!k->hung)
		log_hung_keeper(k);
	if (e < 0 && k->wanted && !k->takes_back)
		k->overdue_ns = shmr_now() + KEEPER_PATIENCE_NS; /* try it again */
}

void keeper_tick(struct keeper *k)
{
	int64_t now = shmr_now();

	descriptor_store_tick(&k->store, now);
	if (k->next_search_ns != 0 && now >= k->next_search_ns)
		search(k);
	else if (k->watch.fd < 0 && k->wanted && k->next_search_ns == 0 && now >= k->next_start_ns)
		restart(k);
	if (k->throttled)
		keeper_flush(k);
	if (k->watch.fd >= 0 && ((k->overdue_ns != 0 && now >= k->overdue_ns) ||
				 (k->queue.incomplete && now >= k->next_start_ns)))
		replace(k);
}

/* The last words: the keeper, or another keeper, takes them within a second. */
static bool drain(struct keeper *k)
{
	int64_t limit = shmr_now() + KEEPER_PATIENCE_NS;
	struct pollfd room = { .events = POLLOUT };

	while (k->watch.fd >= 0 && k->queue.count > 0 && shmr_now() < limit) {
		room.fd = k->watch.fd;
		if (poll(&room, 1, PATIENCE_MS) == 1 && (room.revents & (POLLHUP | POLLERR)) != 0)
			lose(k);
		else
			keeper_flush(k);
	}
	return k->watch.fd < 0 || k->queue.count == 0;
}

static void say_last_words(struct keeper *k)
{
	if (drain(k))
		return;
	replace(k);
	if (k->hung || !drain(k))
		log_say(LOG_ERR,
			"the keeper of isolated rings did not read %zu messages: the next broker "
			"may lack rings, or find removed ones again",
			k->queue.count);
}

void keeper_close(struct keeper *k, bool successor)
{
	if (!k->calls)
		return;
	if (!successor)
		say_last_words(k);
	for (size_t i = 0; i < k->kept_count; i++)
		close(k->kept[i].fd);
	free(k->kept);
	disconnect(k);
	queue_clear(&k->queue);
	descriptor_store_close(&k->store);
	*k = (struct keeper){ .watch.fd = -1 };
}
