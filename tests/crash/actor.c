/* SPDX-License-Identifier: MIT */
/*
 * The actors, from inside: one function per role.
 */
#include "actor.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "must.h"

static void tell(struct actor *a, enum request request)
{
	atomic_store(&a->notes->request,
		     request == REQUEST_NONE ? 0 : ++a->requests * REQUESTS + request);
}

/* Make a request, and wait until it is done. */
static void ask(struct actor *a, enum request request)
{
	tell(a, request);
	while (atomic_load(&a->notes->request) != REQUEST_NONE)
		sched_yield();
}

static void open_producer(struct actor *a)
{
	struct shmring_producer_options options = { .size = sizeof(options), .spin_ns = -1 };

	must(shmring_producer_attach(&a->producer, a->ring, &options));
}

static void publish(struct actor *a, size_t len)
{
	static unsigned char data[LARGE];

	audit_fill(data, len, a->source, a->notes->begun++);
	must(shmring_publish(a->producer, data, len, patience()));
	a->notes->done = a->notes->begun;
}

/* The other way to wait for room. */
static void await_room(struct actor *a, size_t len)
{
	struct shmring_wait_item room = { .what = shmring_producer_waitable(a->producer, len) };

	must(shmring_wait(&room, 1, patience()));
}

/* All messages of the batch appear, or none. */
static void publish_batch(struct actor *a, unsigned count, size_t len)
{
	while (count-- > 0) {
		void *data;

		must(shmring_claim(a->producer, len, patience(), &data));
		audit_fill(data, len, a->source, a->notes->begun++);
		must(count > 0 ? shmring_stage(a->producer, len)
			       : shmring_commit(a->producer, len));
	}
	a->notes->done = a->notes->begun;
}

static int open_consumer(struct actor *a, const char *name, uint32_t start, uint32_t flags)
{
	struct shmring_consumer_options options = {
		.size = sizeof(options),
		.name = name,
		.start = start,
		.flags = flags,
		.spin_ns = -1,
	};

	return shmring_consumer_attach(&a->consumer, a->ring, &options);
}

/* One without history: what it gets first may be anything. */
static void open_anew(struct actor *a, const char *name, uint32_t start, uint32_t flags)
{
	must(open_consumer(a, name, start, flags));
	audit_begin(&a->notes->released, false);
	a->notes->pending = a->notes->released;
}

static void close_consumer(struct actor *a)
{
	shmring_consumer_detach(a->consumer);
	a->consumer = NULL;
	a->notes->pending = a->notes->released;
}

/* Release the messages in hand. False: the consumer was evicted, so none of them counts. */
static bool let_go(struct actor *a)
{
	struct notes *n = a->notes;
	int r;

	n->releasing = true;
	r = shmring_release(a->consumer);
	if (r == -ESTALE)
		n->pending = n->released;
	else
		must(r);
	n->released = n->pending;
	n->releasing = false;
	return r == 0;
}

/* False: no message came, or the consumer was evicted and has lost the messages in hand. */
static bool look(struct actor *a, int64_t deadline)
{
	struct shmring_message m;
	int r = shmring_peek(a->consumer, deadline, &m);

	if (r == -ESTALE)
		a->notes->pending = a->notes->released;
	if (r == -EAGAIN || r == -ETIMEDOUT || r == -ESTALE)
		return false;
	must(r);
	audit_peeked(&a->notes->pending, a->consumer, &m);
	return true;
}

/* Take up to `count` of the messages that are there. */
static void take(struct actor *a, unsigned count)
{
	while (count > 0 && look(a, SHMRING_NOWAIT))
		count -= let_go(a);
}

/* Take all messages, sleep a little without success, and then until a message comes. */
static void sleep_and_take(struct actor *a)
{
	take(a, UINT32_MAX);
	look(a, shmring_deadline(1000000));
	let_go(a);
	tell(a, REQUEST_WAKE);
	look(a, patience());
	let_go(a);
	tell(a, REQUEST_NONE);
}

/* The same with a watermark, which is taken back afterwards. */
static void sleep_by_watermark(struct actor *a)
{
	must(shmring_consumer_watermark(a->consumer, 2, 0, 0));
	sleep_and_take(a);
	must(shmring_consumer_watermark(a->consumer, 0, 0, 0));
}

static void play_producer(struct actor *a)
{
	open_producer(a);
	ask(a, REQUEST_SLEEPER);
	publish(a, SMALL);
	ask(a, REQUEST_SLEEPER);
	publish_batch(a, 3, SMALL);
	publish(a, LARGE);
	tell(a, REQUEST_HOLD);
	for (int i = 0; i < 150; i++) {
		if (i % 2 == 0)
			await_room(a, MIDDLE);
		publish(a, MIDDLE);
	}
	tell(a, REQUEST_NONE);
	publish_batch(a, 3, SMALL); /* where old bytes lie, not the zeros of a new lane */
	shmring_producer_detach(a->producer);
}

