/* SPDX-License-Identifier: MIT */
/*
 * A signal handler publishes through the producer whose call it has interrupted, behind
 * every single instruction of that call, and by a timer. Its call returns -EBUSY, or its
 * message is there. No message of either is torn, lost, doubled or out of order.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SHORT = 40, LONG = 6000, FROM_HANDLER = 88, ROUNDS = 3 };

static struct shmring_producer *producer;
static struct shmring_consumer *consumer;
static uint64_t by_main, by_handler;
static uint64_t read_main, read_handler;
static uint64_t refused;
static volatile sig_atomic_t stepping;

/* The content of a message: its writer, then its number again and again. */
struct text {
	uint64_t who;
	uint64_t words[LONG / 8];
};

static const void *text_of(struct text *t, uint64_t who, uint64_t number, size_t len)
{
	t->who = who;
	for (size_t i = 0; i < len / 8; i++)
		t->words[i] = number;
	return t;
}

static void publish_in_handler(int signal)
{
	static struct text t;
	int error = errno, e;

	(void)signal;
	if (!stepping)
		return;
	e = shmring_publish(producer, text_of(&t, 'h', by_handler, FROM_HANDLER - 8), FROM_HANDLER,
			    SHMRING_NOWAIT);
	if (e == 0)
		by_handler++;
	else if (e == -EBUSY)
		refused++;
	else if (e != -EAGAIN && e != -EMSGSIZE) /* a batch that would be too long */
		stepping = 2;
	errno = error;
}

/* Read all messages: each is whole, none is missing, and they are in order. */
static void read_all(void)
{
	struct shmring_message m;

	while (shmring_peek(consumer, SHMRING_NOWAIT, &m) == 0) {
		const struct text *t = m.data;
		uint64_t number = t->who == 'h' ? read_handler++ : read_main++;

		ck_assert(t->who == 'h' || t->who == 'm');
		ck_assert(t->who == 'm' || m.len == FROM_HANDLER);
		for (size_t i = 0; i < (m.len - 8) / 8; i++)
			ck_assert_uint_eq(t->words[i], number);
		must(shmring_release(consumer));
	}
	ck_assert_uint_eq(read_handler, by_handler);
	ck_assert_uint_eq(read_main, by_main);
}

#ifdef __x86_64__
/* The processor traps behind each instruction from here on, but not in the handler. */
static inline void step(void)
{
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t"
			 "lea 128(%%rsp), %%rsp" ::
				 : "memory", "cc");
}

static inline void step_no_more(void)
{
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\t"
			 "lea 128(%%rsp), %%rsp" ::
				 : "memory", "cc");
}
#else
static inline void step(void)
{
}

static inline void step_no_more(void)
{
}
#endif

#define INTERRUPTED(call)                      \
	do {                                   \
		stepping = 1;                  \
		step();                        \
		e = (call);                    \
		step_no_more();                \
		ck_assert_int_eq(stepping, 1); \
		stepping = 0;                  \
	} while (0)

/* A call that has left its message in the ring, or has taken the only open message. */
static void published(int e)
{
	by_main += e == 0;
	ck_assert(e == 0 || e == -EAGAIN);
	read_all();
}

static void publish_all_ways(void)
{
	static struct text t;
	struct iovec pieces[2] = { { &t, 16 }, { t.words + 1, SHORT - 16 } };
	void *to = NULL;
	int e;

	INTERRUPTED(shmring_publish(producer, text_of(&t, 'm', by_main, SHORT - 8), SHORT,
				    SHMRING_NOWAIT));
	published(e);
	INTERRUPTED(shmring_publish(producer, text_of(&t, 'm', by_main, LONG - 8), LONG,
				    SHMRING_NOWAIT));
	published(e);
	text_of(&t, 'm', by_main, SHORT - 8);
	INTERRUPTED(shmring_publishv(producer, pieces, 2, SHMRING_NOWAIT));
	published(e);
	INTERRUPTED(shmring_claim(producer, LONG, SHMRING_NOWAIT, &to));
	ck_assert_int_eq(e, 0);
	memcpy(to, text_of(&t, 'm', by_main, SHORT - 8), SHORT);
	INTERRUPTED(shmring_commit(producer, SHORT));
	published(e);
}

static void claim_and_fill(uint64_t number)
{
	static struct text t;
	void *to = NULL;
	int e;

	INTERRUPTED(shmring_claim(producer, SHORT, SHMRING_NOWAIT, &to));
	ck_assert_int_eq(e, 0);
	memcpy(to, text_of(&t, 'm', number, SHORT - 8), SHORT);
}

