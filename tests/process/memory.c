/* SPDX-License-Identifier: MIT */
/*
 * Memory options: what is locked, prefaulted, asked for, and what the report
 * says when the machine does not give it.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <check.h>

#include "must.h"
#include "room.h"
#include "runner.h"
#include "way.h"

enum { SOURCE = 81 };

static struct shmring_ring *create(void)
{
	struct shmring_config config = small_config();

	config.lane_size = (uint64_t)1 << 20;
	return way_create(WAY_PASSED_EXEC, &config);
}

/* Attach both roles with these options; both must succeed. */
static void attach_both(struct shmring_ring *r, struct shmring_memory memory,
			struct shmring_producer **p, struct shmring_consumer **c)
{
	struct shmring_producer_options produce = { .size = sizeof(produce), .memory = memory };
	struct shmring_consumer_options consume = { .size = sizeof(consume), .memory = memory };

	must(shmring_producer_attach(p, r, &produce));
	must(shmring_consumer_attach(c, r, &consume));
}

static void detach_both(struct shmring_producer *p, struct shmring_consumer *c)
{
	struct audit audit;

	audit_begin(&audit, true);
	publish_numbers(p, SOURCE, 0, 20, 30000);
	consume_audited(c, &audit, 20);
	audit_must_be(&audit, 20, 0);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
}

/* Locked memory of this process, in bytes, as the kernel sees it. */
static uint64_t locked_memory(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	unsigned long kib = 0;
	char line[128];

	ck_assert_ptr_nonnull(status);
	while (fgets(line, sizeof(line), status))
		if (sscanf(line, "VmLck: %lu", &kib) == 1)
			break;
	fclose(status);
	return (uint64_t)kib * 1024;
}

/* Root may lock any amount of memory, so become a user that may not. */
static void forbid_locking(void)
{
	struct rlimit none = { 0, 0 };

	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(setresgid(65534, 65534, 65534), 0);
		ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
	}
}