static void play_consumer(struct actor *a)
{
	open_anew(a, NULL, SHMRING_START_OLDEST, 0);
	ask(a, REQUEST_FEED);
	take(a, 3);
	sleep_and_take(a);
	ask(a, REQUEST_FEED);
	look(a, SHMRING_NOWAIT);
	look(a, SHMRING_NOWAIT);
	ask(a, REQUEST_EVICT);
	let_go(a);
	take(a, 5);
	close_consumer(a);
}

static void play_pinned(struct actor *a)
{
	open_anew(a, NULL, SHMRING_START_DEFAULT, SHMRING_PINNED);
	take(a, UINT32_MAX);
	ask(a, REQUEST_FEED);
	take(a, 3);
	sleep_and_take(a);
	sleep_by_watermark(a);
	close_consumer(a);
}

/*
 * Go on under the name: the audit goes on, too. With a limit of its own, which the consumer
 * announces when it has the place, and which is too long to be exceeded.
 */
static void resume(struct actor *a)
{
	const struct shmring_consumer_options options = {
		.size = sizeof(options),
		.name = a->notes->name,
		.start = SHMRING_START_RESUME,
		.max_lag_ns = UINT64_C(86400000000000),
		.spin_ns = -1,
	};

	must(shmring_consumer_attach(&a->consumer, a->ring, &options));
	take(a, 2);
	close_consumer(a);
}

static void play_named(struct actor *a)
{
	struct notes *n = a->notes;

	open_anew(a, n->name, SHMRING_START_DEFAULT, 0);
	n->established = true;
	ask(a, REQUEST_FEED);
	take(a, 3);
	close_consumer(a);
	resume(a);
	n->elsewhere = true;
	open_anew(a, n->name, SHMRING_START_NOW, 0);
	n->elsewhere = false;
	ask(a, REQUEST_FEED);
	take(a, 2);
	close_consumer(a);
	ask(a, REQUEST_LAPSE);
	resume(a);
	n->established = false;
	must(shmring_forget(a->ring, n->name));
}

static void play_joiner(struct actor *a)
{
	open_anew(a, NULL, SHMRING_START_OLDEST, 0);
	take(a, 5);
	close_consumer(a);
	open_anew(a, NULL, SHMRING_START_NOW, 0);
	ask(a, REQUEST_FEED);
	take(a, 3);
	close_consumer(a);
}

static void play_observer(struct actor *a)
{
	struct shmring_ring *again;

	must(shmring_open_fd(&again, shmring_fd(a->ring)));
	shmring_close(a->ring);
	a->ring = again;
	open_anew(a, NULL, SHMRING_START_OLDEST, SHMRING_OBSERVE);
	ask(a, REQUEST_FEED);
	take(a, 3);
	sleep_and_take(a);
	close_consumer(a);
}

static void play_prober(struct actor *a)
{
	int r;

	open_producer(a);
	tell(a, REQUEST_HOLD);
	for (int i = 0; i < 80; i++)
		publish(a, MIDDLE);
	tell(a, REQUEST_NONE);
	must(shmring_reap(a->ring));
	r = shmring_forget(a->ring, CORPSE_NAME);
	if (r != -ENOENT) /* another process was quicker */
		must(r);
	shmring_producer_detach(a->producer);
}

static const struct {
	const char *name;
	void (*play)(struct actor *a);
} roles[ROLES] = {
	[ROLE_PRODUCER] = { "producer", play_producer },
	[ROLE_CONSUMER] = { "consumer", play_consumer },
	[ROLE_PINNED] = { "pinned", play_pinned },
	[ROLE_NAMED] = { "named", play_named },
	[ROLE_JOINER] = { "joiner", play_joiner },
	[ROLE_OBSERVER] = { "observer", play_observer },
	[ROLE_PROBER] = { "prober", play_prober },
};

const char *role_name(enum role role)
{
	return roles[role].name;
}

int actor_play(int socket, void *arg)
{
	struct actor *a = arg;

	(void)socket;
	must(shmring_join(a->ring));
	shmr_fault_tell(&a->notes->reached, a->hits);
	if (a->part->action != FAULT_NONE)
		shmr_fault_arm(a->part->place, a->part->hit, a->part->action);
	if (a->part->then)
		shmr_fault_arm(a->part->then, 1, FAULT_KILL);
	roles[a->part->role].play(a);
	ck_assert_msg(audit_faults(&a->notes->released) == 0, "%s: %s", role_name(a->part->role),
		      a->notes->released.first_fault);
	shmring_close(a->ring);
	return 0;
}

int actor_corpse(int socket, void *ring)
{
	struct actor a = { .ring = ring, .source = CORPSE_SOURCE, .notes = &(struct notes){ 0 } };

	(void)socket;
	must(shmring_join(ring));
	open_producer(&a);
	publish(&a, SMALL);
	must(open_consumer(&a, NULL, SHMRING_START_OLDEST, 0));
	must(open_consumer(&a, CORPSE_NAME, SHMRING_START_OLDEST, 0));
	raise(SIGKILL);
	return 1;
}