/* A handler's message ends a batch, so what was staged may be there before its time. */
static void batches(void)
{
	uint64_t before;
	int e;

	for (int i = 0; i < 3; i++) {
		claim_and_fill(by_main);
		INTERRUPTED(shmring_stage(producer, SHORT));
		ck_assert_int_eq(e, 0);
		by_main++;
	}
	INTERRUPTED(shmring_flush(producer));
	published(e == 0 ? -EAGAIN : e);
	claim_and_fill(by_main);
	INTERRUPTED((shmring_abort(producer), 0));
	read_all();
	claim_and_fill(by_main);
	INTERRUPTED((shmring_discard(producer), 0));
	read_all();
	claim_and_fill(by_main);
	must(shmring_stage(producer, SHORT));
	before = by_handler;
	INTERRUPTED((shmring_discard(producer), 0));
	by_main +=
		by_handler !=
		before; /* the handler's message came before, and took the staged message along */
	read_all();
}

/* A full ring, and calls that wait for room without help of other processes. */
static void calls_about_room(void)
{
	struct shmring_wait_item wait = { .what = shmring_producer_waitable(producer, LONG) };
	static struct text t;
	int e = 0;

	INTERRUPTED(shmring_producer_arm(producer, LONG));
	ck_assert(e >= 0 || e == -EBUSY);
	INTERRUPTED(shmring_wait(&wait, 1, SHMRING_NOWAIT));
	ck_assert(e >= 0 || e == -EBUSY || e == -EAGAIN);
	while ((e = shmring_publish(producer, text_of(&t, 'm', by_main, LONG - 8), LONG,
				    SHMRING_NOWAIT)) == 0)
		by_main++;
	ck_assert_int_eq(e, -EAGAIN);
	INTERRUPTED(shmring_publish(producer, text_of(&t, 'm', by_main, LONG - 8), LONG,
				    SHMRING_NOWAIT));
	published(e);
	INTERRUPTED(shmring_producer_wake(producer));
	INTERRUPTED(shmring_producer_quiet(producer, 1));
	INTERRUPTED(shmring_producer_quiet(producer, 0));
	read_all();
}

static struct shmring_ring *begin(int signal)
{
	struct sigaction sa = { .sa_handler = publish_in_handler, .sa_flags = SA_RESTART };
	struct shmring_config config = small_config();
	struct shmring_ring *r;

	config.unread_policy = SHMRING_UNREAD_HOLD;
	/* Room for a message behind each instruction of a call, also of one without optimisation.
	 */
	config.lane_size = 1 << 20;
	r = ring_create(&config);
	consumer = consumer_attach(r, NULL, 0, 0);
	producer = producer_attach(r);
	must(shmring_producer_fd(producer, SHMRING_FD_THREAD));
	ck_assert_int_eq(sigaction(signal, &sa, NULL), 0);
	return r;
}

static void end(struct shmring_ring *r, int signal_number)
{
	signal(signal_number, SIG_DFL);
	shmring_producer_detach(producer);
	shmring_consumer_detach(consumer);
	shmring_close(r);
	ck_assert_uint_gt(by_handler, 0);
	ck_assert_uint_gt(refused, 0);
}

START_TEST(handler_behind_every_instruction)
{
	struct shmring_ring *r;

#ifndef __x86_64__
	room_skip("only x86-64 can trap behind each instruction by itself");
#endif
	r = begin(SIGTRAP);
	for (int i = 0; i < ROUNDS; i++) {
		publish_all_ways();
		batches();
		calls_about_room();
	}
	end(r, SIGTRAP);
}
END_TEST

/* A timer interrupts at random, on every kind of processor. */
START_TEST(handler_by_a_timer)
{
	const struct itimerval often = { { 0, 50 }, { 0, 50 } }, never = { 0 };
	struct shmring_ring *r = begin(SIGALRM);
	static struct text t;

	stepping = 1;
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	for (int64_t until = clock_now() + 1000000000; clock_now() < until && stepping == 1;) {
		for (int i = 0; i < 100; i++)
			by_main += shmring_publish(producer, text_of(&t, 'm', by_main, SHORT - 8),
						   SHORT, SHMRING_NOWAIT) == 0;
		stepping = 0;
		read_all();
		stepping = 1;
	}
	ck_assert_int_eq(stepping, 1);
	stepping = 0;
	ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
	read_all();
	refused++; /* by chance: it may not have been */
	end(r, SIGALRM);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("handler-publishes");
	TCase *tc = room_case(s, "handler-publishes", 60);

	tcase_add_test(tc, handler_behind_every_instruction);
	tcase_add_test(tc, handler_by_a_timer);
	return run_suite(s);
}