static void may_lock(void)
{
	struct rlimit limit;

	if (room_is_sanitized())
		room_skip("the sanitizer locks no memory");
	ck_assert_int_eq(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
	if (geteuid() != 0 && limit.rlim_cur < 8 << 20)
		room_skip("RLIMIT_MEMLOCK is %lu", (unsigned long)limit.rlim_cur);
}

START_TEST(control_pages_are_locked_by_default)
{
	struct shmring_memory_report pr = { .size = sizeof(pr) }, cr = { .size = sizeof(cr) };
	uint64_t before = locked_memory();
	struct shmring_ring *r;
	struct shmring_producer *p;
	struct shmring_consumer *c;

	may_lock();
	r = create();
	attach_both(r, (struct shmring_memory){ 0 }, &p, &c);
	must(shmring_producer_memory(p, &pr));
	must(shmring_consumer_memory(c, &cr));
	ck_assert_uint_gt(pr.lock_wanted, 0);
	ck_assert_uint_eq(pr.locked, pr.lock_wanted);
	ck_assert_int_eq(pr.lock_error, 0);
	ck_assert_uint_gt(cr.lock_wanted, 0);
	ck_assert_uint_eq(cr.locked, cr.lock_wanted);
	ck_assert_uint_lt(pr.lock_wanted, (uint64_t)1 << 20);
	ck_assert_uint_gt(pr.mapped, (uint64_t)1 << 20);
	ck_assert_uint_ge(locked_memory(), before + pr.locked);
	detach_both(p, c);
	shmring_close(r);
	ck_assert_uint_eq(locked_memory(), before);
}
END_TEST

START_TEST(lock_all_locks_the_lanes_too)
{
	struct shmring_memory_report pr = { .size = sizeof(pr) };
	uint64_t before = locked_memory();
	struct shmring_ring *r;
	struct shmring_producer *p;
	struct shmring_consumer *c;

	may_lock();
	r = create();
	attach_both(r, (struct shmring_memory){ .lock = SHMRING_LOCK_ALL }, &p, &c);
	must(shmring_producer_memory(p, &pr));
	ck_assert_uint_ge(pr.lock_wanted, (uint64_t)1 << 20);
	ck_assert_uint_eq(pr.locked, pr.lock_wanted);
	ck_assert_uint_ge(locked_memory(), before + ((uint64_t)1 << 20));
	detach_both(p, c);
	shmring_close(r);
	ck_assert_uint_eq(locked_memory(), before);
}
END_TEST

START_TEST(lock_none_locks_nothing)
{
	struct shmring_memory_report pr = { .size = sizeof(pr) };
	uint64_t before = locked_memory();
	struct shmring_ring *r = create();
	struct shmring_producer *p;
	struct shmring_consumer *c;

	attach_both(r, (struct shmring_memory){ .lock = SHMRING_LOCK_NONE }, &p, &c);
	must(shmring_producer_memory(p, &pr));
	ck_assert_uint_eq(pr.lock_wanted, 0);
	ck_assert_uint_eq(pr.locked, 0);
	ck_assert_uint_eq(locked_memory(), before);
	detach_both(p, c);
	shmring_close(r);
}
END_TEST

static int work_without_locks(int socket, void *arg)
{
	struct shmring_memory_report report[2] = { { .size = sizeof(*report) },
						   { .size = sizeof(*report) } };
	struct shmring_ring *r;
	struct shmring_producer *p;
	struct shmring_consumer *c;

	(void)socket;
	(void)arg;
	forbid_locking();
	r = create();
	attach_both(r, (struct shmring_memory){ 0 }, &p, &c);
	must(shmring_producer_memory(p, &report[0]));
	must(shmring_consumer_memory(c, &report[1]));
	for (int i = 0; i < 2; i++) {
		ck_assert_uint_gt(report[i].lock_wanted, 0);
		ck_assert_uint_eq(report[i].locked, 0);
		ck_assert_uint_eq(report[i].lock_limit, 0);
		ck_assert_int_lt(report[i].lock_error, 0);
	}
	detach_both(p, c);
	shmring_close(r);
	return 0;
}

START_TEST(attach_without_locked_memory_succeeds_and_reports_it)
{
	struct child c;

	if (room_is_sanitized())
		room_skip("the sanitizer locks no memory");
	child_fork(&c, work_without_locks, NULL);
	child_end(&c);
}
END_TEST

static int be_strict_without_locks(int socket, void *arg)
{
	struct shmring_memory memory = { .flags = SHMRING_MEMORY_STRICT };
	struct shmring_producer_options produce = { .size = sizeof(produce), .memory = memory };
	struct shmring_consumer_options consume = { .size = sizeof(consume), .memory = memory };
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct shmring_ring_stat st = { .size = sizeof(st) };
	struct shmring_ring *r;
	int result;

	(void)socket;
	(void)arg;
	forbid_locking();
	r = create();
	result = shmring_producer_attach(&p, r, &produce);
	ck_assert(result == -EPERM || result == -ENOMEM);
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "MEMLOCK"));
	result = shmring_consumer_attach(&c, r, &consume);
	ck_assert(result == -EPERM || result == -ENOMEM);
	ck_assert_ptr_nonnull(strstr(shmring_explain(), "MEMLOCK"));
	must(shmring_stat(r, &st));
	ck_assert_uint_eq(st.producers, 0);
	ck_assert_uint_eq(st.consumers, 0);
	attach_both(r, (struct shmring_memory){ 0 }, &p, &c);
	detach_both(p, c);
	shmring_close(r);
	return 0;
}

START_TEST(strict_refuses_without_locked_memory)
{
	struct child c;

	if (room_is_sanitized())
		room_skip("the sanitizer locks no memory");
	child_fork(&c, be_strict_without_locks, NULL);
	child_end(&c);
}
END_TEST

START_TEST(strict_works_where_locks_are_allowed)
{
	struct shmring_ring *r;
	struct shmring_producer *p;
	struct shmring_consumer *c;

	may_lock();
	r = create();
	attach_both(
		r,
		(struct shmring_memory){ .lock = SHMRING_LOCK_ALL, .flags = SHMRING_MEMORY_STRICT },
		&p, &c);
	detach_both(p, c);
	shmring_close(r);
}
END_TEST

