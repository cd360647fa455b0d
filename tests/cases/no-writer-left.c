/* SPDX-License-Identifier: MIT */
/*
 * A reader waits for a writer that will never come: its only writer was killed, or the
 * writer's service was restarted and has made the ring anew under the same name. A
 * time-out would show neither.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include <shmring/consumer.h>
#include <shmring/producer.h>

#include "must.h"
#include "room.h"
#include "runner.h"

#define SECOND INT64_C(1000000000)

static void make(struct shmring_ring **ret)
{
	struct shmring_config config = {
		.size = sizeof(config),
		.lane_size = 65536,
		.unread_policy = SHMRING_UNREAD_HOLD,
	};

	must(shmring_create(ret, room_path("ring"), &config));
}

/* A writer that publishes one message and is killed. */
static void write_one_and_die(struct shmring_ring *r)
{
	struct shmring_producer *p;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (shmring_join(r) == 0 && shmring_producer_attach(&p, r, NULL) == 0)
			shmring_publish(p, "x", 1, SHMRING_FOREVER);
		raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static void read_one(struct shmring_consumer *c)
{
	struct shmring_message m;

	must(shmring_peek(c, patience(), &m));
	ck_assert_uint_eq(m.len, 1);
	must(shmring_release(c));
}

START_TEST(only_writer_was_killed)
{
	struct shmring_consumer_options options = { .size = sizeof(options),
						    .flags = SHMRING_UNTIL_END };
	struct shmring_consumer *c;
	struct shmring_message m;
	struct shmring_ring *r;

	make(&r);
	must(shmring_consumer_attach(&c, r, &options));
	write_one_and_die(r);
	read_one(c);
	must_fail(EPIPE, shmring_peek(c, shmring_deadline(2 * SECOND), &m));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "no producer is left"));

	/* The next writer is started. */
	write_one_and_die(r);
	read_one(c);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(ring_was_made_anew)
{
	struct shmring_ring *old, *new;
	struct shmring_consumer *c;
	struct shmring_producer *p;
	struct shmring_message m;

	make(&old);
	must(shmring_consumer_attach(&c, old, NULL));
	write_one_and_die(old);
	read_one(c);
	must(shmring_remove(room_path("ring")));
	make(&new);
	must(shmring_producer_attach(&p, new, NULL));
	must(shmring_publish(p, "y", 1, SHMRING_FOREVER));
	must_fail(EIDRM, shmring_peek(c, shmring_deadline(2 * SECOND), &m));
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "open it again"));

	/* As the sentence says. */
	shmring_consumer_detach(c);
	shmring_close(old);
	must(shmring_open(&old, room_path("ring")));
	must(shmring_consumer_attach(&c, old, NULL));
	read_one(c);
	shmring_consumer_detach(c);
	shmring_close(old);
	shmring_producer_detach(p);
	shmring_close(new);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("no-writer-left");
	TCase *tc = room_case(s, "no-writer-left", 30);

	tcase_add_test(tc, only_writer_was_killed);
	tcase_add_test(tc, ring_was_made_anew);
	return run_suite(s);
}