/* Faults of this process that did not read a disk. */
static long faults(void)
{
	struct rusage usage;

	ck_assert_int_eq(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_minflt;
}

START_TEST(prefaulted_lane_does_not_fault)
{
	struct shmring_memory memory = { .lock = SHMRING_LOCK_NONE,
					 .flags = SHMRING_MEMORY_PREFAULT };
	struct shmring_memory_report report = { .size = sizeof(report) };
	struct shmring_ring *r;
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct shmring_message m;
	long before;

	if (room_is_sanitized())
		room_skip("the sanitizer has faults of its own");
	r = create();
	attach_both(r, memory, &p, &c);
	must(shmring_producer_memory(p, &report));
	ck_assert(report.resident >= (uint64_t)1 << 20);
	before = faults();
	for (int i = 0; i < 4000; i++) {
		must(shmring_publish(p, "12345678", 8, SHMRING_NOWAIT));
		must(shmring_claim(p, 1000, SHMRING_NOWAIT, (void *[]){ NULL }));
		must(shmring_commit(p, 1000));
		must(shmring_peek(c, SHMRING_NOWAIT, &m));
		must(shmring_peek(c, SHMRING_NOWAIT, &m));
		must(shmring_release(c));
	}
	ck_assert_int_le(faults() - before, 20);
	shmring_producer_detach(p);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

START_TEST(missing_huge_pages_are_no_error)
{
	struct shmring_memory_report report = { .size = sizeof(report) };
	struct shmring_config config = small_config();
	struct shmring_producer *p;
	struct shmring_consumer *c;
	struct shmring_ring *r;

	config.lane_size = (uint64_t)4 << 20;
	r = way_create(WAY_PASSED_EXEC, &config);
	attach_both(r, (struct shmring_memory){ .flags = SHMRING_MEMORY_HUGE }, &p, &c);
	must(shmring_producer_memory(p, &report));
	ck_assert_uint_le(report.huge, 2 * config.lane_size);
	detach_both(p, c);
	shmring_close(r);
}
END_TEST

START_TEST(unknown_memory_options_are_refused)
{
	struct shmring_producer_options options = { .size = sizeof(options) };
	struct shmring_ring *r = create();
	struct shmring_producer *p;

	options.memory.lock = 3;
	must_fail(EINVAL, shmring_producer_attach(&p, r, &options));
	options.memory.lock = 0;
	options.memory.flags = 8;
	must_fail(EINVAL, shmring_producer_attach(&p, r, &options));
	shmring_close(r);
}
END_TEST

/* A lane that has had no owner takes no memory, even if consumers read the ring. */
START_TEST(unused_lanes_take_no_memory)
{
	struct shmring_ring *r = create();
	struct shmring_consumer *c = consumer_attach(r, NULL, 0, 0);
	struct shmring_consumer *o = consumer_attach(r, NULL, 0, SHMRING_OBSERVE);
	struct shmring_message m;
	struct shmring_ring_stat st = { .size = sizeof(st) };

	must_fail(EAGAIN, shmring_peek(c, SHMRING_NOWAIT, &m));
	must_fail(EAGAIN, shmring_peek(o, SHMRING_NOWAIT, &m));
	must(shmring_stat(r, &st));
	ck_assert_uint_ge(st.file_size, (uint64_t)4 << 20);
	ck_assert_uint_lt(st.allocated, (uint64_t)1 << 20);
	shmring_producer_detach(producer_attach(r));
	must(shmring_stat(r, &st));
	ck_assert_uint_ge(st.allocated, (uint64_t)1 << 20);
	ck_assert_uint_lt(st.allocated, (uint64_t)2 << 20);
	shmring_consumer_detach(o);
	shmring_consumer_detach(c);
	shmring_close(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("memory");
	TCase *tc = room_case(s, "memory", 20);

	tcase_add_test(tc, control_pages_are_locked_by_default);
	tcase_add_test(tc, lock_all_locks_the_lanes_too);
	tcase_add_test(tc, lock_none_locks_nothing);
	tcase_add_test(tc, attach_without_locked_memory_succeeds_and_reports_it);
	tcase_add_test(tc, strict_refuses_without_locked_memory);
	tcase_add_test(tc, strict_works_where_locks_are_allowed);
	tcase_add_test(tc, prefaulted_lane_does_not_fault);
	tcase_add_test(tc, missing_huge_pages_are_no_error);
	tcase_add_test(tc, unknown_memory_options_are_refused);
	tcase_add_test(tc, unused_lanes_take_no_memory);
	return run_suite(s);
}
